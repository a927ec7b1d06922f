//! The pin: last published size and root of each ledger, outside the data folder (docs/formats/data-folder.md).
//!
//! Decides nothing: who compares a ledger with its pin, and what follows, is recovery and publisher.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest;
use tlog::Hash;

use crate::durable::{Disk, DiskFile};
use crate::error::{Corrupt, OpenError};

pub(crate) const PIN_FIRST_LINE: &str = "proofbook-pin/1";
/// Beyond this the file is written anew with one line an origin.
const PIN_BYTES_MAX: u64 = 64 << 10;
/// Largest pin file that is read: more than a compaction leaves for any number of ledgers we expect.
pub(crate) const PIN_READ_BYTES_MAX: u64 = 64 << 20;

/// One pin file, shared by all ledgers of a data folder.
pub struct Pin {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    /// `None` where the file does not exist yet: it appears with its first line.
    file: Option<Arc<dyn DiskFile>>,
    end: u64,
    /// An unfinished line stands behind `end`: nothing may be written after it.
    torn: bool,
    lines: BTreeMap<String, (u64, Hash)>,
    /// Rewrite at this size: doubled where one line an origin alone is larger.
    compact_at: u64,
    poisoned: bool,
}

/// What a pin file's bytes say.
pub(crate) struct PinText {
    pub(crate) lines: BTreeMap<String, (u64, Hash)>,
    /// Bytes of first line and whole lines.
    pub(crate) end: u64,
}

impl Pin {
    /// Opens the pin file; one that does not exist is made with the first line recorded.
    ///
    /// Errors: `Corrupt` where a line but an unfinished last one fails its digest; `Io`.
    pub fn open(disk: &Arc<dyn Disk>, path: &Path) -> Result<Pin, OpenError> {
        let mut state = State {
            file: None,
            end: 0,
            torn: false,
            lines: BTreeMap::new(),
            compact_at: PIN_BYTES_MAX,
            poisoned: false,
        };
        if disk.exists(path).map_err(OpenError::io("look for", path))? {
            let file = disk.open_write(path).map_err(OpenError::io("open", path))?;
            // What is read may be in the cache alone, its name and its last line: a size that is pinned already is not
            // written again, so it must be durable.
            file.sync_data().map_err(OpenError::io("sync", path))?;
            disk.sync_dir(folder_of(path)).map_err(OpenError::io("sync", folder_of(path)))?;
            let len = file.len().map_err(OpenError::io("measure", path))?;
            if len > PIN_READ_BYTES_MAX {
                return Err(Corrupt::at(path, 0, None, "longer than any pin file that was written").into());
            }
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
            file.read_exact_at(&mut bytes, 0).map_err(OpenError::io("read", path))?;
            let text = read_pin(&bytes, path, true)?;
            state.torn = text.end < len;
            state.end = text.end;
            state.lines = text.lines;
            state.file = Some(file);
        }
        Ok(Pin { disk: Arc::clone(disk), path: path.to_path_buf(), state: Mutex::new(state) })
    }

    /// Last published size and root of an origin.
    pub fn last(&self, origin: &str) -> Option<(u64, Hash)> {
        self.state().lines.get(origin).copied()
    }

    /// Records and syncs; returned = synced. A size below the last one, or another root at it, is refused: that
    /// would be the very thing the pin is there to notice. After a failed write nothing more is recorded.
    pub fn record(&self, origin: &str, size: u64, root: &Hash) -> Result<(), OpenError> {
        if origin.is_empty() || origin.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(OpenError::Refused("an origin with blanks or control characters"));
        }
        let mut state = self.state();
        if state.poisoned {
            return Err(OpenError::Refused("an earlier write to the pin file failed"));
        }
        if let Some((last, last_root)) = state.lines.get(origin) {
            if size < *last || (size == *last && root != last_root) {
                return Err(OpenError::Refused("the pin knows a larger or another tree of this origin"));
            }
            if size == *last {
                return Ok(());
            }
        }
        let result = self.write(&mut state, origin, size, root);
        state.poisoned = result.is_err();
        result.map_err(OpenError::io("write the pin", &self.path))
    }

    fn write(&self, state: &mut State, origin: &str, size: u64, root: &Hash) -> io::Result<()> {
        let line = pin_line(origin, size, root);
        let end = state.end + line.len() as u64;
        match &state.file {
            Some(file) if !state.torn && end <= state.compact_at => {
                file.write_all_at(&[line.as_bytes()], state.end)?;
                // Crash: an unfinished line; the one before still counts, and the checkpoint was not shown.
                file.sync_data()?;
                state.end = end;
                state.lines.insert(origin.to_owned(), (size, *root));
            }
            _ => {
                state.lines.insert(origin.to_owned(), (size, *root));
                self.rewrite(state)?;
            }
        }
        Ok(())
    }

    /// One line an origin, whole under the file's name or not there at all.
    fn rewrite(&self, state: &mut State) -> io::Result<()> {
        let mut text = format!("{PIN_FIRST_LINE}\n");
        for (origin, (size, root)) in &state.lines {
            text.push_str(&pin_line(origin, *size, root));
        }
        let mut tmp = self.path.clone().into_os_string();
        tmp.push(".tmp");
        let tmp = PathBuf::from(tmp);
        if self.disk.exists(&tmp)? {
            self.disk.remove(&tmp)?;
        }
        let file = self.disk.create_new(&tmp)?;
        file.write_all_at(&[text.as_bytes()], 0)?;
        file.sync_data()?;
        self.disk.rename(&tmp, &self.path)?;
        self.disk.sync_dir(folder_of(&self.path))?;
        state.end = text.len() as u64;
        state.compact_at = PIN_BYTES_MAX.max(state.end * 2);
        state.torn = false;
        state.file = Some(file);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(crate) fn pin_line(origin: &str, size: u64, root: &Hash) -> String {
    let text = format!("{origin} {size} {}", root.b64());
    format!("{text} {}\n", line_digest(&text))
}

fn line_digest(text: &str) -> String {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a pin file. The writer (`lenient`) also takes a last line with zero bytes for a torn one: a power cut can
/// leave the length of a write without all of its bytes.
pub(crate) fn read_pin(bytes: &[u8], path: &Path, lenient: bool) -> Result<PinText, Corrupt> {
    let mut found = PinText { lines: BTreeMap::new(), end: 0 };
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').peekable();
    // The file appears under its name with its first line durable.
    let first = lines.next().unwrap_or_default();
    if first.strip_suffix(b"\n") != Some(PIN_FIRST_LINE.as_bytes()) {
        return Err(Corrupt::at(path, 0, None, "the first line is not proofbook-pin/1"));
    }
    found.end = first.len() as u64;
    while let Some(line) = lines.next() {
        let last = lines.peek().is_none();
        let Some(text) = line.strip_suffix(b"\n") else { break };
        let Some((origin, size, root)) = parse_line(text) else {
            if last && lenient && text.contains(&0) {
                break;
            }
            return Err(Corrupt::at(path, found.end, None, "a line of the pin fails its digest"));
        };
        found.lines.insert(origin, (size, root));
        found.end += line.len() as u64;
    }
    Ok(found)
}

pub(crate) fn parse_line(line: &[u8]) -> Option<(String, u64, Hash)> {
    let line = std::str::from_utf8(line).ok()?;
    let (text, digest) = line.rsplit_once(' ')?;
    if line_digest(text) != digest {
        return None;
    }
    let mut parts = text.split(' ');
    let (origin, size, root) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Some((origin.to_owned(), size.parse().ok()?, Hash::from_b64(root)?))
}

#[cfg(test)]
#[path = "pin_tests.rs"]
mod tests;
