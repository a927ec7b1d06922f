//! Fault loops: the durable floor on a disk that forgets and fails.
//!
//! `PROOFBOOK_COUNTS=ci` runs the counts of continuous integration, `PROOFBOOK_SEED=n` one seed alone.
#![expect(clippy::expect_used, reason = "tests stop at the first surprise")]

mod faults;
mod loops;
mod power;
