//! The Merkle tree and everything signed over it: tiles, proofs, notes, checkpoints, cosignatures, policies.
//!
//! Knows no events, no files, no sockets, no clock and no randomness.

/// A SHA-256 hash of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);
