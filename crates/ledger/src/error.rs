//! Errors by blame: what the caller did, what may be tried again, what the evidence contradicts, what stops the writer.
//!
//! Each `kind()` has a page `docs/errors/<kind>.md`. Appending has its own enum beside the types it answers with
//! ([`AppendError`](crate::AppendError)).

use std::io;
use std::path::{Path, PathBuf};

/// Stored bytes that disagree with the log's own evidence, located.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} at byte {offset}{}: {what}", .file.display(), index_text(*.index))]
pub struct Corrupt {
    /// The file.
    pub file: PathBuf,
    /// First byte of the part that fails.
    pub offset: u64,
    /// First entry that the part holds, where one can be named.
    pub index: Option<u64>,
    /// What disagrees with what.
    pub what: String,
}

impl Corrupt {
    /// Names a place.
    pub fn at(file: &Path, offset: u64, index: Option<u64>, what: impl Into<String>) -> Corrupt {
        Corrupt { file: file.to_path_buf(), offset, index, what: what.into() }
    }
}

fn index_text(index: Option<u64>) -> String {
    index.map(|i| format!(", entry {i}")).unwrap_or_default()
}

/// Why a ledger was not opened or created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process holds the lock.
    #[error("{} is held by another process", .0.display())]
    Locked(PathBuf),
    /// Written by a newer release, or by none.
    #[error("the data folder's format is {found:?}; this release reads \"proofbook-data 1\"")]
    Format {
        /// What FORMAT says.
        found: String,
    },
    /// A ledger of that name or folder exists, or a field cannot stand in LEDGER.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// The stored log contradicts itself; nothing was changed.
    #[error("corrupt: {0}")]
    Corrupt(Corrupt),
    /// The log is smaller than, or another one than, what was published before: nothing is signed.
    #[error("rolled back: {what}; found size {found_size}, published size {published_size} per {by}")]
    Rollback {
        /// `smaller tree` or `other tree`.
        what: &'static str,
        /// Size on disk.
        found_size: u64,
        /// Size that was published.
        published_size: u64,
        /// `pin` or `checkpoint log`.
        by: &'static str,
    },
    /// The ledger has entries or checkpoints but the pin does not know it.
    #[error("no pin for {origin}: accept the first start explicitly if this folder is trusted")]
    NoPin {
        /// Checkpoint origin.
        origin: String,
    },
    /// A disk call failed.
    #[error("{call} {}", .path.display())]
    Io {
        /// The call.
        call: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    /// Stable name for metrics, problem types and error pages.
    pub fn kind(&self) -> &'static str {
        match self {
            OpenError::Locked(_) => "locked",
            OpenError::Format { .. } => "newer-format",
            OpenError::Refused(_) => "ledger-refused",
            OpenError::Corrupt(_) => "corrupt",
            OpenError::Rollback { .. } => "rolled-back",
            OpenError::NoPin { .. } => "no-pin",
            OpenError::Io { .. } => "disk-failed",
        }
    }

    /// Wraps a failed disk call.
    pub fn io(call: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError + use<> {
        let path = path.to_path_buf();
        move |source| OpenError::Io { call, path, source }
    }
}

/// Why a read was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The caller asked for an entry, tile or size that the tree does not have (yet).
    #[error("beyond the tree: {asked} of {size}")]
    BeyondTree {
        /// What was asked for.
        asked: u64,
        /// Size of the tree that answers.
        size: u64,
    },
    /// No such tile, level or width.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// The stored bytes fail their own evidence.
    #[error("corrupt: {0}")]
    Corrupt(Corrupt),
    /// A disk call failed.
    #[error("{call} {}", .path.display())]
    Io {
        /// The call.
        call: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The tree's nodes could not be read.
    #[error("no node at level {level}, index {index}")]
    NodeMissing {
        /// Height above the leaves.
        level: u8,
        /// Position within the level.
        index: u64,
    },
}

impl ReadError {
    /// Stable name for metrics, problem types and error pages.
    pub fn kind(&self) -> &'static str {
        match self {
            ReadError::BeyondTree { .. } => "beyond-tree",
            ReadError::Refused(_) => "read-refused",
            ReadError::Corrupt(_) => "corrupt",
            ReadError::Io { .. } => "disk-failed",
            ReadError::NodeMissing { .. } => "node-missing",
        }
    }

    /// Wraps a failed disk call.
    pub fn io(call: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ReadError + use<> {
        let path = path.to_path_buf();
        move |source| ReadError::Io { call, path, source }
    }
}

// Not by `#[from]`, which would make it a cause too: the sentence says all of it already.
impl From<Corrupt> for OpenError {
    fn from(corrupt: Corrupt) -> OpenError {
        OpenError::Corrupt(corrupt)
    }
}

impl From<Corrupt> for ReadError {
    fn from(corrupt: Corrupt) -> ReadError {
        ReadError::Corrupt(corrupt)
    }
}

/// An error and what led to it, as one sentence.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text.push_str(": ");
        text.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    text
}
