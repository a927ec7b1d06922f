//! Files of sealed sets that are open for reading: a bounded number, the ones used last. Decodes no bundle.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::parts::PartKind;
use super::stream::{self, BodyStream, LARGE_BYTES};
use super::{BUNDLE, HEADER_BYTES, TRAILER_BYTES, file_name};
use crate::durable::{Disk, DiskFile};
use crate::error::{Corrupt, ReadError};

/// Files that stay open, a descriptor each. Proofs at random places use one file of a set, so they count singly.
const OPEN_FILES_MAX: usize = 64;

/// The open files of one folder `sealed/`.
pub(super) struct OpenFiles {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    open: Mutex<VecDeque<Arc<OpenFile>>>,
}

/// One file of a set, open.
pub(super) struct OpenFile {
    kind: PartKind,
    /// Entries of the set.
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// Where the bundles begin, and where the last one ends; only leaves and bodies have them.
    offsets: Vec<u64>,
}

impl OpenFiles {
    pub(super) fn new(disk: &Arc<dyn Disk>, dir: &Path) -> OpenFiles {
        OpenFiles { disk: Arc::clone(disk), dir: dir.to_path_buf(), open: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, VecDeque<Arc<OpenFile>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file of the set of these entries, opened if it is not.
    pub(super) fn get(&self, kind: PartKind, set: Range<u64>) -> Result<Arc<OpenFile>, ReadError> {
        {
            let mut open = self.held();
            let at = open.iter().position(|file| file.kind == kind && file.first == set.start);
            if let Some(known) = at.and_then(|at| open.remove(at)) {
                open.push_front(Arc::clone(&known));
                return Ok(known);
            }
        }
        // The disk is asked without the lock: two may open one file at a time, and one of them is forgotten again.
        let opened = Arc::new(self.open(kind, set)?);
        let mut open = self.held();
        open.push_front(Arc::clone(&opened));
        open.truncate(OPEN_FILES_MAX);
        Ok(opened)
    }

    fn open(&self, kind: PartKind, set: Range<u64>) -> Result<OpenFile, ReadError> {
        let path = self.dir.join(file_name(set.start, kind.extension()));
        let file = self.disk.open(&path).map_err(ReadError::io("open", &path))?;
        let offsets = match kind {
            PartKind::Tiles | PartKind::Tags => Vec::new(),
            PartKind::Leaves | PartKind::Bodies => {
                let bundles = (set.end - set.start) / BUNDLE;
                let offsets = offsets(&*file, bundles).map_err(ReadError::io("read", &path))?;
                let what = "the offsets of the bundles are not in order";
                offsets.ok_or_else(|| Corrupt::at(&path, 0, Some(set.start), what))?
            }
        };
        Ok(OpenFile { kind, first: set.start, end: set.end, path, file, offsets })
    }
}

impl OpenFile {
    /// Bytes of a range.
    pub(super) fn read(&self, range: Range<u64>) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, range.start).map_err(ReadError::io("read", &self.path))?;
        Ok(bytes)
    }

    /// Bytes of the whole file, if it has so many.
    pub(super) fn read_whole(&self, len: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let there = self.file.len().map_err(ReadError::io("measure", &self.path))?;
        if there == len { self.read(0..len).map(Some) } else { Ok(None) }
    }

    /// Bytes of a bundle, by its number in the log.
    pub(super) fn bundle(&self, bundle: u64) -> Result<Vec<u8>, ReadError> {
        self.read(self.place(bundle)?)
    }

    fn place(&self, bundle: u64) -> Result<Range<u64>, ReadError> {
        let at = usize::try_from(bundle - self.first / BUNDLE).unwrap_or(usize::MAX);
        match (self.offsets.get(at), self.offsets.get(at.saturating_add(1))) {
            (Some(from), Some(to)) => Ok(*from..*to),
            _ => Err(ReadError::Refused("a bundle beyond its set")),
        }
    }

    /// The bodies of a bundle one by one, if they are too many bytes to be held at once.
    pub(super) fn large_bundle(&self, bundle: u64) -> Result<Option<BodyStream<'_>>, ReadError> {
        let place = self.place(bundle)?;
        let failed = |error| ReadError::io("read", &self.path)(error);
        match stream::content_bytes(&*self.file, &place).map_err(failed)? {
            Some(bytes) if bytes > LARGE_BYTES => BodyStream::new(&*self.file, place, bytes).map(Some).map_err(failed),
            _ => Ok(None),
        }
    }

    /// Names a place within a bundle.
    pub(super) fn damage(&self, bundle: u64, index: u64, what: &'static str) -> Corrupt {
        let at = usize::try_from(bundle - self.first / BUNDLE).ok();
        let offset = at.and_then(|at| self.offsets.get(at)).copied().unwrap_or(0);
        Corrupt::at(&self.path, offset, Some(index), what)
    }
}

fn offsets(file: &dyn DiskFile, bundles: u64) -> io::Result<Option<Vec<u64>>> {
    let table = (bundles + 1) * 8;
    let Some(at) = file.len()?.checked_sub(table + TRAILER_BYTES) else { return Ok(None) };
    let mut bytes = vec![0; usize::try_from(table).unwrap_or(0)];
    file.read_exact_at(&mut bytes, at)?;
    let offsets: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_be_bytes(*chunk)).collect();
    let fits = offsets.first() == Some(&HEADER_BYTES) && offsets.last() == Some(&at) && offsets.is_sorted();
    Ok(fits.then_some(offsets))
}
