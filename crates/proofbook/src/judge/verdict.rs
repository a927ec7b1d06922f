//! What is said about a proof or an export, in the codes of docs/formats/verdicts.md; data folders have their own
//! report, shown the same way.

use std::collections::BTreeSet;

pub(crate) use ledger::Code;
pub(crate) use ledger::verify::FINDINGS_MAX;
use serde_json::{Value, json};
use tlog::Vkey;

/// The notes of proofs and exports, in the order of the page.
const NOTES: [&str; 4] = ["own-keys", "unwitnessed", "body-withheld", "lines-unchecked"];

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) code: Code,
    pub(crate) file: Option<String>,
    pub(crate) entries: Option<(u64, u64)>,
    pub(crate) detail: String,
}

/// What a verifier says in the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judgement {
    /// The first [`FINDINGS_MAX`].
    pub(crate) findings: Vec<Finding>,
    /// How many more there were.
    dropped: u64,
    worst: Option<Code>,
    /// In the order of the page.
    pub(crate) notes: Vec<&'static str>,
    /// Of a proof: the members of the entry JSON that nothing signs.
    pub(crate) unproven: Option<Vec<&'static str>>,
    pub(crate) origin: Option<String>,
    pub(crate) size: u64,
    pub(crate) root: Option<String>,
    /// Of an export: the keys that sign a checkpoint of this size.
    pub(crate) keys: Vec<Vkey>,
    /// Of an export: bundles of which no leaf names a body.
    pub(crate) bodiless: BTreeSet<u64>,
}

impl Judgement {
    pub(crate) fn find(&mut self, code: Code, file: Option<&str>, entries: Option<(u64, u64)>, detail: String) {
        self.worst = Some(self.worst.map_or(code, |worst| worst.min(code)));
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { code, file: file.map(str::to_owned), entries, detail });
        } else {
            self.dropped += 1;
        }
    }

    pub(crate) fn note(&mut self, name: &'static str) {
        if !self.notes.contains(&name) {
            self.notes.push(name);
            self.notes.sort_by_key(|note| NOTES.iter().position(|known| known == note));
        }
    }

    /// Name and exit code of the verdict.
    pub(crate) fn verdict(&self) -> (&'static str, u8) {
        self.worst.map_or(("ok", 0), Code::row)
    }

    pub(crate) fn to_json(&self) -> Value {
        let (verdict, exit) = self.verdict();
        let findings: Vec<Value> = self
            .findings
            .iter()
            .map(|f| {
                json!({"code": f.code.row().0, "ledger": null, "file": f.file, "bytes": null,
                    "entries": f.entries.map(|(a, b)| [a, b]), "detail": f.detail})
            })
            .collect();
        let ledgers: Vec<Value> = self
            .origin
            .iter()
            .map(|origin| {
                json!({"ledger": null, "name": null, "origin": origin, "size": self.size, "checkpoint": self.size,
                    "root": self.root})
            })
            .collect();
        let mut answer =
            json!({"verdict": verdict, "exit": exit, "findings": findings, "notes": self.notes, "ledgers": ledgers});
        if self.dropped > 0 {
            answer["dropped"] = json!(self.dropped);
        }
        if let Some(unproven) = &self.unproven {
            answer["unproven"] = json!(unproven);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use ledger::verify::Note;

    use super::Code;

    /// Codes, exit codes and classes are those of the format page, in its order, and no others.
    #[test]
    fn the_table_is_the_page() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats/verdicts.md");
        let page = std::fs::read_to_string(page).unwrap();
        let mut rows = page.lines().filter(|line| line.starts_with("| `"));
        for code in Code::ALL {
            let (name, exit) = code.row();
            let class = match code {
                Code::Ok => "",
                code if code.is_damage() => "damage ",
                _ => "explained ",
            };
            let row = rows.next().unwrap();
            assert!(row.starts_with(&format!("| `{name}` | {exit} | {class}|")), "{name} {exit}: {row}");
        }
        for note in [Note::OwnKeys, Note::NoPin, Note::Unwitnessed] {
            assert!(rows.next().unwrap().starts_with(&format!("| `{}` | 0 | note |", note.name())));
        }
        // The last ones are those of proofs and exports.
        for note in &super::NOTES[2..] {
            assert!(rows.next().unwrap().starts_with(&format!("| `{note}` | 0 | note |")));
        }
        assert_eq!(rows.next(), None);
    }
}
