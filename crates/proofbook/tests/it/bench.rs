//! Short runs of the measurements: that they come to an end, count, and clean up. No figure is judged.

use std::process::Command;

use serde_json::Value;

/// Runs a topic for a second in a fresh folder and gives its figures.
fn figures(topic: &str) -> Value {
    figures_with(topic, &[])
}

fn figures_with(topic: &str, more: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Command::new(env!("CARGO_BIN_EXE_proofbook"));
    bench.args(["bench", topic, "--json", "--seconds", "1", "--dir"]).arg(dir.path()).args(more);
    let out = bench.output().unwrap();
    assert!(out.status.success(), "{topic}: {}", String::from_utf8_lossy(&out.stdout));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{topic} left something behind");
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(report["bench"], topic);
    report["figures"].clone()
}

#[test]
fn the_floor_and_the_append_are_measured() {
    let floor = figures("floor");
    assert!(floor["events_per_second"].as_f64().unwrap() > 0.0 && floor["syncs"].as_u64().unwrap() > 0, "{floor}");
    let append = figures("append");
    assert!(append["durable_events_per_second"].as_f64().unwrap() > 0.0, "{append}");
    assert!(append["floor_events_per_second"].as_f64().unwrap() > 0.0, "{append}");
}

#[test]
fn the_topics_over_http_are_measured() {
    let single = figures("single");
    assert!(single["answers_200"].as_u64().unwrap() > 100, "{single}");
    assert!(single["event_p50_ms"].as_f64().unwrap() > 0.0, "{single}");
    let checkpoint = figures("checkpoint");
    assert!(checkpoint["answers_200"].as_u64().unwrap() > 100, "{checkpoint}");
    for (topic, compared) in [("http", "floor_events_per_second"), ("add", "empty_handler_per_second")] {
        let found = figures(topic);
        assert!(found["acknowledged_events_per_second"].as_f64().unwrap() > 0.0, "{found}");
        assert!(found[compared].as_f64().unwrap() > 0.0 && found["complaint"].is_null(), "{found}");
    }
}

#[test]
fn folders_that_have_grown_are_measured() {
    let restart = figures_with("restart", &["--entries", "3000"]);
    assert!(restart["ready_s"].as_f64().unwrap() > 0.0 && restart["entries"].as_u64().unwrap() >= 3000, "{restart}");
    let verify = figures_with("verify", &["--entries", "3000"]);
    assert!(verify["entries_per_second"].as_f64().unwrap() > 0.0, "{verify}");
    assert!(verify["percent_of_sha256"].as_f64().unwrap() > 0.0, "{verify}");
}

#[test]
fn sealed_bytes_are_counted_and_within_their_bars() {
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples");
    let size = figures_with("size", &["--samples", samples]);
    // These figures depend on no machine: the bars are judged here too.
    assert!(size["samples_ratio"].as_f64().unwrap() <= 0.5, "{size}");
    assert!(size["random_raw_bytes_more_an_entry"].as_f64().unwrap() <= 36.0, "{size}");
    assert!(size["random_audit_bytes_more_an_entry"].as_f64().unwrap() <= 128.0, "{size}");
}

#[test]
fn an_overload_ends() {
    let overload = figures("overload");
    assert_eq!(overload["answers_neither_200_nor_429"], 0, "{overload}");
    assert!(overload["acknowledged_events_per_second"].as_f64().unwrap() > 0.0, "{overload}");
}
