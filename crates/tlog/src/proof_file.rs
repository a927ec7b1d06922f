//! tlog-proof: the `.tlog-proof` file, an inclusion proof with the checkpoint it leads to. Knows no leaf: the caller
//! hashes that, and checks its body.

use std::fmt;

use crate::checkpoint::{Checkpoint, verify_checkpoint};
use crate::encoding;
use crate::hash::Hash;
use crate::limits::{NOTE_BYTES_MAX, PROOF_FILE_BYTES_MAX, PROOF_HASHES_MAX};
use crate::note::{Note, NoteError};
use crate::policy::{Accepted, Policy, PolicyRefusal};
use crate::proof::{ProofError, verify_inclusion};
use crate::vkey::Vkey;

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Why a `.tlog-proof` cannot be read or does not prove its leaf.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofFileError {
    /// Not the form of the file.
    #[error("malformed tlog-proof: {0}")]
    Malformed(&'static str),
    /// The checkpoint in it is not signed as it must be.
    #[error("the checkpoint of the proof: {0}")]
    Checkpoint(NoteError),
    /// The policy does not accept the checkpoint.
    #[error("the checkpoint of the proof: {0}")]
    Policy(PolicyRefusal),
    /// The hashes do not lead from this leaf to the checkpoint's root.
    #[error("the inclusion proof: {0}")]
    Inclusion(ProofError),
}

/// A `.tlog-proof`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// Data of the application; nothing authenticates it.
    pub extra: Option<Vec<u8>>,
    /// Index of the leaf.
    pub index: u64,
    /// The inclusion proof, the leaf's sibling first.
    pub proof: Vec<Hash>,
    /// The signed checkpoint, byte for byte.
    pub checkpoint_note: String,
}

impl TlogProof {
    /// Reads a file; Display writes the same bytes again. Signatures are not verified here.
    ///
    /// # Errors
    /// `Malformed`; `Checkpoint` where the note at its end is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofFileError> {
        let bad = ProofFileError::Malformed;
        if bytes.len() > PROOF_FILE_BYTES_MAX {
            return Err(bad("more than 262144 bytes"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| bad("not UTF-8"))?;
        // tlog-proof: the first empty line ends the proof; the note holds another.
        let (head, note) = text.split_once("\n\n").ok_or(bad("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(bad("the first line is not c2sp.org/tlog-proof@v1"));
        }
        let extra = match lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            Some(extra) => {
                lines.next();
                Some(encoding::from_b64(extra).ok_or(bad("the extra data is not base64"))?)
            }
            None => None,
        };
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(encoding::size);
        let index = index.ok_or(bad("no index line with a number below 2^63"))?;
        let proof = parse_hashes(lines).ok_or(bad("a proof line is not a hash, or there are more than 63"))?;
        let parsed = Note::parse(note.as_bytes()).map_err(ProofFileError::Checkpoint)?;
        Checkpoint::parse(&parsed.text).map_err(ProofFileError::Checkpoint)?;
        Ok(Self { extra, index, proof, checkpoint_note: note.to_owned() })
    }

    /// The file as text; what [`TlogProof::parse`] reads.
    pub fn to_text(&self) -> String {
        self.to_string()
    }

    /// Verifies against the keys of one log, without witnesses: log signature, then the inclusion of the leaf.
    ///
    /// # Errors
    /// `Checkpoint`, `Inclusion`.
    pub fn verify(&self, leaf: &Hash, log: &[Vkey], origin: Option<&str>) -> Result<Checkpoint, ProofFileError> {
        let note = self.checkpoint_note.as_bytes();
        let checkpoint = verify_checkpoint(note, log, origin).map_err(ProofFileError::Checkpoint)?;
        self.included(leaf, &checkpoint)?;
        Ok(checkpoint)
    }

    /// Verifies against a policy, in the order of tlog-proof: origin and log signature, cosignatures, inclusion.
    ///
    /// # Errors
    /// `Policy`, `Inclusion`.
    pub fn verify_by_policy(&self, leaf: &Hash, policy: &Policy) -> Result<Accepted, ProofFileError> {
        let accepted = policy.verify(self.checkpoint_note.as_bytes()).map_err(ProofFileError::Policy)?;
        self.included(leaf, &accepted.checkpoint)?;
        Ok(accepted)
    }

    fn included(&self, leaf: &Hash, checkpoint: &Checkpoint) -> Result<(), ProofFileError> {
        verify_inclusion(leaf, self.index, checkpoint.size, &self.proof, &checkpoint.root)
            .map_err(ProofFileError::Inclusion)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", encoding::b64(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        write_hashes(f, &self.proof)?;
        write!(f, "\n{}", self.checkpoint_note)
    }
}

/// Lines of one hash each; None where one is none or there are more than 63.
pub(crate) fn parse_hashes<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Vec<Hash>> {
    let mut hashes = Vec::new();
    for line in lines {
        if hashes.len() == PROOF_HASHES_MAX {
            return None;
        }
        hashes.push(Hash::from_b64(line)?);
    }
    Some(hashes)
}

/// A line for each hash.
pub(crate) fn write_hashes(out: &mut dyn fmt::Write, hashes: &[Hash]) -> fmt::Result {
    hashes.iter().try_for_each(|hash| writeln!(out, "{}", hash.b64()))
}

const _: () = assert!(PROOF_FILE_BYTES_MAX > NOTE_BYTES_MAX, "every note fits into a proof file");
