//! Judges evidence without trusting whoever hands it over (docs/formats/verdicts.md): single proofs, and whole logs in
//! tiles layout, from a folder or by URL.
//!
//! Pure but for the `Fetch` handed in; prints nothing.

pub(crate) mod proof;
pub(crate) mod tiles;
pub(crate) mod verdict;

use tlog::NoteError;

use verdict::Code;

/// The digest that a leaf of an audit ledger names for its body; `None` for any other leaf.
pub(crate) fn body_digest(leaf: &[u8]) -> Option<String> {
    let leaf: serde_json::Value = serde_json::from_slice(leaf).ok()?;
    leaf.get("v")?;
    leaf.get("entry_id")?;
    leaf.get("body_sha256")?.as_str().map(str::to_owned)
}

/// The verdict that stands for a note that was not accepted.
pub(crate) fn note_code(error: &NoteError) -> Code {
    match error {
        NoteError::BadSignature { .. } => Code::CheckpointForged,
        NoteError::NoKnownSignature => Code::KeyUnknown,
        NoteError::WrongOrigin => Code::OriginOther,
        NoteError::WrongEmptyRoot => Code::CheckpointInconsistent,
        _ => Code::ProofMalformed,
    }
}
