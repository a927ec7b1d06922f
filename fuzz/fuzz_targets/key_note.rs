//! A key note: what parses is written and read again as the same.
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
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(note) = tlog::KeyNote::parse(text)
    {
        assert_eq!(tlog::KeyNote::parse(&note.to_text()), Ok(note));
    }
    let pinned = keys();
    let _ = tlog::walk_keys(&[data], &pinned[0]);
});
