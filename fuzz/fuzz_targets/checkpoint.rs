//! A checkpoint: what parses is written back as the same bytes, and nothing unsigned verifies.
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
        && let Ok(checkpoint) = tlog::Checkpoint::parse(text)
    {
        let again = checkpoint.to_text();
        assert!(text.starts_with(&again));
        assert_eq!(tlog::Checkpoint::parse(&again), Ok(checkpoint));
    }
    let keys = keys();
    let _ = tlog::verify_checkpoint(data, keys, None);
});
