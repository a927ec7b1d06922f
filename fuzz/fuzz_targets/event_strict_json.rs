//! Strict JSON against another parser: what is accepted, that one reads too.
#![cfg_attr(fuzzing, no_main)]

use proofbook_fuzz::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let other = serde_json::from_slice::<serde_json::Value>(data);
    match event::strict_json(data) {
        Ok(()) => assert!(other.is_ok(), "{other:?}"),
        Err(refused) => {
            // Stricter on purpose; but never because the JSON itself were broken where it is not.
            let broken = matches!(refused.code, "json_invalid" | "utf8_invalid");
            assert!(!broken || other.is_err(), "{refused:?}");
        }
    }
});
