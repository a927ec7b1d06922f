//! Bodies that a witness is sent: refused or read, never a panic.
#![cfg_attr(fuzzing, no_main)]

use proofbook_fuzz::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = tlog::witness::AddCheckpoint::parse(data);
    let _ = tlog::witness::SignSubtree::parse(data);
    let _ = tlog::witness::decide(data, |_| None);
    let _ = tlog::witness::decide_subtree(data, |_| true, &[]);
});
