//! Read doors: each takes a Scope.

use ledger::Kind;
use tlog::Hash;

/// Whether a body is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryState {
    /// Stored.
    Present,
    /// Should be there and is not.
    Missing,
}

impl EntryState {
    /// Name in the entry JSON.
    pub fn name(self) -> &'static str {
        match self {
            EntryState::Present => "present",
            EntryState::Missing => "missing",
        }
    }
}

/// One entry as a reader may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryView {
    /// Name of the ledger.
    pub ledger: String,
    /// Its checkpoint origin.
    pub origin: String,
    /// Audit or raw.
    pub kind: Kind,
    /// Position.
    pub index: u64,
    /// Size of the tree that answers.
    pub tree_size: u64,
    /// Stored leaf bytes.
    pub leaf: Vec<u8>,
    /// RFC 6962 leaf hash.
    pub leaf_hash: Hash,
    /// Stored body bytes; `None` in a raw ledger and without the right to read bodies.
    pub body: Option<Vec<u8>>,
    /// What the leaf says about its body.
    pub body_sha256: Option<[u8; 32]>,
    /// Whether the body is there.
    pub state: EntryState,
}

/// Ends a watch when dropped.
pub struct Watching {
    pub(crate) _subscription: ledger::Subscription,
}
