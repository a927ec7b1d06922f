//! Ledgers as callers see them, and the figures of the whole server.

use ledger::Kind;

/// A ledger to be made.
#[derive(Clone, Debug)]
pub struct NewLedger {
    /// `[a-z0-9-]{1,63}`.
    pub name: String,
    /// Audit or raw.
    pub kind: Kind,
    /// Name of one of [`RETENTION_PROFILES`](crate::RETENTION_PROFILES); `None` = `none`.
    pub retention: Option<String>,
    /// Leaves, tiles, proofs and checkpoints are for anyone.
    pub public_leaves: bool,
}

/// A ledger as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerInfo {
    /// Name within the tenant.
    pub name: String,
    /// Folder name.
    pub ulid: String,
    /// Audit or raw.
    pub kind: Kind,
    /// Checkpoint origin.
    pub origin: String,
    /// Verifier keys in note form: Ed25519, then ML-DSA-44.
    pub vkeys: Vec<String>,
    /// Durable entries.
    pub size: u64,
    /// Entries under the last shown checkpoint.
    pub checkpoint_size: u64,
    /// Leaves are for anyone.
    pub public_leaves: bool,
    /// Retention profile.
    pub retention: String,
    /// RFC 3339.
    pub created_at: String,
}

/// An open gap of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapState {
    /// Who counts.
    pub source: String,
    /// Its epoch.
    pub epoch: String,
    /// First missing number.
    pub first: u64,
    /// Last missing number.
    pub last: u64,
    /// The gap is an entry already.
    pub recorded: bool,
}

/// Figures of one ledger.
#[derive(Clone, Debug)]
pub struct LedgerStatus {
    /// What it is.
    pub info: LedgerInfo,
    /// Figures of the log.
    pub log: ledger::Status,
    /// Open gaps, at most 100.
    pub gaps: Vec<GapState>,
    /// How many there are.
    pub gaps_open: u64,
}

/// Figures of the whole journal.
#[derive(Clone, Debug)]
pub struct Status {
    /// One per ledger, by name.
    pub ledgers: Vec<LedgerStatus>,
    /// Tokens that are not revoked.
    pub tokens: u64,
}
