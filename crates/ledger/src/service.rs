//! The running ledger: its threads, its queue and the cheap handle.
//!
//! Decides nothing itself: the cores are plain functions that a simulator drives without threads.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tlog::{Checkpoint, CheckpointSigner, Hash};

use crate::about;
use crate::checkpoints::CheckpointLog;
use crate::config::Config;
use crate::durable::{Disk, yield_to_others};
use crate::error::Corrupt;
use crate::error::{OpenError, ReadError, with_causes};
use crate::limits;
use crate::pin::Pin;
use crate::publish::{Publisher, percentiles};
use crate::recheck::Recheck;
use crate::recover::{Known, recover_walk};
use crate::sealer::{SealError, Sealer, Sealing};
use crate::segment::{Checks, Taken};
use crate::shared::{Pending, Shared, lock};
use crate::types::{
    About, AppendError, Batch, BodyDigest, Clock, Done, Entry, Mac, Published, Signed, Signer, Stamp, Status,
    Verification, Watch,
};
use crate::writer::{Checked, Setup, Writer};

/// How long an idle sequencer sleeps before it looks whether its segment is old.
const IDLE: Duration = Duration::from_secs(1);

/// The sealer tries again after this long at first, and twice as long each time.
const SEAL_AGAIN: Duration = Duration::from_secs(1);
/// The longest pause between two attempts: a full disk that was cleared is noticed within it.
const SEAL_AGAIN_MAX: Duration = Duration::from_secs(60);

/// How often the verifier asks again for a sealed file that cannot be read.
const READ_AGAIN: u32 = 3;

/// What a ledger needs from outside.
#[derive(Clone)]
pub struct Doors {
    /// File calls.
    pub disk: Arc<dyn Disk>,
    /// Nanoseconds since 1970.
    pub clock: Clock,
    /// The digest that a leaf names for its body.
    pub body_digest: BodyDigest,
    /// Text for the slot that a leaf left empty.
    pub stamp: Stamp,
    /// MAC over files in `views/`.
    pub views_mac: Mac,
    /// Signs this ledger's checkpoints.
    pub signer: Arc<dyn Signer>,
    /// The pin of the data folder.
    pub pin: Arc<Pin>,
}

/// Which ledger of which data folder.
#[derive(Clone, Debug)]
pub struct Place {
    /// The data folder.
    pub data: PathBuf,
    /// Folder name of the ledger.
    pub ulid: String,
}

/// What opening found.
#[derive(Clone, Debug, Default)]
pub struct OpenReport {
    /// Sentences for the operator: a torn tail left behind, a first start accepted, unfinished files removed.
    pub notes: Vec<String>,
    /// No pin knew this ledger and the first start was accepted.
    pub first_start: bool,
}

/// Handle of one open ledger; clones share it.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
    threads: Arc<Mutex<Option<Threads>>>,
}

struct Threads {
    writer: JoinHandle<()>,
    publisher: JoinHandle<Publisher>,
    sealer: JoinHandle<()>,
    stop: Arc<AtomicBool>,
    stop_sealer: Arc<AtomicBool>,
}

/// Ends a watch when dropped.
pub struct Subscription {
    id: u64,
    shared: Arc<Shared>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        lock(&self.shared.watches).retain(|(id, _)| *id != self.id);
    }
}

impl Ledger {
    /// Opens a ledger: recovers, compares with pin and last checkpoint, publishes what is there, starts its threads.
    /// Blocking.
    pub fn open(place: &Place, config: Config, doors: Doors) -> Result<(Ledger, OpenReport), OpenError> {
        let (shared, writer, mut publisher, report) = recover_ledger(place, config, doors)?;
        publisher.watch_disk();
        let io = |source| OpenError::Io { call: "start", path: place.data.clone(), source };
        publisher.publish().map_err(|reason| io(std::io::Error::other(reason)))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let recheck = shared.config.verify_sealed.then(|| writer.recheck());
        let sealer = writer.sealer();
        let stop_sealer = sealer.stop();
        let name = |what: &str| std::thread::Builder::new().name(what.to_owned());
        let publisher = name("publisher").spawn(move || run_publisher(publisher, &stopped)).map_err(io)?;
        let writer = name("sequencer")
            .spawn({
                let shared = Arc::clone(&shared);
                move || run_writer(&shared, writer)
            })
            .map_err(io)?;
        let sealer = name("sealer")
            .spawn({
                let shared = Arc::clone(&shared);
                move || run_sealer(&shared, sealer)
            })
            .map_err(io)?;
        if let Some(recheck) = recheck {
            // Nobody waits for its end: it only reads, and with its priority a set can take long.
            let (shared, stop) = (Arc::clone(&shared), Arc::clone(&stop));
            name("verifier").spawn(move || run_verifier(&shared, recheck, &stop)).map_err(io)?;
        }
        let threads = Threads { writer, publisher, sealer, stop, stop_sealer };
        let threads = Arc::new(Mutex::new(Some(threads)));
        Ok((Ledger { shared, threads }, report))
    }

    /// What the ledger is.
    pub fn about(&self) -> &About {
        &self.shared.about
    }

    /// Queues a batch; `done` runs once, on the sequencer's thread, when it is durable or refused. Does not block
    /// on the disk. Checks limits and body digests on the caller's thread.
    pub fn submit(&self, batch: Batch, done: Done) {
        // Before anything is hashed: a caller that comes back too early must not cost what an append costs.
        if let Some(refusal) = self.shared.refusal() {
            return done(Err(refusal));
        }
        match Checked::new(self.shared.about.kind, &self.shared.doors.body_digest, batch) {
            Ok(checked) => self.shared.push(Pending::new(checked, done)),
            Err(refused) => done(Err(refused)),
        }
    }

    /// Entries that are durable.
    pub fn size(&self) -> u64 {
        self.shared.size.load(Ordering::Acquire)
    }

    /// The last shown checkpoint.
    pub fn checkpoint(&self) -> Arc<Signed> {
        Arc::clone(&self.shared.shown().signed)
    }

    /// Calls back once a checkpoint covers `size` entries (at once if one does), or fails.
    pub fn wait_published(&self, size: u64, done: Published) {
        let mut shown = self.shared.shown();
        let answer = if shown.signed.size >= size {
            Ok(Arc::clone(&shown.signed))
        } else if let Some(reason) = self.shared.poisoned() {
            Err(AppendError::Poisoned(reason.clone()))
        } else if lock(&self.threads).is_none() {
            Err(AppendError::Closing)
        } else if shown.waiters.len() >= limits::WAITERS_MAX {
            Err(AppendError::Busy("too many wait for a checkpoint"))
        } else {
            shown.waiters.push((size, done));
            drop(shown);
            return self.shared.wake_publisher();
        };
        drop(shown);
        done(answer);
    }

    /// One stored entry below `size()`.
    pub fn entry(&self, index: u64) -> Result<Entry, ReadError> {
        let beyond = || ReadError::BeyondTree { asked: index, size: self.size() };
        let end = index.checked_add(1).ok_or_else(beyond)?;
        self.shared.read_entries(index..end)?.pop().ok_or_else(beyond)
    }

    /// Stored entries of a range, cut at `READ_BYTES_MAX` bytes (at least one).
    pub fn entries(&self, range: Range<u64>) -> Result<Vec<Entry>, ReadError> {
        self.shared.read_entries(range)
    }

    /// Leaf hash of one entry below `size()`.
    pub fn leaf_hash(&self, index: u64) -> Result<Hash, ReadError> {
        self.shared.store.hash(index)
    }

    /// Hash tile `tile/<level>/<index>[.p/<width>]` of the published tree: `width` hashes of 32 bytes.
    pub fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, ReadError> {
        self.shared.read_tile(level, index, width)
    }

    /// Entry bundle of the published tree, not compressed.
    pub fn bundle(&self, index: u64, width: u16) -> Result<Vec<u8>, ReadError> {
        self.shared.read_bundle(index, width)
    }

    /// Entry bundle of the published tree as one gzip member.
    pub fn bundle_gzip(&self, index: u64, width: u16) -> Result<Vec<u8>, ReadError> {
        self.shared.read_bundle_gzip(index, width)
    }

    /// Bodies of a bundle of the published tree: `u32be length, body` per entry, length `0xFFFFFFFF` = absent. From
    /// the `from`-th on, cut at `READ_BYTES_MAX` bytes (at least one); also returns how far that is.
    pub fn bodies(&self, index: u64, width: u16, from: u16) -> Result<(Vec<u8>, u16), ReadError> {
        self.shared.read_bodies(index, width, from)
    }

    /// Inclusion proof of `index` in the tree of `size` (at most the published size).
    pub fn prove(&self, index: u64, size: u64) -> Result<Vec<Hash>, ReadError> {
        self.shared.read_proof(index, size)
    }

    /// Consistency proof between two sizes, the later at most the published size.
    pub fn consistency(&self, from: u64, to: u64) -> Result<Vec<Hash>, ReadError> {
        self.shared.read_consistency(from, to)
    }

    /// Calls `watch` with the new size after each commit, on the sequencer's thread, until the result is dropped.
    /// `watch` must neither block nor drop its own subscription.
    pub fn subscribe(&self, watch: Watch) -> Subscription {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        lock(&self.shared.watches).push((id, watch));
        Subscription { id, shared: Arc::clone(&self.shared) }
    }

    /// Figures for status and metrics.
    pub fn status(&self) -> Status {
        let shared = &self.shared;
        let (sync_p50_ns, sync_p99_ns) = percentiles(shared);
        let (published_size, published_at) = {
            let shown = shared.shown();
            (shown.signed.size, shown.at)
        };
        let sealing = shared.sealing().clone();
        Status {
            size: self.size(),
            published_size,
            published_at,
            sealed_size: shared.store.sealed().end(),
            backlog_bytes: shared.backlog.bytes(),
            queue_bytes: shared.queue_bytes(),
            immutable: sealing.immutable,
            poisoned: shared.poisoned().cloned(),
            disk_low: self.shared.disk_low.load(Ordering::Relaxed),
            sealer_waits: sealing.waits,
            verification: lock(&shared.verification).clone(),
            blocks: shared.blocks.load(Ordering::Relaxed),
            bytes_written: shared.bytes_written.load(Ordering::Relaxed),
            sync_p50_ns,
            sync_p99_ns,
        }
    }

    /// Drains the queue, publishes a checkpoint over everything, stops the threads. Blocking; a second call is a
    /// no-op.
    pub fn close(&self) -> Result<(), AppendError> {
        let Some(threads) = lock(&self.threads).take() else { return Ok(()) };
        self.shared.close_queue();
        threads.stop_sealer.store(true, Ordering::Release);
        self.shared.wake_sealer();
        let failed = |what: &str| AppendError::Poisoned(format!("the {what} panicked"));
        let written = threads.writer.join().map_err(|_| failed("writer"));
        threads.stop.store(true, Ordering::Release);
        self.shared.wake_publisher();
        self.shared.wake_sealer();
        let publisher = threads.publisher.join().map_err(|_| failed("publisher"));
        let sealed = threads.sealer.join().map_err(|_| failed("sealer"));
        written?;
        sealed?;
        publisher?.publish().map_err(AppendError::Poisoned)?;
        let waiters = std::mem::take(&mut self.shared.shown().waiters);
        waiters.into_iter().for_each(|(_, done)| done(Err(AppendError::Closing)));
        Ok(())
    }
}

fn run_writer(shared: &Shared, mut writer: Writer) {
    let _guard = Guard(shared, "writer");
    while let Some(group) = shared.take(IDLE) {
        let wrote = !group.is_empty();
        // Any other error refused the group as a whole: nothing was written, the next group may fit.
        let committed = if wrote { commit_group(shared, &mut writer, group) } else { Ok(()) };
        for result in [committed, writer.tick()] {
            if let Err(AppendError::Poisoned(reason)) = result {
                return shared.poison(reason);
            }
        }
        if wrote {
            shared.wake_publisher();
        }
    }
}

fn run_sealer(shared: &Shared, mut sealer: Sealer) {
    let _guard = Guard(shared, "sealer");
    let stop = sealer.stop();
    let mut pause = SEAL_AGAIN;
    while !stop.load(Ordering::Acquire) && shared.poisoned().is_none() {
        let published = shared.shown().signed.size;
        let result = sealer.step(published);
        shared.sealing().immutable = sealer.immutable();
        match result {
            Ok(done) => {
                shared.sealing().waits = None;
                pause = SEAL_AGAIN;
                if done == Sealing::Idle {
                    shared.sleep_sealer(IDLE);
                }
            }
            // The disk may come back; the segments hold everything meanwhile, and a full backlog answers `Busy`.
            Err(SealError::Waits(why)) => {
                shared.sealing().waits = Some(why);
                shared.rest(pause, &stop);
                pause = (pause * 2).min(SEAL_AGAIN_MAX);
            }
            Err(SealError::Damage(why)) => shared.poison(why),
        }
    }
}

fn run_verifier(shared: &Shared, mut recheck: Recheck, stop: &AtomicBool) {
    let _guard = Guard(shared, "verifier");
    yield_to_others();
    let mut failures = 0;
    while !stop.load(Ordering::Acquire) && shared.poisoned().is_none() {
        let checked = recheck.checked();
        *lock(&shared.verification) = Verification::Running { checked };
        match recheck.step() {
            Ok(true) => failures = 0,
            Ok(false) => {
                *lock(&shared.verification) = Verification::Whole { checked };
                return;
            }
            Err(OpenError::Io { .. }) if failures < READ_AGAIN => {
                failures += 1;
                shared.rest(SEAL_AGAIN, stop);
            }
            // A file that cannot be read at all is no better than a damaged one.
            Err(error) => {
                let what = format!("sealed files: {}", with_causes(&error));
                *lock(&shared.verification) = Verification::Failed(what.clone());
                shared.poison(what);
            }
        }
    }
}

fn run_publisher(mut publisher: Publisher, stop: &AtomicBool) -> Publisher {
    let shared = Arc::clone(&publisher.shared);
    let _guard = Guard(&shared, "publisher");
    while !stop.load(Ordering::Acquire) && shared.poisoned().is_none() {
        publisher.watch_disk();
        match publisher.due_in_ms() {
            0 if publisher.publish().is_err() => break,
            0 => {}
            ms => shared.sleep_publisher(Duration::from_millis(ms.min(shared.config.publish_wait_ms))),
        }
    }
    publisher
}

/// Recovers the folder and compares it with pin and checkpoint log; signs nothing yet.
fn recover_ledger(
    place: &Place,
    config: Config,
    doors: Doors,
) -> Result<(Arc<Shared>, Writer, Publisher, OpenReport), OpenError> {
    let ledgers = place.data.join("ledgers");
    let dir = ledgers.join(&place.ulid);
    let (about, digest) = about::read(&*doors.disk, &ledgers, &place.ulid)?;
    let checkpoints = dir.join("checkpoints");
    let log = CheckpointLog::open(&doors.disk, &checkpoints)?;
    let mut known = Vec::new();
    let mut last = Signed { size: 0, root: Hash::EMPTY_ROOT, note: String::new() };
    if let Some(note) = log.last() {
        let (size, root) = doors
            .signer
            .check(&about.origin, note.as_bytes())
            .ok_or_else(|| Corrupt::at(&checkpoints, 0, None, "the last checkpoint is not signed by our keys"))?;
        known.push(Known { size, root, by: "checkpoint log" });
        last = Signed { size, root, note: note.to_owned() };
    }
    let pinned = doors.pin.last(&about.origin);
    known.extend(pinned.map(|(size, root)| Known { size, root, by: "pin" }));
    let setup = Setup {
        disk: Arc::clone(&doors.disk),
        wal: dir.join("wal"),
        sealed: dir.join("sealed"),
        origin: about.origin.clone(),
        ulid: place.ulid.clone(),
        views: place.data.join("views").join(&place.ulid),
        views_mac: Arc::clone(&doors.views_mac),
        about: digest,
        kind: about.kind,
        config: config.clone(),
        clock: Arc::clone(&doors.clock),
        stamp: Arc::clone(&doors.stamp),
        body_digest: Arc::clone(&doors.body_digest),
    };
    let (writer, recovered, walk) = recover_walk(&setup, &known)?;
    let mut report = OpenReport { notes: recovered.notes, first_start: false };
    // DESIGN 5, Rollback: no pin means an explicit first start; an empty ledger implies it.
    if pinned.is_none() && (recovered.size > 0 || log.last().is_some()) {
        if !config.accept_first_start {
            return Err(OpenError::NoPin { origin: about.origin });
        }
        report.first_start = true;
        report.notes.push(format!("no pin knew {}; the first start was accepted", about.origin));
    }
    let checks = Checks { kind: about.kind, body_digest: Arc::clone(&doors.body_digest) };
    let shared = Arc::new(Shared::new(about, config, doors, writer.store(), last));
    let at = writer.at();
    let taken = Taken::from_device();
    let publisher = Publisher { shared: Arc::clone(&shared), checks, walk, at, log, taken, room_at: None };
    Ok((shared, writer, publisher, report))
}

/// A panic in the sequencer, publisher, sealer or verifier poisons its ledger.
struct Guard<'a>(&'a Shared, &'static str);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison(format!("the {} panicked", self.1));
        }
    }
}

/// One block: commits the group, makes it seen, answers.
fn commit_group(shared: &Shared, writer: &mut Writer, mut group: Vec<Pending>) -> Result<(), AppendError> {
    if let Some(reason) = shared.poisoned() {
        return Err(AppendError::Poisoned(reason.clone()));
    }
    let before = shared.size.load(Ordering::Acquire);
    let batches = group.iter_mut().filter_map(Pending::take_batch).collect();
    match writer.commit_checked(batches) {
        Ok(answers) => {
            let size = writer.size();
            shared.size.store(size, Ordering::Release);
            if size > before {
                shared.count_block(writer.wrote());
            }
            group.into_iter().zip(answers).for_each(|(pending, answer)| pending.answer(Ok(answer)));
            if size > before {
                lock(&shared.watches).iter().for_each(|(_, watch)| watch(size));
            }
            Ok(())
        }
        Err(error) => {
            group.into_iter().for_each(|pending| pending.answer(Err(error.clone())));
            Err(error)
        }
    }
}

impl Signer for CheckpointSigner {
    fn sign(&self, origin: &str, size: u64, root: &Hash, unix_seconds: u64) -> String {
        CheckpointSigner::sign(self, &Checkpoint { origin: origin.to_owned(), size, root: *root }, unix_seconds)
    }

    fn check(&self, origin: &str, note: &[u8]) -> Option<(u64, Hash)> {
        let checkpoint = tlog::verify_checkpoint(note, &self.vkeys(), Some(origin)).ok()?;
        Some((checkpoint.size, checkpoint.root))
    }
}
