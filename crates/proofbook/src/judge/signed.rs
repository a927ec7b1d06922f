//! The signed checkpoint of an export: the files `checkpoint` and `keys` against each other and against the keys that
//! are trusted. Judges no tree.

use anyhow::Result;
use ledger::verify::{KEYS_BYTES_MAX, Known, judge_key_file};
use tlog::{Checkpoint, Note, NoteError, Vkey, verify_checkpoint};

use super::note_code;
use super::tiles::{Fetch, Terms};
use super::verdict::{Code, Judgement};

/// Judges both files; `None` where the tree cannot be judged by them. What holds is also written into `judgement`.
pub(super) fn judge(from: &dyn Fetch, terms: &Terms<'_>, judgement: &mut Judgement) -> Result<Option<Checkpoint>> {
    judgement.note("unwitnessed");
    if terms.given.is_none() {
        judgement.note("own-keys");
    }
    let Some(note) = from.fetch("checkpoint")? else {
        judgement.find(Code::FileMissing, Some("checkpoint"), None, "there is no checkpoint".to_owned());
        return Ok(None);
    };
    let read = Note::parse(&note).and_then(|note| Checkpoint::parse(&note.text));
    let checkpoint = match read {
        Ok(checkpoint) => checkpoint,
        Err(e) => {
            judgement.find(Code::ProofMalformed, Some("checkpoint"), None, e.to_string());
            return Ok(None);
        }
    };
    let known = known(from, terms, &checkpoint, judgement)?;
    if let Some(known) = &known
        && let Err((code, detail)) = verify(&note, &checkpoint, known, terms.given.unwrap_or_default(), judgement)
    {
        judgement.find(code, Some("checkpoint"), None, detail);
        return Ok(None);
    }
    judgement.origin = Some(checkpoint.origin.clone());
    judgement.size = checkpoint.size;
    judgement.root = Some(checkpoint.root.b64());
    judgement.keys = known.map_or_else(Vec::new, |known| known.at(checkpoint.size, &checkpoint.origin));
    if terms.origin.is_some_and(|origin| origin != checkpoint.origin) {
        let detail = format!("the checkpoint is of {}", checkpoint.origin);
        judgement.find(Code::OriginOther, Some("checkpoint"), None, detail);
        return Ok(None);
    }
    Ok(Some(checkpoint))
}

/// What the signatures are judged by; `None`: by nothing, because no key was given and `keys` is damaged.
fn known(
    from: &dyn Fetch,
    terms: &Terms<'_>,
    checkpoint: &Checkpoint,
    judgement: &mut Judgement,
) -> Result<Option<Known>> {
    let keys = match from.fetch("keys")? {
        None => {
            judgement.find(Code::FileMissing, Some("keys"), None, "there are no key notes".to_owned());
            None
        }
        Some(bytes) => {
            let whole = if bytes.len() as u64 > KEYS_BYTES_MAX { Err("longer than any keys file") } else { Ok(bytes) };
            match whole.and_then(|bytes| judge_key_file(&bytes, Some(&checkpoint.origin))) {
                Ok(keys) => Some(keys),
                Err(why) => {
                    judgement.find(Code::KeysAltered, Some("keys"), None, why.to_owned());
                    None
                }
            }
        }
    };
    let Some(given) = terms.given else { return Ok(Known::own(keys.as_ref())) };
    let (known, listed) = Known::given(given.to_vec(), keys.as_ref());
    if !listed {
        judgement.find(Code::KeysAltered, Some("keys"), None, "none of the given keys is in it".to_owned());
    }
    Ok(Some(known))
}

fn verify(
    note: &[u8],
    checkpoint: &Checkpoint,
    known: &Known,
    given: &[Vkey],
    judgement: &mut Judgement,
) -> Result<(), (Code, String)> {
    let mut keys = known.at(checkpoint.size, &checkpoint.origin);
    keys.extend(given.iter().filter(|key| !keys.contains(key)).cloned().collect::<Vec<_>>());
    let refused = |e: NoteError| (note_code(&e), e.to_string());
    verify_checkpoint(note, &keys, None).map_err(refused)?;
    let parsed = Note::parse(note).map_err(refused)?;
    let lines = parsed.verify_lines(&keys).map_err(refused)?;
    // A log signs with each of its keys: whoever spoils the name or id of a line takes a signature away.
    let signed = |key: &Vkey| lines.iter().any(|line| keys.get(line.vkey) == Some(key));
    if let Some(key) = known.listed(checkpoint.size).find(|key| !signed(key)) {
        let id: String = key.key_id.iter().map(|byte| format!("{byte:02x}")).collect();
        let detail = format!("no line is by the key {}+{id}, which `keys` lists for this size", key.name);
        return Err((Code::KeyUnknown, detail));
    }
    note_unchecked(&parsed, &lines, judgement);
    Ok(())
}

/// Says so where a line of the note was checked by nobody.
pub(super) fn note_unchecked(note: &Note, verified: &[tlog::VerifiedLine], judgement: &mut Judgement) {
    if (0..note.signatures.len()).any(|line| !verified.iter().any(|by| by.line == line)) {
        judgement.note("lines-unchecked");
    }
}
