//! A test's own hands on the disk: look, flip, replace, take away, keep a copy. None of it counts as an operation.

use std::io;
use std::path::{Path, PathBuf};

use super::SimDisk;
use super::state::{DirOp, Inode, State};

/// The whole disk at one moment.
#[derive(Clone)]
pub struct Snapshot(State);

impl SimDisk {
    /// Every file, sorted by path.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.lock().walk().into_iter().map(|(path, _)| path).collect();
        files.sort();
        files
    }

    /// A file as a read would see it.
    pub fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.lock();
        Ok(state.data(state.file(path)?)?.cached.clone())
    }

    /// Replaces or makes a file, durably; its folder must exist.
    pub fn write_file(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        let (dir, name) = state.parent(path)?;
        let ino = match state.file(path) {
            Ok(ino) => ino,
            Err(_) => {
                let ino = state.add(Inode::file());
                state.apply(&DirOp { dir, name, to: Some(ino) }, true);
                ino
            }
        };
        let file = state.data_mut(ino)?;
        file.pending.clear();
        file.durable = bytes.to_vec();
        file.cached = bytes.to_vec();
        Ok(())
    }

    /// Makes a folder and its parents, durably.
    pub fn make_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let mut at = PathBuf::from("/");
        for part in path.iter().filter(|part| *part != "/") {
            at.push(part);
            if state.resolve(&at).is_err() {
                let (dir, name) = state.parent(&at)?;
                let ino = state.add(Inode::dir());
                state.apply(&DirOp { dir, name, to: Some(ino) }, true);
            }
        }
        Ok(())
    }

    /// Takes a file away, durably.
    pub fn delete_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let (dir, name) = state.parent(path)?;
        state.file(path)?;
        state.apply(&DirOp { dir, name, to: None }, true);
        Ok(())
    }

    /// Changes one stored byte, on the device and in the cache.
    pub fn flip(&self, path: &Path, offset: usize, mask: u8) -> io::Result<()> {
        let mut state = self.lock();
        let ino = state.file(path)?;
        let file = state.data_mut(ino)?;
        for bytes in [&mut file.durable, &mut file.cached] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= mask;
            }
        }
        Ok(())
    }

    /// Keeps the whole disk as it is now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.lock().clone())
    }

    /// Puts the whole disk back; files opened since are dead.
    pub fn restore(&self, snapshot: &Snapshot) {
        let mut state = self.lock();
        let life = state.life;
        *state = snapshot.0.clone();
        state.life = life;
        state.revive();
    }

    /// Puts the files below one folder back to what they were (and removes those that were not), the rest of the disk
    /// stays: a data folder restored from a backup beside a pin that was not.
    pub fn restore_below(&self, snapshot: &Snapshot, folder: &Path) -> io::Result<()> {
        for path in self.files().into_iter().filter(|path| path.starts_with(folder)) {
            self.delete_file(&path)?;
        }
        for (path, ino) in snapshot.0.walk().into_iter().filter(|(path, _)| path.starts_with(folder)) {
            if let Some(parent) = path.parent() {
                self.make_dir(parent)?;
            }
            let bytes = snapshot.0.data(ino)?.cached.clone();
            self.write_file(&path, &bytes)?;
        }
        self.kill();
        Ok(())
    }

    /// Writes the simulated files below a real folder, so that other programs can judge them.
    #[expect(clippy::disallowed_methods, reason = "a copy to be judged, which nobody has to keep")]
    pub fn write_out(&self, to: &Path) -> io::Result<()> {
        for path in self.files() {
            let target = to.join(path.strip_prefix("/").unwrap_or(&path));
            if let Some(parent) = target.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(&target, self.read_file(&path)?)?;
        }
        Ok(())
    }
}
