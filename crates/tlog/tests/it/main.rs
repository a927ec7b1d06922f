//! Tests of the room tlog: the vectors, foreign judges, and what must be refused.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod vectors;
