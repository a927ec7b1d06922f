//! Real audit data, whole, through `ingest` and back: as many entries as events, originals byte for byte.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use base64::Engine;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::http::Http;
use crate::rig::{Folder, Up, said, shared};

/// Stored originals of a range, in order, by the bodies that the server hands out by the bundle.
fn originals(http: &mut Http, first: u64, size: u64) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for path in tlog::bundles_of(size).filter(|p| (p.index + 1) * 256 > first) {
        let path = tlog::TilePath { resource: tlog::Resource::Bodies, ..path };
        let answer = http.get(&format!("/logs/main/{path}"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        for (n, body) in tlog::decode_bodies(&answer.body).unwrap().into_iter().enumerate() {
            if path.index * 256 + (n as u64) < first {
                continue;
            }
            let body: Value = serde_json::from_slice(body.unwrap()).unwrap();
            let original = &body["event"]["original"];
            let raw = original["raw"].as_str().unwrap_or_else(|| panic!("no original: {body}"));
            all.push(match original["encoding"].as_str() {
                None => raw.as_bytes().to_vec(),
                Some(_) => base64::engine::general_purpose::STANDARD.decode(raw).unwrap(),
            });
        }
    }
    all
}

fn published(http: &mut Http) -> u64 {
    let size = http.get("/v1/ledgers/main").ok_json()["size"].as_u64().unwrap();
    crate::rig::eventually("a checkpoint covers everything", || {
        http.get("/v1/ledgers/main").ok_json()["checkpoint_size"].as_u64().unwrap() >= size
    });
    size
}

/// The records of a file by the plainest reading of its format.
fn records<'a>(format: &str, bytes: &'a [u8]) -> Vec<&'a [u8]> {
    if bytes.starts_with(b"{\"Records\"") {
        let document: BTreeMap<String, Vec<&RawValue>> = serde_json::from_slice(bytes).unwrap();
        return document["Records"].iter().map(|raw| raw.get().as_bytes()).collect();
    }
    let lines = bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|b| *b == b'\n');
    match format {
        "syslog" | "text" => lines.collect(),
        _ => lines.map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect(),
    }
}

/// Sends a file by the command line and compares what is stored with what the file holds.
fn whole(folder: &Folder, up: &Up, name: &str, file: &Path) -> u64 {
    let mut http = up.http(&folder.bootstrap());
    let before = published(&mut http);
    let shown = file.display();
    let args = ["--json", "ingest", "--format", name, "--quiet", file.to_str().unwrap()];
    let out = folder.cli(up.url(), &args);
    let (code, lines) = said(&out);
    assert_eq!(code, 0, "{shown}: {lines:?} {}", String::from_utf8_lossy(&out.stderr));
    let bytes = std::fs::read(file).unwrap();
    let mut expected: VecDeque<&[u8]> = records(name, &bytes).into();
    let size = published(&mut http);
    assert_eq!(lines[0]["appended"], expected.len(), "{shown}: {lines:?}");
    assert_eq!(lines[0]["refused"], 0, "{shown}");
    assert_eq!(size - before, expected.len() as u64, "{shown}: entries and events");
    for (n, kept) in originals(&mut http, before, size).into_iter().enumerate() {
        let sent = expected.pop_front().unwrap();
        assert!(kept == sent, "{shown}: original {n} is not the bytes of the file");
    }
    assert!(expected.is_empty());
    // Sent once more from the beginning, every record is known.
    let (code, lines) = said(&folder.cli(up.url(), &[&args[..], &["--restart"]].concat()));
    assert_eq!((code, lines[0]["appended"].clone()), (0, 0.into()), "{shown}: {lines:?}");
    assert_eq!(lines[0]["duplicates"], size - before, "{shown}");
    size - before
}

fn run(files: &[(&str, &str)]) {
    let Some(data) = shared() else { return };
    let folder = Folder::new();
    let up = folder.up();
    let mut entries = 0;
    for (name, file) in files {
        entries += whole(&folder, &up, name, &data.join(file));
    }
    up.stop_cleanly();
    // What was read back was not only in memory.
    let up = folder.up();
    let mut http = up.http(&folder.bootstrap());
    assert_eq!(published(&mut http), entries + 1);
    let out = folder.path("export");
    let keys = crate::rig::vkeys(&mut http, "main");
    let export = folder.cli(up.url(), &["--json", "export", "--out", out.to_str().unwrap()]);
    assert_eq!(said(&export).0, 0, "{export:?}");
    let verify = ["--json", "verify", out.to_str().unwrap(), "--vkey", &keys[0].to_string()];
    assert_eq!(said(&folder.cli("", &verify)).0, 0);
    crate::judged::stopped_and_whole(&folder, up);
    eprintln!("{entries} real records in, out and verified");
}

#[test]
fn cloudtrail() {
    let file = |name| ("cloudtrail", name);
    run(&[file("cloudtrail/invictus.jsonl"), file("cloudtrail/stratus.jsonl"), file("cloudtrail/otrf.jsonl")]);
}

#[test]
fn cloudtrail_as_delivered() {
    let Some(data) = shared() else { return };
    let all = std::fs::read_dir(data.join("cloudtrail/invictus-original-files")).unwrap();
    let names: Vec<String> =
        all.map(|file| format!("cloudtrail/invictus-original-files/{}", file.unwrap().file_name().display())).collect();
    assert!(!names.is_empty());
    run(&names.iter().map(|name| ("cloudtrail", name.as_str())).collect::<Vec<_>>());
}

#[test]
fn openbao_and_pgaudit() {
    run(&[
        ("openbao", "openbao/audit.jsonl"),
        ("text", "pgaudit/postgresql-15-jsonlog.jsonl"),
        ("text", "pgaudit/postgresql-15-csvlog.csv"),
        ("text", "pgaudit/postgresql-15-stderr.log"),
    ]);
}

#[test]
fn sshd_in_all_its_forms() {
    let file = |name| ("syslog", name);
    run(&[
        file("sshd/web-1-auth-rfc3164.log"),
        file("sshd/web-1-auth-rfc3339.log"),
        file("sshd/web-1-auth-rfc5424.log"),
        file("sshd/elastic-examples-auth.log"),
    ]);
}

#[test]
fn sudo_and_auditd() {
    let file = |name| ("text", name);
    run(&[file("sudo/web-1-sudo.json"), file("auditd/web-1-enriched.log"), file("auditd/web-1-raw.log")]);
}
