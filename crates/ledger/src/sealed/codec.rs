//! Bytes of one bundle: leaves as a gzip member, bodies as a zstd frame. Every decoder has a cap on what it gives.

use std::io;

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

use super::BUNDLE_LEN;
use crate::limits::{BODY_BYTES_MAX, LEAF_BYTES_MAX};

/// The ten bytes that each gzip member begins with: no name, no time, unknown system.
pub(crate) const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// RFC 8878 3.1.1: the magic number of a frame.
pub(crate) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// What a bundle of leaves can be at most.
pub(crate) const LEAVES_BYTES_MAX: usize = BUNDLE_LEN * (2 + LEAF_BYTES_MAX as usize);
/// What a bundle of bodies can be at most.
pub(crate) const BODIES_BYTES_MAX: usize = BUNDLE_LEN * (4 + BODY_BYTES_MAX as usize);

/// One gzip member by itself.
pub(crate) fn gzip(bundle: &[u8], level: u32) -> io::Result<Vec<u8>> {
    Gzip::new(level).member(bundle).map(<[u8]>::to_vec)
}

/// Makes many members, one after the other, with one set of tables.
pub(crate) struct Gzip {
    deflate: Compress,
    out: Vec<u8>,
}

impl Gzip {
    pub(crate) fn new(level: u32) -> Gzip {
        Gzip { deflate: Compress::new(Compression::new(level), false), out: Vec::new() }
    }

    /// One member; it lasts until the next one is made.
    pub(crate) fn member(&mut self, bundle: &[u8]) -> io::Result<&[u8]> {
        let Gzip { deflate, out } = self;
        out.clear();
        out.extend_from_slice(&GZIP_HEADER);
        deflate.reset();
        loop {
            let used = usize::try_from(deflate.total_in()).unwrap_or(usize::MAX);
            out.reserve((bundle.len() / 2).max(1024));
            let rest = bundle.get(used..).unwrap_or_default();
            match deflate.compress_vec(rest, out, FlushCompress::Finish) {
                Ok(Status::StreamEnd) => break,
                // There was no room for all of it.
                Ok(Status::Ok | Status::BufError) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if out.len() > GZIP_HEADER.len() + stored_bytes(bundle) {
            // Nothing makes these leaves smaller, and the fast codes would make them larger by a twentieth.
            out.truncate(GZIP_HEADER.len());
            store(bundle, out);
        }
        let mut crc = Crc::new();
        crc.update(bundle);
        out.extend_from_slice(&crc.sum().to_le_bytes());
        // RFC 1952: ISIZE is the length modulo 2^32; a bundle is far below.
        out.extend_from_slice(&crc.amount().to_le_bytes());
        Ok(out)
    }
}

/// RFC 1951 3.2.4: the largest block that is stored as it is.
const STORED_BYTES_MAX: usize = 65_535;

/// What a bundle takes in stored blocks.
fn stored_bytes(bundle: &[u8]) -> usize {
    bundle.len() + 5 * bundle.len().div_ceil(STORED_BYTES_MAX).max(1)
}

/// RFC 1951 3.2.4: a bundle in stored blocks.
fn store(bundle: &[u8], out: &mut Vec<u8>) {
    let mut rest = bundle;
    loop {
        let (block, after) = rest.split_at_checked(STORED_BYTES_MAX).unwrap_or((rest, &[]));
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(after.is_empty()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
        rest = after;
        if rest.is_empty() {
            return;
        }
    }
}

/// Inflates exactly one member that uses all of `member`.
pub(crate) fn gunzip(member: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::new();
    Inflater::default().gunzip(member, &mut out)?;
    Ok(out)
}

/// Inflates many members, one after the other, with one set of tables.
pub(crate) struct Inflater(Decompress);

impl Default for Inflater {
    fn default() -> Self {
        Inflater(Decompress::new(false))
    }
}

impl Inflater {
    /// As [`gunzip`], into `out`, whose content is replaced.
    pub(crate) fn gunzip(&mut self, member: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        out.clear();
        let rest = member.strip_prefix(&GZIP_HEADER).ok_or("the member does not begin with the fixed header")?;
        let (deflated, trailer) = rest.split_last_chunk::<8>().ok_or("the member is cut")?;
        let [a, b, c, d, e, f, g, h] = *trailer;
        let (sum, length) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]) as usize);
        if length > LEAVES_BYTES_MAX {
            return Err("the member claims more than a bundle can hold");
        }
        // One byte more than is claimed: a member that goes on does not end within its room.
        out.reserve(length + 64);
        self.0.reset(false);
        let status = self.0.decompress_vec(deflated, out, FlushDecompress::Finish);
        let used = self.0.total_in() == deflated.len() as u64;
        if !matches!(status, Ok(Status::StreamEnd)) || !used || out.len() != length {
            return Err("the member does not inflate to its length");
        }
        let mut crc = Crc::new();
        crc.update(out);
        if crc.sum() == sum { Ok(()) } else { Err("the member fails its CRC") }
    }
}

#[cfg(test)]
pub(crate) fn compress_bodies(bodies: &[u8], level: i32) -> io::Result<Vec<u8>> {
    Zstd::new(level)?.frame(bodies).map(<[u8]>::to_vec)
}

/// Makes many frames, one after the other, with one set of tables.
pub(crate) struct Zstd {
    compressor: zstd::bulk::Compressor<'static>,
    out: Vec<u8>,
}

impl Zstd {
    pub(crate) fn new(level: i32) -> io::Result<Zstd> {
        Ok(Zstd { compressor: zstd::bulk::Compressor::new(level)?, out: Vec::new() })
    }

    /// One frame; it lasts until the next one is made.
    pub(crate) fn frame(&mut self, bodies: &[u8]) -> io::Result<&[u8]> {
        self.out.clear();
        self.out.reserve(zstd::zstd_safe::compress_bound(bodies.len()));
        self.compressor.compress_to_buffer(bodies, &mut self.out)?;
        Ok(&self.out)
    }
}

/// Decodes exactly one frame that uses all of `frame`.
pub(crate) fn decompress_bodies(frame: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::new();
    Unzstd::new().map_err(|_| "no memory for the decoder")?.decompress(frame, &mut out)?;
    Ok(out)
}

/// Decodes many frames, one after the other, with one set of tables.
pub(crate) struct Unzstd(zstd::bulk::Decompressor<'static>);

impl Unzstd {
    pub(crate) fn new() -> io::Result<Unzstd> {
        zstd::bulk::Decompressor::new().map(Unzstd)
    }

    /// As [`decompress_bodies`], into `out`, whose content is replaced.
    pub(crate) fn decompress(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        out.clear();
        // The library also knows frames of older formats, which nobody writes here.
        if !frame.starts_with(&ZSTD_MAGIC) {
            return Err("the frame does not begin with its magic");
        }
        let length = match zstd::zstd_safe::get_frame_content_size(frame) {
            Ok(Some(length)) => usize::try_from(length).unwrap_or(usize::MAX),
            _ => return Err("the frame does not tell its length"),
        };
        if length > BODIES_BYTES_MAX {
            return Err("the frame claims more than a bundle can hold");
        }
        if zstd::zstd_safe::find_frame_compressed_size(frame) != Ok(frame.len()) {
            return Err("the frame does not use all of its bytes");
        }
        out.reserve(length);
        match self.0.decompress_to_buffer(frame, out) {
            Ok(_) if out.len() == length => Ok(()),
            _ => Err("the frame does not decode"),
        }
    }
}

/// The 256 leaves of a bundle.
pub(crate) fn leaves_of(bundle: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    let leaves = tlog::decode_bundle(bundle).map_err(|_| "the bundle is torn")?;
    if leaves.len() == BUNDLE_LEN { Ok(leaves) } else { Err("the bundle has not 256 entries") }
}

/// The 256 bodies of a bundle.
pub(crate) fn bodies_of(bundle: &[u8]) -> Result<Vec<Option<&[u8]>>, &'static str> {
    let bodies = tlog::decode_bodies(bundle).map_err(|_| "the bundle of bodies is torn")?;
    if bodies.len() == BUNDLE_LEN { Ok(bodies) } else { Err("the bundle has not 256 bodies") }
}
