//! tlog-checkpoint: what a log says about its tree. Keeps no history and compares no two checkpoints: that is
//! [`crate::follow`].

use crate::encoding;
use crate::hash::Hash;
use crate::note::{Note, NoteError, valid_name};
use crate::vkey::{KeyKind, Vkey};

/// The origin, size and root of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Leaves in its tree, below 2^63.
    pub size: u64,
    /// Root of that tree.
    pub root: Hash,
}

impl Checkpoint {
    /// Reads the text of a note. Extension lines are ignored.
    ///
    /// # Errors
    /// `NotCheckpoint`.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let bad = |what| Err(NoteError::NotCheckpoint(what));
        let Some(lines) = text.strip_suffix('\n') else {
            return bad("the text does not end in LF");
        };
        let mut lines = lines.split('\n');
        let Some(origin) = lines.next().filter(|origin| valid_name(origin)) else {
            return bad("the origin is empty or holds a space or a plus");
        };
        let Some(size) = lines.next().and_then(encoding::size) else {
            return bad("the size is not a decimal number below 2^63");
        };
        let Some(root) = lines.next().and_then(Hash::from_b64) else {
            return bad("the root is not a hash in base64");
        };
        if lines.any(str::is_empty) {
            return bad("an extension line is empty");
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// The text to sign: three lines, no extensions.
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root.b64())
    }
}

/// Reads a signed checkpoint and verifies the log's signature with the log's keys.
///
/// One line by a key whose name is the checkpoint's origin must verify (Ed25519 0x01 or ML-DSA-44 0x06), and every
/// line by a key given. With `origin` it must be that one.
///
/// # Errors
/// Those of [`Note::parse`] and [`Note::verify`]; `NotCheckpoint`, `WrongOrigin`, `WrongEmptyRoot`.
pub fn verify_checkpoint(note: &[u8], vkeys: &[Vkey], origin: Option<&str>) -> Result<Checkpoint, NoteError> {
    let note = Note::parse(note)?;
    let checkpoint = Checkpoint::parse(&note.text)?;
    if origin.is_some_and(|origin| origin != checkpoint.origin) {
        return Err(NoteError::WrongOrigin);
    }
    let signers = note.verify(vkeys)?;
    // tlog-checkpoint: the key name on the log's own line is the origin.
    let by_log = |key: &Vkey| key.name == checkpoint.origin && signs_as_log(key.kind);
    if !signers.iter().filter_map(|signer| vkeys.get(*signer)).any(by_log) {
        return Err(NoteError::NoKnownSignature);
    }
    if checkpoint.size == 0 && checkpoint.root != Hash::EMPTY_ROOT {
        return Err(NoteError::WrongEmptyRoot);
    }
    Ok(checkpoint)
}

/// Kinds of keys a log signs its checkpoints with; 0x04 belongs to cosigners only.
pub(crate) fn signs_as_log(kind: KeyKind) -> bool {
    matches!(kind, KeyKind::Ed25519 | KeyKind::CosignatureMlDsa44)
}
