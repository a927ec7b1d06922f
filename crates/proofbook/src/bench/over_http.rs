//! Throughput and latency over HTTP: batches, single bytes to a raw ledger, single events, events that wait for their
//! checkpoint. The server is a child process; generator and server share the cores.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Terms;
use super::child::{Figures, Place, Server};
use super::floor;
use super::http::{Load, Outcome, Pace, Target, drive};
use super::loads::{BATCH, Nothing, Post};
use super::report::Report;
use super::scratch::Scratch;
use super::usage::Usage;

/// Share of the time that goes to warming up.
const WARM_UP: u32 = 4;
/// Connections of the batches.
const BATCH_CONNECTIONS: usize = 8;
/// Connections of the single requests.
const ADD_CONNECTIONS: usize = 1_024;
/// Requests a second that are offered to measure latency.
const OFFERED: u32 = 1_000;
/// Connections of the latency measurements: more than are ever needed at one time by a server within its bars.
const LATENCY_CONNECTIONS: usize = 512;

/// What generator, server and log did in the measured time.
struct Measured {
    outcome: Outcome,
    server: Usage,
    generator: Usage,
    before: Figures,
    after: Figures,
}

impl Measured {
    /// Drives a load and looks at server and log when counting begins and when it ends.
    fn of(
        server: &Server,
        ledger: &str,
        target: &Target,
        (connections, pace): (usize, Pace),
        time: Duration,
        load: &mut dyn Load,
    ) -> Result<Measured> {
        let mut begun = None;
        let mut begin = || begun = Some((server.figures(ledger), server.usage(), Usage::own()));
        let outcome = drive(target, connections, pace, (time / WARM_UP, time), load, &mut begin)?;
        let (before, at_server, own) = begun.context("the measurement did not begin")?;
        let generator = Usage::own().since(&own);
        Ok(Measured {
            outcome,
            server: server.usage().since(&at_server),
            generator,
            before: before?,
            after: server.figures(ledger)?,
        })
    }

    fn grown(&self, name: &str) -> u64 {
        self.after.get(name).saturating_sub(self.before.get(name))
    }

    fn rate(&self, n: u64) -> f64 {
        n as f64 / self.outcome.time.as_secs_f64()
    }

    /// Acknowledged events a second, less what the unsealed backlog grew by.
    fn sustained(&self) -> f64 {
        let unsealed = |f: &Figures| f.get("size").saturating_sub(f.get("sealed_size"));
        self.outcome.per_second() - self.rate(unsealed(&self.after).saturating_sub(unsealed(&self.before)))
    }

    /// What every topic says.
    fn tell(&self, report: &mut Report) {
        for (status, count) in &self.outcome.answers {
            report.count(format!("answers_{status}"), *count);
        }
        if let Some(complaint) = &self.outcome.complaint {
            report.text("complaint", complaint);
        }
        report.count("broken_connections", self.outcome.broken);
        report.count("blocks", self.grown("blocks"));
        let blocks = self.grown("blocks").max(1);
        report.number("events_per_block", self.grown("size") as f64 / blocks as f64);
        report.number("sync_p50_ms", self.after.get("sync_p50_ns") as f64 / 1e6);
        report.number("sync_p99_ms", self.after.get("sync_p99_ns") as f64 / 1e6);
        report.number("seconds", self.outcome.time.as_secs_f64());
        report.usage("server", &self.server, self.outcome.time);
        report.cpu_per_event(&self.server, self.outcome.acknowledged);
        report.number("generator_cpu_s", self.generator.cpu.as_secs_f64());
    }

    /// What the topics of throughput say besides.
    fn tell_throughput(&self, report: &mut Report) {
        report.number("acknowledged_events_per_second", self.outcome.per_second().round());
        report.number("sealed_events_per_second", self.rate(self.grown("sealed_size")).round());
        report.number("sustained_events_per_second", self.sustained().round());
        report.count("backlog_mib_before", self.before.get("backlog_bytes") >> 20);
        report.count("backlog_mib_after", self.after.get("backlog_bytes") >> 20);
        report.latency("request", &self.outcome.times);
    }
}

/// `bench http`: batches of 1,000 over 8 connections.
pub(super) fn batches(terms: &Terms) -> Result<Report> {
    let scratch = Scratch::new(&terms.dir)?;
    let floor = floor::measure(scratch.path(), terms.time / 4)?.events_per_second();
    let server = Server::start(&Place::in_folder(scratch.path()))?;
    let mut load = Post::new(&server, "/v1/ledgers/main/events", BATCH);
    let how = (BATCH_CONNECTIONS, Pace::Closed);
    let measured = Measured::of(&server, "main", &load.target(), how, terms.time, &mut load)?;
    let mut report = Report::new("http");
    measured.tell_throughput(&mut report);
    report.number("floor_events_per_second", floor.round());
    report.number("percent_of_floor", 100.0 * measured.sustained() / floor);
    measured.tell(&mut report);
    report.number("stop_seconds", server.stop()?.as_secs_f64());
    Ok(report)
}

/// `bench add`: single requests to a raw ledger over 1,024 connections, after the same server's answers to nothing.
pub(super) fn add(terms: &Terms) -> Result<Report> {
    raise_descriptors(ADD_CONNECTIONS as u64 * 2)?;
    let scratch = Scratch::new(&terms.dir)?;
    let server = Server::start(&Place::in_folder(scratch.path()))?;
    server.create_raw("raw")?;
    let how = (ADD_CONNECTIONS, Pace::Closed);
    let mut load = Post::new(&server, "/logs/raw/add", 1);
    let mut nothing = Nothing::new(&server);
    let empty = Measured::of(&server, "raw", &load.target(), how, terms.time / 4, &mut nothing)?;
    let measured = Measured::of(&server, "raw", &load.target(), how, terms.time, &mut load)?;
    let mut report = Report::new("add");
    measured.tell_throughput(&mut report);
    report.number("empty_handler_per_second", empty.outcome.per_second().round());
    report.number("percent_of_empty_handler", 100.0 * measured.sustained() / empty.outcome.per_second());
    measured.tell(&mut report);
    server.stop()?;
    Ok(report)
}

/// `bench single` and `bench checkpoint`: 1,000 events a second are offered, whatever the server does.
pub(super) fn latency(terms: &Terms, topic: &'static str, wait: &str) -> Result<Report> {
    raise_descriptors(LATENCY_CONNECTIONS as u64 * 2)?;
    let scratch = Scratch::new(&terms.dir)?;
    let server = Server::start(&Place::in_folder(scratch.path()))?;
    let mut load = Post::new(&server, &format!("/v1/ledgers/main/events?wait={wait}"), 1);
    let how = (LATENCY_CONNECTIONS, Pace::Open(OFFERED));
    let measured = Measured::of(&server, "main", &load.target(), how, terms.time, &mut load)?;
    let mut report = Report::new(topic);
    report.count("offered_per_second", u64::from(OFFERED));
    report.number("acknowledged_events_per_second", measured.outcome.per_second().round());
    report.latency("event", &measured.outcome.times);
    report.count("late_for_want_of_a_connection", measured.outcome.late);
    report.number("disk_sync_p50_ms", probe(scratch.path())?);
    measured.tell(&mut report);
    server.stop()?;
    Ok(report)
}

/// Median of a few hundred `fdatasync` after 4 KiB each: what the disk needs with nobody else on it.
fn probe(dir: &std::path::Path) -> Result<f64> {
    use std::io::Write as _;
    let mut file = std::fs::File::create_new(dir.join("probe"))?;
    let mut times = super::histogram::Histogram::default();
    for _ in 0..500 {
        file.write_all(&[7; 4096])?;
        let sync = Instant::now();
        file.sync_data()?;
        times.record(sync.elapsed());
    }
    Ok(times.ms(500))
}

/// The soft limit of descriptors, which is 1,024 on many systems; the server inherits it.
fn raise_descriptors(wanted: u64) -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|now| now >= wanted) {
        return Ok(());
    }
    ensure!(limit.maximum.is_none_or(|most| most >= wanted), "not enough descriptors: ulimit -n {wanted}");
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }).context("setrlimit")
}
