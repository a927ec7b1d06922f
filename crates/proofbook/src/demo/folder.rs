//! What the verifier of data folders says about a copy, as far as the tour shows it.

use std::path::Path;

use anyhow::Result;
use tlog::Vkey;

use crate::judge::folder::{self, Terms};

/// The verdict, and where the first damage lies.
pub(super) struct Verdict {
    pub(super) code: &'static str,
    pub(super) exit: u8,
    pub(super) entries: Option<(u64, u64)>,
    pub(super) detail: String,
}

/// Judges the ledger of that name by its own keys, which are given, not taken from the folder.
pub(super) fn judge(data: &Path, ledger: &str, vkeys: &[Vkey]) -> Result<Verdict> {
    let terms = Terms { vkeys: vkeys.to_vec(), known: None, pin: None, ledger: Some(ledger.to_owned()) };
    let report = folder::judge(data, terms, &|_| {})?;
    let (code, exit) = report.verdict().row();
    let worst = report.findings.iter().find(|located| located.finding.code == report.verdict());
    let entries = worst.and_then(|located| located.finding.entries.as_ref()).map(|range| (range.start, range.end));
    let detail = worst.map_or_else(String::new, |located| {
        let place =
            located.finding.bytes.as_ref().map_or_else(String::new, |b| format!(", bytes {}..{}", b.start, b.end));
        format!("{}{place}: {}", located.finding.file, located.finding.detail)
    });
    Ok(Verdict { code, exit, entries, detail })
}
