//! What several targets share: an event checked through its whole life, and a stored ledger that edits damage.
//!
//! Finds nothing itself: the targets call it, and a broken promise panics.

#[cfg(not(fuzzing))]
pub mod stable;

#[cfg(fuzzing)]
pub use libfuzzer_sys::fuzz_target;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use event::{Context, Format};
use ledger::sealed::{Manifest, SetSpec, SetWriter};
use ledger::{Config, Entry, Kind, Known, Setup, recover};
use testkit::{SimDisk, VirtualClock, entries};
use tlog::{Frontier, Hash, Vkey, leaf_hash};

/// 2026-11-24T02:29:42Z.
const ARRIVAL: u64 = 1_795_487_382_000_000_000;
/// Digest of a file `LEDGER` that nothing here needs.
pub const ABOUT: [u8; 32] = [7; 32];
/// Folder of sealed sets.
pub const SEALED: &str = "/l/sealed";
const WAL: &str = "/l/wal";
/// Entries behind the sealed ones.
const UNSEALED: u64 = 40;
/// Entries of the sealed set: one bundle, so that a run is short.
pub const IN_SETS: u64 = 256;

fn make_id() -> String {
    "01JD0000000000000000000000".to_owned()
}

/// Keys of one log, made once: a key costs more than a run.
pub fn keys() -> &'static [Vkey] {
    static KEYS: OnceLock<Vec<Vkey>> = OnceLock::new();
    KEYS.get_or_init(|| testkit::keys::signer("fuzz.example/log", 1).vkeys())
}

/// Maps one message; what is accepted has a body that is strict JSON and a leaf that reads back and names the body.
pub fn event_lives(format: Format, raw: &[u8]) {
    let ctx = Context {
        default_source: "urn:example:app",
        tenant: "default",
        ledger: "main",
        arrival: ARRIVAL,
        place: None,
        make_id: &make_id,
        ingest: None,
    };
    let prepared = match event::prepare(format, raw, &ctx) {
        Ok(prepared) => prepared,
        Err(refused) => {
            assert!(!refused.expected.is_empty() && !refused.to_string().contains('\u{1b}'), "{refused:?}");
            let cut = matches!(format, Format::Syslog | Format::Text) && raw.len() <= event::limits::EVENT_BYTES_MAX;
            assert!(!cut, "what a source really wrote is never refused: {refused:?}");
            return;
        }
    };
    let mut body = Vec::new();
    prepared.write_body("AAAAAAAAAAAAAAAAAAAAAA==", &mut body);
    event::strict_json(&body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&body)));
    let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert!(value["event"]["id"].is_string() && value["event"]["action"] == prepared.action());
    assert!(raw.windows(prepared.submitted().len().max(1)).any(|w| w == prepared.submitted()) || raw.is_empty());
    let (digest, mut leaf) = ([9; 32], Vec::new());
    let actor = prepared.actor_id().map(|_| "00000000000000000000000000000000");
    let bytes = u32::try_from(body.len()).unwrap();
    let slot = prepared.write_leaf(&make_id(), actor, &digest, bytes, &mut leaf) as usize;
    leaf[slot..slot + 30].copy_from_slice(&event::stamp(ARRIVAL));
    let shown = String::from_utf8_lossy(&leaf).into_owned();
    let view = event::parse_leaf(&leaf).unwrap_or_else(|| panic!("a leaf of ours does not read back: {shown}"));
    assert_eq!((view.action, event::body_digest(&leaf)), (prepared.action(), Some(digest)), "{shown}");
}

/// Places in stored files and what to do there, from the bytes of an input: file, offset, and a mask to flip, or a cut.
pub fn edits(data: &[u8]) -> impl Iterator<Item = (usize, usize, u8)> {
    let groups = data.chunks_exact(5).take(16);
    groups.map(|g| (usize::from(g[0]), usize::from(g[1]) << 16 | usize::from(g[2]) << 8 | usize::from(g[3]), g[4]))
}

/// A ledger as it lies on disk, and what it holds.
pub struct Stored {
    disk: SimDisk,
    files: Vec<(PathBuf, Vec<u8>)>,
    /// Leaf hashes in order.
    pub hashes: Vec<Hash>,
    /// The sealed entries.
    pub sealed: Vec<Entry>,
    /// The manifest of the sealed set.
    pub manifest: Manifest,
}

fn setup(disk: &SimDisk) -> Setup {
    Setup {
        disk: disk.door(),
        wal: WAL.into(),
        sealed: SEALED.into(),
        origin: "fuzz.example/logs/main".to_owned(),
        ulid: make_id(),
        views: Path::new("/views").join(make_id()),
        views_mac: Arc::new(|parts| leaf_hash(&parts.concat()).0),
        about: ABOUT,
        kind: Kind::Audit,
        config: Config { segment_bytes: 4_000, disk_low_bytes: 0, ..Config::default() },
        clock: VirtualClock::at(ARRIVAL).ticking(1_000).door(),
        stamp: entries::stamp(),
        body_digest: entries::body_digest(),
    }
}

/// A write-ahead log of several segments (`walked`), or one sealed set alone; made once.
pub fn stored(walked: bool) -> &'static Stored {
    static WALKED: OnceLock<Stored> = OnceLock::new();
    static SETS: OnceLock<Stored> = OnceLock::new();
    if walked { WALKED.get_or_init(|| make(true)) } else { SETS.get_or_init(|| make(false)) }
}

fn make(walked: bool) -> Stored {
    let disk = SimDisk::new();
    for folder in ["/l", WAL, SEALED, "/views"] {
        disk.make_dir(Path::new(folder)).unwrap();
    }
    let (manifest, sealed) = seal(&disk);
    let mut hashes = Vec::new();
    if walked {
        // Without the set: the log begins in the segments.
        disk.files().iter().for_each(|file| disk.delete_file(file).unwrap());
        let (mut writer, _) = recover(&setup(&disk), &[]).unwrap();
        while writer.size() < UNSEALED {
            writer.commit(vec![entries::batch(writer.size(), 3, 200, false)]).unwrap();
        }
        hashes = writer.leaf_hashes(0..writer.size()).unwrap();
    }
    let files = disk.files().into_iter().map(|path| (path.clone(), disk.read_file(&path).unwrap())).collect();
    Stored { disk, files, hashes, sealed, manifest }
}

fn seal(disk: &SimDisk) -> (Manifest, Vec<Entry>) {
    let spec = SetSpec {
        origin: "fuzz.example/logs/main".to_owned(),
        kind: Kind::Audit,
        frontier: Frontier::new(),
        end: IN_SETS,
        previous: ABOUT,
        gzip_level: 1,
        zstd_level: 1,
        threads: 1,
    };
    let mut writer = SetWriter::begin(&disk.door(), Path::new(SEALED), spec).unwrap();
    let mut sealed = Vec::new();
    for index in 0..IN_SETS {
        let made = entries::entry(index, 40);
        let leaf = made.stamped(ARRIVAL);
        writer.push(&leaf, Some(&made.body), made.tags, ARRIVAL).unwrap();
        sealed.push(Entry { index, leaf, body: Some(made.body), tags: made.tags });
    }
    (writer.finish(&entries::body_digest(), None).unwrap(), sealed)
}

impl Stored {
    /// The disk after some edits; `true` if any byte is another one.
    pub fn damaged(&self, data: &[u8]) -> (SimDisk, bool) {
        let mut files = self.files.clone();
        for (file, at, mask) in edits(data) {
            let count = files.len();
            let bytes = &mut files[file % count].1;
            let at = at % bytes.len().max(1);
            match (mask, bytes.get_mut(at)) {
                (0, _) => bytes.truncate(at),
                (_, Some(byte)) => *byte ^= mask,
                (_, None) => bytes.push(mask),
            }
        }
        let changed = files != self.files;
        let disk = SimDisk::new();
        for folder in ["/l", WAL, SEALED, "/views"] {
            disk.make_dir(Path::new(folder)).unwrap();
        }
        files.iter().for_each(|(path, bytes)| disk.write_file(path, bytes).unwrap());
        (disk, changed)
    }

    /// Recovers from a disk that may be damaged, twice; nothing but a prefix of the log comes back, and nothing smaller
    /// than what was published. Answers how many entries came back.
    pub fn recovers(&self, disk: &SimDisk, published: u64) -> Option<u64> {
        let upto = usize::try_from(published).unwrap();
        let mut tree = Frontier::new();
        tree.extend(&self.hashes[..upto]);
        let root = tree.root();
        let known = [Known { size: published, root, by: "pin" }];
        let (writer, found) = recover(&setup(disk), &known).ok()?;
        assert!(found.size >= published, "{} entries, {published} were published", found.size);
        let hashes = writer.leaf_hashes(0..found.size).unwrap();
        assert_eq!(Some(&hashes[..]), self.hashes.get(..hashes.len()), "not a prefix of what was written");
        let root = writer.root();
        drop(writer);
        disk.kill();
        let (mut again, _) = recover(&setup(disk), &known).unwrap();
        assert_eq!((again.size(), again.root()), (found.size, root), "recovery gives another tree the second time");
        again.commit(vec![entries::batch(1_000_000, 1, 10, false)]).unwrap();
        Some(found.size)
    }

    /// Any bytes as the only segment: an answer, and the same one twice.
    pub fn recovers_foreign(bytes: &[u8]) {
        let disk = SimDisk::new();
        for folder in ["/l", WAL, SEALED, "/views"] {
            disk.make_dir(Path::new(folder)).unwrap();
        }
        disk.write_file(&Path::new(WAL).join("0000000000000001.wal"), bytes).unwrap();
        if let Ok((writer, found)) = recover(&setup(&disk), &[]) {
            assert_eq!(writer.size(), found.size);
            let root = writer.root();
            drop(writer);
            let (again, _) = recover(&setup(&disk), &[]).unwrap();
            assert_eq!((again.size(), again.root()), (found.size, root));
        }
    }

    /// The files as they were written.
    pub fn files(&self) -> &[(PathBuf, Vec<u8>)] {
        &self.files
    }

    /// The disk as it was written.
    pub fn disk(&self) -> &SimDisk {
        &self.disk
    }
}
