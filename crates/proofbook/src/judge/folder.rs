//! A data folder, judged by the ledger's verifier: by which keys and pin, and what its report is as JSON.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use ledger::durable::{Disk, OsDisk};
use ledger::verify::{FolderReport, KeysFor, Progress, VerifyOptions, verify_folder};
use serde_json::{Value, json};
use tlog::Vkey;

use crate::known::KnownLedgers;

/// By what a folder is judged.
pub(crate) struct Terms {
    /// Keys that were typed; none: those that are remembered for an origin, else the folder's own.
    pub(crate) vkeys: Vec<Vkey>,
    pub(crate) known: Option<KnownLedgers>,
    pub(crate) pin: Option<PathBuf>,
    /// Only this ledger.
    pub(crate) ledger: Option<String>,
}

/// Judges all of it on every core.
pub(crate) fn judge(data: &Path, terms: Terms, progress: &dyn Fn(Progress)) -> Result<FolderReport> {
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let options = VerifyOptions {
        body_digest: Arc::new(server::body_digest),
        keys: keys_for(terms.vkeys, terms.known),
        pin: terms.pin,
        ledger: terms.ledger,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    };
    verify_folder(&disk, data, &options, progress).with_context(|| format!("judging {}", data.display()))
}

fn keys_for(vkeys: Vec<Vkey>, known: Option<KnownLedgers>) -> KeysFor {
    Arc::new(move |origin| {
        if !vkeys.is_empty() {
            return Some(vkeys.clone());
        }
        let remembered = known.as_ref()?.by_origin(origin)?;
        // One that cannot be read is not replaced by what the folder offers: then no key is known.
        Some(remembered.vkeys.iter().filter_map(|vkey| Vkey::parse(vkey).ok()).collect())
    })
}

/// The answer of docs/formats/verdicts.md, "A finding as JSON".
pub(crate) fn to_json(report: &FolderReport) -> Value {
    let span = |range: &Option<std::ops::Range<u64>>| range.as_ref().map(|range| [range.start, range.end]);
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|located| {
            let found = &located.finding;
            json!({"code": found.code.row().0, "ledger": located.ledger, "file": found.file,
                "bytes": span(&found.bytes), "entries": span(&found.entries), "detail": found.detail})
        })
        .collect();
    let notes: Vec<&str> = report.notes.iter().map(|note| note.name()).collect();
    let ledgers: Vec<Value> = report
        .ledgers
        .iter()
        .map(|ledger| {
            json!({"ledger": ledger.ulid, "name": ledger.name, "origin": ledger.origin, "size": ledger.size,
                "checkpoint": ledger.checkpoint, "root": ledger.root.map(|root| root.b64())})
        })
        .collect();
    let (verdict, exit) = report.verdict().row();
    let mut answer =
        json!({"verdict": verdict, "exit": exit, "findings": findings, "notes": notes, "ledgers": ledgers});
    if report.dropped > 0 {
        answer["dropped"] = json!(report.dropped);
    }
    answer
}
