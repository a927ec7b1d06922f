//! `verify` and `fsck` on a data folder: verdicts, exit codes, what people and machines are told, the lock.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use ledger::Kind;
use ledger::durable::{Disk, OsDisk};
use serde_json::{Value, json};
use testkit::folder::{ORIGIN, ULID, Until, small};

struct Folder {
    dir: tempfile::TempDir,
}

impl Folder {
    fn new() -> Folder {
        let folder = Folder { dir: tempfile::tempdir().unwrap() };
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        small(&disk, &folder.data(), &folder.pin(), Kind::Audit, Until::Today).unwrap();
        folder
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn pin(&self) -> PathBuf {
        self.dir.path().join("pin")
    }

    fn ledger(&self, name: &str) -> PathBuf {
        self.data().join("ledgers").join(ULID).join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_proofbook"))
            .args(args)
            .env("XDG_STATE_HOME", self.dir.path().join("state"))
            .env_remove("PROOFBOOK_PIN")
            .env("NO_COLOR", "1")
            .output()
            .unwrap()
    }

    fn judge(&self, command: &str, more: &[&str]) -> (i32, Value) {
        let (data, pin) = (self.data(), self.pin());
        let mut args = match command {
            "fsck" => vec!["--json", "fsck", "--data", text(&data)],
            _ => vec!["--json", "verify", text(&data)],
        };
        args.extend(["--pin", text(&pin)]);
        args.extend(more);
        let out = self.run(&args);
        (out.status.code().unwrap(), serde_json::from_slice(&out.stdout).unwrap())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn edit(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_whole_folder_is_ok_by_its_own_or_by_given_keys() {
    let folder = Folder::new();
    let (exit, answer) = folder.judge("verify", &[]);
    let root = answer["ledgers"][0]["root"].clone();
    assert!(root.as_str().is_some_and(|root| root.len() == 44));
    let ledgers = json!([{"ledger": ULID, "name": "main", "origin": ORIGIN, "size": 521, "checkpoint": 521,
        "root": root}]);
    let wanted = json!({"verdict": "ok", "exit": 0, "findings": [], "notes": ["own-keys", "unwitnessed"],
        "ledgers": ledgers});
    assert_eq!((exit, &answer), (0, &wanted));
    let vkey = testkit::folder::signer().vkeys()[0].to_string();
    let (exit, answer) = folder.judge("verify", &["--vkey", &vkey, "--ledger", "main"]);
    assert_eq!((exit, &answer["notes"]), (0, &json!(["unwitnessed"])));
    let stranger = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    let (exit, answer) = folder.judge("verify", &["--key", stranger]);
    assert_eq!((exit, answer["verdict"].as_str()), (14, Some("key-unknown")));
    let out = folder.run(&["verify", text(&folder.data())]);
    let shown = String::from_utf8(out.stdout).unwrap();
    assert!(shown.starts_with("ok every byte was checked\n") && shown.contains("note: no-pin: "), "{shown}");
    assert!(shown.contains("main    521      521"), "{shown}");
}

#[test]
fn damage_is_named_by_file_bytes_and_entries() {
    let folder = Folder::new();
    edit(&folder.ledger("sealed/00000000000000000256.tags"), 24 + 40);
    let (exit, answer) = folder.judge("verify", &[]);
    let finding = json!({"code": "tags-altered", "ledger": ULID, "file": "sealed/00000000000000000256.tags",
        "bytes": [24, 24 + 8192], "entries": [256, 512], "detail": answer["findings"][0]["detail"]});
    assert_eq!((exit, &answer["verdict"], &answer["findings"]), (24, &json!("tags-altered"), &json!([finding])));
    let out = folder.run(&["verify", text(&folder.data()), "--pin", text(&folder.pin())]);
    let shown = String::from_utf8(out.stdout).unwrap();
    let line = "tags-altered main: sealed/00000000000000000256.tags, bytes 24..8216, entries 256..512\n";
    assert!(shown.starts_with(line) && shown.contains("NOT verified: tags-altered\n"), "{shown}");
    assert_eq!(out.status.code(), Some(24));
    let (exit, answer) = folder.judge("fsck", &[]);
    assert_eq!(exit, 24);
    assert!(answer["next_start"][0].as_str().is_some_and(|next| next.contains("refuse")), "{answer}");
}

#[test]
fn fsck_says_what_the_next_start_does() {
    let folder = Folder::new();
    let (exit, answer) = folder.judge("fsck", &[]);
    assert_eq!((exit, &answer["next_start"]), (0, &json!(["finds everything as it was left"])));
    let segment = folder.ledger("wal/0000000000000007.wal");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes.extend_from_slice(b"torn");
    std::fs::write(&segment, bytes).unwrap();
    std::fs::write(folder.ledger("keys.tmp"), b"").unwrap();
    let (exit, answer) = folder.judge("fsck", &[]);
    assert_eq!((exit, &answer["verdict"]), (0, &json!("torn-tail")));
    let next: Vec<&str> = answer["next_start"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    assert!(next.iter().any(|n| n.starts_with("main: wal/0000000000000007.wal: its torn tail stays")), "{next:?}");
    assert!(next.iter().any(|n| n.starts_with("main: keys.tmp: it is removed")), "{next:?}");
    let out = folder.run(&["fsck", "--data", text(&folder.data())]);
    let shown = String::from_utf8(out.stdout).unwrap();
    assert!(shown.contains("the next start:\n") && shown.contains("it needs --accept-first-start"), "{shown}");
}

#[test]
fn a_running_server_is_told() {
    let folder = Folder::new();
    let held = OsDisk.lock(&folder.data().join("LOCK")).unwrap();
    let out = folder.run(&["fsck", "--data", text(&folder.data())]);
    let told = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.code() == Some(1) && told.contains("a server runs on") && out.stdout.is_empty(), "{told}");
    let out = folder.run(&["verify", text(&folder.data())]);
    assert!(String::from_utf8(out.stderr).unwrap().contains("a server runs on this folder"));
    assert_eq!(out.status.code(), Some(0));
    // The server goes on whoever takes its LOCK for a stale one.
    std::fs::remove_file(folder.data().join("LOCK")).unwrap();
    let out = folder.run(&["fsck", "--data", text(&folder.data())]);
    assert_eq!(out.status.code(), Some(1), "{}", String::from_utf8_lossy(&out.stdout));
    drop(held);
    assert_eq!(folder.run(&["fsck", "--data", text(&folder.data())]).status.code(), Some(0));
}

#[test]
fn what_is_no_verdict_is_an_error() {
    let folder = Folder::new();
    let nowhere = folder.dir.path().join("nowhere");
    let data = folder.data();
    for args in [
        vec!["verify", text(&data), "--pin", text(&nowhere)],
        vec!["verify", text(&data), "--ledger", "other"],
        vec!["verify", text(folder.dir.path())],
        vec!["fsck", "--data", text(&nowhere)],
    ] {
        let out = folder.run(&args);
        assert_eq!(out.status.code(), Some(1), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    }
    for vkey in ["x", "log.example/a+00000000+/0FB", "log.example/a+00000000+AkFB"] {
        for command in [vec!["verify", text(&data)], vec!["fsck", "--data", text(&data)]] {
            let out = folder.run(&[&command[..], &["--vkey", vkey]].concat());
            assert_eq!(out.status.code(), Some(1), "{vkey}: {}", String::from_utf8_lossy(&out.stdout));
        }
    }
    assert_eq!(folder.run(&["fsck", "--nothing"]).status.code(), Some(2));
}
