//! What callers hand in and get back. No logic.

use std::sync::Arc;

use tlog::Hash;

use crate::frame::Digest;
use crate::second;

/// Nanoseconds since 1970, handed in by server or testkit.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;
/// The digest that a leaf names for its body, `None` where the leaf has no body. Journal's pure function.
pub type BodyDigest = Arc<dyn Fn(&[u8]) -> Option<[u8; 32]> + Send + Sync>;
/// Text of `received_at` for the slot that a leaf left empty; always `STAMP_BYTES` long.
pub type Stamp = Arc<dyn Fn(u64) -> [u8; STAMP_BYTES] + Send + Sync>;
/// HMAC over the concatenated parts, under the vault's key for `views/`.
pub type Mac = Arc<dyn Fn(&[&[u8]]) -> [u8; 32] + Send + Sync>;

/// Width of the slot for `received_at` in a leaf.
pub const STAMP_BYTES: usize = 30;

/// Leaf and body, or leaf alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Leaf and body, with duplicate tags.
    Audit,
    /// The posted bytes alone, no tags.
    Raw,
}

/// What the file `LEDGER` says (docs/formats/data-folder.md).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Folder name.
    pub ulid: String,
    /// Name within the tenant.
    pub name: String,
    /// Owner.
    pub tenant: String,
    /// Audit or raw.
    pub kind: Kind,
    /// Checkpoint origin, fixed for ever.
    pub origin: String,
    /// RFC 3339, nine fraction digits.
    pub created_at: String,
}

/// Opaque duplicate tags of one entry (DESIGN section 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// HMAC of source and id.
    pub identity: [u8; 16],
    /// HMAC of the submitted bytes.
    pub content: [u8; 16],
}

/// One entry of a batch: offsets into the batch's payload.
#[derive(Clone, Copy, Debug)]
pub struct NewEntry {
    /// Bytes of the leaf.
    pub leaf_bytes: u32,
    /// Bytes of the body; `None` in a raw ledger.
    pub body_bytes: Option<u32>,
    /// Where in the leaf the 30-byte slot for `received_at` begins.
    pub stamp_at: Option<u32>,
    /// Duplicate tags (zero in a raw ledger).
    pub tags: Tags,
    /// The id was made by the server just now, so no earlier entry can have it: skip the look-up.
    pub fresh: bool,
    /// SHA-256 of the body as it was pushed.
    pub(crate) body_digest: Option<Digest>,
}

/// A body and its SHA-256, taken here and once: whoever makes the leaf writes this digest into it, and the check of
/// the batch compares what the leaf names with it.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    bytes: &'a [u8],
    digest: Digest,
}

impl<'a> Body<'a> {
    /// Hashes a body.
    pub fn new(bytes: &'a [u8]) -> Body<'a> {
        Body { bytes, digest: second::digest(bytes) }
    }

    /// SHA-256 of the bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

/// Entries that are appended in one block, in order: all of them or none. Payload = leaf, body, leaf, body, ...
#[derive(Debug, Default)]
pub struct Batch {
    /// One per entry.
    pub entries: Vec<NewEntry>,
    /// Leaves and bodies back to back.
    pub payload: Vec<u8>,
}

impl Batch {
    /// Appends one entry's bytes.
    pub fn push(&mut self, leaf: &[u8], stamp_at: Option<u32>, body: Option<Body<'_>>, tags: Tags, fresh: bool) {
        self.payload.extend_from_slice(leaf);
        if let Some(body) = body {
            self.payload.extend_from_slice(body.bytes);
        }
        let len = |b: &[u8]| u32::try_from(b.len()).unwrap_or(u32::MAX);
        self.entries.push(NewEntry {
            leaf_bytes: len(leaf),
            body_bytes: body.map(|body| len(body.bytes)),
            stamp_at,
            tags,
            fresh,
            body_digest: body.map(|body| body.digest),
        });
    }
}

/// What became of one entry of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Durable under this index.
    Appended {
        /// Position in the ledger.
        index: u64,
        /// RFC 6962 leaf hash.
        leaf_hash: Hash,
    },
    /// Same identity, same content: the first index.
    Duplicate {
        /// Position of the first.
        index: u64,
        /// Its leaf hash.
        leaf_hash: Hash,
    },
    /// Same identity, other content; not appended.
    Conflict {
        /// Position of the first.
        index: u64,
    },
}

/// Answer to a submitted batch. Returned = synced.
#[derive(Clone, Debug)]
pub struct Committed {
    /// `received_at` of the block, nanoseconds.
    pub received_at: u64,
    /// Tree size after the block.
    pub size: u64,
    /// One per entry, same order.
    pub outcomes: Vec<Outcome>,
}

/// Called once when the batch is durable or has failed.
pub type Done = Box<dyn FnOnce(Result<Committed, AppendError>) + Send>;

/// Why a batch was not taken; nothing of it was appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// Queue or unsealed backlog at its cap: 429.
    #[error("the ledger is busy: {0}")]
    Busy(&'static str),
    /// Below the low-disk watermark: 503.
    #[error("too little disk room left")]
    DiskLow,
    /// Draining for a stop: 503.
    #[error("the ledger is closing")]
    Closing,
    /// A write or sync failed: no more acknowledgements until a restart has verified the disk. The fate of a batch
    /// that was in flight is unknown.
    #[error("the ledger's writer is poisoned: {0}")]
    Poisoned(String),
    /// The batch breaks a limit.
    #[error("refused: {0}")]
    Refused(&'static str),
}

/// A signed checkpoint as shown to readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Tree size.
    pub size: u64,
    /// Root of that size.
    pub root: Hash,
    /// The whole note.
    pub note: String,
}

/// One stored entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Position.
    pub index: u64,
    /// Stored leaf bytes.
    pub leaf: Vec<u8>,
    /// Stored body bytes; `None` in a raw ledger or where dropped.
    pub body: Option<Vec<u8>>,
    /// Duplicate tags.
    pub tags: Tags,
}

/// Called once when a checkpoint covers what was waited for, or never will.
pub type Published = Box<dyn FnOnce(Result<Arc<Signed>, AppendError>) + Send>;
/// Called after each commit with the new size. Must return at once.
pub type Watch = Box<dyn Fn(u64) + Send + Sync>;

/// Signs checkpoints. `tlog::CheckpointSigner` is the one in production; simulators use a cheap one.
pub trait Signer: Send + Sync {
    /// The whole note over a tree.
    fn sign(&self, origin: &str, size: u64, root: &Hash, unix_seconds: u64) -> String;
    /// Size and root that a note of ours states; `None` if it does not verify under our keys for this origin.
    fn check(&self, origin: &str, note: &[u8]) -> Option<(u64, Hash)>;
}

/// How far the verification of sealed files in the background has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// Switched off or not begun.
    #[default]
    NotRun,
    /// Entries checked so far.
    Running {
        /// Entries below this are checked.
        checked: u64,
    },
    /// All sealed files that were there at the start are whole.
    Whole {
        /// Entries below this are checked.
        checked: u64,
    },
    /// A sealed file fails: writing and signing have stopped.
    Failed(String),
}

/// Figures for status and metrics.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Durable entries.
    pub size: u64,
    /// Entries under the last checkpoint.
    pub published_size: u64,
    /// Time of the last checkpoint, nanoseconds.
    pub published_at: u64,
    /// Entries in sealed files.
    pub sealed_size: u64,
    /// Bytes in unsealed segments.
    pub backlog_bytes: u64,
    /// Payload bytes that wait for the sequencer.
    pub queue_bytes: u64,
    /// Sealed leaf and tile files have the immutable attribute.
    pub immutable: bool,
    /// Why the writer stopped, if it did.
    pub poisoned: Option<String>,
    /// Free room is below the low-disk watermark: nothing is taken.
    pub disk_low: bool,
    /// Why the sealer waits, if it does.
    pub sealer_waits: Option<String>,
    /// Verification of sealed files.
    pub verification: Verification,
    /// Blocks committed since the start.
    pub blocks: u64,
    /// Bytes written to segments since the start.
    pub bytes_written: u64,
    /// Median of the last syncs, nanoseconds.
    pub sync_p50_ns: u64,
    /// 99th percentile of the last syncs, nanoseconds.
    pub sync_p99_ns: u64,
}
