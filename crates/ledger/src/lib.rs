//! The append-only Merkle log on disk: sequencer, write-ahead segments, sealed files, checkpoints, recovery, fsck.
//!
//! Leaves and bodies are opaque bytes here: this room parses no event, holds no key and opens no socket. Byte formats:
//! `docs/formats/`. What an acknowledgement promises: `docs/durability.md`.

pub mod durable;
mod types;

pub use types::*;
