//! Whole data folders under judgement: what is whole, and what the page calls damage.

use std::path::{Path, PathBuf};

use ledger::sealed::{Manifest, SealedSets, SetSpec, SetWriter};
use ledger::verify::{FolderReport, Note, VerifyError, VerifyOptions, verify_folder};
use ledger::{CheckpointLog, Code, Kind};
use testkit::SimDisk;
use testkit::folder::{self, Folder, ORIGIN, ULID, Until};
use tlog::{Checkpoint, Hash};

pub(crate) fn data() -> PathBuf {
    PathBuf::from("/data")
}

pub(crate) fn pin() -> PathBuf {
    PathBuf::from("/pin")
}

pub(crate) fn small(kind: Kind, until: Until) -> SimDisk {
    let disk = SimDisk::new();
    folder::small(&disk.door(), &data(), &pin(), kind, until).unwrap();
    disk
}

pub(crate) fn verify(disk: &SimDisk, options: &VerifyOptions) -> FolderReport {
    verify_folder(&disk.door(), &data(), options, &|_| {}).unwrap()
}

/// A finding in one line, for comparison: code, ledger or not, file, bytes, entries.
pub(crate) fn lines(report: &FolderReport) -> Vec<String> {
    let span = |range: &Option<std::ops::Range<u64>>| {
        range.as_ref().map_or("-".to_owned(), |range| format!("{}..{}", range.start, range.end))
    };
    let mut lines: Vec<String> = report
        .findings
        .iter()
        .map(|at| {
            let found = &at.finding;
            let ledger = at.ledger.as_deref().unwrap_or("-");
            let (bytes, entries) = (span(&found.bytes), span(&found.entries));
            format!("{} {ledger} {} {bytes} {entries}", found.code.row().0, found.file)
        })
        .collect();
    lines.sort();
    lines
}

fn files(disk: &SimDisk) -> Vec<(String, usize)> {
    let all = disk.files();
    all.iter().map(|path| (path.display().to_string(), disk.read_file(path).unwrap().len())).collect()
}

#[test]
fn a_whole_folder_is_ok() {
    for kind in [Kind::Audit, Kind::Raw] {
        let disk = small(kind, Until::Today);
        for threads in [1, 3] {
            let report = verify(&disk, &folder::options(Some(&pin()), threads));
            assert_eq!(lines(&report), Vec::<String>::new(), "{:?}", files(&disk));
            assert_eq!((report.verdict(), report.exit()), (Code::Ok, 0));
            assert_eq!(report.notes, [Note::OwnKeys, Note::Unwitnessed]);
            let ledger = &report.ledgers[0];
            assert_eq!((ledger.ulid.as_str(), ledger.name.as_deref()), (ULID, Some("main")));
            assert_eq!((ledger.origin.as_deref(), ledger.size, ledger.checkpoint), (Some(ORIGIN), 521, Some(521)));
            assert!(ledger.root.is_some());
        }
        let report = verify(&disk, &folder::options(None, 1));
        assert_eq!(report.notes, [Note::OwnKeys, Note::NoPin, Note::Unwitnessed]);
        assert_eq!(report.verdict(), Code::Ok);
    }
}

/// The one finding that is left over.
fn only(report: &FolderReport) -> String {
    let lines = lines(report);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.into_iter().next().unwrap()
}

fn ledger_file(name: &str) -> PathBuf {
    data().join("ledgers").join(ULID).join(name)
}

/// Appends a note to the checkpoint log as the publisher would.
fn publish(disk: &SimDisk, note: &str) {
    CheckpointLog::open(&disk.door(), &ledger_file("checkpoints")).unwrap().append(note).unwrap();
}

fn log_line(code: &str, record: &str, entries: &str) -> String {
    format!("{code} {ULID} checkpoints/0000000000000002.log {record} {entries}")
}

#[test]
fn a_checkpoint_is_judged_by_form_origin_keys_and_root() {
    let whole = small(Kind::Audit, Until::Today);
    let known = verify(&whole, &folder::options(Some(&pin()), 1)).ledgers[0].clone();
    let snapshot = whole.snapshot();
    let end = whole.read_file(&ledger_file("checkpoints/0000000000000002.log")).unwrap().len();
    let sign = |signer: &tlog::CheckpointSigner, size, root: Hash| {
        signer.sign(&Checkpoint { origin: signer.origin().to_owned(), size, root }, 1_795_521_600)
    };
    let own = folder::signer();
    let good = sign(&own, 521, known.root.unwrap());
    let stranger = testkit::keys::signer(ORIGIN, 77);
    let other = testkit::keys::signer("log.example.com/logs/other", 5);
    let forged = good.replacen("\n521\n", "\n522\n", 1);
    let cases = [
        ("no note\n".to_owned(), Some("checkpoint-altered"), "-"),
        (sign(&other, 521, known.root.unwrap()), Some("origin-other"), "-"),
        (sign(&stranger, 521, known.root.unwrap()), Some("key-unknown"), "-"),
        (forged, Some("checkpoint-forged"), "-"),
        (sign(&own, 520, known.root.unwrap()), Some("checkpoint-altered"), "-"),
        (sign(&own, 521, Hash([7; 32])), Some("checkpoint-inconsistent"), "519..521"),
        (good, None, ""),
    ];
    for (note, code, entries) in cases {
        whole.restore(&snapshot);
        publish(&whole, &note);
        let report = verify(&whole, &folder::options(Some(&pin()), 1));
        let record = format!("{end}..{}", end + note.len() + 40);
        match code {
            Some(code) => assert_eq!(only(&report), log_line(code, &record, entries)),
            None => assert_eq!(lines(&report), Vec::<String>::new()),
        }
    }
}

#[test]
fn given_keys_count_and_no_others() {
    let disk = small(Kind::Audit, Until::Today);
    let with = |keys: Vec<tlog::Vkey>| VerifyOptions {
        keys: std::sync::Arc::new(move |_| Some(keys.clone())),
        ..folder::options(Some(&pin()), 2)
    };
    let own = folder::signer().vkeys();
    for given in [own[..1].to_vec(), own[1..].to_vec(), own] {
        let report = verify(&disk, &with(given));
        assert_eq!((lines(&report).len(), report.notes), (0, vec![Note::Unwitnessed]));
    }
    let report = verify(&disk, &with(testkit::keys::signer(ORIGIN, 77).vkeys()));
    assert_eq!(report.verdict(), Code::KeyUnknown);
    assert!(lines(&report).iter().filter(|line| line.starts_with("key-unknown ")).count() == 4, "{:?}", lines(&report));
}

#[test]
fn keys_of_somebody_else_are_found_by_those_that_are_given() {
    let disk = small(Kind::Audit, Until::Today);
    let stranger = testkit::keys::signer(ORIGIN, 77).key_note(0).replace('\n', "\\n");
    let bytes = format!("[\"{stranger}\"]\n");
    disk.write_file(&ledger_file("keys"), bytes.as_bytes()).unwrap();
    let own = folder::signer().vkeys();
    let with =
        VerifyOptions { keys: std::sync::Arc::new(move |_| Some(own.clone())), ..folder::options(Some(&pin()), 1) };
    assert_eq!(only(&verify(&disk, &with)), format!("keys-altered {ULID} keys 0..{} -", bytes.len()));
    // Without a key of one's own, the folder's keys did not sign its checkpoints.
    assert_eq!(verify(&disk, &folder::options(Some(&pin()), 1)).verdict(), Code::KeyUnknown);
}

/// Another history under the same name and keys, from entry 256 on, below the checkpoints of the first.
pub(crate) fn rewritten() -> SimDisk {
    let write = |body_bytes| {
        let disk = SimDisk::new();
        let mut made = Folder::create(&disk.door(), &data(), &pin(), Kind::Audit, 1_000).unwrap();
        made.append(256, 0).unwrap();
        made.checkpoint().unwrap();
        made.seal().unwrap();
        made.append(100, body_bytes).unwrap();
        made.append(170, 0).unwrap();
        made.checkpoint().unwrap();
        made.seal().unwrap();
        made.append(3, 0).unwrap();
        made.checkpoint().unwrap();
        disk
    };
    let (disk, other) = (write(0), write(200));
    for folder in ["sealed", "wal"] {
        for file in disk.files().iter().filter(|file| file.starts_with(ledger_file(folder))) {
            disk.delete_file(file).unwrap();
        }
        for file in other.files().iter().filter(|file| file.starts_with(ledger_file(folder))) {
            disk.write_file(file, &other.read_file(file).unwrap()).unwrap();
        }
    }
    disk
}

#[test]
fn a_history_that_was_rewritten_contradicts_its_checkpoints() {
    let disk = rewritten();
    // Every file is whole by itself: the signatures alone tell, and between which of them it happened.
    let lengths = [0, 256, 526, 529].map(|size: u64| 3511 + size.to_string().len() as u64);
    let mut expected = [(2, 526), (3, 529)].map(|(n, size)| {
        let (start, end) = (lengths[..n].iter().sum::<u64>(), lengths[..=n].iter().sum::<u64>());
        let log = "checkpoints/0000000000000001.log";
        format!("checkpoint-inconsistent {ULID} {log} {start}..{end} 256..{size}")
    });
    expected.sort();
    let report = verify(&disk, &folder::options(None, 2));
    assert_eq!(lines(&report), expected);
    let report = verify(&disk, &folder::options(Some(&pin()), 2));
    assert!(lines(&report).iter().any(|line| line.starts_with(&format!("rollback {ULID} pin "))));
}

/// A sealed set made anew with one other entry, chained and sealed as it must be, where no checkpoint lies before the
/// segments go on: they still hold what was sealed.
pub(crate) fn made_anew() -> SimDisk {
    let disk = small(Kind::Audit, Until::Today);
    let door = disk.door();
    let dir = ledger_file("sealed");
    let about = sha256(&disk.read_file(&ledger_file("LEDGER")).unwrap());
    let sets = SealedSets::open(&door, &dir, Kind::Audit, about).unwrap();
    let first = sets.manifest(0).unwrap();
    disk.make_dir(Path::new("/forged")).unwrap();
    let spec = SetSpec {
        origin: ORIGIN.to_owned(),
        kind: Kind::Audit,
        frontier: first.0.frontier.clone(),
        end: 512,
        previous: first.1,
        gzip_level: 1,
        zstd_level: 1,
        threads: 2,
    };
    let mut forged = SetWriter::begin(&door, Path::new("/forged"), spec).unwrap();
    for index in 256..512 {
        let made = testkit::audit::entry(if index == 510 { 9_999 } else { index }, 0);
        forged.push(&made.leaf, Some(&made.body), made.tags, 1).unwrap();
    }
    forged.finish(&testkit::audit::body_digest(), None).unwrap();
    for file in disk.files().iter().filter(|file| file.starts_with("/forged")) {
        disk.write_file(&dir.join(file.file_name().unwrap()), &disk.read_file(file).unwrap()).unwrap();
        disk.delete_file(file).unwrap();
    }
    disk
}

#[test]
fn a_set_made_anew_contradicts_the_segments() {
    let disk = made_anew();
    let seal = disk.read_file(&ledger_file("sealed/00000000000000000256.seal")).unwrap().len();
    let found = lines(&verify(&disk, &folder::options(None, 1)));
    let expected = format!("manifest-altered {ULID} sealed/00000000000000000256.seal 0..{seal} 256..512");
    assert!(found.contains(&expected), "{found:?}");
}

/// Numbers of a hostile manifest under a right digest are used for nothing before the files bear them out.
#[test]
fn a_manifest_may_claim_anything() {
    let disk = small(Kind::Audit, Until::Today);
    let whole = disk.snapshot();
    let path = ledger_file("sealed/00000000000000000256.seal");
    let seal = Manifest::parse(&disk.read_file(&path).unwrap()).unwrap();
    for end in [768, 1 << 20, 1 << 62, (1_u64 << 63) - 256] {
        for bytes in [None, Some(0), Some(u64::MAX)] {
            disk.restore(&whole);
            let mut claimed = seal.clone();
            claimed.end = end;
            let hashes = vec![Hash([3; 32]); end.count_ones() as usize];
            claimed.frontier = tlog::Frontier::from_parts(end, hashes).unwrap();
            if let Some(bytes) = bytes {
                claimed.leaves.bytes = bytes;
                claimed.tiles.bytes = bytes;
                claimed.bodies = Some(bytes);
                claimed.tags.as_mut().unwrap().bytes = bytes;
            }
            disk.write_file(&path, claimed.to_text().as_bytes()).unwrap();
            let report = verify(&disk, &folder::options(Some(&pin()), 2));
            let found = lines(&report);
            for kind in ["leaves", "bodies", "tags", "tiles"] {
                let name = format!(" sealed/00000000000000000256.{kind} ");
                assert!(found.iter().any(|line| line.contains(&name)), "{end}: nothing is said of {kind}: {found:?}");
            }
        }
    }
}

#[test]
fn names_formats_and_what_is_not_there() {
    let disk = small(Kind::Audit, Until::Today);
    let whole = disk.snapshot();
    let judge = |files: &[(&str, &[u8])]| {
        disk.restore(&whole);
        for (file, bytes) in files {
            let path = PathBuf::from(file);
            disk.make_dir(path.parent().unwrap()).unwrap();
            disk.write_file(&path, bytes).unwrap();
        }
        verify(&disk, &folder::options(Some(&pin()), 1))
    };
    let dir = format!("/data/ledgers/{ULID}");
    assert_eq!(only(&judge(&[("/data/FORMAT", b"proofbook-data 2\n")])), "format-newer - FORMAT 0..17 -");
    assert_eq!(only(&judge(&[("/data/FORMAT", b"proofbook-data 02\n")])), "file-altered - FORMAT 0..18 -");
    assert_eq!(only(&judge(&[("/data/x", b"")])), "file-unknown - x - -");
    assert_eq!(only(&judge(&[("/data/FORMAT.tmp", b"")])), "unfinished - FORMAT.tmp - -");
    assert_eq!(only(&judge(&[("/data/ledgers/other", b"")])), "file-unknown - ledgers/other - -");
    let unfinished = "/data/ledgers/01JD0000000000000000000001.tmp/LEDGER";
    assert_eq!(only(&judge(&[(unfinished, b"")])), "unfinished - ledgers/01JD0000000000000000000001.tmp - -");
    for (name, code) in [("x", "file-unknown"), ("wal/1.wal", "file-unknown"), ("keys.tmp", "unfinished")] {
        let report = judge(&[(&format!("{dir}/{name}"), b"")]);
        assert_eq!(only(&report), format!("{code} {ULID} {name} - -"));
    }
    // A set without a manifest: its entries stand in segments, or they do not.
    let report = judge(&[(&format!("{dir}/sealed/00000000000000000512.tags"), b"")]);
    assert_eq!(only(&report), format!("unfinished {ULID} sealed/00000000000000000512.tags - -"));
    let ledger = disk.read_file(&ledger_file("LEDGER")).unwrap();
    let newer = String::from_utf8(ledger).unwrap().replace("proofbook-ledger/1", "proofbook-ledger/2");
    let report = judge(&[(&format!("{dir}/LEDGER"), newer.as_bytes())]);
    assert_eq!(only(&report), format!("format-newer {ULID} LEDGER 0..163 -"));
    let pinned = String::from_utf8(disk.read_file(&pin()).unwrap()).unwrap();
    let report = judge(&[("/pin", pinned.replace("pin/1\n", "pin/3\n").as_bytes())]);
    assert_eq!((only(&report), report.exit()), ("format-newer - pin 0..16 -".to_owned(), 10));
    disk.restore(&whole);
    disk.delete_file(&pin()).unwrap();
    let options = folder::options(Some(&pin()), 1);
    assert!(matches!(verify_folder(&disk.door(), &data(), &options, &|_| {}), Err(VerifyError::NoPin(_))));
}

#[test]
fn a_ledger_that_is_gone_is_a_rollback() {
    let disk = small(Kind::Audit, Until::Today);
    let mut pinned = disk.read_file(&pin()).unwrap();
    let at = pinned.len();
    let line = "log.example.com/logs/gone 9 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let digest: String = sha256(line.as_bytes())[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    pinned.extend_from_slice(format!("{line} {digest}\n").as_bytes());
    disk.write_file(&pin(), &pinned).unwrap();
    let report = verify(&disk, &folder::options(Some(&pin()), 1));
    assert_eq!(only(&report), format!("rollback - pin {at}..{} 0..9", pinned.len()));
    // Who asks for one ledger is told of that one.
    let one = VerifyOptions { ledger: Some("main".to_owned()), ..folder::options(Some(&pin()), 1) };
    assert_eq!(lines(&verify(&disk, &one)), Vec::<String>::new());
    let none = VerifyOptions { ledger: Some("other".to_owned()), ..one };
    let error = verify_folder(&disk.door(), &data(), &none, &|_| {}).unwrap_err();
    assert!(matches!(error, VerifyError::NoLedger(_)), "{error}");
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref().try_into().unwrap()
}

#[test]
fn progress_comes_to_its_end() {
    let disk = small(Kind::Audit, Until::Today);
    let last = std::cell::Cell::new(None);
    let tell = |progress| last.set(Some(progress));
    verify_folder(&disk.door(), &data(), &folder::options(None, 1), &tell).unwrap();
    let last = last.get().unwrap();
    assert!(last.total > 10_000 && last.total - last.done < 2_000, "{last:?}");
}
