//! Bytes of a write-ahead segment: its header, a block's header, table and commit record (docs/formats/wal.md).
//!
//! Pure: reads no file and decides nothing about what a bad field means.

use aws_lc_rs::digest;
use tlog::Hash;

use crate::limits::{BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX, BODY_BYTES_MAX, LEAF_BYTES_MAX};
use crate::types::{NewEntry, Tags};

pub(crate) const SEGMENT_HEADER_BYTES: usize = 256;
pub(crate) const BLOCK_HEADER_BYTES: usize = 64;
pub(crate) const ROW_BYTES: usize = 40;
pub(crate) const COMMIT_BYTES: usize = 84;
const SEGMENT_MAGIC: &[u8; 8] = b"PBWAL001";
const BLOCK_MAGIC: &[u8; 4] = b"PBLK";
const COMMIT_MAGIC: &[u8; 4] = b"PBCM";
/// A body length that says: no body.
const NO_BODY: u32 = u32::MAX;

/// A chain value or a plain SHA-256.
pub(crate) type Digest = [u8; 32];

/// SHA-256 over parts, by the second implementation (the first is tlog's).
pub(crate) fn sha256(parts: &[&[u8]]) -> Digest {
    if let [whole] = parts {
        return crate::second::digest(whole);
    }
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    // SHA-256 gives 32 bytes; were it ever otherwise, zeros fail every comparison that follows.
    if let Ok(bytes) = <[u8; 32]>::try_from(context.finish().as_ref()) {
        out = bytes;
    }
    out
}

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) number: u64,
    /// Offset at which the previous segment ends; what lies behind it there is an explained torn tail.
    pub(crate) previous_end: u64,
    pub(crate) size: u64,
    pub(crate) root: Hash,
    pub(crate) chain: Digest,
    pub(crate) about: Digest,
    pub(crate) created_at: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut out = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        out.extend_from_slice(SEGMENT_MAGIC);
        for n in [self.number, self.previous_end, self.size] {
            out.extend_from_slice(&n.to_be_bytes());
        }
        for h in [&self.root.0, &self.chain, &self.about] {
            out.extend_from_slice(h);
        }
        out.extend_from_slice(&self.created_at.to_be_bytes());
        out.resize(SEGMENT_HEADER_BYTES - 32, 0);
        let sum = sha256(&[&out]);
        out.extend_from_slice(&sum);
        let mut fixed = [0; SEGMENT_HEADER_BYTES];
        fixed.copy_from_slice(&out);
        fixed
    }

    pub(crate) fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<SegmentHeader, &'static str> {
        let mut r = Reader(bytes);
        let (covered, sum) = bytes.split_at(SEGMENT_HEADER_BYTES - 32);
        if r.array::<8>() != SEGMENT_MAGIC {
            return Err("the segment header has no magic");
        }
        if sha256(&[covered]) != sum {
            return Err("the segment header fails its digest");
        }
        let header = SegmentHeader {
            number: r.u64(),
            previous_end: r.u64(),
            size: r.u64(),
            root: Hash(*r.array()),
            chain: *r.array(),
            about: *r.array(),
            created_at: r.u64(),
        };
        if covered.iter().skip(SEGMENT_HEADER_BYTES - 32 - 88).any(|b| *b != 0) {
            return Err("the segment header's reserved bytes are not zero");
        }
        Ok(header)
    }
}

/// The chain value at the start of the first segment.
pub(crate) fn first_chain(about: &Digest) -> Digest {
    sha256(&[b"proofbook/wal/v1", about])
}

/// The header of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    pub(crate) count: u32,
    pub(crate) payload_bytes: u64,
    pub(crate) first: u64,
    pub(crate) received_at: u64,
    pub(crate) chain: Digest,
}

impl BlockHeader {
    pub(crate) fn encode(&self) -> [u8; BLOCK_HEADER_BYTES] {
        let mut w = Writer::<BLOCK_HEADER_BYTES>::new();
        w.put(BLOCK_MAGIC);
        w.put(&self.count.to_be_bytes());
        w.put(&self.payload_bytes.to_be_bytes());
        w.put(&self.first.to_be_bytes());
        w.put(&self.received_at.to_be_bytes());
        w.put(&self.chain);
        w.bytes
    }

    pub(crate) fn decode(bytes: &[u8; BLOCK_HEADER_BYTES]) -> Result<BlockHeader, &'static str> {
        let mut r = Reader(bytes);
        if r.array::<4>() != BLOCK_MAGIC {
            return Err("no block begins here");
        }
        let header = BlockHeader {
            count: r.u32(),
            payload_bytes: r.u64(),
            first: r.u64(),
            received_at: r.u64(),
            chain: *r.array(),
        };
        if header.count == 0 || header.count > BLOCK_ENTRIES_MAX || header.payload_bytes > BLOCK_BYTES_MAX {
            return Err("the block's lengths are out of bounds");
        }
        Ok(header)
    }

    /// Bytes of table, payload and commit record: all that follows the header.
    pub(crate) fn rest_bytes(&self) -> u64 {
        u64::from(self.count) * ROW_BYTES as u64 + self.payload_bytes + COMMIT_BYTES as u64
    }
}

/// One row of a block's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) leaf_bytes: u32,
    pub(crate) body_bytes: Option<u32>,
    pub(crate) tags: Tags,
}

impl Row {
    pub(crate) fn of(entry: &NewEntry) -> Row {
        Row { leaf_bytes: entry.leaf_bytes, body_bytes: entry.body_bytes, tags: entry.tags }
    }

    pub(crate) fn encode(&self) -> [u8; ROW_BYTES] {
        let mut w = Writer::<ROW_BYTES>::new();
        w.put(&self.leaf_bytes.to_be_bytes());
        w.put(&self.body_bytes.unwrap_or(NO_BODY).to_be_bytes());
        w.put(&self.tags.identity);
        w.put(&self.tags.content);
        w.bytes
    }

    pub(crate) fn decode(bytes: &[u8; ROW_BYTES]) -> Result<Row, &'static str> {
        let mut r = Reader(bytes);
        let leaf_bytes = r.u32();
        let body_bytes = Some(r.u32()).filter(|n| *n != NO_BODY);
        let tags = Tags { identity: *r.array(), content: *r.array() };
        if leaf_bytes == 0 || leaf_bytes > LEAF_BYTES_MAX || body_bytes.is_some_and(|n| n > BODY_BYTES_MAX) {
            return Err("a row's lengths are out of bounds");
        }
        Ok(Row { leaf_bytes, body_bytes, tags })
    }

    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.leaf_bytes) + u64::from(self.body_bytes.unwrap_or(0))
    }
}

/// The record that ends a block and makes it count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) size: u64,
    pub(crate) root: Hash,
    pub(crate) received_at: u64,
    pub(crate) chain: Digest,
}

impl Commit {
    pub(crate) fn encode(&self) -> [u8; COMMIT_BYTES] {
        let mut w = Writer::<COMMIT_BYTES>::new();
        w.put(COMMIT_MAGIC);
        w.put(&self.size.to_be_bytes());
        w.put(&self.root.0);
        w.put(&self.received_at.to_be_bytes());
        w.put(&self.chain);
        w.bytes
    }

    pub(crate) fn decode(bytes: &[u8; COMMIT_BYTES]) -> Result<Commit, &'static str> {
        let mut r = Reader(bytes);
        if r.array::<4>() != COMMIT_MAGIC {
            return Err("the block has no commit record");
        }
        Ok(Commit { size: r.u64(), root: Hash(*r.array()), received_at: r.u64(), chain: *r.array() })
    }
}

/// The chain value after a block: covers its header, table, size and root.
pub(crate) fn chain_after(header: &[u8], table: &[u8], size: u64, root: &Hash) -> Digest {
    sha256(&[header, table, &size.to_be_bytes(), &root.0])
}

/// Reads fields one after the other from bytes whose length the type fixes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> &'a [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.0 = rest;
                head
            }
            // Not reached: each decoder reads no more than its array holds.
            None => &[0; N],
        }
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(*self.array())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(*self.array())
    }
}

/// Writes fields one after the other into an array.
struct Writer<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    fn new() -> Self {
        Writer { bytes: [0; N], at: 0 }
    }

    fn put(&mut self, part: &[u8]) {
        let end = self.at + part.len();
        debug_assert!(end <= N, "a field beyond the record");
        if let Some(slot) = self.bytes.get_mut(self.at..end) {
            slot.copy_from_slice(part);
        }
        self.at = end;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            number: 2,
            previous_end: 300,
            size: 7,
            root: Hash([1; 32]),
            chain: [2; 32],
            about: [3; 32],
            created_at: 9,
        }
    }

    #[test]
    fn every_flipped_bit_of_a_segment_header_is_refused() {
        let good = header().encode();
        assert_eq!(SegmentHeader::decode(&good), Ok(header()));
        for at in 0..good.len() {
            let mut bad = good;
            bad[at] ^= 1;
            assert!(SegmentHeader::decode(&bad).is_err(), "byte {at}");
        }
    }

    #[test]
    fn lengths_are_bounded_before_they_are_used() {
        let block = BlockHeader { count: 1, payload_bytes: 5, first: 0, received_at: 1, chain: [0; 32] };
        assert_eq!(BlockHeader::decode(&block.encode()), Ok(block));
        for bad in [
            BlockHeader { count: 0, ..block },
            BlockHeader { count: BLOCK_ENTRIES_MAX + 1, ..block },
            BlockHeader { payload_bytes: u64::MAX, ..block },
        ] {
            BlockHeader::decode(&bad.encode()).unwrap_err();
        }
        let row = Row { leaf_bytes: 1, body_bytes: None, tags: Tags::default() };
        assert_eq!(Row::decode(&row.encode()), Ok(row));
        for bad in [
            Row { leaf_bytes: 0, ..row },
            Row { leaf_bytes: LEAF_BYTES_MAX + 1, ..row },
            Row { body_bytes: Some(BODY_BYTES_MAX + 1), ..row },
        ] {
            Row::decode(&bad.encode()).unwrap_err();
        }
    }

    #[test]
    fn both_sha256_agree() {
        for n in [0usize, 1, 55, 56, 64, 1000] {
            let bytes = vec![7u8; n];
            assert_eq!(sha256(&[&[0], &bytes]), tlog::leaf_hash(&bytes).0);
        }
    }

    proptest! {
        #[test]
        fn decoders_never_panic(bytes in proptest::collection::vec(any::<u8>(), 256)) {
            let _ = SegmentHeader::decode(bytes[..].try_into().unwrap());
            let _ = BlockHeader::decode(bytes[..BLOCK_HEADER_BYTES].try_into().unwrap());
            let _ = Row::decode(bytes[..ROW_BYTES].try_into().unwrap());
            let _ = Commit::decode(bytes[..COMMIT_BYTES].try_into().unwrap());
        }
    }
}
