//! Witness requests: the vector, each decision with its status, and the log's reading of answers.

use tlog::witness::{AddCheckpoint, Answer, KnownLog, Refusal, SignSubtree, decide, decide_subtree, read_answer};
use tlog::*;

use crate::vectors::{Leaves, ed25519, ed25519_sign, ml_dsa_44, signer, text, vectors};

const ORIGIN: &str = "log.example.com/audit";

fn log() -> CheckpointSigner {
    signer(ORIGIN, 0x42)
}

fn checkpoint(leaves: &Leaves, size: u64) -> Checkpoint {
    Checkpoint { origin: ORIGIN.into(), size, root: root(leaves, size).unwrap() }
}

fn request(leaves: &Leaves, old: u64, size: u64) -> String {
    let proof = consistency(leaves, old, size).unwrap();
    AddCheckpoint::body(old, &proof, &log().sign(&checkpoint(leaves, size), 7))
}

fn known(leaves: &Leaves, latest: Option<u64>) -> impl FnOnce(&str) -> Option<KnownLog> {
    let latest = latest.map(|size| (size, root(leaves, size).unwrap()));
    move |origin| (origin == ORIGIN).then(|| KnownLog { keys: log().vkeys(), latest })
}

fn witnesses() -> Vec<Cosigner> {
    let (public, sign) = ml_dsa_44(9);
    vec![
        Cosigner::ed25519("w1.example", &ed25519(7).verifying_key().to_bytes(), ed25519_sign(7)).unwrap(),
        Cosigner::ml_dsa_44("w2.example", &public, sign).unwrap(),
    ]
}

#[test]
fn the_vector_is_cosigned() {
    let vectors = vectors();
    let leaves = Leaves::new(300);
    let body = text(&vectors, "add_checkpoint_body_256_to_300");
    let read = AddCheckpoint::parse(body.as_bytes()).unwrap();
    assert_eq!(AddCheckpoint::body(read.old, &read.proof, &read.note.to_string()), body);
    let proof = consistency(&leaves, 256, 300).unwrap();
    assert_eq!(AddCheckpoint::body(256, &proof, text(&vectors["ed25519_log"], "checkpoint_size_300")), body);

    let accepted = decide(body.as_bytes(), known(&leaves, Some(256))).unwrap();
    assert_eq!(accepted.checkpoint, checkpoint(&leaves, 300));
    assert_eq!(accepted.expected, Some((256, root(&leaves, 256).unwrap())));
    assert_eq!(accepted.log_lines.len(), 1);
    let answer = accepted.cosign(&witnesses(), 1_679_315_147).unwrap();
    let keys: Vec<Vkey> = witnesses().iter().map(|w| w.vkey().clone()).collect();
    let Answer::Cosigned(lines) = read_answer(200, None, answer.as_bytes(), &accepted.text, &keys) else {
        panic!("{answer}");
    };
    assert_eq!(lines.len(), 2);
    assert_eq!(accepted.cosign(&witnesses(), 0), None);
    assert_eq!(witness::origin_folder(ORIGIN), text(&vectors, "origin_hash_hex"));
}

#[test]
fn decisions_come_in_the_order_of_the_specification() {
    let leaves = Leaves::new(300);
    let check = |body: String, latest: Option<u64>, refusal: Refusal, status: u16| {
        let got = decide(body.as_bytes(), known(&leaves, latest)).unwrap_err();
        assert_eq!((got, got.status()), (refusal, status), "{body:.60}");
        assert_eq!(got.is_evidence(), status == 422);
    };
    let ok = |body: String, latest| decide(body.as_bytes(), known(&leaves, latest)).unwrap();
    ok(request(&leaves, 0, 300), None);
    ok(request(&leaves, 0, 0), None);
    ok(request(&leaves, 0, 0), Some(0));
    assert_eq!(ok(request(&leaves, 300, 300), Some(300)).checkpoint.size, 300, "a refresh of the time");
    assert_eq!(ok(request(&leaves, 0, 5), None).expected, None);

    let stranger = request(&leaves, 0, 5).replace(ORIGIN, "log.example.com/other");
    check(stranger, None, Refusal::UnknownOrigin, 404);
    let sign = |signer: &CheckpointSigner, old, proof: &[Hash], c: &Checkpoint| {
        AddCheckpoint::body(old, proof, &signer.sign(c, 7))
    };
    check(sign(&signer(ORIGIN, 1), 0, &[], &checkpoint(&leaves, 5)), None, Refusal::NotSigned, 403);
    // One good and one broken line of trusted keys: 403 at once.
    let mut broken = Note::parse(log().sign(&checkpoint(&leaves, 5), 7).as_bytes()).unwrap();
    broken.signatures[1].payload[100] ^= 1;
    check(AddCheckpoint::body(0, &[], &broken.to_string()), None, Refusal::NotSigned, 403);
    // The signature is judged before the sizes, the sizes before the state.
    check(sign(&signer(ORIGIN, 1), 9, &[], &checkpoint(&leaves, 5)), Some(3), Refusal::NotSigned, 403);
    check(sign(&log(), 9, &[], &checkpoint(&leaves, 5)), Some(3), Refusal::OldBeyondSize, 400);
    check(request(&leaves, 0, 300), Some(256), Refusal::Conflict { latest: 256 }, 409);
    check(request(&leaves, 256, 300), None, Refusal::Conflict { latest: 0 }, 409);
    // The state is judged before the proof.
    check(sign(&log(), 4, &[Hash::EMPTY_ROOT], &checkpoint(&leaves, 5)), Some(3), Refusal::Conflict { latest: 3 }, 409);
    check(sign(&log(), 3, &[Hash::EMPTY_ROOT], &checkpoint(&leaves, 5)), Some(3), Refusal::ProofFails, 422);
    check(sign(&log(), 0, &[Hash::EMPTY_ROOT], &checkpoint(&leaves, 5)), None, Refusal::ProofFails, 422);
    check(sign(&log(), 3, &[], &checkpoint(&leaves, 5)), Some(3), Refusal::ProofFails, 422);
    check(sign(&log(), 5, &[Hash::EMPTY_ROOT], &checkpoint(&leaves, 5)), Some(5), Refusal::ProofFails, 422);
    let other = Checkpoint { root: leaf_hash(b"fork"), ..checkpoint(&leaves, 5) };
    check(sign(&log(), 5, &[], &other), Some(5), Refusal::RootsDiffer, 422);
    check(sign(&log(), 3, &consistency(&leaves, 3, 5).unwrap(), &other), Some(3), Refusal::ProofFails, 422);
    let empty = Checkpoint { size: 0, ..other };
    check(sign(&log(), 0, &[], &empty), None, Refusal::WrongEmptyRoot, 422);
    assert_eq!(Refusal::Conflict { latest: 256 }.answer(), ("text/x.tlog.size", "256\n".into()));
}

#[test]
fn malformed_requests_are_400() {
    let leaves = Leaves::new(300);
    let good = request(&leaves, 256, 300);
    let hash = format!("{}\n", Hash::EMPTY_ROOT.b64());
    for bad in [
        String::new(),
        good.replace("old ", "old"),
        good.replace("old 256", "old 0256"),
        good.replace("old 256", "old -1"),
        good.replace("old 256", "old 9223372036854775808"),
        good.replacen("old 256\n", "", 1),
        good.replacen("old 256\n", "old 256\nAAAA\n", 1),
        good.replacen("old 256\n", &format!("old 256\n{}", hash.repeat(63)), 1),
        good.replacen("\n\n", "\n", 1),
        good.replacen("300\n", "0300\n", 1),
        good.trim_end().into(),
        good.replace('\n', "\r\n"),
        format!("{good}{}", "x".repeat(limits::WITNESS_BODY_BYTES_MAX)),
    ] {
        assert_eq!(AddCheckpoint::parse(bad.as_bytes()).unwrap_err().status(), 400, "{bad:.100}");
    }
    assert_eq!(AddCheckpoint::parse(b"\xff\n\n").unwrap_err().status(), 400);
    let most = good.replacen("old 256\n", &format!("old 256\n{}", hash.repeat(60)), 1);
    assert!(AddCheckpoint::parse(most.as_bytes()).unwrap().proof.len() > 60);
}

#[test]
fn subtrees_are_cosigned_under_an_own_cosignature() {
    let leaves = Leaves::new(300);
    let own = witnesses();
    let reference = checkpoint(&leaves, 14);
    let note = |signers: &[Cosigner]| {
        let text = reference.to_text();
        let lines: String = signers.iter().map(|w| w.cosign(&text, 7).unwrap().to_string()).collect();
        format!("{text}\n{lines}")
    };
    let hash = subtree_hash(&leaves, 8, 13).unwrap();
    let proof = subtree_consistency(&leaves, 8, 13, 14).unwrap();
    let body = SignSubtree::body(8, 13, &hash, &proof, &note(&own));
    let read = SignSubtree::parse(body.as_bytes()).unwrap();
    assert_eq!((read.start, read.end, &read.proof), (8, 13, &proof));
    let yes = |origin: &str| origin == ORIGIN;
    let answer = decide_subtree(body.as_bytes(), yes, &own).unwrap();
    let line = SignatureLine::parse(answer.trim_end()).unwrap();
    let subtree = CosignedSubtree { origin: ORIGIN, start: 8, end: 13, hash };
    assert_eq!(cosignature::verify_subtree_line(own[1].vkey(), &subtree, &line), Some(0));

    let status = |body: &str, own: &[Cosigner]| decide_subtree(body.as_bytes(), yes, own).unwrap_err().status();
    for (from, to) in [("8 13", "9 13"), ("8 13", "8 15"), ("8 13", "13 8"), ("8 13", "8"), ("8 13", "08 13")] {
        assert_eq!(status(&body.replacen(from, to, 1), &own), 400, "{to}");
    }
    assert_eq!(status(&body.replacen(&hash.b64(), "AAAA", 1), &own), 400);
    assert_eq!(status(&body.replace(ORIGIN, "log.example.com/other"), &own), 404);
    assert_eq!(status(&SignSubtree::body(8, 13, &hash, &proof, &log().sign(&reference, 7)), &own), 403);
    assert_eq!(status(&SignSubtree::body(8, 13, &hash, &proof, &note(&own[..1])), &own[..1]), 403);
    assert_eq!(status(&SignSubtree::body(8, 13, &leaf_hash(b""), &proof, &note(&own)), &own), 422);
    assert_eq!(status(&SignSubtree::body(8, 13, &hash, &proof[1..], &note(&own)), &own), 422);
}

#[test]
fn answers_are_judged() {
    let leaves = Leaves::new(300);
    let text = checkpoint(&leaves, 300).to_text();
    let own = witnesses();
    let keys: Vec<Vkey> = own.iter().map(|w| w.vkey().clone()).collect();
    let line = |time| own[0].cosign(&text, time).unwrap().to_string();
    let read = |status, kind, body: &str| read_answer(status, kind, body.as_bytes(), &text, &keys);
    let size = Some("text/x.tlog.size");
    assert_eq!(read(409, size, "256\n"), Answer::Latest(256));
    assert!(matches!(read(409, size, "256"), Answer::Broken(_)));
    assert!(matches!(read(409, size, "0256\n"), Answer::Broken(_)));
    assert_eq!(read(409, Some("text/x.tlog.size; charset=utf-8"), "256\n"), Answer::Accusation);
    assert_eq!(read(409, None, "256\n"), Answer::Accusation);
    assert_eq!(read(422, None, ""), Answer::Accusation);
    assert_eq!((read(404, None, ""), read(403, None, "")), (Answer::NotRegistered, Answer::NotRegistered));
    assert_eq!((read(429, None, ""), read(503, None, "")), (Answer::Later, Answer::Later));
    assert!(matches!(read(200, None, ""), Answer::Broken(_)));
    assert!(matches!(read(302, None, ""), Answer::Broken(_)));
    let grease = "\u{2014} grease.invalid AAAAAAA=\n";
    let good = line(9);
    assert!(matches!(read(200, None, &format!("{grease}{good}")), Answer::Cosigned(lines) if lines.len() == 1));
    assert!(matches!(read(200, None, grease), Answer::Broken(_)));
    assert!(matches!(read(200, None, &format!("{good}\n{good}")), Answer::Broken(_)));
    assert!(matches!(read(200, None, &format!("\n{good}")), Answer::Broken(_)));
    let stray = own[0].cosign(&checkpoint(&leaves, 299).to_text(), 9).unwrap().to_string();
    assert!(matches!(read(200, None, &stray), Answer::Broken(_)));
    // A cosignature without time is none.
    let mut payload = 0_u64.to_be_bytes().to_vec();
    payload.extend(ed25519_sign(7)(cosignature::cosignature_message(0, &text).as_bytes()));
    let timeless = SignatureLine { name: keys[0].name.clone(), key_id: keys[0].key_id, payload };
    assert!(matches!(read(200, None, &timeless.to_string()), Answer::Broken(_)));
}

#[test]
fn followers_tell_progress_from_forks() {
    let leaves = Leaves::new(300);
    let at = |size| checkpoint(&leaves, size);
    let proof = consistency(&leaves, 256, 300).unwrap();
    let fork = Checkpoint { root: leaf_hash(b"fork"), ..at(300) };
    assert_eq!(follow(&at(256), &at(300), &proof), Follow::Advances);
    assert_eq!(follow(&at(300), &at(256), &proof), Follow::Behind);
    assert_eq!(follow(&at(0), &at(300), &[]), Follow::Advances);
    assert_eq!(follow(&at(300), &at(300), &[]), Follow::Same);
    assert_eq!(follow(&at(300), &fork, &[]), Follow::Fork);
    assert_eq!(follow(&at(256), &fork, &proof), Follow::Unproven(ProofError::WrongRoot));
    assert_eq!(follow(&at(256), &at(300), &[]), Follow::Unproven(ProofError::WrongLength { expected: 1, got: 0 }));
    assert_eq!(follow(&at(256), &Checkpoint { origin: "other".into(), ..at(300) }, &proof), Follow::OtherLog);
}
