//! Who a ledger is: the files `LEDGER` and `keys` against themselves and against what others hold of them.
//!
//! Pure: is handed bytes. Which keys sign a checkpoint follows from here; whether they did is judged elsewhere.

use tlog::{KeyKind, KeyNote, KeyWalk, Note, Vkey, walk_keys};

use super::names::is_newer;
use crate::about;
use crate::frame::{Digest, sha256};
use crate::types::{About, Kind};

/// Largest `keys` file, in bytes: hundreds of rotations.
pub const KEYS_BYTES_MAX: u64 = 1 << 20;

/// What `LEDGER` turned out to be.
pub(super) enum Ledger {
    /// Of a format that this release does not know.
    Newer,
    /// Nothing to say against it.
    Whole(About, Digest),
    /// What it reads as, if anything, and why that is not believed.
    Altered(Option<About>, &'static str),
}

/// Judges the bytes of `LEDGER`; `held` are its digests as manifests and segment headers have them.
pub(super) fn judge_ledger(bytes: &[u8], ulid: &str, held: &[Digest]) -> Ledger {
    let head = bytes.split(|byte| *byte == b',').next().unwrap_or_default();
    if head.strip_suffix(b"\"").is_some_and(|head| is_newer(head, "{\"format\":\"proofbook-ledger/")) {
        return Ledger::Newer;
    }
    let about = std::str::from_utf8(bytes).ok().and_then(|text| about::decode(text, ulid));
    let about = about.filter(|about| about::encode(about).is_ok_and(|text| text.as_bytes() == bytes));
    let Some(about) = about else { return Ledger::Altered(None, "LEDGER is not in its one form") };
    let digest = sha256(&[bytes]);
    if !held.is_empty() && !held.contains(&digest) {
        return Ledger::Altered(Some(about), "not the LEDGER that segments and first manifest hold");
    }
    Ledger::Whole(about, digest)
}

/// What the rest of a ledger is judged by.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity {
    /// Digest of `LEDGER`, where it is known.
    pub(super) about: Option<Digest>,
    pub(super) origin: Option<String>,
    /// Where `LEDGER` is whole.
    pub(super) kind: Option<Kind>,
}

/// The notes of a whole `keys` file with their origin; `origin` is that of `LEDGER`, if known.
///
/// # Errors
/// Why the file is not whole.
pub fn judge_keys(bytes: &[u8], origin: Option<&str>) -> Result<Keys, &'static str> {
    let notes = parse_array(bytes).ok_or("not an array of strings in its one form")?;
    let mut texts = Vec::new();
    for note in &notes {
        let parsed = Note::parse(note.as_bytes()).map_err(|_| "not a signed note")?;
        let text = KeyNote::parse(&parsed.text).map_err(|_| "not a key note")?;
        if parsed.to_string() != *note || text.to_text() != parsed.text {
            return Err("a key note is not in its one form");
        }
        texts.push((parsed, text));
    }
    let Some((_, text)) = texts.first() else { return Err("no key note") };
    if origin.is_some_and(|origin| origin != text.origin) {
        return Err("the key note is of another origin");
    }
    let pinned = text.keys.iter().find(|key| key.kind == KeyKind::Ed25519).ok_or("no Ed25519 key")?;
    let walk = walk_keys(&notes, pinned);
    if let Some((_, why)) = walk.ended {
        return Err(why);
    }
    let mut before: &[Vkey] = &[];
    for (note, text) in &texts {
        // keys.md: signed by its old and its new Ed25519 keys, and by nobody else.
        let by = |key: &Vkey, line: &tlog::SignatureLine| {
            key.kind == KeyKind::Ed25519 && key.name == line.name && key.key_id == line.key_id
        };
        if !note.signatures.iter().all(|line| before.iter().chain(&text.keys).any(|key| by(key, line))) {
            return Err("a key note has a line by a stranger");
        }
        before = &text.keys;
    }
    Ok(Keys { origin: text.origin.clone(), bytes: bytes.len() as u64, walk, notes })
}

/// A whole `keys` file.
#[derive(Debug)]
pub struct Keys {
    pub(super) origin: String,
    /// Bytes of the file.
    pub(super) bytes: u64,
    walk: KeyWalk,
    notes: Vec<String>,
}

/// By what the signatures of checkpoints are judged.
#[derive(Clone, Debug)]
pub struct Known {
    /// Keys that were given.
    given: Vec<Vkey>,
    /// What a walk from one of them, or from the folder's own first key, adds.
    walks: Vec<KeyWalk>,
}

impl Known {
    /// Keys given by the caller, and what `keys` adds to them; also whether `keys` lists one of them, if it could.
    pub fn given(given: Vec<Vkey>, keys: Option<&Keys>) -> (Known, bool) {
        let of_log = |key: &&Vkey| keys.is_some_and(|k| key.kind == KeyKind::Ed25519 && key.name == k.origin);
        let plain = given.iter().filter(of_log);
        let walks: Vec<KeyWalk> = plain.flat_map(|key| keys.map(|keys| walk_keys(&keys.notes, key))).collect();
        let listed = walks.is_empty() || walks.iter().any(|walk| !walk.epochs.is_empty());
        (Known { given, walks }, listed)
    }

    /// The folder's own keys; none where `keys` is damaged.
    pub fn own(keys: Option<&Keys>) -> Option<Known> {
        let keys = keys?;
        Some(Known { given: Vec::new(), walks: vec![keys.walk.clone()] })
    }

    /// The keys that `keys` lists for a checkpoint of this size, as far as the walks trust it.
    pub fn listed(&self, size: u64) -> impl Iterator<Item = &Vkey> {
        self.walks.iter().flat_map(move |walk| walk.keys_at(size))
    }

    /// The log's keys for a checkpoint of this size: those given and those listed.
    pub fn at(&self, size: u64, origin: &str) -> Vec<Vkey> {
        let mut keys: Vec<Vkey> = Vec::new();
        for key in self.given.iter().chain(self.listed(size)) {
            // tlog-checkpoint: the key name on the log's own line is the origin; 0x04 belongs to cosigners.
            let signs = matches!(key.kind, KeyKind::Ed25519 | KeyKind::CosignatureMlDsa44);
            if signs && key.name == origin && !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        keys
    }
}

/// `["...","..."]` LF with the escapes that a note can need, and in no other spelling.
fn parse_array(bytes: &[u8]) -> Option<Vec<String>> {
    let mut rest = std::str::from_utf8(bytes).ok()?.strip_prefix('[')?.strip_suffix("]\n")?;
    let mut all = Vec::new();
    while !rest.is_empty() {
        if !all.is_empty() {
            rest = rest.strip_prefix(',')?;
        }
        let (text, after) = parse_string(rest)?;
        all.push(text);
        rest = after;
    }
    Some(all)
}

fn parse_string(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.strip_prefix('"')?.chars();
    loop {
        match chars.next()? {
            '"' => return Some((out, chars.as_str())),
            '\\' => out.push(match chars.next()? {
                'n' => '\n',
                escaped @ ('"' | '\\') => escaped,
                _ => return None,
            }),
            c if c < ' ' => return None,
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn one_spelling_of_an_array() {
        let good = "[\"a\\nb \u{2014} c\\\\\\\"\",\"\"]\n";
        assert_eq!(parse_array(good.as_bytes()).unwrap(), ["a\nb \u{2014} c\\\"", ""]);
        assert_eq!(parse_array(b"[]\n").unwrap(), Vec::<String>::new());
        for bad in [
            "[]",
            "[\"a\"]",
            "[\"a\", \"b\"]\n",
            "[\"a\",]\n",
            "[\"\\u000a\"]\n",
            "[\"\n\"]\n",
            "[\"a]\n",
            "[,\"a\"]\n",
        ] {
            assert_eq!(parse_array(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn a_ledger_is_altered_only_where_all_others_say_so() {
        let line = "{\"format\":\"proofbook-ledger/1\",\"name\":\"main\",\"tenant\":\"t\",\"kind\":\"raw\",\"origin\":\
                    \"o\",\"created_at\":\"x\"}\n";
        let own = sha256(&[line.as_bytes()]);
        let whole = |held: &[Digest]| matches!(judge_ledger(line.as_bytes(), "u", held), Ledger::Whole(..));
        assert!(whole(&[]) && whole(&[own]) && whole(&[[1; 32], own]));
        assert!(!whole(&[[1; 32]]));
        let newer = line.replace("ledger/1", "ledger/2");
        assert!(matches!(judge_ledger(newer.as_bytes(), "u", &[]), Ledger::Newer));
        for bad in [&line[1..], &line[..20], "", &line.replace("raw", "row")] {
            assert!(matches!(judge_ledger(bad.as_bytes(), "u", &[own]), Ledger::Altered(None, _)), "{bad}");
        }
    }

    #[test]
    fn keys_are_signed_by_their_own_keys_and_by_nobody_else() {
        let (one, two) = (testkit_signer(1), testkit_signer(2));
        let file = |notes: &[String]| {
            let quoted: Vec<String> = notes.iter().map(|n| format!("\"{}\"", n.replace('\n', "\\n"))).collect();
            format!("[{}]\n", quoted.join(","))
        };
        let first = one.key_note(0);
        let judge = |notes: &[String]| judge_keys(file(notes).as_bytes(), Some("o/logs/x")).err();
        assert_eq!(judge(std::slice::from_ref(&first)), None);
        assert!(judge_keys(file(std::slice::from_ref(&first)).as_bytes(), Some("o/logs/y")).is_err());
        let next = KeyNote { origin: "o/logs/x".to_owned(), from: 9, keys: two.vkeys(), previous: one.vkeys() };
        let next = two.sign_key_note(&next, Some(&one));
        assert_eq!(judge(&[first.clone(), next.clone()]), None);
        assert!(judge(&[next.clone(), first.clone()]).is_some());
        let stranger = format!("{first}\u{2014} grease.invalid AAAAAAAA\n");
        assert_eq!(judge(&[stranger]), Some("a key note has a line by a stranger"));
        assert!(judge(&[first.replace("from 0", "from 1")]).is_some());
        assert!(judge(&[]).is_some());
        let keys = judge_keys(file(&[first, next]).as_bytes(), None).ok().unwrap();
        let own = Known::own(Some(&keys)).unwrap();
        assert_eq!(own.at(8, "o/logs/x"), one.vkeys());
        assert_eq!(own.at(9, "o/logs/x"), two.vkeys());
        assert_eq!(own.at(9, "o/logs/y"), []);
        let (given, listed) = Known::given(one.vkeys().into_iter().take(1).collect(), Some(&keys));
        assert!(listed);
        assert_eq!(given.at(3, "o/logs/x"), one.vkeys());
        assert_eq!(given.at(9, "o/logs/x").len(), 3);
        assert!(!Known::given(testkit_signer(3).vkeys(), Some(&keys)).1);
    }

    fn testkit_signer(seed: u8) -> tlog::CheckpointSigner {
        testkit::keys::signer("o/logs/x", seed)
    }
}
