//! A receipt: what parses is written back and read again as the same.
#![cfg_attr(fuzzing, no_main)]

use proofbook_fuzz::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(proof) = tlog::TlogProof::parse(data) {
        let text = proof.to_text();
        assert_eq!(tlog::TlogProof::parse(text.as_bytes()).as_ref(), Ok(&proof));
        let _ = proof.verify(&tlog::leaf_hash(data), &[], None);
    }
});
