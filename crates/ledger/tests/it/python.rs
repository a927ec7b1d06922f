//! The Python verifier beside ours, on the same spoiled folders: one verdict, the same findings.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use ledger::Kind;
use ledger::durable::{Disk, OsDisk};
use ledger::verify::{FolderReport, VerifyError, VerifyOptions, verify_folder};
use testkit::{Progress, Rng, folder, is_ci};
use tlog::Vkey;

use crate::tamper::{Change, Victim, byte_changes, changed, spread, threads, whole_file_changes};
use crate::verify::{lines, made_anew, rewritten};

/// Judges a folder a line and answers in one: findings, notes and ledgers, in the words of `answer` below.
const DRIVER: &str = r#"
import sys
sys.path.insert(0, sys.argv[1])
import proofbook_verify as pv
def span(at):
    return "-" if at is None else "%d..%d" % tuple(at)
for line in sys.stdin:
    data, pin, vkeys = line.rstrip("\n").split("\t")
    try:
        report = pv.verify_folder(data, vkeys.split(), pin)
        out = sorted("%s %s %s %s %s" % (f.code, f.ledger or "-", f.file, span(f.bytes), span(f.entries))
                     for f in report.findings)
        out += ["note " + note for note in report.notes]
        out += ["ledger %s %s %s %s %s %s" % tuple(str(l[k]) for k in
                ("ledger", "name", "origin", "size", "checkpoint", "root")) for l in report.ledgers]
        out.append("verdict %s %d" % (report.verdict, report.exit))
    except FileNotFoundError:
        out = ["no such file"]
    print("\t".join(out), flush=True)
"#;

/// A Python that judges folders until it is dropped.
struct Python {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Python {
    /// `None`, said aloud, where there is no Python; in continuous integration there must be one.
    fn start() -> Option<Python> {
        let verifier = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../verifiers/python");
        let mut command = Command::new("python3");
        command.args(["-c", DRIVER]).arg(verifier).stdin(Stdio::piped()).stdout(Stdio::piped());
        match command.spawn() {
            Ok(mut child) => {
                let (ask, answers) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
                Some(Python { child, ask, answers })
            }
            Err(error) => {
                testkit::do_without("python3", error);
                None
            }
        }
    }

    fn judge(&mut self, data: &Path, pin: &Path, vkeys: &[Vkey]) -> Vec<String> {
        let vkeys: Vec<String> = vkeys.iter().map(ToString::to_string).collect();
        writeln!(self.ask, "{}\t{}\t{}", data.display(), pin.display(), vkeys.join(" ")).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert!(answer.ends_with('\n'), "the Python verifier died on {}", data.display());
        answer.trim_end_matches('\n').split('\t').map(str::to_owned).collect()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the driver prints, for our report.
fn answer(report: &FolderReport) -> Vec<String> {
    let text = |value: Option<String>| value.unwrap_or_else(|| "None".to_owned());
    let mut out = lines(report);
    out.extend(report.notes.iter().map(|note| format!("note {}", note.name())));
    out.extend(report.ledgers.iter().map(|l| {
        let (name, origin) = (text(l.name.clone()), text(l.origin.clone()));
        let (checkpoint, root) = (text(l.checkpoint.map(|c| c.to_string())), text(l.root.map(|r| r.b64())));
        format!("ledger {} {name} {origin} {} {checkpoint} {root}", l.ulid, l.size)
    }));
    let (verdict, exit) = report.verdict().row();
    out.push(format!("verdict {verdict} {exit}"));
    out
}

/// A victim on a real disk, where both can read it.
struct Stage {
    dir: tempfile::TempDir,
    victim: Victim,
    disk: Arc<dyn Disk>,
    python: Python,
}

impl Stage {
    fn new(kind: Kind, python: Python) -> Stage {
        let dir = tempfile::tempdir().unwrap();
        let victim = Victim::new(kind);
        victim.disk.write_out(dir.path()).unwrap();
        for folder in ["data/vault", "data/ledgers"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        Stage { dir, victim, disk: Arc::new(OsDisk), python }
    }

    fn place(&self, file: &Path) -> PathBuf {
        self.dir.path().join(file.strip_prefix("/").unwrap())
    }

    /// Brings the files that a change touches to what the simulated disk holds.
    fn sync(&self, change: &Change) {
        let with = if let Change::Swap { with, .. } = change { Some(with.as_path()) } else { None };
        for file in [Some(change.file()), with].into_iter().flatten() {
            match self.victim.disk.read_file(file) {
                Ok(bytes) => std::fs::write(self.place(file), bytes).unwrap(),
                Err(_) => std::fs::remove_file(self.place(file)).unwrap(),
            }
        }
    }

    /// Both verdicts on the folder as it is.
    fn compare(&mut self) -> Result<(), String> {
        self.compare_by(&[])
    }

    fn compare_by(&mut self, vkeys: &[Vkey]) -> Result<(), String> {
        let (data, pin) = (self.dir.path().join("data"), self.dir.path().join("pin"));
        let given = (!vkeys.is_empty()).then(|| vkeys.to_vec());
        let options = VerifyOptions { keys: Arc::new(move |_| given.clone()), ..folder::options(Some(&pin), 1) };
        let ours = match verify_folder(&self.disk, &data, &options, &|_| {}) {
            Ok(report) => answer(&report),
            Err(VerifyError::NoPin(_)) => vec!["no such file".to_owned()],
            Err(error) => panic!("{error}"),
        };
        let theirs = self.python.judge(&data, &pin, vkeys);
        if ours == theirs { Ok(()) } else { Err(format!("ours {ours:?}\n  python {theirs:?}")) }
    }

    fn try_one(&mut self, change: &Change) -> Result<(), String> {
        if !self.victim.apply(change) {
            return Ok(());
        }
        self.sync(change);
        let compared = self.compare();
        self.victim.undo(change);
        self.sync(change);
        compared.map_err(|difference| format!("{change:?}:\n  {difference}"))
    }
}

/// Changed bytes of a folder that both verifiers judge at the counts of continuous integration: Python takes ten times
/// as long as ours, which alone is tried on every one.
const BYTES: usize = 3_000;
/// Changed files.
const FILES: usize = 1_000;

/// What both are tried on: of all that ours is tried on a sample, drawn anew for each kind but the same in each run.
fn sample(victim: &Victim, seed: u64) -> Vec<Change> {
    let mut rng = Rng::new(seed);
    let mut draw = |mut all: Vec<Change>, count: usize| {
        let count = count.min(all.len());
        for at in 0..count {
            let other = at + rng.below_usize(all.len() - at);
            all.swap(at, other);
        }
        all.truncate(count);
        all
    };
    // A short run draws from fewer.
    let (bytes, files) = if is_ci() { (BYTES, FILES) } else { (BYTES / 20, FILES / 30) };
    let mut changes = draw(byte_changes(victim), bytes);
    changes.extend(draw(whole_file_changes(victim), files));
    changes
}

fn try_all(kind: Kind, changes: &[Change], thread: usize, progress: &Progress) -> Option<Vec<String>> {
    let mut stage = Stage::new(kind, Python::start()?);
    stage.compare().unwrap();
    let mut differ = Vec::new();
    for change in changes.iter().skip(thread).step_by(threads()) {
        differ.extend(stage.try_one(change).err());
        progress.step();
    }
    stage.compare().unwrap();
    Some(differ)
}

#[test]
fn two_verifiers_say_the_same() {
    for (kind, seed) in [(Kind::Audit, 1), (Kind::Raw, 2)] {
        let changes = sample(&Victim::new(kind), seed);
        let progress = Progress::new(format!("{kind:?} folder, two verifiers"), changes.len() as u64);
        let done = spread(threads(), |thread| try_all(kind, &changes, thread, &progress));
        let Some(done) = done.into_iter().collect::<Option<Vec<_>>>() else { return };
        let (differ, tried) = (done.concat(), changes.len());
        let shown = differ.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
        assert!(differ.is_empty(), "{} of {tried} {kind:?} changes differ:\n{shown}", differ.len());
        assert!(tried >= 150, "only {tried} changes were compared");
        progress.end();
    }
}

/// Bodies as long as real ones, in frames with all that the format has: Huffman trees, four streams, long matches.
#[test]
fn two_verifiers_say_the_same_of_damaged_frames() {
    let Some(mut python) = Python::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let (data, pin) = (dir.path().join("data"), dir.path().join("pin"));
    let mut made = folder::Folder::create(&disk, &data, &pin, Kind::Audit, 1_000).unwrap();
    for body_bytes in [760, 3_000] {
        made.append(256, body_bytes).unwrap();
        made.checkpoint().unwrap();
        made.seal().unwrap();
    }
    let mut rng = Rng::new(5);
    let changes = if is_ci() { 600 } else { 60 };
    let progress = Progress::new("damaged frames, two verifiers", 2 * changes as u64);
    for name in ["00000000000000000000.bodies", "00000000000000000256.bodies"] {
        let path = data.join("ledgers").join(folder::ULID).join("sealed").join(name);
        let whole = std::fs::read(&path).unwrap();
        for n in 0..changes {
            // The first bytes are the headers and trees of the frame.
            let at = if n < changes / 4 { 24 + n } else { rng.below_usize(whole.len()) };
            let mut bytes = whole.clone();
            bytes[at] = changed(bytes[at], n % 4);
            std::fs::write(&path, &bytes).unwrap();
            let report = verify_folder(&disk, &data, &folder::options(Some(&pin), 1), &|_| {}).unwrap();
            assert_eq!(answer(&report), python.judge(&data, &pin, &[]), "{name}, byte {at}, way {}", n % 4);
            assert!(report.exit() != 0, "{name}, byte {at}");
            progress.step();
        }
        std::fs::write(&path, &whole).unwrap();
    }
    progress.end();
}

/// Keys that are given, in full, in part, of a stranger; and `keys` of the log beside that of another.
#[test]
fn two_verifiers_say_the_same_by_given_keys() {
    let Some(python) = Python::start() else { return };
    let mut stage = Stage::new(Kind::Raw, python);
    let own = folder::signer().vkeys();
    let stranger = testkit::keys::signer(folder::ORIGIN, 77);
    let file = stage.place(Path::new("/data/ledgers")).join(folder::ULID).join("keys");
    let whole = std::fs::read(&file).unwrap();
    let other = format!("[\"{}\"]\n", stranger.key_note(0).replace('\n', "\\n"));
    for keys in [whole.clone(), other.into_bytes(), whole[1..].to_vec()] {
        std::fs::write(&file, keys).unwrap();
        for given in [&own[..], &own[..1], &own[1..], &stranger.vkeys(), &[]] {
            stage.compare_by(given).unwrap();
        }
    }
}

/// What somebody does who knows the formats: no file fails by itself.
#[test]
fn two_verifiers_say_the_same_of_what_was_made_anew() {
    let Some(mut python) = Python::start() else { return };
    for disk in [rewritten(), made_anew()] {
        let dir = tempfile::tempdir().unwrap();
        disk.write_out(dir.path()).unwrap();
        let (data, pin) = (dir.path().join("data"), dir.path().join("pin"));
        let door: Arc<dyn Disk> = Arc::new(OsDisk);
        let report = verify_folder(&door, &data, &folder::options(Some(&pin), 2), &|_| {}).unwrap();
        assert!(report.exit() != 0);
        assert_eq!(answer(&report), python.judge(&data, &pin, &[]));
    }
}
