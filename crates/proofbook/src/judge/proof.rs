//! One `.tlog-proof` with its entry JSON, in the order of docs/formats/verdicts.md, "How a proof is judged".

use base64::Engine;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tlog::{Checkpoint, Hash, Policy, PolicyRefusal, TlogProof, Vkey, leaf_hash, verify_checkpoint, verify_inclusion};

use super::verdict::{Code, Judgement};
use super::{body_digest, note_code};

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
    if let Err((code, detail)) = steps(proof, entry, trust, origin, &mut judgement) {
        judgement.find(code, None, None, detail);
    }
    judgement
}

type Step<T> = Result<T, (Code, String)>;

fn steps(proof: &[u8], entry: &[u8], trust: &Trust, origin: Option<&str>, judgement: &mut Judgement) -> Step<()> {
    let malformed = |what: String| (Code::ProofMalformed, what);
    let proof = TlogProof::parse(proof).map_err(|e| malformed(e.to_string()))?;
    let entry: Value = serde_json::from_slice(entry).map_err(|e| malformed(format!("the entry JSON: {e}")))?;
    let stored = Stored::of(&entry).map_err(malformed)?;
    let checkpoint = checkpoint(&proof, trust, judgement)?;
    judgement.origin = Some(checkpoint.origin.clone());
    judgement.size = checkpoint.size;
    judgement.root = Some(checkpoint.root.b64());
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
    body(&stored, judgement)?;
    verify_inclusion(&leaf, proof.index, checkpoint.size, &proof.proof, &checkpoint.root)
        .map_err(|e| (Code::ProofWrong, e.to_string()))
}

fn checkpoint(proof: &TlogProof, trust: &Trust, judgement: &mut Judgement) -> Step<Checkpoint> {
    match trust {
        Trust::Keys(keys) => {
            judgement.notes.push("unwitnessed");
            let note = proof.checkpoint_note.as_bytes();
            verify_checkpoint(note, keys, None).map_err(|e| (note_code(&e), e.to_string()))
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
                judgement.notes.push("unwitnessed");
            }
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
            judgement.notes.push("body-withheld");
            Ok(())
        }
        (None, None) => Ok(()),
    }
}

/// The members of an entry JSON that are checked.
struct Stored {
    origin: String,
    index: u64,
    leaf: Vec<u8>,
    leaf_hash: String,
    body: Option<String>,
    body_sha256: Option<String>,
}

impl Stored {
    fn of(entry: &Value) -> Result<Self, String> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
        let need = |name: &str| text(name).ok_or_else(|| format!("the entry JSON has no string {name}"));
        let leaf = match (text("leaf"), text("leaf_base64")) {
            (Some(leaf), None) => leaf.into_bytes(),
            (None, Some(b64)) => base64::engine::general_purpose::STANDARD
                .decode(b64)
                .map_err(|_| "leaf_base64 is not base64".to_owned())?,
            _ => return Err("the entry JSON needs either leaf or leaf_base64".to_owned()),
        };
        let index = entry.get("index").and_then(Value::as_u64).ok_or("the entry JSON has no number index")?;
        match entry.get("body") {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(_) => return Err("body must be a string or null".to_owned()),
        }
        Ok(Self {
            origin: need("origin")?,
            index,
            leaf,
            leaf_hash: need("leaf_hash")?,
            body: text("body"),
            body_sha256: text("body_sha256"),
        })
    }
}
