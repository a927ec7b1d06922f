//! Signs checkpoints and key notes with closures that hold the keys. Does no IO, and keeps no memory of what it
//! signed: that no two inconsistent checkpoints are signed is the publisher's duty.

use std::fmt;
use std::sync::Arc;

use crate::checkpoint::Checkpoint;
use crate::cosignature::{Cosigner, Sign};
use crate::key_note::KeyNote;
use crate::limits::{NAME_BYTES_MAX, TIMESTAMP_MAX};
use crate::note::{Note, NoteError, SignatureLine};
use crate::vkey::{KeyKind, Vkey};

/// Signs with the log's Ed25519 key.
pub type SignEd25519 = Arc<dyn Fn(&[u8]) -> [u8; 64] + Send + Sync>;

/// The signing side of one log: both its keys, by closure.
#[derive(Clone)]
pub struct CheckpointSigner {
    ed25519: Vkey,
    sign_ed25519: SignEd25519,
    ml_dsa_44: Cosigner,
}

impl CheckpointSigner {
    /// A signer for one origin.
    ///
    /// `sign_mldsa44` signs pure ML-DSA-44 with an empty context and gives 2,420 bytes.
    ///
    /// # Errors
    /// `BadSigner` where the origin is no key name of 1 to 255 bytes, or a public key is none.
    pub fn new(
        origin: &str,
        ed25519_public: [u8; 32],
        mldsa44_public: &[u8],
        sign_ed25519: SignEd25519,
        sign_mldsa44: Sign,
    ) -> Result<Self, NoteError> {
        if origin.len() > NAME_BYTES_MAX {
            return Err(NoteError::BadSigner);
        }
        let ed25519 = Vkey::new(origin, KeyKind::Ed25519, &ed25519_public).map_err(|_| NoteError::BadSigner)?;
        let ml_dsa_44 = Cosigner::ml_dsa_44(origin, mldsa44_public, sign_mldsa44).map_err(|_| NoteError::BadSigner)?;
        Ok(Self { ed25519, sign_ed25519, ml_dsa_44 })
    }

    /// Signs a checkpoint of this log: the whole note, Ed25519 line first, ML-DSA-44 line second.
    ///
    /// The note names this signer's origin, whatever the checkpoint says. `unix_seconds` stands in the ML-DSA-44 line.
    pub fn sign(&self, checkpoint: &Checkpoint, unix_seconds: u64) -> String {
        debug_assert_eq!(checkpoint.origin, self.origin(), "a signer signs for one log");
        let own = Checkpoint { origin: self.origin().to_owned(), ..*checkpoint };
        let text = own.to_text();
        let mut signatures = vec![self.ed25519_line(&text)];
        // The text is a checkpoint by construction and the clamped time is legal, so there always is a second line.
        signatures.extend(self.ml_dsa_44.cosign(&text, unix_seconds.clamp(1, TIMESTAMP_MAX)));
        Note { text, signatures }.to_string()
    }

    /// Both keys, Ed25519 first.
    pub fn vkeys(&self) -> Vec<Vkey> {
        vec![self.ed25519.clone(), self.ml_dsa_44.vkey().clone()]
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        &self.ed25519.name
    }

    /// The first key note of the log: its keys are valid from `from` on, signed by its own Ed25519 key.
    pub fn key_note(&self, from: u64) -> String {
        let note = KeyNote { origin: self.origin().to_owned(), from, keys: self.vkeys(), previous: Vec::new() };
        self.sign_key_note(&note, None)
    }

    /// A key note signed by this log's Ed25519 key, after the line of the key it replaces.
    pub fn sign_key_note(&self, note: &KeyNote, replaced: Option<&Self>) -> String {
        let text = note.to_text();
        let mut signatures = Vec::new();
        signatures.extend(replaced.map(|old| old.ed25519_line(&text)));
        signatures.push(self.ed25519_line(&text));
        Note { text, signatures }.to_string()
    }

    fn ed25519_line(&self, text: &str) -> SignatureLine {
        SignatureLine::of(&self.ed25519, (self.sign_ed25519)(text.as_bytes()).to_vec())
    }
}

impl fmt::Debug for CheckpointSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointSigner").field("origin", &self.origin()).finish_non_exhaustive()
    }
}
