//! Judges a whole data folder offline, byte by byte, without changing it (docs/formats/verdicts.md).
//!
//! Goes on after damage as far as anything can still be judged, and holds no more in memory than one window of bundles,
//! the blocks it reads ahead, and a few dozen bytes a checkpoint. Leaves and bodies stay opaque: which digest a leaf
//! names for its body is a function handed in. It takes no lock: on a folder that a server writes to at the same time
//! it may call a change damage.

mod blocks;
mod case;
mod checkpoints;
mod identity;
mod names;
mod pin;
mod report;
mod sealed;
mod segments;
mod tree;

pub use identity::{KEYS_BYTES_MAX, Keys, Known, judge_keys as judge_key_file};
pub use report::{FINDINGS_MAX, FolderReport, LedgerSummary, Located, Note};

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tlog::Vkey;

use crate::about;
use crate::durable::Disk;
use crate::sealed::file_name;
use crate::segment;
use crate::types::BodyDigest;
use crate::verdict::{Code, Finding};
use case::{Case, Small};
use identity::{Identity, Ledger};
use names::{LedgerNames, Strange, is_newer, is_ulid};
use pin::Pins;
use segments::{Others, Segment};
use tree::Marks;

const FORMAT: &[u8] = b"proofbook-data 1\n";
const FORMAT_BYTES_MAX: u64 = 64;

/// The keys that are known for an origin; `None`: the folder's own are taken, and a note says so.
pub type KeysFor = Arc<dyn Fn(&str) -> Option<Vec<Vkey>> + Send + Sync>;

/// By what a folder is judged.
#[derive(Clone)]
pub struct VerifyOptions {
    /// The digest that a leaf names for its body.
    pub body_digest: BodyDigest,
    /// Keys that sign checkpoints.
    pub keys: KeysFor,
    /// The pin file; an error if it does not exist.
    pub pin: Option<PathBuf>,
    /// Only the ledger of this name or ULID.
    pub ledger: Option<String>,
    /// Threads to work with, this one included.
    pub threads: usize,
}

/// How far a verification has come, in bytes of segments, leaves and bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Judged so far.
    pub done: u64,
    /// To judge in all.
    pub total: u64,
}

/// Why nothing can be said: no verdict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The pin file that was named does not exist.
    #[error("there is no pin file {}", .0.display())]
    NoPin(PathBuf),
    /// No ledger has the name or ULID that was asked for.
    #[error("the folder has no ledger {0}")]
    NoLedger(String),
    /// The system refuses to read.
    #[error("{call} {}", .path.display())]
    Io {
        /// The call.
        call: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

impl VerifyError {
    pub(crate) fn io(call: &'static str, path: &Path) -> impl FnOnce(io::Error) -> VerifyError + use<> {
        let path = path.to_path_buf();
        move |source| VerifyError::Io { call, path, source }
    }
}

/// Counts what is done.
struct Steps<'a> {
    progress: &'a dyn Fn(Progress),
    done: Cell<u64>,
    total: u64,
}

impl Steps<'_> {
    fn advance(&self, bytes: u64) {
        // Files of other lengths than their manifest's are counted by it.
        self.done.set(self.done.get().saturating_add(bytes).min(self.total));
        (self.progress)(Progress { done: self.done.get(), total: self.total });
    }
}

/// Judges a data folder. Blocking; writes nothing and takes no lock.
///
/// `progress` is called on this thread, after every block and sealed set.
/// Errors: only where the system refuses to read, or an option names what is not there; damage is a finding.
pub fn verify_folder(
    disk: &Arc<dyn Disk>,
    data: &Path,
    options: &VerifyOptions,
    progress: &dyn Fn(Progress),
) -> Result<FolderReport, VerifyError> {
    let disk = &**disk;
    let mut report = FolderReport::default();
    let names = disk.list(data).map_err(VerifyError::io("list", data))?;
    if !judge_format(disk, data, &mut report)? {
        return Ok(report);
    }
    let ulids = judge_names(disk, data, &names, &mut report)?;
    let pins = match &options.pin {
        Some(path) => Pins::read(disk, path, &mut report)?,
        None => Pins::default(),
    };
    let asked = |ulid: &String| match &options.ledger {
        Some(asked) => Ok(asked == ulid || name_of(disk, data, ulid)?.as_ref() == Some(asked)),
        None => Ok(true),
    };
    let mut chosen = Vec::new();
    for ulid in ulids {
        if asked(&ulid)? {
            chosen.push(ulid);
        }
    }
    if let (Some(asked), true) = (&options.ledger, chosen.is_empty()) {
        return Err(VerifyError::NoLedger(asked.clone()));
    }
    let total = chosen.iter().map(|ulid| bytes_of(disk, &ledger_dir(data, ulid))).sum::<Result<u64, _>>()?;
    let steps = Steps { progress, done: Cell::new(0), total };
    steps.advance(0);
    let mut all_whole = true;
    for ulid in &chosen {
        let case = Case::new(disk, ledger_dir(data, ulid), ulid, options, &mut report, &steps);
        let (summary, whole) = judge_ledger(case, &pins)?;
        all_whole &= whole;
        report.ledgers.push(summary);
        report.note(Note::Unwitnessed);
    }
    if all_whole && options.ledger.is_none() {
        let ledgers = std::mem::take(&mut report.ledgers);
        let origins: Vec<&str> = ledgers.iter().filter_map(|ledger| ledger.origin.as_deref()).collect();
        pins.judge_gone(&origins, &mut report);
        report.ledgers = ledgers;
    }
    Ok(report)
}

fn ledger_dir(data: &Path, ulid: &str) -> PathBuf {
    data.join("ledgers").join(ulid)
}

/// `FORMAT`; false where nothing else is judged.
fn judge_format(disk: &dyn Disk, data: &Path, report: &mut FolderReport) -> Result<bool, VerifyError> {
    let mut find = |code, bytes, detail: &'static str| {
        report.find(None, Finding { code, file: "FORMAT".to_owned(), bytes, entries: None, detail: detail.into() });
    };
    let Some(small) = Small::read(disk, &data.join("FORMAT"), FORMAT_BYTES_MAX)? else {
        find(Code::FileMissing, None, "a data folder has it");
        return Ok(true);
    };
    if small.bytes == FORMAT {
        return Ok(true);
    }
    let newer = small.bytes.strip_suffix(b"\n").is_some_and(|line| is_newer(line, "proofbook-data "));
    match newer {
        true => find(Code::FormatNewer, small.all(), "of a version that this release does not know"),
        false => find(Code::FileAltered, small.all(), "not the line `proofbook-data 1`"),
    }
    Ok(!newer)
}

/// Names in the data folder and in `ledgers/`; gives the folders of ledgers.
fn judge_names(
    disk: &dyn Disk,
    data: &Path,
    names: &[String],
    report: &mut FolderReport,
) -> Result<Vec<String>, VerifyError> {
    let mut strange = Strange::default();
    for name in names {
        match name.as_str() {
            "FORMAT" | "LOCK" | "bootstrap.token" | "ledgers" | "vault" | "views" => {}
            _ => strange.add("", name),
        }
    }
    let mut ulids = Vec::new();
    let dir = data.join("ledgers");
    match names::list(disk, &dir).map_err(VerifyError::io("list", &dir))? {
        None => {
            let detail = "a data folder has it";
            let file = "ledgers".to_owned();
            report.find(
                None,
                Finding { code: Code::FileMissing, file, bytes: None, entries: None, detail: detail.into() },
            );
        }
        Some(ledgers) => {
            for name in ledgers {
                let folder = dir.join(&name);
                let is_folder = || names::list(disk, &folder).map_err(VerifyError::io("list", &folder));
                if is_ulid(&name) && is_folder()?.is_some() {
                    ulids.push(name);
                } else {
                    strange.add("ledgers/", &name);
                }
            }
        }
    }
    tell_strange(strange, |code, file, detail| {
        report.find(None, Finding { code, file, bytes: None, entries: None, detail: detail.into() });
    });
    ulids.sort_unstable();
    Ok(ulids)
}

fn tell_strange(strange: Strange, mut find: impl FnMut(Code, String, &'static str)) {
    for name in strange.unfinished {
        find(Code::Unfinished, name, "unfinished work of a crash");
    }
    for name in strange.unknown {
        find(Code::FileUnknown, name, "no such name belongs here");
    }
}

/// The name in a ledger's `LEDGER`, if it can be read.
fn name_of(disk: &dyn Disk, data: &Path, ulid: &str) -> Result<Option<String>, VerifyError> {
    let small = Small::read(disk, &ledger_dir(data, ulid).join("LEDGER"), about::LEDGER_BYTES_MAX)?;
    let text = small.and_then(|small| String::from_utf8(small.bytes).ok());
    Ok(text.and_then(|text| about::decode(&text, ulid)).map(|about| about.name))
}

/// Bytes that `Steps` counts.
fn bytes_of(disk: &dyn Disk, dir: &Path) -> Result<u64, VerifyError> {
    let names = LedgerNames::read(disk, dir, &mut Strange::default()).map_err(VerifyError::io("list", dir))?;
    let sets = names.sets.iter().flat_map(|(first, extensions)| {
        let counted = extensions.iter().filter(|extension| matches!(**extension, "leaves" | "bodies"));
        counted.map(|extension| dir.join("sealed").join(file_name(*first, extension)))
    });
    let segments = names.segments.iter().map(|number| dir.join("wal").join(segment::name(*number)));
    sets.chain(segments)
        .map(|path| disk.open(&path).and_then(|file| file.len()).map_err(VerifyError::io("measure", &path)))
        .sum()
}

/// One ledger in the order of the page; also says whether its `LEDGER` is whole.
fn judge_ledger(mut case: Case<'_>, pins: &Pins) -> Result<(LedgerSummary, bool), VerifyError> {
    let case = &mut case;
    let mut strange = Strange::default();
    let listed = LedgerNames::read(case.disk, &case.dir, &mut strange);
    let names = listed.map_err(case.io("list", ""))?;
    tell_strange(strange, |code, file, detail| case.find(code, &file, None, None, detail));
    let mut summary = LedgerSummary { ulid: case.ulid.to_owned(), ..LedgerSummary::default() };
    let mut segments = segments::survey(case, &names)?;
    let Some((mut identity, name)) = judge_about(case, &names, &segments)? else {
        return Ok((summary, false));
    };
    let whole = identity.kind.is_some();
    summary.name = name;
    let keys = judge_keys(case, &identity)?;
    identity.origin = identity.origin.or_else(|| keys.as_ref().map(|keys| keys.origin.clone()));
    summary.origin.clone_from(&identity.origin);
    segments.iter_mut().for_each(|segment| segment.judge_owner(identity.about));
    let known = match (case.options.keys)(identity.origin.as_deref().unwrap_or("")) {
        Some(given) => {
            let (known, listed) = Known::given(given, keys.as_ref());
            if let Some(keys) = keys.as_ref().filter(|_| !listed) {
                case.find(Code::KeysAltered, "keys", Some(0..keys.bytes), None, "none of the given keys is in it");
            }
            Some(known)
        }
        None => {
            case.report.note(Note::OwnKeys);
            Known::own(keys.as_ref())
        }
    };
    let line = pins.of(identity.origin.as_deref());
    let mut checkpoints = checkpoints::read(case, &names, &identity, known.as_ref())?;
    let mut marks = Marks::new(checkpoints.sizes().into_iter().chain(line.map(|line| line.size)).collect());
    let start = segments.first().and_then(Segment::start);
    let sealed = sealed::judge(case, &names, &identity, start, &mut marks)?;
    let others = Others { checkpoint: checkpoints.last.unwrap_or(0), pin: line.map_or(0, |line| line.size) };
    let reached = segments::judge(case, &segments, &identity, sealed, others, &mut marks)?;
    sealed::judge_unfinished(case, &names, start);
    checkpoints.compare(case, &marks, reached.size);
    pin::judge(case, line, &reached, &checkpoints, &marks);
    (summary.size, summary.root, summary.checkpoint) = (reached.size, reached.root, checkpoints.last);
    Ok((summary, whole))
}

/// `LEDGER`, with its name; `None` where nothing of this ledger is judged.
fn judge_about(
    case: &mut Case<'_>,
    names: &LedgerNames,
    segments: &[Segment],
) -> Result<Option<(Identity, Option<String>)>, VerifyError> {
    let first_set = sealed::about_of_first(case, names)?;
    let held: Vec<_> = first_set.into_iter().chain(segments.iter().filter_map(Segment::about)).collect();
    let unknown = || Identity { about: held.first().copied(), ..Identity::default() };
    let Some(small) = Small::read(case.disk, &case.dir.join("LEDGER"), about::LEDGER_BYTES_MAX)? else {
        case.find_missing("LEDGER".to_owned(), None, "every ledger has it");
        return Ok(Some((unknown(), None)));
    };
    match identity::judge_ledger(&small.bytes, case.ulid, &held) {
        Ledger::Newer => {
            let detail = "of a version that this release does not know";
            case.find(Code::FormatNewer, "LEDGER", small.all(), None, detail);
            Ok(None)
        }
        Ledger::Altered(about, detail) => {
            case.find(Code::LedgerAltered, "LEDGER", small.all(), None, detail);
            Ok(Some((unknown(), about.map(|about| about.name))))
        }
        Ledger::Whole(about, digest) => {
            let (origin, kind) = (Some(about.origin), Some(about.kind));
            Ok(Some((Identity { about: Some(digest), origin, kind }, Some(about.name))))
        }
    }
}

/// `keys`, where it is whole.
fn judge_keys(case: &mut Case<'_>, identity: &Identity) -> Result<Option<Keys>, VerifyError> {
    let Some(small) = Small::read(case.disk, &case.dir.join("keys"), KEYS_BYTES_MAX)? else {
        case.find_missing("keys".to_owned(), None, "every ledger has it");
        return Ok(None);
    };
    match identity::judge_keys(&small.bytes, identity.origin.as_deref()) {
        Ok(keys) => Ok(Some(keys)),
        Err(detail) => {
            case.find(Code::KeysAltered, "keys", small.all(), None, detail);
            Ok(None)
        }
    }
}
