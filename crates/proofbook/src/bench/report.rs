//! Figures of a measurement, for people and as JSON. Judges nothing.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::histogram::Histogram;
use super::usage::Usage;
use crate::cli::Global;
use crate::output;

/// What a measurement found.
pub(super) struct Report {
    /// Name of the topic.
    pub(super) topic: &'static str,
    figures: Vec<(String, Value)>,
    notes: Vec<String>,
}

impl Report {
    pub(super) fn new(topic: &'static str) -> Report {
        Report { topic, figures: Vec::new(), notes: Vec::new() }
    }

    /// Adds a whole number. A name ends with its unit.
    pub(super) fn count(&mut self, name: impl Into<String>, value: u64) {
        self.figures.push((name.into(), json!(value)));
    }

    /// Adds a number with three fraction digits.
    pub(super) fn number(&mut self, name: impl Into<String>, value: f64) {
        self.figures.push((name.into(), json!((value * 1000.0).round() / 1000.0)));
    }

    /// Adds a text.
    pub(super) fn text(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.figures.push((name.into(), json!(value.into())));
    }

    /// Adds a sentence.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Adds percentiles in milliseconds.
    pub(super) fn latency(&mut self, name: &str, times: &Histogram) {
        for (what, per_mille) in [("p50", 500), ("p99", 990), ("p999", 999), ("max", 1000)] {
            self.number(format!("{name}_{what}_ms"), times.ms(per_mille));
        }
    }

    /// Adds what a process used within `time`.
    pub(super) fn usage(&mut self, who: &str, used: &Usage, time: Duration) {
        self.number(format!("{who}_cpu_s"), used.cpu.as_secs_f64());
        self.number(format!("{who}_cpu_system_s"), used.system.as_secs_f64());
        self.text(format!("{who}_busiest_threads"), used.busiest(time));
        self.count(format!("{who}_disk_written_mb"), used.written / 1_000_000);
        self.count(format!("{who}_disk_read_mb"), used.read / 1_000_000);
        self.count(format!("{who}_resident_mib"), used.resident >> 20);
        self.count(format!("{who}_resident_max_mib"), used.resident_max >> 20);
    }

    /// Adds processor time a unit of work, in all and by thread.
    pub(super) fn cpu_per_event(&mut self, used: &Usage, events: u64) {
        let each = |time: &Duration| time.as_secs_f64() * 1e6 / events.max(1) as f64;
        self.number("cpu_us_per_event", each(&used.cpu));
        let mut threads: Vec<_> = used.threads.iter().filter(|(_, used)| !used.is_zero()).collect();
        threads.sort_by(|a, b| b.1.cmp(a.1));
        let texts: Vec<_> = threads.iter().map(|(name, used)| format!("{name} {:.2}", each(used))).collect();
        self.text("cpu_us_per_event_by_thread", texts.join(", "));
    }

    /// One object: topic, figures, notes.
    pub(super) fn to_json(&self) -> Value {
        let figures: Map<String, Value> = self.figures.iter().cloned().collect();
        json!({"bench": self.topic, "figures": figures, "notes": self.notes})
    }

    pub(super) fn show(&self, global: &Global) {
        if global.json {
            return output::json(&self.to_json());
        }
        let mut rows = vec![vec![format!("bench {}", self.topic), String::new()]];
        rows.extend(self.figures.iter().map(|(name, value)| vec![name.replace('_', " "), for_people(value)]));
        output::table(&rows);
        self.notes.iter().for_each(|note| output::line(&output::dim(note)));
    }
}

fn for_people(value: &Value) -> String {
    match value {
        Value::String(text) => output::safe(text),
        Value::Number(number) => match number.as_u64() {
            Some(whole) => output::thousands(whole),
            None => number.to_string(),
        },
        other => other.to_string(),
    }
}
