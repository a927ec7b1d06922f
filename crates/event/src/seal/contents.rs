//! What lies inside a seal: the seed and the values, each spelled as it stood in the event. Canonical JSON both ways.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{CONTENTS_BYTES_MAX, PLACES_MAX, Pointer, Seed, refuse};
use crate::Rejected;
use crate::jcs::{by_units, push, push_text, strict};
use crate::tape::{Sort, Tape};

/// The plaintext of one seal. Has no Debug: it holds what was sealed.
pub struct Contents {
    seed: [u8; 32],
    /// Path and JSON text, in the order of canonical JSON.
    values: Vec<Value>,
}

struct Value {
    path: Pointer,
    text: Vec<u8>,
    /// The text is its own canonical form.
    canonical: bool,
}

impl Contents {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, values: Vec::new() }
    }

    /// Takes a value; its canonical form is known to the caller.
    pub(crate) fn add(&mut self, path: Pointer, text: &[u8], canonical: bool) {
        self.values.push(Value { path, text: text.to_owned(), canonical });
    }

    pub(crate) fn settle(&mut self) {
        self.values.sort_by(|a, b| by_units(a.path.as_str(), b.path.as_str()));
    }

    /// The seed, ready to make salts.
    pub fn seed(&self) -> Seed {
        Seed::new(&self.seed)
    }

    /// Paths of the values, in the order of canonical JSON.
    pub fn paths(&self) -> impl Iterator<Item = &Pointer> {
        self.values.iter().map(|value| &value.path)
    }

    /// The JSON text of a value, byte for byte as it stood in the event.
    pub fn text(&self, path: &Pointer) -> Option<&[u8]> {
        let at = self.values.binary_search_by(|value| by_units(value.path.as_str(), path.as_str())).ok()?;
        self.values.get(at).map(|value| value.text.as_slice())
    }

    /// `{"seed":"<b64>","values":{<path>:<value>..},"written":{<path>:"<text>"..}}`, canonical: `values` holds what
    /// stood in the event in canonical form, `written`, left out when empty, the text of everything else.
    ///
    /// Errors: `contents_size` above [`CONTENTS_BYTES_MAX`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, Rejected> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"{\"seed\":\"");
        out.extend_from_slice(STANDARD.encode(self.seed).as_bytes());
        out.extend_from_slice(b"\",\"values\":{");
        for (n, value) in self.values.iter().filter(|value| value.canonical).enumerate() {
            name(n, &value.path, &mut out);
            out.extend_from_slice(&value.text);
        }
        out.push(b'}');
        for (n, value) in self.values.iter().filter(|value| !value.canonical).enumerate() {
            if n == 0 {
                out.extend_from_slice(b",\"written\":{");
            }
            name(n, &value.path, &mut out);
            // The text of a strict tape is UTF-8.
            push_text(std::str::from_utf8(&value.text).unwrap_or_default(), &mut out);
        }
        if self.values.iter().any(|value| !value.canonical) {
            out.push(b'}');
        }
        out.push(b'}');
        if out.len() > CONTENTS_BYTES_MAX {
            return Err(refuse("contents_size", "", "at most 8 MiB of sealed values for one subject"));
        }
        Ok(out)
    }

    /// Reads what [`Contents::to_bytes`] writes, and nothing else: every value has one spelling.
    ///
    /// Errors: `contents_size`, `contents_invalid`, and those of [`crate::strict_json`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Rejected> {
        if bytes.len() > CONTENTS_BYTES_MAX {
            return Err(refuse("contents_size", "", "at most 8 MiB of sealed values for one subject"));
        }
        let invalid = |expected| refuse("contents_invalid", "", expected);
        // A value lies below the root of its event and two levels deep in here: one level more than an event has.
        let tape = strict(bytes)?;
        let mut contents = Self::new(seed(&tape).ok_or_else(|| invalid("a seed of 32 bytes in base64"))?);
        let object = |name| tape.get(0, name).filter(|n| tape.node(*n).is_some_and(|node| node.sort == Sort::Object));
        let values = object("values").ok_or_else(|| invalid("an object `values`"))?;
        for (key, value) in tape.members(values) {
            let text = tape.node(value).map(|node| tape.bytes(node)).unwrap_or_default();
            contents.add(Pointer::parse(&tape.decode(key))?, text, true);
        }
        for (key, value) in object("written").map(|number| tape.members(number)).into_iter().flatten() {
            let node = tape.node(value).filter(|node| node.sort == Sort::Text);
            let text = node.map(|node| tape.decode(node)).ok_or_else(|| invalid("text in `written`"))?;
            let inner = strict(text.as_bytes())?;
            let mut canonical = Vec::with_capacity(text.len());
            push(&inner, 0, &mut canonical);
            if canonical == text.as_bytes() {
                return Err(invalid("in `written` only what is not canonical"));
            }
            contents.add(Pointer::parse(&tape.decode(key))?, text.as_bytes(), false);
        }
        if contents.values.len() > PLACES_MAX {
            return Err(invalid("at most 1024 values"));
        }
        contents.settle();
        let twice = contents.values.windows(2).any(|pair| matches!(pair, [a, b] if a.path == b.path));
        // Written again it must be the same: no other member, order, spelling or white space.
        let mut canonical = Vec::with_capacity(bytes.len());
        push(&tape, 0, &mut canonical);
        if twice || canonical != bytes || contents.to_bytes()? != bytes {
            return Err(invalid("canonical JSON, each path once and no other members"));
        }
        Ok(contents)
    }
}

fn seed(tape: &Tape<'_>) -> Option<[u8; 32]> {
    let node = tape.node(tape.get(0, "seed")?).filter(|node| node.sort == Sort::Text)?;
    STANDARD.decode(tape.inner(node)).ok()?.try_into().ok()
}

fn name(n: usize, path: &Pointer, out: &mut Vec<u8>) {
    if n > 0 {
        out.push(b',');
    }
    push_text(path.as_str(), out);
    out.push(b':');
}
