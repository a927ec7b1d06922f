//! What readers get: duplicates across restarts, proofs offline, tails, exports, and exit codes that say how it went.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::Http;
use crate::rig::{Folder, How, PATIENCE, Up, said, vkeys};
use crate::writers::{Judge, Writer, event, receipts};

const EVENTS: &str = "/v1/ledgers/main/events";

#[test]
fn a_repeat_gets_its_first_index_across_restarts_and_a_contradiction_is_a_conflict() {
    let folder = Folder::new();
    let mut up = folder.up();
    let token = folder.bootstrap();
    let batch = Value::Array((0..40).map(|n| event(&format!("d{n}"), 50)).collect()).to_string();
    let first = receipts(&up.http(&token).post(EVENTS, batch.as_bytes()));
    assert!(first.iter().all(|(_, duplicate)| !duplicate));
    for kill in [false, true, false] {
        if kill {
            up.kill()
        } else {
            up.stop_cleanly()
        }
        up = folder.up();
        let again = receipts(&up.http(&token).post(EVENTS, batch.as_bytes()));
        for ((before, _), (after, duplicate)) in first.iter().zip(&again) {
            assert_eq!((before, true), (after, *duplicate));
        }
        let other = up.http(&token).post(EVENTS, event("d7", 51).to_string().as_bytes());
        let value = other.json();
        assert_eq!((other.status, value["type"].clone()), (409, "/errors/identity-conflict".into()));
        assert_eq!(value["first_index"], first[7].0.index);
    }
    // Without an id nothing is ever a duplicate.
    let plain = b"{\"action\":\"door.opened\",\"occurred_at\":\"2026-11-24T10:00:00Z\"}";
    let two: Vec<_> = (0..2).map(|_| receipts(&up.http(&token).post(EVENTS, plain)).remove(0)).collect();
    assert!(!two[0].1 && !two[1].1 && two[0].0.index + 1 == two[1].0.index);
}

#[test]
fn a_checkpoint_is_waited_for_and_its_proof_verifies_offline() {
    let folder = Folder::new();
    let up = folder.up();
    let mut http = up.http(&folder.bootstrap());
    let keys = vkeys(&mut http, "main");
    let batch = Value::Array((0..5).map(|n| event(&format!("c{n}"), 9)).collect()).to_string();
    let answer = http.post(&format!("{EVENTS}?wait=checkpoint"), batch.as_bytes());
    let value = answer.ok_json();
    let all = receipts(&answer);
    let index = all[3].0.index;
    let proof = value["results"][3]["proof"].as_str().unwrap().to_owned();
    Judge::new(&keys).judge(proof.as_bytes(), &all[3].0);
    let entry = http.get(&format!("/v1/ledgers/main/entries/{index}")).body;
    up.stop_cleanly();
    // Nobody is asked from here on.
    let (proof_file, entry_file) = (folder.path("p.tlog-proof"), folder.path("p.entry.json"));
    std::fs::write(&proof_file, &proof).unwrap();
    std::fs::write(&entry_file, &entry).unwrap();
    let vkey = keys[0].to_string();
    let verify = || said(&folder.cli("", &["--json", "verify", proof_file.to_str().unwrap(), "--vkey", &vkey]));
    let (code, lines) = verify();
    assert_eq!((code, lines[0]["verdict"].clone()), (0, "ok".into()), "{lines:?}");
    std::fs::write(&entry_file, String::from_utf8(entry).unwrap().replace("door.opened", "door.closed")).unwrap();
    assert!(verify().0 >= 20, "an altered entry is told");
}

/// A client command that goes on, and its lines.
struct Following {
    child: Child,
    lines: Receiver<Value>,
}

impl Following {
    fn start(folder: &Folder, up: &Up, args: &[&str]) -> Following {
        let mut command = folder.command(up.url(), args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tx, lines) = channel();
        std::thread::spawn(move || {
            let mut all = output.lines().map_while(Result::ok);
            all.all(|line| tx.send(serde_json::from_str(&line).unwrap()).is_ok())
        });
        Following { child, lines }
    }

    fn next(&self) -> Value {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    /// What comes within a while.
    fn all_within(&self, time: Duration) -> Vec<Value> {
        std::thread::sleep(time);
        self.lines.try_iter().collect()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_tail_shows_what_another_process_appends() {
    let folder = Folder::new();
    let up = folder.up();
    let tail = Following::start(&folder, &up, &["--json", "tail", "-f", "--from", "0"]);
    assert_eq!(tail.next()["index"], 0);
    for round in 0..3 {
        let mut child = folder.command(up.url(), &["--json", "ingest", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        let line = event(&format!("t{round}"), 3).to_string() + "\n";
        child.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        let entry = tail.next();
        assert_eq!(entry["index"], round + 1);
        assert!(entry["body"].as_str().unwrap().contains(&format!("\"t{round}\"")), "{entry}");
    }
    // Without -f it ends by itself.
    let (code, lines) = said(&folder.cli(up.url(), &["--json", "tail", "--from", "1"]));
    assert_eq!((code, lines.len()), (0, 3));
}

#[test]
fn a_tail_of_access_does_not_feed_itself() {
    let folder = Folder::new();
    let up = folder.up();
    let token = folder.bootstrap();
    let size = |name: &str| up.http(&token).get(&format!("/v1/ledgers/{name}")).ok_json()["size"].as_u64().unwrap();
    let tail = Following::start(&folder, &up, &["--json", "tail", "-f", "--ledger", "access", "-n", "0"]);
    std::thread::sleep(Duration::from_millis(500));
    let before = size("access");
    let quiet = tail.all_within(Duration::from_secs(2));
    assert_eq!(size("access"), before, "a tail alone makes entries: {quiet:?}");
    // Somebody else's read is an entry, and the tail shows it.
    assert_eq!(up.http(&token).get("/v1/ledgers/main/entries/0").status, 200);
    let entry = tail.next();
    assert!(entry["body"].as_str().unwrap().contains("main"), "{entry}");
    assert_eq!(size("access"), before + 1);
    assert!(tail.all_within(Duration::from_secs(1)).is_empty());
}

#[test]
fn an_export_verifies_and_is_whole() {
    let folder = Folder::new();
    let up = folder.up();
    let token = folder.bootstrap();
    let keys = vkeys(&mut up.http(&token), "main");
    let mut writer = Writer::new("x");
    assert!(writer.send(&mut up.http(&token), 700, 40, "?wait=checkpoint"));
    let out = folder.path("export");
    let out = out.to_str().unwrap();
    let (code, lines) = said(&folder.cli(up.url(), &["--json", "export", "--layout", "tiles", "--out", out]));
    assert_eq!(code, 0, "{lines:?}");
    assert_eq!(lines[0]["size"], 701);
    let vkey = keys[0].to_string();
    let verify = || said(&folder.cli("", &["--json", "verify", out, "--vkey", &vkey]));
    let (code, lines) = verify();
    assert_eq!((code, lines[0]["verdict"].clone()), (0, "ok".into()), "{lines:?}");
    assert_eq!(lines[0]["ledgers"][0]["size"], 701);
    let server = folder.cli(up.url(), &["--json", "verify", up.url(), "--vkey", &vkey]);
    assert_eq!(said(&server).0, 0, "{server:?}");
    // A full export is not written over.
    assert_eq!(said(&folder.cli(up.url(), &["--json", "export", "--out", out])).0, 1);
    let file = std::path::Path::new(out).join("tile/entries/001");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(verify().0, 20);
}

#[test]
fn every_command_says_by_its_exit_code_how_it_went() {
    let folder = Folder::new();
    let up = folder.up();
    let url = up.url().to_owned();
    let good = folder.path("good.ndjson");
    let some = folder.path("some.ndjson");
    std::fs::write(&good, "{\"action\":\"a.b\"}\n").unwrap();
    std::fs::write(&some, "{\"action\":\"a.b\"}\nnot json\n").unwrap();
    let (good, some, here) = (good.to_str().unwrap(), some.to_str().unwrap(), folder.path("out"));
    let here = here.to_str().unwrap();
    let gone = "http://127.0.0.1:1";
    let table: Vec<(&str, Vec<&str>, i32)> = vec![
        (&url, vec!["status"], 0),
        (&url, vec!["--json", "status"], 0),
        (&url, vec!["ledger", "list"], 0),
        (&url, vec!["ledger", "show", "main"], 0),
        (&url, vec!["ledger", "show", "none"], 3),
        (&url, vec!["ledger", "create", "raw-one", "--raw", "--public-leaves"], 0),
        (&url, vec!["ledger", "create", "raw-one", "--raw"], 3),
        (&url, vec!["ledger", "create", "Not A Name"], 3),
        (&url, vec!["ledger", "create", "kept", "--retention", "hipaa"], 0),
        (&url, vec!["ledger", "create", "lost", "--retention", "forever"], 3),
        (&url, vec!["token", "list"], 0),
        (&url, vec!["token", "create"], 2),
        (&url, vec!["token", "create", "--person", "ada", "--ledger", "main"], 0),
        (&url, vec!["token", "revoke", "none"], 3),
        (&url, vec!["ingest", good], 0),
        (&url, vec!["ingest", some], 3),
        (&url, vec!["ingest", "/does/not/exist"], 1),
        (&url, vec!["ingest", "--ledger", "none", "--retry-for", "0", good], 3),
        (&url, vec!["get", "0"], 0),
        (&url, vec!["get", "999999"], 3),
        (&url, vec!["get", "x"], 2),
        (&url, vec!["tail", "-n", "1"], 0),
        (&url, vec!["tail", "--from", "999999"], 0),
        (&url, vec!["prove", "0", "--out", here], 0),
        (&url, vec!["prove", "999999", "--out", here], 1),
        (&url, vec!["nonsense"], 2),
        (&url, vec!["--token", "pb_wrong", "status"], 3),
        (gone, vec!["status"], 4),
        (gone, vec!["tail"], 4),
        (gone, vec!["ingest", "--retry-for", "0", "--restart", good], 4),
        ("ftp://x", vec!["status"], 1),
    ];
    for (url, args, expected) in table {
        let out = folder.cli(url, &args);
        let shown =
            (String::from_utf8_lossy(&out.stdout).into_owned(), String::from_utf8_lossy(&out.stderr).into_owned());
        assert_eq!(out.status.code(), Some(expected), "{args:?}: {shown:?}");
        assert!(!shown.1.contains("panicked"), "{args:?}: {shown:?}");
        assert!(expected == 0 || expected == 3 || !shown.1.is_empty(), "{args:?} says nothing");
        // A person is told what to do or what is wrong, with no escape of the server's.
        assert!(!shown.0.contains('\u{1b}') && !shown.1.contains('\u{1b}'), "{args:?}: {shown:?}");
    }
    let proof = folder.path("out/0.tlog-proof");
    let keys = vkeys(&mut up.http(&folder.bootstrap()), "main");
    let vkey = keys[0].to_string();
    assert_eq!(folder.cli("", &["verify", proof.to_str().unwrap(), "--vkey", &vkey]).status.code(), Some(0));
    // The first meeting with a server is remembered; offline proofs then need no key.
    assert_eq!(folder.cli(&url, &["verify", &url]).status.code(), Some(0));
    assert_eq!(folder.cli("", &["verify", proof.to_str().unwrap()]).status.code(), Some(0));
}

/// How far a file was sent is remembered of one log, not of an address: whoever begins anew there sends all of it.
#[test]
fn a_new_log_at_the_same_address_gets_the_whole_file() {
    let folder = Folder::new();
    let file = folder.path("lines");
    std::fs::write(&file, "one\ntwo\n").unwrap();
    let args = ["--json", "ingest", "--format", "text", file.to_str().unwrap()];
    let up = folder.up();
    let url = up.url().to_owned();
    let appended = || said(&folder.cli(&url, &args)).1[0]["appended"].clone();
    assert_eq!((appended(), appended()), (2.into(), 0.into()));
    up.stop_cleanly();
    std::fs::remove_dir_all(folder.data()).unwrap();
    let how = How { listen: url.strip_prefix("http://").map(str::to_owned), ..How::default() };
    let up = folder.try_up(&how).unwrap();
    assert_eq!((appended(), appended()), (2.into(), 0.into()));
    up.stop_cleanly();
}

#[test]
fn a_raw_ledger_keeps_bytes_as_posted() {
    let folder = Folder::new();
    let up = folder.up();
    let mut http = up.http(&folder.bootstrap());
    let made = http.post("/v1/ledgers", json!({"name": "raw", "kind": "raw"}).to_string().as_bytes());
    assert_eq!(made.status, 201);
    for (n, bytes) in [b"\0\xff{}\n".to_vec(), b"x".repeat(65_535), b"\0\xff{}\n".to_vec()].iter().enumerate() {
        assert_eq!(http.post("/logs/raw/add", bytes).text(), format!("{n}\n"), "nothing is a duplicate");
        use base64::Engine;
        let entry = http.get(&format!("/v1/ledgers/raw/entries/{n}")).ok_json();
        let kept = base64::engine::general_purpose::STANDARD.decode(entry["leaf_base64"].as_str().unwrap()).unwrap();
        assert!(kept == *bytes, "entry {n} has {} bytes", kept.len());
    }
    for bytes in [vec![], b"x".repeat(65_536)] {
        let status = http.post("/logs/raw/add", &bytes).status;
        assert!(matches!(status, 400 | 413), "{} bytes: {status}", bytes.len());
    }
    // It has no bodies, and its export none.
    let out = folder.path("export");
    let out = out.to_str().unwrap();
    until_published(&mut http, "raw", 3);
    let (code, lines) = said(&folder.cli(up.url(), &["--json", "export", "--ledger", "raw", "--out", out]));
    assert_eq!((code, lines[0]["bodies"].clone()), (0, false.into()), "{lines:?}");
    let vkey = vkeys(&mut http, "raw")[0].to_string();
    let verify = || said(&folder.cli("", &["--json", "verify", out, "--vkey", &vkey]));
    let (code, lines) = verify();
    assert_eq!((code, &lines[0]["notes"]), (0, &json!(["unwitnessed"])), "{lines:?}");
    std::fs::create_dir_all(folder.path("export/bodies/000.p")).unwrap();
    std::fs::write(folder.path("export/bodies/000.p/3"), [0xff; 12]).unwrap();
    assert_eq!(verify().0, 32, "a file that no export of it has");
}

fn until_published(http: &mut Http, ledger: &str, size: u64) {
    for _ in 0..200 {
        if http.get(&format!("/v1/ledgers/{ledger}")).ok_json()["checkpoint_size"].as_u64() >= Some(size) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{ledger} has no checkpoint of {size}");
}

/// Standard output that nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// Standard output on a disk without room.
fn full() -> Stdio {
    std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

#[test]
fn an_output_that_cannot_be_written_changes_no_verdict() {
    let folder = Folder::new();
    let up = folder.up();
    let out = folder.path("export");
    let out = out.to_str().unwrap();
    assert_eq!(folder.cli(up.url(), &["export", "--out", out]).status.code(), Some(0));
    let vkey = vkeys(&mut up.http(&folder.bootstrap()), "main")[0].to_string();
    let run = |args: &[&str], stdout: Stdio| {
        let out = folder.command(up.url(), args).stdout(stdout).stderr(Stdio::piped()).output().unwrap();
        (out.status.code().unwrap(), String::from_utf8(out.stderr).unwrap())
    };
    let verify = ["--json", "verify", out, "--vkey", &vkey];
    assert_eq!(run(&verify, closed()).0, 0);
    assert_eq!(run(&["status"], closed()).0, 0, "`| head` is no failure");
    assert_eq!(run(&["tail", "--from", "0"], closed()).0, 0);
    for args in [&verify[..], &["token", "create", "--person", "x"], &["status"]] {
        let (code, stderr) = run(args, full());
        assert!(code == 1 && stderr.contains("standard output cannot be written"), "{args:?}: {code} {stderr}");
    }
    let (code, stderr) = run(&["--json", "get", "999999"], full());
    assert!(code == 3 && stderr.contains("404"), "{stderr}");
    let file = std::path::Path::new(out).join("checkpoint");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[3] ^= 1;
    std::fs::write(file, bytes).unwrap();
    for stdout in [closed(), full()] {
        assert!(run(&verify, stdout).0 >= 10, "a bad verdict that cannot be printed is still one");
    }
}
