//! Peers of `proofbook bench`: PostgreSQL with a hash-chain trigger, SQLite with a hash chain, over the same events.
//!
//! `peers [--dir DIR] [--seconds N]` prints one JSON object a measurement. Each peer gets what speaks for it: built-in
//! SHA-256, one statement a batch, prepared statements, a large log before its checkpoints. All of them answer only
//! when the data is synced, and refuse an id that was there before, as Proofbook does. They sign nothing, prove nothing
//! and check nothing again.

#[path = "../../crates/proofbook/src/bench/events.rs"]
#[allow(dead_code, reason = "the peers store whole events")]
mod events;
#[path = "../../crates/proofbook/src/bench/histogram.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod histogram;
mod postgres;
#[path = "../../crates/proofbook/src/bench/scratch.rs"]
mod scratch;
mod server;
mod sqlite;

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use histogram::Histogram;

/// What to do.
struct Terms {
    dir: PathBuf,
    time: Duration,
}

/// What a peer did.
#[derive(Default)]
struct Outcome {
    events: u64,
    times: Histogram,
    time: Duration,
    bytes_on_disk: u64,
}

fn main() -> Result<()> {
    let terms = terms()?;
    let scratch = scratch::Scratch::new(&terms.dir)?;
    for (name, outcome) in sqlite::measure(scratch.path(), terms.time)? {
        show(name, &outcome);
    }
    match server::Server::start(&terms.dir) {
        Ok(server) => {
            for (name, outcome) in postgres::measure(&server, terms.time)? {
                show(name, &outcome);
            }
            server.stop()?;
        }
        Err(missing) => println!("{}", json!({"bench": "postgresql", "skipped": format!("{missing:#}")})),
    }
    Ok(())
}

fn terms() -> Result<Terms> {
    let mut terms = Terms { dir: ".".into(), time: Duration::from_secs(60) };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().with_context(|| format!("{arg} needs a value"))?;
        match arg.as_str() {
            "--dir" => terms.dir = value.into(),
            "--seconds" => terms.time = Duration::from_secs(value.parse()?),
            _ => bail!("usage: peers [--dir DIR] [--seconds N]"),
        }
    }
    Ok(terms)
}

fn show(name: &str, outcome: &Outcome) {
    let ms = |per_mille| (outcome.times.ms(per_mille) * 1000.0).round() / 1000.0;
    let figures: Value = json!({
        "events_per_second": (outcome.events as f64 / outcome.time.as_secs_f64()).round(),
        "request_p50_ms": ms(500),
        "request_p99_ms": ms(990),
        "bytes_on_disk_per_event": outcome.bytes_on_disk.checked_div(outcome.events),
        "seconds": outcome.time.as_secs_f64(),
    });
    println!("{}", json!({"bench": name, "figures": figures}));
}

/// A number that no other run has.
fn run_number() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(0)
}

/// One event and its id.
fn event(events: &events::Events, number: u64) -> Result<(String, String)> {
    let mut bytes = Vec::with_capacity(600);
    events.push(number, &mut bytes);
    let text = String::from_utf8(bytes)?;
    let id = text.split_once(r#""id":""#).and_then(|(_, rest)| rest.split_once('"')).context("an event without id")?;
    Ok((id.0.to_owned(), text))
}
