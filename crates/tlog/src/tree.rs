//! The Merkle tree of RFC 6962 2.1: frontier, roots of trees and subtrees. Stores no nodes and reads no tiles itself.

use crate::hash::{Hash, node_hash};
use crate::limits::TREE_SIZE_MAX;
use crate::proof::ProofError;

/// The compact range `[0, size)`: the roots of the complete subtrees a tree of that size is made of.
///
/// All that is needed to append and to know the root: at most 63 hashes. Appending allocates nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Largest subtree first; one for each set bit of `size`.
    hashes: Vec<Hash>,
}

/// A copy has room for all hashes too: appending to it allocates nothing either.
impl Clone for Frontier {
    fn clone(&self) -> Self {
        let mut hashes = Vec::with_capacity(64);
        hashes.extend_from_slice(&self.hashes);
        Self { size: self.size, hashes }
    }
}

impl Default for Frontier {
    fn default() -> Self {
        Self::new()
    }
}

impl Frontier {
    /// The frontier of the empty tree.
    pub fn new() -> Self {
        Self { size: 0, hashes: Vec::with_capacity(64) }
    }

    /// The frontier of a tree of `size` leaves from its hashes, largest subtree first.
    ///
    /// None where their number is not the number of set bits of `size`, or `size` is 2^63 or more.
    pub fn from_parts(size: u64, hashes: Vec<Hash>) -> Option<Self> {
        if size > TREE_SIZE_MAX || hashes.len() != size.count_ones() as usize {
            return None;
        }
        let mut all = Vec::with_capacity(64);
        all.extend(hashes);
        Some(Self { size, hashes: all })
    }

    /// Appends one leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Each trailing one of the old size is a complete subtree of the same height as `hash`, to its left.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    /// Appends a complete subtree of `leaves` leaves, a power of two, by its root. False, and nothing appended, where
    /// the size so far is not a multiple of `leaves`.
    pub fn push_subtree(&mut self, root: Hash, leaves: u64) -> bool {
        if !leaves.is_power_of_two() || !self.size.is_multiple_of(leaves) {
            return false;
        }
        let mut hash = root;
        for _ in 0..(self.size / leaves).trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.hashes.push(hash);
        self.size += leaves;
        true
    }

    /// Appends leaves in order.
    pub fn extend(&mut self, leaves: &[Hash]) {
        for leaf in leaves {
            self.push(*leaf);
        }
    }

    /// Leaves so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree of all leaves so far.
    pub fn root(&self) -> Hash {
        fold(&self.hashes)
    }

    /// The roots of the complete subtrees, largest first.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }
}

/// Joins complete subtrees, largest first, to one root: the smallest two first (RFC 6962 2.1, split below n).
fn fold(parts: &[Hash]) -> Hash {
    parts.iter().rev().copied().reduce(|right, left| node_hash(&left, &right)).unwrap_or(Hash::EMPTY_ROOT)
}

/// The root over these leaf hashes, meant for complete subtrees: a bundle or tile of 256, or another power of two.
///
/// Any other number gives the root of the tree of just these leaves; none, the empty root.
pub fn perfect_root(leaves: &[Hash]) -> Hash {
    debug_assert!(leaves.is_empty() || leaves.len().is_power_of_two(), "a complete subtree was meant");
    tree_root(leaves)
}

/// The root of the tree of these leaf hashes, of any number.
pub(crate) fn tree_root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::new();
    frontier.extend(leaves);
    frontier.root()
}

/// Where hashes of complete subtrees come from: tiles, memory, a peer.
pub trait Nodes {
    /// The root of the complete subtree of `2^level` leaves that starts at leaf `index << level`.
    ///
    /// # Errors
    /// [`NodeMissing`] names what could not be given.
    fn node(&self, level: u8, index: u64) -> Result<Hash, NodeMissing>;
}

/// A node that its keeper could not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tree node {index} of level {level} is missing")]
pub struct NodeMissing {
    /// Height of the subtree: it spans `2^level` leaves.
    pub level: u8,
    /// Its number among the subtrees of that height.
    pub index: u64,
}

/// The root of the tree of the first `size` leaves.
///
/// # Errors
/// `NodeMissing`; `SizeTooLarge` from 2^63 on.
pub fn root(nodes: &dyn Nodes, size: u64) -> Result<Hash, ProofError> {
    subtree_hash(nodes, 0, size)
}

/// Whether `[start, end)` is a subtree that can be hashed and proven: start 0, or empty, or start a multiple of the
/// smallest power of two that is at least its length.
pub fn valid_subtree(start: u64, end: u64) -> bool {
    if end < start || end > TREE_SIZE_MAX {
        return false;
    }
    if start == 0 || start == end {
        return true;
    }
    // Below 2^63 by the check above, so the next power of two exists.
    start.is_multiple_of((end - start).next_power_of_two())
}

/// The root over the leaves `[start, end)`: `MTH(D[start:end])`.
///
/// # Errors
/// `InvalidSubtree` by [`valid_subtree`]; `NodeMissing`.
pub fn subtree_hash(nodes: &dyn Nodes, start: u64, end: u64) -> Result<Hash, ProofError> {
    if end > TREE_SIZE_MAX {
        return Err(ProofError::SizeTooLarge { size: end });
    }
    if !valid_subtree(start, end) {
        return Err(ProofError::InvalidSubtree { start, end });
    }
    range_hash(nodes, start, end)
}

/// [`subtree_hash`] of a range that is known to be a valid subtree.
pub(crate) fn range_hash(nodes: &dyn Nodes, start: u64, end: u64) -> Result<Hash, ProofError> {
    let mut parts = Vec::with_capacity(64);
    let mut at = start;
    while at < end {
        // Largest power of two that fits; `at` stays a multiple of it because the range is a valid subtree.
        let level = (end - at).ilog2();
        parts.push(nodes.node(u8::try_from(level).unwrap_or(u8::MAX), at >> level)?);
        at += 1 << level;
    }
    Ok(fold(&parts))
}
