//! What a verifier says about evidence: the table of docs/formats/verdicts.md. Judges nothing itself.

use std::borrow::Cow;
use std::ops::Range;

/// One code of the table; earlier ones take precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is a row of docs/formats/verdicts.md")]
pub enum Code {
    FormatNewer,
    CheckpointInconsistent,
    Rollback,
    CheckpointForged,
    KeyUnknown,
    OriginOther,
    LedgerAltered,
    KeysAltered,
    EntryAltered,
    EntryMissing,
    BodyAltered,
    BodyMissing,
    TagsAltered,
    TileAltered,
    ManifestAltered,
    WalAltered,
    CheckpointAltered,
    PinAltered,
    FileAltered,
    FileMissing,
    FileUnknown,
    ProofMalformed,
    ProofWrong,
    TornTail,
    CheckpointMissing,
    UnsignedTail,
    Unfinished,
    Ok,
}

impl Code {
    /// All rows, in their order.
    pub const ALL: [Code; 28] = [
        Code::FormatNewer,
        Code::CheckpointInconsistent,
        Code::Rollback,
        Code::CheckpointForged,
        Code::KeyUnknown,
        Code::OriginOther,
        Code::LedgerAltered,
        Code::KeysAltered,
        Code::EntryAltered,
        Code::EntryMissing,
        Code::BodyAltered,
        Code::BodyMissing,
        Code::TagsAltered,
        Code::TileAltered,
        Code::ManifestAltered,
        Code::WalAltered,
        Code::CheckpointAltered,
        Code::PinAltered,
        Code::FileAltered,
        Code::FileMissing,
        Code::FileUnknown,
        Code::ProofMalformed,
        Code::ProofWrong,
        Code::TornTail,
        Code::CheckpointMissing,
        Code::UnsignedTail,
        Code::Unfinished,
        Code::Ok,
    ];

    /// Whether something is wrong, in contrast to `ok` and what is explained.
    pub fn is_damage(self) -> bool {
        self < Code::TornTail
    }

    /// Text and exit code.
    pub fn row(self) -> (&'static str, u8) {
        match self {
            Code::FormatNewer => ("format-newer", 10),
            Code::CheckpointInconsistent => ("checkpoint-inconsistent", 11),
            Code::Rollback => ("rollback", 12),
            Code::CheckpointForged => ("checkpoint-forged", 13),
            Code::KeyUnknown => ("key-unknown", 14),
            Code::OriginOther => ("origin-other", 15),
            Code::LedgerAltered => ("ledger-altered", 16),
            Code::KeysAltered => ("keys-altered", 17),
            Code::EntryAltered => ("entry-altered", 20),
            Code::EntryMissing => ("entry-missing", 21),
            Code::BodyAltered => ("body-altered", 22),
            Code::BodyMissing => ("body-missing", 23),
            Code::TagsAltered => ("tags-altered", 24),
            Code::TileAltered => ("tile-altered", 25),
            Code::ManifestAltered => ("manifest-altered", 26),
            Code::WalAltered => ("wal-altered", 27),
            Code::CheckpointAltered => ("checkpoint-altered", 28),
            Code::PinAltered => ("pin-altered", 29),
            Code::FileAltered => ("file-altered", 30),
            Code::FileMissing => ("file-missing", 31),
            Code::FileUnknown => ("file-unknown", 32),
            Code::ProofMalformed => ("proof-malformed", 40),
            Code::ProofWrong => ("proof-wrong", 41),
            Code::TornTail => ("torn-tail", 0),
            Code::CheckpointMissing => ("checkpoint-missing", 0),
            Code::UnsignedTail => ("unsigned-tail", 0),
            Code::Unfinished => ("unfinished", 0),
            Code::Ok => ("ok", 0),
        }
    }
}

/// One thing that is not as it was written, located.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Row of the table.
    pub code: Code,
    /// Relative to the ledger's folder.
    pub file: String,
    /// Half open; `None` where none can be named.
    pub bytes: Option<Range<u64>>,
    /// Half open; `None` where none can be named.
    pub entries: Option<Range<u64>>,
    /// For people.
    pub detail: Cow<'static, str>,
}
