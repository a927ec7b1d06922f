//! One openbao message through its whole life: refused by name, or a strict body and a leaf that reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| proofbook_fuzz::event_lives(event::Format::OpenBao, data));
