//! The filter in front of a run: whether an identity may be there. Reads and writes no file.
//!
//! All bits of an identity stand in one line of 64 bytes, so that a look-up waits for memory once. A false alarm costs
//! a block of the file and its MAC, about as much as appending the entry: it must be rare.

use crate::limits::{DEDUP_BLOOM_RECORDS, DEDUP_DENSE_RECORDS};

/// Bytes of a line.
const LINE_BYTES: usize = 64;
/// Bits of an identity; seven numbers below 512 are drawn from half a tag.
const PROBES: u32 = 7;
const PROBE_BITS: u32 = 9;

/// A Bloom filter; an empty one lets everything pass.
pub(super) struct Bloom {
    bytes: Vec<u8>,
}

/// Bytes of the filter of a run: whole lines of sixteen or ten bits a record, none for a run too large to keep one in
/// memory.
pub(super) fn bytes_for(records: u64) -> u64 {
    let bits = if records <= DEDUP_DENSE_RECORDS {
        16
    } else if records <= DEDUP_BLOOM_RECORDS {
        10
    } else {
        0
    };
    (records * bits).div_ceil(8 * LINE_BYTES as u64) * LINE_BYTES as u64
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
        let (lines, _) = self.bytes.as_chunks_mut::<LINE_BYTES>();
        if let Some(line) = lines.get_mut(line(identity, lines.len())) {
            for bit in probes(identity) {
                if let Some(byte) = line.get_mut(bit / 8) {
                    *byte |= 1 << (bit % 8);
                }
            }
        }
    }

    pub(super) fn may_hold(&self, identity: &[u8; 16]) -> bool {
        let (lines, _) = self.bytes.as_chunks::<LINE_BYTES>();
        let Some(line) = lines.get(line(identity, lines.len())) else { return true };
        probes(identity).all(|bit| line.get(bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0))
    }
}

/// views.md: the line is the first half of the tag, as a share of all lines. Tags are HMAC outputs, so their halves are
/// as good as two hashes; and a run, which is sorted, fills its filter from the first line to the last.
fn line(identity: &[u8; 16], lines: usize) -> usize {
    let first = identity.first_chunk().map_or(0, |half| u64::from_be_bytes(*half));
    usize::try_from((u128::from(first) * lines as u128) >> 64).unwrap_or(0)
}

/// views.md: the bits within the line are seven times nine bits of the second half, lowest first.
fn probes(identity: &[u8; 16]) -> impl Iterator<Item = usize> + use<> {
    let second = identity.last_chunk().map_or(0, |half| u64::from_be_bytes(*half));
    let bits = 8 * LINE_BYTES as u64;
    (0..PROBES).map(move |i| usize::try_from((second >> (PROBE_BITS * i)) % bits).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(n: u64) -> [u8; 16] {
        let mut tag = [0; 16];
        tag.copy_from_slice(&crate::frame::sha256(&[&n.to_be_bytes()])[..16]);
        tag
    }

    #[test]
    fn nothing_that_was_added_is_missed_and_false_alarms_are_rare() {
        let records = 20_000;
        let mut bloom = Bloom::new(records);
        (0..records).for_each(|n| bloom.add(&tag(n)));
        assert!((0..records).all(|n| bloom.may_hold(&tag(n))));
        let alarms = (records..11 * records).filter(|n| bloom.may_hold(&tag(*n))).count();
        assert!(alarms < 600, "{alarms} of 200,000");
        assert!(Bloom::new(0).may_hold(&tag(1)), "no filter lets everything pass");
        assert_eq!((bytes_for(1), bytes_for(DEDUP_BLOOM_RECORDS + 1)), (64, 0));
    }
}
