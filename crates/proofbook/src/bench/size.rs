//! Bytes on disk after sealing: real samples, and events that nothing can make smaller.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Terms;
use super::child::{Place, Server};
use super::events::mix;
use super::http::{Answer, Load, Pace, Target, drive, post};
use super::loads::run_number;
use super::report::Report;
use super::scratch::Scratch;
use super::usage::folder_bytes;

/// The samples and how each is read (samples/README.md).
const SAMPLES: [(&str, &str); 5] = [
    ("sshd/web-1-auth-rfc5424.log", "syslog"),
    ("sudo/web-1-sudo.json", "text"),
    ("auditd/web-1-enriched.log", "text"),
    ("openbao/audit.jsonl", "openbao"),
    ("pgaudit/postgresql-15-jsonlog.jsonl", "text"),
];
/// Entries of a bundle, the least that is sealed.
const BUNDLE: u64 = 256;
/// Bytes that nothing compresses, of an event and of an entry of a raw ledger.
const RANDOM_BYTES: usize = 512;
/// Entries of the ledgers of such bytes.
const RANDOM_ENTRIES: u64 = 256 * 40;
/// Sealing has failed if it takes longer.
const SEALED_WITHIN: Duration = Duration::from_secs(60);

/// `bench size`
pub(super) fn run(terms: &Terms, samples: Option<&Path>) -> Result<Report> {
    let samples = samples.map_or_else(|| PathBuf::from("samples"), Path::to_path_buf);
    ensure!(samples.is_dir(), "no samples in {}: name them with --samples DIR", samples.display());
    let mut report = Report::new("size");
    {
        let scratch = Scratch::new(&terms.dir)?;
        let (server, place) = start(scratch.path())?;
        for (file, format) in SAMPLES {
            ingest(&server, &samples.join(file), format)?;
        }
        tell(&mut report, "samples", &server, &place, "main", Bodies::Json)?;
        server.stop()?;
    }
    let scratch = Scratch::new(&terms.dir)?;
    let (server, place) = start(scratch.path())?;
    server.create_raw("raw")?;
    random(&server, "/logs/raw/add", false)?;
    random(&server, "/v1/ledgers/main/events", true)?;
    tell(&mut report, "random_raw", &server, &place, "raw", Bodies::None)?;
    tell(&mut report, "random_audit", &server, &place, "main", Bodies::Json)?;
    server.stop()?;
    report.note("bytes of the folder sealed/: leaves, bodies, hashes, tags, manifests; beside it the duplicate index");
    Ok(report)
}

/// A server that seals whole bundles a second after they came, not after an hour.
fn start(dir: &Path) -> Result<(Server, Place)> {
    let place = Place::in_folder(dir);
    Ok((Server::start_as(&["bench", "serve", "--seal-after-ms", "1000"], &place)?, place))
}

fn ingest(server: &Server, file: &Path, format: &str) -> Result<()> {
    let mut ingest = Command::new(std::env::current_exe().context("this binary's path")?);
    ingest.args(["--json", "--url", server.client.base(), "--token", &server.token]);
    ingest.args(["ingest", "--restart", "--quiet", "--format", format]).arg(file);
    // Where it has got to is remembered beside nothing of the user's.
    let out = ingest.output().context("cannot run ingest")?;
    ensure!(out.status.success(), "ingest of {}: {}", file.display(), String::from_utf8_lossy(&out.stdout));
    Ok(())
}

/// Bytes without any order, as they are or as the text of an event.
struct Random {
    target: Target,
    path: &'static str,
    event: bool,
    run: u64,
    next: u64,
    body: Vec<u8>,
}

impl Load for Random {
    fn request(&mut self, out: &mut Vec<u8>) -> u64 {
        self.body.clear();
        if self.event {
            self.body.extend_from_slice(br#"{"action":"random.written","message":""#);
        }
        let mut state = mix(self.run ^ mix(self.next));
        self.next += 1;
        for _ in 0..RANDOM_BYTES {
            state = mix(state.wrapping_add(0x9E37_79B9_7F4A_7C15));
            let byte = (state >> 32) as u8;
            if self.event {
                // Printable ASCII but quote and backslash: 92 characters, so 6.5 bits in each byte.
                let printable = b' ' + ((u32::from(byte) << 8 | (state & 255) as u32) % 95) as u8;
                self.body.push(if matches!(printable, b'"' | b'\\') { b'~' } else { printable });
            } else {
                self.body.push(byte);
            }
        }
        if self.event {
            self.body.extend_from_slice(br#""}"#);
        }
        post(&self.target, self.path, &self.body, out);
        1
    }

    fn acknowledged(&mut self, sent: u64, answer: &Answer<'_>) -> u64 {
        if answer.status == 200 { sent } else { 0 }
    }
}

fn random(server: &Server, path: &'static str, event: bool) -> Result<()> {
    let media_type = if event { "application/json" } else { "application/octet-stream" };
    let target = Target::new(server.addr, &server.token, media_type);
    let mut load = Random { target: target.clone(), path, event, run: run_number(), next: 0, body: Vec::new() };
    let mut acknowledged = 0;
    while acknowledged < RANDOM_ENTRIES {
        let time = (Duration::ZERO, Duration::from_millis(500));
        let outcome = drive(&target, 64, Pace::Closed, time, &mut load, &mut || {})?;
        ensure!(outcome.complaint.is_none(), "{path}: {:?}", outcome.complaint);
        acknowledged += outcome.acknowledged;
    }
    Ok(())
}

/// What entries are compared with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bodies {
    /// The bodies, which are JSON.
    Json,
    /// There are none: the leaves, which are what was posted.
    None,
}

/// Waits until all whole bundles of a ledger are sealed, and says what they take.
fn tell(report: &mut Report, name: &str, server: &Server, place: &Place, ledger: &str, bodies: Bodies) -> Result<()> {
    let start = Instant::now();
    let sealed = loop {
        let figures = server.figures(ledger)?;
        let sealed = figures.get("sealed_size");
        if sealed > 0 && figures.get("size") - sealed < BUNDLE {
            break sealed;
        }
        ensure!(start.elapsed() < SEALED_WITHIN, "{ledger} is not sealed: {figures:?}");
        std::thread::sleep(Duration::from_millis(100));
    };
    let info = server.client.get_json(&format!("/v1/ledgers/{ledger}"))?;
    let ulid = info.get("ulid").and_then(serde_json::Value::as_str).context("a ledger without a ULID")?;
    let on_disk = folder_bytes(&place.data.join("ledgers").join(ulid).join("sealed"))?;
    let index = folder_bytes(&place.data.join("views").join(ulid)).unwrap_or(0);
    let plain = plain_bytes(server, ledger, sealed, bodies)?;
    report.count(format!("{name}_entries"), sealed);
    report.count(format!("{name}_bytes"), plain);
    report.count(format!("{name}_bytes_on_disk"), on_disk);
    report.number(format!("{name}_ratio"), on_disk as f64 / plain as f64);
    report.number(format!("{name}_bytes_more_an_entry"), (on_disk as f64 - plain as f64) / sealed as f64);
    report.count(format!("{name}_bytes_of_duplicate_index"), index);
    Ok(())
}

/// Bytes of the bodies, or of the leaves, of the first `sealed` entries, as the server gives them.
fn plain_bytes(server: &Server, ledger: &str, sealed: u64, bodies: Bodies) -> Result<u64> {
    let mut all = 0;
    for bundle in 0..sealed / BUNDLE {
        let path = match bodies {
            Bodies::Json => tlog::TilePath::bodies(bundle, 256),
            Bodies::None => tlog::TilePath::entries(bundle, 256),
        };
        let path = path.context("a bundle of 256")?;
        let bytes = server.client.get_bytes(&format!("/logs/{ledger}/{path}"))?.context("a bundle is missing")?;
        all += bytes.len() as u64 - BUNDLE * if bodies == Bodies::Json { 4 } else { 2 };
    }
    Ok(all)
}
