//! A manifest of any bytes: what parses is written as the same bytes.
#![cfg_attr(fuzzing, no_main)]

use ledger::sealed::Manifest;
use proofbook_fuzz::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(manifest) = Manifest::parse(data) {
        assert_eq!(manifest.to_text().as_bytes(), data);
        assert!(manifest.first < manifest.end && manifest.frontier.size() == manifest.end);
    }
});
