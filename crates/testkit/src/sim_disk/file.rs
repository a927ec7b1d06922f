//! One open file of the simulated disk.

use std::io;
use std::path::PathBuf;
use std::sync::MutexGuard;

use ledger::durable::DiskFile;

use super::SimDisk;
use super::faults::{FaultKind, OpKind};
use super::state::{FileData, State, Write};

pub(super) struct SimFile {
    pub(super) disk: SimDisk,
    pub(super) ino: usize,
    pub(super) life: u64,
    /// As opened: what faults by path look at.
    pub(super) path: PathBuf,
    pub(super) writable: bool,
}

impl SimFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.lock();
        state.alive()?;
        if state.life != self.life {
            return Err(io::Error::other("opened before the restart"));
        }
        Ok(state)
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.data(self.ino)?.cached.len() as u64)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.state()?;
        if let Some(fault) = state.strike(OpKind::Read, &self.path) {
            return Err(fault.error());
        }
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let bytes = start
            .checked_add(buf.len())
            .and_then(|end| state.data(self.ino).ok()?.cached.get(start..end))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        if !buf.is_empty()
            && let Some(mut rng) = state.corrupt_read.take()
        {
            let at = rng.below_usize(buf.len());
            buf[at] ^= 1 << rng.below(8);
        }
        Ok(())
    }

    fn write_all_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        let mut state = self.state()?;
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut bytes = parts.concat();
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let struck = state.struck;
        let cut = state.begin(OpKind::Write, &self.path, bytes.len())?;
        let short = state.struck != struck;
        let grows = (offset + bytes.len()).saturating_sub(state.data(self.ino)?.cached.len()) as u64;
        let full = grows > 0 && state.used() + grows > state.capacity;
        if short || full {
            // A short write whose repetition fails: some of the bytes are there, and the caller gets an error.
            bytes.truncate(bytes.len() / 2);
        }
        let file = state.data_mut(self.ino)?;
        FileData::put(&mut file.cached, offset, &bytes);
        file.pending.push(Write { offset, bytes });
        match (short, full) {
            (_, true) => Err(FaultKind::Enospc.error()),
            (true, _) => Err(FaultKind::Short.error()),
            _ => state.end(cut),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state()?;
        let cut = match state.begin(OpKind::Sync, &self.path, 0) {
            Ok(cut) => cut,
            Err(error) => {
                // The kernel reports the failure once and marks the pages clean: what was not on the device will
                // never get there, and later syncs say yes.
                state.data_mut(self.ino)?.pending.clear();
                return Err(error);
            }
        };
        if !cut && state.lying != Some(OpKind::Sync) {
            let file = state.data_mut(self.ino)?;
            for write in std::mem::take(&mut file.pending) {
                FileData::put(&mut file.durable, write.offset, &write.bytes);
            }
        }
        state.end(cut)
    }

    fn drop_cache(&self) {
        let Ok(mut state) = self.state() else { return };
        let Ok(file) = state.data_mut(self.ino) else { return };
        let len = file.cached.len();
        let mut fresh = file.durable.clone();
        for write in &file.pending {
            FileData::put(&mut fresh, write.offset, &write.bytes);
        }
        fresh.resize(len, 0);
        file.cached = fresh;
    }
}
