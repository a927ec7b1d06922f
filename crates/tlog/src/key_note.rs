//! Key notes (`docs/formats/keys.md`): which keys a log signs with, from which size on. Holds no private key.

use crate::encoding;
use crate::note::{Note, NoteError, valid_name};
use crate::vkey::{KeyKind, Vkey};

/// The first line of the text.
const HEADER: &str = "proofbook-key/v1";

/// The text of a key note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNote {
    /// Which log.
    pub origin: String,
    /// Size from which on `keys` are valid, below 2^63.
    pub from: u64,
    /// All keys that are valid from then on; at least one.
    pub keys: Vec<Vkey>,
    /// The keys they replace; none in the first note.
    pub previous: Vec<Vkey>,
}

impl KeyNote {
    /// Reads the text of a note.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        Self::parse_inner(text).ok_or(NoteError::Malformed("not a key note"))
    }

    fn parse_inner(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        lines.next().filter(|line| *line == HEADER)?;
        let origin = lines.next().filter(|origin| valid_name(origin))?;
        let from = encoding::size(lines.next()?.strip_prefix("from ")?)?;
        let (mut keys, mut previous) = (Vec::new(), Vec::new());
        for line in lines {
            if let Some(key) = line.strip_prefix("previous ") {
                previous.push(Vkey::parse(key).ok()?);
            } else {
                // The keys stand before those they replace.
                let key = line.strip_prefix("key ").filter(|_| previous.is_empty())?;
                keys.push(Vkey::parse(key).ok()?);
            }
        }
        let note = Self { origin: origin.to_owned(), from, keys, previous };
        (!note.keys.is_empty()).then_some(note)
    }

    /// The text to sign.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\n{}\nfrom {}\n", self.origin, self.from);
        for (word, keys) in [("key", &self.keys), ("previous", &self.previous)] {
            for key in keys {
                text.push_str(&format!("{word} {key}\n"));
            }
        }
        text
    }
}

/// Keys that are valid from a size on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEpoch {
    /// First size whose checkpoints these keys sign.
    pub from: u64,
    /// The keys.
    pub keys: Vec<Vkey>,
}

/// How far key notes can be trusted from a pinned key on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyWalk {
    /// The trusted epochs, oldest first; empty where no note is trusted.
    pub epochs: Vec<KeyEpoch>,
    /// The first note after them that is not trusted, and why.
    pub ended: Option<(usize, &'static str)>,
}

impl KeyWalk {
    /// The keys that sign the checkpoint of this size; none before the first trusted epoch.
    pub fn keys_at(&self, size: u64) -> &[Vkey] {
        self.epochs.iter().rev().find(|epoch| epoch.from <= size).map_or(&[], |epoch| &epoch.keys)
    }
}

/// Walks forward from a pinned Ed25519 key: the first note that lists it begins, each further note must be signed by
/// a key trusted so far and by each new Ed25519 key; the first that is not ends the walk.
///
/// A note lists all keys valid from its size on: a trusted key is either listed again or named as replaced.
pub fn walk_keys<N: AsRef<[u8]>>(notes: &[N], pinned: &Vkey) -> KeyWalk {
    let mut walk = KeyWalk { epochs: Vec::new(), ended: None };
    for (at, note) in notes.iter().enumerate() {
        let step = match walk.epochs.last() {
            None => first_epoch(note.as_ref(), pinned),
            Some(last) => next_epoch(note.as_ref(), &pinned.name, last).map(Some),
        };
        match step {
            Ok(Some(epoch)) => walk.epochs.push(epoch),
            // Older than the pin: neither trusted nor an end.
            Ok(None) => {}
            Err(why) => {
                walk.ended = Some((at, why));
                return walk;
            }
        }
    }
    walk
}

fn first_epoch(note: &[u8], pinned: &Vkey) -> Result<Option<KeyEpoch>, &'static str> {
    if pinned.kind != KeyKind::Ed25519 {
        return Err("the pinned key must be an Ed25519 key: key notes carry no other lines");
    }
    let (signed, text) = read(note, &pinned.name)?;
    if !text.keys.contains(pinned) {
        return Ok(None);
    }
    signed.verify(std::slice::from_ref(pinned)).map_err(|_| "not signed by the pinned key")?;
    check_new_keys(&signed, &text)?;
    Ok(Some(KeyEpoch { from: text.from, keys: text.keys }))
}

fn next_epoch(note: &[u8], origin: &str, last: &KeyEpoch) -> Result<KeyEpoch, &'static str> {
    let (signed, text) = read(note, origin)?;
    if text.from < last.from {
        return Err("begins before the note it follows");
    }
    let plain: Vec<Vkey> = last.keys.iter().filter(|key| key.kind == KeyKind::Ed25519).cloned().collect();
    signed.verify(&plain).map_err(|_| "not signed by the last trusted key")?;
    if !text.previous.iter().all(|key| last.keys.contains(key) && !text.keys.contains(key)) {
        return Err("replaces a key that was not valid");
    }
    if !last.keys.iter().all(|key| text.keys.contains(key) || text.previous.contains(key)) {
        return Err("drops a key without naming it as replaced");
    }
    check_new_keys(&signed, &text)?;
    Ok(KeyEpoch { from: text.from, keys: text.keys })
}

fn read(note: &[u8], origin: &str) -> Result<(Note, KeyNote), &'static str> {
    let signed = Note::parse(note).map_err(|_| "not a signed note")?;
    let text = KeyNote::parse(&signed.text).map_err(|_| "not a key note")?;
    if text.origin != origin || text.keys.iter().chain(&text.previous).any(|key| key.name != origin) {
        return Err("of another origin");
    }
    Ok((signed, text))
}

/// Each listed Ed25519 key signs the note that lists it: nobody lists a key that is not the log's.
fn check_new_keys(signed: &Note, text: &KeyNote) -> Result<(), &'static str> {
    for key in text.keys.iter().filter(|key| key.kind == KeyKind::Ed25519) {
        signed.verify(std::slice::from_ref(key)).map_err(|_| "not signed by each key it lists")?;
    }
    Ok(())
}
