//! Reads for callers: entries, tiles, bundles, bodies, proofs. Nothing is handed out that does not hash to the tree:
//! proofs and tiles are checked against the signed root before they leave.

use std::ops::Range;

use tlog::{Hash, Nodes, ProofError, TilePath};

use crate::error::{Corrupt, ReadError};
use crate::nodes::PathNodes;
use crate::sealed::{self, BUNDLE};
use crate::shared::Shared;
use crate::types::{Entry, Kind, Signed};

impl Shared {
    pub(crate) fn read_entries(&self, range: Range<u64>) -> Result<Vec<Entry>, ReadError> {
        self.store.entries(range)
    }

    pub(crate) fn read_tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, ReadError> {
        let tile = TilePath::tile(level, index, width).ok_or(ReadError::Refused("no such tile"))?;
        let signed = self.within(&tile)?;
        let (first, height) = (index * BUNDLE, level.saturating_mul(8));
        let nodes = PathNodes::new(&self.store);
        let hashes = nodes.level(height, first..first + u64::from(width))?;
        let (start, end) = (first << height, (first + u64::from(width)) << height);
        let proof = tlog::subtree_consistency(&nodes, start, end, signed.size).map_err(|e| proof_error(&e))?;
        let root =
            tlog::subtree_hash(&OneTile { height, first, hashes: &hashes }, start, end).map_err(|e| proof_error(&e))?;
        tlog::verify_subtree_consistency(start, end, signed.size, &proof, &root, &signed.root)
            .map_err(|_| self.damaged(start))?;
        Ok(hashes.iter().flat_map(|hash| hash.0).collect())
    }

    pub(crate) fn read_bundle(&self, index: u64, width: u16) -> Result<Vec<u8>, ReadError> {
        let path = TilePath::entries(index, width).ok_or(ReadError::Refused("no such bundle"))?;
        self.within(&path)?;
        if self.is_sealed(index) && u64::from(width) == BUNDLE {
            return Ok(self.store.sealed().checked_bundle(index)?.1);
        }
        let (mut from, mut out) = (index * BUNDLE, Vec::new());
        let end = from + u64::from(width);
        while from < end {
            let entries = self.read_entries(from..end)?;
            from += entries.len() as u64;
            for entry in &entries {
                let fits = tlog::push_entry(&mut out, &entry.leaf);
                debug_assert!(fits, "the writer refuses longer entries");
            }
        }
        Ok(out)
    }

    /// Some bodies of a bundle, as many as one read holds, and the place behind them.
    pub(crate) fn read_bodies(&self, index: u64, width: u16, from: u16) -> Result<(Vec<u8>, u16), ReadError> {
        if self.about.kind == Kind::Raw {
            return Err(ReadError::Refused("a raw ledger has no bodies"));
        }
        let path = TilePath::bodies(index, width).filter(|_| from < width);
        self.within(&path.ok_or(ReadError::Refused("no such bundle"))?)?;
        let first = index * BUNDLE;
        let entries = self.read_entries(first + u64::from(from)..first + u64::from(width))?;
        let bytes = entries.iter().map(|entry| 4 + entry.body.as_ref().map_or(0, Vec::len)).sum();
        let mut out = Vec::with_capacity(bytes);
        for entry in &entries {
            let fits = tlog::push_body(&mut out, entry.body.as_deref());
            debug_assert!(fits, "the writer refuses longer bodies");
        }
        Ok((out, from + u16::try_from(entries.len()).unwrap_or(width - from)))
    }

    /// A sealed bundle is served as it is stored.
    pub(crate) fn read_bundle_gzip(&self, index: u64, width: u16) -> Result<Vec<u8>, ReadError> {
        if u64::from(width) == BUNDLE && self.is_sealed(index) {
            let path = TilePath::entries(index, width).ok_or(ReadError::Refused("no such bundle"))?;
            self.within(&path)?;
            return Ok(self.store.sealed().checked_bundle(index)?.0);
        }
        let bundle = self.read_bundle(index, width)?;
        // Deflating in memory does not fail; were it to, no member is better than half of one.
        let failed = |_| ReadError::Refused("the bundle cannot be compressed");
        sealed::gzip(&bundle, self.config.gzip_level).map_err(failed)
    }

    pub(crate) fn read_proof(&self, index: u64, size: u64) -> Result<Vec<Hash>, ReadError> {
        let signed = self.signed();
        if size > signed.size || index >= size {
            return Err(ReadError::BeyondTree { asked: size.max(index), size: signed.size });
        }
        let nodes = PathNodes::new(&self.store);
        let proof = tlog::inclusion(&nodes, index, size).map_err(|e| proof_error(&e))?;
        let root = self.root_of(&nodes, size, &signed)?;
        tlog::verify_inclusion(&self.store.hash(index)?, index, size, &proof, &root)
            .map_err(|_| self.damaged(index))?;
        Ok(proof)
    }

    pub(crate) fn read_consistency(&self, from: u64, to: u64) -> Result<Vec<Hash>, ReadError> {
        let signed = self.signed();
        if to > signed.size || from > to {
            return Err(ReadError::BeyondTree { asked: to.max(from), size: signed.size });
        }
        let nodes = PathNodes::new(&self.store);
        let proof = tlog::consistency(&nodes, from, to).map_err(|e| proof_error(&e))?;
        let (old, new) = (self.root_of(&nodes, from, &signed)?, self.root_of(&nodes, to, &signed)?);
        tlog::verify_consistency(from, to, &proof, &old, &new).map_err(|_| self.damaged(0))?;
        Ok(proof)
    }

    /// The root of an earlier size, checked to be one that the signed tree continues.
    fn root_of(&self, nodes: &PathNodes<'_>, size: u64, signed: &Signed) -> Result<Hash, ReadError> {
        if size == signed.size {
            return Ok(signed.root);
        }
        let root = tlog::root(nodes, size).map_err(|e| proof_error(&e))?;
        let proof = tlog::consistency(nodes, size, signed.size).map_err(|e| proof_error(&e))?;
        tlog::verify_consistency(size, signed.size, &proof, &root, &signed.root).map_err(|_| self.damaged(0))?;
        Ok(root)
    }

    fn signed(&self) -> std::sync::Arc<Signed> {
        std::sync::Arc::clone(&self.shown().signed)
    }

    fn is_sealed(&self, bundle: u64) -> bool {
        bundle < self.store.sealed().end() / BUNDLE
    }

    /// Hashes of the tree that do not lead to the signed root: which of them is wrong, the verification of sealed files
    /// says.
    fn damaged(&self, index: u64) -> ReadError {
        let sealed = self.store.sealed();
        let file = sealed.tiles_of(index);
        Corrupt::at(&file, 0, Some(index), "stored hashes do not lead to the signed root").into()
    }

    /// A tile is served for any size up to the published one.
    fn within(&self, path: &TilePath) -> Result<std::sync::Arc<Signed>, ReadError> {
        let signed = self.signed();
        let asked = path.size_needed().unwrap_or(u64::MAX);
        if asked > signed.size { Err(ReadError::BeyondTree { asked, size: signed.size }) } else { Ok(signed) }
    }
}

/// The hashes of one tile as nodes: its root is worked out from what is served, not from what is stored.
struct OneTile<'a> {
    height: u8,
    first: u64,
    hashes: &'a [Hash],
}

impl Nodes for OneTile<'_> {
    fn node(&self, level: u8, index: u64) -> Result<Hash, tlog::NodeMissing> {
        let missing = tlog::NodeMissing { level, index };
        let up = level.checked_sub(self.height).ok_or(missing)?;
        let at = |i: u64| usize::try_from(i.checked_sub(self.first)?).ok();
        let (from, to) = (at(index << up).ok_or(missing)?, at((index + 1) << up).ok_or(missing)?);
        self.hashes.get(from..to).map(tlog::perfect_root).ok_or(missing)
    }
}

fn proof_error(error: &ProofError) -> ReadError {
    match error {
        ProofError::NodeMissing(e) => ReadError::NodeMissing { level: e.level, index: e.index },
        ProofError::BeyondTree { end, size } => ReadError::BeyondTree { asked: *end, size: *size },
        _ => ReadError::Refused("no proof of that shape"),
    }
}
