//! The table of docs/formats/verdicts.md as far as proofs and exports need it: codes, exit codes, precedence.

use serde_json::{Value, json};

/// What is wrong. The order is the precedence: the first of all findings is the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Code {
    CheckpointInconsistent,
    Rollback,
    CheckpointForged,
    KeyUnknown,
    OriginOther,
    EntryAltered,
    BodyAltered,
    BodyMissing,
    TileAltered,
    FileMissing,
    FileUnknown,
    ProofMalformed,
    ProofWrong,
}

impl Code {
    #[cfg(test)]
    pub(crate) const ALL: [Code; 13] = [
        Code::CheckpointInconsistent,
        Code::Rollback,
        Code::CheckpointForged,
        Code::KeyUnknown,
        Code::OriginOther,
        Code::EntryAltered,
        Code::BodyAltered,
        Code::BodyMissing,
        Code::TileAltered,
        Code::FileMissing,
        Code::FileUnknown,
        Code::ProofMalformed,
        Code::ProofWrong,
    ];

    /// Name and exit code.
    pub(crate) fn row(self) -> (&'static str, u8) {
        match self {
            Code::CheckpointInconsistent => ("checkpoint-inconsistent", 11),
            Code::Rollback => ("rollback", 12),
            Code::CheckpointForged => ("checkpoint-forged", 13),
            Code::KeyUnknown => ("key-unknown", 14),
            Code::OriginOther => ("origin-other", 15),
            Code::EntryAltered => ("entry-altered", 20),
            Code::BodyAltered => ("body-altered", 22),
            Code::BodyMissing => ("body-missing", 23),
            Code::TileAltered => ("tile-altered", 25),
            Code::FileMissing => ("file-missing", 31),
            Code::FileUnknown => ("file-unknown", 32),
            Code::ProofMalformed => ("proof-malformed", 40),
            Code::ProofWrong => ("proof-wrong", 41),
        }
    }
}

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
    use super::Code;

    /// Codes and exit codes are those of the format page, in its order.
    #[test]
    fn the_table_is_the_page() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats/verdicts.md");
        let page = std::fs::read_to_string(page).unwrap();
        let mut last = 0;
        for code in Code::ALL {
            let (name, exit) = code.row();
            let at = page.find(&format!("| `{name}` | {exit} | damage |")).unwrap_or_else(|| panic!("{name} {exit}"));
            assert!(at > last, "{name} stands elsewhere in the table");
            last = at;
        }
    }
}
