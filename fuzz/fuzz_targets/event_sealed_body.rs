//! A body, plain or sealed: what is read is written again byte for byte, and no place of it opens by itself. The same
//! bytes as the contents of a seal, and as padded bytes.
#![cfg_attr(fuzzing, no_main)]

use event::seal::{Contents, parse_body, restore, unpad, write_body};
use proofbook_fuzz::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match parse_body(data) {
        Ok(body) => {
            serde_json::from_slice::<serde_json::Value>(body.event).unwrap();
            let mut again = Vec::new();
            write_body(&body.salt, body.event, &body.seals, &mut again);
            assert!(again == data, "{}", String::from_utf8_lossy(&again));
            if !body.seals.is_empty() {
                let back = restore(body.event, &[]).unwrap();
                assert!(back.event == body.event && back.withheld == body.places);
            }
        }
        Err(refused) => assert!(!refused.expected.is_empty() && !refused.to_string().contains('\u{1b}'), "{refused:?}"),
    }
    if let Ok(contents) = Contents::parse(data) {
        assert!(contents.to_bytes().unwrap() == data);
        assert!(contents.paths().all(|path| contents.text(path).is_some()));
    }
    if let Ok(inner) = unpad(data) {
        assert!(event::seal::pad(inner).unwrap() == data);
    }
});
