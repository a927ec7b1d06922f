//! The sequencer's core: settles duplicates, builds one block, writes it once, syncs it once, applies it.
//!
//! A plain object over `Disk`: no thread, no queue, no clock of its own, so that a simulator can drive it. Signs
//! nothing: what lies on disk is read again by the publisher.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::path::PathBuf;
use std::sync::{Arc, RwLockReadGuard};

use tlog::{Frontier, Hash, leaf_hash};

use crate::config::{Config, Stage};
use crate::durable::Disk;
use crate::error::OpenError;
use crate::error::{ReadError, with_causes};
use crate::frame::chain_after;
use crate::frame::{BLOCK_HEADER_BYTES, BlockHeader, COMMIT_BYTES, Commit, Digest, ROW_BYTES, Row, SegmentHeader};
use crate::limits::LEAF_BYTES_MAX;
use crate::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX, BODY_BYTES_MAX};
use crate::recheck::Recheck;
use crate::sealer::Sealer;
use crate::segment::{self, SegmentFile};
use crate::store::{Earlier, LookError, Store};
use crate::tail::{TagHasher, Tail, whole_bundles};
use crate::types::{AppendError, Batch, BodyDigest, Clock, Committed, Entry, Kind, Mac, Outcome, STAMP_BYTES, Stamp};

/// The room on the disk is looked at this often.
pub(crate) const ROOM_EVERY_NS: u64 = 1_000_000_000;

/// What a writer needs from outside.
#[derive(Clone)]
pub struct Setup {
    /// File calls.
    pub disk: Arc<dyn Disk>,
    /// The folder `wal/` of the ledger; must exist.
    pub wal: PathBuf,
    /// The folder `sealed/` of the ledger; must exist.
    pub sealed: PathBuf,
    /// Checkpoint origin: stands in the manifests of sealed sets.
    pub origin: String,
    /// Folder name of the ledger.
    pub ulid: String,
    /// The folder `views/<ULID>` of the data folder; made where it is missing, its parent must exist.
    pub views: PathBuf,
    /// MAC over files in it.
    pub views_mac: Mac,
    /// SHA-256 of the file `LEDGER`.
    pub about: [u8; 32],
    /// Leaf and body, or leaf alone.
    pub kind: Kind,
    /// Settings.
    pub config: Config,
    /// Nanoseconds since 1970.
    pub clock: Clock,
    /// Text for the slot that a leaf left empty.
    pub stamp: Stamp,
    /// The digest that a leaf names for its body.
    pub body_digest: BodyDigest,
}

/// A batch that has passed [`check_batch`]: what the sequencer takes without hashing its bodies once more. A byte that
/// flips behind the check is met by the publisher, which reads the block back and hashes bodies and leaves again before
/// it signs.
#[derive(Debug)]
pub(crate) struct Checked(Batch);

impl Checked {
    pub(crate) fn new(kind: Kind, body_digest: &BodyDigest, batch: Batch) -> Result<Checked, AppendError> {
        check_batch(kind, body_digest, &batch).map(|()| Checked(batch))
    }

    /// Bytes of leaves and bodies.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.0.payload.len()
    }

    /// Entries.
    pub(crate) fn len(&self) -> usize {
        self.0.entries.len()
    }
}

/// Refuses a batch that breaks a limit or holds a body that is not the one its leaf names. Meant for the thread that
/// made the batch.
///
/// # Errors
/// `Refused`.
pub fn check_batch(kind: Kind, body_digest: &BodyDigest, batch: &Batch) -> Result<(), AppendError> {
    let no = |what| Err(AppendError::Refused(what));
    if batch.entries.is_empty() || batch.entries.len() > BATCH_ENTRIES_MAX || batch.payload.len() > BATCH_BYTES_MAX {
        return no("a batch is empty, or over its limit of entries or bytes");
    }
    let mut rest = batch.payload.as_slice();
    for entry in &batch.entries {
        if entry.leaf_bytes == 0 || entry.leaf_bytes > LEAF_BYTES_MAX {
            return no("a leaf has no byte or more than 65535");
        }
        if entry.body_bytes.is_some_and(|n| n > BODY_BYTES_MAX) {
            return no("a body is over its limit");
        }
        let Some((leaf, after)) = rest.split_at_checked(entry.leaf_bytes as usize) else {
            return no("the payload ends within a leaf");
        };
        let slot_end = entry.stamp_at.map_or(0, |at| u64::from(at) + STAMP_BYTES as u64);
        if slot_end > leaf.len() as u64 {
            return no("the slot for the time lies outside of its leaf");
        }
        rest = after;
        let named = if kind == Kind::Audit { body_digest(leaf) } else { None };
        let found = match entry.body_bytes {
            None => None,
            Some(_) if kind == Kind::Raw => return no("a raw ledger takes no bodies"),
            Some(n) => {
                let Some((_, after)) = rest.split_at_checked(n as usize) else {
                    return no("the payload ends within a body");
                };
                rest = after;
                entry.body_digest
            }
        };
        if named != found {
            return no("a body is not the one that its leaf names");
        }
    }
    if rest.is_empty() { Ok(()) } else { no("the payload is longer than its entries") }
}

/// The one writer of a ledger.
pub struct Writer {
    setup: Setup,
    frontier: Frontier,
    chain: Digest,
    received_at: u64,
    segment: Arc<SegmentFile>,
    offset: u64,
    /// The first entry of this segment, and when it was received.
    segment_start: u64,
    begun_at: Option<u64>,
    store: Store,
    wrote: Wrote,
    /// When there was room on the disk.
    room_at: Option<u64>,
    poisoned: Option<String>,
}

/// The last block's write, for figures.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wrote {
    pub(crate) bytes: u64,
    pub(crate) sync_ns: u64,
}

/// Where recovery hands over to the writer.
pub(crate) struct Start {
    pub(crate) frontier: Frontier,
    pub(crate) chain: Digest,
    pub(crate) received_at: u64,
    pub(crate) segment: Arc<SegmentFile>,
    pub(crate) offset: u64,
    pub(crate) segment_start: u64,
    pub(crate) begun_at: Option<u64>,
    pub(crate) store: Store,
}

/// A block that is ready to be written: pure preparation, nothing on disk yet.
struct Block {
    header: [u8; BLOCK_HEADER_BYTES],
    table: Vec<u8>,
    payloads: Vec<Vec<u8>>,
    commit: [u8; COMMIT_BYTES],
    rows: Vec<Row>,
    hashes: Vec<Hash>,
    frontier: Frontier,
    chain: Digest,
    received_at: u64,
    payload_bytes: u64,
}

impl Writer {
    pub(crate) fn new(setup: Setup, start: Start) -> Writer {
        let Start { frontier, chain, received_at, segment, offset, segment_start, begun_at, store } = start;
        Writer {
            setup,
            frontier,
            chain,
            received_at,
            segment,
            offset,
            segment_start,
            begun_at,
            store,
            wrote: Wrote::default(),
            room_at: None,
            poisoned: None,
        }
    }

    /// The stored log, shared with readers, publisher and sealer.
    pub(crate) fn store(&self) -> Store {
        self.store.clone()
    }

    /// The sealer that belongs to this writer; there must be no second one.
    pub fn sealer(&self) -> Sealer {
        Sealer::new(&self.setup, self.store())
    }

    /// A walk over all sets that are sealed now.
    pub fn recheck(&self) -> Recheck {
        Recheck::new(&self.setup, self.store.sealed())
    }

    /// What the last block cost.
    pub(crate) fn wrote(&self) -> Wrote {
        self.wrote
    }

    /// Segment number and offset at which the next block begins.
    pub(crate) fn at(&self) -> (u64, u64) {
        (self.segment.number, self.offset)
    }

    fn tail(&self) -> RwLockReadGuard<'_, Tail> {
        self.store.tail()
    }

    /// Entries that are durable.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Root over them.
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Bytes in unsealed segments.
    pub fn backlog_bytes(&self) -> u64 {
        self.tail().backlog().bytes()
    }

    /// Appends the batches in one block: each batch whole or not at all. Returned = synced.
    ///
    /// # Errors
    /// `Refused` (nothing of any batch was appended), `Busy`, `DiskLow`, `Poisoned` (the fate of this block is
    /// unknown until a restart has verified the disk).
    pub fn commit(&mut self, batches: Vec<Batch>) -> Result<Vec<Committed>, AppendError> {
        let (kind, body_digest) = (self.setup.kind, &self.setup.body_digest);
        let check = |batch| Checked::new(kind, body_digest, batch);
        let checked: Vec<Checked> = batches.into_iter().map(check).collect::<Result<_, _>>()?;
        self.commit_checked(checked)
    }

    /// As `commit`, of batches that were checked where they were made.
    pub(crate) fn commit_checked(&mut self, batches: Vec<Checked>) -> Result<Vec<Committed>, AppendError> {
        if let Some(why) = &self.poisoned {
            return Err(AppendError::Poisoned(why.clone()));
        }
        let batches: Vec<Batch> = batches.into_iter().map(|checked| checked.0).collect();
        self.admit(&batches)?;
        let earlier = self.earlier(&batches)?;
        // From here on a panic or an early return leaves the writer poisoned.
        self.poisoned = Some("an earlier commit did not come to its end".to_owned());
        let (outcomes, kept) = self.settle(batches, &earlier);
        let Some(block) = self.build(kept) else {
            // Nothing but duplicates and conflicts: nothing to write, all of it durable already.
            self.poisoned = None;
            return Ok(self.answers(outcomes, self.received_at));
        };
        match self.write(&block) {
            Ok(()) => {}
            Err(why) => {
                self.poisoned = Some(why.clone());
                return Err(AppendError::Poisoned(why));
            }
        }
        self.apply(block);
        self.poisoned = None;
        Ok(self.answers(outcomes, self.received_at))
    }

    /// Closes the segment if it is full, or old and worth sealing, so that the sealer can have it; for the writer's
    /// idle moments.
    ///
    /// # Errors
    /// `Poisoned`.
    pub fn tick(&mut self) -> Result<(), AppendError> {
        if let Some(why) = &self.poisoned {
            return Err(AppendError::Poisoned(why.clone()));
        }
        let Some(begun_at) = self.begun_at else { return Ok(()) };
        let config = &self.setup.config;
        let age = (self.setup.clock)().saturating_sub(begun_at) / 1_000_000;
        // Less than a whole bundle cannot be sealed: a segment an hour would be an open file an hour for nothing.
        let worth = whole_bundles(self.size()) > self.tail().base();
        // A full backlog can hang on a bundle that goes on in this segment.
        let pressed = self.tail().backlog().refusal(config).is_some();
        if !(worth && (age >= config.segment_age_ms || pressed) || self.is_full()) {
            return Ok(());
        }
        self.roll().map_err(|e| {
            let why = format!("a new segment: {}", with_causes(&e));
            self.poisoned = Some(why.clone());
            AppendError::Poisoned(why)
        })
    }

    fn admit(&mut self, batches: &[Batch]) -> Result<(), AppendError> {
        let entries: usize = batches.iter().map(|b| b.entries.len()).sum();
        let bytes: usize = batches.iter().map(|b| b.payload.len()).sum();
        if entries > BLOCK_ENTRIES_MAX as usize || bytes as u64 > BLOCK_BYTES_MAX {
            return Err(AppendError::Refused("the batches are more than one block may hold"));
        }
        if let Some(refusal) = self.tail().backlog().refusal(&self.setup.config) {
            return Err(refusal);
        }
        self.look_at_room()
    }

    /// Once a second is enough: a block is far smaller than the watermark. A full disk is looked at each time, so that
    /// appends go on as soon as there is room.
    fn look_at_room(&mut self) -> Result<(), AppendError> {
        let now = (self.setup.clock)();
        if self.room_at.is_some_and(|at| now.abs_diff(at) < ROOM_EVERY_NS) {
            return Ok(());
        }
        self.room_at = None;
        match self.setup.disk.free_bytes(&self.setup.wal) {
            Ok(free) if free < self.setup.config.disk_low_bytes => Err(AppendError::DiskLow),
            // A disk that cannot say how full it is will say so at the write.
            _ => {
                self.room_at = Some(now);
                Ok(())
            }
        }
    }

    /// Entries of the log that have an identity of these batches.
    fn earlier(&mut self, batches: &[Batch]) -> Result<HashMap<[u8; 16], Earlier>, AppendError> {
        let asked = batches.iter().flat_map(|batch| &batch.entries).filter(|entry| !entry.fresh);
        let found = self.store.earlier(asked.map(|entry| &entry.tags.identity));
        found.map_err(|error| match error {
            LookError::Busy(why) => AppendError::Busy(why),
            LookError::Corrupt(corrupt) => {
                self.poisoned = Some(corrupt.to_string());
                AppendError::Poisoned(corrupt.to_string())
            }
        })
    }

    /// Decides what is new, a duplicate or a conflict, within the block too, and keeps what is new.
    fn settle(&self, batches: Vec<Batch>, known: &HashMap<[u8; 16], Earlier>) -> (Vec<Vec<Outcome>>, Vec<Batch>) {
        let mut next = self.size();
        let entries = batches.iter().map(|batch| batch.entries.len()).sum();
        let mut in_block: HashMap<[u8; 16], (u64, [u8; 16]), BuildHasherDefault<TagHasher>> = HashMap::default();
        in_block.reserve(if self.setup.kind == Kind::Audit { entries } else { 0 });
        let mut outcomes = Vec::with_capacity(batches.len());
        let mut kept = Vec::with_capacity(batches.len());
        for mut batch in batches {
            let mut answers = Vec::with_capacity(batch.entries.len());
            let mut keep = Vec::with_capacity(batch.entries.len());
            for entry in &batch.entries {
                let identity = &entry.tags.identity;
                let first = if entry.fresh {
                    None
                } else if let Some(Earlier { index, content, leaf_hash }) = known.get(identity) {
                    Some((*index, *content, *leaf_hash))
                } else {
                    // The leaf hash of an entry of this very block is filled in once the block is built.
                    in_block.get(identity).map(|(index, content)| (*index, *content, Hash([0; 32])))
                };
                let answer = match first {
                    None => Outcome::Appended { index: next, leaf_hash: Hash([0; 32]) },
                    Some((index, content, leaf_hash)) if content == entry.tags.content => {
                        Outcome::Duplicate { index, leaf_hash }
                    }
                    Some((index, ..)) => Outcome::Conflict { index },
                };
                let new = matches!(answer, Outcome::Appended { .. });
                if new {
                    if self.setup.kind == Kind::Audit {
                        in_block.entry(*identity).or_insert((next, entry.tags.content));
                    }
                    next += 1;
                }
                keep.push(new);
                answers.push(answer);
            }
            drop_others(&mut batch, &keep);
            outcomes.push(answers);
            kept.push(batch);
        }
        (outcomes, kept)
    }

    /// Stamps, hashes, extends the tree on a copy. `None` where nothing is left to append.
    fn build(&self, batches: Vec<Batch>) -> Option<Block> {
        let received_at = (self.setup.clock)().max(self.received_at);
        let text = (self.setup.stamp)(received_at);
        let mut rows = Vec::new();
        let mut hashes = Vec::new();
        let mut payloads = Vec::with_capacity(batches.len());
        for mut batch in batches {
            let mut at = 0;
            for entry in &batch.entries {
                let leaf_end = at + entry.leaf_bytes as usize;
                if let Some(slot) = entry.stamp_at {
                    let from = at + slot as usize;
                    batch.payload.get_mut(from..from + STAMP_BYTES)?.copy_from_slice(&text);
                }
                hashes.push(leaf_hash(batch.payload.get(at..leaf_end)?));
                rows.push(Row::of(entry));
                at = leaf_end + entry.body_bytes.unwrap_or(0) as usize;
            }
            self.setup.config.fault(Stage::PayloadBeforeWrite, &mut batch.payload);
            payloads.push(batch.payload);
        }
        if rows.is_empty() {
            return None;
        }
        for hash in &mut hashes {
            self.setup.config.fault(Stage::LeafHashes, &mut hash.0);
        }
        let mut frontier = self.frontier.clone();
        frontier.extend(&hashes);
        let mut root = frontier.root();
        self.setup.config.fault(Stage::Root, &mut root.0);
        let payload_bytes = payloads.iter().map(|p| p.len() as u64).sum();
        let header = BlockHeader {
            count: u32::try_from(rows.len()).ok()?,
            payload_bytes,
            first: self.size(),
            received_at,
            chain: self.chain,
        }
        .encode();
        let table: Vec<u8> = rows.iter().flat_map(Row::encode).collect();
        let chain = chain_after(&header, &table, frontier.size(), &root);
        let commit = Commit { size: frontier.size(), root, received_at, chain }.encode();
        Some(Block { header, table, payloads, commit, rows, hashes, frontier, chain, received_at, payload_bytes })
    }

    /// The commit protocol. The error says which call failed; whoever gets it must poison.
    fn write(&mut self, block: &Block) -> Result<(), String> {
        if self.is_full() {
            self.roll().map_err(|e| format!("a new segment: {}", with_causes(&e)))?;
        }
        let mut parts: Vec<&[u8]> = vec![&block.header, &block.table];
        parts.extend(block.payloads.iter().map(Vec::as_slice));
        parts.push(&block.commit);
        // Crash: nothing on disk, nothing promised.
        let path = self.segment.path.display();
        self.segment.file.write_all_at(&parts, self.offset).map_err(|e| format!("write {path}: {e}"))?;
        let begun = (self.setup.clock)();
        // Crash: torn tail, unacknowledged; recovery leaves it behind in a new segment.
        self.segment.file.sync_data().map_err(|e| format!("fdatasync {path}: {e}"))?;
        // COMMIT POINT. Crash: the entries exist; a resent event gets the same index.
        let sync_ns = (self.setup.clock)().saturating_sub(begun);
        self.wrote = Wrote { bytes: parts.iter().map(|part| part.len() as u64).sum(), sync_ns };
        Ok(())
    }

    fn is_full(&self) -> bool {
        let config = &self.setup.config;
        self.offset >= config.segment_bytes || self.size() - self.segment_start >= config.segment_entries
    }

    /// Closes the segment and goes on in a new one that names where this one ends.
    fn roll(&mut self) -> Result<(), OpenError> {
        let header = SegmentHeader {
            number: self.segment.number + 1,
            previous_end: self.offset,
            size: self.size(),
            root: self.root(),
            chain: self.chain,
            about: self.setup.about,
            created_at: (self.setup.clock)(),
        };
        let made = segment::create(&*self.setup.disk, &self.setup.wal, &header)?;
        self.segment = Arc::new(made);
        self.offset = crate::frame::SEGMENT_HEADER_BYTES as u64;
        self.begun_at = None;
        self.segment_start = self.size();
        let (size, offset) = (self.size(), self.offset);
        self.store.tail_mut().push_segment(Arc::clone(&self.segment), size, offset);
        Ok(())
    }

    /// Makes the block part of what is known. Recovery feeds the same tail by the same call.
    fn apply(&mut self, block: Block) {
        let payload_at = self.offset + (BLOCK_HEADER_BYTES + block.rows.len() * ROW_BYTES) as u64;
        let end = payload_at + block.payload_bytes + COMMIT_BYTES as u64;
        let first = self.frontier.size();
        self.store.tail_mut().push_block(first, payload_at, end, block.rows.iter(), &block.hashes);
        self.offset = end;
        self.frontier = block.frontier;
        self.chain = block.chain;
        self.received_at = block.received_at;
        self.begun_at.get_or_insert(block.received_at);
    }

    fn answers(&self, outcomes: Vec<Vec<Outcome>>, received_at: u64) -> Vec<Committed> {
        // An entry of this block is in the tail until it is published; an earlier one was looked up.
        let tail = self.tail();
        let known = |index: u64, hash: Hash| tail.hash(index).unwrap_or(hash);
        let fill = |outcome: Outcome| match outcome {
            Outcome::Appended { index, leaf_hash } => Outcome::Appended { index, leaf_hash: known(index, leaf_hash) },
            Outcome::Duplicate { index, leaf_hash } => Outcome::Duplicate { index, leaf_hash: known(index, leaf_hash) },
            conflict @ Outcome::Conflict { .. } => conflict,
        };
        let size = self.size();
        let all = outcomes.into_iter().map(|o| o.into_iter().map(fill).collect());
        all.map(|outcomes| Committed { received_at, size, outcomes }).collect()
    }

    /// Stored entries of a range, cut at `READ_BYTES_MAX` bytes (at least one); read from disk.
    ///
    /// # Errors
    /// `BeyondTree`, `Io`, `Corrupt`.
    pub fn entries(&self, range: std::ops::Range<u64>) -> Result<Vec<Entry>, ReadError> {
        self.store.entries(range)
    }

    /// Leaf hashes of a range; `None` unless all of it exists.
    pub fn leaf_hashes(&self, range: std::ops::Range<u64>) -> Option<Vec<Hash>> {
        self.store.hashes(range).ok()
    }
}

/// Takes duplicates and conflicts out of a batch.
fn drop_others(batch: &mut Batch, keep: &[bool]) {
    if keep.iter().all(|k| *k) {
        return;
    }
    let mut smaller = Batch::default();
    let mut at = 0;
    for (entry, keep) in batch.entries.iter().zip(keep) {
        let end = at + entry.leaf_bytes as usize + entry.body_bytes.unwrap_or(0) as usize;
        if *keep && let Some(bytes) = batch.payload.get(at..end) {
            smaller.payload.extend_from_slice(bytes);
            smaller.entries.push(*entry);
        }
        at = end;
    }
    *batch = smaller;
}
