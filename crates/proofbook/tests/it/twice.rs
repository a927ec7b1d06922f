//! Proofs and exports before both verifiers, ours and the one in Python: one verdict, the same findings, notes and
//! unproven members.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::{Log, log};

/// What a verifier answers, without what is for people.
fn answer(output: &Output) -> Value {
    let shown = String::from_utf8_lossy(&output.stderr);
    let mut answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {shown}"));
    assert_eq!(answer["exit"], output.status.code().unwrap(), "{answer}");
    let findings = answer["findings"].as_array_mut().unwrap();
    for finding in findings.iter_mut() {
        finding.as_object_mut().unwrap().remove("detail");
    }
    findings.sort_by_key(Value::to_string);
    answer
}

/// Judges twice, by the same words but for the name of the Python verifier's command.
fn twice(home: &Path, command: &str, target: &[&Path], vkey: Option<&str>) -> Value {
    let key: Vec<&str> = vkey.into_iter().flat_map(|vkey| ["--vkey", vkey]).collect();
    let ours = Command::new(env!("CARGO_BIN_EXE_proofbook"))
        .args(["--json", "verify"])
        .args(&target[..1])
        .args(&key)
        .env("XDG_STATE_HOME", home)
        .output()
        .unwrap();
    let ours = answer(&ours);
    let verifier = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../verifiers/python/proofbook_verify.py");
    match Command::new("python3").arg(verifier).arg(command).args(target).args(&key).arg("--json").output() {
        Ok(output) => assert_eq!(ours, answer(&output)),
        Err(error) => testkit::do_without("python3", error),
    }
    ours
}

/// What is done to an export.
type Spoil = Box<dyn Fn(&Path)>;

struct Export {
    home: tempfile::TempDir,
    log: Log,
}

impl Export {
    fn new() -> Export {
        Export { home: tempfile::tempdir().unwrap(), log: log(600) }
    }

    /// Exports anew, lets the folder be spoiled, and gives the verdict of both.
    fn judge(&self, vkey: Option<&str>, spoil: &dyn Fn(&Path)) -> Value {
        let dir = tempfile::tempdir().unwrap();
        self.log.export(dir.path());
        spoil(dir.path());
        twice(self.home.path(), "tiles", &[dir.path()], vkey)
    }

    fn by_vkey(&self, spoil: &dyn Fn(&Path)) -> (String, Value) {
        let judged = self.judge(Some(&self.log.vkey), spoil);
        (judged["verdict"].as_str().unwrap().to_owned(), judged)
    }
}

fn edit(file: PathBuf, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(&file).unwrap();
    change(&mut bytes);
    std::fs::write(file, bytes).unwrap();
}

/// Where `part` begins in the file.
fn at(bytes: &[u8], part: &str) -> usize {
    bytes.windows(part.len()).position(|window| window == part.as_bytes()).unwrap()
}

#[test]
fn an_export_without_bodies_says_so_and_one_that_lost_them_is_damaged() {
    let export = Export::new();
    let (verdict, judged) = export.by_vkey(&|_| {});
    assert_eq!((&*verdict, &judged["notes"]), ("ok", &json!(["unwitnessed"])));
    let (verdict, judged) = export.by_vkey(&|dir| std::fs::remove_dir_all(dir.join("bodies")).unwrap());
    assert_eq!((&*verdict, &judged["notes"]), ("ok", &json!(["unwitnessed", "body-withheld"])));
    // An empty folder is no export of leaves alone: each of its files is missing.
    let (verdict, judged) = export.by_vkey(&|dir| {
        std::fs::remove_dir_all(dir.join("bodies")).unwrap();
        std::fs::create_dir(dir.join("bodies")).unwrap();
    });
    let files: Vec<&str> = judged["findings"].as_array().unwrap().iter().filter_map(|f| f["file"].as_str()).collect();
    assert_eq!((&*verdict, files), ("file-missing", vec!["bodies/000", "bodies/001", "bodies/002.p/88"]));
}

#[test]
fn an_export_without_its_checkpoint_or_keys_misses_a_file() {
    let export = Export::new();
    for name in ["checkpoint", "keys"] {
        let (verdict, judged) = export.by_vkey(&|dir| std::fs::remove_file(dir.join(name)).unwrap());
        assert_eq!((&*verdict, &judged["findings"][0]["file"]), ("file-missing", &json!(name)), "{judged}");
    }
    // With nothing to judge the signatures by, the tree is still judged.
    let judged = export.judge(None, &|dir| std::fs::remove_file(dir.join("keys")).unwrap());
    assert_eq!((&judged["verdict"], &judged["ledgers"][0]["size"]), (&json!("file-missing"), &json!(600)));
    let judged = export.judge(None, &|_| {});
    assert_eq!((&judged["verdict"], &judged["notes"]), (&json!("ok"), &json!(["own-keys", "unwitnessed"])));
}

/// Given the Ed25519 key alone, `keys` tells the other one: no byte of either file is free.
#[test]
fn no_byte_of_checkpoint_and_keys_is_free() {
    let export = Export::new();
    for (file, part, offset, verdict) in [
        // Within the second signature, the size, and what `keys` says and how.
        ("checkpoint", "\u{2014} log.example.com", 2200, "checkpoint-forged"),
        ("checkpoint", "\n\u{2014}", 500, "checkpoint-forged"),
        ("checkpoint", "600\n", 1, "checkpoint-forged"),
        ("keys", "from 0", 5, "keys-altered"),
        ("keys", "key log", 60, "keys-altered"),
        ("keys", "\"]\n", 3, "keys-altered"),
    ] {
        let (found, judged) = export.by_vkey(&|dir| {
            edit(dir.join(file), |bytes| {
                let at = at(bytes, part) + offset;
                match bytes.get_mut(at) {
                    Some(byte) => *byte = if matches!(*byte, b'1' | b'A') { b'9' } else { b'1' },
                    None => bytes.push(b'\n'),
                }
            });
        });
        assert_eq!(found, verdict, "{file} {part:?}: {judged}");
    }
    // Each byte of the second signature line: its name, its id, its time, its signature.
    let line = export.log.note.rfind('\u{2014}').unwrap();
    for place in (line..export.log.note.len()).step_by(97).chain(line + 4..line + 48) {
        let (_, judged) = export.by_vkey(&|dir| edit(dir.join("checkpoint"), |bytes| bytes[place] ^= 2));
        let class = ["checkpoint-forged", "key-unknown", "proof-malformed"];
        assert!(class.contains(&judged["verdict"].as_str().unwrap()), "byte {place}: {judged}");
    }
    let (verdict, judged) = export.by_vkey(&|dir| edit(dir.join("checkpoint"), |bytes| bytes.truncate(line)));
    assert_eq!(verdict, "key-unknown", "a line that is gone: {judged}");
    let foreign = "\u{2014} w.example/1 AAAAAAAAAA==\n";
    let (verdict, judged) =
        export.by_vkey(&|dir| edit(dir.join("checkpoint"), |bytes| bytes.extend_from_slice(foreign.as_bytes())));
    assert_eq!((&*verdict, &judged["notes"]), ("ok", &json!(["unwitnessed", "lines-unchecked"])));
}

#[test]
fn spoiled_exports_are_told_alike() {
    let export = Export::new();
    let flip = |name: &'static str, at: usize| move |dir: &Path| edit(dir.join(name), |bytes| bytes[at] ^= 1);
    let remove = |name: &'static str| move |dir: &Path| std::fs::remove_file(dir.join(name)).unwrap();
    let cut = |name: &'static str| move |dir: &Path| edit(dir.join(name), |bytes| bytes.truncate(bytes.len() - 1));
    let put = |name: &'static str| move |dir: &Path| std::fs::write(dir.join(name), b"x").unwrap();
    let cases: Vec<(&str, Spoil)> = vec![
        ("entry-altered", Box::new(flip("tile/entries/001", 40))),
        ("entry-altered", Box::new(flip("tile/entries/002.p/88", 40))),
        ("entry-altered", Box::new(cut("tile/entries/000"))),
        ("tile-altered", Box::new(flip("tile/0/002.p/88", 33))),
        ("tile-altered", Box::new(flip("tile/0/000", 33))),
        ("tile-altered", Box::new(flip("tile/1/000.p/2", 3))),
        ("tile-altered", Box::new(cut("tile/1/000.p/2"))),
        ("tile-altered", Box::new(cut("tile/0/001"))),
        ("body-altered", Box::new(flip("bodies/001", 20))),
        ("body-altered", Box::new(cut("bodies/002.p/88"))),
        ("file-missing", Box::new(remove("tile/entries/000"))),
        ("file-missing", Box::new(remove("tile/0/001"))),
        ("file-missing", Box::new(remove("tile/1/000.p/2"))),
        ("file-missing", Box::new(remove("bodies/000"))),
        ("file-unknown", Box::new(put("tile/0/extra"))),
        ("file-unknown", Box::new(put("bodies/003"))),
        (
            "entry-altered",
            Box::new(|dir| {
                for file in ["tile/entries/000", "tile/0/002.p/88"] {
                    edit(dir.join(file), |bytes| bytes[50] ^= 1);
                }
            }),
        ),
    ];
    for (n, (verdict, spoil)) in cases.iter().enumerate() {
        let (found, judged) = export.by_vkey(spoil.as_ref());
        assert_eq!(found, *verdict, "case {n}: {judged}");
    }
    let stranger = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    assert_eq!(export.judge(Some(stranger), &|_| {})["verdict"], "key-unknown");
}

/// Whoever hands an export over could put a link to a device into it, or a pipe: neither verifier reads it.
#[test]
fn an_export_is_regular_files() {
    let export = Export::new();
    let dir = tempfile::tempdir().unwrap();
    export.log.export(dir.path());
    let tile = dir.path().join("tile/0/000");
    let kept = dir.path().join("tile/0/kept");
    std::fs::rename(&tile, &kept).unwrap();
    for target in [Path::new("/dev/zero"), &kept] {
        std::os::unix::fs::symlink(target, &tile).unwrap();
        let (exit, shown) = crate::verify(export.home.path(), &[dir.path().to_str().unwrap()]);
        assert_eq!(exit, 1, "{shown}");
        let verifier = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../verifiers/python/proofbook_verify.py");
        match Command::new("python3").arg(verifier).arg("tiles").arg(dir.path()).output() {
            Ok(output) => assert_eq!(output.status.code(), Some(1)),
            Err(error) => testkit::do_without("python3", error),
        }
        std::fs::remove_file(&tile).unwrap();
    }
}

#[test]
fn each_member_of_an_entry_is_checked_or_named_as_unproven() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(300);
    log.proof(dir.path(), 256);
    let (proof, entry) = (dir.path().join("256.tlog-proof"), dir.path().join("256.entry.json"));
    let good: Value = serde_json::from_slice(&std::fs::read(&entry).unwrap()).unwrap();
    let judge = |text: &str| {
        std::fs::write(&entry, text).unwrap();
        twice(dir.path(), "proof", &[&proof, &entry], Some(&log.vkey))
    };
    let with = |change: &dyn Fn(&mut Value)| {
        let mut value = good.clone();
        change(&mut value);
        judge(&value.to_string())
    };
    let whole = with(&|_| {});
    assert_eq!((&whole["verdict"], &whole["unproven"]), (&json!("ok"), &json!([])));
    // The key that was given is Ed25519 alone.
    assert_eq!(whole["notes"], json!(["unwitnessed", "lines-unchecked"]));
    for (member, value, verdict) in [
        ("ledger", json!("other"), "entry-altered"),
        ("ledger", json!("logs/main"), "entry-altered"),
        ("tree_size", json!(256), "entry-altered"),
        ("tree_size", json!(-1), "proof-malformed"),
        ("tree_size", json!("300"), "proof-malformed"),
        ("state", json!("erased"), "entry-altered"),
        ("state", json!("Present"), "proof-malformed"),
        ("state", Value::Null, "proof-malformed"),
        ("leaf", json!("x"), "entry-altered"),
        ("leaf_hash", json!("AA"), "proof-malformed"),
        ("body", json!("x"), "body-altered"),
        ("body", json!(1), "proof-malformed"),
        ("body_sha256", json!("0".repeat(64)), "body-altered"),
        ("surplus", json!(1), "proof-malformed"),
    ] {
        let judged = with(&|entry| entry[member] = value.clone());
        assert_eq!(judged["verdict"], verdict, "{member} {value}: {judged}");
        assert_eq!(judged.get("unproven"), None);
    }
    for member in ["ledger", "tree_size", "state", "body", "body_sha256"] {
        let judged = with(&|entry| {
            entry.as_object_mut().unwrap().remove(member);
        });
        assert_eq!(judged["verdict"], "proof-malformed", "{member}: {judged}");
    }
    // One member twice: readers differ in which they take.
    let doubled = good.to_string().replacen('{', "{\"state\":\"erased\",", 1);
    assert_eq!(judge(&doubled)["verdict"], "proof-malformed");
    // Other JSON that a reader of structs and enums may take for an entry.
    let named = with(&|entry| entry["state"] = json!({"present": null}));
    assert_eq!(named["verdict"], "proof-malformed");
    let order = ["ledger", "origin", "index", "tree_size", "leaf", "leaf_hash", "body", "body_sha256", "state"];
    let values: Vec<&Value> = order.iter().map(|member| &good[*member]).collect();
    assert_eq!(judge(&json!(values).to_string())["verdict"], "proof-malformed");
    for number in ["-0", "256.0", "2.56e2", "0256", "+256"] {
        let text = good.to_string().replacen("\"index\":256", &format!("\"index\":{number}"), 1);
        assert_eq!(judge(&text)["verdict"], "proof-malformed", "{number}");
    }
    let later = with(&|entry| entry["tree_size"] = json!(301));
    assert_eq!((&later["verdict"], &later["unproven"]), (&json!("ok"), &json!(["tree_size"])));
    let withheld = with(&|entry| entry["body"] = Value::Null);
    assert_eq!((&withheld["verdict"], &withheld["unproven"]), (&json!("ok"), &json!(["state"])));
    assert_eq!(withheld["notes"], json!(["unwitnessed", "body-withheld", "lines-unchecked"]));
    let pruned = with(&|entry| {
        entry["body"] = Value::Null;
        entry["state"] = json!("pruned");
    });
    assert_eq!((&pruned["verdict"], &pruned["unproven"]), (&json!("ok"), &json!(["state"])));
}
