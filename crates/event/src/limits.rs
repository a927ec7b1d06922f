//! Every limit of this room, with its reason. It enforces none itself: the modules that parse do.

/// Events of one request: bounds the answer and the time one request holds a task (specs: limits for all HTTP inputs).
pub const EVENTS_PER_REQUEST_MAX: usize = 10_000;
/// Bytes of one event or one original message; larger ones would need a blob by reference.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Nesting of objects and arrays: bounds the parser's stack.
pub const DEPTH_MAX: usize = 64;
/// Nesting that a mapper copies from an original; what lies deeper is cut, so that a body stays within `DEPTH_MAX`.
pub const COPIED_DEPTH_MAX: usize = 48;
/// Bytes of one member that a mapper copies as JSON (`before`, `after`, parts of `ext`).
pub const COPIED_BYTES_MAX: usize = 32 * 1024;
/// Bytes of `ext`.
pub const EXT_BYTES_MAX: usize = 64 * 1024;
/// Bytes of `message`.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024;
/// Characters of a key that an error repeats: a hostile key must not fill a log.
pub const POINTER_KEY_CHARS_MAX: usize = 64;
/// Largest whole number that every JSON reader keeps exactly (2^53 - 1).
pub const SAFE_INTEGER_MAX: u64 = (1 << 53) - 1;
/// Delegations below `actor`.
pub const DELEGATES_MAX: usize = 4;
/// Keys up to which an object is checked for duplicates pairwise; above it they are sorted.
pub const PAIRWISE_KEYS_MAX: usize = 16;
/// An `occurred_at` later than arrival by more than this many seconds is marked `ext.time_suspect` = `future`.
pub const FUTURE_SECONDS: i64 = 600;
/// An `occurred_at` before this many Unix seconds (2000-01-01) is marked `ext.time_suspect` = `old`: a clock never set.
pub const OLD_BEFORE_SECONDS: i64 = 946_684_800;
/// How far in the future a time without year may lie before the year before is taken: its zone is unknown.
pub const YEARLESS_AHEAD_SECONDS: i64 = 86_400;
/// Bytes of a leaf: entry bundles of tlog-tiles give a length two bytes.
pub const LEAF_BYTES_MAX: usize = 65_535;
/// Elements and parameters of structured data that are read; a message with more of them is kept as plain text, since
/// finding repeated names costs the square of their number.
pub const STRUCTURED_DATA_MAX: usize = 1_000;
