//! Figures of this room in one table. Source, action, user and ledger-given text are never labels.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// A count that only grows.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counts of a server since its start.
#[derive(Default)]
pub(crate) struct Metrics {
    pub(crate) requests: Count,
    pub(crate) connections: Count,
    pub(crate) events: Count,
    pub(crate) bytes: Count,
    pub(crate) denials: Count,
    pub(crate) quota_refusals: Count,
    pub(crate) proofs: Count,
    pub(crate) tiles: Count,
    pub(crate) checkpoints: Count,
    pub(crate) tls_failures: Count,
    pub(crate) address_refusals: Count,
    classes: [Count; 6],
}

impl Metrics {
    pub(crate) fn answered(&self, status: u16) {
        if let Some(class) = self.classes.get(usize::from(status / 100)) {
            class.add(1);
        }
    }

    /// The Prometheus text format.
    pub(crate) fn text(&self, log: &journal::Status) -> String {
        let mut out = String::with_capacity(4096);
        for (name, help, count) in [
            ("requests", "requests that reached a route", &self.requests),
            ("connections", "connections accepted", &self.connections),
            ("events", "events answered by the append routes", &self.events),
            ("event_bytes", "bytes of request bodies with events", &self.bytes),
            ("denials", "requests refused for lack of rights", &self.denials),
            ("quota_refusals", "requests refused by a quota", &self.quota_refusals),
            ("proof_reads", "proofs read", &self.proofs),
            ("tile_reads", "tiles and bundles read", &self.tiles),
            ("checkpoint_reads", "checkpoints read", &self.checkpoints),
            ("tls_failures", "TLS handshakes that failed", &self.tls_failures),
            ("address_refusals", "connections closed because their address has too many", &self.address_refusals),
        ] {
            head(&mut out, &format!("{name}_total"), help, "counter");
            let _ = writeln!(out, "proofbook_{name}_total {}", count.get());
        }
        head(&mut out, "responses_total", "answers by class of status", "counter");
        for (class, count) in self.classes.iter().enumerate().skip(1) {
            let _ = writeln!(out, "proofbook_responses_total{{class=\"{class}xx\"}} {}", count.get());
        }
        ledgers(&mut out, log);
        out
    }
}

fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(out, "# HELP proofbook_{name} {help}\n# TYPE proofbook_{name} {kind}");
}

fn ledgers(out: &mut String, log: &journal::Status) {
    type Figure = fn(&ledger::Status) -> u64;
    let figures: [(&str, &str, Figure); 9] = [
        ("ledger_size", "durable entries", |s| s.size),
        ("ledger_published_size", "entries under the last checkpoint", |s| s.published_size),
        ("ledger_sealed_size", "entries in sealed files", |s| s.sealed_size),
        ("ledger_backlog_bytes", "bytes in unsealed segments", |s| s.backlog_bytes),
        ("ledger_queue_bytes", "bytes that wait for the sequencer", |s| s.queue_bytes),
        ("ledger_blocks", "blocks committed since the start", |s| s.blocks),
        ("ledger_sync_p50_ns", "median of the last syncs", |s| s.sync_p50_ns),
        ("ledger_sync_p99_ns", "99th percentile of the last syncs", |s| s.sync_p99_ns),
        ("ledger_poisoned", "1 where the writer has stopped", |s| u64::from(s.poisoned.is_some())),
    ];
    for (name, help, figure) in figures {
        head(out, name, help, "gauge");
        for ledger in &log.ledgers {
            // A ledger's name holds letters, digits and dashes alone.
            let _ = writeln!(out, "proofbook_{name}{{ledger=\"{}\"}} {}", ledger.info.name, figure(&ledger.log));
        }
    }
}
