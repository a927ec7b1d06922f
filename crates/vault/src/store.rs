//! Key files on disk (docs/formats/vault.md). Marked: this module makes file calls of its own, because the vault may
//! not know the ledger's `durable`; each write syncs the file, then the folder.
//!
//! Never overwrites and never hands out a key that fails its check sum.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use zeroize::Zeroizing;

use crate::error::Error;

const MAGIC: &[u8; 8] = b"PBKEY001";
/// Magic, key, check sum.
const FILE_BYTES: usize = 8 + 32 + 32;

/// 32 secret bytes; wiped when dropped. Has no Debug, no Clone, no comparison.
pub(crate) struct Key(Zeroizing<[u8; 32]>);

impl Key {
    pub(crate) fn zero() -> Key {
        Key(Zeroizing::new([0; 32]))
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8; 32] {
        &mut self.0
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

pub(crate) struct Store {
    dir: PathBuf,
}

impl Store {
    /// Opens the folder; makes it, or closes it to others, while it is empty.
    pub(crate) fn open(dir: &Path) -> Result<Store, Error> {
        match DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Error::io("mkdir", dir)(e)),
        }
        let store = Store { dir: dir.to_path_buf() };
        if store.names()?.is_empty() {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(Error::io("chmod", dir))?;
        }
        private(dir, &fs::metadata(dir).map_err(Error::io("stat", dir))?)?;
        // A crash between a link and its sync leaves names that are there and not durable: what is signed with such a
        // key must not outlive it.
        store.sync()?;
        Ok(store)
    }

    /// Makes the names in the folder durable, and the folder's own.
    fn sync(&self) -> Result<(), Error> {
        let sync = |dir: &Path| File::open(dir).and_then(|d| d.sync_all()).map_err(Error::io("fsync", dir));
        let parent = self.dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync(&self.dir)?;
        sync(parent)
    }

    /// Names of whole files. Unfinished work of a crash is removed: its name was never used.
    pub(crate) fn names(&self) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(Error::io("readdir", &self.dir))? {
            let entry = entry.map_err(Error::io("readdir", &self.dir))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.ends_with(".tmp") {
                fs::remove_file(entry.path()).map_err(Error::io("unlink", &entry.path()))?;
            } else {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Writes a key under a name that must be free. Returned = durable.
    pub(crate) fn publish(&self, name: &str, key: &Key) -> Result<(), Error> {
        let path = self.dir.join(name);
        let unfinished = self.dir.join(format!("{name}.tmp"));
        let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES));
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(key.bytes());
        bytes.extend_from_slice(check_sum(name, key).as_ref());
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)
            .map_err(Error::io("create", &unfinished))?;
        file.write_all(&bytes).map_err(Error::io("write", &unfinished))?;
        file.sync_all().map_err(Error::io("fsync", &unfinished))?;
        // Crash: a `.tmp` that the next start removes.
        fs::hard_link(&unfinished, &path).map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => Error::Exists(path.clone()),
            _ => Error::io("link", &path)(e),
        })?;
        // Crash: both names, of the same whole file.
        fs::remove_file(&unfinished).map_err(Error::io("unlink", &unfinished))?;
        File::open(&self.dir).and_then(|d| d.sync_all()).map_err(Error::io("fsync", &self.dir))
    }

    /// Reads a key and checks mode, length, magic and check sum.
    pub(crate) fn read(&self, name: &str) -> Result<Key, Error> {
        let path = self.dir.join(name);
        let file = File::open(&path).map_err(|e| match e.kind() {
            ErrorKind::NotFound => Error::Missing(path.clone()),
            _ => Error::io("open", &path)(e),
        })?;
        private(&path, &file.metadata().map_err(Error::io("stat", &path))?)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES + 1));
        // One byte more than a key file has, so that a longer one shows.
        file.take(FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(Error::io("read", &path))?;
        let damaged = |what| Error::Damaged { path: path.clone(), what };
        if bytes.len() != FILE_BYTES {
            return Err(damaged("a key file has 72 bytes"));
        }
        let (magic, rest) = bytes.split_at(MAGIC.len());
        let (secret, sum) = rest.split_at(32);
        if magic != MAGIC {
            return Err(damaged("the magic is not PBKEY001"));
        }
        let mut key = Key::zero();
        key.bytes_mut().copy_from_slice(secret);
        verify_slices_are_equal(check_sum(name, &key).as_ref(), sum).map_err(|_| damaged("the check sum fails"))?;
        Ok(key)
    }
}

fn check_sum(name: &str, key: &Key) -> digest::Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(MAGIC);
    context.update(name.as_bytes());
    context.update(key.bytes());
    context.finish()
}

fn private(path: &Path, found: &fs::Metadata) -> Result<(), Error> {
    match found.mode() & 0o777 {
        mode if mode & 0o077 != 0 => Err(Error::Exposed { path: path.to_path_buf(), mode }),
        _ => Ok(()),
    }
}
