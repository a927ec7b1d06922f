//! Real records, whole: as many out as in, originals byte for byte, leaves and bodies that read back.

#![expect(clippy::print_stderr, reason = "what is skipped is said aloud")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use event::{Format, Framing, parse_leaf, split};

fn data() -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared = std::env::var_os("PROOFBOOK_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let data = Some(shared.join("data")).filter(|d| d.is_dir());
    if data.is_none() {
        eprintln!("SKIPPED: no real data beside the repository (PROOFBOOK_SHARED)");
    }
    data
}

/// Maps a file, and counts outcomes and kinds of actors.
fn whole(format: Format, file: &str, entries: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let Some(data) = data() else { return counts };
    let bytes = std::fs::read(data.join(file)).unwrap();
    let mut seen = 0;
    let mut offset = 0;
    // Requests hold 10,000 messages at most: a larger file goes in parts that end with a line.
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    for chunk in lines.chunks(5_000) {
        let length: usize = chunk.iter().map(|line| line.len()).sum();
        let part = &bytes[offset..offset + length];
        offset += length;
        for raw in split(format, Framing::Auto, part).unwrap() {
            let event = crate::prepare(format, raw).unwrap_or_else(|r| panic!("{file}: {r}"));
            let body = crate::body(&event);
            event::strict_json(body.as_bytes()).unwrap();
            let value: serde_json::Value = serde_json::from_str(&body).unwrap();
            let original = &value["event"]["original"];
            let text = original["raw"].as_str().unwrap();
            let kept = match original["encoding"].as_str() {
                Some(_) => base64::engine::general_purpose::STANDARD.decode(text).unwrap(),
                None => text.as_bytes().to_vec(),
            };
            assert_eq!(kept, raw, "{file}");
            let mut leaf = Vec::new();
            let slot = event.write_leaf("01JD0000000000000000000000", None, &[3; 32], 9, &mut leaf) as usize;
            leaf[slot..slot + 30].copy_from_slice(&event::stamp(crate::ARRIVAL));
            assert_eq!(parse_leaf(&leaf).unwrap().action, event.action());
            *counts.entry(event.outcome().to_owned()).or_default() += 1;
            *counts.entry(format!("actor {}", event.actor_type())).or_default() += 1;
            *counts.entry(format!("truncated {}", value["event"]["ext"]["truncated"])).or_default() += 1;
            seen += 1;
        }
    }
    eprintln!("{file}: {counts:?}");
    assert_eq!(seen, entries, "{file}");
    counts
}

#[test]
fn cloudtrail() {
    whole(Format::CloudTrail, "cloudtrail/invictus.jsonl", 2_900);
    whole(Format::CloudTrail, "cloudtrail/stratus.jsonl", 310);
    whole(Format::CloudTrail, "cloudtrail/otrf.jsonl", 103);
    let Some(data) = data() else { return };
    for file in std::fs::read_dir(data.join("cloudtrail/invictus-original-files")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let parts = split(Format::CloudTrail, Framing::Auto, &bytes).unwrap();
        assert_eq!(parts.len(), value["Records"].as_array().unwrap().len());
        assert!(parts.iter().all(|raw| crate::prepare(Format::CloudTrail, raw).is_ok()));
    }
}

#[test]
fn openbao() {
    let counts = whole(Format::OpenBao, "openbao/audit.jsonl", 1_500);
    let refused = counts.get("denied").unwrap_or(&0) + counts.get("failure").unwrap_or(&0);
    assert!(counts.is_empty() || refused == 112, "{counts:?}");
}

#[test]
fn sshd_in_three_forms_says_the_same() {
    let forms = ["rfc3164", "rfc3339", "rfc5424"].map(|form| {
        let mut counts = whole(Format::Syslog, &format!("sshd/web-1-auth-{form}.log"), 2_748);
        counts.retain(|name, _| !name.starts_with("truncated"));
        counts
    });
    assert_eq!(forms[0], forms[1]);
    assert_eq!(forms[1], forms[2]);
    whole(Format::Syslog, "sshd/elastic-examples-auth.log", 7_121);
}

#[test]
fn any_file_is_text() {
    whole(Format::Text, "auditd/web-1-enriched.log", 13_894);
    whole(Format::Text, "auditd/web-1-raw.log", 3_514);
    whole(Format::Text, "pgaudit/postgresql-15-jsonlog.jsonl", 1_004);
    whole(Format::Text, "pgaudit/postgresql-15-csvlog.csv", 1_205);
    whole(Format::Text, "pgaudit/postgresql-15-stderr.log", 1_251);
    for file in ["sudo/web-1-sudo.json", "sudo/web-1-sudo-2.json"] {
        let Some(data) = data() else { return };
        let bytes = std::fs::read(data.join(file)).unwrap();
        let lines = bytes.strip_suffix(b"\n").unwrap_or(&bytes).split(|b| *b == b'\n').count();
        whole(Format::Text, file, lines);
    }
}
