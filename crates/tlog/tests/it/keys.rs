//! Key notes: the walk from a pinned key, and where it ends.

use tlog::*;

use crate::vectors::signer;

const ORIGIN: &str = "log.example/a";

fn rotation(from: u64, old: &CheckpointSigner, new: &CheckpointSigner) -> String {
    let note = KeyNote { origin: ORIGIN.into(), from, keys: new.vkeys(), previous: old.vkeys() };
    new.sign_key_note(&note, Some(old))
}

#[test]
fn the_first_note_is_signed_by_its_own_key() {
    let log = signer(ORIGIN, 1);
    let note = log.key_note(0);
    let [ed, pq] = [&log.vkeys()[0], &log.vkeys()[1]].map(ToString::to_string);
    assert!(note.starts_with(&format!("proofbook-key/v1\n{ORIGIN}\nfrom 0\nkey {ed}\nkey {pq}\n\n\u{2014} {ORIGIN} ")));
    assert_eq!(note.lines().count(), 7);
    let walk = walk_keys(&[&note], &log.vkeys()[0]);
    assert_eq!((walk.keys_at(0), walk.ended), (&log.vkeys()[..], None));
}

#[test]
fn a_walk_goes_on_while_the_last_key_signs() {
    let (a, b, c) = (signer(ORIGIN, 1), signer(ORIGIN, 2), signer(ORIGIN, 3));
    let notes = [a.key_note(0), rotation(100, &a, &b), rotation(200, &b, &c)];
    let walk = walk_keys(&notes, &a.vkeys()[0]);
    assert_eq!(walk.ended, None);
    for (size, keys) in [(0, &a), (99, &a), (100, &b), (199, &b), (200, &c), (u64::MAX, &c)] {
        assert_eq!(walk.keys_at(size), keys.vkeys(), "{size}");
    }
    // A pin in the middle trusts nothing older.
    let walk = walk_keys(&notes, &b.vkeys()[0]);
    assert_eq!((walk.epochs.len(), walk.keys_at(99).len(), walk.keys_at(150)), (2, 0, &b.vkeys()[..]));
    // A pin that never stood in a note trusts none.
    assert!(walk_keys(&notes, &signer(ORIGIN, 9).vkeys()[0]).epochs.is_empty());
    assert_eq!(walk_keys(&notes, &a.vkeys()[1]).ended.unwrap().0, 0, "an ML-DSA key signs no note");
}

#[test]
fn every_break_ends_the_walk() {
    let (a, b, c) = (signer(ORIGIN, 1), signer(ORIGIN, 2), signer(ORIGIN, 3));
    let check = |second: String, why: &str| {
        let walk = walk_keys(&[a.key_note(10), second, rotation(300, &b, &c)], &a.vkeys()[0]);
        assert_eq!(walk.epochs.len(), 1, "{why}");
        assert_eq!(walk.ended, Some((1, why)));
    };
    let note = |from, new: &CheckpointSigner, keys: Vec<Vkey>, previous: Vec<Vkey>, old: Option<&CheckpointSigner>| {
        new.sign_key_note(&KeyNote { origin: ORIGIN.into(), from, keys, previous }, old)
    };
    check(rotation(9, &a, &b), "begins before the note it follows");
    check(note(100, &b, b.vkeys(), a.vkeys(), None), "not signed by the last trusted key");
    check(note(100, &a, b.vkeys(), a.vkeys(), None), "not signed by each key it lists");
    check(note(100, &b, b.vkeys(), Vec::new(), Some(&a)), "drops a key without naming it as replaced");
    check(rotation(100, &c, &b), "not signed by the last trusted key");
    let extra = [a.vkeys(), c.vkeys()].concat();
    check(note(100, &b, b.vkeys(), extra, Some(&a)), "replaces a key that was not valid");
    check(rotation(100, &a, &b).replace("from 100", "from 101"), "not signed by the last trusted key");
    check("garbage".into(), "not a signed note");
    check(a.sign(&Checkpoint { origin: ORIGIN.into(), size: 0, root: Hash::EMPTY_ROOT }, 1), "not a key note");
    check(signer("log.example/b", 1).key_note(100), "of another origin");
}

#[test]
fn key_notes_are_read_strictly() {
    let log = signer(ORIGIN, 1);
    let text = KeyNote { origin: ORIGIN.into(), from: 5, keys: log.vkeys(), previous: Vec::new() }.to_text();
    assert_eq!(KeyNote::parse(&text).unwrap().to_text(), text);
    let key = log.vkeys()[0].to_string();
    for bad in [
        text.replace("proofbook-key/v1", "proofbook-key/v2"),
        text.replace("from 5", "from 05"),
        text.replace("from 5", "from 9223372036854775808"),
        text.replace("from 5\n", ""),
        text.replace(&format!("{ORIGIN}\nfrom"), "\nfrom"),
        text.trim_end().into(),
        format!("proofbook-key/v1\n{ORIGIN}\nfrom 5\n"),
        format!("proofbook-key/v1\n{ORIGIN}\nfrom 5\nprevious {key}\n"),
        format!("proofbook-key/v1\n{ORIGIN}\nfrom 5\nprevious {key}\nkey {key}\n"),
        format!("{text}other line\n"),
        format!("{text}\n"),
    ] {
        assert!(KeyNote::parse(&bad).is_err(), "{bad}");
    }
}
