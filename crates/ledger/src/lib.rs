//! The append-only Merkle log on disk: sequencer, write-ahead segments, sealed files, checkpoints, recovery, fsck.
//!
//! Leaves and bodies are opaque bytes here: this room parses no event, holds no key and opens no socket. Byte formats:
//! `docs/formats/`. What an acknowledgement promises: `docs/durability.md`.

#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod about;
mod checkpoints;
mod config;
mod dedup;
pub mod durable;
mod error;
#[cfg(test)]
mod fake_disk;
mod folder;
mod frame;
mod handover;
pub mod limits;
mod nodes;
mod parallel;
mod pin;
mod publish;
mod read;
mod recheck;
mod recover;
pub mod sealed;
mod sealer;
mod second;
mod segment;
mod service;
mod shared;
mod store;
mod tail;
mod types;
mod verdict;
pub mod verify;
mod writer;

pub use checkpoints::CheckpointLog;
pub use config::{Config, Fault, Stage};
pub use error::{Corrupt, OpenError, ReadError, with_causes};
pub use folder::DataFolder;
pub use pin::Pin;
pub use recheck::Recheck;
pub use recover::{Known, Recovered, recover};
pub use sealer::{SealError, Sealer, Sealing};
pub use service::{Doors, Ledger, OpenReport, Place, Subscription};
pub use types::*;
pub use verdict::{Code, Finding};
pub use writer::{Setup, Writer, check_batch};
