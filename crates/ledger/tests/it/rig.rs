//! A ledger in a temporary folder: a fixed clock, a cheap signer, leaves that name their body.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use ledger::durable::{Disk, OsDisk};
use ledger::{
    About, AppendError, Batch, Committed, Config, DataFolder, Doors, Kind, Ledger, OpenError, OpenReport, Pin, Place,
    Signer, Tags,
};
use tlog::Hash;

pub(crate) const ULID: &str = "01J00000000000000000000000";

/// Not a signature: a text that a test can read back.
struct Plain;

impl Signer for Plain {
    fn sign(&self, origin: &str, size: u64, root: &Hash, unix_seconds: u64) -> String {
        format!("{origin}\n{size}\n{}\n{unix_seconds}\n", root.b64())
    }

    fn check(&self, origin: &str, note: &[u8]) -> Option<(u64, Hash)> {
        let mut lines = std::str::from_utf8(note).ok()?.lines();
        (lines.next()? == origin).then_some(())?;
        Some((lines.next()?.parse().ok()?, Hash::from_b64(lines.next()?)?))
    }
}

pub(crate) struct Rig {
    /// Kept for its drop; the simulated disk has none.
    _dir: Option<tempfile::TempDir>,
    root: PathBuf,
    disk: Arc<dyn Disk>,
    pub(crate) config: Config,
    clock: Arc<AtomicU64>,
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().try_into().unwrap()
}

/// A leaf: 30 bytes of slot, the body's digest.
pub(crate) fn push(batch: &mut Batch, id: u8, body: &[u8]) {
    let mut leaf = vec![b'_'; 30];
    leaf.extend(sha256(body));
    let mut tags = Tags { identity: [id; 16], content: [0; 16] };
    tags.content.copy_from_slice(&sha256(body)[..16]);
    batch.push(&leaf, Some(0), Some(ledger::Body::new(body)), tags, false);
}

pub(crate) fn body_digest() -> ledger::BodyDigest {
    Arc::new(|leaf| leaf.get(30..62)?.try_into().ok())
}

/// Not a MAC: a digest under a key that a test can use too.
pub(crate) fn views_mac() -> ledger::Mac {
    Arc::new(|parts| sha256(&[b"key", &parts.concat()[..]].concat()))
}

/// An entry of its own identity and body.
pub(crate) fn push_numbered(batch: &mut Batch, number: u64) {
    let body = format!("body of entry {number}");
    let mut leaf = vec![b'_'; 30];
    leaf.extend(sha256(body.as_bytes()));
    let mut tags = Tags { identity: [0; 16], content: [0; 16] };
    tags.identity.copy_from_slice(&sha256(&number.to_be_bytes())[..16]);
    tags.content.copy_from_slice(&sha256(body.as_bytes())[..16]);
    batch.push(&leaf, Some(0), Some(ledger::Body::new(body.as_bytes())), tags, false);
}

impl Rig {
    pub(crate) fn new() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_path_buf();
        Rig::at(Some(dir), root, Arc::new(OsDisk))
    }

    /// On a simulated disk.
    pub(crate) fn on(disk: &testkit::SimDisk) -> Rig {
        Rig::at(None, PathBuf::from("/"), disk.door())
    }

    fn at(dir: Option<tempfile::TempDir>, root: PathBuf, disk: Arc<dyn Disk>) -> Rig {
        // Files that a test cannot remove again are made in one test alone.
        let config = Config { disk_low_bytes: 0, immutable: false, ..Config::default() };
        let rig = Rig { _dir: dir, root, disk, config, clock: Arc::new(AtomicU64::new(1)) };
        let folder = DataFolder::open(&rig.disk(), &rig.data()).unwrap();
        assert!(folder.is_fresh());
        folder.create_ledger(&about(), b"[]\n", 1).unwrap();
        assert_eq!(folder.ledgers().unwrap(), [about()]);
        rig
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    pub(crate) fn wal(&self, number: u64) -> PathBuf {
        self.data().join("ledgers").join(ULID).join("wal").join(format!("{number:016x}.wal"))
    }

    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    pub(crate) fn pin(&self) -> PathBuf {
        self.root.join("pin")
    }

    /// A file or folder of the ledger.
    pub(crate) fn ledger(&self, name: &str) -> PathBuf {
        self.data().join("ledgers").join(ULID).join(name)
    }

    /// Lets time pass.
    pub(crate) fn advance_ms(&self, ms: u64) {
        self.clock.fetch_add(ms * 1_000_000, Ordering::Relaxed);
    }

    /// Sets the clock back.
    pub(crate) fn set_back_ms(&self, ms: u64) {
        self.clock.fetch_sub(ms * 1_000_000, Ordering::Relaxed);
    }

    pub(crate) fn open(&self) -> Result<(Ledger, OpenReport), OpenError> {
        self.open_ledger(ULID)
    }

    pub(crate) fn open_ledger(&self, ulid: &str) -> Result<(Ledger, OpenReport), OpenError> {
        let clock = Arc::clone(&self.clock);
        // One open pin a file: a second ledger that is open at the same time has one of its own here.
        let path = if ulid == ULID { self.pin() } else { self.root.join(format!("pin-{ulid}")) };
        let pin = Pin::open(&self.disk(), &path)?;
        let doors = Doors {
            disk: self.disk(),
            clock: Arc::new(move || clock.fetch_add(1_000_000, Ordering::Relaxed)),
            body_digest: body_digest(),
            stamp: Arc::new(|ns| format!("{ns:030}").into_bytes().try_into().unwrap()),
            views_mac: views_mac(),
            signer: Arc::new(Plain),
            pin: Arc::new(pin),
        };
        Ledger::open(&Place { data: self.data(), ulid: ulid.to_owned() }, self.config.clone(), doors)
    }
}

pub(crate) fn about() -> About {
    About {
        ulid: ULID.to_owned(),
        name: "main".to_owned(),
        tenant: "default".to_owned(),
        kind: Kind::Audit,
        origin: "test/logs/main".to_owned(),
        created_at: "2026-01-01T00:00:00.000000000Z".to_owned(),
    }
}

/// Submits and waits.
pub(crate) fn append(ledger: &Ledger, batch: Batch) -> Result<Committed, AppendError> {
    let (send, receive) = mpsc::channel();
    ledger.submit(batch, Box::new(move |result| send.send(result).unwrap()));
    receive.recv().unwrap()
}

/// A batch of `count` entries with ids from `from` on.
pub(crate) fn batch(from: u8, count: u8) -> Batch {
    let mut batch = Batch::default();
    (from..from + count).for_each(|id| push(&mut batch, id, &[id; 40]));
    batch
}

/// Entries whose identities and bodies all differ.
pub(crate) fn numbered(from: u64, count: u64) -> Batch {
    let mut batch = Batch::default();
    (from..from + count).for_each(|n| push_numbered(&mut batch, n));
    batch
}

/// Waits for what another thread brings about; a minute is far more than it takes.
pub(crate) fn until(what: &str, done: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !done() {
        assert!(begun.elapsed().as_secs() < 60, "{what} did not come about");
        std::thread::yield_now();
    }
}

pub(crate) fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}
