//! `proofbook verify`: a server by URL, an export's folder, or a `.tlog-proof` with its entry; data folders are handed
//! on to `folder`.
//!
//! Trust comes from `--vkey`, `--policy` or the known-ledgers file, never from what is being verified, except at the
//! first meeting with a server, which is said aloud.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use tlog::{Checkpoint, Hash, KeyKind, Note, Policy, Vkey};

use crate::cli::{Global, Verify};
use crate::client::Client;
use crate::cmd::folder;
use crate::judge::proof::{Trust, judge as judge_proof};
use crate::judge::tiles::{Fetch, Terms, judge as judge_tiles};
use crate::judge::verdict::Judgement;
use crate::known::{Known, KnownLedgers};
use crate::{Exit, output};

/// Largest file of an export: a bundle of 256 of the largest bodies, each behind its length.
const FILE_BYTES_MAX: u64 = 256 * (4 + ledger::limits::BODY_BYTES_MAX as u64);

pub(crate) fn run(global: &Global, flags: &Verify) -> Result<Exit> {
    let target = flags.target.clone().unwrap_or_else(|| global.url.clone());
    if target.starts_with("http://") || target.starts_with("https://") {
        return server(global, flags, &target);
    }
    let path = PathBuf::from(&target);
    if path.join("checkpoint").is_file() {
        return export(global, flags, &path);
    }
    if folder::is_data_folder(&path) {
        return folder::verify(global, flags, &path, parse_vkeys(&flags.vkey)?);
    }
    // What an export is without its checkpoint is for the judge to say.
    if path.join("tile").is_dir() {
        return export(global, flags, &path);
    }
    if path.is_dir() {
        bail!(
            "{} is neither a data folder (FORMAT, ledgers/) nor an export (checkpoint, tile/)\nhint: `proofbook \
             export` writes an export",
            path.display()
        );
    }
    single(global, flags, &path)
}

/// Keys as typed.
pub(crate) fn parse_vkeys(vkeys: &[String]) -> Result<Vec<Vkey>> {
    let parse = |text: &String| {
        let vkey = Vkey::parse(text).with_context(|| format!("--vkey {}", output::safe(text)))?;
        if let KeyKind::Unknown(kind) = vkey.kind {
            // Docs: decision 0006. As a key that never signs it would answer another question than was asked.
            bail!("--vkey {}: signatures of type {kind:#04x} cannot be verified here", output::safe(text));
        }
        Ok(vkey)
    };
    vkeys.iter().map(parse).collect()
}

/// A proof and its entry.
fn single(global: &Global, flags: &Verify, path: &Path) -> Result<Exit> {
    let read = |p: &Path| read_file(p).and_then(|b| b.with_context(|| format!("{} does not exist", p.display())));
    let proof = read(path)?;
    let entry_path = match &flags.entry {
        Some(path) => path.clone(),
        None => {
            let name = path.to_string_lossy();
            let Some(stem) = name.strip_suffix(".tlog-proof") else {
                match name.strip_suffix(".entry.json") {
                    Some(stem) => bail!("{name} is an entry\nhint: verify its proof, {stem}.tlog-proof"),
                    None => {
                        bail!("{name} is not named *.tlog-proof\nhint: if it is a proof, name its entry: --entry FILE")
                    }
                }
            };
            PathBuf::from(format!("{stem}.entry.json"))
        }
    };
    let entry = read(&entry_path)?;
    let (trust, origin) = match &flags.policy {
        Some(file) => {
            let policy = Policy::parse(&read(file)?).with_context(|| format!("the policy {}", file.display()))?;
            (Trust::Policy(Box::new(policy)), None)
        }
        None if !flags.vkey.is_empty() => (Trust::Keys(parse_vkeys(&flags.vkey)?), None),
        None => known_keys(flags, &proof)?,
    };
    Ok(show(global, &judge_proof(&proof, &entry, &trust, origin.as_deref()), "the entry is in the log"))
}

/// The keys remembered for the origin that the proof names.
fn known_keys(flags: &Verify, proof: &[u8]) -> Result<(Trust, Option<String>)> {
    let known = KnownLedgers::open(flags.known_ledgers.as_deref())?;
    let origin = tlog::TlogProof::parse(proof)
        .ok()
        .and_then(|p| Note::parse(p.checkpoint_note.as_bytes()).ok())
        .and_then(|n| Checkpoint::parse(&n.text).ok())
        .map(|c| c.origin);
    let Some(origin) = origin else {
        // Malformed: the judge says how.
        return Ok((Trust::Keys(Vec::new()), None));
    };
    let Some(found) = known.by_origin(&origin) else {
        bail!(
            "no key of {} is known\nhint: give --vkey or --policy, or meet its server once: proofbook verify URL",
            output::safe(&origin)
        );
    };
    Ok((Trust::Keys(parse_all(&found.vkeys)?), Some(origin)))
}

fn parse_all(vkeys: &[String]) -> Result<Vec<Vkey>> {
    vkeys.iter().map(|v| Vkey::parse(v).context("a key in the known-ledgers file")).collect()
}

struct Folder(PathBuf);
impl Fetch for Folder {
    /// Regular files alone: an export is somebody else's, and a link to a device or a pipe has no end.
    fn fetch(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let path = self.0.join(path);
        match std::fs::symlink_metadata(&path) {
            Ok(meta) if !meta.is_file() => bail!("{} is not a regular file", path.display()),
            _ => read_file(&path),
        }
    }
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
        Ok(meta) if meta.len() > FILE_BYTES_MAX => bail!("{} is larger than {FILE_BYTES_MAX} bytes", path.display()),
        Ok(_) => {}
    }
    std::fs::read(path).map(Some).with_context(|| format!("cannot read {}", path.display()))
}

/// Files in tiles layout on this machine.
fn export(global: &Global, flags: &Verify, dir: &Path) -> Result<Exit> {
    let (given, origin) = if flags.vkey.is_empty() {
        let known = KnownLedgers::open(flags.known_ledgers.as_deref())?;
        let note = read_file(&dir.join("checkpoint"))?.unwrap_or_default();
        let origin = Note::parse(&note).ok().and_then(|n| Checkpoint::parse(&n.text).ok()).map(|c| c.origin);
        match origin.as_deref().and_then(|o| known.by_origin(o)) {
            Some(found) => (Some(parse_all(&found.vkeys)?), origin),
            None => (None, None),
        }
    } else {
        (Some(parse_vkeys(&flags.vkey)?), None)
    };
    // An export of leaves alone has no such folder; one that has it holds every body.
    let bodies = !flags.no_bodies && std::fs::symlink_metadata(dir.join("bodies")).is_ok_and(|meta| meta.is_dir());
    let terms = Terms { given: given.as_deref(), origin: origin.as_deref(), seen: None, bodies };
    let bar = bar(global);
    let mut judgement = judge_tiles(&Folder(dir.to_owned()), &terms, &mut |done, all| tick(&bar, done, all))?;
    bar.finish_and_clear();
    if judgement.origin.is_some() {
        unknown_files(dir, &mut judgement)?;
    }
    Ok(show(global, &judgement, "every entry was checked"))
}

/// Files that a log of this size does not have.
fn unknown_files(dir: &Path, judgement: &mut Judgement) -> Result<()> {
    let mut wanted: BTreeSet<String> = ["checkpoint", "keys"].map(str::to_owned).into();
    for path in tlog::tile::tiles_of(judgement.size).chain(tlog::tile::bundles_of(judgement.size)) {
        wanted.insert(path.to_string());
        if path.resource == tlog::tile::Resource::Entries && !judgement.bodiless.contains(&path.index) {
            wanted.insert(tlog::tile::TilePath { resource: tlog::tile::Resource::Bodies, ..path }.to_string());
        }
    }
    let mut open = vec![PathBuf::new()];
    while let Some(relative) = open.pop() {
        for entry in std::fs::read_dir(dir.join(&relative)).context("listing the export")? {
            let entry = entry.context("listing the export")?;
            let path = relative.join(entry.file_name());
            if entry.file_type().context("listing the export")?.is_dir() {
                open.push(path);
            } else if !wanted.contains(&*path.to_string_lossy()) {
                let name = path.to_string_lossy().into_owned();
                judgement.find(ledger::Code::FileUnknown, Some(&name), None, "no such file belongs here".to_owned());
            }
        }
    }
    Ok(())
}

struct Remote(Client);
impl Fetch for Remote {
    fn fetch(&self, path: &str) -> Result<Option<Vec<u8>>> {
        self.0.get_bytes(&format!("/{path}"))
    }
}

/// A running server, its identity pinned on this machine.
fn server(global: &Global, flags: &Verify, url: &str) -> Result<Exit> {
    let url = url.trim_end_matches('/');
    let url = if url.contains("/logs/") {
        url.to_owned()
    } else {
        format!("{url}/logs/{}", flags.ledger.as_deref().unwrap_or("main"))
    };
    let client = Client::new(global)?.with_base(&url);
    let mut all = KnownLedgers::open(flags.known_ledgers.as_deref())?;
    let known = all.get(&url);
    let (given, origin) = match (&known, flags.vkey.is_empty()) {
        (_, false) => (Some(parse_vkeys(&flags.vkey)?), known.as_ref().map(|k| k.origin.clone())),
        (Some(known), true) => (Some(parse_all(&known.vkeys)?), Some(known.origin.clone())),
        (None, true) => (None, None),
    };
    let seen = known.as_ref().and_then(|k| k.checkpoint.as_deref()).map(seen_before).transpose()?;
    let terms = Terms { given: given.as_deref(), origin: origin.as_deref(), seen, bodies: !flags.no_bodies };
    let bar = bar(global);
    let judgement = judge_tiles(&Remote(client.clone()), &terms, &mut |done, all| tick(&bar, done, all))?;
    bar.finish_and_clear();
    if given.is_none() && judgement.origin.is_some() && !global.json {
        output::note(&format!(
            "first meeting with {url}: its keys are taken on trust and remembered in {}",
            all.path().display()
        ));
    }
    if let (Some(origin), Some(root), ("ok", _)) = (&judgement.origin, &judgement.root, judgement.verdict()) {
        let checkpoint = format!("{origin}\n{}\n{root}\n", judgement.size);
        let vkeys = judgement.keys.iter().map(ToString::to_string).collect();
        all.put(&url, &Known { origin: origin.clone(), vkeys, checkpoint: Some(checkpoint) })?;
    }
    Ok(show(global, &judgement, "every entry was checked"))
}

fn seen_before(text: &str) -> Result<(u64, Hash)> {
    let checkpoint = Checkpoint::parse(text).context("the last checkpoint in the known-ledgers file")?;
    Ok((checkpoint.size, checkpoint.root))
}

fn bar(global: &Global) -> ProgressBar {
    if global.json { ProgressBar::hidden() } else { ProgressBar::new(0) }
}

fn tick(bar: &ProgressBar, done: u64, all: u64) {
    bar.set_length(all);
    bar.set_position(done);
}

fn show(global: &Global, judgement: &Judgement, good: &str) -> Exit {
    let (verdict, exit) = judgement.verdict();
    if global.json {
        output::json(&judgement.to_json());
        return Exit::Verdict(exit);
    }
    for finding in judgement.findings.iter().take(50) {
        let place = finding.file.as_deref().map(|f| format!(" {}", output::safe(f))).unwrap_or_default();
        output::line(&format!("{}{place}: {}", output::red(finding.code.row().0), output::safe(&finding.detail)));
    }
    if judgement.findings.len() > 50 {
        output::line(&format!("... {} more findings (--json names them)", judgement.findings.len() - 50));
    }
    if exit == 0 {
        let size = output::thousands(judgement.size);
        output::line(&format!("{} {good}, tree of {size} entries", output::green("ok")));
    } else {
        output::line(&format!("{} {verdict}", output::red("NOT verified:")));
    }
    if let Some(origin) = &judgement.origin {
        output::line(&format!("origin {}", output::safe(origin)));
    }
    for note in &judgement.notes {
        output::line(&output::dim(&format!("note: {note}: {}", sentence(note))));
    }
    if let Some(unproven) = judgement.unproven.as_ref().filter(|unproven| !unproven.is_empty()) {
        let fields = unproven.join(" and ");
        output::line(&output::dim(&format!(
            "unproven: {fields} of the entry: nothing that was checked vouches for it"
        )));
    }
    Exit::Verdict(exit)
}

fn sentence(note: &str) -> &'static str {
    match note {
        "own-keys" => "signatures were checked with the log's own keys, which whoever hands it over could have made",
        "unwitnessed" => "no witness has cosigned; the holder of the keys could show others another history",
        "body-withheld" => "what the leaves say of bodies was not checked, the bodies are not here",
        "lines-unchecked" => "a signature line of the checkpoint is by a key that was not given; it proves nothing",
        _ => "see docs/formats/verdicts.md",
    }
}
