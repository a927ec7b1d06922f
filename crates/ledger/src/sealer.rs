//! The sealer's core: takes closed segments whose entries are under a signed checkpoint, writes them as sealed sets,
//! enters their identities into the duplicate index, and releases the segments that are sealed to their last entry.
//!
//! A plain object over `Disk`: no thread and no clock, so that a simulator can drive it. It reads the segments again by
//! length and chain, and hashes each leaf and body once: as it lies in the finished files, against the leaf hashes that
//! the publisher has compared. Where that fails, it does so once more and hashes what it reads from the segments too,
//! which tells damage there from damage on the way. It signs nothing and appends nothing.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::dedup::Merge;
use crate::error::{OpenError, with_causes};
use crate::frame::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::sealed::{self, SealedSets, SetSpec, SetWriter};
use crate::second::SecondTree;
use crate::segment::{self, Checks, Skim, Step, Taken, Walk};
use crate::store::Store;
use crate::tail::{Segment, whole_bundles};
use crate::writer::Setup;

/// What one step of the sealer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// Nothing is due.
    Idle,
    /// Something was done; another step may have more to do.
    Worked,
}

/// Why a step was not done. Nothing is lost by either: the segments still hold every entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// May be tried again: a disk call failed, or what was just written was read back otherwise.
    #[error("the sealer waits: {0}")]
    Waits(String),
    /// Stored bytes below the last checkpoint are not what they were: nothing may be signed over them.
    #[error("damage: {0}")]
    Damage(String),
}

/// The one sealer of a ledger.
pub struct Sealer {
    setup: Setup,
    store: Store,
    checks: Checks,
    cursor: Option<Cursor>,
    /// Hash what is read from the segments.
    careful: bool,
    /// The attempt failed because bytes were not the ones that were hashed.
    doubt: bool,
    merge: Option<Merge>,
    immutable: Immutable,
    stop: Arc<AtomicBool>,
}

/// Where in the segments the next set begins, or a block before it.
#[derive(Clone)]
struct Cursor {
    skim: Skim,
    /// The same place, hashed: of a careful attempt.
    walk: Option<Walk>,
    number: u64,
    offset: u64,
}

/// Whether sealed leaf and tile files carry the immutable attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Immutable {
    /// Wanted; sets of earlier runs were not looked at yet.
    Unknown,
    /// Every sealed leaf and tile file so far.
    All,
    /// Not wanted, or refused once: not tried again before the next start.
    No,
}

impl Sealer {
    pub(crate) fn new(setup: &Setup, store: Store) -> Sealer {
        let checks = Checks { kind: setup.kind, body_digest: Arc::clone(&setup.body_digest) };
        let immutable = if setup.config.immutable { Immutable::Unknown } else { Immutable::No };
        let (setup, stop) = (setup.clone(), Arc::default());
        Sealer { setup, store, checks, cursor: None, careful: false, doubt: false, merge: None, immutable, stop }
    }

    /// Ends a step between two blocks when set: it then says that it waits.
    pub(crate) fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Sealed leaf and tile files are immutable, all of them; false while there is none.
    pub fn immutable(&self) -> bool {
        self.immutable == Immutable::All && self.store.sealed().end() > 0
    }

    /// Does the next thing that is due, given the size of the last signed and recorded checkpoint. Blocking. A crash
    /// at any point is safe, and a step that failed is done again from its start.
    ///
    /// # Errors
    /// `Waits`, `Damage`.
    pub fn step(&mut self, published: u64) -> Result<Sealing, SealError> {
        if self.immutable == Immutable::Unknown {
            self.make_immutable();
        }
        if let Some(dedup) = self.store.dedup()
            && dedup.fill(&self.store.sealed()).map_err(|e| failed_read(&e))?
        {
            return Ok(Sealing::Worked);
        }
        if self.release()? {
            return Ok(Sealing::Worked);
        }
        let Some(target) = self.due(published) else { return self.merge() };
        let mut result = self.seal(target);
        if std::mem::take(&mut self.doubt) {
            (self.cursor, self.careful) = (None, true);
            result = self.seal(target);
            (self.doubt, self.careful) = (false, false);
        }
        if result.is_err() {
            self.cursor = None;
        }
        result.map(|()| Sealing::Worked)
    }

    /// Up to where the closed segments can be sealed now: about one segment's bytes, whole bundles, published.
    fn due(&self, published: u64) -> Option<u64> {
        let sealed = self.store.sealed().end();
        let tail = self.store.tail();
        let (mut bytes, mut target) = (0, sealed);
        for segment in tail.segments().filter(|s| s.closed && s.end > sealed) {
            let full = target > sealed && bytes + segment.end_offset > self.setup.config.segment_bytes;
            if full || whole_bundles(segment.end) > published {
                break;
            }
            bytes += segment.end_offset;
            target = target.max(whole_bundles(segment.end));
        }
        (target > sealed).then_some(target)
    }

    /// Writes one set and takes it up. Its root is worked out from the leaf hashes that the publisher has compared.
    fn seal(&mut self, target: u64) -> Result<(), SealError> {
        let sealed = self.store.sealed();
        let hashes = self.store.tail().hashes(sealed.end()..target);
        let hashes = hashes.ok_or_else(|| waits("the tail does not hold what is to be sealed"))?;
        self.remove_attempt(&sealed)?;
        let spec = SetSpec {
            origin: self.setup.origin.clone(),
            kind: self.setup.kind,
            frontier: sealed.frontier().clone(),
            end: target,
            previous: sealed.last_digest(),
            gzip_level: self.setup.config.gzip_level,
            zstd_level: self.setup.config.zstd_level,
            threads: self.setup.config.seal_threads,
        };
        let mut set = SetWriter::begin(&self.setup.disk, &self.setup.sealed, spec).map_err(|e| failed(&e))?;
        let mut cursor = match self.cursor.take() {
            Some(cursor) => cursor,
            None => self.first_cursor(&sealed)?,
        };
        // The first attempt reads what the publisher has compared, through the cache; a second one asks the device.
        let mut taken = if self.careful { Taken::from_device() } else { Taken::default() };
        let mut behind = None;
        while cursor.skim.size < target {
            if self.stop.load(Ordering::Acquire) {
                return Err(waits("the ledger is closing"));
            }
            let before = cursor.clone();
            self.block(&mut cursor, &mut taken)?;
            let received_at = cursor.skim.received_at;
            for (index, leaf, body, tags) in taken.entries() {
                let at = index.checked_sub(sealed.end()).and_then(|at| usize::try_from(at).ok());
                if let Some(hash) = at.and_then(|at| hashes.get(at)) {
                    if index.is_multiple_of(sealed::BUNDLE) {
                        let bytes = self.store.tail().bodies_bytes(index..index + sealed::BUNDLE);
                        set.expect_bodies(bytes.unwrap_or(0)).map_err(|e| failed(&e))?;
                    }
                    set.push_hashed(leaf, *hash, body, tags, received_at).map_err(|e| failed(&e))?;
                }
            }
            behind = Some(cursor.skim.clone());
            if cursor.skim.size > target {
                // The rest of this block belongs to the next set.
                cursor = before;
                break;
            }
        }
        self.compare_root(&mut set, target, behind)?;
        // Crash: files without a manifest, removed at the next start. Behind it: the set exists, and the segments too.
        let manifest = set.finish(&self.setup.body_digest, None).map_err(|e| {
            self.doubt = matches!(e, OpenError::Corrupt(_));
            failed(&e)
        })?;
        let mut sets = SealedSets::clone(&sealed);
        let immutable = sets.add(&manifest, self.immutable != Immutable::No);
        if !immutable {
            self.immutable = Immutable::No;
        }
        self.store.take_up(sets);
        self.cursor = Some(Cursor { walk: None, ..cursor });
        Ok(())
    }

    /// The hashes that the set was made with, and those behind it, must give the root of the last commit record read.
    fn compare_root(&mut self, set: &mut SetWriter, target: u64, behind: Option<Skim>) -> Result<(), SealError> {
        let behind = behind.ok_or_else(|| waits("nothing was read that is to be sealed"))?;
        let rest = self.store.tail().hashes(target..behind.size);
        let mut frontier = set.flush().map_err(|e| failed(&e))?.clone();
        frontier.extend(&rest.ok_or_else(|| waits("the tail does not hold what was read"))?);
        if frontier.root() == behind.root {
            return Ok(());
        }
        self.doubt = true;
        Err(waits(format!("the leaf hashes up to entry {target} do not give the root of the segment")))
    }

    /// Takes the next block, entering the next segment where one ends.
    fn block(&self, cursor: &mut Cursor, taken: &mut Taken) -> Result<(), SealError> {
        loop {
            let (segment, next) = self.segments(cursor.number)?;
            if segment.file.number > cursor.number {
                // The one before was sealed to its end and released.
                enter(cursor, &segment)?;
            }
            let path = segment.file.path.display();
            let file = &segment.file.file;
            let (offset, end) = (cursor.offset, segment.end_offset);
            let config = &self.setup.config;
            let step = match &mut cursor.walk {
                None => cursor.skim.step(config, file, offset, end, taken),
                Some(walk) => walk.step(&self.checks, config, file, offset, end, taken),
            };
            match step.map_err(|e| waits(format!("read {path}: {e}")))? {
                Step::Block { next } => {
                    cursor.offset = next;
                    if let Some(walk) = &cursor.walk {
                        cursor.skim = Skim::of(walk);
                        self.compare(&segment, taken)?;
                    }
                    return Ok(());
                }
                Step::Fails { index, what } => {
                    return Err(SealError::Damage(format!("{path} at byte {offset}, entry {index}: {what}")));
                }
                Step::End => enter(cursor, &next.ok_or_else(|| waits("the entries to be sealed are not there"))?)?,
            }
        }
    }

    /// What was read from the disk must be what the publisher has compared and signed.
    fn compare(&self, segment: &Segment, taken: &Taken) -> Result<(), SealError> {
        let tail = self.store.tail();
        let sealed = tail.base().saturating_sub(taken.first);
        let hashes = taken.hashes.get(usize::try_from(sealed).unwrap_or(usize::MAX)..).unwrap_or_default();
        if hashes.is_empty() || tail.agrees(taken.first + sealed, hashes) {
            return Ok(());
        }
        let (path, first) = (segment.file.path.display(), taken.first);
        Err(SealError::Damage(format!("{path}: a leaf from entry {first} on is not the one that was hashed")))
    }

    /// A segment of the tail, or the next one if it was released, and the one behind it.
    fn segments(&self, number: u64) -> Result<(Segment, Option<Segment>), SealError> {
        let tail = self.store.tail();
        let mut at = tail.segments().skip_while(|s| s.file.number < number).cloned();
        let segment = at.next().ok_or_else(|| waits("a segment to be sealed is not open"))?;
        Ok((segment, at.next()))
    }

    /// After a start or a failure: the start of the first segment that holds an unsealed entry.
    fn first_cursor(&self, sealed: &SealedSets) -> Result<Cursor, SealError> {
        let segment = self.store.tail().segments().find(|s| s.end > sealed.end()).cloned();
        let segment = segment.ok_or_else(|| waits("no segment is to be sealed"))?;
        let path = segment.file.path.display();
        let header = segment::read_header(&*segment.file.file).map_err(|e| waits(format!("read {path}: {e}")))?;
        let damage = |what: &str| SealError::Damage(format!("{path} at byte 0: {what}"));
        let header = header.map_err(damage)?;
        let (before, leaves) = sealed.tree_at(header.size).map_err(|e| failed_read(&e))?;
        let tree = SecondTree::from_peaks(before.size(), before.hashes().to_vec());
        let mut tree = tree.ok_or_else(|| damage("no tree of whole bundles before it"))?;
        leaves.into_iter().for_each(|leaf| tree.push(leaf));
        if tree.root() != header.root {
            return Err(damage("the sealed hashes do not give the root that the segment begins with"));
        }
        let received_at = sealed.received_before(header.size).map_err(|e| failed_read(&e))?;
        let walk = Walk { tree, chain: header.chain, received_at };
        let (skim, walk) = (Skim::of(&walk), self.careful.then_some(walk));
        Ok(Cursor { skim, walk, number: segment.file.number, offset: SEGMENT_HEADER_BYTES as u64 })
    }

    /// An attempt that failed after its manifest got its name, but before that was known to be durable, is undone
    /// before any of its files is touched.
    fn remove_attempt(&self, sealed: &SealedSets) -> Result<(), SealError> {
        let (disk, dir) = (&self.setup.disk, &self.setup.sealed);
        let path = dir.join(sealed::file_name(sealed.end(), "seal"));
        if disk.exists(&path).map_err(|e| io_waits("stat", &path, &e))? {
            disk.remove(&path).map_err(|e| io_waits("remove", &path, &e))?;
            disk.sync_dir(dir).map_err(|e| io_waits("fsync", dir, &e))?;
        }
        Ok(())
    }

    /// Removes the segments that are sealed to their last entry, oldest first, and forgets the entries that are.
    fn release(&mut self) -> Result<bool, SealError> {
        // Every identity that leaves the tail is in the index: `fill` had nothing to do.
        let below = self.store.sealed().end();
        if below == 0 {
            // A first segment that holds a torn tail alone ends at 0 too: it stays, for the log begins with number 1.
            return Ok(false);
        }
        let done: Vec<Segment> = {
            let tail = self.store.tail();
            let done: Vec<_> = tail.segments().take_while(|s| s.closed && s.end <= below).cloned().collect();
            if done.is_empty() && tail.base() == below {
                return Ok(false);
            }
            done
        };
        for segment in done {
            let path = &segment.file.path;
            match self.setup.disk.remove(path) {
                // Removed by an attempt whose folder sync failed.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                other => other.map_err(|e| io_waits("remove", path, &e))?,
            }
            // Crash: some of the oldest are gone. One sync each, so that no later one is gone before an earlier one.
            let wal = &self.setup.wal;
            self.setup.disk.sync_dir(wal).map_err(|e| io_waits("fsync", wal, &e))?;
        }
        self.store.tail_mut().release(below);
        Ok(true)
    }

    /// Goes on with the merge of the duplicate index that is under way, or begins one that is due.
    fn merge(&mut self) -> Result<Sealing, SealError> {
        let Some(dedup) = self.store.dedup() else { return Ok(Sealing::Idle) };
        let Some(mut merge) = self.merge.take().or_else(|| dedup.merge_due()) else { return Ok(Sealing::Idle) };
        if !dedup.merge(&mut merge).map_err(|e| failed(&e))? {
            self.merge = Some(merge);
        }
        Ok(Sealing::Worked)
    }

    /// Sets that were sealed before this start.
    fn make_immutable(&mut self) {
        let sealed = self.store.sealed();
        let all = sealed.ranges().iter().all(|range| sealed.make_immutable(range.start).is_ok());
        self.immutable = if all { Immutable::All } else { Immutable::No };
    }
}

/// Goes on at the start of the next segment, which must begin at the very end reached.
fn enter(cursor: &mut Cursor, next: &Segment) -> Result<(), SealError> {
    let path = next.file.path.display();
    let header = segment::read_header(&*next.file.file).map_err(|e| waits(format!("read {path}: {e}")))?;
    let at = &cursor.skim;
    let joins = |h: &SegmentHeader| (h.size, h.root, h.chain) == (at.size, at.root, at.chain);
    if !header.as_ref().is_ok_and(joins) {
        return Err(SealError::Damage(format!("{path} at byte 0: not the header of the segment that follows")));
    }
    (cursor.number, cursor.offset) = (next.file.number, SEGMENT_HEADER_BYTES as u64);
    Ok(())
}

fn waits(why: impl Into<String>) -> SealError {
    SealError::Waits(why.into())
}

fn io_waits(call: &str, path: &Path, error: &io::Error) -> SealError {
    waits(format!("{call} {}: {error}", path.display()))
}

/// Writing failed, or what was written was read back otherwise: the attempt is made again from the segments.
fn failed(error: &OpenError) -> SealError {
    waits(with_causes(error))
}

/// What was sealed before cannot be read, or is damaged.
fn failed_read(error: &OpenError) -> SealError {
    match error {
        OpenError::Corrupt(corrupt) => SealError::Damage(corrupt.to_string()),
        other => failed(other),
    }
}
