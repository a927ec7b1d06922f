//! What is said about a proof or an export, in the codes of docs/formats/verdicts.md; data folders have their own
//! report, shown the same way.

pub(crate) use ledger::Code;
use serde_json::{Value, json};

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
    pub(crate) findings: Vec<Finding>,
    pub(crate) notes: Vec<&'static str>,
    pub(crate) origin: Option<String>,
    pub(crate) size: u64,
    pub(crate) root: Option<String>,
}

impl Judgement {
    pub(crate) fn find(&mut self, code: Code, file: Option<&str>, entries: Option<(u64, u64)>, detail: String) {
        self.findings.push(Finding { code, file: file.map(str::to_owned), entries, detail });
    }

    /// Name and exit code of the verdict.
    pub(crate) fn verdict(&self) -> (&'static str, u8) {
        self.findings.iter().map(|f| f.code).min().map_or(("ok", 0), Code::row)
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
        json!({"verdict": verdict, "exit": exit, "findings": findings, "notes": self.notes,
            "ledgers": [{"origin": self.origin, "size": self.size, "root": self.root}]})
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
        // The last note is that of proofs.
        assert!(rows.next().unwrap().starts_with("| `body-withheld` | 0 | note |") && rows.next().is_none());
    }
}
