//! The Merkle tree and everything signed over it: tiles, proofs, notes, checkpoints, cosignatures, policies.
//!
//! A module per specification: RFC 6962 ([`tree`], [`proof`]), tlog-tiles ([`tile`], [`bundle`]), signed-note
//! ([`note`], [`vkey`]), tlog-checkpoint ([`checkpoint`], [`key_note`]), tlog-cosignature ([`cosignature`]),
//! tlog-witness ([`witness`]), tlog-proof ([`proof_file`]), tlog-policy ([`policy`]), tlog-mirror ([`mirror`]).
//!
//! Knows no events, no files, no sockets, no clock and no randomness. Holds no private key: what signs is a closure
//! handed in. Every parser here takes hostile input: it refuses, it never panics.
//!
//! ```
//! use tlog::{Frontier, Hash, NodeMissing, Nodes, inclusion, leaf_hash, perfect_root, verify_inclusion};
//!
//! struct Memory(Vec<Hash>);
//! impl Nodes for Memory {
//!     fn node(&self, level: u8, index: u64) -> Result<Hash, NodeMissing> {
//!         let first = (index << level) as usize;
//!         self.0.get(first..first + (1 << level)).map(perfect_root).ok_or(NodeMissing { level, index })
//!     }
//! }
//!
//! let leaves: Vec<Hash> = ["one", "two", "three"].iter().map(|entry| leaf_hash(entry.as_bytes())).collect();
//! let mut frontier = Frontier::new();
//! frontier.extend(&leaves);
//! let proof = inclusion(&Memory(leaves), 2, 3)?;
//! verify_inclusion(&leaf_hash(b"three"), 2, 3, &proof, &frontier.root())?;
//! # Ok::<(), tlog::ProofError>(())
//! ```
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod bundle;
pub mod checkpoint;
pub mod cosignature;
mod encoding;
pub mod follow;
pub mod hash;
pub mod key_note;
pub mod limits;
pub mod mirror;
pub mod note;
pub mod policy;
pub mod proof;
pub mod proof_file;
pub mod signer;
pub mod tile;
pub mod tree;
pub mod vkey;
pub mod witness;

pub use bundle::{BundleError, decode_bodies, decode_bundle, encode_bundle, push_body, push_entry};
pub use checkpoint::{Checkpoint, verify_checkpoint};
pub use cosignature::{CosignedSubtree, Cosigner, Sign};
pub use follow::{Follow, follow};
pub use hash::{Hash, leaf_hash, node_hash};
pub use key_note::{KeyEpoch, KeyNote, KeyWalk, walk_keys};
pub use note::{Note, NoteError, SignatureLine, VerifiedLine};
pub use policy::{Accepted, Policy, PolicyError, PolicyRefusal};
pub use proof::{
    ProofError, consistency, inclusion, subtree_consistency, subtree_inclusion, verify_consistency, verify_inclusion,
    verify_subtree_consistency, verify_subtree_inclusion,
};
pub use proof_file::{ProofFileError, TlogProof};
pub use signer::{CheckpointSigner, SignEd25519};
pub use tile::{NodePlace, Resource, TilePath, TilePathError, bundles_of, node_place, partial_width, tiles_of};
pub use tree::{Frontier, NodeMissing, Nodes, perfect_root, root, subtree_hash, valid_subtree};
pub use vkey::{KeyKind, Vkey, VkeyError};
