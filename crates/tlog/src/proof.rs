//! Inclusion, consistency and subtree proofs: made from nodes, checked without them. Fetches nothing.
//!
//! One shape serves all of them. A subtree consistency proof (draft-ietf-plants-merkle-tree-certs section 4.4) of
//! `[i, i+1)` is the inclusion proof of leaf i (RFC 6962 2.1.1), that of `[0, m)` the consistency proof of size m
//! (2.1.2). [`Shape`] walks from the root down to the subtree and lists the siblings; the maker hashes them, the
//! checker demands exactly as many hashes and folds them upwards.

use crate::hash::{Hash, node_hash};
use crate::limits::{PROOF_HASHES_MAX, TREE_SIZE_MAX};
use crate::tree::{NodeMissing, Nodes, range_hash, subtree_hash, valid_subtree};

/// Why a proof could not be made, or does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The caller asked for leaves the tree does not have.
    #[error("the tree has {size} leaves, asked for was {end}")]
    BeyondTree {
        /// Leaves the tree would have to have.
        end: u64,
        /// Leaves it has.
        size: u64,
    },
    /// The range is no subtree of any tree.
    #[error("[{start}, {end}) is not a subtree")]
    InvalidSubtree {
        /// First leaf.
        start: u64,
        /// One past the last leaf.
        end: u64,
    },
    /// Sizes stay below 2^63.
    #[error("the size {size} is 2^63 or more")]
    SizeTooLarge {
        /// The size given.
        size: u64,
    },
    /// Ours: a node that the tree must have is not there.
    #[error(transparent)]
    NodeMissing(#[from] NodeMissing),
    /// Too few or too many hashes for these sizes.
    #[error("the proof has {got} hashes, these sizes need {expected}")]
    WrongLength {
        /// Hashes the sizes demand.
        expected: usize,
        /// Hashes given.
        got: usize,
    },
    /// The hashes do not lead to the old root, or to the hash of the subtree.
    #[error("the proof does not lead to the hash of the older tree or subtree")]
    WrongOldRoot,
    /// The hashes do not lead to the root.
    #[error("the proof does not lead to the root")]
    WrongRoot,
}

/// How a sibling joins on the way up.
#[derive(Clone, Copy)]
enum Side {
    /// Right of the path: only the new tree has it.
    Right,
    /// Left of the path and outside the subtree: only the new tree joins it.
    Left,
    /// Left of the path and inside the subtree: old and new join it.
    Both,
}

/// The siblings between the root of a tree and a subtree of it.
struct Shape {
    /// Top down: side and range of leaves.
    siblings: Vec<(Side, u64, u64)>,
    /// The node the walk ended at: the subtree itself where `whole`, else its last complete part.
    end_range: (u64, u64),
    whole: bool,
}

impl Shape {
    /// `start < end <= size`, the range a valid subtree.
    fn of(start: u64, end: u64, size: u64) -> Self {
        let (mut low, mut high) = (0, size);
        let mut first = start;
        let mut whole = true;
        let mut siblings = Vec::with_capacity(64);
        while (first, end) != (low, high) {
            // Largest power of two below the number of leaves, which is at least 2 here.
            let split = low + (1 << (high - low - 1).ilog2());
            if end <= split {
                siblings.push((Side::Right, split, high));
                high = split;
            } else if split <= first {
                let side = if whole { Side::Left } else { Side::Both };
                siblings.push((side, low, split));
                low = split;
            } else {
                // The subtree spans the split, so it begins where this node does: its left part is a sibling in both.
                siblings.push((Side::Both, low, split));
                low = split;
                first = split;
                whole = false;
            }
        }
        Self { siblings, end_range: (low, high), whole }
    }

    /// Hashes a proof of this shape has.
    fn proof_len(&self) -> usize {
        self.siblings.len() + usize::from(!self.whole)
    }
}

/// The inclusion proof of leaf `index` in the tree of `size` leaves, the leaf's sibling first.
///
/// # Errors
/// `BeyondTree` unless `index < size`; `NodeMissing`.
pub fn inclusion(nodes: &dyn Nodes, index: u64, size: u64) -> Result<Vec<Hash>, ProofError> {
    if index >= size {
        return Err(ProofError::BeyondTree { end: index.saturating_add(1), size });
    }
    subtree_consistency(nodes, index, index + 1, size)
}

/// The consistency proof between the trees of `old` and `new` leaves; empty where they are equal or `old` is 0.
///
/// # Errors
/// `BeyondTree` unless `old <= new`; `NodeMissing`.
pub fn consistency(nodes: &dyn Nodes, old: u64, new: u64) -> Result<Vec<Hash>, ProofError> {
    subtree_consistency(nodes, 0, old, new)
}

/// The proof that the subtree `[start, end)` belongs to the tree of `size` leaves; empty for an empty subtree.
///
/// # Errors
/// `InvalidSubtree`, `BeyondTree` unless `end <= size`; `NodeMissing`.
pub fn subtree_consistency(nodes: &dyn Nodes, start: u64, end: u64, size: u64) -> Result<Vec<Hash>, ProofError> {
    check_range(start, end, size)?;
    if start == end {
        return Ok(Vec::new());
    }
    let shape = Shape::of(start, end, size);
    let mut proof = Vec::with_capacity(shape.proof_len());
    if !shape.whole {
        proof.push(range_hash(nodes, shape.end_range.0, shape.end_range.1)?);
    }
    for (_, low, high) in shape.siblings.iter().rev() {
        proof.push(range_hash(nodes, *low, *high)?);
    }
    Ok(proof)
}

/// The inclusion proof of leaf `index` in the subtree `[start, end)`, the leaf's sibling first.
///
/// # Errors
/// `InvalidSubtree`; `BeyondTree` unless `start <= index < end`; `NodeMissing`.
pub fn subtree_inclusion(nodes: &dyn Nodes, index: u64, start: u64, end: u64) -> Result<Vec<Hash>, ProofError> {
    let within = check_leaf(index, start, end)?;
    Shape::of(within, within + 1, end - start)
        .siblings
        .iter()
        .rev()
        .map(|(_, low, high)| subtree_hash(nodes, start + low, start + high))
        .collect()
}

/// Checks an inclusion proof against a root the caller trusts.
///
/// # Errors
/// `BeyondTree`, `WrongLength`, `WrongRoot`.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::BeyondTree { end: index.saturating_add(1), size });
    }
    verify_subtree_consistency(index, index + 1, size, proof, leaf, root)
}

/// Checks that the tree of `new` leaves and `new_root` extends the one of `old` leaves and `old_root`.
///
/// # Errors
/// `BeyondTree` where `old > new`; `WrongLength`; `WrongOldRoot` or `WrongRoot`, also where an empty tree does not
/// have the empty root.
pub fn verify_consistency(
    old: u64,
    new: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), ProofError> {
    verify_subtree_consistency(0, old, new, proof, old_root, new_root)
}

/// Checks that the leaves `[start, end)` with the hash `subtree` stand in the tree of `size` leaves and `root`.
///
/// # Errors
/// `InvalidSubtree`, `BeyondTree`, `WrongLength`, `WrongOldRoot`, `WrongRoot`.
pub fn verify_subtree_consistency(
    start: u64,
    end: u64,
    size: u64,
    proof: &[Hash],
    subtree: &Hash,
    root: &Hash,
) -> Result<(), ProofError> {
    check_range(start, end, size)?;
    if size == 0 && *root != Hash::EMPTY_ROOT {
        return Err(ProofError::WrongRoot);
    }
    if start == end {
        return check_empty(proof, subtree);
    }
    let shape = Shape::of(start, end, size);
    if proof.len() != shape.proof_len() || proof.len() > PROOF_HASHES_MAX {
        return Err(ProofError::WrongLength { expected: shape.proof_len(), got: proof.len() });
    }
    let mut hashes = proof.iter();
    let seed = if shape.whole { subtree } else { hashes.next().unwrap_or(subtree) };
    let (mut old, mut new) = (*seed, *seed);
    for ((side, _, _), hash) in shape.siblings.iter().rev().zip(hashes) {
        match side {
            Side::Right => new = node_hash(&new, hash),
            Side::Left => new = node_hash(hash, &new),
            Side::Both => {
                old = node_hash(hash, &old);
                new = node_hash(hash, &new);
            }
        }
    }
    if old != *subtree {
        return Err(ProofError::WrongOldRoot);
    }
    if new != *root { Err(ProofError::WrongRoot) } else { Ok(()) }
}

/// Checks that leaf `index` stands in the subtree `[start, end)` with the hash `subtree`.
///
/// # Errors
/// `InvalidSubtree`, `BeyondTree`, `WrongLength`, `WrongRoot`.
pub fn verify_subtree_inclusion(
    leaf: &Hash,
    index: u64,
    start: u64,
    end: u64,
    proof: &[Hash],
    subtree: &Hash,
) -> Result<(), ProofError> {
    let within = check_leaf(index, start, end)?;
    verify_inclusion(leaf, within, end - start, proof, subtree)
}

/// An empty subtree, or old size 0, has nothing to prove: the empty hash and no proof.
fn check_empty(proof: &[Hash], subtree: &Hash) -> Result<(), ProofError> {
    if !proof.is_empty() {
        return Err(ProofError::WrongLength { expected: 0, got: proof.len() });
    }
    if *subtree != Hash::EMPTY_ROOT { Err(ProofError::WrongOldRoot) } else { Ok(()) }
}

fn check_range(start: u64, end: u64, size: u64) -> Result<(), ProofError> {
    if size > TREE_SIZE_MAX {
        return Err(ProofError::SizeTooLarge { size });
    }
    if end > size {
        return Err(ProofError::BeyondTree { end, size });
    }
    if valid_subtree(start, end) { Ok(()) } else { Err(ProofError::InvalidSubtree { start, end }) }
}

/// The number of leaf `index` counted from the start of its subtree.
fn check_leaf(index: u64, start: u64, end: u64) -> Result<u64, ProofError> {
    check_range(start, end, end)?;
    if start <= index && index < end {
        Ok(index - start)
    } else {
        Err(ProofError::BeyondTree { end: index.saturating_add(1), size: end })
    }
}
