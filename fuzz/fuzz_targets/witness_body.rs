//! Bodies that a witness is sent: refused or read, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = tlog::witness::AddCheckpoint::parse(data);
    let _ = tlog::witness::SignSubtree::parse(data);
    let _ = tlog::witness::decide(data, |_| None);
    let _ = tlog::witness::decide_subtree(data, |_| true, &[]);
});
