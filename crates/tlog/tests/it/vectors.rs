//! Every value of `tests/vectors/tlog-vectors.json`: made by us, and checked by us.

use std::sync::Arc;

use ed25519_dalek::Signer as _;
use ml_dsa::{KeyExport as _, Keypair as _};
use serde_json::Value;
use tlog::*;

/// The tree of the vectors: leaf i is the text `leaf-<i>`, its leaf hashes in memory.
pub(crate) struct Leaves(pub(crate) Vec<Hash>);

impl Leaves {
    pub(crate) fn new(count: u64) -> Self {
        Self((0..count).map(|i| leaf_hash(format!("leaf-{i}").as_bytes())).collect())
    }
}

impl Nodes for Leaves {
    fn node(&self, level: u8, index: u64) -> Result<Hash, NodeMissing> {
        let missing = NodeMissing { level, index };
        let first = usize::try_from(index << level).map_err(|_| missing)?;
        self.0.get(first..first + (1 << level)).map(perfect_root).ok_or(missing)
    }
}

pub(crate) fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/tlog-vectors.json")).unwrap()
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

pub(crate) fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap()
}

fn hash(value: &Value, key: &str) -> Hash {
    Hash::from_b64(text(value, key)).unwrap()
}

fn hashes(value: &Value) -> Vec<Hash> {
    value["proof"].as_array().unwrap().iter().map(|h| Hash::from_b64(h.as_str().unwrap()).unwrap()).collect()
}

pub(crate) fn ed25519(seed: u8) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn ed25519_sign(seed: u8) -> Sign {
    let key = ed25519(seed);
    Arc::new(move |message| key.sign(message).to_bytes().to_vec())
}

pub(crate) fn ml_dsa_44(seed: u8) -> (Vec<u8>, Sign) {
    let key = ml_dsa::SigningKey::<ml_dsa::MlDsa44>::from_seed(&ml_dsa::Seed::from([seed; 32]));
    let public = key.verifying_key().to_bytes().to_vec();
    let sign = move |message: &[u8]| key.expanded_key().sign_deterministic(message, &[]).unwrap().encode().to_vec();
    (public, Arc::new(sign))
}

pub(crate) fn signer(origin: &str, seed: u8) -> CheckpointSigner {
    let (public, sign) = ml_dsa_44(seed);
    let key = ed25519(seed);
    let public_ed = key.verifying_key().to_bytes();
    CheckpointSigner::new(origin, public_ed, &public, Arc::new(move |m| key.sign(m).to_bytes()), sign).unwrap()
}

#[test]
fn roots() {
    let vectors = vectors();
    let leaves = Leaves::new(70_000);
    let sizes = vectors["roots_b64_by_size"].as_object().unwrap();
    assert_eq!(sizes.len(), 28);
    for (size, expected) in sizes {
        let size: usize = size.parse().unwrap();
        let expected = Hash::from_b64(expected.as_str().unwrap()).unwrap();
        let mut frontier = Frontier::new();
        frontier.extend(&leaves.0[..size]);
        assert_eq!(frontier.root(), expected, "frontier of {size}");
        assert_eq!(root(&leaves, size as u64), Ok(expected), "nodes of {size}");
        let again = Frontier::from_parts(size as u64, frontier.hashes().to_vec()).unwrap();
        assert_eq!(again, frontier);
    }
}

#[test]
fn inclusion_proofs() {
    let vectors = vectors();
    let leaves = Leaves::new(70_000);
    let cases = vectors["inclusion"].as_array().unwrap();
    assert_eq!(cases.len(), 13);
    for case in cases {
        let (index, size, proof) = (number(case, "index"), number(case, "size"), hashes(case));
        assert_eq!(inclusion(&leaves, index, size).as_ref(), Ok(&proof));
        assert_eq!(leaves.0[index as usize], hash(case, "leaf_hash"));
        assert_eq!(verify_inclusion(&hash(case, "leaf_hash"), index, size, &proof, &hash(case, "root")), Ok(()));
    }
}

#[test]
fn consistency_proofs() {
    let vectors = vectors();
    let leaves = Leaves::new(70_000);
    let cases = vectors["consistency"].as_array().unwrap();
    assert_eq!(cases.len(), 12);
    for case in cases {
        let (old, new, proof) = (number(case, "size1"), number(case, "size2"), hashes(case));
        assert_eq!(consistency(&leaves, old, new).as_ref(), Ok(&proof));
        assert_eq!(verify_consistency(old, new, &proof, &hash(case, "root1"), &hash(case, "root2")), Ok(()));
    }
}

#[test]
fn subtree_proofs() {
    let vectors = vectors();
    let leaves = Leaves::new(70_000);
    let cases = vectors["subtree_consistency"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let (start, end, size) = (number(case, "start"), number(case, "end"), number(case, "size"));
        let (subtree, proof) = (hash(case, "subtree_hash"), hashes(case));
        assert_eq!(subtree_hash(&leaves, start, end), Ok(subtree));
        assert_eq!(subtree_consistency(&leaves, start, end, size).as_ref(), Ok(&proof));
        assert_eq!(verify_subtree_consistency(start, end, size, &proof, &subtree, &hash(case, "root")), Ok(()));
    }
}

#[test]
fn tiles() {
    let vectors = vectors();
    let leaves = Leaves::new(70_000);
    let (_, sizes) = vectors.as_object().unwrap().iter().find(|(k, _)| k.starts_with("tiles_needed")).unwrap();
    for (size, tiles) in sizes.as_object().unwrap() {
        let ours: Vec<TilePath> = tiles_of(size.parse().unwrap()).collect();
        for tile in tiles.as_array().unwrap() {
            let path = TilePath::parse(&text(tile, "sumdb_path").replacen("/8/", "/", 1)).unwrap();
            assert!(ours.contains(&path), "{path} of {size}");
            assert_eq!(Resource::Tile { level: number(tile, "level") as u8 }, path.resource);
            assert_eq!((number(tile, "index"), number(tile, "width")), (path.index, u64::from(path.width)));
            let first = path.index * 256;
            let bytes: Vec<u8> = (first..first + u64::from(path.width))
                .flat_map(|i| leaves.node(path.level() * 8, i).unwrap().0)
                .collect();
            assert_eq!(bytes.len() as u64, number(tile, "bytes"));
            let digest = <sha2::Sha256 as sha2::Digest>::digest(&bytes);
            assert_eq!(Hash(digest.into()).hex(), text(tile, "sha256_hex"), "{path} of {size}");
        }
    }
}

#[test]
fn bundle() {
    let bundle = encode_bundle([&b"leaf-0"[..], b"leaf-1", b"leaf-2"]).unwrap();
    let hex: String = bundle.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, text(&vectors(), "entry_bundle_first_3_hex"));
}

#[test]
fn log_checkpoint() {
    let vectors = vectors();
    let log = &vectors["ed25519_log"];
    let vkey = Vkey::parse(text(log, "vkey")).unwrap();
    assert_eq!(
        Vkey::new("log.example.com/audit", KeyKind::Ed25519, ed25519(0x42).verifying_key().as_bytes()),
        Ok(vkey.clone())
    );
    let note = text(log, "checkpoint_size_300");
    let checkpoint = verify_checkpoint(note.as_bytes(), &[vkey], Some("log.example.com/audit")).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root.b64().as_str()), (300, text(&vectors["roots_b64_by_size"], "300")));
    // Our own signer writes the same line first, and its ML-DSA-44 line verifies.
    let signer = signer("log.example.com/audit", 0x42);
    let signed = signer.sign(&checkpoint, 1_679_315_147);
    assert!(signed.starts_with(note), "{signed}");
    assert_eq!(verify_checkpoint(signed.as_bytes(), &signer.vkeys(), None), Ok(checkpoint));
    assert_eq!(Note::parse(signed.as_bytes()).unwrap().verify(&signer.vkeys()), Ok(vec![0, 1]));
}

#[test]
fn cosignatures() {
    let vectors = vectors();
    let checkpoint = Note::parse(text(&vectors["ed25519_log"], "checkpoint_size_300").as_bytes()).unwrap().text;
    let time = 1_679_315_147;
    let ed = &vectors["ed25519_cosignature"];
    assert_eq!(cosignature::cosignature_message(time, &checkpoint), text(ed, "signed_message"));
    let public = ed25519(7).verifying_key().to_bytes();
    let witness = Cosigner::ed25519("witness.example.com/w1", &public, ed25519_sign(7)).unwrap();
    assert_eq!(witness.vkey().to_string(), text(ed, "vkey"));
    assert_eq!(witness.cosign(&checkpoint, time).unwrap().to_string(), text(ed, "line"));

    let pq = &vectors["mldsa44_cosignature"];
    let parsed = Checkpoint::parse(&checkpoint).unwrap();
    let message =
        cosignature::subtree_message("witness.example.com/pq1", time, &CosignedSubtree::tree(&parsed)).unwrap();
    let hex: String = message.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, text(pq, "cosigned_message_hex"));
    let (public, sign) = ml_dsa_44(9);
    let mirror = Cosigner::ml_dsa_44("witness.example.com/pq1", &public, sign).unwrap();
    assert_eq!(mirror.vkey().to_string(), text(pq, "vkey"));
    let line = mirror.cosign(&checkpoint, time).unwrap().to_string();
    assert_eq!(line, text(pq, "line_deterministic_signature"));
    assert_eq!(line.len() as u64, number(pq, "line_bytes"));

    let note = format!("{checkpoint}\n{}{line}", text(ed, "line"));
    let keys = [witness.vkey().clone(), mirror.vkey().clone()];
    let lines = Note::parse(note.as_bytes()).unwrap().verify_lines(&keys).unwrap();
    assert_eq!(
        lines.iter().map(|l| (l.vkey, l.line, l.timestamp)).collect::<Vec<_>>(),
        [(0, 0, Some(time)), (1, 1, Some(time))]
    );
}
