//! Writes the seed corpus of the fuzz targets: one or more inputs a target that its parser accepts.
//!
//! `cargo run -p testkit --example seeds -- fuzz/corpus`; `cargo xtask fuzz` does so by itself.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a developer's tool stops at the first surprise")]

use std::path::{Path, PathBuf};

use testkit::{SimDisk, entries, keys};
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
        ("event_native", NATIVE.iter().map(|text| text.as_bytes().to_vec()).collect()),
        ("event_cloudtrail", vec![CLOUDTRAIL.into()]),
        ("event_openbao", sample("openbao/audit.jsonl", 40)),
        ("event_syslog", sample("sshd/web-1-auth-rfc5424.log", 25)),
        ("event_text", [sample("auditd/web-1-enriched.log", 5), sample("sudo/web-1-sudo.json", 5)].concat()),
        ("event_split", bodies()),
        ("event_leaf", vec![leaf()]),
        ("event_strict_json", NATIVE.iter().chain(&JSON).map(|text| text.as_bytes().to_vec()).collect()),
        ("event_sealed_body", sealed_bodies()),
        ("ledger_recover", vec![edits(0), edits(20), foreign_segment()]),
        ("sealed_manifest", vec![sealed_set()]),
        ("sealed_set", vec![edits(0), edits(3)]),
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

const NATIVE: [&str; 4] = [
    r#"{"action":"invoice.viewed"}"#,
    r#"{"id":"7","source":"urn:example:app","action":"user.login","category":"user","severity":"info",
        "occurred_at":"2026-11-24T10:00:00.5+01:00","actor":{"type":"user","id":"ada","name":"Ada","ip":"192.0.2.7"},
        "targets":[{"type":"invoice","id":"9"}],"outcome":{"status":"denied","reason":"mfa"},"message":"no"}"#,
    r#"{"action":"a.b","source_seq":{"epoch":"e","n":5},"subjects":[{"type":"person","id":"x"}],"tenant":"default",
        "before":{"a":[1,-0.5e3]},"after":null,"metadata":{"k":"v"},"ext":{"deep":[[[{}]]]},"trace_id":"ab"}"#,
    r#"{"action":"a","message":"\u00e9\ud83d\ude00\n","unknown":true}"#,
];

const JSON: [&str; 3] = ["[1e308,-0,0.1E-7,18446744073709551616]", r#"{"":{"\u0000":"\\\/\b\f"}}"#, " \ttrue\r\n"];

const CLOUDTRAIL: &str = r#"{"eventVersion":"1.08","userIdentity":{"type":"AssumedRole","principalId":"AROA:ada",
    "arn":"arn:aws:sts::123456789012:assumed-role/ops/ada","accountId":"123456789012","sessionContext":{"sessionIssuer":
    {"type":"Role","userName":"ops"},"attributes":{"mfaAuthenticated":"true"}}},"eventTime":"2026-11-24T10:00:00Z",
    "eventSource":"s3.amazonaws.com","eventName":"DeleteBucket","awsRegion":"eu-west-1","sourceIPAddress":"192.0.2.7",
    "userAgent":"cli","errorCode":"AccessDenied","errorMessage":"no","requestParameters":{"bucketName":"b"},
    "responseElements":null,"requestID":"r","eventID":"11111111-2222-3333-4444-555555555555","readOnly":false,
    "resources":[{"ARN":"arn:aws:s3:::b","type":"AWS::S3::Bucket"}],"eventType":"AwsApiCall",
    "recipientAccountId":"123456789012","eventCategory":"Management"}"#;

/// Each n-th line of a sample.
fn sample(file: &str, step: usize) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples").join(file);
    let bytes = std::fs::read(&path).unwrap();
    bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()).step_by(step).take(24).map(<[u8]>::to_vec).collect()
}

/// Bodies of requests behind the byte that chooses format and framing.
fn bodies() -> Vec<Vec<u8>> {
    let list = [
        (0, format!("[{},{}]", NATIVE[0], NATIVE[3])),
        (5, format!("{}\n\n{}\r\n", NATIVE[0], NATIVE[3])),
        (1, format!("{{\"Records\":[{CLOUDTRAIL}]}}")),
        (3, "<34>1 2026-11-24T10:00:00Z h sshd 1 - - x\n<13>Nov 24 10:00:00 h su: y".to_owned()),
        (4, "a\n\nb".to_owned()),
    ];
    list.into_iter().map(|(choice, body)| [&[choice], body.as_bytes()].concat()).collect()
}

/// A plain body, a sealed one, the contents of a seal, and padded bytes.
fn sealed_bodies() -> Vec<Vec<u8>> {
    let salt = r#""salt":"AAAAAAAAAAAAAAAAAAAAAA==""#;
    // Zeros in base64: 32 bytes, 12, and the 272 of one bucket and its tag.
    let (long, nonce, ct) = (format!("{}=", "A".repeat(43)), "A".repeat(16), format!("{}=", "A".repeat(363)));
    let marker = |slot: u8| format!(r#"{{"$sealed":[{slot},"{long}"]}}"#);
    let seal = |slot: u8| {
        let key = r#""key_id":"AAAAAAAAAAAAAAAAAAAAAA==""#;
        format!(r#"{{"slot":{slot},{key},"nonce":"{nonce}","key_commitment":"{long}","ct":"{ct}"}}"#)
    };
    let event = format!(r#"{{"action":"a","actor":{{"id":{}}},"targets":[{{"id":{}}}]}}"#, marker(0), marker(1));
    let contents = r#""values":{"/a~1b":{"k":[1,"x"]},"/c":null},"written":{"/d":"1.0"}"#;
    let mut padded = vec![0; 256];
    padded[3..7].copy_from_slice(b"\x03abc");
    vec![
        format!(r#"{{{salt},"event":{}}}"#, NATIVE[0]).into_bytes(),
        format!(r#"{{{salt},"event":{event},"seals":[{},{}]}}"#, seal(0), seal(1)).into_bytes(),
        format!(r#"{{"seed":"{long}",{contents}}}"#).into_bytes(),
        padded,
    ]
}

fn leaf() -> Vec<u8> {
    let digest = leaf_hash(b"body").hex();
    let times = r#""occurred_at":"2026-11-24T10:00:00.000000000Z","received_at":"2026-11-24T10:00:00.000000001Z""#;
    format!(
        "{{\"v\":1,\"entry_id\":\"01JD0000000000000000000000\",\"source\":\"urn:example:app\",\"source_epoch\":\"e\",\
         \"source_seq\":5,\"action\":\"user.login\",\"category\":\"user\",\"severity\":\"info\",\
         \"outcome\":\"success\",{times},\"body_sha256\":\"{digest}\",\"body_bytes\":4}}"
    )
    .into_bytes()
}

/// A leading byte, then edits of five bytes each: file, offset, mask.
fn edits(first: u8) -> Vec<u8> {
    [&[first][..], &[1, 0, 0, 200, 1], &[0, 0, 1, 44, 0x80], &[2, 0, 0, 90, 0]].concat()
}

/// A segment behind the byte that says: foreign.
fn foreign_segment() -> Vec<u8> {
    let disk = SimDisk::new();
    for folder in ["/l", "/l/wal", "/l/sealed", "/views"] {
        disk.make_dir(Path::new(folder)).unwrap();
    }
    let setup = ledger::Setup {
        disk: disk.door(),
        wal: "/l/wal".into(),
        sealed: "/l/sealed".into(),
        origin: ORIGIN.to_owned(),
        ulid: "01JD0000000000000000000000".to_owned(),
        views: "/views/v".into(),
        views_mac: std::sync::Arc::new(|parts| leaf_hash(&parts.concat()).0),
        about: [7; 32],
        kind: ledger::Kind::Audit,
        config: ledger::Config { disk_low_bytes: 0, ..ledger::Config::default() },
        clock: testkit::VirtualClock::at(1).door(),
        stamp: entries::stamp(),
        body_digest: entries::body_digest(),
    };
    let (mut writer, _) = ledger::recover(&setup, &[]).unwrap();
    writer.commit(vec![entries::batch(0, 3, 50, false)]).unwrap();
    writer.commit(vec![entries::batch(3, 1, 9, false)]).unwrap();
    let wal = disk.files().into_iter().find(|file| file.extension().is_some_and(|e| e == "wal")).unwrap();
    [&[255], disk.read_file(&wal).unwrap().as_slice()].concat()
}

fn sealed_set() -> Vec<u8> {
    let disk = SimDisk::new();
    disk.make_dir(Path::new("/s")).unwrap();
    let spec = ledger::sealed::SetSpec {
        origin: ORIGIN.to_owned(),
        kind: ledger::Kind::Audit,
        frontier: Frontier::new(),
        end: 256,
        previous: [7; 32],
        gzip_level: 1,
        zstd_level: 1,
        threads: 1,
    };
    let mut writer = ledger::sealed::SetWriter::begin(&disk.door(), Path::new("/s"), spec).unwrap();
    for number in 0..256 {
        let made = entries::entry(number, 20);
        writer.push(&made.stamped(number), Some(&made.body), made.tags, number).unwrap();
    }
    writer.finish(&entries::body_digest(), None).unwrap().to_text().into_bytes()
}
