//! What the threads of one ledger share: the queue, the stored log, the shown checkpoint, the poison.
//!
//! Runs no thread and touches no disk.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLockReadGuard};
use std::time::Duration;

use crate::config::Config;
use crate::handover::{Handover, Item, Refused, Share};
use crate::limits;
use crate::service::Doors;
use crate::store::Store;
use crate::tail::{Backlog, Tail};
use crate::types::{About, AppendError, Committed, Done, Published, Signed, Verification, Watch};
use crate::writer::{Checked, Wrote};

/// Syncs that percentiles are taken over.
const SYNCS_KEPT: usize = 1_024;

/// A batch and whom to tell. Dropped without an answer (a panic, a poisoned queue), it answers `Poisoned`.
pub(crate) struct Pending {
    /// Until the sequencer takes it.
    batch: Option<Checked>,
    bytes: u64,
    entries: usize,
    done: Option<Done>,
}

impl Pending {
    pub(crate) fn new(batch: Checked, done: Done) -> Pending {
        let entries = batch.len();
        let bytes = batch.payload_bytes() as u64 + entries as u64 * 48;
        Pending { batch: Some(batch), bytes, entries, done: Some(done) }
    }

    pub(crate) fn take_batch(&mut self) -> Option<Checked> {
        self.batch.take()
    }

    pub(crate) fn answer(mut self, result: Result<Committed, AppendError>) {
        if let Some(done) = self.done.take() {
            done(result);
        }
    }
}

impl Item for Pending {
    fn bytes(&self) -> u64 {
        self.bytes
    }
    fn entries(&self) -> usize {
        self.entries
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done(Err(AppendError::Poisoned("the writer stopped before this batch was known to be durable".to_owned())));
        }
    }
}

pub(crate) struct Shown {
    pub(crate) signed: Arc<Signed>,
    pub(crate) at: u64,
    pub(crate) waiters: Vec<(u64, Published)>,
}

pub(crate) struct Shared {
    pub(crate) about: About,
    pub(crate) config: Config,
    pub(crate) doors: Doors,
    queue: Handover<Pending>,
    /// Entries, hashes and tags, sealed or not.
    pub(crate) store: Store,
    shown: Mutex<Shown>,
    publish: Condvar,
    pub(crate) watches: Mutex<Vec<(u64, Watch)>>,
    poison: OnceLock<String>,
    pub(crate) disk_low: AtomicBool,
    pub(crate) size: AtomicU64,
    /// What waits for the sealer; the tail keeps it.
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) blocks: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
    pub(crate) syncs: Mutex<VecDeque<u64>>,
    pub(crate) verification: Mutex<Verification>,
    sealing: Mutex<Sealing>,
    seal: Condvar,
}

/// What the sealer's thread shows of itself.
#[derive(Clone, Default)]
pub(crate) struct Sealing {
    /// Why it waits before it tries again.
    pub(crate) waits: Option<String>,
    /// All sealed leaf and tile files are immutable.
    pub(crate) immutable: bool,
}

/// A lock whose holder panicked: the writer is poisoned by its own guard, readers may go on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(about: About, config: Config, doors: Doors, store: Store, signed: Signed) -> Shared {
        let (size, backlog) = {
            let held = store.tail();
            (held.size(), held.backlog())
        };
        Shared {
            about,
            config,
            doors,
            queue: Handover::new(),
            store,
            shown: Mutex::new(Shown { signed: Arc::new(signed), at: 0, waiters: Vec::new() }),
            publish: Condvar::new(),
            watches: Mutex::default(),
            poison: OnceLock::new(),
            disk_low: AtomicBool::new(false),
            size: AtomicU64::new(size),
            backlog,
            blocks: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            syncs: Mutex::default(),
            verification: Mutex::default(),
            sealing: Mutex::default(),
            seal: Condvar::new(),
        }
    }

    pub(crate) fn tail(&self) -> RwLockReadGuard<'_, Tail> {
        self.store.tail()
    }

    pub(crate) fn shown(&self) -> MutexGuard<'_, Shown> {
        lock(&self.shown)
    }

    pub(crate) fn queue_bytes(&self) -> u64 {
        self.queue.bytes()
    }

    pub(crate) fn poisoned(&self) -> Option<&String> {
        self.poison.get()
    }

    /// The first reason stays. Everything that waits is answered, nothing is taken any more.
    pub(crate) fn poison(&self, reason: String) {
        let _ = self.poison.set(reason);
        let why = || AppendError::Poisoned(self.poison.get().cloned().unwrap_or_default());
        self.queue.poison().into_iter().for_each(|p| p.answer(Err(why())));
        let waiters = std::mem::take(&mut self.shown().waiters);
        waiters.into_iter().for_each(|(_, done)| done(Err(why())));
        self.publish.notify_all();
        self.seal.notify_all();
    }

    pub(crate) fn push(&self, pending: Pending) {
        if let Some(refusal) = self.refusal() {
            return pending.answer(Err(refusal));
        }
        if let Err((pending, refused)) = self.queue.push(pending, self.config.queue_bytes_max) {
            pending.answer(Err(match refused {
                Refused::Closing => AppendError::Closing,
                // The reason is set before the queue is.
                Refused::Poisoned => AppendError::Poisoned(self.poison.get().cloned().unwrap_or_default()),
                Refused::Full => AppendError::Busy("the queue is full"),
            }));
        }
    }

    /// Why nothing is taken at present, as far as it shows without the queue's lock.
    pub(crate) fn refusal(&self) -> Option<AppendError> {
        if self.disk_low.load(Ordering::Relaxed) {
            return Some(AppendError::DiskLow);
        }
        self.backlog.refusal(&self.config)
    }

    /// What goes into the next block; empty after `wait`, `None` once closing and drained or poisoned.
    pub(crate) fn take(&self, wait: Duration) -> Option<Vec<Pending>> {
        let entries = limits::BLOCK_ENTRIES_MAX as usize;
        self.queue.take(Share { bytes: self.config.block_bytes_target, entries }, wait)
    }

    pub(crate) fn count_block(&self, wrote: Wrote) {
        self.blocks.fetch_add(1, Ordering::Relaxed);
        self.bytes_written.fetch_add(wrote.bytes, Ordering::Relaxed);
        let mut syncs = lock(&self.syncs);
        if syncs.len() == SYNCS_KEPT {
            syncs.pop_front();
        }
        syncs.push_back(wrote.sync_ns);
    }

    pub(crate) fn close_queue(&self) {
        self.queue.close();
    }

    pub(crate) fn wake_publisher(&self) {
        self.publish.notify_all();
    }

    /// Sleeps until somebody waits, or the time is over.
    pub(crate) fn sleep_publisher(&self, wait: Duration) {
        let shown = self.shown();
        drop(self.publish.wait_timeout(shown, wait).unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn sealing(&self) -> MutexGuard<'_, Sealing> {
        lock(&self.sealing)
    }

    pub(crate) fn wake_sealer(&self) {
        // Under the lock: a sealer that is about to sleep has either seen the news or hears this.
        let _held = self.sealing();
        self.seal.notify_all();
    }

    /// Sleeps until a checkpoint was shown or a segment closed, or the time is over.
    pub(crate) fn sleep_sealer(&self, wait: Duration) {
        let sealing = self.sealing();
        drop(self.seal.wait_timeout(sealing, wait).unwrap_or_else(PoisonError::into_inner));
    }

    /// Sleeps the whole time, checkpoints or not, unless told to stop.
    pub(crate) fn rest(&self, wait: Duration, stop: &AtomicBool) {
        let sealing = self.sealing();
        let on = |_: &mut Sealing| !stop.load(Ordering::Acquire) && self.poison.get().is_none();
        drop(self.seal.wait_timeout_while(sealing, wait, on).unwrap_or_else(PoisonError::into_inner));
    }
}
