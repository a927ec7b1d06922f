//! The checkpoint logs of a ledger: each record, each note, each signature, and each root against the tree.
//!
//! Which keys count is decided by `identity`.

use std::ops::Range;

use tlog::{Checkpoint, Hash, Note, NoteError};

use super::VerifyError;
use super::case::Case;
use super::identity::{Identity, Known};
use super::names::LedgerNames;
use super::report::FINDINGS_MAX;
use super::tree::Marks;
use crate::checkpoints::{FRAME_BYTES, HISTORY, LOG_READ_BYTES_MAX, log_name, walk_from};
use crate::parallel;
use crate::verdict::Code;

/// Notes fewer than this are verified on one thread: starting others costs more.
const SPREAD_NOTES_MIN: usize = 8;

/// What a good checkpoint says.
struct Claim {
    size: u64,
    root: Hash,
    /// Number of the file among those read.
    file: usize,
    bytes: Range<u64>,
}

/// What the logs say, before the tree is known.
pub(super) struct Checkpoints {
    files: Vec<String>,
    claims: Vec<Claim>,
    history_records: u64,
    no_log: bool,
    has_history: bool,
    /// Size of the last good checkpoint.
    pub(super) last: Option<u64>,
    /// The log with the highest number, the first where there is none.
    pub(super) highest: String,
}

/// How the records of a file end.
enum End {
    Whole,
    /// Fewer bytes than a record from here on.
    Short(u64),
    /// A record that fails begins here.
    Fails(u64),
}

/// By what notes are judged.
struct Terms<'a> {
    origin: Option<&'a str>,
    /// `None`: signatures are not judged.
    known: Option<&'a Known>,
}

/// Reads all logs and judges everything but the roots.
pub(super) fn read(
    case: &mut Case<'_>,
    names: &LedgerNames,
    identity: &Identity,
    known: Option<&Known>,
) -> Result<Checkpoints, VerifyError> {
    let path = |name: &str| format!("checkpoints/{name}");
    let mut found = Checkpoints {
        files: Vec::new(),
        claims: Vec::new(),
        history_records: 0,
        no_log: names.logs.is_empty(),
        has_history: names.history,
        last: None,
        highest: path(&log_name(names.logs.last().copied().unwrap_or(1))),
    };
    let terms = Terms { origin: identity.origin.as_deref(), known };
    let mut history_fails = false;
    if names.history {
        let (records, end) = found.file(case, &terms, path(HISTORY))?;
        found.history_records = records;
        history_fails = matches!(end, End::Fails(_));
    }
    if let Some(lowest) = names.logs.first()
        && found.history_records < lowest - 1
    {
        let detail = "fewer records than logs that were rolled";
        if !names.history {
            case.find_missing(path(HISTORY), None, detail);
        } else if !history_fails {
            case.find(Code::CheckpointAltered, &path(HISTORY), None, None, detail);
        }
    }
    let mut before = None;
    for number in &names.logs {
        for missing in (before.unwrap_or(*number) + 1..*number).take(FINDINGS_MAX) {
            case.find_missing(path(&log_name(missing)), None, "the log is left out, a later one exists");
        }
        before = Some(*number);
        found.file(case, &terms, path(&log_name(*number)))?;
    }
    Ok(found)
}

impl Checkpoints {
    /// Sizes whose roots are asked for.
    pub(super) fn sizes(&self) -> Vec<u64> {
        self.claims.iter().map(|claim| claim.size).collect()
    }

    /// One log: gives the number of its records and how they end.
    fn file(&mut self, case: &mut Case<'_>, terms: &Terms<'_>, name: String) -> Result<(u64, End), VerifyError> {
        let file = case.disk.open(&case.dir.join(&name)).map_err(case.io("open", &name))?;
        let len = file.len().map_err(case.io("measure", &name))?;
        let (mut at, mut chain, mut records) = (0, [0; 32], 0);
        let mut buffer = Vec::new();
        let number = self.files.len();
        self.files.push(name.clone());
        let end = loop {
            let wanted = (len - at).min(LOG_READ_BYTES_MAX);
            buffer.resize(usize::try_from(wanted).unwrap_or(0), 0);
            file.read_exact_at(&mut buffer, at).map_err(case.io("read", &name))?;
            let walk = walk_from(&buffer, chain);
            let notes: Vec<&[u8]> = walk.notes.iter().map(|r| buffer.get(r.clone()).unwrap_or_default()).collect();
            let threads = if notes.len() < SPREAD_NOTES_MIN { 1 } else { case.options.threads };
            let judged = parallel::map(
                threads,
                notes.len(),
                || Ok(()),
                |n, ()| Ok(judge_note(terms, notes.get(n).copied().unwrap_or_default())),
            );
            for (range, judged) in walk.notes.iter().zip(judged.map_err(case.io("verify", &name))?) {
                let start = at + range.start as u64 - 8;
                let bytes = start..start + (range.len() + FRAME_BYTES) as u64;
                self.note(case, &name, number, bytes, judged);
            }
            records += walk.notes.len() as u64;
            let to_end = at + wanted == len;
            (at, chain) = (at + walk.end, walk.chain);
            if at == len {
                break End::Whole;
            } else if to_end && walk.short {
                break End::Short(at);
            } else if to_end || walk.notes.is_empty() {
                break End::Fails(at);
            }
        };
        // A log is renamed with its first record: only the history may have none.
        let history = name.ends_with(HISTORY);
        let empty = records == 0 && !history;
        match end {
            End::Short(at) if (history || name == self.highest) && !empty => {
                case.find(Code::TornTail, &name, Some(at..len), None, "an unfinished record that was never shown");
            }
            End::Short(at) | End::Fails(at) => {
                let detail = "a record that is not what was written";
                case.find(Code::CheckpointAltered, &name, Some(at..len), None, detail);
            }
            End::Whole if empty => {
                case.find(Code::CheckpointAltered, &name, Some(0..len), None, "a log without a record");
            }
            End::Whole => {}
        }
        Ok((records, end))
    }

    fn note(
        &mut self,
        case: &mut Case<'_>,
        name: &str,
        file: usize,
        bytes: Range<u64>,
        judged: Result<(u64, Hash), (Code, &'static str)>,
    ) {
        let falls = |size| self.last.is_some_and(|last| size < last);
        let judged = judged.and_then(|(size, root)| match falls(size) {
            true => Err((Code::CheckpointAltered, "the size falls below the one before")),
            false => Ok((size, root)),
        });
        match judged {
            Ok((size, root)) => {
                self.last = Some(size);
                self.claims.push(Claim { size, root, file, bytes });
            }
            Err((code, detail)) => case.find(code, name, Some(bytes), None, detail),
        }
    }

    /// Compares all roots with those of the tree. `entries`: how many there are.
    pub(super) fn compare(&mut self, case: &mut Case<'_>, marks: &Marks, entries: u64) {
        if self.no_log && (entries > 0 || self.has_history) {
            let file = format!("checkpoints/{}", log_name(self.history_records + 1));
            case.find_missing(file, None, "there are entries and no log");
        }
        // Equal sizes keep their order.
        self.claims.sort_by_key(|claim| claim.size);
        let mut agreed = 0;
        for group in self.claims.chunk_by(|a, b| a.size == b.size) {
            let Some(first) = group.first() else { continue };
            let root = marks.root(first.size);
            for claim in group.iter().filter(|claim| claim.root != root.unwrap_or(first.root)) {
                let name = self.files.get(claim.file).map_or("", String::as_str);
                let (bytes, entries) = (Some(claim.bytes.clone()), Some(agreed..claim.size));
                case.find(Code::CheckpointInconsistent, name, bytes, entries, "signed over another tree");
            }
            if group.iter().any(|claim| Some(claim.root) == root) {
                agreed = first.size;
            }
        }
    }
}

/// Everything about a note but its root: size and root that it states.
fn judge_note(terms: &Terms<'_>, note: &[u8]) -> Result<(u64, Hash), (Code, &'static str)> {
    let note = Note::parse(note).map_err(|_| (Code::CheckpointAltered, "not a signed note"))?;
    let checkpoint = Checkpoint::parse(&note.text).map_err(|_| (Code::CheckpointAltered, "not a checkpoint"))?;
    if terms.origin.is_some_and(|origin| origin != checkpoint.origin) {
        return Err((Code::OriginOther, "the checkpoint is of another origin"));
    }
    if let Some(known) = terms.known {
        note.verify(&known.at(checkpoint.size, &checkpoint.origin)).map_err(|error| match error {
            NoteError::BadSignature { .. } => (Code::CheckpointForged, "a line fails under its known key"),
            _ => (Code::KeyUnknown, "no line is by a known key"),
        })?;
    }
    Ok((checkpoint.size, checkpoint.root))
}
