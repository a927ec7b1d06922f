//! Inodes, names and the cache in front of them. Decides no fault.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::faults::{Fault, FaultKind, OpKind};
use crate::random::Rng;

/// Operations kept in the log: enough to read what led to a failure.
const LOG_MAX: usize = 4_096;
/// Size of a disk that nobody sized.
const CAPACITY: u64 = 1 << 40;
const ROOT: usize = 0;

/// One operation that changed something.
#[derive(Clone, Debug)]
pub struct Op {
    /// Counted from 1.
    pub number: u64,
    /// What.
    pub kind: OpKind,
    /// Where.
    pub path: PathBuf,
    /// Bytes of a write.
    pub bytes: usize,
}

#[derive(Clone)]
pub(super) struct Write {
    pub(super) offset: usize,
    pub(super) bytes: Vec<u8>,
}

#[derive(Clone, Default)]
pub(super) struct FileData {
    /// What the device holds.
    pub(super) durable: Vec<u8>,
    /// What a read sees.
    pub(super) cached: Vec<u8>,
    /// Written, not yet on the device.
    pub(super) pending: Vec<Write>,
    pub(super) immutable: bool,
}

#[derive(Clone)]
pub(super) enum Inode {
    File(FileData),
    Dir { durable: BTreeMap<String, usize>, cached: BTreeMap<String, usize> },
}

impl Inode {
    pub(super) fn file() -> Inode {
        Inode::File(FileData::default())
    }

    pub(super) fn dir() -> Inode {
        Inode::Dir { durable: BTreeMap::new(), cached: BTreeMap::new() }
    }
}

/// A name in a folder gets another meaning.
#[derive(Clone)]
pub(super) struct DirOp {
    pub(super) dir: usize,
    pub(super) name: String,
    pub(super) to: Option<usize>,
}

#[derive(Clone)]
pub(super) struct State {
    pub(super) inodes: Vec<Inode>,
    /// Changes of names that no folder sync has covered, oldest first; the parts of one happen together.
    pub(super) pending_names: Vec<Vec<DirOp>>,
    pub(super) counter: u64,
    pub(super) log: VecDeque<Op>,
    pub(super) faults: Vec<(Fault, u64)>,
    pub(super) struck: u64,
    pub(super) cut_at: Option<u64>,
    pub(super) dead: bool,
    /// Handles of an earlier life are dead.
    pub(super) life: u64,
    pub(super) capacity: u64,
    pub(super) may_set_immutable: bool,
    pub(super) corrupt_read: Option<Rng>,
    /// Syncs of this kind say yes and do nothing.
    pub(super) lying: Option<OpKind>,
}

impl State {
    pub(super) fn new() -> State {
        State {
            inodes: vec![Inode::dir()],
            pending_names: Vec::new(),
            counter: 0,
            log: VecDeque::new(),
            faults: Vec::new(),
            struck: 0,
            cut_at: None,
            dead: false,
            life: 0,
            capacity: CAPACITY,
            may_set_immutable: false,
            corrupt_read: None,
            lying: None,
        }
    }

    pub(super) fn alive(&self) -> io::Result<()> {
        if self.dead { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    pub(super) fn revive(&mut self) {
        self.dead = false;
        self.cut_at = None;
        self.faults.clear();
        self.struck = 0;
        self.life += 1;
        self.corrupt_read = None;
    }

    /// Counts and logs an operation; an error is a fault that struck, `true` that the power goes off with it.
    pub(super) fn begin(&mut self, kind: OpKind, path: &Path, bytes: usize) -> io::Result<bool> {
        self.alive()?;
        self.counter += 1;
        if self.log.len() == LOG_MAX {
            self.log.pop_front();
        }
        self.log.push_back(Op { number: self.counter, kind, path: path.to_path_buf(), bytes });
        let cut = self.cut_at == Some(self.counter);
        if !cut {
            match self.strike(kind, path) {
                None | Some(FaultKind::Short) => {}
                Some(fault) => return Err(fault.error()),
            }
        }
        Ok(cut)
    }

    pub(super) fn end(&mut self, cut: bool) -> io::Result<()> {
        self.dead |= cut;
        self.alive()
    }

    /// The fault that strikes this operation, if one does. Counts for every waiting fault.
    pub(super) fn strike(&mut self, kind: OpKind, path: &Path) -> Option<FaultKind> {
        let mut hit = None;
        for (fault, seen) in &mut self.faults {
            if !fault.matches(kind, path) {
                continue;
            }
            *seen += 1;
            if *seen == fault.nth || (fault.for_ever && *seen > fault.nth) {
                hit = hit.or(Some(fault.kind));
            }
        }
        self.struck += u64::from(hit.is_some());
        hit
    }

    pub(super) fn add(&mut self, inode: Inode) -> usize {
        self.inodes.push(inode);
        self.inodes.len() - 1
    }

    /// Gives names a new meaning, in the cache.
    pub(super) fn name(&mut self, ops: Vec<DirOp>) {
        for op in &ops {
            self.apply(op, false);
        }
        self.pending_names.push(ops);
    }

    pub(super) fn apply(&mut self, op: &DirOp, durable_too: bool) {
        let Some(Inode::Dir { durable, cached }) = self.inodes.get_mut(op.dir) else { return };
        for names in std::iter::once(cached).chain(durable_too.then_some(durable)) {
            match op.to {
                Some(ino) => names.insert(op.name.clone(), ino),
                None => names.remove(&op.name),
            };
        }
    }

    /// All changes that touch this folder become durable.
    pub(super) fn sync_names(&mut self, dir: usize) {
        let (done, rest) =
            std::mem::take(&mut self.pending_names).into_iter().partition(|ops| ops.iter().any(|op| op.dir == dir));
        self.pending_names = rest;
        let done: Vec<Vec<DirOp>> = done;
        for op in done.iter().flatten() {
            if let Some(Inode::Dir { durable, .. }) = self.inodes.get_mut(op.dir) {
                match op.to {
                    Some(ino) => durable.insert(op.name.clone(), ino),
                    None => durable.remove(&op.name),
                };
            }
        }
    }

    pub(super) fn resolve(&self, path: &Path) -> io::Result<usize> {
        let mut at = ROOT;
        for part in path.components() {
            match part {
                Component::Normal(name) => {
                    at = self.child(at, &name.to_string_lossy()).ok_or(io::ErrorKind::NotFound)?;
                }
                Component::RootDir | Component::CurDir => {}
                _ => return Err(io::ErrorKind::InvalidInput.into()),
            }
        }
        Ok(at)
    }

    pub(super) fn parent(&self, path: &Path) -> io::Result<(usize, String)> {
        self.alive()?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy().into_owned();
        Ok((self.dir(path.parent().unwrap_or(Path::new("/")))?, name))
    }

    pub(super) fn child(&self, dir: usize, name: &str) -> Option<usize> {
        match self.inodes.get(dir)? {
            Inode::Dir { cached, .. } => cached.get(name).copied(),
            Inode::File(_) => None,
        }
    }

    pub(super) fn dir(&self, path: &Path) -> io::Result<usize> {
        let ino = self.resolve(path)?;
        if self.is_dir(ino) { Ok(ino) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<usize> {
        let ino = self.resolve(path)?;
        if self.is_dir(ino) { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(ino) }
    }

    pub(super) fn is_dir(&self, ino: usize) -> bool {
        matches!(self.inodes.get(ino), Some(Inode::Dir { .. }))
    }

    pub(super) fn is_empty_dir(&self, ino: usize) -> bool {
        self.names(ino).is_empty()
    }

    pub(super) fn names(&self, dir: usize) -> Vec<String> {
        match self.inodes.get(dir) {
            Some(Inode::Dir { cached, .. }) => cached.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn data(&self, ino: usize) -> io::Result<&FileData> {
        match self.inodes.get(ino) {
            Some(Inode::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn data_mut(&mut self, ino: usize) -> io::Result<&mut FileData> {
        match self.inodes.get_mut(ino) {
            Some(Inode::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn mutable(&self, ino: usize) -> io::Result<()> {
        match self.inodes.get(ino) {
            Some(Inode::File(file)) if file.immutable => Err(io::ErrorKind::PermissionDenied.into()),
            _ => Ok(()),
        }
    }

    pub(super) fn set_immutable(&mut self, ino: usize) {
        if let Ok(file) = self.data_mut(ino) {
            file.immutable = true;
        }
    }

    /// Bytes of the files that have a name, as the cache sees them.
    pub(super) fn used(&self) -> u64 {
        self.walk().iter().filter_map(|(_, ino)| self.data(*ino).ok()).map(|file| file.cached.len() as u64).sum()
    }

    /// Every file with its path, in order.
    pub(super) fn walk(&self) -> Vec<(PathBuf, usize)> {
        let mut found = Vec::new();
        let mut todo = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, ino)) = todo.pop() {
            match self.inodes.get(ino) {
                Some(Inode::Dir { cached, .. }) => {
                    todo.extend(cached.iter().rev().map(|(name, child)| (path.join(name), *child)));
                }
                Some(Inode::File(_)) => found.push((path, ino)),
                None => {}
            }
        }
        found
    }
}

impl FileData {
    /// Puts bytes at an offset, filling a gap with zeros.
    pub(super) fn put(target: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if target.len() < end {
            target.resize(end, 0);
        }
        target[offset..end].copy_from_slice(bytes);
    }
}
