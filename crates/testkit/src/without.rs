//! Tests that need a program which is not there. Installs nothing: `cargo xtask test` does.

use std::fmt::Display;
use std::io::Write as _;

/// Says aloud that a test does without `tool`, past the capture of the test harness.
///
/// # Panics
/// In continuous integration (`CI=true`), unless `PROOFBOOK_WITHOUT` names the tool: whoever runs the tests has tried
/// to install it there and was refused.
#[expect(clippy::panic, reason = "the test fails here")]
pub fn do_without(tool: &str, why: impl Display) {
    let var = |name| std::env::var(name).unwrap_or_default();
    if var("CI") == "true" && !var("PROOFBOOK_WITHOUT").split(' ').any(|named| named == tool) {
        panic!("CI=true, and {tool} does not work: {why}");
    }
    let _ = writeln!(std::io::stderr(), "SKIPPED: {tool} does not work ({why})");
}
