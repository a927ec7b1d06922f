//! The nodes of the stored tree, for one proof or tile: siblings of one path lie in few tiles, which are read once.
//!
//! Roots of subtrees of 65,536 sealed entries and more are cached in the store; nothing else is. Checks nothing:
//! whoever makes a proof compares it with the signed root.

use std::cell::RefCell;
use std::ops::Range;

use tlog::{Hash, NodeMissing, Nodes, node_hash, perfect_root};

use crate::error::ReadError;
use crate::sealed::BUNDLE;
use crate::store::Store;

/// Height of a bundle's root.
const BUNDLE_LEVEL: u8 = 8;
/// Roots of sealed subtrees are kept in memory from this height on.
const CROWN_LEVEL: u8 = 16;

/// Hashes of one height that were read together, and the number of the first.
type Tile = RefCell<Option<(u64, Vec<Hash>)>>;

/// Nodes of one proof.
pub(crate) struct PathNodes<'a> {
    store: &'a Store,
    leaves: Tile,
    roots: Tile,
}

impl<'a> PathNodes<'a> {
    pub(crate) fn new(store: &'a Store) -> PathNodes<'a> {
        PathNodes { store, leaves: RefCell::default(), roots: RefCell::default() }
    }

    /// Hashes of one height, by their numbers.
    pub(crate) fn level(&self, height: u8, nodes: Range<u64>) -> Result<Vec<Hash>, ReadError> {
        match height {
            0 => self.store.hashes(nodes),
            BUNDLE_LEVEL => self.store.roots(nodes.start * BUNDLE..nodes.end * BUNDLE),
            _ => {
                let missing = |e: NodeMissing| ReadError::NodeMissing { level: e.level, index: e.index };
                nodes.map(|i| self.node(height, i).map_err(missing)).collect()
            }
        }
    }

    /// The root over consecutive hashes that lie within one tile of 256, which is read at the first question.
    fn within(&self, tile: &Tile, range: Range<u64>, read: impl Fn(Range<u64>) -> Option<Vec<Hash>>) -> Option<Hash> {
        let first = range.start - range.start % BUNDLE;
        let mut held = tile.borrow_mut();
        if held.as_ref().is_none_or(|(at, _)| *at != first) {
            *held = Some((first, read(first..first + BUNDLE)?));
        }
        let (_, hashes) = held.as_ref()?;
        let at = |number: u64| usize::try_from(number - first).ok();
        hashes.get(at(range.start)?..at(range.end)?).map(perfect_root)
    }

    fn of_leaves(&self, range: Range<u64>) -> Option<Hash> {
        let there = |tile: Range<u64>| tile.start..tile.end.min(self.store.size());
        self.within(&self.leaves, range, |tile| self.store.hashes(there(tile)).ok())
    }

    fn of_roots(&self, bundles: Range<u64>) -> Option<Hash> {
        let whole = |tile: Range<u64>| tile.start * BUNDLE..tile.end.min(self.store.size() / BUNDLE) * BUNDLE;
        self.within(&self.roots, bundles, |tile| self.store.roots(whole(tile)).ok())
    }
}

impl Nodes for PathNodes<'_> {
    fn node(&self, level: u8, index: u64) -> Result<Hash, NodeMissing> {
        let missing = NodeMissing { level, index };
        let width = 1u64.checked_shl(u32::from(level)).ok_or(missing)?;
        let start = index.checked_mul(width).ok_or(missing)?;
        let end = start.checked_add(width).ok_or(missing)?;
        if level < BUNDLE_LEVEL {
            return self.of_leaves(start..end).ok_or(missing);
        }
        if level < CROWN_LEVEL {
            return self.of_roots(start / BUNDLE..end / BUNDLE).ok_or(missing);
        }
        if let Some(known) = self.store.crown(level, index) {
            return Ok(known);
        }
        let hash = if level == CROWN_LEVEL {
            self.of_roots(start / BUNDLE..end / BUNDLE).ok_or(missing)?
        } else {
            node_hash(&self.node(level - 1, index * 2)?, &self.node(level - 1, index * 2 + 1)?)
        };
        if end <= self.store.sealed().end() {
            self.store.keep_crown(level, index, hash);
        }
        Ok(hash)
    }
}
