//! Named limits of this room, each with its reason.

/// Most tokens that are not revoked: the fold holds each in memory, and nobody reviews more by hand.
pub const TOKENS_MAX: usize = 10_000;
/// Most ledgers of a data folder: each has threads and open files.
pub const LEDGERS_MAX: usize = 256;
/// Most (source, epoch) pairs that the gap fold of one ledger follows; beyond it the one seen longest ago is closed.
pub const GAP_STREAMS_MAX: usize = 10_000;
/// Most open ranges of missing numbers of one (source, epoch): a source that counts in steps is no source of gaps.
pub const GAP_RANGES_MAX: usize = 256;
/// A gap becomes an entry after this long (specs/events.md section 2).
pub const GAP_WAIT_NS: u64 = 30_000_000_000;
/// A gap becomes an entry once numbers this far beyond it have been seen.
pub const GAP_LATER_NUMBERS: u64 = 10_000;
/// Most entries that one step of a fold reads: bounds its memory.
pub const FOLD_STEP_ENTRIES: u64 = 1_024;
/// A snapshot of a fold is written after so many entries.
pub const SNAPSHOT_EVERY: u64 = 50_000;
/// Longest name of a person, ledgers per token, prefixes per token: bounds an entry of `control`.
pub const NAME_BYTES_MAX: usize = 128;
/// Most allowed prefixes of one token.
pub const PREFIXES_MAX: usize = 64;
/// Most ledgers named by one token.
pub const TOKEN_LEDGERS_MAX: usize = 256;
/// Conflicts of one request that become entries one by one; the rest of the request is counted in the last.
pub const CONFLICT_ENTRIES_MAX: usize = 100;
/// Most messages that wait for the follower; beyond it the follower reads the log instead.
pub const FOLLOW_QUEUE_MAX: usize = 1_024;
/// Most gap entries of one ledger that are appended at once.
pub const GAP_COMMANDS_MAX: usize = 256;
/// Most open gaps of one ledger that status lists; all are counted.
pub const GAPS_SHOWN_MAX: usize = 100;
/// Largest snapshot that is read: bounds memory at the start.
pub const SNAPSHOT_BYTES_MAX: u64 = 256 << 20;
