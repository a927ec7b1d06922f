//! The limits of this room, each with its reason. It holds no limit of another room.

/// Hashes in a proof: no tree below 2^63 leaves needs more (RFC 6962 2.1), so more is refused before allocating.
pub const PROOF_HASHES_MAX: usize = 63;

/// Sizes and indices stay below this: Go clients hold them as int64.
pub const TREE_SIZE_MAX: u64 = (1 << 63) - 1;

/// Hashes in a full tile, entries in a full bundle (tlog-tiles).
pub const TILE_WIDTH: u16 = 256;

/// Bytes of one entry: its length in a bundle is a u16 (tlog-tiles).
pub const ENTRY_BYTES_MAX: usize = 65_535;

/// The highest tile level a path may name (tlog-tiles: 0 to 63).
pub const TILE_LEVEL_MAX: u8 = 63;

/// Tile and bundle numbers stay below this: the leaves under them must be countable below 2^63.
pub const TILE_INDEX_END: u64 = 1 << 55;

/// Bytes of a tile path: level, seven digit groups and a width need fewer.
pub const TILE_PATH_BYTES_MAX: usize = 64;

/// Bytes of a whole signed note: 16 post-quantum signature lines and a text fit, a flood does not.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;

/// Signature lines of a note; golang.org/x/mod/sumdb/note refuses more.
pub const NOTE_SIGNATURES_MAX: usize = 100;

/// Bytes of an origin or cosigner name: their length is a u8 in the ML-DSA message (tlog-cosignature).
pub const NAME_BYTES_MAX: usize = 255;

/// Bytes of a vkey: an ML-DSA-44 key takes 1,751 in base64, RSA keys of foreign logs fewer.
pub const VKEY_BYTES_MAX: usize = 8 * 1024;

/// Timestamps of cosignatures (tlog-cosignature: at most 2^63 - 1).
pub const TIMESTAMP_MAX: u64 = (1 << 63) - 1;

/// Bytes of a `.tlog-proof`: a note, 63 hash lines, and extra data up to the rest.
pub const PROOF_FILE_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a policy file: over 100 ML-DSA-44 keys.
pub const POLICY_BYTES_MAX: usize = 256 * 1024;

/// Logs, witnesses and groups of a policy, each; tlog-policy asks for at least 32.
pub const POLICY_ITEMS_MAX: usize = 128;

/// Bytes of a request to a witness: a note of the largest size and a proof. Deployed witnesses cap at 16 to 128 KiB.
pub const WITNESS_BODY_BYTES_MAX: usize = 128 * 1024;

/// Bytes of a witness's answer: signature lines only.
pub const WITNESS_ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Packages of 256 entries in one request to a mirror (tlog-mirror).
pub const MIRROR_PACKAGES_MAX: usize = 32;

/// Bytes of an answer of media type text/x.tlog.mirror-info: two numbers and a ticket of at most 65,535 bytes.
pub const MIRROR_INFO_BYTES_MAX: usize = 96 * 1024;
