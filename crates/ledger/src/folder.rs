//! The data folder as a whole: `FORMAT`, `LOCK`, the list of ledgers and the creation of one.
//!
//! Opens no ledger and knows nothing of `vault/` and `views/` but their names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::about;
use crate::durable::Disk;
use crate::error::{Corrupt, OpenError};
use crate::frame::{SegmentHeader, first_chain, sha256};
use crate::segment;
use crate::types::About;

const FORMAT: &str = "proofbook-data 1\n";
const FORMAT_BYTES_MAX: u64 = 64;

/// A data folder whose lock we hold.
pub struct DataFolder {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    fresh: bool,
    _lock: Box<dyn Send + Sync>,
}

impl DataFolder {
    /// Opens a data folder, or makes one where `path` is missing or empty: takes the lock (held until drop), checks
    /// `FORMAT`, makes `ledgers/`, `vault/`, `views/`. Blocking.
    ///
    /// Errors: `Locked`; `Format` for a newer one, or a folder that holds something else; `Io`.
    pub fn open(disk: &Arc<dyn Disk>, path: &Path) -> Result<DataFolder, OpenError> {
        disk.create_dir(path).map_err(OpenError::io("create", path))?;
        let names = disk.list(path).map_err(OpenError::io("list", path))?;
        let has = |name: &str| names.iter().any(|n| n == name);
        // A crash before FORMAT was durable left LOCK and its unfinished name behind, nothing else.
        let fresh = !has("FORMAT") && names.iter().all(|n| n == "LOCK" || n == "FORMAT.tmp");
        if !fresh && !has("FORMAT") {
            return Err(OpenError::Format { found: "no FORMAT file in a folder that is not empty".to_owned() });
        }
        let lock_path = path.join("LOCK");
        if !has("LOCK") {
            disk.create_new(&lock_path).map_err(OpenError::io("create", &lock_path))?;
        }
        let lock = disk.lock(&lock_path).map_err(|source| match source.kind() {
            std::io::ErrorKind::WouldBlock => OpenError::Locked(path.to_path_buf()),
            _ => OpenError::Io { call: "lock", path: lock_path.clone(), source },
        })?;
        if fresh {
            write_file(&**disk, path, "FORMAT", FORMAT.as_bytes())?;
        } else {
            check_format(&**disk, path)?;
        }
        for name in ["ledgers", "vault", "views"] {
            let dir = path.join(name);
            disk.create_dir(&dir).map_err(OpenError::io("create", &dir))?;
            // A ledger's name may be in the cache alone, where its maker died before this very call.
            disk.sync_dir(&dir).map_err(OpenError::io("fsync", &dir))?;
        }
        disk.sync_dir(path).map_err(OpenError::io("fsync", path))?;
        Ok(DataFolder { disk: Arc::clone(disk), path: path.to_path_buf(), fresh, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It was empty: just made.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// What each ledger is, sorted by folder name. Unfinished ledgers (`.tmp`) are passed over.
    pub fn ledgers(&self) -> Result<Vec<About>, OpenError> {
        let dir = self.path.join("ledgers");
        let names = self.disk.list(&dir).map_err(OpenError::io("list", &dir))?;
        let finished = names.iter().filter(|n| !n.ends_with(".tmp"));
        finished.map(|ulid| about::read(&*self.disk, &dir, ulid).map(|(about, _)| about)).collect()
    }

    /// Makes a ledger's folder with its `keys` file; returned = durable. Open it afterwards.
    ///
    /// Errors: `Refused` where it exists or a field cannot stand in LEDGER; `Io`.
    pub fn create_ledger(&self, about: &About, keys: &[u8], now: u64) -> Result<(), OpenError> {
        let disk = &*self.disk;
        let text = about::encode(about)?;
        let parent = self.path.join("ledgers");
        let dir = parent.join(&about.ulid);
        if disk.exists(&dir).map_err(OpenError::io("stat", &dir))? {
            return Err(OpenError::Refused("a ledger of that folder name exists"));
        }
        let tmp = parent.join(format!("{}.tmp", about.ulid));
        disk.create_dir(&tmp).map_err(OpenError::io("create", &tmp))?;
        write_file(disk, &tmp, "LEDGER", text.as_bytes())?;
        write_file(disk, &tmp, "keys", keys)?;
        for name in ["wal", "checkpoints", "sealed"] {
            let sub = tmp.join(name);
            disk.create_dir(&sub).map_err(OpenError::io("create", &sub))?;
            disk.sync_dir(&sub).map_err(OpenError::io("fsync", &sub))?;
        }
        let digest = sha256(&[text.as_bytes()]);
        let header = SegmentHeader {
            number: 1,
            previous_end: 0,
            size: 0,
            root: tlog::Hash::EMPTY_ROOT,
            chain: first_chain(&digest),
            about: digest,
            created_at: now,
        };
        let first = tmp.join("wal").join(segment::name(1));
        if disk.exists(&first).map_err(OpenError::io("stat", &first))? {
            disk.remove(&first).map_err(OpenError::io("remove", &first))?;
        }
        segment::create(disk, &tmp.join("wal"), &header)?;
        disk.sync_dir(&tmp).map_err(OpenError::io("fsync", &tmp))?;
        // Crash: an unfinished ledger that no one lists.
        disk.rename(&tmp, &dir).map_err(OpenError::io("rename", &dir))?;
        disk.sync_dir(&parent).map_err(OpenError::io("fsync", &parent))
    }
}

fn check_format(disk: &dyn Disk, path: &Path) -> Result<(), OpenError> {
    let path = path.join("FORMAT");
    let found = read_file(disk, &path, FORMAT_BYTES_MAX)?;
    if found == FORMAT.as_bytes() {
        return Ok(());
    }
    Err(OpenError::Format { found: String::from_utf8_lossy(&found).trim_end().escape_debug().to_string() })
}

/// Reads a small file whole.
pub(crate) fn read_file(disk: &dyn Disk, path: &Path, bytes_max: u64) -> Result<Vec<u8>, OpenError> {
    let file = disk.open(path).map_err(OpenError::io("open", path))?;
    let len = file.len().map_err(OpenError::io("stat", path))?;
    if len > bytes_max {
        return Err(Corrupt::at(path, bytes_max, None, "longer than this file can be").into());
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0).map_err(OpenError::io("read", path))?;
    Ok(bytes)
}

/// Writes a small file whole under its name, or not at all. The folder is synced.
fn write_file(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> Result<(), OpenError> {
    let (path, tmp) = (dir.join(name), dir.join(format!("{name}.tmp")));
    if disk.exists(&tmp).map_err(OpenError::io("stat", &tmp))? {
        disk.remove(&tmp).map_err(OpenError::io("remove", &tmp))?;
    }
    let file = disk.create_new(&tmp).map_err(OpenError::io("create", &tmp))?;
    file.write_all_at(&[bytes], 0).map_err(OpenError::io("write", &tmp))?;
    file.sync_data().map_err(OpenError::io("fdatasync", &tmp))?;
    disk.rename(&tmp, &path).map_err(OpenError::io("rename", &path))?;
    disk.sync_dir(dir).map_err(OpenError::io("fsync", dir))
}
