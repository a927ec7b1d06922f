//! A signed note: what parses is written back as the same bytes.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tlog::Vkey;

/// Made once: a key costs more than a run.
fn keys() -> &'static [Vkey] {
    static KEYS: OnceLock<Vec<Vkey>> = OnceLock::new();
    KEYS.get_or_init(|| testkit::keys::signer("fuzz.example/log", 1).vkeys())
}

fuzz_target!(|data: &[u8]| {
    if let Ok(note) = tlog::Note::parse(data) {
        assert_eq!(note.to_string().as_bytes(), data);
        let _ = note.verify(keys());
    }
});
