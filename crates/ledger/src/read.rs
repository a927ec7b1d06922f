//! Reads for callers: entries, tiles, bundles, bodies, proofs. Nothing is handed out that does not hash to the tree.
//!
//! HOLE: sealed files are not read yet; all entries are in unsealed segments.

use std::ops::Range;

use tlog::{Hash, NodeMissing, Nodes, Resource, TilePath};

use crate::error::{Corrupt, ReadError};
use crate::limits::READ_BYTES_MAX;
use crate::shared::Shared;
use crate::types::{Entry, Kind};

const BUNDLE: u64 = 256;

/// The tree's nodes, from leaf hashes.
struct TailNodes<'a>(&'a Shared);

impl Nodes for TailNodes<'_> {
    fn node(&self, level: u8, index: u64) -> Result<Hash, NodeMissing> {
        let missing = NodeMissing { level, index };
        let width = 1u64.checked_shl(u32::from(level)).ok_or(missing)?;
        let start = index.checked_mul(width).ok_or(missing)?;
        let end = start.checked_add(width).ok_or(missing)?;
        let hashes = self.0.tail().hashes(start..end).ok_or(missing)?;
        Ok(tlog::perfect_root(&hashes))
    }
}

impl Shared {
    pub(crate) fn read_entries(&self, range: Range<u64>) -> Result<Vec<Entry>, ReadError> {
        let (pieces, hashes, tags) = {
            let tail = self.tail();
            if range.end > tail.size() {
                return Err(ReadError::BeyondTree { asked: range.end, size: tail.size() });
            }
            if range.is_empty() {
                return Ok(Vec::new());
            }
            let end = tail.fitting(range.clone(), READ_BYTES_MAX);
            let held = range.start..end;
            let missing = || ReadError::NodeMissing { level: 0, index: range.start };
            let tags: Option<Vec<_>> = held.clone().map(|i| tail.tags(i)).collect();
            (
                tail.pieces(held.clone()).ok_or_else(missing)?,
                tail.hashes(held).ok_or_else(missing)?,
                tags.ok_or_else(missing)?,
            )
        };
        let mut known = hashes.into_iter().zip(tags).zip(range.start..);
        let mut entries = Vec::new();
        for piece in pieces {
            let path = &piece.segment.path;
            let mut bytes = vec![0; piece.bytes];
            piece.segment.file.read_exact_at(&mut bytes, piece.offset).map_err(ReadError::io("read", path))?;
            let mut rest = bytes.as_slice();
            for (leaf_bytes, body_bytes) in &piece.lengths {
                let Some(((hash, tags), index)) = known.next() else { break };
                let damaged = |what| Corrupt::at(path, piece.offset, Some(index), what);
                let (leaf, after) =
                    rest.split_at_checked(*leaf_bytes as usize).ok_or_else(|| damaged("ends within a leaf"))?;
                let (body, after) = after
                    .split_at_checked(body_bytes.unwrap_or(0) as usize)
                    .ok_or_else(|| damaged("ends within a body"))?;
                rest = after;
                if tlog::leaf_hash(leaf) != hash {
                    return Err(damaged("the leaf is not the one of the tree").into());
                }
                let body = body_bytes.map(|_| body.to_vec());
                if let Some(body) = &body
                    && (self.doors.body_digest)(leaf) != Some(crate::frame::sha256(&[body]))
                {
                    return Err(damaged("the body is not the one that its leaf names").into());
                }
                entries.push(Entry { index, leaf: leaf.to_vec(), body, tags });
            }
        }
        Ok(entries)
    }

    pub(crate) fn read_tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, ReadError> {
        let tile = TilePath::tile(level, index, width).ok_or(ReadError::Refused("no such tile"))?;
        self.within(&tile)?;
        let nodes = TailNodes(self);
        let mut out = Vec::with_capacity(usize::from(width) * 32);
        for i in 0..u64::from(width) {
            let node = nodes.node(level.saturating_mul(8), index * BUNDLE + i);
            let node = node.map_err(|e| ReadError::NodeMissing { level: e.level, index: e.index })?;
            out.extend_from_slice(&node.0);
        }
        Ok(out)
    }

    pub(crate) fn read_bundle(&self, resource: Resource, index: u64, width: u16) -> Result<Vec<u8>, ReadError> {
        let bodies = resource == Resource::Bodies;
        if bodies && self.about.kind == Kind::Raw {
            return Err(ReadError::Refused("a raw ledger has no bodies"));
        }
        let path = if bodies { TilePath::bodies(index, width) } else { TilePath::entries(index, width) };
        self.within(&path.ok_or(ReadError::Refused("no such bundle"))?)?;
        let (mut from, mut out) = (index * BUNDLE, Vec::new());
        let end = from + u64::from(width);
        while from < end {
            let entries = self.read_entries(from..end)?;
            from += entries.len() as u64;
            for entry in &entries {
                let fits = if bodies {
                    tlog::push_body(&mut out, entry.body.as_deref())
                } else {
                    tlog::push_entry(&mut out, &entry.leaf)
                };
                debug_assert!(fits, "the writer refuses longer entries");
            }
        }
        Ok(out)
    }

    pub(crate) fn read_proof(&self, index: u64, size: u64) -> Result<Vec<Hash>, ReadError> {
        let published = self.shown().signed.size;
        if size > published || index >= size {
            return Err(ReadError::BeyondTree { asked: size.max(index), size: published });
        }
        tlog::inclusion(&TailNodes(self), index, size).map_err(|_| ReadError::NodeMissing { level: 0, index })
    }

    pub(crate) fn read_consistency(&self, from: u64, to: u64) -> Result<Vec<Hash>, ReadError> {
        let published = self.shown().signed.size;
        if to > published || from > to {
            return Err(ReadError::BeyondTree { asked: to.max(from), size: published });
        }
        tlog::consistency(&TailNodes(self), from, to).map_err(|_| ReadError::NodeMissing { level: 0, index: from })
    }

    /// A tile is served for any size up to the published one.
    fn within(&self, path: &TilePath) -> Result<(), ReadError> {
        let size = self.shown().signed.size;
        let asked = path.size_needed().unwrap_or(u64::MAX);
        if asked > size { Err(ReadError::BeyondTree { asked, size }) } else { Ok(()) }
    }
}

/// One gzip member.
pub(crate) fn gzip(bytes: &[u8], level: u32) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    // Writing to memory does not fail.
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}
