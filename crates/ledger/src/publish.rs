//! The publisher's core: re-reads what lies on disk, re-hashes it by the second path, checks every body, signs, syncs
//! pin and checkpoint log, and only then shows the checkpoint.
//!
//! Plain functions over the disk; the thread is in `service`. It writes no entry.

use std::sync::Arc;

use crate::checkpoints::CheckpointLog;
use crate::config::Stage;
use crate::error::with_causes;
use crate::frame::SEGMENT_HEADER_BYTES;
use crate::limits::PUBLISH_DEVICE_BYTES_MAX;
use crate::segment::{Checks, Step, Taken, Walk, read_header};
use crate::shared::{Shared, lock};
use crate::tail::Segment;
use crate::types::Signed;
use crate::writer::ROOM_EVERY_NS;

/// The one publisher of a ledger.
pub(crate) struct Publisher {
    pub(crate) shared: Arc<Shared>,
    pub(crate) checks: Checks,
    pub(crate) walk: Walk,
    /// Segment number and offset that the walk has reached.
    pub(crate) at: (u64, u64),
    pub(crate) log: CheckpointLog,
    pub(crate) taken: Taken,
    /// When the room on the disk was looked at.
    pub(crate) room_at: Option<u64>,
}

impl Publisher {
    /// Signs and shows the tree of all committed entries. Any failure or difference poisons: nothing is signed.
    pub(crate) fn publish(&mut self) -> Result<Arc<Signed>, String> {
        let result = match self.shared.poisoned() {
            Some(reason) => Err(reason.clone()),
            None => self.verify().and_then(|()| self.sign()),
        };
        if let Err(reason) = &result {
            self.shared.poison(reason.clone());
        }
        result
    }

    /// Walks the blocks that were committed since the last time: from the device, or from its cache under load.
    fn verify(&mut self) -> Result<(), String> {
        loop {
            let (segment, next) = {
                let tail = self.shared.tail();
                let mut at = tail.segments().filter(|s| s.file.number >= self.at.0).cloned();
                (at.next(), at.next())
            };
            let Some(segment) = segment else { return Err("the segment being published is gone".to_owned()) };
            if segment.file.number > self.at.0 {
                // All of the one before was published, and since then it was closed, sealed and released.
                self.enter(&segment)?;
            }
            let path = segment.file.path.display();
            // Decision 0005: the device is asked while it keeps up.
            self.taken.read_device(segment.end_offset.saturating_sub(self.at.1) <= PUBLISH_DEVICE_BYTES_MAX);
            while self.at.1 < segment.end_offset {
                let step = self
                    .walk
                    .step(
                        &self.checks,
                        &self.shared.config,
                        &segment.file.file,
                        self.at.1,
                        segment.end_offset,
                        &mut self.taken,
                    )
                    .map_err(|e| format!("read {path}: {e}"))?;
                match step {
                    Step::Block { next } => self.at.1 = next,
                    Step::End => break,
                    Step::Fails { index, what } => {
                        return Err(format!("{path} at byte {}, entry {index}: {what}", self.at.1));
                    }
                }
                if !self.shared.tail().agrees(self.taken.first, &self.taken.hashes) {
                    let first = self.taken.first;
                    return Err(format!("{path}: a leaf from entry {first} on is not the one that was hashed"));
                }
            }
            let Some(next) = next.filter(|_| segment.closed) else { return Ok(()) };
            self.enter(&next)?;
        }
    }

    /// Goes on at the start of the next segment, which must begin at the very tree reached.
    fn enter(&mut self, next: &Segment) -> Result<(), String> {
        let path = next.file.path.display();
        let header = read_header(&*next.file.file).map_err(|e| format!("read {path}: {e}"))?;
        let follows = header.is_ok_and(|h| h.size == self.walk.tree.size() && h.root == self.walk.tree.root());
        if !follows {
            return Err(format!("{path} does not begin where the segment before ends"));
        }
        self.at = (next.file.number, SEGMENT_HEADER_BYTES as u64);
        Ok(())
    }

    fn sign(&mut self) -> Result<Arc<Signed>, String> {
        let shared = Arc::clone(&self.shared);
        let (doors, origin) = (&shared.doors, shared.about.origin.as_str());
        let (size, root) = (self.walk.tree.size(), self.walk.tree.root());
        let mut shown = root;
        shared.config.fault(Stage::BeforeSign, &mut shown.0);
        let now = (doors.clock)();
        let note = doors.signer.sign(origin, size, &shown, now / 1_000_000_000);
        // The root is worked out once more: what was signed must be what lies on disk.
        if doors.signer.check(origin, note.as_bytes()) != Some((size, self.walk.tree.root())) {
            return Err(format!("the signed note of size {size} does not state the tree on disk"));
        }
        // Crash: no trace of this checkpoint.
        doors.pin.record(origin, size, &root).map_err(|e| format!("pin: {}", with_causes(&e)))?;
        // Crash: the pin is ahead of the log; both are met by the tree.
        self.log.append(&note).map_err(|e| format!("checkpoint log: {e}"))?;
        // SHOWN. Crash: whoever saw it finds it in the log.
        let signed = Arc::new(Signed { size, root, note });
        let ready = {
            let mut shown = shared.shown();
            shown.signed = Arc::clone(&signed);
            shown.at = now;
            let (ready, wait) = std::mem::take(&mut shown.waiters).into_iter().partition(|(s, _)| *s <= size);
            shown.waiters = wait;
            let ready: Vec<_> = ready;
            ready
        };
        ready.into_iter().for_each(|(_, done)| done(Ok(Arc::clone(&signed))));
        shared.wake_sealer();
        Ok(signed)
    }

    /// How many milliseconds until the next checkpoint is due; zero: now.
    pub(crate) fn due_in_ms(&self) -> u64 {
        let config = &self.shared.config;
        let size = self.shared.tail().size();
        let shown = self.shared.shown();
        let waits = shown.waiters.iter().any(|(s, _)| *s <= size);
        let every = match (waits, size > shown.signed.size) {
            (true, _) => config.publish_wait_ms,
            (false, true) => config.publish_busy_ms,
            (false, false) => config.heartbeat_ms,
        };
        // The distance, not the difference: a clock that was set back a day must not keep checkpoints away for a day.
        every.saturating_sub((self.shared.doors.clock)().abs_diff(shown.at) / 1_000_000)
    }

    /// Looks at the disk's free room, once a second.
    pub(crate) fn watch_disk(&mut self) {
        let now = (self.shared.doors.clock)();
        if self.room_at.is_some_and(|at| now.abs_diff(at) < ROOM_EVERY_NS) {
            return;
        }
        self.room_at = Some(now);
        let dir = self.shared.tail().segments().next().map(|s| s.file.path.clone());
        let free = dir.as_deref().and_then(std::path::Path::parent).map(|d| self.shared.doors.disk.free_bytes(d));
        if let Some(Ok(free)) = free {
            let low = free < self.shared.config.disk_low_bytes;
            self.shared.disk_low.store(low, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

/// Median and 99th percentile.
pub(crate) fn percentiles(shared: &Shared) -> (u64, u64) {
    let mut syncs: Vec<u64> = lock(&shared.syncs).iter().copied().collect();
    syncs.sort_unstable();
    let at = |p: usize| syncs.get((syncs.len() * p / 100).min(syncs.len().saturating_sub(1))).copied().unwrap_or(0);
    (at(50), at(99))
}
