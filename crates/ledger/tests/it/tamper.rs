//! Every byte of a whole data folder changed in four ways, every file cut, removed, swapped and put back: each is
//! found, at the file that was touched, or explained as docs/formats/verdicts.md allows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ledger::verify::{FolderReport, verify_folder};
use ledger::{Code, Kind};
use testkit::folder::{self, ULID, Until};
use testkit::{Progress, SimDisk, is_ci};

use crate::verify::{data, lines, pin, small};

/// One change to a folder.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Byte { file: PathBuf, at: usize, way: usize },
    Cut { file: PathBuf, len: usize },
    Grow { file: PathBuf },
    Remove { file: PathBuf },
    Swap { file: PathBuf, with: PathBuf },
    Older { file: PathBuf },
}

impl Change {
    pub(crate) fn file(&self) -> &Path {
        match self {
            Change::Byte { file, .. }
            | Change::Cut { file, .. }
            | Change::Grow { file }
            | Change::Remove { file }
            | Change::Swap { file, .. }
            | Change::Older { file } => file,
        }
    }
}

/// The four ways to change a byte.
pub(crate) fn changed(byte: u8, way: usize) -> u8 {
    match way {
        0 => byte ^ 0x01,
        1 => byte ^ 0x80,
        2 if byte == 0 => 0xff,
        2 => 0,
        _ => byte.wrapping_add(1),
    }
}

/// A folder with its bytes in hand, so that a change is undone by writing one file.
pub(crate) struct Victim {
    pub(crate) disk: SimDisk,
    pub(crate) whole: BTreeMap<PathBuf, Vec<u8>>,
    pub(crate) older: BTreeMap<PathBuf, Vec<u8>>,
}

impl Victim {
    pub(crate) fn new(kind: Kind) -> Victim {
        let read = |disk: &SimDisk| -> BTreeMap<PathBuf, Vec<u8>> {
            disk.files().into_iter().map(|path| (path.clone(), disk.read_file(&path).unwrap())).collect()
        };
        let disk = small(kind, Until::Today);
        Victim { whole: read(&disk), older: read(&small(kind, Until::Yesterday)), disk }
    }

    pub(crate) fn bytes(&self, file: &Path) -> &[u8] {
        &self.whole[file]
    }

    /// Files to touch: all but `LOCK`, which has no content, and what no verifier judges.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let judged = |path: &&PathBuf| !path.ends_with("LOCK") && !path.starts_with("/data/views");
        self.whole.keys().filter(judged).cloned().collect()
    }

    /// Does it; false where it changes nothing.
    pub(crate) fn apply(&self, change: &Change) -> bool {
        let put = |file: &Path, bytes: &[u8]| self.disk.write_file(file, bytes).unwrap();
        match change {
            Change::Byte { file, at, way } => {
                let mut bytes = self.bytes(file).to_vec();
                bytes[*at] = changed(bytes[*at], *way);
                put(file, &bytes);
            }
            Change::Cut { file, len } => put(file, &self.bytes(file)[..*len]),
            Change::Grow { file } => put(file, &[self.bytes(file), b"surplus"].concat()),
            Change::Remove { file } => self.disk.delete_file(file).unwrap(),
            Change::Swap { file, with } => {
                put(file, self.bytes(with));
                put(with, self.bytes(file));
            }
            Change::Older { file } => match self.older.get(file) {
                Some(older) if older != self.bytes(file) => put(file, older),
                _ => return false,
            },
        }
        true
    }

    pub(crate) fn undo(&self, change: &Change) {
        let mut files = vec![change.file()];
        if let Change::Swap { with, .. } = change {
            files.push(with);
        }
        for file in files {
            self.disk.write_file(file, self.bytes(file)).unwrap();
        }
    }

    pub(crate) fn judge(&self, with_pin: bool) -> FolderReport {
        let pin = pin();
        let options = folder::options(with_pin.then_some(&*pin), 1);
        verify_folder(&self.disk.door(), &data(), &options, &|_| {}).unwrap()
    }
}

/// As many as the machine has at the counts of continuous integration, else one.
pub(crate) fn threads() -> usize {
    if is_ci() { std::thread::available_parallelism().map_or(1, usize::from) } else { 1 }
}

/// Does the same on several threads, each told its number.
pub(crate) fn spread<T: Send>(threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let work = &work;
        let all: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Relative to what findings are relative to.
pub(crate) fn named(file: &Path) -> String {
    let file = file.to_string_lossy();
    let ledger = format!("/data/ledgers/{ULID}/");
    let name = file.strip_prefix(&ledger).or(file.strip_prefix("/data/")).or(file.strip_prefix("/"));
    name.unwrap_or(&file).to_owned()
}

fn is_damage(report: &FolderReport) -> bool {
    report.exit() != 0
}

/// Behind this byte a segment holds a torn tail that the next segment explains.
const TORN: &[u8] = b"PBLK torn";

/// Bytes that nobody promised: a torn tail that is explained.
fn is_torn(victim: &Victim, file: &Path, at: usize) -> bool {
    let bytes = victim.bytes(file);
    file.extension().is_some_and(|e| e == "wal") && bytes.ends_with(TORN) && at >= bytes.len() - TORN.len()
}

/// Every byte in four ways; of a raw ledger's files those that are like an audit ledger's in one way. A short run takes
/// every so-many-th change, and each byte of small files in one way.
pub(crate) fn byte_changes(victim: &Victim) -> Vec<Change> {
    let is_raw = !victim.files().iter().any(|file| file.extension().is_some_and(|e| e == "bodies"));
    let mut all = Vec::new();
    let mut number = 0_usize;
    for file in victim.files() {
        let bytes = victim.bytes(&file).len();
        let name = named(&file);
        let alike = is_raw && (name.starts_with("checkpoints/") || ["FORMAT", "keys", "pin"].contains(&&*name));
        for (at, way) in (0..bytes).flat_map(|at| (0..4).map(move |way| (at, way))) {
            number += 1;
            let long = is_ci() && (!alike || way == at % 4);
            if long || number.is_multiple_of(197) || (bytes < 300 && way == at % 4) {
                all.push(Change::Byte { file: file.clone(), at, way });
            }
        }
    }
    all
}

/// Tries those changes that fall to one of several threads; gives what was not found.
fn try_bytes(victim: &Victim, mine: impl Iterator<Item = Change>, progress: &Progress) -> Vec<String> {
    let mut bad = Vec::new();
    for change in mine {
        assert!(victim.apply(&change));
        let report = victim.judge(true);
        victim.undo(&change);
        progress.step();
        let Change::Byte { file, at, .. } = &change else { continue };
        let (name, found) = (named(file), lines(&report));
        let there = found.iter().any(|line| line.split(' ').nth(2) == Some(&name));
        // Without its last line feed the pin has an unfinished last line.
        let explained = is_torn(victim, file, *at) || (name == "pin" && there && at + 1 == victim.bytes(file).len());
        if !(explained || is_damage(&report) && there) {
            bad.push(format!("{change:?}: {found:?}"));
        }
    }
    assert_eq!(lines(&victim.judge(true)), Vec::<String>::new(), "the folder was not put back");
    bad
}

#[test]
fn every_changed_byte_is_found_where_it_is() {
    for (kind, least) in [(Kind::Audit, 1_500), (Kind::Raw, 800)] {
        let victim = Victim::new(kind);
        let tried = byte_changes(&victim).len();
        let bytes: usize = victim.files().iter().map(|file| victim.bytes(file).len()).sum();
        assert!(!is_ci() || kind == Kind::Raw || tried == 4 * bytes, "{tried} changes of {bytes} bytes");
        let progress = Progress::new(format!("{kind:?} folder, changed bytes"), tried as u64);
        let bad = spread(threads(), |thread| {
            let victim = Victim::new(kind);
            let mine = byte_changes(&victim).into_iter().skip(thread).step_by(threads());
            try_bytes(&victim, mine, &progress)
        })
        .concat();
        assert!(bad.is_empty(), "{} of {tried} were not found:\n{}", bad.len(), bad[..bad.len().min(30)].join("\n"));
        assert!(tried >= least, "only {tried} changes were tried");
        progress.end();
    }
}

/// Every change to a whole file: cut, grown, removed, swapped with each sibling, put back to an older state.
pub(crate) fn whole_file_changes(victim: &Victim) -> Vec<Change> {
    let mut all = Vec::new();
    for file in victim.files() {
        let len = victim.bytes(&file).len();
        // Small files at every length, at the counts of continuous integration.
        let step = (len / if is_ci() { 600 } else { 7 }).max(1);
        let mut cuts: Vec<usize> =
            (0..len).step_by(step).chain([1, 24, 255, 256, len - 1]).filter(|c| *c < len).collect();
        cuts.sort_unstable();
        cuts.dedup();
        all.extend(cuts.into_iter().map(|len| Change::Cut { file: file.clone(), len }));
        all.push(Change::Grow { file: file.clone() });
        all.push(Change::Remove { file: file.clone() });
        all.push(Change::Older { file: file.clone() });
        let siblings = victim.files().into_iter().filter(|with| *with > file && with.parent() == file.parent());
        all.extend(siblings.map(|with| Change::Swap { file: file.clone(), with }));
    }
    all
}

/// What a change to a whole file may be told as, beside damage that names the file.
fn is_explained(victim: &Victim, change: &Change, report: &FolderReport) -> bool {
    let name = named(change.file());
    let codes: Vec<Code> = report.findings.iter().map(|at| at.finding.code).collect();
    let only = |allowed: &[Code]| codes.iter().all(|code| allowed.contains(code));
    let last = victim.files().into_iter().rfind(|file| file.extension().is_some_and(|e| e == "wal"));
    let is_last = last.as_deref() == Some(change.file());
    let is_empty = victim.bytes(change.file()).len() == 256;
    match change {
        // Behind the last whole record or line all looks like an unfinished one, and the pin knows what is gone.
        Change::Cut { .. } if name.ends_with("2.log") => {
            !codes.is_empty() && only(&[Code::TornTail, Code::CheckpointMissing, Code::UnsignedTail])
        }
        // A shorter pin knows less: nothing more can be told.
        Change::Cut { .. } | Change::Older { .. } if name == "pin" => only(&[Code::TornTail]),
        Change::Cut { len, .. } => is_torn(victim, change.file(), *len) && codes.is_empty(),
        // What is written behind the end of a closed segment was never promised and is read by nobody.
        Change::Grow { .. } if name.starts_with("wal/") && !is_last => codes.is_empty(),
        Change::Grow { .. } if name.starts_with("wal/") || name.starts_with("checkpoints/") || name == "pin" => {
            codes == [Code::TornTail]
        }
        // The torn tail came later.
        Change::Older { file } => is_torn(victim, file, victim.older[file].len()) && codes.is_empty(),
        // Nothing is gone with a segment that holds nothing.
        Change::Remove { .. } => is_last && is_empty && codes.is_empty(),
        _ => false,
    }
}

/// Whether damage is told at the file that was touched.
fn is_found(victim: &Victim, change: &Change, report: &FolderReport) -> bool {
    let name = named(change.file());
    let segments: Vec<PathBuf> =
        victim.files().into_iter().filter(|file| file.extension().is_some_and(|e| e == "wal")).collect();
    let there = |name: &str| report.findings.iter().any(|at| at.finding.file == name);
    let at = segments.iter().position(|segment| segment == change.file());
    let other = match (change, at) {
        (Change::Swap { with, .. }, _) => there(&named(with)),
        // A first segment that is gone leaves no trace of itself: what should reach up to the next one is named.
        (Change::Remove { .. }, Some(0)) => {
            there("sealed/00000000000000000512.seal") || there("sealed/00000000000000000256.seal")
        }
        // Nor does a last one: the end of the one before is named.
        (Change::Remove { .. }, Some(at)) if at + 1 == segments.len() => there(&named(&segments[at - 1])),
        _ => false,
    };
    report.exit() != 0 && (there(&name) || other)
}

#[test]
fn files_that_are_cut_removed_swapped_or_put_back_are_found() {
    for kind in [Kind::Audit, Kind::Raw] {
        let tried = whole_file_changes(&Victim::new(kind)).len();
        let progress = Progress::new(format!("{kind:?} folder, changed files"), tried as u64);
        spread(threads(), |thread| {
            let victim = Victim::new(kind);
            for change in whole_file_changes(&victim).into_iter().skip(thread).step_by(threads()) {
                progress.step();
                let pin_gone = change.file().ends_with("pin") && matches!(change, Change::Remove { .. });
                if pin_gone || !victim.apply(&change) {
                    continue;
                }
                let report = victim.judge(true);
                let told = is_found(&victim, &change, &report) || is_explained(&victim, &change, &report);
                assert!(told, "{kind:?} {change:?}: {:?}", lines(&report));
                victim.undo(&change);
            }
            assert_eq!(lines(&victim.judge(true)), Vec::<String>::new(), "the folder was not put back");
        });
        assert!(tried >= 200, "only {tried} changes were tried");
        progress.end();
    }
}

#[test]
fn an_older_state_of_the_whole_folder_is_a_rollback() {
    let victim = Victim::new(Kind::Audit);
    for file in victim.files().iter().filter(|file| file.starts_with(data())) {
        victim.disk.delete_file(file).unwrap();
    }
    for (file, bytes) in victim.older.iter().filter(|(file, _)| file.starts_with(data())) {
        victim.disk.write_file(file, bytes).unwrap();
    }
    let last = victim.bytes(&pin()).len();
    let line = victim.bytes(&pin())[..last - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    assert_eq!(lines(&victim.judge(true)), [format!("rollback {ULID} pin {line}..{last} 517..521")]);
    // Without the pin nothing tells.
    let report = victim.judge(false);
    assert_eq!((lines(&report).len(), report.exit()), (0, 0));
}
