//! Room tests of the journal.

#![expect(clippy::unwrap_used, reason = "tests")]

mod append;
mod control;
mod gaps;
mod rules;
mod snapshot;
