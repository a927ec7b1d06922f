//! A policy file: what parses can be asked and written.
#![cfg_attr(fuzzing, no_main)]

use proofbook_fuzz::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(policy) = tlog::Policy::parse(data) {
        let all: Vec<usize> = (0..policy.witnesses().len()).collect();
        assert!(policy.quorum_holds(&all) || policy.quorum().is_some());
        if let Ok(text) = policy.to_text() {
            assert!(tlog::Policy::parse(&text).is_ok());
        }
    }
});
