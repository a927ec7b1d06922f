//! A tile path: one text a path, one path a text.
#![cfg_attr(fuzzing, no_main)]

use proofbook_fuzz::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(path) = tlog::tile::TilePath::parse(text)
    {
        assert_eq!(path.to_string(), text);
    }
});
