//! The stored log as one: sealed sets and, behind them, the unsealed range. Entries, hashes, tags and tree nodes.
//!
//! Everything below the tail's base is sealed: the sealer shows a set here before it releases the tail. Decides nothing
//! about what is published; hands out no entry that does not hash to its leaf hash.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tlog::{Hash, leaf_hash};

use crate::dedup::{DedupIndex, Unsure};
use crate::error::{Corrupt, ReadError};
use crate::frame::sha256;
use crate::limits::READ_BYTES_MAX;
use crate::sealed::{BUNDLE, SealedSets};
use crate::tail::Tail;
use crate::types::{BodyDigest, Entry, Tags};

/// The stored log; clones share it.
#[derive(Clone)]
pub(crate) struct Store {
    tail: Arc<RwLock<Tail>>,
    sealed: Arc<RwLock<Arc<SealedSets>>>,
    /// Roots of large sealed subtrees by height and number; a cache that is filled by the first proofs.
    crown: Arc<Mutex<BTreeMap<(u8, u64), Hash>>>,
    /// Identities of sealed entries; a raw ledger has none.
    dedup: Option<Arc<DedupIndex>>,
    body_digest: BodyDigest,
}

/// An earlier entry of an identity.
#[derive(Clone, Copy)]
pub(crate) struct Earlier {
    pub(crate) index: u64,
    pub(crate) content: [u8; 16],
    pub(crate) leaf_hash: Hash,
}

/// Why an identity could not be looked up.
pub(crate) enum LookError {
    /// In a while it can.
    Busy(&'static str),
    /// The log's own tags are damaged.
    Corrupt(Corrupt),
}

impl From<Unsure> for LookError {
    fn from(Unsure(why): Unsure) -> LookError {
        LookError::Busy(why)
    }
}

impl From<ReadError> for LookError {
    fn from(error: ReadError) -> LookError {
        match error {
            ReadError::Corrupt(corrupt) => LookError::Corrupt(corrupt),
            _ => LookError::Busy("sealed entries cannot be read"),
        }
    }
}

impl Store {
    pub(crate) fn new(
        tail: Tail,
        sealed: SealedSets,
        dedup: Option<Arc<DedupIndex>>,
        body_digest: BodyDigest,
    ) -> Store {
        Store {
            tail: Arc::new(RwLock::new(tail)),
            sealed: Arc::new(RwLock::new(Arc::new(sealed))),
            crown: Arc::default(),
            dedup,
            body_digest,
        }
    }

    pub(crate) fn tail(&self) -> RwLockReadGuard<'_, Tail> {
        self.tail.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tail_mut(&self) -> RwLockWriteGuard<'_, Tail> {
        self.tail.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sealed sets as they are now.
    pub(crate) fn sealed(&self) -> Arc<SealedSets> {
        Arc::clone(&self.sealed.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows one more set. The tail may be released up to its end from now on.
    pub(crate) fn take_up(&self, sets: SealedSets) {
        *self.sealed.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(sets);
    }

    /// The index over the identities of sealed entries.
    pub(crate) fn dedup(&self) -> Option<&Arc<DedupIndex>> {
        self.dedup.as_ref()
    }

    /// The earliest entries of identities that have one, sealed or not.
    ///
    /// # Errors
    /// `Busy` while the index has a gap; `Corrupt` where sealed tags fail their digest.
    pub(crate) fn earlier<'a>(
        &self,
        identities: impl Iterator<Item = &'a [u8; 16]>,
    ) -> Result<HashMap<[u8; 16], Earlier>, LookError> {
        let (mut known, mut unknown) = (HashMap::new(), Vec::new());
        let Some(dedup) = &self.dedup else { return Ok(known) };
        // One look at the tail, and the index after it: what leaves the tail is in the index before.
        let base = {
            let tail = self.tail();
            for identity in identities {
                match tail.find(identity).and_then(|i| Some((i, tail.tags(i)?, tail.hash(i)?))) {
                    Some((index, tags, leaf_hash)) => {
                        known.insert(*identity, Earlier { index, content: tags.content, leaf_hash });
                    }
                    None => unknown.push(*identity),
                }
            }
            tail.base()
        };
        if unknown.is_empty() || base == 0 {
            return Ok(known);
        }
        let look = dedup.look(base)?;
        let sealed = self.sealed();
        for identity in unknown {
            let Some(index) = look.find(&identity)? else { continue };
            let tags = sealed.checked_tags(index)?;
            if tags.identity != identity {
                return Err(look.refute(index).into());
            }
            let leaf_hash = sealed.leaf_hashes(index..index + 1)?.pop().unwrap_or(Hash([0; 32]));
            known.insert(identity, Earlier { index, content: tags.content, leaf_hash });
        }
        Ok(known)
    }

    /// Durable entries.
    pub(crate) fn size(&self) -> u64 {
        self.tail().size()
    }

    /// Leaf hash of an entry.
    pub(crate) fn hash(&self, index: u64) -> Result<Hash, ReadError> {
        let beyond = || ReadError::BeyondTree { asked: index, size: self.size() };
        let end = index.checked_add(1).ok_or_else(beyond)?;
        self.hashes(index..end)?.pop().ok_or_else(beyond)
    }

    /// Leaf hashes of a range.
    pub(crate) fn hashes(&self, range: Range<u64>) -> Result<Vec<Hash>, ReadError> {
        let (range, base, tail) = self.split(range, |tail, part| tail.hashes(part))?;
        let mut hashes = if range.start < base { self.sealed().leaf_hashes(range.start..base)? } else { Vec::new() };
        hashes.extend(tail);
        Ok(hashes)
    }

    /// Roots of the bundles of a range of entries that begins and ends with one.
    pub(crate) fn roots(&self, range: Range<u64>) -> Result<Vec<Hash>, ReadError> {
        let bundles = |part: Range<u64>| part.start / BUNDLE..part.end / BUNDLE;
        let (range, base, tail) = self.split(range, |tail, part| tail.roots(bundles(part)))?;
        let sealed = range.start..base;
        let mut roots = if sealed.is_empty() { Vec::new() } else { self.sealed().bundle_roots(bundles(sealed))? };
        roots.extend(tail);
        Ok(roots)
    }

    /// Looks up the part of a range that the tail holds, at one moment; what lies before the point that is returned is
    /// sealed by then.
    fn split(
        &self,
        range: Range<u64>,
        look: impl Fn(&Tail, Range<u64>) -> Option<Vec<Hash>>,
    ) -> Result<(Range<u64>, u64, Vec<Hash>), ReadError> {
        let tail = self.tail();
        if range.end > tail.size() {
            return Err(ReadError::BeyondTree { asked: range.end, size: tail.size() });
        }
        let base = tail.base().clamp(range.start, range.end);
        let held = look(&tail, base..range.end).filter(|_| base < range.end);
        if base < range.end && held.is_none() {
            return Err(ReadError::NodeMissing { level: 0, index: base });
        }
        Ok((range, base, held.unwrap_or_default()))
    }

    /// Stored entries of a range, cut at `READ_BYTES_MAX` bytes (at least one).
    pub(crate) fn entries(&self, range: Range<u64>) -> Result<Vec<Entry>, ReadError> {
        let size = self.size();
        if range.end > size {
            return Err(ReadError::BeyondTree { asked: range.end, size });
        }
        let (mut entries, mut left, mut at) = (Vec::new(), READ_BYTES_MAX, range.start);
        while at < range.end && left > 0 {
            // Taken anew each time round: what the tail held a moment ago may be sealed by now.
            let base = self.tail().base();
            let part = if at < base {
                self.sealed().entries(at..range.end.min(base), left, &self.body_digest)?
            } else {
                match self.tail_entries(at..range.end, left)? {
                    Some(part) => part,
                    None => continue,
                }
            };
            let bytes = part.iter().map(|e| (e.leaf.len() + e.body.as_ref().map_or(0, Vec::len)) as u64).sum::<u64>();
            left = left.saturating_sub(bytes);
            at += part.len() as u64;
            if part.is_empty() {
                return Err(ReadError::NodeMissing { level: 0, index: at });
            }
            entries.extend(part);
        }
        Ok(entries)
    }

    /// Entries of the tail; `None` where the first of them was sealed meanwhile.
    fn tail_entries(&self, range: Range<u64>, bytes_max: u64) -> Result<Option<Vec<Entry>>, ReadError> {
        let (pieces, hashes, tags) = {
            let tail = self.tail();
            if range.start < tail.base() {
                return Ok(None);
            }
            let held = range.start..tail.fitting(range.clone(), bytes_max);
            let missing = || ReadError::NodeMissing { level: 0, index: range.start };
            let tags: Option<Vec<Tags>> = held.clone().map(|i| tail.tags(i)).collect();
            let pieces = tail.pieces(held.clone()).ok_or_else(missing)?;
            (pieces, tail.hashes(held).ok_or_else(missing)?, tags.ok_or_else(missing)?)
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
                if leaf_hash(leaf) != hash {
                    return Err(damaged("the leaf is not the one of the tree").into());
                }
                let body = body_bytes.map(|_| body.to_vec());
                if let Some(body) = &body
                    && (self.body_digest)(leaf) != Some(sha256(&[body]))
                {
                    return Err(damaged("the body is not the one that its leaf names").into());
                }
                entries.push(Entry { index, leaf: leaf.to_vec(), body, tags });
            }
        }
        Ok(Some(entries))
    }

    /// A cached root of a sealed subtree.
    pub(crate) fn crown(&self, level: u8, index: u64) -> Option<Hash> {
        self.held_crown().get(&(level, index)).copied()
    }

    /// Caches the root of a subtree whose leaves are all sealed.
    pub(crate) fn keep_crown(&self, level: u8, index: u64, hash: Hash) {
        self.held_crown().insert((level, index), hash);
    }

    fn held_crown(&self) -> std::sync::MutexGuard<'_, BTreeMap<(u8, u64), Hash>> {
        self.crown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
