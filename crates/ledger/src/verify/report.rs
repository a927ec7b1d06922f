//! What a verification of a data folder says in the end (docs/formats/verdicts.md). Finds nothing itself.

use tlog::Hash;

use crate::verdict::{Code, Finding};

/// Findings that are listed; further ones are counted. A folder that is damaged everywhere need not be told byte by
/// byte.
pub const FINDINGS_MAX: usize = 10_000;

/// A note: it never changes the verdict and is always shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Note {
    /// Signatures were checked with the folder's own keys.
    OwnKeys,
    /// Nothing outside of the folder tells whether it is an older state.
    NoPin,
    /// No witness has cosigned.
    Unwitnessed,
}

impl Note {
    /// As the page writes it.
    pub fn name(self) -> &'static str {
        match self {
            Note::OwnKeys => "own-keys",
            Note::NoPin => "no-pin",
            Note::Unwitnessed => "unwitnessed",
        }
    }
}

/// A finding with the ledger it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// ULID of the ledger whose folder `finding.file` is relative to; `None`: the data folder.
    pub ledger: Option<String>,
    /// What was found.
    pub finding: Finding,
}

/// One ledger as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerSummary {
    /// Its folder.
    pub ulid: String,
    /// Its name, where `LEDGER` can be read.
    pub name: Option<String>,
    /// Its origin.
    pub origin: Option<String>,
    /// Entries that were reached.
    pub size: u64,
    /// Size of the last good checkpoint.
    pub checkpoint: Option<u64>,
    /// Root of the tree of `size`, where it is known.
    pub root: Option<Hash>,
}

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderReport {
    /// In the order of the page's steps; at most [`FINDINGS_MAX`].
    pub findings: Vec<Located>,
    /// Findings beyond those.
    pub dropped: u64,
    /// In the order of the page, each once.
    pub notes: Vec<Note>,
    /// In the order of their ULIDs.
    pub ledgers: Vec<LedgerSummary>,
    worst: Option<Code>,
}

impl FolderReport {
    /// The code that stands highest in the table.
    pub fn verdict(&self) -> Code {
        self.worst.unwrap_or(Code::Ok)
    }

    /// Exit code of the verdict.
    pub fn exit(&self) -> u8 {
        self.verdict().row().1
    }

    /// Adds what was found.
    pub(crate) fn find(&mut self, ledger: Option<&str>, finding: Finding) {
        self.worst = Some(self.worst.map_or(finding.code, |worst| worst.min(finding.code)));
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Located { ledger: ledger.map(str::to_owned), finding });
        } else {
            self.dropped += 1;
        }
    }

    pub(crate) fn note(&mut self, note: Note) {
        if let Err(at) = self.notes.binary_search(&note) {
            self.notes.insert(at, note);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(code: Code) -> Finding {
        Finding { code, file: String::new(), bytes: None, entries: None, detail: "".into() }
    }

    #[test]
    fn the_highest_code_is_the_verdict_also_of_what_is_not_listed() {
        let mut report = FolderReport::default();
        assert_eq!((report.verdict(), report.exit()), (Code::Ok, 0));
        report.find(None, finding(Code::UnsignedTail));
        assert_eq!((report.verdict(), report.exit()), (Code::UnsignedTail, 0));
        for _ in 0..FINDINGS_MAX {
            report.find(None, finding(Code::FileUnknown));
        }
        report.find(Some("l"), finding(Code::Rollback));
        assert_eq!((report.verdict(), report.exit(), report.dropped), (Code::Rollback, 12, 2));
        assert_eq!(report.findings.len(), FINDINGS_MAX);
    }

    #[test]
    fn notes_stand_once_and_in_order() {
        let mut report = FolderReport::default();
        for note in [Note::Unwitnessed, Note::OwnKeys, Note::Unwitnessed, Note::NoPin] {
            report.note(note);
        }
        assert_eq!(report.notes, [Note::OwnKeys, Note::NoPin, Note::Unwitnessed]);
    }
}
