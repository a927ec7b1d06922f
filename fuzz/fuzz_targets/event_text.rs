//! One text message through its whole life: refused by name, or a strict body and a leaf that reads back.
#![cfg_attr(fuzzing, no_main)]

use proofbook_fuzz::fuzz_target;

fuzz_target!(|data: &[u8]| proofbook_fuzz::event_lives(event::Format::Text, data));
