//! The Python verifier beside ours, on the same spoiled folders: one verdict, the same findings.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use ledger::Kind;
use ledger::durable::{Disk, OsDisk};
use ledger::verify::{FolderReport, VerifyError, VerifyOptions, verify_folder};
use testkit::{Rng, folder};
use tlog::Vkey;

use crate::tamper::{Change, Victim, byte_changes, changed, is_ci, whole_file_changes};
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
                assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "no python3: {error}");
                eprintln!("SKIPPED: the Python verifier is not compared, there is no python3 ({error})");
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

fn try_all(kind: Kind, thread: usize, threads: usize) -> Option<(Vec<String>, usize)> {
    let mut stage = Stage::new(kind, Python::start()?);
    stage.compare().unwrap();
    // A short run takes every so-many-th byte of those that ours is tried on, and of the whole files every seventh.
    let (bytes, files) = if is_ci() { (1, 1) } else { (11, 7) };
    let mut changes: Vec<Change> = byte_changes(&stage.victim).into_iter().step_by(bytes).collect();
    changes.extend(whole_file_changes(&stage.victim).into_iter().step_by(files));
    let mut differ = Vec::new();
    for change in changes.iter().skip(thread).step_by(threads) {
        differ.extend(stage.try_one(change).err());
    }
    stage.compare().unwrap();
    Some((differ, changes.len()))
}

#[test]
fn two_verifiers_say_the_same() {
    let threads = if is_ci() { std::thread::available_parallelism().map_or(1, usize::from) } else { 1 };
    for (kind, least) in [(Kind::Audit, 250), (Kind::Raw, 120)] {
        let done = std::thread::scope(|scope| {
            let all: Vec<_> = (0..threads).map(|at| scope.spawn(move || try_all(kind, at, threads))).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).collect::<Option<Vec<_>>>()
        });
        let Some(done) = done else { return };
        let tried = done[0].1;
        let differ: Vec<String> = done.into_iter().flat_map(|(differ, _)| differ).collect();
        let shown = differ.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
        assert!(differ.is_empty(), "{} of {tried} {kind:?} changes differ:\n{shown}", differ.len());
        assert!(tried >= least, "only {tried} changes were compared");
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
    let changes = if is_ci() { 1_500 } else { 60 };
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
        }
        std::fs::write(&path, &whole).unwrap();
    }
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
