//! The filter in front of a run: whether an identity may be there. Reads and writes no file.

use crate::limits::DEDUP_BLOOM_RECORDS;

/// Bits for one record.
const BITS: u64 = 10;
const PROBES: u64 = 7;

/// A Bloom filter; an empty one lets everything pass.
pub(super) struct Bloom {
    bytes: Vec<u8>,
}

/// Bytes of the filter of a run: ten bits a record in whole 8 bytes, none for a run too large to keep one in memory.
pub(super) fn bytes_for(records: u64) -> u64 {
    if records > DEDUP_BLOOM_RECORDS { 0 } else { (records * BITS).div_ceil(64) * 8 }
}

impl Bloom {
    pub(super) fn new(records: u64) -> Bloom {
        Bloom { bytes: vec![0; usize::try_from(bytes_for(records)).unwrap_or(0)] }
    }

    pub(super) fn from_bytes(bytes: Vec<u8>) -> Bloom {
        Bloom { bytes }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn add(&mut self, identity: &[u8; 16]) {
        for bit in probes(identity, self.bytes.len()) {
            if let Some(byte) = self.bytes.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }

    pub(super) fn may_hold(&self, identity: &[u8; 16]) -> bool {
        let set = |bit: usize| self.bytes.get(bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0);
        self.bytes.is_empty() || probes(identity, self.bytes.len()).all(set)
    }
}

/// views.md: bits `(a + i * b) mod (8 * bytes)` for i from 0, a and b the halves of the tag, b made odd. Tags are HMAC
/// outputs, so their halves are as good as two hashes.
fn probes(identity: &[u8; 16], bytes: usize) -> impl Iterator<Item = usize> + use<> {
    let half = |half: Option<&[u8; 8]>| half.map_or(0, |half| u64::from_be_bytes(*half));
    let (a, b) = (half(identity.first_chunk()), half(identity.last_chunk()) | 1);
    let bits = (bytes as u64 * 8).max(1);
    (0..PROBES).map(move |i| usize::try_from(a.wrapping_add(i.wrapping_mul(b)) % bits).unwrap_or(0))
}
