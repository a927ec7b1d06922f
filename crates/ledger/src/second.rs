//! The second path to a root: bundle by bundle, with the other SHA-256, sharing no code with `tlog::Frontier`.
//!
//! Recovery and publisher use it on what they read from disk; a bit that flipped in the writer's memory shows as a
//! difference between the two.

use tlog::Hash;

use crate::frame::sha256;

/// Leaves of a bundle.
pub(crate) const BUNDLE: usize = 256;

/// RFC 6962 2.1: a leaf's hash.
pub(crate) fn leaf(entry: &[u8]) -> Hash {
    Hash(sha256(&[&[0], entry]))
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Hash(sha256(&[&[1], &left.0, &right.0]))
}

/// The tree as whole bundles and the leaves of one that is not full.
#[derive(Clone, Debug, PartialEq, Eq)]
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

    pub(crate) fn push(&mut self, leaf: Hash) {
        self.partial.push(leaf);
        if self.partial.len() < BUNDLE {
            return;
        }
        let mut hash = reduce(std::mem::take(&mut self.partial));
        self.partial.reserve(BUNDLE);
        let mut count = self.bundles;
        while count & 1 == 1 {
            if let Some(left) = self.peaks.pop() {
                hash = node(&left, &hash);
            }
            count >>= 1;
        }
        self.peaks.push(hash);
        self.bundles += 1;
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
        level = level.chunks(2).map(|pair| if let [l, r] = pair { node(l, r) } else { Hash([0; 32]) }).collect();
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
            first.push(leaf(&i.to_be_bytes()));
            second.push(leaf(&i.to_be_bytes()));
        }
        assert_eq!(second.size(), 3000);
        assert!(SecondTree::from_peaks(255, vec![Hash([0; 32]); 8]).is_none());
    }
}
