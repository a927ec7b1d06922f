//! Bundles of entries and of bodies: what decodes is encoded to the same bytes.
#![cfg_attr(fuzzing, no_main)]

use proofbook_fuzz::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(entries) = tlog::decode_bundle(data) {
        let mut out = Vec::new();
        assert!(entries.iter().all(|entry| tlog::push_entry(&mut out, entry)));
        assert_eq!(out, data);
    }
    if let Ok(bodies) = tlog::decode_bodies(data) {
        let mut out = Vec::new();
        assert!(bodies.iter().all(|body| tlog::push_body(&mut out, *body)));
        assert_eq!(out, data);
    }
});
