//! A disk in memory for this room's unit tests: knows what is durable, fails at the n-th call, loses power.
//!
//! No simulator: one write is one step, and what survives is one of three plain choices.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::durable::{Disk, DiskFile};

/// What is left of writes and names that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Survives {
    Nothing,
    HalfOfEachFile,
    Everything,
}

#[derive(Clone, Default)]
struct Data {
    live: Vec<u8>,
    durable: Vec<u8>,
}

type Cell = Arc<Mutex<Data>>;

#[derive(Default)]
struct State {
    live: BTreeMap<PathBuf, Cell>,
    durable: BTreeMap<PathBuf, Cell>,
    dirs: BTreeSet<PathBuf>,
    /// Mutating calls until everything fails.
    left: Option<u64>,
    immutable: BTreeSet<PathBuf>,
    opened: u64,
}

#[derive(Clone, Default)]
pub(crate) struct FakeDisk(Arc<Mutex<State>>);

fn missing(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} is not there", path.display()))
}

impl FakeDisk {
    /// From now on the n-th mutating call (0 = the next) and all after it fail.
    pub(crate) fn fail_after(&self, calls: Option<u64>) {
        self.0.lock().unwrap().left = calls;
    }

    pub(crate) fn power_cut(&self, survives: Survives) -> FakeDisk {
        let state = self.0.lock().unwrap();
        let names = if survives == Survives::Nothing { &state.durable } else { &state.live };
        let mut after = State { dirs: state.dirs.clone(), ..State::default() };
        for (path, cell) in names {
            let data = cell.lock().unwrap();
            let bytes = match survives {
                Survives::Nothing => data.durable.clone(),
                Survives::Everything => data.live.clone(),
                Survives::HalfOfEachFile => {
                    let common = data.durable.len().min(data.live.len());
                    let half = common + (data.live.len() - common) / 2;
                    data.live[..half].to_vec()
                }
            };
            let cell = Arc::new(Mutex::new(Data { live: bytes.clone(), durable: bytes }));
            after.live.insert(path.clone(), Arc::clone(&cell));
            after.durable.insert(path.clone(), cell);
        }
        FakeDisk(Arc::new(Mutex::new(after)))
    }

    pub(crate) fn bytes(&self, path: &Path) -> Vec<u8> {
        self.0.lock().unwrap().live.get(path).unwrap().lock().unwrap().live.clone()
    }

    pub(crate) fn put(&self, path: &Path, bytes: &[u8]) {
        let cell = Arc::new(Mutex::new(Data { live: bytes.to_vec(), durable: bytes.to_vec() }));
        let mut state = self.0.lock().unwrap();
        state.live.insert(path.to_path_buf(), Arc::clone(&cell));
        state.durable.insert(path.to_path_buf(), cell);
    }

    pub(crate) fn take(&self, path: &Path) {
        let mut state = self.0.lock().unwrap();
        state.live.remove(path).unwrap();
        state.durable.remove(path);
    }

    pub(crate) fn names(&self, dir: &Path) -> Vec<String> {
        self.list(dir).unwrap()
    }

    pub(crate) fn immutable(&self) -> Vec<PathBuf> {
        self.0.lock().unwrap().immutable.iter().cloned().collect()
    }

    pub(crate) fn opened(&self) -> u64 {
        self.0.lock().unwrap().opened
    }

    fn step(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        match &mut state.left {
            Some(0) => Err(io::Error::other("the disk is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn file(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock().unwrap();
        state.opened += 1;
        let cell = Arc::clone(state.live.get(path).ok_or_else(|| missing(path))?);
        Ok(Arc::new(FakeFile { disk: self.clone(), cell }))
    }
}

impl Disk for FakeDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.file(path)
    }

    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.file(path)
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.step()?;
        if self.exists(path)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.0.lock().unwrap().live.insert(path.to_path_buf(), Cell::default());
        self.file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let mut state = self.0.lock().unwrap();
        let cell = state.live.remove(from).ok_or_else(|| missing(from))?;
        state.live.insert(to.to_path_buf(), cell);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.0.lock().unwrap().live.remove(path).map(drop).ok_or_else(|| missing(path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.0.lock().unwrap().dirs.insert(path.to_path_buf());
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        let mut state = self.0.lock().unwrap();
        let inside = |file: &Path| file.parent() == Some(path);
        state.durable.retain(|file, _| !inside(file));
        let live: Vec<_> =
            state.live.iter().filter(|(file, _)| inside(file)).map(|(p, c)| (p.clone(), Arc::clone(c))).collect();
        state.durable.extend(live);
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.0.lock().unwrap();
        let mut names: BTreeSet<String> = BTreeSet::new();
        for entry in state.live.keys().chain(state.dirs.iter()) {
            if let Ok(rest) = entry.strip_prefix(path)
                && let Some(first) = rest.components().next()
            {
                names.insert(first.as_os_str().to_string_lossy().into_owned());
            }
        }
        if names.is_empty() && !state.dirs.contains(path) {
            return Err(missing(path));
        }
        Ok(names.into_iter().collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.0.lock().unwrap();
        Ok(state.live.contains_key(path) || state.dirs.contains(path))
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn set_immutable(&self, path: &Path) -> io::Result<()> {
        self.0.lock().unwrap().immutable.insert(path.to_path_buf());
        Ok(())
    }
}

struct FakeFile {
    disk: FakeDisk,
    cell: Cell,
}

impl DiskFile for FakeFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.cell.lock().unwrap().live.len() as u64)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let data = self.cell.lock().unwrap();
        let at = usize::try_from(offset).unwrap();
        let part = data.live.get(at..at + buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(part);
        Ok(())
    }

    fn write_all_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        let part = parts.concat();
        let mut data = self.cell.lock().unwrap();
        let at = usize::try_from(offset).unwrap();
        // A write that fails has left half of its bytes.
        let result = self.disk.step();
        let part = if result.is_ok() { &part[..] } else { &part[..part.len() / 2] };
        if data.live.len() < at + part.len() {
            data.live.resize(at + part.len(), 0);
        }
        data.live[at..at + part.len()].copy_from_slice(part);
        result
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.step()?;
        let mut data = self.cell.lock().unwrap();
        data.durable = data.live.clone();
        Ok(())
    }

    fn drop_cache(&self) {}
}
