//! The pin file line by line, and a ledger against its line.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use tlog::Hash;

use super::VerifyError;
use super::case::{Case, Small};
use super::checkpoints::Checkpoints;
use super::names::is_newer;
use super::report::{FolderReport, Note};
use super::segments::Reached;
use super::tree::Marks;
use crate::durable::Disk;
use crate::pin::{PIN_FIRST_LINE, PIN_READ_BYTES_MAX, parse_line, pin_line};
use crate::verdict::{Code, Finding};

/// What findings call the pin file: where it lies is the caller's affair.
const FILE: &str = "pin";

/// What the pin file knows of one origin.
pub(super) struct Line {
    pub(super) size: u64,
    root: Hash,
    bytes: Range<u64>,
}

/// The last whole line of each origin.
#[derive(Default)]
pub(super) struct Pins(BTreeMap<String, Line>);

impl Pins {
    /// Reads the file and judges it by itself.
    pub(super) fn read(disk: &dyn Disk, path: &Path, report: &mut FolderReport) -> Result<Pins, VerifyError> {
        let Some(small) = Small::read(disk, path, PIN_READ_BYTES_MAX)? else {
            return Err(VerifyError::NoPin(path.to_path_buf()));
        };
        let mut find = |code, bytes, detail: &'static str| {
            report.find(
                None,
                Finding { code, file: FILE.to_owned(), bytes: Some(bytes), entries: None, detail: detail.into() },
            );
        };
        let mut pins = Pins::default();
        if small.len > PIN_READ_BYTES_MAX {
            find(Code::PinAltered, 0..small.len, "longer than any pin file that was written");
            return Ok(pins);
        }
        let mut at = 0;
        let mut lines = small.bytes.split_inclusive(|byte| *byte == b'\n');
        let first = lines.next().unwrap_or_default();
        let bytes = 0..first.len() as u64;
        match first.strip_suffix(b"\n") {
            Some(text) if text == PIN_FIRST_LINE.as_bytes() => {}
            Some(text) if is_newer(text, "proofbook-pin/") => {
                find(Code::FormatNewer, bytes, "of a version that this release does not know");
                return Ok(pins);
            }
            _ => find(Code::PinAltered, bytes, "the first line is not proofbook-pin/1"),
        }
        at += first.len() as u64;
        for line in lines {
            let bytes = at..at + line.len() as u64;
            at = bytes.end;
            let Some(text) = line.strip_suffix(b"\n") else {
                find(Code::TornTail, bytes, "an unfinished line");
                break;
            };
            let one_form =
                |(origin, size, root): &(String, u64, Hash)| pin_line(origin, *size, root).as_bytes() == line;
            match parse_line(text).filter(one_form) {
                Some((origin, size, root)) => drop(pins.0.insert(origin, Line { size, root, bytes })),
                None => find(Code::PinAltered, bytes, "a line fails its digest"),
            }
        }
        Ok(pins)
    }

    /// What it knows of this origin.
    pub(super) fn of(&self, origin: Option<&str>) -> Option<&Line> {
        self.0.get(origin?)
    }

    /// Origins that no ledger has.
    pub(super) fn judge_gone(&self, origins: &[&str], report: &mut FolderReport) {
        for (_, line) in self.0.iter().filter(|(origin, _)| !origins.contains(&origin.as_str())) {
            let (file, bytes, entries) = (FILE.to_owned(), Some(line.bytes.clone()), Some(0..line.size));
            let detail = "the pin knows a ledger that is not there";
            report.find(None, Finding { code: Code::Rollback, file, bytes, entries, detail: detail.into() });
        }
    }
}

/// A ledger against its line, and against its own checkpoints.
pub(super) fn judge(
    case: &mut Case<'_>,
    line: Option<&Line>,
    reached: &Reached,
    checkpoints: &Checkpoints,
    marks: &Marks,
) {
    let last = checkpoints.last.unwrap_or(0);
    match line {
        None => case.report.note(Note::NoPin),
        Some(line) => {
            let root = marks.root(line.size);
            let smaller = reached.size < line.size;
            if !case.damaged && (smaller || root.is_some_and(|root| root != line.root)) {
                let entries = smaller.then_some(reached.size..line.size);
                let detail = if smaller { "the pin knows a larger tree" } else { "the pin knows another tree" };
                case.find(Code::Rollback, FILE, Some(line.bytes.clone()), entries, detail);
            }
            if last < line.size && root == Some(line.root) {
                let detail = "the pin knows a later checkpoint";
                case.find(Code::CheckpointMissing, &checkpoints.highest, None, Some(last..line.size), detail);
            }
        }
    }
    if last < reached.size {
        let detail = "entries that no checkpoint covers yet";
        case.find(Code::UnsignedTail, &checkpoints.highest, None, Some(last..reached.size), detail);
    }
}
