//! Judges evidence without trusting whoever hands it over (docs/formats/verdicts.md): single proofs, whole logs in
//! tiles layout, from a folder or by URL, and data folders.
//!
//! Pure but for the `Fetch` handed in, and for data folders, which the ledger's own verifier reads. Prints nothing.

pub(crate) mod folder;
pub(crate) mod proof;
mod signed;
pub(crate) mod tiles;
pub(crate) mod verdict;

use tlog::{Hash, NoteError};

use verdict::Code;

/// The digest that a leaf of an audit ledger names for its body, in hex; `None` for any other leaf.
pub(crate) fn body_digest(leaf: &[u8]) -> Option<String> {
    server::body_digest(leaf).map(|digest| Hash(digest).hex())
}

/// Whether a leaf is that of an audit ledger, which keeps a body for it.
pub(crate) fn names_a_body(leaf: &[u8]) -> bool {
    server::body_digest(leaf).is_some()
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
