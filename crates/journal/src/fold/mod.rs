//! Folds: what the server knows, computed from committed entries alone.
//!
//! Pure: a fold reads no clock, no disk and no projection. Replaying from the first entry gives the same state, and a
//! snapshot is believed only if its MAC and the log agree.

pub mod control;
pub mod gaps;
pub mod snapshot;
