//! The one binary: every subcommand of Proofbook.
fn main() {}
