//! The real binary against evidence made here: proofs and exports, whole and spoiled.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "tests")]

mod bench;
mod demo;
mod folder;
mod twice;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tlog::tile::{Resource, TilePath, bundles_of, tiles_of};
use tlog::{Checkpoint, CheckpointSigner, Frontier, Hash, NodeMissing, Nodes, leaf_hash, perfect_root};

const ORIGIN: &str = "log.example.com/logs/main";

struct Memory(Vec<Hash>);
impl Nodes for Memory {
    fn node(&self, level: u8, index: u64) -> Result<Hash, NodeMissing> {
        let first = usize::try_from(index << level).unwrap();
        self.0.get(first..first + (1 << level)).map(perfect_root).ok_or(NodeMissing { level, index })
    }
}

struct Log {
    leaves: Vec<String>,
    bodies: Vec<String>,
    note: String,
    keys: String,
    vkey: String,
    hashes: Vec<Hash>,
}

fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn log(size: usize) -> Log {
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    use ml_dsa::Keypair;
    let pq = ml_dsa::SigningKey::<ml_dsa::MlDsa44>::from_seed(&[9; 32].into());
    let pq_public = pq.verifying_key().encode().to_vec();
    let public = key.verifying_key().to_bytes();
    let sign = Arc::new(move |text: &[u8]| ed25519_dalek::Signer::sign(&key, text).to_bytes());
    let sign_pq = Arc::new(move |text: &[u8]| ml_dsa::signature::Signer::sign(&pq, text).encode().to_vec());
    let signer = CheckpointSigner::new(ORIGIN, public, &pq_public, sign, sign_pq).unwrap();
    let bodies: Vec<String> = (0..size).map(|n| format!("{{\"salt\":\"\",\"event\":{{\"n\":{n}}}}}")).collect();
    let leaves: Vec<String> = bodies
        .iter()
        .enumerate()
        .map(|(n, body)| {
            let digest = sha256_hex(body.as_bytes());
            format!("{{\"v\":1,\"entry_id\":\"{n:026}\",\"body_sha256\":\"{digest}\",\"body_bytes\":{}}}", body.len())
        })
        .collect();
    let hashes: Vec<Hash> = leaves.iter().map(|l| leaf_hash(l.as_bytes())).collect();
    let mut frontier = Frontier::new();
    frontier.extend(&hashes);
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size: size as u64, root: frontier.root() };
    let note = signer.sign(&checkpoint, 1_800_000_000);
    let keys = format!("[\"{}\"]\n", signer.key_note(0).replace('\n', "\\n"));
    Log { leaves, bodies, note, keys, vkey: signer.vkeys()[0].to_string(), hashes }
}

impl Log {
    fn export(&self, dir: &Path) {
        let put = |path: TilePath, bytes: Vec<u8>| {
            let path = dir.join(path.to_string());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        let size = self.leaves.len() as u64;
        for path in tiles_of(size) {
            let Resource::Tile { level } = path.resource else { panic!("not a tile") };
            let bytes = (0..u64::from(path.width))
                .flat_map(|n| Memory(self.hashes.clone()).node(level * 8, path.index * 256 + n).unwrap().0);
            put(path, bytes.collect());
        }
        for path in bundles_of(size) {
            let first = usize::try_from(path.index * 256).unwrap();
            let range = first..first + usize::from(path.width);
            put(path, tlog::encode_bundle(self.leaves[range.clone()].iter().map(String::as_bytes)).unwrap());
            let mut bodies = Vec::new();
            for body in &self.bodies[range] {
                assert!(tlog::push_body(&mut bodies, Some(body.as_bytes())));
            }
            put(TilePath { resource: Resource::Bodies, ..path }, bodies);
        }
        std::fs::write(dir.join("keys"), &self.keys).unwrap();
        std::fs::write(dir.join("checkpoint"), &self.note).unwrap();
    }

    fn proof(&self, dir: &Path, index: usize) {
        let size = self.leaves.len() as u64;
        let proof = tlog::inclusion(&Memory(self.hashes.clone()), index as u64, size).unwrap();
        let file = tlog::TlogProof { extra: None, index: index as u64, proof, checkpoint_note: self.note.clone() };
        std::fs::write(dir.join(format!("{index}.tlog-proof")), file.to_text()).unwrap();
        let entry = serde_json::json!({"ledger": "main", "origin": ORIGIN, "index": index, "tree_size": size,
            "leaf": self.leaves[index], "leaf_hash": self.hashes[index].hex(), "body": self.bodies[index],
            "body_sha256": sha256_hex(self.bodies[index].as_bytes()), "state": "present"});
        std::fs::write(dir.join(format!("{index}.entry.json")), entry.to_string()).unwrap();
    }
}

fn verify(home: &Path, args: &[&str]) -> (i32, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_proofbook"))
        .args(["--json", "verify"])
        .args(args)
        .env("XDG_STATE_HOME", home)
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let verdict = serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default();
    (out.status.code().unwrap(), verdict["verdict"].as_str().unwrap_or("").to_owned())
}

#[test]
fn a_proof_verifies_and_every_spoiled_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(300);
    log.proof(dir.path(), 256);
    let file = dir.path().join("256.tlog-proof");
    let entry = dir.path().join("256.entry.json");
    let judge = || verify(dir.path(), &[file.to_str().unwrap(), "--vkey", &log.vkey]);
    assert_eq!(judge(), (0, "ok".into()));
    let good = (std::fs::read_to_string(&file).unwrap(), std::fs::read_to_string(&entry).unwrap());
    let other = self::log(299);
    for (what, proof, entry_json, expected) in [
        ("body", good.0.clone(), good.1.replace("\\\"n\\\":256", "\\\"n\\\":257"), (22, "body-altered")),
        ("leaf", good.0.clone(), good.1.replace("\\\"v\\\":1", "\\\"v\\\":2"), (20, "entry-altered")),
        ("index", good.0.clone(), good.1.replace("\"index\":256", "\"index\":255"), (20, "entry-altered")),
        ("origin", good.0.clone(), good.1.replace("log.example.com", "log.example.org"), (15, "origin-other")),
        ("size", good.0.replace("\n300\n", "\n301\n"), good.1.clone(), (13, "checkpoint-forged")),
        ("order", good.0.replace("index 256", "index 255"), good.1.clone(), (20, "entry-altered")),
        ("cut", good.0[..40].to_owned(), good.1.clone(), (40, "proof-malformed")),
        ("other tree", good.0.replace(&log.note, &other.note), good.1.clone(), (41, "proof-wrong")),
    ] {
        std::fs::write(&file, proof).unwrap();
        std::fs::write(&entry, entry_json).unwrap();
        assert_eq!(judge(), (expected.0, expected.1.into()), "{what}");
    }
    let stranger = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    std::fs::write(&file, &good.0).unwrap();
    std::fs::write(&entry, &good.1).unwrap();
    let judged = verify(dir.path(), &[file.to_str().unwrap(), "--vkey", stranger]);
    assert_eq!(judged, (14, "key-unknown".into()));
}

#[test]
fn an_export_verifies_and_the_altered_file_is_named() {
    let home = tempfile::tempdir().unwrap();
    let log = log(600);
    for (file, byte, expected) in [
        (None, 0, (0, "ok")),
        (Some("tile/entries/001"), 40, (20, "entry-altered")),
        (Some("bodies/001"), 20, (22, "body-altered")),
        (Some("tile/0/002.p/88"), 33, (25, "tile-altered")),
        (Some("tile/1/000.p/2"), 3, (25, "tile-altered")),
        (Some("checkpoint"), 30, (13, "checkpoint-forged")),
    ] {
        let dir = tempfile::tempdir().unwrap();
        log.export(dir.path());
        if let Some(file) = file {
            let path = dir.path().join(file);
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[byte] ^= 1;
            std::fs::write(path, bytes).unwrap();
        }
        let judged = verify(home.path(), &[dir.path().to_str().unwrap(), "--vkey", &log.vkey]);
        assert_eq!(judged, (expected.0, expected.1.into()), "{file:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    log.export(dir.path());
    std::fs::write(dir.path().join("tile/0/extra"), b"x").unwrap();
    let judged = verify(home.path(), &[dir.path().to_str().unwrap(), "--vkey", &log.vkey]);
    assert_eq!(judged, (32, "file-unknown".into()));
    std::fs::remove_file(dir.path().join("tile/0/extra")).unwrap();
    std::fs::remove_file(dir.path().join("tile/entries/000")).unwrap();
    let judged = verify(home.path(), &[dir.path().to_str().unwrap(), "--vkey", &log.vkey]);
    assert_eq!(judged, (31, "file-missing".into()));
}
