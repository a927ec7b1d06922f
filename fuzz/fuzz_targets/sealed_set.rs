//! Readers of a damaged sealed set: an error, or the very entry that was written; the check finds every change.
#![cfg_attr(fuzzing, no_main)]

use std::path::Path;

use ledger::Kind;
use ledger::sealed::{SealedSets, check_set};
use proofbook_fuzz::fuzz_target;
use proofbook_fuzz::{ABOUT, IN_SETS, SEALED, stored};

fuzz_target!(|data: &[u8]| {
    let stored = stored(false);
    let (disk, changed) = stored.damaged(data);
    let digest = testkit::entries::body_digest();
    let checked = check_set(&*disk.door(), Path::new(SEALED), &stored.manifest, &digest, 1).unwrap();
    let manifest_file = stored.files().iter().find(|(path, _)| path.extension().is_some_and(|e| e == "seal")).unwrap();
    let same = disk.read_file(&manifest_file.0).ok().as_ref() == Some(&manifest_file.1);
    assert!(!changed || !same || !checked.findings.is_empty(), "a change that no check finds");
    let Ok(sets) = SealedSets::open(&disk.door(), Path::new(SEALED), Kind::Audit, ABOUT) else { return };
    for index in (0..IN_SETS).step_by(37) {
        let expected = &stored.sealed[usize::try_from(index).unwrap()];
        if let Ok(entries) = sets.entries(index..(index + 3).min(IN_SETS), 1 << 20, &digest) {
            for (found, expected) in entries.iter().zip(&stored.sealed[usize::try_from(index).unwrap()..]) {
                assert_eq!((&found.leaf, found.index), (&expected.leaf, expected.index));
                assert!(found.body.is_none() || found.body == expected.body);
            }
        }
        if let Ok(tags) = sets.checked_tags(index) {
            assert_eq!(tags, expected.tags);
        }
        let _ =
            (sets.tags(index), sets.entry(index), sets.bundle_gzip(index / 256), sets.leaf_hashes(index..index + 2));
    }
    let _ = (sets.tags_of_set(0), sets.tree_at(100), sets.received_before(IN_SETS), sets.ranges());
});
