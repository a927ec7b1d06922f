//! Append in process: batches of 1,000 through the log's own door, several on their way at any time, each counted when
//! it is durable. Publisher and sealer work beside it on the same cores, as they always do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ledger::{AppendError, Batch, Body, Config, Kind, Ledger, Status, Tags};

use super::Terms;
use super::events::Events;
use super::floor;
use super::histogram::Histogram;
use super::report::Report;
use super::rig::Rig;
use super::scratch::Scratch;
use super::usage::Usage;

/// Entries of a batch.
const BATCH: u64 = 1_000;
/// Threads that make batches.
const CALLERS: u64 = 2;
/// Batches of one caller that wait for their answer.
const ON_THEIR_WAY: usize = 4;
/// A refused caller comes again after this.
const BACK_OFF: Duration = Duration::from_millis(20);
/// Share of the time that goes to warming up: the sealer must have begun.
const WARM_UP: u32 = 4;

/// What the callers count together.
#[derive(Default)]
struct Counts {
    stop: AtomicBool,
    durable: AtomicU64,
    busy: AtomicU64,
    times: Mutex<Histogram>,
    failed: Mutex<Option<String>>,
}

pub(super) fn run(terms: &Terms, backlog_mib: u64) -> Result<Report> {
    let scratch = Scratch::new(&terms.dir)?;
    let floor = floor::measure(scratch.path(), terms.time / 4)?;
    let config = Config { backlog_bytes_max: backlog_mib << 20, ..Config::of_this_machine() };
    let rig = Rig::new(scratch.path(), Kind::Audit, config)?;
    let ledger = &rig.ledger;
    let counts = Arc::new(Counts::default());
    let callers = (0..CALLERS).map(|n| {
        let (ledger, counts) = (ledger.clone(), Arc::clone(&counts));
        std::thread::Builder::new().name("caller".to_owned()).spawn(move || call(&ledger, &counts, n))
    });
    let callers: Vec<_> = callers.collect::<std::io::Result<_>>().context("cannot start a thread")?;
    std::thread::sleep(terms.time / WARM_UP);
    std::mem::take(&mut *times(&counts));
    let (used, from) = (Usage::own(), Mark::now(ledger, &counts));
    std::thread::sleep(terms.time);
    let (used, to) = (Usage::own().since(&used), Mark::now(ledger, &counts));
    let batches = std::mem::take(&mut *times(&counts));
    counts.stop.store(true, Ordering::Relaxed);
    for caller in callers {
        ensure!(caller.join().is_ok(), "a caller panicked");
    }
    if let Some(why) = counts.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
        bail!("the log failed: {why}");
    }
    ledger.close().context("closing the log")?;
    let mut report = Report::new("append");
    let time = to.at - from.at;
    let rate = |n: u64| n as f64 / time.as_secs_f64();
    let durable = rate(to.durable - from.durable);
    let grown = rate(to.unsealed().saturating_sub(from.unsealed()));
    report.number("durable_events_per_second", durable.round());
    report.number("sealed_events_per_second", rate(to.status.sealed_size - from.status.sealed_size).round());
    report.number("sustained_events_per_second", (durable - grown).round());
    report.number("floor_events_per_second", floor.events_per_second().round());
    report.number("percent_of_floor", 100.0 * (durable - grown) / floor.events_per_second());
    report.latency("batch", &batches);
    report.count("refused_busy", to.busy - from.busy);
    report.count("blocks", to.status.blocks - from.status.blocks);
    report.number("sync_p50_ms", to.status.sync_p50_ns as f64 / 1e6);
    report.number("sync_p99_ms", to.status.sync_p99_ns as f64 / 1e6);
    report.count("backlog_mib_before", from.status.backlog_bytes >> 20);
    report.count("backlog_mib_after", to.status.backlog_bytes >> 20);
    report.number("seconds", time.as_secs_f64());
    report.usage("process", &used, time);
    report.cpu_per_event(&used, to.durable - from.durable);
    report.note("sustained = durable less what the unsealed backlog grew by in that time");
    Ok(report)
}

/// Where the log stood at one time.
struct Mark {
    at: Instant,
    durable: u64,
    busy: u64,
    status: Status,
}

impl Mark {
    fn now(ledger: &Ledger, counts: &Counts) -> Mark {
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Mark { status: ledger.status(), at: Instant::now(), durable: count(&counts.durable), busy: count(&counts.busy) }
    }

    fn unsealed(&self) -> u64 {
        self.status.size - self.status.sealed_size
    }
}

fn times(counts: &Counts) -> std::sync::MutexGuard<'_, Histogram> {
    counts.times.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps its batches on their way until told to stop. Each caller makes numbers of its own.
fn call(ledger: &Ledger, counts: &Arc<Counts>, caller: u64) {
    let events = Events::new(caller + 1);
    let (done, answered) = channel();
    let mut number = caller << 40;
    let mut flying = 0;
    while !counts.stop.load(Ordering::Relaxed) {
        if flying == ON_THEIR_WAY {
            if !settle(&answered, counts) {
                return;
            }
            flying -= 1;
        }
        submit(ledger, batch(&events, number), &done);
        number += BATCH;
        flying += 1;
    }
    (0..flying).for_each(|_| drop(answered.recv()));
}

type Answer = (Instant, Result<u64, AppendError>);

fn submit(ledger: &Ledger, batch: Batch, done: &Sender<Answer>) {
    let (done, start) = (done.clone(), Instant::now());
    let tell = move |result: Result<ledger::Committed, AppendError>| {
        drop(done.send((start, result.map(|committed| committed.outcomes.len() as u64))));
    };
    ledger.submit(batch, Box::new(tell));
}

/// Waits for one answer; false where the log takes nothing any more.
fn settle(answered: &Receiver<Answer>, counts: &Counts) -> bool {
    match answered.recv() {
        Ok((start, Ok(entries))) => {
            counts.durable.fetch_add(entries, Ordering::Relaxed);
            times(counts).record(start.elapsed());
            true
        }
        Ok((_, Err(AppendError::Busy(_)))) => {
            counts.busy.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(BACK_OFF);
            true
        }
        Ok((_, Err(error))) => {
            *counts.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
            false
        }
        Err(_) => false,
    }
}

fn batch(events: &Events, from: u64) -> Batch {
    let mut batch = Batch { entries: Vec::with_capacity(BATCH as usize), payload: Vec::with_capacity(1 << 20) };
    let (mut leaf, mut body) = (Vec::new(), Vec::new());
    for number in from..from + BATCH {
        body.clear();
        events.push_body(number, &mut body);
        let body = Body::new(&body);
        leaf.clear();
        let stamp_at = events.push_leaf(number, body.digest(), &mut leaf);
        let mut tags = Tags::default();
        tags.identity.copy_from_slice(&body.digest()[..16]);
        tags.content.copy_from_slice(&body.digest()[16..]);
        batch.push(&leaf, Some(stamp_at), Some(body), tags, false);
    }
    batch
}
