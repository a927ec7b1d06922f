//! `proofbook verify DIR` of a data folder, and `proofbook fsck`: one judgement, shown for people or as JSON.
//!
//! Reads only. Which findings there are is decided by the ledger's verifier; here is how they are shown.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use ledger::Code;
use ledger::verify::{FolderReport, Located, Note};
use serde_json::{Value, json};
use tlog::Vkey;

use crate::cli::{Fsck, Global, Verify};
use crate::judge::folder::{Terms, judge, to_json};
use crate::known::KnownLedgers;
use crate::{Exit, output, serving};

/// Findings that are shown to people; `--json` names all.
const SHOWN_MAX: usize = 50;

/// Whether a folder is a data folder, whole or not.
pub(crate) fn is_data_folder(path: &Path) -> bool {
    path.join("FORMAT").exists() || path.join("ledgers").is_dir()
}

/// `proofbook verify DIR`.
pub(crate) fn verify(global: &Global, flags: &Verify, data: &Path, vkeys: Vec<Vkey>) -> Result<Exit> {
    let running = matches!(lock(data)?, Lock::Held);
    if running {
        output::note(
            "note: a server runs on this folder: what it writes meanwhile may look like damage; a damaged verdict \
             counts once it is repeated on a copy or on the stopped server",
        );
    }
    let known = Some(KnownLedgers::open(flags.known_ledgers.as_deref())?);
    let pin = flags.pin.clone().or_else(|| default_pin(data));
    let report = judged(global, data, Terms { vkeys, known, pin, ledger: flags.ledger.clone() })?;
    if global.json {
        output::json(&to_json(&report));
    } else {
        show(&report);
    }
    Ok(Exit::Verdict(report.exit()))
}

/// `proofbook fsck`: the same on a stopped server's folder, and what its next start will do.
pub(crate) fn fsck(global: &Global, flags: &Fsck) -> Result<Exit> {
    let data = &flags.data;
    if !is_data_folder(data) {
        bail!("{} is no data folder: it has neither FORMAT nor ledgers/", data.display());
    }
    // Held to the end, so that no server starts on what is being judged.
    let _lock = match lock(data)? {
        Lock::Held => bail!(
            "a server runs on {}: its lock is held\nhint: stop it first, or check it from outside with \
             `proofbook verify URL`",
            data.display()
        ),
        Lock::Ours(files) => files,
    };
    let vkeys = crate::cmd::verify::parse_vkeys(&flags.vkey)?;
    let pin = flags.pin.clone().or_else(|| default_pin(data));
    let report = judged(global, data, Terms { vkeys, known: None, pin, ledger: flags.ledger.clone() })?;
    let next = next_start(&report);
    if global.json {
        let mut answer = to_json(&report);
        answer["next_start"] = json!(next);
        output::json(&answer);
    } else {
        show(&report);
        output::line("the next start:");
        for sentence in next {
            output::line(&format!("  {}", output::safe(&sentence)));
        }
    }
    Ok(Exit::Verdict(report.exit()))
}

/// What stands at a folder and its `LOCK`; a server holds both.
enum Lock {
    /// A server holds one of them.
    Held,
    /// Shared with other readers until it is dropped.
    Ours(Vec<File>),
}

fn lock(data: &Path) -> Result<Lock> {
    let mut ours = Vec::new();
    // The file may be gone: it is not in a copy, and somebody may have taken it for a stale one.
    for (path, must) in [(data.join("LOCK"), true), (data.to_owned(), false)] {
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.with_context(|| format!("cannot open {}", path.display()))?,
        };
        match file.try_lock_shared() {
            Ok(()) => ours.push(file),
            Err(TryLockError::WouldBlock) => return Ok(Lock::Held),
            Err(TryLockError::Error(error)) if must => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
            // A file system that locks no folders.
            Err(TryLockError::Error(_)) => {}
        }
    }
    Ok(Lock::Ours(ours))
}

/// Where a server that was started without `--pin` keeps the pin of this folder, if it is there.
fn default_pin(data: &Path) -> Option<PathBuf> {
    let folder = serving::pins_folder().ok()?;
    let ledgers = std::fs::read_dir(data.join("ledgers")).ok()?;
    let control = ledgers.filter_map(Result::ok).find(|entry| {
        let about = std::fs::read(entry.path().join("LEDGER")).unwrap_or_default();
        let about: Value = serde_json::from_slice(&about).unwrap_or_default();
        about.get("name").and_then(Value::as_str) == Some("control")
    })?;
    Some(folder.join(control.file_name())).filter(|pin| pin.is_file())
}

fn judged(global: &Global, data: &Path, terms: Terms) -> Result<FolderReport> {
    let bar = if global.json { ProgressBar::hidden() } else { ProgressBar::new(0) };
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
    bar.set_style(style.context("the progress bar")?);
    let report = judge(data, terms, &|progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    })?;
    bar.finish_and_clear();
    Ok(report)
}

fn show(report: &FolderReport) {
    for located in report.findings.iter().take(SHOWN_MAX) {
        show_finding(report, located);
    }
    let more = (report.findings.len().saturating_sub(SHOWN_MAX)) as u64 + report.dropped;
    if more > 0 {
        output::line(&format!("... {} more findings (--json names them)", output::thousands(more)));
    }
    let verdict = report.verdict();
    if verdict.is_damage() {
        output::line(&format!("{} {}", output::red("NOT verified:"), verdict.row().0));
    } else {
        let rest = if verdict == Code::Ok { "" } else { "; what is named above is explained" };
        output::line(&format!("{} every byte was checked{rest}", output::green("ok")));
    }
    let mut rows = vec![["ledger", "entries", "checkpoint", "root", "origin"].map(str::to_owned).to_vec()];
    for ledger in &report.ledgers {
        let unknown = || "unknown".to_owned();
        rows.push(vec![
            output::safe(ledger.name.as_deref().unwrap_or(&ledger.ulid)),
            output::thousands(ledger.size),
            ledger.checkpoint.map_or_else(|| "none".to_owned(), output::thousands),
            ledger.root.map_or_else(unknown, |root| root.b64()),
            ledger.origin.as_deref().map_or_else(unknown, output::safe),
        ]);
    }
    output::table(&rows);
    for note in &report.notes {
        output::line(&output::dim(&format!("note: {}: {}", note.name(), sentence(*note))));
    }
}

/// Code, ledger, file, bytes and entries in one line, what it means in the next.
fn show_finding(report: &FolderReport, located: &Located) {
    let found = &located.finding;
    let name = found.code.row().0;
    let code = if found.code.is_damage() { output::red(name) } else { output::bold(name) };
    let mut place = ledger_name(report, located.ledger.as_deref()).map(|l| format!("{l}: ")).unwrap_or_default();
    place.push_str(&output::safe(&found.file));
    if let Some(bytes) = &found.bytes {
        place.push_str(&format!(", bytes {}..{}", bytes.start, bytes.end));
    }
    if let Some(entries) = &found.entries {
        let one = entries.start + 1 == entries.end;
        let range = format!("entries {}..{}", entries.start, entries.end);
        place.push_str(&format!(", {}", if one { format!("entry {}", entries.start) } else { range }));
    }
    output::line(&format!("{code} {place}\n    {}", output::safe(&found.detail)));
}

fn ledger_name(report: &FolderReport, ulid: Option<&str>) -> Option<String> {
    let ulid = ulid?;
    let named = report.ledgers.iter().find(|ledger| ledger.ulid == ulid).and_then(|ledger| ledger.name.as_deref());
    Some(output::safe(named.unwrap_or(ulid)))
}

fn sentence(note: Note) -> &'static str {
    match note {
        Note::OwnKeys => {
            "signatures were checked with the folder's own keys; whoever wrote the folder could have replaced them \
             (--vkey)"
        }
        Note::NoPin => "nothing outside of the folder says that it is not an older state (--pin)",
        Note::Unwitnessed => "no witness has cosigned; the holder of the keys could show others another history",
        _ => "see docs/formats/verdicts.md",
    }
}

/// What recovery will make of what was found. It appends and signs; it repairs nothing.
fn next_start(report: &FolderReport) -> Vec<String> {
    let mut all = Vec::new();
    let no_pin = report.notes.contains(&Note::NoPin) && report.ledgers.iter().any(|ledger| ledger.size > 0);
    if report.verdict().is_damage() {
        all.push(
            "the server will refuse what is damaged, or stop once it meets it: nothing is signed over it, and nothing \
             is repaired; restore the named files from a backup"
                .to_owned(),
        );
    }
    for located in &report.findings {
        let found = &located.finding;
        let ledger = ledger_name(report, located.ledger.as_deref());
        let place = format!("{}{}", ledger.map(|name| format!("{name}: ")).unwrap_or_default(), found.file);
        let entries = found.entries.as_ref().map_or(0, |entries| entries.end - entries.start);
        let sentence = match found.code {
            Code::TornTail if found.file.starts_with("wal/") => {
                "its torn tail stays where it is, and a new segment begins that explains it"
            }
            Code::TornTail => "its torn end is left behind, and the file is begun anew",
            Code::CheckpointMissing | Code::UnsignedTail if entries > 0 => {
                all.push(format!("{place}: a checkpoint is signed over {} more entries", output::thousands(entries)));
                continue;
            }
            Code::Unfinished => "it is removed, nothing in it was promised",
            _ => continue,
        };
        all.push(format!("{place}: {sentence}"));
    }
    if no_pin {
        all.push("it needs --accept-first-start: no pin knows this folder".to_owned());
    }
    if all.is_empty() {
        all.push("finds everything as it was left".to_owned());
    }
    all.dedup();
    all
}
