//! Settings of one ledger, resolved: every field has a value.
//!
//! Reads no file and no environment; the server fills it.

use std::fmt;
use std::sync::Arc;

/// Where a test may change bytes that are about to be hashed, stored or signed (testkit only).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// A block's payload after the leaves were hashed, before it is written.
    PayloadBeforeWrite,
    /// A block's payload as the publisher re-read it.
    PayloadAfterRead,
    /// The leaf hashes of a block, 32 bytes each, after hashing and before the commit record is made.
    LeafHashes,
    /// The root in the commit record before it is written.
    Root,
    /// The text that is about to be signed.
    BeforeSign,
}

/// A hook that may flip bits. `None` outside tests.
pub type Fault = Arc<dyn Fn(Stage, &mut [u8]) + Send + Sync>;

/// Threads of a sealer: the rest of the machine serves those who wait.
const SEAL_THREADS_MAX: usize = 4;

/// Settings of one ledger.
#[derive(Clone)]
pub struct Config {
    /// Payload bytes that may wait for the sequencer; beyond it `Busy`.
    pub queue_bytes_max: u64,
    /// A block takes batches until its payload reaches this; a larger single batch goes alone.
    pub block_bytes_target: u64,
    /// A write-ahead segment is closed at this size.
    pub segment_bytes: u64,
    /// A write-ahead segment is closed at so many entries: small ones would be many, and each is held in memory.
    pub segment_entries: u64,
    /// A write-ahead segment with entries is closed at this age.
    pub segment_age_ms: u64,
    /// Unsealed bytes beyond which appends are answered `Busy`, unless they are less than a whole bundle.
    pub backlog_bytes_max: u64,
    /// Unsealed entries beyond which appends are answered `Busy`: each takes about 130 bytes of memory.
    pub backlog_entries_max: u64,
    /// Free disk bytes below which appends are answered `DiskLow`.
    pub disk_low_bytes: u64,
    /// Checkpoints are this far apart while anyone waits for one.
    pub publish_wait_ms: u64,
    /// Checkpoints are at most this far apart while entries arrive.
    pub publish_busy_ms: u64,
    /// An idle ledger signs its unchanged tree this often.
    pub heartbeat_ms: u64,
    /// Sign although no pin knows this ledger (implied where the ledger is new and empty).
    pub accept_first_start: bool,
    /// Set the immutable attribute on sealed leaf and tile files where the process may.
    pub immutable: bool,
    /// Verify sealed files in the background after the start.
    pub verify_sealed: bool,
    /// Level of gzip for leaves.
    pub gzip_level: u32,
    /// Level of zstd for bodies.
    pub zstd_level: i32,
    /// Threads that compress and read back what is sealed. One where the order of disk calls is to be told beforehand.
    pub seal_threads: usize,
    /// Testkit only: changes bytes on their way.
    pub fault: Option<Fault>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            queue_bytes_max: 64 << 20,
            block_bytes_target: 8 << 20,
            segment_bytes: 64 << 20,
            segment_entries: 1 << 19,
            segment_age_ms: 3_600_000,
            backlog_bytes_max: 1 << 30,
            backlog_entries_max: 2 << 20,
            disk_low_bytes: 512 << 20,
            publish_wait_ms: 100,
            publish_busy_ms: 1_000,
            heartbeat_ms: 3_600_000,
            accept_first_start: false,
            immutable: true,
            verify_sealed: true,
            gzip_level: 1,
            zstd_level: 1,
            seal_threads: 1,
            fault: None,
        }
    }
}

impl Config {
    /// Settings for this machine: it seals on as many threads as it has processors, four at most.
    pub fn of_this_machine() -> Config {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Config { seal_threads: threads.min(SEAL_THREADS_MAX), ..Config::default() }
    }

    /// Settings for the ledger that holds all state: its watermark is lower, so that a full disk can still be told.
    pub fn with_reserve(mut self) -> Config {
        self.disk_low_bytes /= 8;
        self
    }

    pub(crate) fn fault(&self, stage: Stage, bytes: &mut [u8]) {
        if let Some(fault) = &self.fault {
            fault(stage, bytes);
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("queue_bytes_max", &self.queue_bytes_max)
            .field("segment_bytes", &self.segment_bytes)
            .field("fault", &self.fault.is_some())
            .finish_non_exhaustive()
    }
}
