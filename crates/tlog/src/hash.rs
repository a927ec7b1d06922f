//! SHA-256 as RFC 6962 2.1 uses it: leaves, nodes, and the two texts of a hash. No other algorithm.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::encoding;

/// A SHA-256 hash of the tree. Debug and Display write it as hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The root of the empty tree: SHA-256 of no bytes.
    pub const EMPTY_ROOT: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae,
        0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);

    /// The hash in standard padded base64, 44 characters.
    pub fn b64(&self) -> String {
        encoding::b64(&self.0)
    }

    /// The hash in lower-case hexadecimal, 64 characters.
    pub fn hex(&self) -> String {
        encoding::hex(&self.0)
    }

    /// Reads what [`Hash::b64`] writes and nothing else.
    pub fn from_b64(text: &str) -> Option<Self> {
        // Before decoding: a longer text is never a hash.
        if text.len() != 44 {
            return None;
        }
        Some(Self(encoding::from_b64(text)?.try_into().ok()?))
    }

    /// Reads what [`Hash::hex`] writes and nothing else.
    pub fn from_hex(text: &str) -> Option<Self> {
        encoding::from_hex(text).map(Self)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

/// The hash of one leaf: `SHA-256(0x00 || entry)`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut sha = Sha256::new();
    sha.update([0]);
    sha.update(entry);
    Hash(sha.finalize().into())
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)`.
///
/// Hot: one a leaf while appending. The 65 bytes always fill two blocks with the same padding, so the blocks are laid
/// out here and handed to the compression function, without the buffering of a general digest.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut blocks = [[0_u8; 64]; 2];
    let [first, second] = &mut blocks;
    first[0] = 1;
    first[1..33].copy_from_slice(&left.0);
    first[33..].copy_from_slice(&right.0[..31]);
    second[0] = right.0[31];
    // FIPS 180-4, 5.1.1: a one bit, zeros, the length in bits as u64be: 65 * 8 = 520.
    second[1] = 0x80;
    second[62..].copy_from_slice(&520_u16.to_be_bytes());
    let mut state = INITIAL;
    sha2::block_api::compress256(&mut state, &blocks);
    let mut out = [0; 32];
    for (word, slot) in state.iter().zip(out.as_chunks_mut::<4>().0) {
        *slot = word.to_be_bytes();
    }
    Hash(out)
}

/// FIPS 180-4, 5.3.3: the state SHA-256 begins with.
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// SHA-256 of the parts one after another.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(part);
    }
    sha.finalize().into()
}
