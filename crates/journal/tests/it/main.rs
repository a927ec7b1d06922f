//! Room tests of the journal.

#![expect(clippy::unwrap_used, clippy::result_large_err, clippy::disallowed_methods, reason = "tests")]

mod append;
mod control;
mod gaps;
mod rig;
mod rules;
mod running;
mod setting_up;
mod snapshot;
