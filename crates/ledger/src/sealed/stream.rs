//! Bundles whose bodies are too many bytes to be held at once: written and read piece by piece, as the same one frame.
//!
//! A bundle of ordinary bodies takes a few hundred kilobytes; one of the largest that are allowed takes a gibibyte.
//! Judges nothing: whoever reads compares the bodies with their leaves.

use std::io::{self, Write as _};
use std::ops::Range;

use zstd::stream::raw::{InBuffer, Operation as _, OutBuffer};

use super::{BUNDLE_LEN, codec};
use crate::durable::DiskFile;
use crate::limits::BODY_BYTES_MAX;

/// Bytes of bodies from which a bundle is not held at once.
pub(crate) const LARGE_BYTES: u64 = 16 << 20;
/// Bytes that are read, decoded or handed on in one piece.
const PIECE_BYTES: usize = 128 << 10;
/// Bytes of a frame that tell the length of its content at most.
const FRAME_HEADER_BYTES: u64 = 18;
/// A body length that says: no body.
const ABSENT: u32 = u32::MAX;

/// A frame that is being made.
pub(super) struct FrameWriter {
    encoder: zstd::stream::write::Encoder<'static, Vec<u8>>,
}

impl FrameWriter {
    /// `bytes` is the length of all that will be written, which the frame tells at its start.
    pub(super) fn new(level: i32, bytes: u64) -> io::Result<FrameWriter> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level)?;
        encoder.set_pledged_src_size(Some(bytes))?;
        encoder.include_contentsize(true)?;
        Ok(FrameWriter { encoder })
    }

    /// Adds one body.
    pub(super) fn push(&mut self, body: Option<&[u8]>) -> io::Result<()> {
        let length = body.map_or(Some(ABSENT), |body| u32::try_from(body.len()).ok());
        let length = length.ok_or(io::ErrorKind::InvalidInput)?;
        self.encoder.write_all(&length.to_be_bytes())?;
        self.encoder.write_all(body.unwrap_or_default())
    }

    /// What is encoded so far and was not taken yet.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.encoder.get_mut())
    }

    /// The rest; an error where other bytes were written than were told.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        self.encoder.finish()
    }
}

/// Why a frame cannot be read.
pub(crate) enum StreamError {
    Io(io::Error),
    Torn(&'static str),
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> StreamError {
        StreamError::Io(error)
    }
}

/// The bodies of a bundle, one after the other.
pub(super) struct BodyStream<'a> {
    file: &'a dyn DiskFile,
    /// Stored bytes that were not read yet.
    rest: Range<u64>,
    decoder: zstd::stream::raw::Decoder<'static>,
    input: Vec<u8>,
    used: usize,
    output: Vec<u8>,
    given: usize,
    /// Bytes that the frame has still to give, by its own word.
    left: u64,
    over: bool,
    bodies: usize,
}

/// Length of the content of the frame that a file holds in a range; `None` where it does not tell one that fits.
pub(super) fn content_bytes(file: &dyn DiskFile, range: &Range<u64>) -> io::Result<Option<u64>> {
    let length = range.end.saturating_sub(range.start).min(FRAME_HEADER_BYTES);
    let mut head = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut head, range.start)?;
    let told = zstd::zstd_safe::get_frame_content_size(&head).ok().flatten();
    Ok(told.filter(|bytes| head.starts_with(&codec::ZSTD_MAGIC) && *bytes <= codec::BODIES_BYTES_MAX as u64))
}

impl<'a> BodyStream<'a> {
    /// `content` is what the frame tells of its length.
    pub(super) fn new(file: &'a dyn DiskFile, range: Range<u64>, content: u64) -> io::Result<BodyStream<'a>> {
        Ok(BodyStream {
            file,
            rest: range,
            decoder: zstd::stream::raw::Decoder::new()?,
            input: Vec::new(),
            used: 0,
            output: Vec::with_capacity(PIECE_BYTES),
            given: 0,
            left: content,
            over: false,
            bodies: 0,
        })
    }

    /// Hands the next body on in pieces; false where it is absent.
    pub(super) fn next(&mut self, mut piece: impl FnMut(&[u8])) -> Result<bool, StreamError> {
        if self.bodies == BUNDLE_LEN {
            return Err(StreamError::Torn("the bundle has not 256 bodies"));
        }
        self.bodies += 1;
        let mut head = Vec::with_capacity(4);
        self.bytes(4, |part| head.extend_from_slice(part))?;
        let length = u32::from_be_bytes(head.first_chunk().copied().unwrap_or([0xff; 4]));
        if length == ABSENT {
            return Ok(false);
        }
        if length > BODY_BYTES_MAX {
            return Err(StreamError::Torn("the bundle of bodies is torn"));
        }
        self.bytes(length as usize, &mut piece)?;
        Ok(true)
    }

    /// All 256 bodies were read: nothing may be left, of the frame or behind it.
    pub(super) fn finish(mut self) -> Result<(), StreamError> {
        if self.bodies != BUNDLE_LEN || self.left != 0 {
            return Err(StreamError::Torn("the bundle has not 256 bodies"));
        }
        while !self.over {
            self.decode()?;
            if self.given < self.output.len() {
                return Err(StreamError::Torn("the bundle has more than 256 bodies"));
            }
        }
        let whole = self.used == self.input.len() && self.rest.is_empty();
        if whole { Ok(()) } else { Err(StreamError::Torn("the frame does not use all of its bytes")) }
    }

    fn bytes(&mut self, count: usize, mut piece: impl FnMut(&[u8])) -> Result<(), StreamError> {
        let mut missing = count;
        self.left = self.left.checked_sub(count as u64).ok_or(StreamError::Torn("the bundle of bodies is torn"))?;
        while missing > 0 {
            if self.given == self.output.len() {
                self.decode()?;
                continue;
            }
            let there = self.output.get(self.given..).unwrap_or_default();
            let part = there.get(..missing).unwrap_or(there);
            piece(part);
            missing -= part.len();
            self.given += part.len();
        }
        Ok(())
    }

    /// Decodes the next piece.
    fn decode(&mut self) -> Result<(), StreamError> {
        if self.over {
            return Err(StreamError::Torn("the bundle of bodies is torn"));
        }
        if self.used == self.input.len() {
            let length = (self.rest.end - self.rest.start).min(PIECE_BYTES as u64);
            self.input.resize(usize::try_from(length).unwrap_or(0), 0);
            self.file.read_exact_at(&mut self.input, self.rest.start)?;
            self.rest.start += length;
            self.used = 0;
        }
        self.output.clear();
        self.given = 0;
        let mut input = InBuffer::around(self.input.get(self.used..).unwrap_or_default());
        let mut output = OutBuffer::around(&mut self.output);
        let hint = self.decoder.run(&mut input, &mut output);
        let (read, made) = (input.pos(), output.pos());
        self.used += read;
        self.over = hint.map_err(|_| StreamError::Torn("the frame does not decode"))? == 0;
        if read == 0 && made == 0 && !self.over {
            return Err(StreamError::Torn("the frame is cut"));
        }
        Ok(())
    }
}
