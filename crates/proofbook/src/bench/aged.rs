//! A folder with many entries: how fast a server is ready on it after kill -9, and how fast it is verified.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::Terms;
use super::child::{Place, Server};
use super::events::Events;
use super::http::{Pace, drive};
use super::loads::{BATCH, Post};
use super::report::Report;
use super::scratch::Scratch;
use super::usage::folder_bytes;

/// Connections that fill the folder.
const CONNECTIONS: usize = 8;
/// How often the size is looked at while filling.
const LOOK: Duration = Duration::from_secs(1);
/// Restarts after kill -9; the slowest counts.
const RESTARTS: u32 = 3;
/// Verifications; the slowest counts.
const VERIFICATIONS: u32 = 2;
/// Pieces of 1 KiB that each core hashes to find out how fast it is.
const SHA256_ROUNDS: u32 = 200_000;
/// Filling has failed if it takes longer than this for each million entries.
const FILL_MAX: Duration = Duration::from_secs(120);

/// Fills a fresh folder with `terms.entries` entries, under load to the last moment.
fn fill(place: &Place, terms: &Terms) -> Result<Server> {
    let server = Server::start(place)?;
    let mut load = Post::new(&server, "/v1/ledgers/main/events", BATCH);
    let start = Instant::now();
    let most = FILL_MAX * u32::try_from(terms.entries.div_ceil(1_000_000)).unwrap_or(u32::MAX);
    while server.figures("main")?.get("size") < terms.entries {
        ensure!(start.elapsed() < most, "the folder does not fill up");
        drive(&load.target(), CONNECTIONS, Pace::Closed, (Duration::ZERO, LOOK), &mut load, &mut || {})?;
    }
    Ok(server)
}

/// `bench restart`: kill -9 under load, start, kill -9, start.
pub(super) fn restart(terms: &Terms) -> Result<Report> {
    let scratch = Scratch::new(&terms.dir)?;
    let place = Place::in_folder(scratch.path());
    let mut server = fill(&place, terms)?;
    let mut report = Report::new("restart");
    let before = server.figures("main")?;
    report.count("backlog_mib_at_kill", before.get("backlog_bytes") >> 20);
    let mut worst = Duration::ZERO;
    for n in 1..=RESTARTS {
        server.kill()?;
        server = Server::start(&place)?;
        let size = server.figures("main")?.get("size");
        ensure!(size >= before.get("size"), "only {size} entries came back of {}", before.get("size"));
        let ready = server.client.get_bytes("/readyz")?;
        ensure!(ready.is_some(), "the server said that it is ready and is not");
        report.number(format!("ready_{n}_s"), server.ready_after.as_secs_f64());
        worst = worst.max(server.ready_after);
        report.count("entries", size);
    }
    report.number("ready_s", worst.as_secs_f64());
    report.usage("server", &server.usage(), worst);
    server.stop()?;
    Ok(report)
}

/// `bench verify`: `proofbook verify DIR` on a stopped server's folder.
pub(super) fn verify(terms: &Terms) -> Result<Report> {
    let scratch = Scratch::new(&terms.dir)?;
    let place = Place::in_folder(scratch.path());
    let server = fill(&place, terms)?;
    let size = server.figures("main")?.get("size");
    server.stop()?;
    let mut report = Report::new("verify");
    report.count("entries", size);
    let mut slowest = Duration::ZERO;
    for _ in 0..VERIFICATIONS {
        let mut verify = Command::new(std::env::current_exe().context("this binary's path")?);
        verify.args(["--json", "verify"]).arg(&place.data).arg("--pin").arg(&place.pin);
        // Its keys are the folder's own: this measures, it does not judge.
        verify.arg("--known-ledgers").arg(scratch.path().join("known-ledgers"));
        let start = Instant::now();
        let out = verify.output().context("cannot run verify")?;
        slowest = slowest.max(start.elapsed());
        ensure!(out.status.success(), "the folder does not verify: {}", String::from_utf8_lossy(&out.stdout));
    }
    report.number("entries_per_second", (size as f64 / slowest.as_secs_f64()).round());
    report.number("seconds", slowest.as_secs_f64());
    let stored = folder_bytes(&place.data)?;
    report.count("folder_mb", stored / 1_000_000);
    // What must be hashed whatever the code does: leaves, bodies, nodes, and every stored byte once.
    let mut entry = Vec::new();
    Events::new(0).push_entry(0, &mut entry);
    let hashed = size as f64 * (entry.len() + 1 + 65) as f64 + stored as f64;
    let sha256 = sha256_rate();
    report.number("hashed_mb_per_second", hashed / 1e6 / slowest.as_secs_f64());
    report.number("sha256_mb_per_second", sha256);
    report.number("percent_of_sha256", 100.0 * hashed / 1e6 / slowest.as_secs_f64() / sha256);
    Ok(report)
}

/// MB a second that all cores together hash in pieces of 1 KiB.
fn sha256_rate() -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let start = Instant::now();
    let work = || {
        let (piece, mut last) = ([7u8; 1024], [0; 32]);
        for _ in 0..SHA256_ROUNDS {
            last = Sha256::new().chain_update(piece).chain_update(last).finalize().into();
        }
        last
    };
    let digests: usize = std::thread::scope(|scope| {
        let all: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        // The digests are used, so that no compiler leaves them out.
        all.into_iter().filter_map(|thread| thread.join().ok()).filter(|digest| *digest != [0; 32]).count()
    });
    (digests as u64 * u64::from(SHA256_ROUNDS) * 1024) as f64 / 1e6 / start.elapsed().as_secs_f64()
}
