//! Writes the seed corpus of the fuzz targets: one or more inputs a target that its parser accepts.
//!
//! `cargo run -p testkit --example seeds -- fuzz/corpus`; `cargo xtask fuzz` does so by itself.
#![expect(clippy::unwrap_used, reason = "a developer's tool stops at the first surprise")]

use std::path::{Path, PathBuf};

use testkit::{SimDisk, keys};
use tlog::mirror::{MirrorInfo, Package, UploadHeader};
use tlog::witness::{AddCheckpoint, SignSubtree};
use tlog::{Checkpoint, Frontier, Hash, TlogProof, leaf_hash};

const ORIGIN: &str = "fuzz.example/log";

fn main() {
    let out = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "fuzz/corpus".to_owned()));
    let signer = keys::signer(ORIGIN, 1);
    let mut tree = Frontier::new();
    tree.extend(&[leaf_hash(b"one"), leaf_hash(b"two"), leaf_hash(b"three")]);
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: 3, root: tree.root() };
    let note = signer.sign(&checkpoint, 1_795_521_600);
    let vkeys = signer.vkeys();
    let proof = vec![tlog::node_hash(&leaf_hash(b"one"), &leaf_hash(b"two"))];
    let receipt = TlogProof { extra: None, index: 2, proof: proof.clone(), checkpoint_note: note.clone() };
    let policy = format!("log {}\nwitness w {}\ngroup g 1 w\nquorum g\n", vkeys[0], vkeys[1]);
    let seeds: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("note", vec![note.clone().into_bytes()]),
        ("checkpoint", vec![note.clone().into_bytes(), checkpoint.to_text().into_bytes()]),
        ("tlog_proof", vec![receipt.to_text().into_bytes()]),
        ("policy", vec![policy.into_bytes(), b"quorum none\n".to_vec()]),
        ("witness_body", witness(&note, &proof)),
        ("mirror_body", mirror()),
        ("tile_path", ["tile/0/000", "tile/1/x001/234.p/17", "tile/entries/x001/x002/003"].map(Into::into).to_vec()),
        ("vkey", vkeys.iter().map(|key| key.to_string().into_bytes()).collect()),
        ("bundle", bundles()),
        ("key_note", vec![signer.key_note(0).into_bytes()]),
        ("pin", vec![pin()]),
        ("checkpoint_log", vec![checkpoint_log(&note)]),
    ];
    for (target, inputs) in seeds {
        let folder = out.join(target);
        std::fs::create_dir_all(&folder).unwrap();
        for (number, input) in inputs.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), input).unwrap();
        }
    }
}

fn witness(note: &str, proof: &[Hash]) -> Vec<Vec<u8>> {
    let add = AddCheckpoint::body(2, proof, note);
    let sign = SignSubtree::body(0, 2, &Hash::EMPTY_ROOT, proof, note);
    vec![add.into_bytes(), sign.into_bytes()]
}

fn mirror() -> Vec<Vec<u8>> {
    let header = UploadHeader { origin: ORIGIN.to_owned(), start: 0, end: 3, ticket: b"ticket".to_vec() };
    let package = Package { entries: vec![b"one", b"two", b"three"], proof: vec![Hash::EMPTY_ROOT] };
    let mut body = Vec::new();
    assert!(header.write(&mut body) && package.write(&mut body));
    let info = MirrorInfo { pending: 3, next_entry: 1, ticket: b"ticket".to_vec() };
    vec![body, info.to_text().into_bytes()]
}

fn bundles() -> Vec<Vec<u8>> {
    let (mut entries, mut bodies) = (Vec::new(), Vec::new());
    for text in [b"one".as_slice(), b"", b"three"] {
        tlog::push_entry(&mut entries, text);
        tlog::push_body(&mut bodies, Some(text));
    }
    tlog::push_body(&mut bodies, None);
    vec![entries, bodies]
}

fn pin() -> Vec<u8> {
    let disk = SimDisk::new();
    let pin = ledger::Pin::open(&disk.door(), Path::new("/pin")).unwrap();
    for size in [1, 2, 70_000] {
        pin.record(ORIGIN, size, &leaf_hash(&[7])).unwrap();
    }
    disk.read_file(Path::new("/pin")).unwrap()
}

/// A log behind the byte that says: no history.
fn checkpoint_log(note: &str) -> Vec<u8> {
    let disk = SimDisk::new();
    disk.make_dir(Path::new("/c")).unwrap();
    let mut log = ledger::CheckpointLog::open(&disk.door(), Path::new("/c")).unwrap();
    log.append(note).unwrap();
    log.append("a second note\n").unwrap();
    let mut seed = vec![128];
    seed.extend(disk.read_file(&disk.files()[0]).unwrap());
    seed
}
