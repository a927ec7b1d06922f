//! Leaves and bodies for tests of the durable floor, in a small format of their own: that floor reads no event.
//!
//! A leaf is `testkit/1 ` + the 30-byte slot for `received_at` + blank + 64 hex digits of the body's SHA-256 + blank +
//! a text.

use std::sync::Arc;

use ledger::{Batch, Body, BodyDigest, STAMP_BYTES, Stamp, Tags};
use sha2::{Digest as _, Sha256};

use crate::random::Rng;

const MAGIC: &[u8] = b"testkit/1 ";
const STAMP_AT: usize = MAGIC.len();
const DIGEST_AT: usize = STAMP_AT + STAMP_BYTES + 1;
const TEXT_AT: usize = DIGEST_AT + 64 + 1;

/// One entry, ready for a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Leaf with an empty slot.
    pub leaf: Vec<u8>,
    /// Body.
    pub body: Vec<u8>,
    /// Duplicate tags.
    pub tags: Tags,
}

impl Made {
    /// Offset of the slot in the leaf.
    pub const STAMP_AT: u32 = 10;

    /// The leaf as stored when the block got this time.
    pub fn stamped(&self, received_at: u64) -> Vec<u8> {
        let mut leaf = self.leaf.clone();
        leaf[STAMP_AT..STAMP_AT + STAMP_BYTES].copy_from_slice(&stamp_text(received_at));
        leaf
    }

    /// Whether `leaf` is this one, whatever time its slot holds.
    pub fn is_leaf(&self, leaf: &[u8]) -> bool {
        leaf.len() == self.leaf.len()
            && leaf[..STAMP_AT] == self.leaf[..STAMP_AT]
            && leaf[STAMP_AT + STAMP_BYTES..] == self.leaf[STAMP_AT + STAMP_BYTES..]
    }
}

/// An entry that depends on its number alone; `body_bytes` long.
pub fn entry(number: u64, body_bytes: usize) -> Made {
    let mut rng = Rng::new(number ^ 0x656E_7472_7900);
    let mut body = format!("body {number} ").into_bytes();
    while body.len() < body_bytes {
        // Half of it repeats and half does not, so that compression has something to do and something to leave.
        body.extend_from_slice(b"the same words again ");
        body.extend_from_slice(&rng.next_u64().to_be_bytes());
    }
    body.truncate(body_bytes);
    let mut leaf = MAGIC.to_vec();
    leaf.extend_from_slice(&[b' '; STAMP_BYTES]);
    leaf.extend_from_slice(format!(" {} leaf {number}", hex(&Sha256::digest(&body))).as_bytes());
    let mut tags = Tags::default();
    Rng::new(number).fill(&mut tags.identity);
    tags.content.copy_from_slice(&Sha256::digest(&body)[..16]);
    Made { leaf, body, tags }
}

/// `count` entries from `first` on, in one batch. `fresh` says that no look-up for duplicates is needed.
pub fn batch(first: u64, count: u64, body_bytes: usize, fresh: bool) -> Batch {
    let mut batch = Batch::default();
    for number in first..first + count {
        push(&mut batch, &entry(number, body_bytes), fresh);
    }
    batch
}

/// Adds one entry to a batch.
pub fn push(batch: &mut Batch, made: &Made, fresh: bool) {
    batch.push(&made.leaf, Some(Made::STAMP_AT), Some(Body::new(&made.body)), made.tags, fresh);
}

/// Adds one entry of a raw ledger to a batch.
pub fn push_raw(batch: &mut Batch, leaf: &[u8]) {
    batch.push(leaf, None, None, Tags::default(), true);
}

/// The pure function that a ledger is handed: the digest a test leaf names for its body.
pub fn body_digest() -> BodyDigest {
    Arc::new(|leaf: &[u8]| {
        if !leaf.starts_with(MAGIC) || leaf.len() < TEXT_AT {
            return None;
        }
        unhex(&leaf[DIGEST_AT..DIGEST_AT + 64])
    })
}

/// The text for the slot: the nanoseconds in 30 digits.
pub fn stamp() -> Stamp {
    Arc::new(stamp_text)
}

fn stamp_text(ns: u64) -> [u8; STAMP_BYTES] {
    let mut out = [b'0'; STAMP_BYTES];
    let digits = ns.to_string();
    out[STAMP_BYTES - digits.len()..].copy_from_slice(digits.as_bytes());
    out
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &[u8]) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(text.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_names_its_body() {
        let made = entry(5, 300);
        assert_eq!(Made::STAMP_AT as usize, STAMP_AT);
        assert_eq!(made.body.len(), 300);
        assert_eq!(body_digest()(&made.leaf), Some(Sha256::digest(&made.body).into()));
        assert_eq!(body_digest()(b"posted by somebody"), None);
        let stored = made.stamped(1_795_521_600_000_000_000);
        assert!(made.is_leaf(&stored) && !entry(6, 300).is_leaf(&stored));
        assert_eq!(body_digest()(&stored), body_digest()(&made.leaf));
        assert!(std::str::from_utf8(&stored).is_ok_and(|leaf| leaf.contains(" leaf 5")));
    }

    #[test]
    fn a_batch_holds_them_back_to_back() {
        let batch = batch(0, 3, 64, true);
        assert_eq!(batch.entries.len(), 3);
        let bytes: usize = batch.entries.iter().map(|e| (e.leaf_bytes + e.body_bytes.unwrap_or(0)) as usize).sum();
        assert_eq!(batch.payload.len(), bytes);
    }
}
