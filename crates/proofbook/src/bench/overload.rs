//! Three times as many events as the server can take: its memory, its answers, and how soon it is itself again.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Terms;
use super::child::{Place, Server};
use super::http::{Load, Outcome, Pace, drive};
use super::loads::{BATCH, Post};
use super::report::Report;
use super::scratch::Scratch;

/// Connections of the closed loop that finds out what the server can take.
const CONNECTIONS: usize = 8;
/// Connections of the overload: so many batches may be on their way at one time.
const OVERLOAD_CONNECTIONS: usize = 256;
/// How much more than it can take is offered.
const TIMES: f64 = 3.0;
/// Single events a second that ask, before and after, how the server is.
const PROBES_PER_SECOND: u32 = 200;
const PROBE_CONNECTIONS: usize = 32;
/// Shorter than this, a slow machine may not answer one batch within its part.
const TIME_MIN: Duration = Duration::from_secs(8);
/// One look at how the server is.
const SLICE: Duration = Duration::from_millis(250);
/// Looks after the overload.
const SLICES: u32 = 40;
/// Normal again are so many looks in a row: a second.
const NORMAL_LOOKS: u32 = 4;
/// A look is normal if all are answered 200 and the slowest within this many times the slowest before.
const NORMAL_TIMES: f64 = 2.0;
/// A slowest answer below this is normal whatever it was before: the bar of single events.
const NORMAL_MS: f64 = 10.0;
const EVENTS: &str = "/v1/ledgers/main/events";

/// `bench overload`
pub(super) fn run(terms: &Terms) -> Result<Report> {
    let scratch = Scratch::new(&terms.dir)?;
    let server = Server::start(&Place::in_folder(scratch.path()))?;
    let mut batches = Post::new(&server, EVENTS, BATCH);
    let mut probes = Post::new(&server, EVENTS, 1);
    let time = terms.time.max(TIME_MIN);
    let before = probe(&mut probes, time / 8)?;
    let able = load(&mut batches, CONNECTIONS, Pace::Closed, time / 4)?.per_second();
    ensure!(able > 0.0, "the server takes nothing");
    let offered = (able * TIMES / BATCH as f64).ceil();
    let overload = load(&mut batches, OVERLOAD_CONNECTIONS, Pace::Open(offered as u32), time / 2)?;
    let after = server.usage();
    let (end, mut normal_after) = (Instant::now(), None);
    let (mut looks, mut in_a_row) = (Vec::new(), 0);
    for _ in 0..SLICES {
        let slice = probe(&mut probes, SLICE)?;
        let all = slice.answers.keys().all(|status| *status == 200);
        let slowest = (before.times.ms(990) * NORMAL_TIMES).max(NORMAL_MS);
        looks.push(format!("{:.0}{}", slice.times.ms(990), if all { "" } else { "!" }));
        let normal = all && slice.times.count() > 0 && slice.times.ms(990) <= slowest;
        // Counts from the end of the overload to the beginning of the first second in which all looks were normal: a
        // single slow answer long after is none of the overload's.
        in_a_row = if normal { in_a_row + 1 } else { 0 };
        if in_a_row == NORMAL_LOOKS && normal_after.is_none() {
            normal_after = Some(end.elapsed().saturating_sub(SLICE * NORMAL_LOOKS));
        }
    }
    let mut report = Report::new("overload");
    report.number("able_events_per_second", able.round());
    report.number("offered_events_per_second", offered * BATCH as f64);
    report.number("acknowledged_events_per_second", overload.per_second().round());
    for (status, count) in &overload.answers {
        report.count(format!("answers_{status}"), *count);
    }
    let others: u64 = overload.answers.iter().filter(|(s, _)| !matches!(**s, 200 | 429)).map(|(_, n)| n).sum();
    report.count("answers_neither_200_nor_429", others);
    report.count("broken_connections", overload.broken);
    report.count("requests_that_had_to_wait_for_a_connection", overload.late);
    report.count("resident_max_mib", after.resident_max >> 20);
    report.count("resident_mib_after", server.usage().resident >> 20);
    report.latency("probe_before", &before.times);
    match normal_after {
        Some(time) => report.number("normal_after_s", time.as_secs_f64()),
        None => report.note(format!("not normal within {} s", (SLICE * SLICES).as_secs())),
    }
    report.text("p99_ms_of_each_look_after", looks.join(" "));
    if let Some(complaint) = overload.complaint {
        report.text("complaint", complaint);
    }
    server.stop()?;
    Ok(report)
}

fn load(post: &mut Post, connections: usize, pace: Pace, time: Duration) -> Result<Outcome> {
    let target = post.target();
    let post: &mut dyn Load = post;
    drive(&target, connections, pace, (time / 4, time), post, &mut || {})
}

fn probe(post: &mut Post, time: Duration) -> Result<Outcome> {
    let target = post.target();
    drive(&target, PROBE_CONNECTIONS, Pace::Open(PROBES_PER_SECOND), (Duration::ZERO, time), post, &mut || {})
}
