//! Tests of the room tlog: the vectors, foreign judges, properties, and what must be refused.
#![expect(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test stops at the first surprise")]

mod accumulated;
mod judges;
mod keys;
mod mirror;
mod notes;
mod policy;
mod proof_file;
mod properties;
mod vectors;
mod witness;
