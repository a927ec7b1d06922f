//! A key note: what parses is written and read again as the same.
#![cfg_attr(fuzzing, no_main)]

use proofbook_fuzz::fuzz_target;
use proofbook_fuzz::keys;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(note) = tlog::KeyNote::parse(text)
    {
        assert_eq!(tlog::KeyNote::parse(&note.to_text()), Ok(note));
    }
    let pinned = keys();
    let _ = tlog::walk_keys(&[data], &pinned[0]);
});
