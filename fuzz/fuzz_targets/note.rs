//! A signed note: what parses is written back as the same bytes.
#![cfg_attr(fuzzing, no_main)]

use proofbook_fuzz::fuzz_target;
use proofbook_fuzz::keys;

fuzz_target!(|data: &[u8]| {
    if let Ok(note) = tlog::Note::parse(data) {
        assert_eq!(note.to_string().as_bytes(), data);
        let _ = note.verify(keys());
    }
});
