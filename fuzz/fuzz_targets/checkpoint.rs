//! A checkpoint: what parses is written back as the same bytes, and nothing unsigned verifies.
#![cfg_attr(fuzzing, no_main)]

use proofbook_fuzz::fuzz_target;
use proofbook_fuzz::keys;

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
