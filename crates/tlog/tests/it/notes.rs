//! Notes, verifier keys, checkpoints: the published example, and what must be refused.

use tlog::*;

use crate::vectors::{ed25519, ed25519_sign, ml_dsa_44, signer, text, vectors};

const EXAMPLE_VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE: &str = "This is an example message.\n\n\u{2014} example.com/foo \
    Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

#[test]
fn the_example_of_signed_note_verifies() {
    let vkey = Vkey::parse(EXAMPLE_VKEY).unwrap();
    assert_eq!(vkey.to_string(), EXAMPLE_VKEY);
    let note = Note::parse(EXAMPLE.as_bytes()).unwrap();
    assert_eq!(note.text, "This is an example message.\n");
    assert_eq!(note.to_string(), EXAMPLE);
    assert_eq!(note.verify(std::slice::from_ref(&vkey)), Ok(vec![0]));
    let mut changed = note.clone();
    changed.text.insert(0, ' ');
    assert_eq!(changed.verify(&[vkey]), Err(NoteError::BadSignature { name: "example.com/foo".into() }));
}

#[test]
fn a_note_is_split_at_its_last_empty_line() {
    let note = Note::parse("one\n\ntwo\n\n\u{2014} a AAAAAAA=\n".as_bytes()).unwrap();
    assert_eq!((note.text.as_str(), note.signatures.len()), ("one\n\ntwo\n", 1));
    assert_eq!(Note::parse("\n\n\u{2014} a AAAAAAA=\n".as_bytes()).unwrap().text, "\n");
}

#[test]
fn floods_are_refused() {
    let line = "\u{2014} a AAAAAAA=\n";
    let note = |lines| format!("text\n\n{}", line.repeat(lines));
    assert_eq!(Note::parse(note(100).as_bytes()).unwrap().signatures.len(), 100);
    assert_eq!(Note::parse(note(101).as_bytes()), Err(NoteError::TooManySignatures));
    let large = format!("{}\n\n{line}", "x".repeat(limits::NOTE_BYTES_MAX));
    assert_eq!(Note::parse(large.as_bytes()), Err(NoteError::TooLarge));
    assert!(matches!(Note::parse(b"\xff\n\n"), Err(NoteError::Malformed(_))));
}

#[test]
fn unknown_lines_are_ignored_and_broken_known_ones_reject() {
    let log = signer("log.example/a", 1);
    let checkpoint = Checkpoint { origin: "log.example/a".into(), size: 0, root: Hash::EMPTY_ROOT };
    let signed = log.sign(&checkpoint, 5);
    let keys = log.vkeys();
    let grease = format!("{signed}\u{2014} grease.invalid AAAAAAA=\n");
    assert_eq!(Note::parse(grease.as_bytes()).unwrap().verify(&keys), Ok(vec![0, 1]));
    // The same name under another key id is another key.
    let foreign = format!("{signed}\u{2014} log.example/a AAAAAAA=\n");
    assert_eq!(Note::parse(foreign.as_bytes()).unwrap().verify(&keys), Ok(vec![0, 1]));
    // Unknown kinds of keys never verify and never reject.
    let unknown = Vkey::parse("log.example/a+00000000+/0FB").unwrap();
    assert_eq!(unknown.kind, KeyKind::Unknown(0xff));
    assert_eq!(Note::parse(foreign.as_bytes()).unwrap().verify(&[unknown]), Err(NoteError::NoKnownSignature));
    // Any flipped byte of any signature rejects the note, though the other line holds.
    let note = Note::parse(signed.as_bytes()).unwrap();
    for line in 0..2 {
        for at in [0, 7, 8, 9, 40, 63, 71, 72, 500, 2400, 2427] {
            let mut broken = note.clone();
            let Some(byte) = broken.signatures[line].payload.get_mut(at) else { continue };
            *byte ^= 1;
            let bad = Err(NoteError::BadSignature { name: "log.example/a".into() });
            assert_eq!(broken.verify(&keys), bad, "line {line} byte {at}");
        }
        for length in [1, 8, 63, 71, 2427] {
            let mut cut = note.clone();
            if length < cut.signatures[line].payload.len() {
                cut.signatures[line].payload.truncate(length);
                assert!(cut.verify(&keys).is_err());
            }
        }
    }
}

#[test]
fn verifier_keys_are_read_strictly() {
    use VkeyError::*;
    let weak = format!("a+{}+{}", "00000000", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let check = |text: &str, expected| assert_eq!(Vkey::parse(text), Err(expected), "{text}");
    check("", Malformed);
    check("a+b", Malformed);
    check("example.com/foo+530d903+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", Malformed);
    check("example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", Malformed);
    check("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2", Malformed);
    check("example.com/foo+530d903a+", Malformed);
    check("+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", BadName);
    check("example com+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", BadName);
    check("example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", WrongKeyId);
    check("example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", WrongKeyId);
    check("a+00000000+AQ==", BadKey);
    check("a+00000000+BgAA", BadKey);
    check(&weak, BadKey);
    check(&format!("a+00000000+{}", "A".repeat(9000)), Malformed);
    assert_eq!(Vkey::new("a b", KeyKind::Ed25519, &[0; 32]), Err(BadName));
    assert_eq!(Vkey::new("a", KeyKind::CosignatureMlDsa44, &[0; 1311]), Err(BadKey));
    assert_eq!(Vkey::new("a", KeyKind::Unknown(2), &[0; 32]), Err(BadKey));
}

#[test]
fn checkpoints_are_read_strictly() {
    let root = Hash::EMPTY_ROOT.b64();
    let good = |text: String| Checkpoint::parse(&text).unwrap();
    assert_eq!(good(format!("o\n0\n{root}\n")).to_text(), format!("o\n0\n{root}\n"));
    assert_eq!(good(format!("o\n9223372036854775807\n{root}\nextension\nmore\n")).size, (1 << 63) - 1);
    for bad in [
        String::new(),
        "\n".into(),
        format!("o\n0\n{root}"),
        format!("\n0\n{root}\n"),
        format!("a b\n0\n{root}\n"),
        format!("a+b\n0\n{root}\n"),
        format!("o\n\n{root}\n"),
        format!("o\n00\n{root}\n"),
        format!("o\n01\n{root}\n"),
        format!("o\n+1\n{root}\n"),
        format!("o\n-1\n{root}\n"),
        format!("o\n 1\n{root}\n"),
        format!("o\n9223372036854775808\n{root}\n"),
        format!("o\n18446744073709551616\n{root}\n"),
        "o\n1\n".into(),
        "o\n1\nAAAA\n".into(),
        format!("o\n1\n{}\n", &root[..43]),
        format!("o\n1\n{}V=\n", &root[..42]),
        format!("o\n1\n{root}\n\n"),
        format!("o\n1\n{root}\n\nextension\n"),
    ] {
        assert!(matches!(Checkpoint::parse(&bad), Err(NoteError::NotCheckpoint(_))), "{bad:?}");
    }
}

#[test]
fn a_checkpoint_needs_its_own_logs_signature() {
    let vectors = vectors();
    let log = Vkey::parse(text(&vectors["ed25519_log"], "vkey")).unwrap();
    let signed = text(&vectors["ed25519_log"], "checkpoint_size_300");
    let witness = Vkey::parse(text(&vectors["ed25519_cosignature"], "vkey")).unwrap();
    let cosigned = format!("{signed}{}", text(&vectors["ed25519_cosignature"], "line"));
    let verify = |note: &str, keys: &[Vkey], origin| verify_checkpoint(note.as_bytes(), keys, origin).map(|c| c.size);
    assert_eq!(verify(&cosigned, &[witness.clone(), log.clone()], None), Ok(300));
    assert_eq!(verify(&cosigned, &[witness], None), Err(NoteError::NoKnownSignature));
    assert_eq!(verify(signed, &[], None), Err(NoteError::NoKnownSignature));
    assert_eq!(verify(signed, &[log], Some("log.example.com/other")), Err(NoteError::WrongOrigin));

    // A key under another name than the origin is not the log's, though its signature holds.
    let other = signer("log.example/other", 3);
    let body = Checkpoint { origin: "log.example/a".into(), size: 0, root: Hash::EMPTY_ROOT }.to_text();
    let line = Cosigner::ed25519("log.example/a", &ed25519(4).verifying_key().to_bytes(), ed25519_sign(4)).unwrap();
    let by_cosigner_type = format!("{body}\n{}", line.cosign(&body, 7).unwrap());
    assert_eq!(verify(&by_cosigner_type, &[line.vkey().clone()], None), Err(NoteError::NoKnownSignature));
    assert_eq!(verify(&by_cosigner_type, &other.vkeys(), None), Err(NoteError::NoKnownSignature));

    // Size 0 has one root.
    let log = signer("log.example/a", 1);
    let wrong = log.sign(&Checkpoint { origin: "log.example/a".into(), size: 0, root: leaf_hash(b"") }, 5);
    assert_eq!(verify(&wrong, &log.vkeys(), None), Err(NoteError::WrongEmptyRoot));
}

#[test]
fn what_cannot_be_cosigned_is_not() {
    let (public, sign) = ml_dsa_44(9);
    let pq = Cosigner::ml_dsa_44("w", &public, std::sync::Arc::clone(&sign)).unwrap();
    let ed = Cosigner::ed25519("w", &ed25519(7).verifying_key().to_bytes(), ed25519_sign(7)).unwrap();
    let text = Checkpoint { origin: "o".into(), size: 0, root: Hash::EMPTY_ROOT }.to_text();
    let long = Checkpoint { origin: "o".repeat(256), size: 0, root: Hash::EMPTY_ROOT }.to_text();
    for cosigner in [&pq, &ed] {
        assert!(cosigner.cosign(&text, 1).is_some());
        assert!(cosigner.cosign(&text, 0).is_none());
        assert!(cosigner.cosign(&text, 1 << 63).is_none());
        assert!(cosigner.cosign("no checkpoint\n", 1).is_none());
    }
    assert!(pq.cosign(&long, 1).is_none());
    assert_eq!(Cosigner::ml_dsa_44(&"w".repeat(256), &public, sign).unwrap_err(), VkeyError::BadName);

    let subtree = CosignedSubtree { origin: "o", start: 8, end: 13, hash: leaf_hash(b"") };
    let line = pq.cosign_subtree(&subtree).unwrap();
    assert_eq!(cosignature::verify_subtree_line(pq.vkey(), &subtree, &line), Some(0));
    for other in [
        CosignedSubtree { origin: "p", ..subtree },
        CosignedSubtree { end: 14, ..subtree },
        CosignedSubtree { hash: leaf_hash(b"x"), ..subtree },
        CosignedSubtree { start: 9, ..subtree },
    ] {
        assert_eq!(cosignature::verify_subtree_line(pq.vkey(), &other, &line), None);
    }
    assert!(pq.cosign_subtree(&CosignedSubtree { start: 9, ..subtree }).is_none());
    assert!(ed.cosign_subtree(&subtree).is_none());
    assert!(cosignature::subtree_message("w", 1, &subtree).is_none(), "start other than 0 has no time");
    assert!(cosignature::subtree_message("", 0, &subtree).is_none());
}
