//! A verifier key: what parses is written back as the same text.
#![cfg_attr(fuzzing, no_main)]

use proofbook_fuzz::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(key) = tlog::vkey::Vkey::parse(text)
    {
        assert_eq!(key.to_string(), text);
    }
});
