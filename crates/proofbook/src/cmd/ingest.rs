//! `proofbook ingest`: files or standard input into a ledger, with progress, resume and retries.
//!
//! Nothing is lost silently: every record is acknowledged, a known duplicate, or named as refused with its line.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::cli::{Global, Ingest};
use crate::client::{Client, Problem, Unreachable, read_capped};
use crate::cmd::pieces::{Input, Piece, open, open_file};
use crate::{Exit, known, output};

/// Refusals shown one by one; the rest is counted.
const REFUSALS_SHOWN: u64 = 20;

/// What became of the records.
#[derive(Default)]
struct Tally {
    appended: u64,
    duplicates: u64,
    refused: u64,
    first: Option<u64>,
    last: Option<u64>,
}

pub(crate) fn run(global: &Global, flags: &Ingest) -> Result<Exit> {
    let client = Client::new(global)?;
    let mut tally = Tally::default();
    let mut log = None;
    for file in &flags.files {
        one(global, &client, flags, file, &mut log, &mut tally)?;
    }
    if global.json {
        output::json(&json!({"appended": tally.appended, "duplicates": tally.duplicates, "refused": tally.refused,
            "first_index": tally.first, "last_index": tally.last, "ledger": flags.ledger}));
    } else {
        let mut text = format!("{} appended to {}", output::thousands(tally.appended), flags.ledger);
        if let (Some(first), Some(last)) = (tally.first, tally.last) {
            let range = if first == last { format!(" (#{first})") } else { format!(" (#{first} to #{last})") };
            text.push_str(&range);
        }
        text.push_str(&format!(", {} already there", output::thousands(tally.duplicates)));
        if tally.refused > 0 {
            text.push_str(&format!(", {} refused", output::red(&output::thousands(tally.refused))));
        }
        output::line(&text);
    }
    Ok(if tally.refused > 0 { Exit::Refused } else { Exit::Done })
}

/// `log` says which log the marks belong to, once a file has asked for it.
fn one(
    global: &Global,
    client: &Client,
    flags: &Ingest,
    file: &Path,
    log: &mut Option<Log>,
    tally: &mut Tally,
) -> Result<()> {
    let stdin = file == Path::new("-");
    let mut input = if stdin {
        output::note("standard input cannot resume: after an interruption, what was sent is sent again as new events");
        open(Box::new(std::io::BufReader::new(std::io::stdin())), flags.format)?
    } else {
        open_file(file, flags.format)?
    };
    let mark = if stdin {
        None
    } else {
        let log = match log {
            Some(log) => log,
            None => log.insert(Log::ask(client, flags)?),
        };
        Some(Mark::of(client, flags, log, file, &input)?)
    };
    if let (Some(mark), false) = (&mark, flags.restart) {
        let sent = mark.read();
        if sent > 0 {
            output::note(&format!("{}: going on at byte {sent} (--restart begins anew)", file.display()));
            input.skip_to(sent)?;
        }
    }
    let bar = progress(flags, global, file, &input);
    while let Some(piece) = input.next(flags.batch as usize).with_context(|| format!("reading {}", file.display()))? {
        let answer = deliver(client, flags, &input, &piece, stdin)?;
        account(global, file, &input, &piece, &answer, tally)?;
        if let Some(mark) = &mark {
            mark.write(piece.end)?;
        }
        bar.set_position(piece.end);
        bar.set_message(format!("{} events", output::thousands(tally.appended + tally.duplicates)));
    }
    bar.finish_and_clear();
    Ok(())
}

fn progress(flags: &Ingest, global: &Global, file: &Path, input: &Input) -> ProgressBar {
    if flags.quiet || global.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, form) = match input.disk_bytes {
        Some(bytes) => (
            ProgressBar::new(bytes),
            "{prefix} [{bar:32}] {bytes}/{total_bytes}  {msg}  {binary_bytes_per_sec}  eta {eta}",
        ),
        None => (ProgressBar::new_spinner(), "{prefix} {spinner} {bytes}  {msg}  {binary_bytes_per_sec}"),
    };
    bar.set_style(ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(output::safe(&file.display().to_string()));
    bar
}

/// Sends one piece until it is answered. Sending again is safe: each record has an identity, except those of
/// standard input without ids, which are sent once only.
fn deliver(client: &Client, flags: &Ingest, input: &Input, piece: &Piece, once: bool) -> Result<Vec<Value>> {
    let mut path = format!("/v1/ledgers/{}/events?format={}", flags.ledger, flags.format.name());
    if !once {
        path.push_str(&format!("&file={}&offset={}", input.digest, piece.offset));
    }
    let answer = patiently(flags, once, || {
        let request = client
            .request(reqwest::Method::POST, &path)
            .header(reqwest::header::CONTENT_TYPE, piece.content_type)
            .body(piece.bytes.clone());
        client.send(request).and_then(read_capped)
    });
    let failed = match answer {
        Ok(bytes) => return results(&bytes),
        Err(failed) => failed,
    };
    match failed.downcast_ref::<Problem>() {
        Some(p) if piece.places.len() == 1 && matches!(p.status, 400 | 403 | 409) => {
            Ok(vec![json!({"status": p.status, "title": p.title, "detail": p.detail})])
        }
        _ => Err(failed),
    }
}

/// Asks until there is an answer, as long as `--retry-for` says.
fn patiently(flags: &Ingest, once: bool, ask: impl Fn() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    let mut waited = 0;
    let mut pause = 1;
    loop {
        let failed = match ask() {
            Ok(bytes) => return Ok(bytes),
            Err(e) => e,
        };
        let wait = match failed.downcast_ref::<Problem>() {
            // Nothing of the request was appended: the server says so by these two statuses alone.
            Some(p) if matches!(p.status, 429 | 503) => p.retry_after.unwrap_or(pause),
            Some(_) => return Err(failed),
            None if failed.downcast_ref::<Unreachable>().is_some() && !once => pause,
            None => return Err(failed),
        };
        let wait = wait.clamp(1, 60);
        if waited + wait > flags.retry_for {
            return Err(failed.context(format!("gave up after {waited} s of trying (--retry-for)")));
        }
        std::thread::sleep(Duration::from_secs(wait));
        waited += wait;
        pause = (pause * 2).min(15);
    }
}

fn results(bytes: &[u8]) -> Result<Vec<Value>> {
    let answer: Value = serde_json::from_slice(bytes).context("the answer is not JSON")?;
    match answer.get("results") {
        Some(Value::Array(all)) => Ok(all.clone()),
        _ => bail!("the answer has no results"),
    }
}

fn account(
    global: &Global,
    file: &Path,
    input: &Input,
    piece: &Piece,
    results: &[Value],
    tally: &mut Tally,
) -> Result<()> {
    // Text takes blank lines too, so the answer may hold more results than there are lines that are not blank.
    if results.len() < piece.places.len() {
        bail!(
            "{} records were sent and {} answered: not every one is accounted for",
            piece.places.len(),
            results.len()
        );
    }
    for (n, result) in results.iter().enumerate() {
        let place = if results.len() == piece.places.len() { piece.places.get(n).copied() } else { None };
        if let Some(index) = result.get("index").and_then(Value::as_u64) {
            if result.get("duplicate").and_then(Value::as_bool) == Some(true) {
                tally.duplicates += 1;
            } else {
                tally.appended += 1;
                tally.first.get_or_insert(index);
                tally.last = Some(index);
            }
            continue;
        }
        tally.refused += 1;
        let at = place.map_or_else(|| format!("byte {} on", piece.offset), |p| format!("{} {p}", input.unit));
        if global.json {
            output::json(&json!({"refused": result, "file": file.display().to_string(), "place": at}));
        } else if tally.refused <= REFUSALS_SHOWN {
            let member = |name: &str| output::safe(result.get(name).and_then(Value::as_str).unwrap_or(""));
            let hint = if tally.refused == 1 && input.unit == "line" && member("detail").contains("JSON") {
                "  (is this another format? see --format)"
            } else {
                ""
            };
            output::note(&format!("{} {at}: refused: {}{hint}", file.display(), member("detail")));
        } else if tally.refused == REFUSALS_SHOWN + 1 {
            output::note("further refusals are counted, not shown; --json names them all");
        }
    }
    Ok(())
}

/// Which log is written to: another one at the same address has nothing of what this one was sent.
struct Log {
    origin: String,
    created_at: String,
}

impl Log {
    fn ask(client: &Client, flags: &Ingest) -> Result<Self> {
        let path = format!("/v1/ledgers/{}", flags.ledger);
        let about =
            patiently(flags, false, || client.send(client.request(reqwest::Method::GET, &path)).and_then(read_capped))?;
        let about: Value = serde_json::from_slice(&about).context("the answer is not JSON")?;
        let member = |name: &str| about.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        Ok(Self { origin: member("origin"), created_at: member("created_at") })
    }
}

/// How far a file has been acknowledged, kept in the user's state folder.
struct Mark(PathBuf);

impl Mark {
    fn of(client: &Client, flags: &Ingest, log: &Log, file: &Path, input: &Input) -> Result<Self> {
        let path = std::fs::canonicalize(file).with_context(|| format!("cannot find {}", file.display()))?;
        let mut hash = Sha256::new();
        for part in [
            client.base(),
            &flags.ledger,
            &log.origin,
            &log.created_at,
            flags.format.name(),
            &path.to_string_lossy(),
            &input.digest,
        ] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let name: String = hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect();
        Ok(Self(known::state_dir()?.join("ingest").join(name)))
    }

    fn read(&self) -> u64 {
        std::fs::read_to_string(&self.0).ok().and_then(|t| t.trim().parse().ok()).unwrap_or(0)
    }

    fn write(&self, offset: u64) -> Result<()> {
        known::write_whole(&self.0, format!("{offset}\n").as_bytes())
    }
}
