//! All topics in one run, each in a process of its own, and the bars they are held against.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::cli::Global;
use crate::{Exit, output};

/// Every topic, in the order in which they are run: the short ones of latency first, on a disk that is at rest.
const TOPICS: [&str; 10] =
    ["single", "checkpoint", "size", "floor", "append", "http", "add", "overload", "restart", "verify"];
/// The sync that the bars of latency were set with.
const SYNC_MS: f64 = 0.15;

/// A bar and what was found.
struct Row {
    what: &'static str,
    bar: String,
    found: String,
    /// `None` where there is nothing to meet.
    met: Option<bool>,
}

/// Runs the topics with the flags given and shows one table.
pub(super) fn run(global: &Global, flags: &[String]) -> Result<Exit> {
    let mut reports = Vec::new();
    for topic in TOPICS {
        output::note(&format!("bench {topic}"));
        match measured(topic, flags) {
            Ok(report) => reports.push(report),
            // One that fails is said, and the others go on.
            Err(error) => reports.push(json!({"bench": topic, "failed": format!("{error:#}")})),
        }
    }
    let rows = rows(&reports);
    if global.json {
        let rows: Vec<Value> = rows.iter().map(to_json).collect();
        output::json(&json!({"bench": "all", "rows": rows, "reports": reports}));
    } else {
        let mut table = vec![["what", "bar", "found", "met"].map(str::to_owned).to_vec()];
        table.extend(rows.iter().map(|row| vec![row.what.to_owned(), row.bar.clone(), row.found.clone(), met(row)]));
        output::table(&table);
    }
    let failed = reports.iter().filter_map(|report| report.get("failed")).count();
    if failed > 0 {
        bail!("{failed} measurements failed");
    }
    Ok(Exit::Done)
}

fn measured(topic: &str, flags: &[String]) -> Result<Value> {
    let mut bench = Command::new(std::env::current_exe().context("this binary's path")?);
    let out = bench.args(["--json", "bench", topic]).args(flags).output().context("cannot run it")?;
    let report: Value = serde_json::from_slice(&out.stdout).context("it gave no report")?;
    match report.get("error").and_then(Value::as_str) {
        Some(error) => bail!("{error}"),
        None => Ok(report),
    }
}

fn met(row: &Row) -> String {
    match row.met {
        Some(true) => output::green("yes"),
        Some(false) => output::red("no"),
        None => String::new(),
    }
}

fn to_json(row: &Row) -> Value {
    json!({"what": row.what, "bar": row.bar, "found": row.found, "met": row.met})
}

/// Figures of the reports, by topic and name.
struct Figures<'a>(&'a [Value]);

impl Figures<'_> {
    fn get(&self, topic: &str, name: &str) -> Option<f64> {
        let report = self.0.iter().find(|report| report.get("bench").and_then(Value::as_str) == Some(topic))?;
        report.get("figures")?.get(name)?.as_f64()
    }

    /// A row whose figure is there, or one that says that it is not.
    fn row(&self, what: &'static str, bar: String, found: Option<(String, Option<bool>)>) -> Row {
        let (found, met) = found.unwrap_or_else(|| ("not measured".to_owned(), None));
        Row { what, bar, found, met }
    }
}

fn per_second(events: f64) -> String {
    output::thousands(events.max(0.0).round() as u64)
}

fn rows(reports: &[Value]) -> Vec<Row> {
    let f = Figures(reports);
    let get = |topic: &str, name: &str| f.get(topic, name);
    let sync = get("single", "disk_sync_p50_ms").unwrap_or(SYNC_MS);
    let slower = (sync / SYNC_MS).max(1.0);
    let (p50_bar, p99_bar) = (2.0 * slower, 10.0 * slower);
    vec![
        f.row(
            "floor",
            "printed".to_owned(),
            get("floor", "events_per_second").map(|floor| (format!("{} events/s", per_second(floor)), None)),
        ),
        f.row(
            "append in process",
            ">= 60 % of the floor".to_owned(),
            get("append", "percent_of_floor").zip(get("append", "sustained_events_per_second")).map(
                |(percent, rate)| (format!("{percent:.0} % ({} events/s)", per_second(rate)), Some(percent >= 60.0)),
            ),
        ),
        f.row(
            "HTTP batches",
            ">= 250,000 events/s and >= 35 % of the floor".to_owned(),
            get("http", "sustained_events_per_second").zip(get("http", "percent_of_floor")).map(|(rate, percent)| {
                let met = rate >= 250_000.0 && percent >= 35.0;
                (format!("{} events/s, {percent:.0} %", per_second(rate)), Some(met))
            }),
        ),
        f.row(
            "HTTP single, 1,024 connections",
            ">= 40,000 events/s or >= 75 % of an empty handler".to_owned(),
            get("add", "sustained_events_per_second").zip(get("add", "percent_of_empty_handler")).map(
                |(rate, percent)| {
                    let met = rate >= 40_000.0 || percent >= 75.0;
                    (format!("{} events/s, {percent:.0} %", per_second(rate)), Some(met))
                },
            ),
        ),
        f.row(
            "single event at 1,000/s",
            format!("p50 < {p50_bar:.1} ms, p99 < {p99_bar:.0} ms (sync p50 {sync:.2} ms)"),
            get("single", "event_p50_ms")
                .zip(get("single", "event_p99_ms"))
                .map(|(p50, p99)| (format!("p50 {p50:.2} ms, p99 {p99:.1} ms"), Some(p50 < p50_bar && p99 < p99_bar))),
        ),
        f.row(
            "wait=checkpoint at 1,000/s",
            "p99 < 300 ms".to_owned(),
            get("checkpoint", "event_p99_ms").map(|p99| (format!("p99 {p99:.0} ms"), Some(p99 < 300.0))),
        ),
        f.row(
            "verify of a data folder",
            ">= 1,000,000 entries/s or >= 70 % of SHA-256".to_owned(),
            get("verify", "entries_per_second").zip(get("verify", "percent_of_sha256")).map(|(rate, percent)| {
                let met = rate >= 1_000_000.0 || percent >= 70.0;
                (format!("{} entries/s, {percent:.0} %", per_second(rate)), Some(met))
            }),
        ),
        f.row(
            "restart after kill -9",
            "ready in < 2 s".to_owned(),
            get("restart", "ready_s").zip(get("restart", "entries")).map(|(ready, entries)| {
                (format!("{ready:.2} s with {} entries", per_second(entries)), Some(ready < 2.0))
            }),
        ),
        f.row(
            "bytes on disk, samples",
            "<= 0.5 x the body JSON".to_owned(),
            get("size", "samples_ratio").map(|ratio| (format!("{ratio:.2} x"), Some(ratio <= 0.5))),
        ),
        f.row(
            "bytes on disk, incompressible",
            "raw <= 1 x + 36 B, audit <= 1 x + 128 B an entry".to_owned(),
            get("size", "random_raw_bytes_more_an_entry").zip(get("size", "random_audit_bytes_more_an_entry")).map(
                |(raw, audit)| (format!("raw {raw:+.1} B, audit {audit:+.1} B"), Some(raw <= 36.0 && audit <= 128.0)),
            ),
        ),
        f.row(
            "memory under 3x overload",
            "<= 512 MiB, 429 for the rest, normal within 5 s".to_owned(),
            get("overload", "resident_max_mib").zip(get("overload", "answers_neither_200_nor_429")).map(
                |(resident, others)| {
                    let after = get("overload", "normal_after_s");
                    let normal = after.map_or("never".to_owned(), |s| format!("{s:.1} s"));
                    let met = resident <= 512.0 && others == 0.0 && after.is_some_and(|s| s <= 5.0);
                    (format!("{resident:.0} MiB, {others:.0} other answers, normal after {normal}"), Some(met))
                },
            ),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_judged_by_their_figures() {
        let report = |bench: &str, figures: Value| json!({"bench": bench, "figures": figures});
        let reports = [
            report("append", json!({"percent_of_floor": 59.9, "sustained_events_per_second": 1})),
            report("http", json!({"sustained_events_per_second": 260_000, "percent_of_floor": 36})),
            report("add", json!({"sustained_events_per_second": 39_000, "percent_of_empty_handler": 76})),
            report("single", json!({"event_p50_ms": 2.5, "event_p99_ms": 19.0, "disk_sync_p50_ms": 0.3})),
            json!({"bench": "size", "failed": "no samples"}),
        ];
        let rows = rows(&reports);
        let met: Vec<_> = rows.iter().map(|row| row.met).collect();
        assert_eq!(met[..5], [None, Some(false), Some(true), Some(true), Some(true)]);
        assert!(rows.iter().skip(5).all(|row| row.found == "not measured" && row.met.is_none()));
        assert_eq!(rows.len(), 11);
    }
}
