//! Cuts an input into requests: whole lines, or records of one JSON document, never half of either.
//!
//! Does not interpret events: the server maps them. Bytes are sent as they stand in the file, so that the offset sent
//! along gives every record its place.

use std::io::{BufRead, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::cli::Format;

/// Bytes of one request; the server takes 20 MiB.
const REQUEST_BYTES_MAX: usize = 4 << 20;
/// A single line that is longer is an error here: the server would refuse it anyhow.
const LINE_BYTES_MAX: u64 = 8 << 20;
/// A JSON document that has to be read as a whole.
const DOCUMENT_BYTES_MAX: u64 = 1 << 30;
/// The first line's share in the file's digest (specs/events.md rule 8).
const DIGEST_BYTES_MAX: usize = 4096;

/// One request's worth of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) bytes: Vec<u8>,
    /// Offset of the first byte in the uncompressed file.
    pub(crate) offset: u64,
    /// Offset behind the last byte.
    pub(crate) end: u64,
    /// Line (or record number) of each record, for messages.
    pub(crate) places: Vec<u64>,
    pub(crate) content_type: &'static str,
}

/// A file opened for cutting.
pub(crate) struct Input {
    source: Source,
    /// `<16 hex>` of specs/events.md rule 8.
    pub(crate) digest: String,
    /// Bytes on disk, for the progress bar; `None` for standard input.
    pub(crate) disk_bytes: Option<u64>,
    /// What a line or record is called in messages.
    pub(crate) unit: &'static str,
}

enum Source {
    Lines { reader: Box<dyn BufRead + Send>, offset: u64, line: u64, content_type: &'static str },
    Records { document: Vec<u8>, ranges: Vec<(usize, usize)>, next: usize },
}

/// Opens a file; gzip is recognised by its first two bytes.
pub(crate) fn open_file(path: &Path, format: Format) -> Result<Input> {
    let file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let meta = file.metadata().with_context(|| format!("cannot read {}", path.display()))?;
    if meta.is_dir() {
        bail!("{} is a folder; name the files in it", path.display());
    }
    let mut reader = std::io::BufReader::with_capacity(1 << 20, file);
    let gzip = reader.fill_buf().with_context(|| format!("cannot read {}", path.display()))?.starts_with(&[0x1f, 0x8b]);
    let reader: Box<dyn BufRead + Send> = if gzip {
        Box::new(std::io::BufReader::with_capacity(1 << 20, flate2::bufread::MultiGzDecoder::new(reader)))
    } else {
        Box::new(reader)
    };
    let mut input = open(reader, format).with_context(|| format!("cannot read {}", path.display()))?;
    input.disk_bytes = Some(meta.len());
    Ok(input)
}

/// Opens any stream.
pub(crate) fn open(mut reader: Box<dyn BufRead + Send>, format: Format) -> Result<Input> {
    // The digest and the form are both decided on the first bytes, which are then read again.
    let mut head = Vec::new();
    reader.by_ref().take(64 << 10).read_to_end(&mut head).context("reading its beginning")?;
    let first_line = head.split(|b| *b == b'\n').next().unwrap_or(&[]);
    let first_line = first_line.get(..first_line.len().min(DIGEST_BYTES_MAX)).unwrap_or(first_line);
    let digest: String = Sha256::digest(first_line).iter().take(8).map(|b| format!("{b:02x}")).collect();
    let document = is_document(&head, format);
    let reader: Box<dyn BufRead + Send> =
        Box::new(std::io::BufReader::with_capacity(1 << 20, std::io::Cursor::new(head).chain(reader)));
    let (source, unit) = if document {
        let mut bytes = Vec::new();
        reader.take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut bytes).context("reading the JSON document")?;
        if bytes.len() as u64 > DOCUMENT_BYTES_MAX {
            bail!("a JSON document over {DOCUMENT_BYTES_MAX} bytes; write one event a line instead");
        }
        let ranges = record_ranges(&bytes, format)?;
        (Source::Records { document: bytes, ranges, next: 0 }, "record")
    } else {
        let content_type = match format {
            Format::Native | Format::Cloudtrail | Format::Openbao => "application/x-ndjson",
            Format::Syslog | Format::Text => "text/plain",
        };
        (Source::Lines { reader, offset: 0, line: 0, content_type }, "line")
    };
    Ok(Input { source, digest, disk_bytes: None, unit })
}

/// Whether the input is one JSON document (an array, `{"Records":[...]}`, objects over several lines).
fn is_document(head: &[u8], format: Format) -> bool {
    let first = head.iter().position(|b| !b.is_ascii_whitespace());
    let Some(rest) = first.and_then(|at| head.get(at..)) else { return false };
    match format {
        Format::Syslog | Format::Text | Format::Openbao => false,
        Format::Native | Format::Cloudtrail if rest.first() == Some(&b'[') => true,
        Format::Cloudtrail => rest.strip_prefix(b"{").is_some_and(|r| r.trim_ascii_start().starts_with(b"\"Records\"")),
        Format::Native => {
            let line = rest.split(|b| *b == b'\n').next().unwrap_or(&[]);
            // An object that goes on over several lines: its first line alone breaks off.
            line.len() < rest.len() && serde_json::from_slice::<&RawValue>(line).is_err_and(|e| e.is_eof())
        }
    }
}

#[derive(Deserialize)]
struct Records<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<&'a RawValue>,
}

fn record_ranges(document: &[u8], format: Format) -> Result<Vec<(usize, usize)>> {
    let text = std::str::from_utf8(document).context("a JSON document must be UTF-8")?;
    let start = text.as_ptr() as usize;
    let range = |raw: &RawValue| {
        let at = (raw.get().as_ptr() as usize).saturating_sub(start);
        (at, at + raw.get().len())
    };
    let trimmed = text.trim_start();
    if trimmed.starts_with('[') {
        let all: Vec<&RawValue> = serde_json::from_str(text).context("the JSON array is broken")?;
        return Ok(all.into_iter().map(range).collect());
    }
    if format == Format::Cloudtrail {
        let all: Records<'_> = serde_json::from_str(text).context("expected {\"Records\":[...]}")?;
        return Ok(all.records.into_iter().map(range).collect());
    }
    let mut ranges = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let number = ranges.len() + 1;
        ranges.push(range(value.with_context(|| format!("event {number} of the file is no JSON"))?));
    }
    Ok(ranges)
}

impl Input {
    /// Skips what an earlier run has sent. Only whole records are ever skipped.
    pub(crate) fn skip_to(&mut self, wanted: u64) -> Result<()> {
        match &mut self.source {
            Source::Records { ranges, next, .. } => {
                *next = ranges.iter().take_while(|(start, _)| (*start as u64) < wanted).count();
            }
            Source::Lines { reader, offset, line, .. } => {
                let mut bytes = Vec::new();
                while *offset < wanted {
                    bytes.clear();
                    let read = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
                    if read == 0 {
                        break;
                    }
                    *offset += read as u64;
                    *line += 1;
                }
            }
        }
        Ok(())
    }

    /// The next request's worth, at most `count` records.
    pub(crate) fn next(&mut self, count: usize) -> Result<Option<Piece>> {
        match &mut self.source {
            Source::Lines { reader, offset, line, content_type } => {
                let mut piece = Piece { offset: *offset, end: *offset, content_type, ..Piece::default() };
                while piece.places.len() < count && piece.bytes.len() < REQUEST_BYTES_MAX {
                    let before = piece.bytes.len();
                    let read = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut piece.bytes)?;
                    if read == 0 {
                        break;
                    }
                    *line += 1;
                    if read as u64 == LINE_BYTES_MAX && piece.bytes.last() != Some(&b'\n') {
                        bail!("line {line} is longer than {LINE_BYTES_MAX} bytes");
                    }
                    piece.end += read as u64;
                    let blank = piece.bytes.get(before..).is_none_or(|l| l.trim_ascii().is_empty());
                    if !blank {
                        piece.places.push(*line);
                    }
                }
                *offset = piece.end;
                Ok((piece.end > piece.offset).then_some(piece))
            }
            Source::Records { document, ranges, next } => {
                let Some((start, _)) = ranges.get(*next).copied() else { return Ok(None) };
                let mut piece = Piece { offset: start as u64, content_type: "application/json", ..Piece::default() };
                piece.bytes.push(b'[');
                while let Some((from, to)) = ranges.get(*next).copied() {
                    if piece.places.len() >= count || piece.bytes.len() >= REQUEST_BYTES_MAX {
                        break;
                    }
                    if !piece.places.is_empty() {
                        piece.bytes.push(b',');
                    }
                    piece.bytes.extend_from_slice(document.get(from..to).unwrap_or(&[]));
                    piece.end = to as u64;
                    *next += 1;
                    piece.places.push(*next as u64);
                }
                piece.bytes.push(b']');
                Ok(Some(piece))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::{Piece, open};
    use crate::cli::Format;

    fn cut(text: &str, format: Format, count: usize) -> Vec<Piece> {
        let mut input = open(Box::new(std::io::Cursor::new(text.as_bytes().to_vec())), format).unwrap();
        std::iter::from_fn(|| input.next(count).unwrap()).collect()
    }

    #[test]
    fn lines_are_sent_as_they_stand() {
        let text = "{\"action\":\"a\"}\n\n{\"action\":\"b\"}\r\n{\"action\":\"c\"}";
        let pieces = cut(text, Format::Native, 2);
        assert_eq!(pieces.iter().flat_map(|p| p.bytes.clone()).collect::<Vec<_>>(), text.as_bytes());
        assert_eq!(pieces.iter().map(|p| p.places.clone()).collect::<Vec<_>>(), [vec![1, 3], vec![4]]);
        assert_eq!(pieces[1].offset, pieces[0].end);
    }

    #[test]
    fn documents_are_cut_into_records() {
        for (text, format, expected) in [
            ("{\"Records\":[{\"a\":1},\n {\"b\":2}]}", Format::Cloudtrail, "[{\"a\":1},{\"b\":2}]"),
            ("[{\"a\":1},{\"b\":2}]", Format::Native, "[{\"a\":1},{\"b\":2}]"),
            ("{\n \"a\":1}\n{\"b\":2}", Format::Native, "[{\n \"a\":1},{\"b\":2}]"),
        ] {
            let pieces = cut(text, format, 10);
            assert_eq!(pieces.len(), 1, "{text}");
            assert_eq!(String::from_utf8_lossy(&pieces[0].bytes), expected);
        }
        let pieces = cut("[{\"a\":1},{\"b\":2}]", Format::Native, 1);
        assert_eq!(pieces.iter().map(|p| p.offset).collect::<Vec<_>>(), [1, 9]);
    }

    #[test]
    fn a_resumed_file_goes_on_at_a_whole_line() {
        let mut input = open(Box::new(std::io::Cursor::new(b"one\ntwo\nthree\n".to_vec())), Format::Text).unwrap();
        input.skip_to(4).unwrap();
        let piece = input.next(10).unwrap().unwrap();
        assert_eq!((piece.offset, piece.places, piece.bytes), (4, vec![2, 3], b"two\nthree\n".to_vec()));
    }
}
