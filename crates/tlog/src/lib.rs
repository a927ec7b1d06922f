//! The Merkle tree and everything signed over it: tiles, proofs, notes, checkpoints, cosignatures, policies.
