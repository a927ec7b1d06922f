//! What a client sends for appending and what becomes of each event.

use std::fmt;

pub use event::{Format, Framing};
use tlog::Hash;

use crate::error::Error;

/// Where in a file the request's bytes begin, for records without an id of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlace {
    /// 16 hex digits: SHA-256 of the file's first line.
    pub file: String,
    /// Offset of the request body's first byte within the file.
    pub offset: u64,
}

/// The events of one request.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Mapping that is applied.
    pub format: Format,
    /// The decompressed body.
    pub body: &'a [u8],
    /// How events are told apart.
    pub framing: Framing,
    /// Given by `ingest` for files.
    pub place: Option<FilePlace>,
}

/// A refused event or request: what, where, and what was expected. Never holds a value of the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status: 400, 403, 409.
    pub status: u16,
    /// Stable name.
    pub code: &'static str,
    /// Path of the field, empty where none is to blame.
    pub field: String,
    /// What would have been right.
    pub expected: String,
    /// A sentence for people.
    pub detail: String,
    /// Line of the request body, from 1, where one is known.
    pub line: Option<u64>,
    /// Of a conflict: the index of the first entry with that identity.
    pub first_index: Option<u64>,
}

impl Refusal {
    /// A refusal without line and index.
    pub fn new(
        status: u16,
        code: &'static str,
        field: impl Into<String>,
        expected: impl Into<String>,
        detail: impl Into<String>,
    ) -> Refusal {
        Refusal {
            status,
            code,
            field: field.into(),
            expected: expected.into(),
            detail: detail.into(),
            line: None,
            first_index: None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.detail)?;
        if !self.field.is_empty() {
            write!(f, " (field {})", self.field)?;
        }
        Ok(())
    }
}

/// What became of one event, in the order of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventResult {
    /// Durable.
    Acknowledged {
        /// Position in the ledger; of a duplicate that of the first.
        index: u64,
        /// RFC 6962 leaf hash.
        leaf_hash: Hash,
        /// ULID; of a duplicate that of the first.
        entry_id: String,
        /// The same event was there already.
        duplicate: bool,
    },
    /// Not appended.
    Refused(Refusal),
}

/// Called once, possibly on the sequencer's thread: must not block.
pub type Done<T> = Box<dyn FnOnce(Result<T, Error>) + Send>;
