//! One `.tlog-proof` with its entry JSON, in the order of docs/formats/verdicts.md, "How a proof is judged".

use base64::Engine;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tlog::{
    Checkpoint, Hash, Note, Policy, PolicyRefusal, TlogProof, Vkey, leaf_hash, verify_checkpoint, verify_inclusion,
};

use super::signed::note_unchecked;
use super::verdict::{Code, Judgement};
use super::{body_digest, note_code};

/// Largest entry JSON: body and leaf, escaped.
const ENTRY_JSON_BYTES_MAX: usize = 16 << 20;
const LEAF_BYTES_MAX: usize = 65_535;
const SIZE_MAX: u64 = (1 << 63) - 1;

/// What the checkpoint must be signed by.
pub(crate) enum Trust {
    /// Keys of the log.
    Keys(Vec<Vkey>),
    /// A policy file's logs and quorum.
    Policy(Box<Policy>),
}

/// The first failure is the only finding.
pub(crate) fn judge(proof: &[u8], entry: &[u8], trust: &Trust, origin: Option<&str>) -> Judgement {
    let mut judgement = Judgement::default();
    let index = TlogProof::parse(proof).ok().map(|proof| proof.index);
    if let Err((code, detail)) = steps(proof, entry, trust, origin, &mut judgement) {
        // Before the checkpoint is believed nothing tells which entry it is about.
        let entries = judgement.unproven.as_ref().and_then(|_| Some((index?, index? + 1)));
        judgement.find(code, None, entries, detail);
        judgement.unproven = None;
    }
    judgement
}

type Step<T> = Result<T, (Code, String)>;

fn steps(proof: &[u8], entry: &[u8], trust: &Trust, origin: Option<&str>, judgement: &mut Judgement) -> Step<()> {
    let malformed = |what: String| (Code::ProofMalformed, what);
    let proof = TlogProof::parse(proof).map_err(|e| malformed(e.to_string()))?;
    let stored = Stored::parse(entry).map_err(malformed)?;
    let checkpoint = checkpoint(&proof, trust, judgement)?;
    judgement.origin = Some(checkpoint.origin.clone());
    judgement.size = checkpoint.size;
    judgement.root = Some(checkpoint.root.b64());
    judgement.unproven = Some(stored.unproven(checkpoint.size));
    if origin.is_some_and(|o| o != checkpoint.origin) || stored.origin != checkpoint.origin {
        return Err((Code::OriginOther, format!("the proof is about {}", checkpoint.origin)));
    }
    let leaf = leaf_hash(&stored.leaf);
    let altered = |what: &str| (Code::EntryAltered, format!("entry {}: {what}", proof.index));
    if stored.leaf_hash != leaf.hex() {
        return Err(altered("its leaf does not have the leaf hash that it states"));
    }
    if stored.index != proof.index {
        return Err(altered("its index is not the one of the proof"));
    }
    // The origin is `host/logs/{ledger}`, for good (DESIGN section 2).
    if stored.origin.rsplit('/').next() != Some(&stored.ledger) {
        return Err(altered("its ledger is not the one that its origin names"));
    }
    if stored.tree_size <= stored.index {
        return Err(altered("its tree_size does not reach beyond it"));
    }
    if stored.state != STATES[0] && (stored.raw || stored.body.is_some()) {
        return Err(altered("its state is not that of an entry that is whole"));
    }
    // A raw ledger's leaf is what was posted, also where that looks like the leaf of another ledger.
    if !stored.raw {
        body(&stored, judgement)?;
    }
    verify_inclusion(&leaf, proof.index, checkpoint.size, &proof.proof, &checkpoint.root)
        .map_err(|e| (Code::ProofWrong, e.to_string()))
}

fn checkpoint(proof: &TlogProof, trust: &Trust, judgement: &mut Judgement) -> Step<Checkpoint> {
    match trust {
        Trust::Keys(keys) => {
            judgement.note("unwitnessed");
            let note = proof.checkpoint_note.as_bytes();
            let checkpoint = verify_checkpoint(note, keys, None).map_err(|e| (note_code(&e), e.to_string()))?;
            unchecked(note, keys, judgement);
            Ok(checkpoint)
        }
        Trust::Policy(policy) => {
            let accepted = policy.verify(proof.checkpoint_note.as_bytes()).map_err(|e| {
                let code = match &e {
                    PolicyRefusal::Note(e) => note_code(e),
                    _ => Code::KeyUnknown,
                };
                (code, e.to_string())
            })?;
            if accepted.cosigned.is_empty() {
                judgement.note("unwitnessed");
            }
            let keys: Vec<Vkey> = policy.keys().cloned().collect();
            unchecked(proof.checkpoint_note.as_bytes(), &keys, judgement);
            Ok(accepted.checkpoint)
        }
    }
}

fn body(stored: &Stored, judgement: &mut Judgement) -> Step<()> {
    let altered = |what: &str| (Code::BodyAltered, format!("entry {}: {what}", stored.index));
    let named = body_digest(&stored.leaf);
    if named != stored.body_sha256 {
        return Err(altered("its body_sha256 is not the one that the leaf names"));
    }
    match (&stored.body, named) {
        (Some(body), Some(named)) => {
            let found = Hash(Sha256::digest(body.as_bytes()).into()).hex();
            if found == named { Ok(()) } else { Err(altered("its body does not have the digest that the leaf names")) }
        }
        (Some(_), None) => Err(altered("a body that no leaf names")),
        (None, Some(_)) => {
            judgement.note("body-withheld");
            Ok(())
        }
        (None, None) => Ok(()),
    }
}

/// A line that no key was given for says nothing; the note tells of it.
fn unchecked(note: &[u8], keys: &[Vkey], judgement: &mut Judgement) {
    if let Ok(note) = Note::parse(note) {
        note_unchecked(&note, &note.verify_lines(keys).unwrap_or_default(), judgement);
    }
}

/// What became of a body, by its name: read as an enum, `{"present":null}` would do too.
const STATES: [&str; 4] = ["present", "pruned", "erased", "missing"];

/// An entry JSON as it is written: exactly the members of its kind.
#[derive(Deserialize)]
#[serde(untagged)]
enum EntryJson {
    Audit(Audit),
    Raw(Raw),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Audit {
    ledger: String,
    origin: String,
    index: u64,
    tree_size: u64,
    leaf: String,
    leaf_hash: String,
    #[serde(deserialize_with = "there")]
    body: Option<String>,
    body_sha256: String,
    state: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    ledger: String,
    origin: String,
    index: u64,
    tree_size: u64,
    leaf_base64: String,
    leaf_hash: String,
    state: String,
}

/// A member that may be null and not be left out.
fn there<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(from)
}

/// The members of an entry JSON, whichever its kind.
struct Stored {
    ledger: String,
    origin: String,
    index: u64,
    tree_size: u64,
    leaf: Vec<u8>,
    leaf_hash: String,
    body: Option<String>,
    body_sha256: Option<String>,
    state: String,
    raw: bool,
}

impl Stored {
    fn parse(entry: &[u8]) -> Result<Self, String> {
        if entry.len() > ENTRY_JSON_BYTES_MAX {
            return Err("the entry JSON is too large".to_owned());
        }
        let no_members = || "the entry JSON does not have the members of an entry, each once".to_owned();
        // Read into a struct, an array of the values in their order would do too.
        if entry.trim_ascii_start().first() != Some(&b'{') {
            return Err(no_members());
        }
        let stored = match serde_json::from_slice(entry) {
            Ok(EntryJson::Audit(a)) => Self {
                ledger: a.ledger,
                origin: a.origin,
                index: a.index,
                tree_size: a.tree_size,
                leaf: a.leaf.into_bytes(),
                leaf_hash: a.leaf_hash,
                body: a.body,
                body_sha256: Some(a.body_sha256),
                state: a.state,
                raw: false,
            },
            Ok(EntryJson::Raw(r)) => Self {
                ledger: r.ledger,
                origin: r.origin,
                index: r.index,
                tree_size: r.tree_size,
                leaf: base64::engine::general_purpose::STANDARD
                    .decode(r.leaf_base64)
                    .map_err(|_| "leaf_base64 is not base64".to_owned())?,
                leaf_hash: r.leaf_hash,
                body: None,
                body_sha256: None,
                state: r.state,
                raw: true,
            },
            Err(_) => return Err(no_members()),
        };
        if !STATES.contains(&&*stored.state) {
            return Err("a state of the entry JSON that nobody knows".to_owned());
        }
        let hex =
            |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !hex(&stored.leaf_hash) || !stored.body_sha256.as_deref().is_none_or(hex) {
            return Err("a digest of the entry JSON is not 64 hex digits".to_owned());
        }
        if stored.leaf.len() > LEAF_BYTES_MAX || stored.index.max(stored.tree_size) > SIZE_MAX {
            return Err("leaf, index or tree_size of the entry JSON breaks a limit".to_owned());
        }
        Ok(stored)
    }

    /// The members that neither proof nor digests say anything about.
    fn unproven(&self, size: u64) -> Vec<&'static str> {
        let mut all = Vec::new();
        if self.tree_size != size {
            all.push("tree_size");
        }
        if !self.raw && self.body.is_none() {
            all.push("state");
        }
        all
    }
}
