//! The one door between events and the log: append, receipt, Scope, folds over committed entries.
//!
//! Opens no socket, makes no clock and no randomness, knows no HTTP. What it knows about principals, tokens and ledgers
//! is a fold over the committed entries of `control`; nothing here is decided from a projection.

#![expect(clippy::result_large_err, reason = "refusals carry text for people and are cold")]

mod access;
mod admin;
pub mod append;
mod credential;
mod error;
pub mod fold;
mod follow;
mod journal;
pub mod limits;
mod open;
mod own;
mod read;
mod reads;
mod request;
mod retention;
pub mod rules;
mod scope;
mod settle;
mod state;
mod status;
mod views;
mod write;

pub use access::{Access, Denial};
pub use credential::{Credential, NewToken, Quotas, Secret, TokenInfo, Verb};
pub use error::{Error, OpenError};
pub use journal::{Doors, Journal, OpenReport, Options, PinChoice};
pub use read::{EntryState, EntryView, Watching};
pub use request::{Done, EventResult, FilePlace, Format, Framing, Refusal, Request};
pub use retention::{RETENTION_PROFILES, RetentionProfile};
pub use scope::Scope;
pub use status::{GapState, LedgerInfo, LedgerStatus, NewLedger, Status};
