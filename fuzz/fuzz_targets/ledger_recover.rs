//! Recovery over damaged segments: an error, or a prefix of the log that is not below what was published.
//!
//! Hashes keep random bytes from getting far, so that most inputs are edits of a real log: the first byte says how much
//! of it was published, 255 that the rest is a foreign segment.
#![cfg_attr(fuzzing, no_main)]

use proofbook_fuzz::fuzz_target;
use proofbook_fuzz::{Stored, stored};

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    if *first == 255 {
        return Stored::recovers_foreign(rest);
    }
    let stored = stored(true);
    let published = u64::from(*first).min(stored.hashes.len() as u64);
    let (disk, changed) = stored.damaged(rest);
    let found = stored.recovers(&disk, published);
    assert!(changed || found == Some(stored.hashes.len() as u64), "{found:?} of a log that nobody touched");
});
