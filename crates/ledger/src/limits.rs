//! Named limits of this room, each with its reason.

/// Largest leaf: a tlog-tiles entry bundle has a u16 length.
pub const LEAF_BYTES_MAX: u32 = 65_535;
/// Largest body: an event of 1 MiB with its salt, seals and escapes fits.
pub const BODY_BYTES_MAX: u32 = 4 << 20;
/// Most entries of one block (wal.md): bounds what recovery must hold for a table.
pub const BLOCK_ENTRIES_MAX: u32 = 262_144;
/// Most entries of one batch: a request has at most 10,000 events; room for the system's own.
pub const BATCH_ENTRIES_MAX: usize = 65_536;
/// Largest payload of one batch: a request of 64 MiB is the largest that is read.
pub const BATCH_BYTES_MAX: usize = 96 << 20;
/// Largest payload of one block, one batch that exceeds the target alone included.
pub const BLOCK_BYTES_MAX: u64 = 128 << 20;
/// Most bytes that one call of `entries` returns: a page of a tail or export.
pub const READ_BYTES_MAX: u64 = 16 << 20;
/// Pages of a waiting list: callers of `wait_published` at one time, beyond it Busy.
pub const WAITERS_MAX: usize = 262_144;
/// Most records that one run of the duplicate index is made of at once: what is sorted in memory, 24 MiB.
pub const DEDUP_BUILD_ENTRIES: u64 = 1 << 20;
/// Runs of one size that are merged into the next: keeps their number at a few for each power of eight.
pub const DEDUP_FAN: usize = 8;
/// Records of a merge between two looks at whether a segment waits for the sealer: about a tenth of a second.
pub const DEDUP_MERGE_STEP: usize = 1 << 19;
/// Records of the largest run whose filter has sixteen bits a record: 32 MiB.
pub const DEDUP_DENSE_RECORDS: u64 = 16 << 20;
/// Records of the largest run that has a filter: all filters of a ledger together stay below about 240 MiB.
pub const DEDUP_BLOOM_RECORDS: u64 = 64 << 20;
/// Bytes behind the last checkpoint up to which the publisher reads past the system's cache: a device that is busy with
/// more than this writes slower for each byte that is read back (docs/decisions/0005).
pub const PUBLISH_DEVICE_BYTES_MAX: u64 = 8 << 20;
