//! A whole data folder for judges: ledger, keys, segments, sealed sets, checkpoints and pin, all by the rooms that
//! write them in production. What a server adds (vault, views, the system ledgers) is not in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::durable::Disk;
use ledger::verify::VerifyOptions;
use ledger::{
    About, Batch, CheckpointLog, Config, DataFolder, Kind, Known, Pin, Sealer, Sealing, Setup, Tags, Writer, recover,
};
use sha2::{Digest as _, Sha256};
use tlog::{Checkpoint, CheckpointSigner};

use crate::{VirtualClock, audit, keys};

/// The one ledger's folder.
pub const ULID: &str = "01JD0000000000000000000000";
/// Its origin.
pub const ORIGIN: &str = "log.example.com/logs/main";
/// Seed of its keys.
const SEED: u8 = 5;

/// A data folder that is being written.
pub struct Folder {
    disk: Arc<dyn Disk>,
    data: PathBuf,
    pin_path: PathBuf,
    kind: Kind,
    about: [u8; 32],
    clock: VirtualClock,
    signer: CheckpointSigner,
    writer: Writer,
    sealer: Sealer,
    log: CheckpointLog,
    pin: Pin,
    config: Config,
}

/// Anything that went wrong: a test stops there.
pub type Failed = Box<dyn std::error::Error>;

impl Folder {
    /// Makes `data` with one empty ledger, and `pin` with the first checkpoint.
    pub fn create(
        disk: &Arc<dyn Disk>,
        data: &Path,
        pin: &Path,
        kind: Kind,
        segment_bytes: u64,
    ) -> Result<Folder, Failed> {
        let signer = signer();
        let about = About {
            ulid: ULID.to_owned(),
            name: "main".to_owned(),
            tenant: "default".to_owned(),
            kind,
            origin: ORIGIN.to_owned(),
            created_at: "2026-11-24T10:00:00.000000000Z".to_owned(),
        };
        let clock = VirtualClock::default().ticking(1_000);
        DataFolder::open(disk, data)?.create_ledger(&about, keys_file(&signer).as_bytes(), clock.now())?;
        let dir = data.join("ledgers").join(ULID);
        let line = disk.open(&dir.join("LEDGER"))?;
        let mut bytes = vec![0; usize::try_from(line.len()?)?];
        line.read_exact_at(&mut bytes, 0)?;
        let about = Sha256::digest(&bytes).into();
        // Small sets and segments, and no attribute that a test could not take off again.
        let config = Config { segment_bytes, disk_low_bytes: 0, immutable: false, ..Config::default() };
        let setup = setup(disk, data, about, kind, &config, &clock);
        let (writer, _) = recover(&setup, &[])?;
        let mut folder = Folder {
            sealer: writer.sealer(),
            log: CheckpointLog::open(disk, &dir.join("checkpoints"))?,
            pin: Pin::open(disk, pin)?,
            disk: Arc::clone(disk),
            data: data.to_path_buf(),
            pin_path: pin.to_path_buf(),
            kind,
            about,
            clock,
            signer,
            writer,
            config,
        };
        folder.checkpoint()?;
        Ok(folder)
    }

    /// Entries so far.
    pub fn size(&self) -> u64 {
        self.writer.size()
    }

    /// Appends entries in one block.
    pub fn append(&mut self, count: u64, body_bytes: usize) -> Result<(), Failed> {
        let first = self.writer.size();
        let batch = match self.kind {
            Kind::Audit => audit::batch(first, count, body_bytes),
            Kind::Raw => {
                let mut batch = Batch::default();
                for number in first..first + count {
                    batch.push(format!("posted {number}").as_bytes(), None, None, Tags::default(), true);
                }
                batch
            }
        };
        self.writer.commit(vec![batch])?;
        self.writer.tick()?;
        Ok(())
    }

    /// Signs the tree, pins it and records the checkpoint, as the publisher does.
    pub fn checkpoint(&mut self) -> Result<(), Failed> {
        let (size, root) = (self.writer.size(), self.writer.root());
        let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root };
        let note = self.signer.sign(&checkpoint, self.clock.now() / 1_000_000_000);
        self.pin.record(ORIGIN, size, &root)?;
        self.log.append(&note)?;
        Ok(())
    }

    /// Seals and releases what is closed and under a checkpoint: call it after [`checkpoint`](Self::checkpoint).
    pub fn seal(&mut self) -> Result<(), Failed> {
        while self.sealer.step(self.writer.size())? == Sealing::Worked {}
        Ok(())
    }

    /// Stops and starts again, as after a crash: what lies torn behind the last block is left behind.
    pub fn reopen(&mut self) -> Result<(), Failed> {
        let setup = setup(&self.disk, &self.data, self.about, self.kind, &self.config, &self.clock);
        let known = Known { size: self.writer.size(), root: self.writer.root(), by: "pin" };
        (self.writer, _) = recover(&setup, &[known])?;
        self.sealer = self.writer.sealer();
        self.log = CheckpointLog::open(&self.disk, &setup.wal.with_file_name("checkpoints"))?;
        self.pin = Pin::open(&self.disk, &self.pin_path)?;
        Ok(())
    }
}

fn setup(
    disk: &Arc<dyn Disk>,
    data: &Path,
    about: [u8; 32],
    kind: Kind,
    config: &Config,
    clock: &VirtualClock,
) -> Setup {
    let dir = data.join("ledgers").join(ULID);
    Setup {
        disk: Arc::clone(disk),
        wal: dir.join("wal"),
        sealed: dir.join("sealed"),
        origin: ORIGIN.to_owned(),
        ulid: ULID.to_owned(),
        views: data.join("views").join(ULID),
        views_mac: Arc::new(|parts| Sha256::digest(parts.concat()).into()),
        about,
        kind,
        config: config.clone(),
        clock: clock.door(),
        stamp: audit::stamp(),
        body_digest: audit::body_digest(),
    }
}

/// The file `keys` of a log with one key note.
fn keys_file(signer: &CheckpointSigner) -> String {
    format!("[\"{}\"]\n", signer.key_note(0).replace('\n', "\\n"))
}

/// The log's own signer: what it signs cannot be told from what the log signed.
pub fn signer() -> CheckpointSigner {
    keys::signer(ORIGIN, SEED)
}

/// Judges by the pin and the folder's own keys, on `threads` threads.
pub fn options(pin: Option<&Path>, threads: usize) -> VerifyOptions {
    VerifyOptions {
        body_digest: audit::body_digest(),
        keys: Arc::new(|_| None),
        pin: pin.map(Path::to_path_buf),
        ledger: None,
        threads,
    }
}

/// How far [`small`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// What a backup of some days ago would hold: two sealed sets, a few entries behind them.
    Yesterday,
    /// All of it: torn tails explained, a rolled checkpoint log, entries in three segments.
    Today,
}

/// The smallest folder with one of everything. Two calls give the same bytes, the first some of them fewer.
pub fn small(disk: &Arc<dyn Disk>, data: &Path, pin: &Path, kind: Kind, until: Until) -> Result<(), Failed> {
    let mut folder = Folder::create(disk, data, pin, kind, 1_000)?;
    for count in [256, 252, 8] {
        folder.append(count, 0)?;
    }
    folder.checkpoint()?;
    folder.seal()?;
    folder.append(1, 0)?;
    folder.checkpoint()?;
    if until == Until::Yesterday {
        return Ok(());
    }
    let dir = data.join("ledgers").join(ULID);
    // A power cut while a block and a checkpoint were written: both were never shown.
    for (name, garbage) in [("wal", &b"PBLK torn"[..]), ("checkpoints", b"\0\0")] {
        let names = disk.list(&dir.join(name))?;
        let last = names.last().ok_or("nothing was written")?;
        let file = disk.open_write(&dir.join(name).join(last))?;
        file.write_all_at(&[garbage], file.len()?)?;
        file.sync_data()?;
    }
    folder.reopen()?;
    folder.append(2, 0)?;
    folder.checkpoint()?;
    folder.append(1, 0)?;
    folder.append(1, 100)?;
    folder.checkpoint()
}
