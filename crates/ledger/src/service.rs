//! The running ledger: its threads, its queue and the cheap handle.
//!
//! Decides nothing itself: the cores are plain functions that a simulator drives without threads.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use tlog::Hash;

use crate::config::Config;
use crate::durable::Disk;
use crate::error::{OpenError, ReadError};
use crate::pin::Pin;
use crate::types::{
    About, AppendError, Batch, BodyDigest, Clock, Done, Entry, Mac, Published, Signed, Signer, Stamp, Status, Watch,
};

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
    about: Arc<About>,
}

/// Ends a watch when dropped.
pub struct Subscription {}

impl Ledger {
    /// Opens a ledger: recovers, compares with pin and last checkpoint, starts its threads. Blocking.
    pub fn open(place: &Place, config: Config, doors: Doors) -> Result<(Ledger, OpenReport), OpenError> {
        let _ = (place, config, doors);
        Err(OpenError::Refused("not built yet"))
    }

    /// What the ledger is.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Queues a batch; `done` runs once, on the sequencer's thread, when it is durable or refused. Does not block
    /// on the disk. Checks limits and body digests on the caller's thread.
    pub fn submit(&self, batch: Batch, done: Done) {
        drop(batch);
        done(Err(AppendError::Closing));
    }

    /// Entries that are durable.
    pub fn size(&self) -> u64 {
        0
    }

    /// The last shown checkpoint.
    pub fn checkpoint(&self) -> Arc<Signed> {
        Arc::new(Signed { size: 0, root: Hash([0; 32]), note: String::new() })
    }

    /// Calls back once a checkpoint covers `size` entries (at once if one does), or fails.
    pub fn wait_published(&self, size: u64, done: Published) {
        let _ = size;
        done(Err(AppendError::Closing));
    }

    /// One stored entry below `size()`.
    pub fn entry(&self, index: u64) -> Result<Entry, ReadError> {
        Err(ReadError::BeyondTree { asked: index, size: 0 })
    }

    /// Stored entries of a range, cut at `READ_BYTES_MAX` bytes (at least one).
    pub fn entries(&self, range: Range<u64>) -> Result<Vec<Entry>, ReadError> {
        Err(ReadError::BeyondTree { asked: range.end, size: 0 })
    }

    /// Leaf hash of one entry below `size()`.
    pub fn leaf_hash(&self, index: u64) -> Result<Hash, ReadError> {
        Err(ReadError::BeyondTree { asked: index, size: 0 })
    }

    /// Hash tile `tile/<level>/<index>[.p/<width>]` of the published tree: `width` hashes of 32 bytes.
    pub fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, ReadError> {
        let _ = (level, width);
        Err(ReadError::BeyondTree { asked: index, size: 0 })
    }

    /// Entry bundle of the published tree, not compressed.
    pub fn bundle(&self, index: u64, width: u16) -> Result<Vec<u8>, ReadError> {
        let _ = width;
        Err(ReadError::BeyondTree { asked: index, size: 0 })
    }

    /// Entry bundle of the published tree as one gzip member.
    pub fn bundle_gzip(&self, index: u64, width: u16) -> Result<Vec<u8>, ReadError> {
        let _ = width;
        Err(ReadError::BeyondTree { asked: index, size: 0 })
    }

    /// Bodies of a bundle of the published tree: `u32be length, body` per entry, length `0xFFFFFFFF` = absent.
    pub fn bodies(&self, index: u64, width: u16) -> Result<Vec<u8>, ReadError> {
        let _ = width;
        Err(ReadError::BeyondTree { asked: index, size: 0 })
    }

    /// Inclusion proof of `index` in the tree of `size` (at most the published size).
    pub fn prove(&self, index: u64, size: u64) -> Result<Vec<Hash>, ReadError> {
        Err(ReadError::BeyondTree { asked: index, size })
    }

    /// Consistency proof between two sizes, the later at most the published size.
    pub fn consistency(&self, from: u64, to: u64) -> Result<Vec<Hash>, ReadError> {
        let _ = from;
        Err(ReadError::BeyondTree { asked: to, size: 0 })
    }

    /// Calls `watch` with the new size after each commit, on the sequencer's thread, until the result is dropped.
    pub fn subscribe(&self, watch: Watch) -> Subscription {
        drop(watch);
        Subscription {}
    }

    /// Figures for status and metrics.
    pub fn status(&self) -> Status {
        Status::default()
    }

    /// Drains the queue, publishes a checkpoint over everything, stops the threads. Blocking; a second call is a
    /// no-op.
    pub fn close(&self) -> Result<(), AppendError> {
        Ok(())
    }
}
