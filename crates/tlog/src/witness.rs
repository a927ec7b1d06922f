//! tlog-witness: request bodies, the witness's decisions in the order of the specification, and the log's reading of
//! an answer. Pure: persists nothing, sends nothing; the caller swaps the stored state atomically.

use crate::checkpoint::Checkpoint;
use crate::cosignature::{CosignedSubtree, Cosigner};
use crate::encoding;
use crate::hash::{Hash, sha256};
use crate::limits::{WITNESS_ANSWER_BYTES_MAX, WITNESS_BODY_BYTES_MAX};
use crate::note::{Note, NoteError, SignatureLine};
use crate::proof::{verify_consistency, verify_subtree_consistency};
use crate::proof_file::{parse_hashes, write_hashes};
use crate::tree::valid_subtree;
use crate::vkey::Vkey;

/// Media type of the body of a 409, sent and compared exactly, without parameters.
pub const SIZE_MEDIA_TYPE: &str = "text/x.tlog.size";

/// A request to cosign a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size the witness is thought to have cosigned last.
    pub old: u64,
    /// Consistency proof from there; empty where `old` is 0.
    pub proof: Vec<Hash>,
    /// The signed checkpoint.
    pub note: Note,
    /// What the note says.
    pub checkpoint: Checkpoint,
}

impl AddCheckpoint {
    /// Reads a request body. Signatures are not verified here.
    ///
    /// # Errors
    /// `Refusal::Malformed`.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let (mut lines, note, checkpoint) = split_request(body)?;
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(encoding::size);
        let old = old.ok_or(Refusal::Malformed("no line with the old size"))?;
        let proof = parse_hashes(lines).ok_or(Refusal::Malformed("a proof line is not a hash, or more than 63"))?;
        Ok(Self { old, proof, note, checkpoint })
    }

    /// A request body. The note should carry the log's own lines only: witnesses cap the body at 16 KiB and more.
    pub fn body(old: u64, proof: &[Hash], note: &str) -> String {
        let mut body = format!("old {old}\n");
        // Writing to a String cannot fail.
        let _ = write_hashes(&mut body, proof);
        body.push('\n');
        body.push_str(note);
        body
    }
}

/// A request to cosign a subtree of a checkpoint this witness has cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignSubtree {
    /// First leaf.
    pub start: u64,
    /// One past the last leaf.
    pub end: u64,
    /// `MTH(D[start:end])`.
    pub hash: Hash,
    /// Subtree consistency proof to the checkpoint.
    pub proof: Vec<Hash>,
    /// The reference checkpoint with this witness's line.
    pub note: Note,
    /// What the note says.
    pub checkpoint: Checkpoint,
}

impl SignSubtree {
    /// Reads a request body and checks its range. Signatures and proof are not verified here.
    ///
    /// # Errors
    /// `Refusal::Malformed`.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let (mut lines, note, checkpoint) = split_request(body)?;
        let range = lines.next().and_then(|line| line.strip_prefix("subtree ")).and_then(|r| r.split_once(' '));
        let range = range.and_then(|(start, end)| Some((encoding::size(start)?, encoding::size(end)?)));
        let (start, end) = range.ok_or(Refusal::Malformed("no line with the range of the subtree"))?;
        let hash = lines.next().and_then(Hash::from_b64).ok_or(Refusal::Malformed("no line with the subtree hash"))?;
        let proof = parse_hashes(lines).ok_or(Refusal::Malformed("a proof line is not a hash, or more than 63"))?;
        if !valid_subtree(start, end) || end > checkpoint.size {
            return Err(Refusal::Malformed("the range is not a subtree of the checkpoint"));
        }
        Ok(Self { start, end, hash, proof, note, checkpoint })
    }

    /// A request body.
    pub fn body(start: u64, end: u64, hash: &Hash, proof: &[Hash], note: &str) -> String {
        let mut body = format!("subtree {start} {end}\n{}\n", hash.b64());
        // Writing to a String cannot fail.
        let _ = write_hashes(&mut body, proof);
        body.push('\n');
        body.push_str(note);
        body
    }
}

/// The lines before the first empty line, and the checkpoint after it.
fn split_request(body: &[u8]) -> Result<(std::str::Split<'_, char>, Note, Checkpoint), Refusal> {
    if body.len() > WITNESS_BODY_BYTES_MAX {
        return Err(Refusal::Malformed("the body has more than 131072 bytes"));
    }
    let text = std::str::from_utf8(body).map_err(|_| Refusal::Malformed("the body is not UTF-8"))?;
    let (head, note) = text.split_once("\n\n").ok_or(Refusal::Malformed("no empty line before the checkpoint"))?;
    let note = Note::parse(note.as_bytes()).map_err(|_| Refusal::Malformed("the checkpoint is not a signed note"))?;
    let checkpoint = Checkpoint::parse(&note.text).map_err(|_| Refusal::Malformed("the note is not a checkpoint"))?;
    Ok((head.split('\n'), note, checkpoint))
}

/// What a witness knows of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownLog {
    /// The keys it trusts for the origin.
    pub keys: Vec<Vkey>,
    /// Size and root it cosigned last; None before the first time.
    pub latest: Option<(u64, Hash)>,
}

/// Why a witness does not cosign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The request cannot be read.
    #[error("malformed request: {0}")]
    Malformed(&'static str),
    /// The witness does not know the log.
    #[error("the origin is unknown")]
    UnknownOrigin,
    /// No trusted signature, or a trusted line that does not verify.
    #[error("no signature of a trusted key, or one that does not verify")]
    NotSigned,
    /// The old size is beyond the checkpoint's.
    #[error("the old size is larger than the checkpoint")]
    OldBeyondSize,
    /// The old size is not the one cosigned last.
    #[error("the latest cosigned size is {latest}")]
    Conflict {
        /// The one cosigned last.
        latest: u64,
    },
    /// The proof does not hold, or one was sent where none may be.
    #[error("the proof does not hold")]
    ProofFails,
    /// Size 0 with a root other than the empty one.
    #[error("the empty tree has another root")]
    WrongEmptyRoot,
    /// Another root for the size cosigned last.
    #[error("another root was cosigned for this size")]
    RootsDiffer,
}

impl Refusal {
    /// Status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::OldBeyondSize => 400,
            Self::NotSigned => 403,
            Self::UnknownOrigin => 404,
            Self::Conflict { .. } => 409,
            Self::ProofFails | Self::WrongEmptyRoot | Self::RootsDiffer => 422,
        }
    }

    /// Media type and body of the answer; the client compares the type exactly.
    pub fn answer(&self) -> (&'static str, String) {
        match self {
            Self::Conflict { latest } => (SIZE_MEDIA_TYPE, format!("{latest}\n")),
            other => ("text/plain; charset=utf-8", format!("{other}\n")),
        }
    }

    /// Whether the request is evidence of misbehaviour, validly signed by the log: store it, never cosign it.
    pub fn is_evidence(&self) -> bool {
        self.status() == 422
    }
}

/// A checkpoint that may be cosigned once the state is swapped from `expected` to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignable {
    /// The new state.
    pub checkpoint: Checkpoint,
    /// What the stored state must still be when it is swapped; None: nothing stored.
    pub expected: Option<(u64, Hash)>,
    /// The text to cosign, extensions included.
    pub text: String,
    /// The log's verified lines, to be served beside the cosignatures.
    pub log_lines: Vec<SignatureLine>,
}

impl Cosignable {
    /// The body of the answer, for after the state is durable: a line of each cosigner.
    ///
    /// None where a cosigner cannot sign it (an origin beyond 255 bytes, time 0).
    pub fn cosign(&self, cosigners: &[Cosigner], unix_seconds: u64) -> Option<String> {
        cosigners.iter().map(|cosigner| Some(cosigner.cosign(&self.text, unix_seconds)?.to_string())).collect()
    }
}

/// Decides an add-checkpoint request: origin, signature, sizes, stored state, proof and roots, in this order.
///
/// # Errors
/// [`Refusal`].
pub fn decide(body: &[u8], find: impl FnOnce(&str) -> Option<KnownLog>) -> Result<Cosignable, Refusal> {
    let AddCheckpoint { old, proof, note, checkpoint } = AddCheckpoint::parse(body)?;
    let log = find(&checkpoint.origin).ok_or(Refusal::UnknownOrigin)?;
    let lines = note.verify_lines(&log.keys).map_err(|_| Refusal::NotSigned)?;
    if old > checkpoint.size {
        return Err(Refusal::OldBeyondSize);
    }
    // tlog-witness: zero if it never cosigned a checkpoint for that origin.
    let (latest, latest_root) = log.latest.unwrap_or((0, Hash::EMPTY_ROOT));
    if old != latest {
        return Err(Refusal::Conflict { latest });
    }
    // tlog-witness: a checkpoint of size zero must have the root hash of the empty tree.
    if checkpoint.size == 0 && checkpoint.root != Hash::EMPTY_ROOT {
        return Err(Refusal::WrongEmptyRoot);
    }
    // tlog-witness: if the old size matches the checkpoint size, the root hashes must be identical.
    if old == checkpoint.size && latest_root != checkpoint.root {
        return Err(Refusal::RootsDiffer);
    }
    // Covers a proof sent together with old size 0, which must be empty.
    verify_consistency(old, checkpoint.size, &proof, &latest_root, &checkpoint.root)
        .map_err(|_| Refusal::ProofFails)?;
    let mut numbers: Vec<usize> = lines.iter().map(|line| line.line).collect();
    numbers.dedup();
    let log_lines = numbers.into_iter().filter_map(|line| note.signatures.get(line).cloned()).collect();
    Ok(Cosignable { checkpoint, expected: log.latest, text: note.text, log_lines })
}

/// Decides a sign-subtree request and gives the body of the answer: a line of each ML-DSA-44 cosigner, without time.
///
/// # Errors
/// [`Refusal`]; `NotSigned` also where this witness has no key that signs subtrees.
pub fn decide_subtree(body: &[u8], known: impl FnOnce(&str) -> bool, own: &[Cosigner]) -> Result<String, Refusal> {
    let request = SignSubtree::parse(body)?;
    let SignSubtree { start, end, hash, .. } = request;
    let origin = &request.checkpoint.origin;
    if !known(origin) {
        return Err(Refusal::UnknownOrigin);
    }
    let keys: Vec<Vkey> = own.iter().map(|cosigner| cosigner.vkey().clone()).collect();
    request.note.verify(&keys).map_err(|_| Refusal::NotSigned)?;
    let size = request.checkpoint.size;
    verify_subtree_consistency(start, end, size, &request.proof, &hash, &request.checkpoint.root)
        .map_err(|_| Refusal::ProofFails)?;
    let subtree = CosignedSubtree { origin, start, end, hash };
    let lines: String =
        own.iter().filter_map(|cosigner| cosigner.cosign_subtree(&subtree)).map(|line| line.to_string()).collect();
    if lines.is_empty() { Err(Refusal::NotSigned) } else { Ok(lines) }
}

/// The folder below the monitoring prefix where a witness or mirror serves a log: the hash of its origin.
pub fn origin_folder(origin: &str) -> String {
    encoding::hex(&sha256(&[origin.as_bytes()]))
}

/// What a log concludes from a witness's answer to add-checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// Verified lines of the keys it is known by, to be appended to the note. At least one.
    Cosigned(Vec<SignatureLine>),
    /// It has cosigned another size: send a proof from there.
    Latest(u64),
    /// It does not know the log, or not this key of it.
    NotRegistered,
    /// It says our history is inconsistent, without proof: it counts for no quorum until a person has looked.
    Accusation,
    /// Overloaded or unreachable behind its gateway: try again after its Retry-After.
    Later,
    /// Not an answer of the protocol.
    Broken(&'static str),
}

/// Reads a witness's answer to add-checkpoint over `checkpoint_text`; `keys` are the ones this witness is known by.
pub fn read_answer(
    status: u16,
    content_type: Option<&str>,
    body: &[u8],
    checkpoint_text: &str,
    keys: &[Vkey],
) -> Answer {
    match status {
        200 => read_cosignatures(body, checkpoint_text, keys).unwrap_or_else(Answer::Broken),
        409 if content_type == Some(SIZE_MEDIA_TYPE) => {
            let size = std::str::from_utf8(body).ok().and_then(|text| text.strip_suffix('\n')).and_then(encoding::size);
            size.map_or(Answer::Broken("the latest size is not a number"), Answer::Latest)
        }
        // tlog-witness 1.0.0 answered another root for the same size with 409 and no size.
        409 | 422 => Answer::Accusation,
        403 | 404 => Answer::NotRegistered,
        429 | 502 | 503 | 504 => Answer::Later,
        _ => Answer::Broken("a status the protocol does not know"),
    }
}

fn read_cosignatures(body: &[u8], checkpoint_text: &str, keys: &[Vkey]) -> Result<Answer, &'static str> {
    if body.len() > WITNESS_ANSWER_BYTES_MAX {
        return Err("more than 65536 bytes");
    }
    let lines = std::str::from_utf8(body).map_err(|_| "not UTF-8")?;
    // The answer holds lines only; an empty line in it would end the text elsewhere.
    if lines.contains("\n\n") || lines.starts_with('\n') {
        return Err("an empty line");
    }
    let note = Note::parse(format!("{checkpoint_text}\n{lines}").as_bytes()).map_err(|_| "not signature lines")?;
    let verified = match note.verify_lines(keys) {
        Ok(verified) => verified,
        Err(NoteError::NoKnownSignature) => return Err("no line of a key this witness is known by"),
        Err(_) => return Err("a line that does not verify"),
    };
    // tlog-witness: the cosignature must not omit the timestamp.
    if verified.iter().any(|line| line.timestamp.is_none_or(|time| time == 0)) {
        return Err("a line without time");
    }
    let mut numbers: Vec<usize> = verified.iter().map(|line| line.line).collect();
    numbers.dedup();
    Ok(Answer::Cosigned(numbers.into_iter().filter_map(|line| note.signatures.get(line).cloned()).collect()))
}
