//! Policy files: the grammar, quorums, and checkpoints under them.

use tlog::policy::Member;
use tlog::*;

use crate::vectors::{ed25519, ed25519_sign, ml_dsa_44, signer};

fn witness(seed: u8) -> Cosigner {
    let public = ed25519(seed).verifying_key().to_bytes();
    Cosigner::ed25519(&format!("w{seed}.example"), &public, ed25519_sign(seed)).unwrap()
}

fn log() -> CheckpointSigner {
    signer("log.example/a", 1)
}

/// A policy over the log and witnesses A (10) to D (13), with these further lines.
fn text(lines: &str) -> String {
    let mut out = format!("log {}\n", log().vkeys()[0]);
    for (name, seed) in [("A", 10), ("B", 11), ("C", 12), ("D", 13)] {
        out.push_str(&format!("witness {name} {} https://{name}.example/\n", witness(seed).vkey()));
    }
    out + lines
}

fn parse(lines: &str) -> Result<Policy, PolicyError> {
    Policy::parse(text(lines).as_bytes())
}

#[test]
fn quorums_hold_as_written() {
    let check = |lines: &str, holds: &[&[usize]], fails: &[&[usize]]| {
        let policy = parse(lines).unwrap();
        for set in holds {
            assert!(policy.quorum_holds(set), "{lines} {set:?}");
        }
        for set in fails {
            assert!(!policy.quorum_holds(set), "{lines} {set:?}");
        }
        // The common form says the same.
        let written = policy.to_text().unwrap();
        assert_eq!(Policy::parse(&written).unwrap(), policy);
        assert!(
            written
                .split(|b| *b == b'\n')
                .filter(|l| l.starts_with(b"witness"))
                .all(|l| { l.split(|b| *b == b' ').count() == 4 })
        );
    };
    check("quorum none\n", &[&[], &[0]], &[]);
    check("quorum B\n", &[&[1], &[0, 1]], &[&[], &[0, 2, 3]]);
    check("group g any A B\nquorum g\n", &[&[0], &[1]], &[&[], &[2]]);
    check("group g all A B\nquorum g\n", &[&[0, 1]], &[&[0], &[1], &[2, 3]]);
    check("group g 2 A B C\nquorum g\n", &[&[0, 2], &[0, 1, 2]], &[&[0], &[3, 0]]);
    check("group g 2 A B C\nquorum g\n", &[], &[&[0, 0]]);
    check("group x 2 A B C\ngroup y any D\ngroup z all x y\nquorum z\n", &[&[0, 1, 3]], &[&[0, 1, 2], &[0, 3]]);
    check("group x any A\ngroup y any B x\nquorum y\n", &[&[0], &[1]], &[&[2]]);
}

#[test]
fn blanks_comments_and_opaque_names_are_read() {
    let key = witness(10).vkey().to_string();
    let mut file = b"# comment \xff\n\n \t\n\t # indented\n  witness\t\xe2\x84\xaa  ".to_vec();
    file.extend_from_slice(key.as_bytes());
    file.extend_from_slice(b" \t\n quorum \xe2\x84\xaa\n");
    let policy = Policy::parse(&file).unwrap();
    assert_eq!(policy.quorum(), Some(Member::Witness(0)));
    assert_eq!(policy.witnesses()[0].url, None);
    assert!(policy.logs().is_empty());
    assert_eq!(policy.to_text().unwrap_err().problem, "a witness without URL is not read by every parser");
    let hash = format!("witness A {key} https://a.example/#frag\nquorum A\n");
    assert!(Policy::parse(hash.as_bytes()).unwrap().to_text().is_err());
}

#[test]
fn what_is_no_policy_names_its_line() {
    let check = |lines: &str, line: usize, problem: &str| {
        let error = parse(lines).unwrap_err();
        assert_eq!((error.line, error.problem), (line, problem), "{lines}");
    };
    let form = "not a log, witness, group or quorum line with the fields it needs";
    let a = witness(10).vkey().to_string();
    let plain = log().vkeys()[0].to_string();
    let other = Vkey::new("other.example", KeyKind::Ed25519, &ed25519(10).verifying_key().to_bytes()).unwrap();
    check("", 0, "there is no quorum line");
    check("quorum none", 0, "the last line does not end in LF");
    check("quorum none\nquorum none\n", 7, "a second quorum line");
    check("quorum E\n", 6, "the quorum is not defined on an earlier line");
    check("quorum\n", 6, form);
    check("quorum A B\n", 6, form);
    check("Quorum none\n", 6, form);
    check("group none any A\nquorum none\n", 6, "the name none is reserved");
    check("group g any\n", 6, "a group needs a member");
    check("group g\n", 6, form);
    let threshold = "the threshold is not all, any or a number from 1 to the number of members";
    for k in ["0", "3", "01", "-1", "x", "All"] {
        check(&format!("group g {k} A B\n"), 6, threshold);
    }
    check("group g any A none\n", 6, "a member is not defined on an earlier line");
    check("group g any g\n", 6, "a member is not defined on an earlier line");
    check("group g any A A\n", 6, "a name is member of a group twice");
    check("group g any A\ngroup h any A B\n", 7, "a name is member of a group twice");
    check("group A any B\n", 6, "the name is defined twice");
    check(&format!("witness A {a}\n"), 6, "the public key stands on an earlier line");
    check(&format!("log {other}\n"), 6, "the public key stands on an earlier line");
    check(&format!("log {plain}\n"), 6, "the public key stands on an earlier line");
    check(&format!("witness E {}\n", signer("e", 20).vkeys()[0]), 6, "a witness's key must be of type 0x04 or 0x06");
    check(&format!("log {}\n", witness(20).vkey()), 6, "a log's key must be of type 0x01 or 0x06");
    check("log nonsense\n", 6, "not a verifier key");
    check("witness E nonsense\n", 6, "not a verifier key");
    check("quorum none\r\n", 6, "a control character");
    check("quorum\u{7f} none\n", 6, "a control character");
    assert_eq!(Policy::parse(&vec![b'\n'; limits::POLICY_BYTES_MAX + 1]).unwrap_err().line, 0);
    let many: String = (0..129)
        .map(|i| format!("group g{i} any {}\n", if i == 0 { "A".into() } else { format!("g{}", i - 1) }))
        .collect();
    check(&many, 134, "more than 128 groups");
}

#[test]
fn a_checkpoint_is_accepted_by_log_and_quorum() {
    let (public, sign) = ml_dsa_44(30);
    let pq = Cosigner::ml_dsa_44("pq.example", &public, sign).unwrap();
    let policy = parse(&format!("witness P {}\ngroup g 2 A B P\nquorum g\n", pq.vkey())).unwrap();
    let checkpoint = Checkpoint { origin: "log.example/a".into(), size: 1, root: leaf_hash(b"x") };
    let signed = log().sign(&checkpoint, 50);
    let body = checkpoint.to_text();
    let line = |w: &Cosigner, time| w.cosign(&body, time).unwrap().to_string();
    let verify = |note: String| policy.verify(note.as_bytes());
    let (a, b, c, p) = (line(&witness(10), 60), line(&witness(11), 61), line(&witness(12), 62), line(&pq, 63));

    let accepted = verify(format!("{signed}{a}{p}")).unwrap();
    assert_eq!((accepted.log, accepted.cosigned), (0, vec![(0, 60), (4, 63)]));
    assert_eq!(accepted.checkpoint, checkpoint);
    assert!(verify(format!("{signed}{a}{b}{c}{p}")).is_ok());
    // One witness twice is one witness, with its latest time.
    let twice = line(&witness(10), 70);
    assert_eq!(verify(format!("{signed}{a}{twice}")), Err(PolicyRefusal::NoQuorum { cosigned: 1 }));
    assert_eq!(verify(format!("{signed}{a}{twice}{b}")).unwrap().cosigned, [(0, 70), (1, 61)]);
    // A witness outside the quorum does not count, no witness does not, and no log is no log.
    assert_eq!(verify(format!("{signed}{a}{c}")), Err(PolicyRefusal::NoQuorum { cosigned: 2 }));
    assert_eq!(verify(signed.clone()), Err(PolicyRefusal::NoQuorum { cosigned: 0 }));
    assert_eq!(verify(format!("{body}\n{a}{b}")), Err(PolicyRefusal::NoLog));
    assert_eq!(verify(signer("log.example/a", 2).sign(&checkpoint, 5)), Err(PolicyRefusal::NoLog));
    // A witness's line over another checkpoint rejects the note.
    let stray = witness(11).cosign(&body.replace("\n1\n", "\n2\n"), 61).unwrap();
    assert!(matches!(
        verify(format!("{signed}{a}{b}{stray}")),
        Err(PolicyRefusal::Note(NoteError::BadSignature { .. }))
    ));
    // A listed log cannot speak under another origin.
    let other = Checkpoint { origin: "log.example/b".into(), ..checkpoint };
    let ed = log().vkeys()[0].clone();
    let text = other.to_text();
    let sig = ed25519_sign(1)(text.as_bytes());
    let mut forged =
        Note::parse(log().sign(&Checkpoint { origin: "log.example/a".into(), ..other }, 5).as_bytes()).unwrap();
    forged.text = text;
    forged.signatures = vec![SignatureLine { name: ed.name, key_id: ed.key_id, payload: sig }];
    assert_eq!(verify(forged.to_string()), Err(PolicyRefusal::NoLog));
}

#[test]
fn a_policy_of_thirty_two_of_each_is_read() {
    let mut file = String::new();
    for i in 0..32_u8 {
        file.push_str(&format!("log {}\n", signer(&format!("log{i}.example"), 100 + i).vkeys()[1]));
        file.push_str(&format!("witness w{i} {} https://w{i}.example/\n", witness(40 + i).vkey()));
        file.push_str(&format!("group g{i} any w{i}\n"));
    }
    file.push_str("quorum g31\n");
    let policy = Policy::parse(file.as_bytes()).unwrap();
    assert_eq!((policy.logs().len(), policy.witnesses().len(), policy.groups().len()), (32, 32, 32));
    assert!(policy.quorum_holds(&[31]) && !policy.quorum_holds(&[30]));
}
