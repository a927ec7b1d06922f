//! One ledger under judgement: where it lies, what it is judged by, and where findings go. Judges nothing itself.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::report::FolderReport;
use super::{Steps, VerifyError, VerifyOptions};
use crate::durable::Disk;
use crate::verdict::{Code, Finding};

/// One ledger under judgement.
pub(super) struct Case<'a> {
    pub(super) disk: &'a dyn Disk,
    /// The ledger's folder.
    pub(super) dir: PathBuf,
    pub(super) ulid: &'a str,
    pub(super) options: &'a VerifyOptions,
    pub(super) report: &'a mut FolderReport,
    pub(super) steps: &'a Steps<'a>,
    /// Damage was found in `sealed/` or `wal/`.
    pub(super) damaged: bool,
    missing: BTreeSet<String>,
}

impl<'a> Case<'a> {
    pub(super) fn new(
        disk: &'a dyn Disk,
        dir: PathBuf,
        ulid: &'a str,
        options: &'a VerifyOptions,
        report: &'a mut FolderReport,
        steps: &'a Steps<'a>,
    ) -> Case<'a> {
        Case { disk, dir, ulid, options, report, steps, damaged: false, missing: BTreeSet::new() }
    }

    pub(super) fn find(
        &mut self,
        code: Code,
        file: &str,
        bytes: Option<Range<u64>>,
        entries: Option<Range<u64>>,
        detail: impl Into<Cow<'static, str>>,
    ) {
        let explained = matches!(code, Code::TornTail | Code::Unfinished);
        self.damaged |= !explained && (file == "wal" || file.starts_with("wal/") || file.starts_with("sealed/"));
        self.report
            .find(Some(self.ulid), Finding { code, file: file.to_owned(), bytes, entries, detail: detail.into() });
    }

    /// A file that is not there is named once.
    pub(super) fn find_missing(&mut self, file: String, entries: Option<Range<u64>>, detail: &'static str) {
        if !self.missing.contains(&file) {
            self.find(Code::FileMissing, &file, None, entries, detail);
            self.missing.insert(file);
        }
    }

    /// Names a path in an error of the system.
    pub(super) fn io(&self, call: &'static str, file: &str) -> impl FnOnce(io::Error) -> VerifyError + use<> {
        VerifyError::io(call, &self.dir.join(file))
    }
}

/// A small file, or its beginning where it is longer than it can be.
pub(super) struct Small {
    pub(super) bytes: Vec<u8>,
    pub(super) len: u64,
}

impl Small {
    /// Reads at most one byte more than `bytes_max`; `None` where there is no such file.
    pub(super) fn read(disk: &dyn Disk, path: &Path, bytes_max: u64) -> Result<Option<Small>, VerifyError> {
        let file = match disk.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(VerifyError::io("open", path))?,
        };
        let len = file.len().map_err(VerifyError::io("measure", path))?;
        let mut bytes = vec![0; usize::try_from(len.min(bytes_max + 1)).unwrap_or(0)];
        file.read_exact_at(&mut bytes, 0).map_err(VerifyError::io("read", path))?;
        Ok(Some(Small { bytes, len }))
    }

    pub(super) fn all(&self) -> Option<Range<u64>> {
        Some(0..self.len)
    }
}
