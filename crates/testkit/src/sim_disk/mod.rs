//! A disk in memory that loses what was not synced, and fails when told to.
//!
//! Models: a page cache in front of a device; names that are durable only after the folder was synced, and may be lost
//! or kept one by one; writes that survive a power cut whole, in part, by sector, or not at all; failed syncs after
//! which the kernel calls the pages clean although they are lost; short writes; a full disk; flipped bits; a folder put
//! back to an older state.
//!
//! Does not model: damage to bytes that were synced before and share a sector with a write in flight; time.

mod faults;
mod file;
mod inspect;
mod state;

pub use faults::{Fault, FaultKind, OpKind, Survivors};
pub use inspect::Snapshot;
pub use state::Op;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ledger::durable::{Disk, DiskFile};

use crate::random::Rng;
use file::SimFile;
use state::{DirOp, Inode, State};

/// The simulated disk; clones share it.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

impl Default for SimDisk {
    fn default() -> Self {
        SimDisk::new()
    }
}

impl SimDisk {
    /// An empty disk of one tebibyte with the root folder alone.
    pub fn new() -> SimDisk {
        SimDisk { state: Arc::new(Mutex::new(State::new())) }
    }

    /// As the door of the ledger.
    pub fn door(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// Cuts the power at the `n`-th operation that changes something, counted from now (1 is the next one). That
    /// operation has reached the cache and its caller sees an error; all later calls fail until
    /// [`restart`](Self::restart).
    pub fn cut_at(&self, n: u64) {
        let mut state = self.lock();
        let at = state.counter + n;
        state.cut_at = Some(at);
    }

    /// Cuts the power now.
    pub fn cut_now(&self) {
        self.lock().dead = true;
    }

    /// Whether the power is off.
    pub fn is_dead(&self) -> bool {
        self.lock().dead
    }

    /// Power on again: what was not synced survives as `survivors` says, files opened before are dead, faults and the
    /// planned cut are forgotten.
    pub fn restart(&self, survivors: Survivors) {
        let mut state = self.lock();
        let state = &mut *state;
        faults::survive(state, survivors);
        state.revive();
    }

    /// The process dies and the kernel lives: the cache stays as it is, files opened before are dead, faults and the
    /// planned cut are forgotten.
    pub fn kill(&self) {
        self.lock().revive();
    }

    /// Adds a fault; several may wait at a time.
    pub fn fail(&self, fault: Fault) {
        self.lock().faults.push((fault, 0));
    }

    /// Forgets all faults and the planned cut.
    pub fn heal(&self) {
        let mut state = self.lock();
        state.faults.clear();
        state.cut_at = None;
    }

    /// How many faults have struck since the last restart.
    pub fn struck(&self) -> u64 {
        self.lock().struck
    }

    /// Bytes that fit on the disk, used ones included.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().capacity = bytes;
    }

    /// Whether the process may set the immutable attribute (by default it may not).
    pub fn allow_immutable(&self, allowed: bool) {
        self.lock().may_set_immutable = allowed;
    }

    /// Syncs of a kind (`Sync` or `SyncDir`) say yes and do nothing: a device that lies, or code that forgot to call.
    pub fn lie(&self, about: Option<OpKind>) {
        self.lock().lying = about;
    }

    /// Operations that changed something, since the disk was made.
    pub fn operations(&self) -> u64 {
        self.lock().counter
    }

    /// The log of those operations; the last 4,096 are kept.
    pub fn log(&self) -> Vec<Op> {
        self.lock().log.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, ino: usize, path: &Path, writable: bool) -> Arc<dyn DiskFile> {
        let life = self.lock().life;
        Arc::new(SimFile { disk: self.clone(), ino, life, path: path.to_path_buf(), writable })
    }

    /// Bits of the seed decide which single bit the next read of any file gets wrong, once.
    pub fn corrupt_next_read(&self, seed: u64) {
        self.lock().corrupt_read = Some(Rng::new(seed));
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.lock();
        state.alive()?;
        let ino = state.file(path)?;
        drop(state);
        Ok(self.file(ino, path, false))
    }

    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.lock();
        state.alive()?;
        let ino = state.file(path)?;
        state.mutable(ino)?;
        drop(state);
        Ok(self.file(ino, path, true))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        let (dir, name) = state.parent(path)?;
        if state.child(dir, &name).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let cut = state.begin(OpKind::Create, path, 0)?;
        let ino = state.add(Inode::file());
        state.name(vec![DirOp { dir, name, to: Some(ino) }]);
        state.end(cut)?;
        drop(state);
        Ok(self.file(ino, path, true))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let (from_dir, from_name) = state.parent(from)?;
        let (to_dir, to_name) = state.parent(to)?;
        let ino = state.child(from_dir, &from_name).ok_or(io::ErrorKind::NotFound)?;
        state.mutable(ino)?;
        if let Some(old) = state.child(to_dir, &to_name) {
            state.mutable(old)?;
            let both = (state.is_dir(ino), state.is_dir(old));
            if both.0 != both.1 || (both.1 && !state.is_empty_dir(old)) {
                return Err(io::Error::other("rename over a folder that is not empty, or over another kind"));
            }
        }
        let cut = state.begin(OpKind::Rename, to, 0)?;
        state.name(vec![
            DirOp { dir: from_dir, name: from_name, to: None },
            DirOp { dir: to_dir, name: to_name, to: Some(ino) },
        ]);
        state.end(cut)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let (dir, name) = state.parent(path)?;
        let ino = state.file(path)?;
        state.mutable(ino)?;
        let cut = state.begin(OpKind::Remove, path, 0)?;
        state.name(vec![DirOp { dir, name, to: None }]);
        state.end(cut)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if state.resolve(path).is_ok_and(|ino| state.is_dir(ino)) {
            return state.alive();
        }
        let (dir, name) = state.parent(path)?;
        if state.child(dir, &name).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let cut = state.begin(OpKind::CreateDir, path, 0)?;
        let ino = state.add(Inode::dir());
        state.name(vec![DirOp { dir, name, to: Some(ino) }]);
        state.end(cut)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let dir = state.dir(path)?;
        let cut = state.begin(OpKind::SyncDir, path, 0)?;
        // A cut at this very call leaves it to the survivors how much of it happened.
        if !cut && state.lying != Some(OpKind::SyncDir) {
            state.sync_names(dir);
        }
        state.end(cut)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        state.alive()?;
        let dir = state.dir(path)?;
        Ok(state.names(dir))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.lock();
        state.alive()?;
        Ok(state.resolve(path).is_ok())
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let state = self.lock();
        state.alive()?;
        Ok(state.capacity.saturating_sub(state.used()))
    }

    fn set_immutable(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let ino = state.file(path)?;
        if !state.may_set_immutable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let cut = state.begin(OpKind::SetImmutable, path, 0)?;
        state.set_immutable(ino);
        state.end(cut)
    }
}

#[cfg(test)]
mod tests;
