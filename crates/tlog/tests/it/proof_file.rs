//! `.tlog-proof` files: the vector, what they prove, what is refused.

use tlog::*;

use crate::vectors::{Leaves, signer, text, vectors};

#[test]
fn the_vector_proves_its_leaf() {
    let vectors = vectors();
    let file = text(&vectors, "tlog_proof_index_256_size_300");
    let log = [Vkey::parse(text(&vectors["ed25519_log"], "vkey")).unwrap()];
    let proof = TlogProof::parse(file.as_bytes()).unwrap();
    assert_eq!((proof.index, proof.extra.as_deref()), (256, None));
    assert_eq!(proof.to_text(), file);
    assert_eq!(proof.proof, inclusion(&Leaves::new(300), 256, 300).unwrap());
    let leaf = leaf_hash(b"leaf-256");
    assert_eq!(proof.verify(&leaf, &log, Some("log.example.com/audit")).unwrap().size, 300);

    let wrong = Err(ProofFileError::Inclusion(ProofError::WrongRoot));
    assert_eq!(proof.verify(&leaf_hash(b"leaf-255"), &log, None), wrong);
    let moved = TlogProof { index: 257, ..proof.clone() };
    assert_eq!(moved.verify(&leaf, &log, None), wrong);
    let beyond = TlogProof { index: 300, ..proof.clone() };
    assert!(matches!(beyond.verify(&leaf, &log, None), Err(ProofFileError::Inclusion(ProofError::BeyondTree { .. }))));
    let other = signer("log.example.com/audit", 5).vkeys();
    assert_eq!(proof.verify(&leaf, &other, None), Err(ProofFileError::Checkpoint(NoteError::NoKnownSignature)));
    assert_eq!(
        proof.verify(&leaf, &log, Some("log.example.com/b")),
        Err(ProofFileError::Checkpoint(NoteError::WrongOrigin))
    );
    let policy = Policy::of_log(log.to_vec());
    assert_eq!(proof.verify_by_policy(&leaf, &policy).unwrap().checkpoint.size, 300);
    let none = Policy::of_log(other);
    assert_eq!(proof.verify_by_policy(&leaf, &none), Err(ProofFileError::Policy(PolicyRefusal::NoLog)));
}

#[test]
fn extra_data_and_an_empty_proof_come_back() {
    let log = signer("log.example/a", 1);
    let leaf = leaf_hash(b"only");
    let checkpoint_note = log.sign(&Checkpoint { origin: "log.example/a".into(), size: 1, root: leaf }, 9);
    for extra in [None, Some(Vec::new()), Some(b"\x00\xff more".to_vec())] {
        let proof = TlogProof { extra, index: 0, proof: Vec::new(), checkpoint_note: checkpoint_note.clone() };
        let read = TlogProof::parse(proof.to_text().as_bytes()).unwrap();
        assert_eq!(read, proof);
        assert!(read.verify(&leaf, &log.vkeys(), None).is_ok());
    }
}

#[test]
fn what_is_no_proof_file_is_refused() {
    let vectors = vectors();
    let file = text(&vectors, "tlog_proof_index_256_size_300");
    let hash = format!("{}\n", Hash::EMPTY_ROOT.b64());
    let index = "index 256\n";
    for bad in [
        String::new(),
        file.replace("@v1", "@v2"),
        file.replace("c2sp.org", " c2sp.org"),
        file.replace(index, ""),
        file.replace(index, "index 0256\n"),
        file.replace(index, "index -1\n"),
        file.replace(index, "index 9223372036854775808\n"),
        file.replace(index, "index  256\n"),
        file.replace(index, "extra ???\nindex 256\n"),
        file.replace(index, "extra\nindex 256\n"),
        file.replace(index, "extra AA==\nextra AA==\nindex 256\n"),
        file.replace(index, "index 256\nextra AA==\n"),
        file.replace(index, "index 256\n\n"),
        file.replace(index, "index 256\nAAAA\n"),
        file.replace(index, &format!("index 256\n{}", hash.repeat(63))),
        file.replace("\n\n", "\n"),
        file.replace('\n', "\r\n"),
        file.trim_end().into(),
        file.replacen("300\n", "0300\n", 1),
        format!("{file}{}", "x".repeat(limits::PROOF_FILE_BYTES_MAX)),
    ] {
        assert!(TlogProof::parse(bad.as_bytes()).is_err(), "{bad:.200}");
    }
    let most = file.replace(index, &format!("index 256\n{}", hash.repeat(63 - inclusion_length(file))));
    assert_eq!(TlogProof::parse(most.as_bytes()).unwrap().proof.len(), 63);
}

fn inclusion_length(file: &str) -> usize {
    TlogProof::parse(file.as_bytes()).unwrap().proof.len()
}

#[test]
fn every_changed_byte_is_refused() {
    let vectors = vectors();
    let file = text(&vectors, "tlog_proof_index_256_size_300").as_bytes();
    let log = text(&vectors["ed25519_log"], "vkey");
    let witness = text(&vectors["ed25519_cosignature"], "vkey");
    let policy = Policy::parse(format!("log {log}\nwitness W {witness}\nquorum W\n").as_bytes()).unwrap();
    let leaf = leaf_hash(b"leaf-256");
    let verify = |bytes: &[u8]| TlogProof::parse(bytes).and_then(|proof| proof.verify_by_policy(&leaf, &policy));
    assert_eq!(verify(file).unwrap().cosigned, [(0, 1_679_315_147)]);
    for at in 0..file.len() {
        for change in [1, 0x20, 0x80, 0xff] {
            let mut bytes = file.to_vec();
            bytes[at] ^= change;
            assert!(verify(&bytes).is_err(), "byte {at} ^ {change}");
        }
        assert!(verify(&file[..at]).is_err(), "cut at {at}");
    }
}
