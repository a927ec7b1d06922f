//! The floor: leaf, body and tree hashed, the same bytes written in 1 MiB blocks, each synced, by one thread.
//!
//! No log: nothing could be read back. It is what the disk and one core give, and the measure for all other figures.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tlog::Frontier;

use super::Terms;
use super::events::Events;
use super::histogram::Histogram;
use super::report::Report;
use super::scratch::Scratch;
use super::usage::Usage;

/// Bytes of a block.
const BLOCK_BYTES: usize = 1 << 20;
/// Bytes of a file; then a new one, and the old one goes.
const FILE_BYTES: u64 = 1 << 30;

/// What the loop did.
pub(super) struct Floor {
    pub(super) events: u64,
    pub(super) bytes: u64,
    pub(super) time: Duration,
    pub(super) syncs: Histogram,
    used: Usage,
}

impl Floor {
    pub(super) fn events_per_second(&self) -> f64 {
        self.events as f64 / self.time.as_secs_f64()
    }
}

/// Runs the loop for about `time` in a folder on the disk in question.
pub(super) fn measure(dir: &Path, time: Duration) -> Result<Floor> {
    let events = Events::new(0);
    let mut frontier = Frontier::new();
    let mut block = Vec::with_capacity(BLOCK_BYTES + 4096);
    let (mut number, mut bytes, mut in_file, mut files) = (0, 0, 0, 0u32);
    let mut syncs = Histogram::default();
    let mut file = open(dir, files)?;
    let before = Usage::own();
    let start = Instant::now();
    while start.elapsed() < time {
        while block.len() < BLOCK_BYTES {
            let at = block.len();
            let body_at = events.push_entry(number, &mut block);
            frontier.push(tlog::leaf_hash(block.get(at..body_at).unwrap_or_default()));
            number += 1;
        }
        file.write_all(&block).context("write")?;
        let sync = Instant::now();
        file.sync_data().context("fdatasync")?;
        syncs.record(sync.elapsed());
        bytes += block.len() as u64;
        in_file += block.len() as u64;
        block.clear();
        if in_file >= FILE_BYTES {
            std::fs::remove_file(name(dir, files)).context("remove")?;
            files += 1;
            file = open(dir, files)?;
            in_file = 0;
        }
    }
    let time = start.elapsed();
    let used = Usage::own().since(&before);
    std::fs::remove_file(name(dir, files)).context("remove")?;
    // The root is used, so that no compiler leaves the tree out.
    anyhow::ensure!(frontier.size() == number && frontier.root() != tlog::Hash::EMPTY_ROOT, "the loop lost an event");
    Ok(Floor { events: number, bytes, time, syncs, used })
}

fn name(dir: &Path, number: u32) -> std::path::PathBuf {
    dir.join(format!("floor-{number}"))
}

fn open(dir: &Path, number: u32) -> Result<File> {
    let path = name(dir, number);
    File::create_new(&path).with_context(|| format!("cannot make {}", path.display()))
}

pub(super) fn run(terms: &Terms) -> Result<Report> {
    let scratch = Scratch::new(&terms.dir)?;
    let floor = measure(scratch.path(), terms.time)?;
    let mut report = Report::new("floor");
    report.number("events_per_second", floor.events_per_second().round());
    report.number("mb_per_second", floor.bytes as f64 / 1e6 / floor.time.as_secs_f64());
    report.number("bytes_per_event", floor.bytes as f64 / floor.events as f64);
    report.count("syncs", floor.syncs.count());
    report.latency("sync", &floor.syncs);
    report.number("seconds", floor.time.as_secs_f64());
    report.usage("process", &floor.used, floor.time);
    let synced = floor.syncs.mean_ms() * floor.syncs.count() as f64 / 1e3 / floor.time.as_secs_f64();
    report.number("percent_of_time_in_sync", 100.0 * synced);
    Ok(report)
}
