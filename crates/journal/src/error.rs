//! Errors by blame: what the caller did, what may be tried again, what the evidence contradicts.

use crate::request::Refusal;

/// Why a data folder was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The ledger room refuses: locked, corrupt, rolled back, no pin, newer format.
    #[error(transparent)]
    Ledger(#[from] ledger::OpenError),
    /// A key file is missing, damaged or readable by others.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// The evidence contradicts itself across ledgers: nothing was changed.
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// Something needed at the start could not be done.
    #[error("cannot start: {0}")]
    Unavailable(String),
}

impl OpenError {
    /// Stable name for messages and error pages.
    pub fn kind(&self) -> &'static str {
        match self {
            OpenError::Ledger(e) => e.kind(),
            OpenError::Vault(_) => "vault-damaged",
            OpenError::Corrupt(_) => "corrupt",
            OpenError::Unavailable(_) => "unavailable",
        }
    }
}

/// Why a request was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The whole request breaks a rule; nothing of it was appended. Its `status` is 400, 403, 409 or 413.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// No such ledger, or none that this credential may know of: 404.
    #[error("no such ledger")]
    NotFound,
    /// The credential or scope lacks the verb: 403.
    #[error("not allowed: {0}")]
    Denied(&'static str),
    /// The token was revoked after the request had been let in: 401; nothing was appended.
    #[error("the token was revoked")]
    Revoked,
    /// An entry, size or tile that the tree does not have: 404.
    #[error("beyond the tree: {asked} of {size}")]
    Beyond {
        /// What was asked for.
        asked: u64,
        /// Size of the tree that answers.
        size: u64,
    },
    /// The entry exists, but no checkpoint covers it yet: 503 with Retry-After, or wait.
    #[error("no checkpoint covers {index} yet")]
    NotPublished {
        /// The entry.
        index: u64,
    },
    /// Queue or backlog full: 429 with Retry-After; nothing was appended.
    #[error("busy: {0}")]
    Busy(&'static str),
    /// Disk low, closing or poisoned: 503 with Retry-After.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// Stored bytes fail their own evidence: 500, and somebody must look.
    #[error("corrupt: {0}")]
    Corrupt(String),
}

impl Error {
    /// Stable name for metrics, problem types and error pages.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Refused(r) => r.code,
            Error::NotFound => "not-found",
            Error::Denied(_) => "not-allowed",
            Error::Revoked => "unauthenticated",
            Error::Beyond { .. } => "beyond-tree",
            Error::NotPublished { .. } => "not-published",
            Error::Busy(_) => "busy",
            Error::Unavailable(_) => "unavailable",
            Error::Corrupt(_) => "corrupt",
        }
    }
}

impl From<ledger::AppendError> for Error {
    fn from(error: ledger::AppendError) -> Error {
        match error {
            ledger::AppendError::Busy(what) => Error::Busy(what),
            ledger::AppendError::Refused(what) => {
                Error::Refused(Refusal::new(400, "batch-refused", "", what, "the batch breaks a limit of the log"))
            }
            other => Error::Unavailable(other.to_string()),
        }
    }
}

impl From<ledger::ReadError> for Error {
    fn from(error: ledger::ReadError) -> Error {
        match error {
            ledger::ReadError::BeyondTree { asked, size } => Error::Beyond { asked, size },
            ledger::ReadError::Refused(what) => Error::Refused(Refusal::new(400, "read-refused", "", what, what)),
            ledger::ReadError::Corrupt(c) => Error::Corrupt(c.to_string()),
            other => Error::Unavailable(ledger::with_causes(&other)),
        }
    }
}
