//! signed-note: a text and the lines that sign it. Knows nothing of what the text says.

use std::fmt;

use crate::encoding;
use crate::limits::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX};
use crate::vkey::{KeyKind, Vkey};

/// How a signature line begins: em dash, space.
const DASH: &str = "\u{2014} ";

/// Why bytes are no note, or a note is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Larger than any note that is accepted.
    #[error("the note has more than 65536 bytes")]
    TooLarge,
    /// More signature lines than are accepted.
    #[error("the note has more than 100 signature lines")]
    TooManySignatures,
    /// Not the form of a signed note.
    #[error("malformed note: {0}")]
    Malformed(&'static str),
    /// The text of the note is no checkpoint.
    #[error("malformed checkpoint: {0}")]
    NotCheckpoint(&'static str),
    /// A line of a known key that does not verify; the whole note is rejected.
    #[error("the signature line of {name} does not verify under its known key")]
    BadSignature {
        /// Name on the line.
        name: String,
    },
    /// No line of a known key.
    #[error("no signature by a known key")]
    NoKnownSignature,
    /// The checkpoint is about another log.
    #[error("the checkpoint is of another origin")]
    WrongOrigin,
    /// A tree without leaves has one root only.
    #[error("the checkpoint of size 0 does not have the empty root")]
    WrongEmptyRoot,
    /// A name or key that cannot sign checkpoints.
    #[error("not an origin and keys that can sign checkpoints")]
    BadSigner,
}

/// One line `EM DASH, space, name, space, base64(key id, payload)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureLine {
    /// Name of the signer.
    pub name: String,
    /// Id of its key.
    pub key_id: [u8; 4],
    /// What follows the key id: the signature, of cosignatures after a timestamp.
    pub payload: Vec<u8>,
}

impl SignatureLine {
    /// Reads one line without its LF.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let bad = NoteError::Malformed("a signature line is an em dash, a name and base64");
        let Some((name, data)) = line.strip_prefix(DASH).and_then(|rest| rest.split_once(' ')) else {
            return Err(bad);
        };
        if !valid_name(name) {
            return Err(bad);
        }
        let data = encoding::from_b64(data).ok_or(bad.clone())?;
        match data.split_first_chunk::<4>() {
            Some((key_id, payload)) if !payload.is_empty() => {
                Ok(Self { name: name.to_owned(), key_id: *key_id, payload: payload.to_vec() })
            }
            _ => Err(bad),
        }
    }

    /// The line of `key` with this payload.
    pub(crate) fn of(key: &Vkey, payload: Vec<u8>) -> Self {
        Self { name: key.name.clone(), key_id: key.key_id, payload }
    }

    fn is_by(&self, key: &Vkey) -> bool {
        self.name == key.name && self.key_id == key.key_id
    }
}

/// The line with its LF.
impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut data = Vec::with_capacity(4 + self.payload.len());
        data.extend_from_slice(&self.key_id);
        data.extend_from_slice(&self.payload);
        writeln!(f, "{DASH}{} {}", self.name, encoding::b64(&data))
    }
}

/// A signed note, parsed; its signatures are not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What is signed, its last LF included.
    pub text: String,
    /// At least one.
    pub signatures: Vec<SignatureLine>,
}

/// A signature line that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedLine {
    /// Which of the keys given made it.
    pub vkey: usize,
    /// Which line of the note.
    pub line: usize,
    /// Of a cosignature: when it was made, POSIX seconds; 0 makes no claim of time. None for a plain signature.
    pub timestamp: Option<u64>,
}

impl Note {
    /// Reads a note; Display writes the same bytes again.
    ///
    /// # Errors
    /// `TooLarge`, `TooManySignatures`, `Malformed`.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLarge);
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::Malformed("not UTF-8"))?;
        if note.bytes().any(|b| b < 0x20 && b != b'\n') {
            return Err(NoteError::Malformed("a control character"));
        }
        // signed-note: the signatures follow the last empty line.
        let split = note.rfind("\n\n").ok_or(NoteError::Malformed("no empty line before the signatures"))?;
        let (text, rest) = note.split_at_checked(split + 1).ok_or(NoteError::Malformed("no text"))?;
        let lines = rest.strip_prefix('\n').and_then(|r| r.strip_suffix('\n'));
        let lines = lines.ok_or(NoteError::Malformed("no signature line that ends in LF"))?;
        if lines.bytes().filter(|b| *b == b'\n').count() >= NOTE_SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures);
        }
        let signatures = lines.split('\n').map(SignatureLine::parse).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// Verifies the lines of the keys given and tells which of these keys signed, in the order of the lines.
    ///
    /// Lines of other keys, and of kinds that cannot be verified, are ignored.
    ///
    /// # Errors
    /// `BadSignature` where a line of a known key does not verify; `NoKnownSignature`.
    pub fn verify(&self, vkeys: &[Vkey]) -> Result<Vec<usize>, NoteError> {
        let mut signers = Vec::new();
        for verified in self.verify_lines(vkeys)? {
            if !signers.contains(&verified.vkey) {
                signers.push(verified.vkey);
            }
        }
        Ok(signers)
    }

    /// As [`Note::verify`], with each line and its timestamp.
    ///
    /// # Errors
    /// The same.
    pub fn verify_lines(&self, vkeys: &[Vkey]) -> Result<Vec<VerifiedLine>, NoteError> {
        let mut verified = Vec::new();
        for (line, signature) in self.signatures.iter().enumerate() {
            let known = |key: &Vkey| signature.is_by(key) && !matches!(key.kind, KeyKind::Unknown(_));
            let mut tried = false;
            let mut holds = false;
            for (vkey, key) in vkeys.iter().enumerate().filter(|(_, key)| known(key)) {
                tried = true;
                if let Ok(timestamp) = key.verify_payload(&self.text, &signature.payload) {
                    holds = true;
                    verified.push(VerifiedLine { vkey, line, timestamp });
                }
            }
            // signed-note: a signature of a known key that does not verify rejects the note.
            if tried && !holds {
                return Err(NoteError::BadSignature { name: signature.name.clone() });
            }
        }
        if verified.is_empty() { Err(NoteError::NoKnownSignature) } else { Ok(verified) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| write!(f, "{line}"))
    }
}

/// signed-note: a name is not empty and holds no Unicode space and no plus. Control characters never stand in notes.
pub(crate) fn valid_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c == '+' || c < ' ')
}
