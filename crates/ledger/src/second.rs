//! The second path to a root: bundle by bundle, with the other SHA-256, sharing no code with `tlog::Frontier`.
//!
//! Recovery, publisher and verification use it on what they read from disk; a bit that flipped in the writer's memory
//! shows as a difference between the two. Reads no file.

use aws_lc_rs::digest;
use tlog::Hash;

use crate::frame::{Digest, sha256};

/// Leaves of a bundle.
pub(crate) const BUNDLE: usize = 256;

/// Leaves up to this length are hashed in one piece behind their prefix: nearly all are.
const LEAF_PIECE_BYTES: usize = 1024;

/// RFC 6962 2.1: a leaf's hash.
pub(crate) fn leaf(entry: &[u8]) -> Hash {
    let mut piece = [0; LEAF_PIECE_BYTES];
    match piece.get_mut(..entry.len() + 1) {
        Some([_zero, rest @ ..]) => {
            rest.copy_from_slice(entry);
            Hash(digest(piece.get(..entry.len() + 1).unwrap_or_default()))
        }
        _ => Hash(sha256(&[&[0], entry])),
    }
}

/// SHA-256 of one piece: half the cost of a digest that is fed in parts, where the piece is short.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    let digest = digest::digest(&digest::SHA256, bytes);
    // SHA-256 gives 32 bytes; were it ever otherwise, zeros fail every comparison that follows.
    digest.as_ref().try_into().unwrap_or([0; 32])
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(&left.0);
    bytes[33..].copy_from_slice(&right.0);
    Hash(digest(&bytes))
}

/// The root over the 256 leaf hashes of a whole bundle.
pub(crate) fn bundle_root(leaves: &[Hash; BUNDLE]) -> Hash {
    reduce(leaves.to_vec())
}

/// The tree as whole bundles and the leaves of one that is not full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SecondTree {
    bundles: u64,
    /// Complete subtrees of whole bundles, largest first.
    peaks: Vec<Hash>,
    partial: Vec<Hash>,
}

impl SecondTree {
    /// A tree of whole bundles from its complete subtrees, largest first. `None` if they do not fit.
    pub(crate) fn from_peaks(size: u64, peaks: Vec<Hash>) -> Option<SecondTree> {
        let fits = size.is_multiple_of(BUNDLE as u64) && peaks.len() == size.count_ones() as usize;
        fits.then(|| SecondTree { bundles: size / BUNDLE as u64, peaks, partial: Vec::with_capacity(BUNDLE) })
    }

    pub(crate) fn size(&self) -> u64 {
        self.bundles * BUNDLE as u64 + self.partial.len() as u64
    }

    /// The complete subtrees, largest first; `None` where the last bundle is not full.
    pub(crate) fn peaks(&self) -> Option<&[Hash]> {
        self.partial.is_empty().then_some(&self.peaks)
    }

    pub(crate) fn push(&mut self, leaf: Hash) {
        self.partial.push(leaf);
        if self.partial.len() == BUNDLE {
            let root = reduce(std::mem::take(&mut self.partial));
            self.partial.reserve(BUNDLE);
            self.push_bundle(root);
        }
    }

    /// Appends a whole bundle by its root; false, and nothing appended, where the last bundle is not full.
    pub(crate) fn push_bundle(&mut self, root: Hash) -> bool {
        if !self.partial.is_empty() {
            return false;
        }
        let mut hash = root;
        let mut count = self.bundles;
        while count & 1 == 1 {
            if let Some(left) = self.peaks.pop() {
                hash = node(&left, &hash);
            }
            count >>= 1;
        }
        self.peaks.push(hash);
        self.bundles += 1;
        true
    }

    pub(crate) fn root(&self) -> Hash {
        let mut right = (!self.partial.is_empty()).then(|| ragged(&self.partial));
        for peak in self.peaks.iter().rev() {
            right = Some(right.map_or(*peak, |r| node(peak, &r)));
        }
        right.unwrap_or_else(|| Hash(sha256(&[])))
    }
}

/// Root of a power of two of leaves, level by level.
fn reduce(mut level: Vec<Hash>) -> Hash {
    while level.len() > 1 {
        let half = level.len() / 2;
        for at in 0..half {
            // In place: the pair that is read stands at or behind the slot that is written.
            if let Some([left, right]) = level.get(2 * at..2 * at + 2) {
                let joined = node(left, right);
                if let Some(slot) = level.get_mut(at) {
                    *slot = joined;
                }
            }
        }
        level.truncate(half);
    }
    level.first().copied().unwrap_or(Hash([0; 32]))
}

/// RFC 6962 2.1: split at the largest power of two below the number of leaves.
fn ragged(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash(sha256(&[])),
        [one] => *one,
        many => {
            let split = many.len().next_power_of_two() / 2;
            let (l, r) = many.split_at(split);
            node(&ragged(l), &ragged(r))
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn agrees_with_the_first_path_at_every_size() {
        let mut first = tlog::Frontier::new();
        let mut second = SecondTree::from_peaks(0, Vec::new()).unwrap();
        for i in 0..3000u32 {
            assert_eq!(first.root(), second.root(), "size {i}");
            if i % 256 == 0 {
                let from = SecondTree::from_peaks(u64::from(i), first.hashes().to_vec()).unwrap();
                assert_eq!(from, second);
            }
            assert_eq!(tlog::leaf_hash(&i.to_be_bytes()), leaf(&i.to_be_bytes()));
            assert_eq!(second.peaks().is_some(), i % 256 == 0);
            first.push(leaf(&i.to_be_bytes()));
            second.push(leaf(&i.to_be_bytes()));
        }
        assert_eq!(second.size(), 3000);
        assert!(SecondTree::from_peaks(255, vec![Hash([0; 32]); 8]).is_none());
    }

    #[test]
    fn a_bundle_may_be_appended_by_its_root() {
        let hashes: [Hash; BUNDLE] = std::array::from_fn(|i| leaf(&i.to_be_bytes()));
        assert_eq!(bundle_root(&hashes), tlog::perfect_root(&hashes));
        let (mut one, mut other) = (SecondTree::from_peaks(0, Vec::new()).unwrap(), SecondTree::default());
        for _ in 0..5 {
            hashes.iter().for_each(|hash| one.push(*hash));
            assert!(other.push_bundle(bundle_root(&hashes)));
            assert_eq!((&one, one.peaks()), (&other, other.peaks()));
        }
        one.push(hashes[0]);
        assert!(!one.push_bundle(hashes[1]));
        assert_eq!(one.size(), 5 * 256 + 1);
    }
}
