//! The unsealed range in memory: leaf hashes, tags, places in segments, and the map from identity to index.
//!
//! Holds no leaf and no body. Who appends to it: the writer's apply step, which recovery runs too; who takes from it:
//! the sealer's release.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tlog::Hash;

use crate::config::Config;
use crate::frame::Row;
use crate::second::BUNDLE;
use crate::segment::SegmentFile;
use crate::types::{AppendError, Kind, Tags};

/// Marks a body that is absent, in the upper half of a leaf's length.
const NO_BODY: u32 = 1 << 31;

/// An entry within its block's payload: where its leaf begins and how long it is.
#[derive(Clone, Copy)]
struct Spot {
    at: u32,
    leaf: u32,
}

/// A block's payload.
struct Block {
    first: u64,
    segment: Arc<SegmentFile>,
    payload_at: u64,
    payload_bytes: u32,
}

/// An unsealed segment.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) file: Arc<SegmentFile>,
    /// Behind the last committed entry.
    pub(crate) end: u64,
    /// Behind the last committed block.
    pub(crate) end_offset: u64,
    /// No block will be added.
    pub(crate) closed: bool,
}

/// Where the bytes of consecutive entries of one block lie.
pub(crate) struct Piece {
    pub(crate) segment: Arc<SegmentFile>,
    pub(crate) offset: u64,
    pub(crate) bytes: usize,
    /// Leaf and body length, one an entry.
    pub(crate) lengths: Vec<(u32, Option<u32>)>,
}

/// The unsealed range.
pub(crate) struct Tail {
    base: u64,
    kind: Kind,
    hashes: VecDeque<Hash>,
    /// Roots of the whole bundles: a proof would hash every leaf of the tail otherwise.
    roots: VecDeque<Hash>,
    tags: VecDeque<Tags>,
    spots: VecDeque<Spot>,
    blocks: VecDeque<Block>,
    segments: VecDeque<Segment>,
    by_identity: HashMap<[u8; 16], u64, BuildHasherDefault<TagHasher>>,
    backlog: Arc<Backlog>,
}

/// How much waits for the sealer, for those who do not hold the tail's lock.
#[derive(Default)]
pub(crate) struct Backlog {
    bytes: AtomicU64,
    entries: AtomicU64,
}

impl Backlog {
    /// Bytes in unsealed segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Why nothing more may be appended. Less than a whole bundle cannot be sealed, so it is no reason: nothing would
    /// ever end it.
    pub(crate) fn refusal(&self, config: &Config) -> Option<AppendError> {
        let entries = self.entries.load(Ordering::Relaxed);
        let full = self.bytes() >= config.backlog_bytes_max || entries >= config.backlog_entries_max;
        (full && entries >= BUNDLE as u64).then_some(AppendError::Busy("the unsealed backlog is full"))
    }
}

impl Tail {
    /// An empty tail behind the sealed entries.
    pub(crate) fn new(base: u64, kind: Kind) -> Tail {
        Tail {
            base,
            kind,
            hashes: VecDeque::new(),
            roots: VecDeque::new(),
            tags: VecDeque::new(),
            spots: VecDeque::new(),
            blocks: VecDeque::new(),
            segments: VecDeque::new(),
            by_identity: HashMap::default(),
            backlog: Arc::default(),
        }
    }

    /// Closes the last segment and goes on in this one.
    pub(crate) fn push_segment(&mut self, file: Arc<SegmentFile>, start: u64, end_offset: u64) {
        if let Some(last) = self.segments.back_mut() {
            last.closed = true;
        }
        self.segments.push_back(Segment { file, end: start, end_offset, closed: false });
        self.count();
    }

    /// Adds a segment in front whose entries are all sealed: it waits for nothing but its release.
    pub(crate) fn push_sealed_segment(&mut self, file: Arc<SegmentFile>, end: u64, end_offset: u64) {
        self.segments.push_back(Segment { file, end, end_offset, closed: true });
        self.count();
    }

    /// Adds a block of the last segment. Entries below the base are sealed already and only move the segment's end.
    pub(crate) fn push_block<'a>(
        &mut self,
        first: u64,
        payload_at: u64,
        end_offset: u64,
        rows: impl Iterator<Item = &'a Row>,
        hashes: &[Hash],
    ) {
        let Some(segment) = self.segments.back_mut() else { return };
        segment.end = first + hashes.len() as u64;
        segment.end_offset = end_offset;
        let segment = Arc::clone(&segment.file);
        let mut at = 0u32;
        for ((row, hash), index) in rows.zip(hashes).zip(first..) {
            if index >= self.base {
                let body = if row.body_bytes.is_none() { NO_BODY } else { 0 };
                self.hashes.push_back(*hash);
                self.end_bundle();
                self.spots.push_back(Spot { at, leaf: row.leaf_bytes | body });
                if self.kind == Kind::Audit {
                    self.tags.push_back(row.tags);
                    self.by_identity.entry(row.tags.identity).or_insert(index);
                }
            }
            at = at.saturating_add(row.leaf_bytes).saturating_add(row.body_bytes.unwrap_or(0));
        }
        self.blocks.push_back(Block { first, segment, payload_at, payload_bytes: at });
        self.count();
    }

    /// The base is a multiple of a bundle, so bundles end where the number of hashes says.
    fn end_bundle(&mut self) {
        let Some(from) = self.hashes.len().checked_sub(BUNDLE).filter(|n| n.is_multiple_of(BUNDLE)) else { return };
        let bundle: Vec<Hash> = self.hashes.range(from..).copied().collect();
        self.roots.push_back(tlog::perfect_root(&bundle));
    }

    fn count(&self) {
        self.backlog.bytes.store(self.segments.iter().map(|s| s.end_offset).sum(), Ordering::Relaxed);
        self.backlog.entries.store(self.hashes.len() as u64, Ordering::Relaxed);
    }

    /// Forgets entries below `below` (whole bundles) and the closed segments that end there.
    pub(crate) fn release(&mut self, below: u64) {
        let count = usize::try_from(below.saturating_sub(self.base)).unwrap_or(usize::MAX).min(self.hashes.len());
        self.hashes.drain(..count);
        self.roots.drain(..(count / BUNDLE).min(self.roots.len()));
        self.spots.drain(..count);
        for (tags, index) in self.tags.drain(..count.min(self.tags.len())).zip(self.base..) {
            if self.by_identity.get(&tags.identity) == Some(&index) {
                self.by_identity.remove(&tags.identity);
            }
        }
        self.base += count as u64;
        while self.blocks.get(1).is_some_and(|next| next.first <= self.base) {
            self.blocks.pop_front();
        }
        // Memory of a burst is given back once it is sealed.
        self.hashes.shrink_to(self.hashes.len() * 2);
        self.spots.shrink_to(self.spots.len() * 2);
        self.tags.shrink_to(self.tags.len() * 2);
        self.by_identity.shrink_to(self.by_identity.len() * 2);
        while self.segments.front().is_some_and(|s| s.closed && s.end <= self.base) {
            self.segments.pop_front();
        }
        self.count();
    }

    /// First entry held here.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// Behind the last entry.
    pub(crate) fn size(&self) -> u64 {
        self.base + self.hashes.len() as u64
    }

    /// How much waits for the sealer, kept up to date.
    pub(crate) fn backlog(&self) -> Arc<Backlog> {
        Arc::clone(&self.backlog)
    }

    /// The unsealed segments, oldest first.
    pub(crate) fn segments(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.segments.iter()
    }

    /// Leaf hash of an entry.
    pub(crate) fn hash(&self, index: u64) -> Option<Hash> {
        self.hashes.get(self.slot(index)?).copied()
    }

    /// Leaf hashes of a range; `None` unless all of it is here.
    pub(crate) fn hashes(&self, range: Range<u64>) -> Option<Vec<Hash>> {
        let (from, to) = (self.slot(range.start)?, self.slot(range.end)?);
        (from <= to && to <= self.hashes.len()).then(|| self.hashes.range(from..to).copied().collect())
    }

    /// Roots of a range of bundles; `None` unless all of them are here and whole.
    pub(crate) fn roots(&self, bundles: Range<u64>) -> Option<Vec<Hash>> {
        let base = self.base / BUNDLE as u64;
        let at = |bundle: u64| usize::try_from(bundle.checked_sub(base)?).ok();
        let (from, to) = (at(bundles.start)?, at(bundles.end)?);
        (from <= to && to <= self.roots.len()).then(|| self.roots.range(from..to).copied().collect())
    }

    /// Whether these are the leaf hashes from `first` on.
    pub(crate) fn agrees(&self, first: u64, hashes: &[Hash]) -> bool {
        self.slot(first).is_some_and(|from| {
            from.checked_add(hashes.len()).is_some_and(|to| to <= self.hashes.len())
                && self.hashes.range(from..from + hashes.len()).eq(hashes)
        })
    }

    /// Tags of an entry (zero in a raw ledger).
    pub(crate) fn tags(&self, index: u64) -> Option<Tags> {
        match self.kind {
            Kind::Raw => self.hash(index).map(|_| Tags::default()),
            Kind::Audit => self.tags.get(self.slot(index)?).copied(),
        }
    }

    /// The first unsealed entry of that identity.
    pub(crate) fn find(&self, identity: &[u8; 16]) -> Option<u64> {
        self.by_identity.get(identity).copied()
    }

    /// Where the bytes of a range lie; `None` unless all of it is here.
    pub(crate) fn pieces(&self, range: Range<u64>) -> Option<Vec<Piece>> {
        if range.start < self.base || range.end > self.size() || range.is_empty() {
            return None;
        }
        let mut pieces = Vec::new();
        let mut index = range.start;
        let mut at = self.blocks.partition_point(|b| b.first <= index).checked_sub(1)?;
        while index < range.end {
            let block = self.blocks.get(at)?;
            at += 1;
            let block_end = self.blocks.get(at).map_or(self.size(), |b| b.first);
            let end = block_end.min(range.end);
            let mut lengths = Vec::with_capacity(usize::try_from(end - index).ok()?);
            let begin = self.spot(index)?.at;
            let mut stop = begin;
            for i in index..end {
                let spot = self.spot(i)?;
                let leaf = spot.leaf & !NO_BODY;
                stop = if i + 1 == block_end { block.payload_bytes } else { self.spot(i + 1)?.at };
                let body = (spot.leaf & NO_BODY == 0).then(|| stop.saturating_sub(spot.at + leaf));
                lengths.push((leaf, body));
            }
            pieces.push(Piece {
                segment: Arc::clone(&block.segment),
                offset: block.payload_at + u64::from(begin),
                bytes: stop.saturating_sub(begin) as usize,
                lengths,
            });
            index = end;
        }
        Some(pieces)
    }

    /// Bytes of the bodies of a range as a bundle holds them, four of length before each.
    pub(crate) fn bodies_bytes(&self, range: Range<u64>) -> Option<u64> {
        let lengths = self.pieces(range)?.into_iter().flat_map(|piece| piece.lengths);
        Some(lengths.map(|(_, body)| 4 + u64::from(body.unwrap_or(0))).sum())
    }

    /// How much of a range fits in about `bytes_max` bytes, at least one entry.
    pub(crate) fn fitting(&self, range: Range<u64>, bytes_max: u64) -> u64 {
        let mut bytes = 0;
        let mut end = range.start;
        let mut at = self.blocks.partition_point(|b| b.first <= end).saturating_sub(1);
        while end < range.end && bytes < bytes_max {
            let Some(block) = self.blocks.get(at) else { break };
            at += 1;
            let block_end = self.blocks.get(at).map_or(self.size(), |b| b.first);
            while end < block_end.min(range.end) && bytes < bytes_max {
                let Some(spot) = self.spot(end) else { return end };
                let stop =
                    if end + 1 == block_end { Some(block.payload_bytes) } else { self.spot(end + 1).map(|s| s.at) };
                bytes += u64::from(stop.unwrap_or(spot.at).saturating_sub(spot.at));
                end += 1;
            }
        }
        end
    }

    fn spot(&self, index: u64) -> Option<Spot> {
        self.spots.get(self.slot(index)?).copied()
    }

    fn slot(&self, index: u64) -> Option<usize> {
        usize::try_from(index.checked_sub(self.base)?).ok()
    }
}

/// The whole bundles that end at or below a size.
pub(crate) fn whole_bundles(size: u64) -> u64 {
    size - size % BUNDLE as u64
}

/// Tags are HMAC outputs under a key that no client knows: their first eight bytes are as good as a hash of them.
#[derive(Default)]
pub(crate) struct TagHasher(u64);

impl Hasher for TagHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // The length prefix of an array comes by write_usize; the tag itself in one piece.
        if let Some((head, _)) = bytes.split_first_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*head);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}
