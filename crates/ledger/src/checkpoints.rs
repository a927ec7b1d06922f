//! The log of signed checkpoints of one ledger (docs/formats/checkpoints.md): append, roll, find the last one.
//!
//! Parses no note and verifies no signature: what stands in a record is the publisher's business.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;

use crate::durable::{Disk, DiskFile};
use crate::error::{Corrupt, OpenError};

/// A log is rolled when it has grown past this: what an idle ledger keeps stays small.
pub(crate) const LOG_BYTES_MAX: u64 = 256 << 10;
/// Largest note of the format.
pub(crate) const NOTE_BYTES_MAX: u32 = 65_536;
/// Largest note that is written: both signature lines take 4 KiB.
const OWN_NOTE_BYTES_MAX: usize = 15 << 10;
/// An unfinished record cannot be longer than one that we write: more bytes than this are damage, not a torn write.
const TORN_BYTES_MAX: u64 = 16 << 10;
/// Largest log that is read into memory: a rolled one is far smaller.
pub(crate) const LOG_READ_BYTES_MAX: u64 = 1 << 20;
/// Length, its inversion and digest around a note.
pub(crate) const FRAME_BYTES: usize = 40;
pub(crate) const HISTORY: &str = "history.log";

/// The checkpoint log of one ledger, open for appending by its publisher.
pub struct CheckpointLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    current: Option<Current>,
    last: Option<String>,
    torn: bool,
}

/// The log with the highest number.
struct Current {
    number: u64,
    file: Arc<dyn DiskFile>,
    end: u64,
    chain: [u8; 32],
}

impl CheckpointLog {
    /// Opens the folder `checkpoints/` of a ledger, which must exist, and finishes a roll that a crash interrupted.
    ///
    /// Errors: `Corrupt` where a record that is not the last one fails; `Io`.
    pub fn open(disk: &Arc<dyn Disk>, dir: &Path) -> Result<CheckpointLog, OpenError> {
        // What is read may be in the cache alone, names and records: it counts from here on, so it must be durable.
        disk.sync_dir(dir).map_err(OpenError::io("sync", dir))?;
        let names = disk.list(dir).map_err(OpenError::io("list", dir))?;
        let numbers: Vec<u64> = names.iter().filter_map(|name| log_number(name)).collect();
        let mut log =
            CheckpointLog { disk: Arc::clone(disk), dir: dir.to_path_buf(), current: None, last: None, torn: false };
        let Some((&number, older)) = numbers.split_last() else {
            return Ok(log);
        };
        let path = log.path(number);
        let file = disk.open_write(&path).map_err(OpenError::io("open", &path))?;
        file.sync_data().map_err(OpenError::io("sync", &path))?;
        let bytes = read_whole(&path, &*file)?;
        let walk = walk_records(&bytes);
        let left = bytes.len() as u64 - walk.end;
        let Some(last) = walk.notes.last() else {
            return Err(Corrupt::at(&path, 0, None, "no whole record in a log that was renamed with one").into());
        };
        if left > 0 && (left > TORN_BYTES_MAX || walk.followed) {
            return Err(Corrupt::at(&path, walk.end, None, "a checkpoint record fails before the last one").into());
        }
        let note = bytes.get(last.clone()).unwrap_or_default();
        log.last = Some(String::from_utf8_lossy(note).into_owned());
        log.torn = left > 0;
        if !older.is_empty() {
            let first = walk.notes.first().and_then(|range| bytes.get(range.clone())).unwrap_or_default();
            log.finish_roll(older, first)?;
        }
        log.current = Some(Current { number, file, end: walk.end, chain: walk.chain });
        Ok(log)
    }

    /// The last whole note.
    pub fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// A record at the end was left unfinished by a crash; the next append rolls the log.
    pub fn is_torn(&self) -> bool {
        self.torn
    }

    /// Appends a note; returned = synced. After an error the log must not be used again.
    pub fn append(&mut self, note: &str) -> io::Result<()> {
        if note.is_empty() || note.len() > OWN_NOTE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a checkpoint note of this size is not written"));
        }
        let full = self.current.as_ref().is_some_and(|current| current.end > LOG_BYTES_MAX);
        if self.torn || full {
            self.roll()?;
        }
        match &mut self.current {
            Some(current) => {
                let (record, chain) = record(&current.chain, note.as_bytes());
                current.file.write_all_at(&[&record], current.end)?;
                // Crash: a torn record that was never shown; the next start rolls.
                current.file.sync_data()?;
                current.end += record.len() as u64;
                current.chain = chain;
            }
            None => self.current = Some(self.create(1, note.as_bytes())?),
        }
        self.last = Some(note.to_owned());
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(log_name(number))
    }

    /// A new log with one record, whole under its name or absent.
    fn create(&self, number: u64, note: &[u8]) -> io::Result<Current> {
        let (record, chain) = record(&[0; 32], note);
        let path = self.path(number);
        let tmp = path.with_extension("log.tmp");
        if self.disk.exists(&tmp)? {
            self.disk.remove(&tmp)?;
        }
        let file = self.disk.create_new(&tmp)?;
        file.write_all_at(&[&record], 0)?;
        file.sync_data()?;
        self.disk.rename(&tmp, &path)?;
        self.disk.sync_dir(&self.dir)?;
        Ok(Current { number, file, end: record.len() as u64, chain })
    }

    /// Starts the next log with the last note, puts that note into the history, removes the old log.
    fn roll(&mut self) -> io::Result<()> {
        let (Some(current), Some(last)) = (&self.current, &self.last) else {
            return Ok(());
        };
        let (old, last) = (current.number, last.clone().into_bytes());
        self.current = Some(self.create(old + 1, &last)?);
        self.torn = false;
        // Crash: two logs; the next start finds the history without this note and goes on from here.
        self.append_history(&last)?;
        // Crash: two logs; the next start removes the older.
        self.disk.remove(&self.path(old))
    }

    fn finish_roll(&self, older: &[u64], first: &[u8]) -> Result<(), OpenError> {
        let history = self.dir.join(HISTORY);
        let failed = |source| OpenError::Io { call: "finish the roll of", path: history.clone(), source };
        let last = self.last_of_history().map_err(failed)?.note;
        if last.as_deref() != Some(first) {
            self.append_history(first).map_err(failed)?;
        }
        for number in older {
            let path = self.path(*number);
            self.disk.remove(&path).map_err(OpenError::io("remove", &path))?;
        }
        self.disk.sync_dir(&self.dir).map_err(OpenError::io("sync", &self.dir))
    }

    fn append_history(&self, note: &[u8]) -> io::Result<()> {
        let at = self.last_of_history()?;
        let (record, _) = record(&at.chain, note);
        let path = self.dir.join(HISTORY);
        if at.left > 0 {
            // A record torn by a crash: the whole ones are written anew, so that nothing stands behind garbage.
            return self.rewrite_history(&path, at.end, &record);
        }
        let file = match self.disk.open_write(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = self.disk.create_new(&path)?;
                self.disk.sync_dir(&self.dir)?;
                file
            }
            other => other?,
        };
        file.write_all_at(&[&record], at.end)?;
        file.sync_data()
    }

    fn rewrite_history(&self, path: &Path, end: u64, record: &[u8]) -> io::Result<()> {
        let from = self.disk.open(path)?;
        let tmp = path.with_extension("log.tmp");
        if self.disk.exists(&tmp)? {
            self.disk.remove(&tmp)?;
        }
        let to = self.disk.create_new(&tmp)?;
        let mut at = 0;
        while at < end {
            let mut part = vec![0; usize::try_from((end - at).min(LOG_READ_BYTES_MAX)).unwrap_or(1)];
            from.read_exact_at(&mut part, at)?;
            to.write_all_at(&[&part], at)?;
            at += part.len() as u64;
        }
        to.write_all_at(&[record], end)?;
        to.sync_data()?;
        self.disk.rename(&tmp, path)?;
        self.disk.sync_dir(&self.dir)
    }

    /// Walks the history record by record without holding it: it grows for ever.
    fn last_of_history(&self) -> io::Result<HistoryEnd> {
        let mut found = HistoryEnd { note: None, end: 0, left: 0, chain: [0; 32] };
        let file = match self.disk.open(&self.dir.join(HISTORY)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            other => other?,
        };
        let len = file.len()?;
        let mut buffer = Vec::new();
        while found.end < len {
            let wanted = usize::try_from((len - found.end).min(LOG_READ_BYTES_MAX)).unwrap_or(0);
            buffer.resize(wanted, 0);
            file.read_exact_at(&mut buffer, found.end)?;
            let walk = walk_from(&buffer, found.chain);
            let Some(last) = walk.notes.last() else { break };
            found.note = buffer.get(last.clone()).map(<[u8]>::to_vec);
            found.chain = walk.chain;
            found.end += walk.end;
        }
        found.left = len - found.end;
        if found.left > TORN_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a record of history.log fails before the last"));
        }
        Ok(found)
    }
}

struct HistoryEnd {
    note: Option<Vec<u8>>,
    end: u64,
    left: u64,
    chain: [u8; 32],
}

/// Reads a file of this folder into memory.
fn read_whole(path: &Path, file: &dyn DiskFile) -> Result<Vec<u8>, OpenError> {
    let len = file.len().map_err(OpenError::io("measure", path))?;
    if len > LOG_READ_BYTES_MAX {
        return Err(Corrupt::at(path, 0, None, format!("{len} bytes, longer than any log that was written")).into());
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0).map_err(OpenError::io("read", path))?;
    Ok(bytes)
}

/// What the walk over the records of a log found.
pub(crate) struct RecordWalk {
    /// Where in the bytes each whole note stands.
    pub(crate) notes: Vec<Range<usize>>,
    /// Where the whole records end.
    pub(crate) end: u64,
    /// Digest of the last whole record.
    pub(crate) chain: [u8; 32],
    /// What stands behind `end` is a record of full length that fails, with more bytes behind it: no torn write.
    pub(crate) followed: bool,
    /// What stands behind `end` is shorter than a record: its length field is cut or whole, but not wrong.
    pub(crate) short: bool,
}

/// Walks the records of a whole log.
pub(crate) fn walk_records(bytes: &[u8]) -> RecordWalk {
    walk_from(bytes, [0; 32])
}

pub(crate) fn walk_from(bytes: &[u8], chain: [u8; 32]) -> RecordWalk {
    let mut walk = RecordWalk { notes: Vec::new(), end: 0, chain, followed: false, short: false };
    let mut at = 0_usize;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some((length, after)) = rest.split_first_chunk::<4>() else {
            walk.short = true;
            return walk;
        };
        let Some((inverted, after)) = after.split_first_chunk::<4>() else {
            walk.short = true;
            return walk;
        };
        let length = u32::from_be_bytes(*length);
        if length != !u32::from_be_bytes(*inverted) || length > NOTE_BYTES_MAX {
            return walk;
        }
        let note_bytes = length as usize;
        let Some(digest) = after.get(note_bytes..note_bytes + 32) else {
            walk.short = true;
            return walk;
        };
        let covered = rest.get(..8 + note_bytes).unwrap_or_default();
        let chain = chain_over(&walk.chain, covered);
        if digest != chain {
            walk.followed = rest.len() > FRAME_BYTES + note_bytes;
            return walk;
        }
        walk.notes.push(at + 8..at + 8 + note_bytes);
        at += FRAME_BYTES + note_bytes;
        walk.end = at as u64;
        walk.chain = chain;
    }
}

/// One record and the digest that the next one starts from.
pub(crate) fn record(chain: &[u8; 32], note: &[u8]) -> (Vec<u8>, [u8; 32]) {
    let length = u32::try_from(note.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(note.len() + FRAME_BYTES);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&(!length).to_be_bytes());
    bytes.extend_from_slice(note);
    let chain = chain_over(chain, &bytes);
    bytes.extend_from_slice(&chain);
    (bytes, chain)
}

fn chain_over(chain: &[u8; 32], bytes: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(chain);
    context.update(bytes);
    context.finish().as_ref().try_into().unwrap_or([0; 32])
}

pub(crate) fn log_name(number: u64) -> String {
    format!("{number:016x}.log")
}

/// The number in a log's name, strictly as `log_name` writes it.
pub(crate) fn log_number(name: &str) -> Option<u64> {
    let number = u64::from_str_radix(name.strip_suffix(".log")?, 16).ok()?;
    (number > 0 && log_name(number) == name).then_some(number)
}

#[cfg(test)]
#[path = "checkpoints_tests.rs"]
mod tests;
