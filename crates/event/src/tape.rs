//! One pass over JSON bytes that leaves a flat list of nodes, each a place in those bytes.
//!
//! Strict for native events (RFC 8259 and more: no duplicate keys, no lone surrogates, no number beyond a double),
//! lenient for records of foreign sources, where the odd string is marked dirty and rewritten when copied.
//! It allocates one list per message and never recurses. It knows no field of an event.

use std::borrow::Cow;

use crate::limits::{DEPTH_MAX, PAIRWISE_KEYS_MAX};
use crate::text;

/// What a node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sort {
    Null,
    Bool,
    Number,
    Text,
    List,
    Object,
}

/// One value: its bytes `start..end` (quotes and brackets included) and the number of the node after its subtree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) next: u32,
    pub(crate) sort: Sort,
    /// A string with escapes.
    pub(crate) escaped: bool,
    /// Not allowed in a body as it stands: must be rewritten when copied.
    pub(crate) dirty: bool,
}

/// How exact the pass is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Strict,
    Lenient,
}

/// Why the pass stopped, and where.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) at: usize,
    pub(crate) expected: &'static str,
    pub(crate) pointer: String,
}

/// The nodes of one message.
pub(crate) struct Tape<'a> {
    pub(crate) raw: &'a [u8],
    text: Option<&'a str>,
    nodes: Vec<Node>,
    /// White space stands between tokens: copies must leave it out.
    pub(crate) spaced: bool,
}

struct Frame {
    node: u32,
    object: bool,
    items: u32,
    bloom: u64,
    suspect: bool,
    key: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum Expect {
    Value,
    FirstKey,
    Key,
    FirstItem,
    After,
}

struct Pass<'a> {
    tape: Tape<'a>,
    mode: Mode,
    at: usize,
    stack: Vec<Frame>,
    depth: usize,
}

type Step<T> = Result<T, (&'static str, usize, &'static str)>;

/// Reads exactly one JSON value with nothing but white space around it.
pub(crate) fn parse(raw: &[u8], mode: Mode) -> Result<Tape<'_>, Fault> {
    parse_to(raw, mode, DEPTH_MAX)
}

/// The same, with another limit of nesting.
pub(crate) fn parse_to(raw: &[u8], mode: Mode, depth: usize) -> Result<Tape<'_>, Fault> {
    let text = match std::str::from_utf8(raw) {
        Ok(text) => Some(text),
        Err(error) if mode == Mode::Strict => {
            let expected = "UTF-8 throughout";
            return Err(Fault { code: "utf8_invalid", at: error.valid_up_to(), expected, pointer: String::new() });
        }
        Err(_) => None,
    };
    let tape = Tape { raw, text, nodes: Vec::with_capacity(64), spaced: false };
    let mut pass = Pass { tape, mode, at: 0, stack: Vec::with_capacity(8), depth };
    match pass.run() {
        Ok(()) => Ok(pass.tape),
        Err((code, at, expected)) => Err(Fault { code, at, expected, pointer: pass.pointer() }),
    }
}

impl<'a> Pass<'a> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.tape.raw.get(at).copied()
    }

    fn run(&mut self) -> Step<()> {
        if self.tape.raw.starts_with(b"\xEF\xBB\xBF") {
            if self.mode == Mode::Strict {
                return Err(("json_invalid", 0, "no byte order mark"));
            }
            self.at = 3;
        }
        let mut expect = Expect::Value;
        loop {
            self.skip_space();
            let Some(byte) = self.byte(self.at) else {
                return if self.stack.is_empty() && expect == Expect::After {
                    Ok(())
                } else {
                    Err(("json_invalid", self.at, "the rest of the JSON value (it ends too early)"))
                };
            };
            expect = match expect {
                Expect::Value => self.value(byte)?,
                Expect::FirstItem if byte == b']' => self.close(false)?,
                Expect::FirstItem => self.value(byte)?,
                Expect::FirstKey if byte == b'}' => self.close(true)?,
                Expect::FirstKey | Expect::Key => self.key(byte)?,
                Expect::After => self.after(byte)?,
            };
        }
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte(self.at) {
            self.at += 1;
            self.tape.spaced = true;
        }
    }

    fn push(&mut self, start: usize, sort: Sort, escaped: bool, dirty: bool) {
        let next = small(self.tape.nodes.len() + 1);
        let (start, end) = (small(start), small(self.at));
        self.tape.nodes.push(Node { start, end, next, sort, escaped, dirty });
    }

    fn open(&mut self, object: bool) -> Step<Expect> {
        if self.stack.len() >= self.depth {
            return Err(("json_depth", self.at, "at most 64 levels of nesting"));
        }
        let node = small(self.tape.nodes.len());
        self.push(self.at, if object { Sort::Object } else { Sort::List }, false, false);
        self.at += 1;
        self.stack.push(Frame { node, object, items: 0, bloom: 0, suspect: false, key: 0 });
        Ok(if object { Expect::FirstKey } else { Expect::FirstItem })
    }

    fn value(&mut self, byte: u8) -> Step<Expect> {
        let start = self.at;
        match byte {
            b'{' => return self.open(true),
            b'[' => return self.open(false),
            b'"' => {
                let (escaped, dirty) = self.string()?;
                self.push(start, Sort::Text, escaped, dirty);
            }
            b'-' | b'0'..=b'9' => {
                let dirty = self.number()?;
                self.push(start, Sort::Number, false, dirty);
            }
            b't' => self.word(b"true", Sort::Bool)?,
            b'f' => self.word(b"false", Sort::Bool)?,
            b'n' => self.word(b"null", Sort::Null)?,
            0xEF if self.tape.raw.get(start..).is_some_and(|rest| rest.starts_with(b"\xEF\xBB\xBF")) => {
                return Err(("json_invalid", start, "no byte order mark"));
            }
            _ => return Err(("json_invalid", start, "a JSON value")),
        }
        Ok(Expect::After)
    }

    fn word(&mut self, word: &'static [u8], sort: Sort) -> Step<()> {
        let start = self.at;
        if !self.tape.raw.get(start..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(("json_invalid", start, "a JSON value"));
        }
        self.at += word.len();
        self.push(start, sort, false, false);
        Ok(())
    }

    fn key(&mut self, byte: u8) -> Step<Expect> {
        if byte != b'"' {
            return Err(("json_invalid", self.at, "a member name in double quotes"));
        }
        let start = self.at;
        let node = small(self.tape.nodes.len());
        let (escaped, dirty) = self.string()?;
        self.push(start, Sort::Text, escaped, dirty);
        let inner = self.tape.raw.get(start + 1..self.at - 1).unwrap_or_default();
        let edge = |b: Option<&u8>| b.map_or(0, |b| u64::from(*b));
        let mark = (edge(inner.first()) * 7 + edge(inner.last()) * 31 + inner.len() as u64 * 5) & 63;
        if let Some(frame) = self.stack.last_mut() {
            // Escapes can spell the same name in many ways: such an object is always checked in full.
            frame.suspect |= escaped || frame.bloom >> mark & 1 == 1;
            frame.bloom |= 1 << mark;
            frame.key = node;
        }
        self.skip_space();
        if self.byte(self.at) != Some(b':') {
            return Err(("json_invalid", self.at, "a colon after the member name"));
        }
        self.at += 1;
        Ok(Expect::Value)
    }

    fn after(&mut self, byte: u8) -> Step<Expect> {
        let Some(frame) = self.stack.last_mut() else {
            return Err(("json_invalid", self.at, "nothing after the JSON value"));
        };
        match (byte, frame.object) {
            (b',', true) => {
                frame.items += 1;
                self.at += 1;
                Ok(Expect::Key)
            }
            (b',', false) => {
                frame.items += 1;
                self.at += 1;
                Ok(Expect::Value)
            }
            (b'}', true) => self.close(true),
            (b']', false) => self.close(false),
            (_, true) => Err(("json_invalid", self.at, "a comma or a closing brace")),
            (_, false) => Err(("json_invalid", self.at, "a comma or a closing bracket")),
        }
    }

    fn close(&mut self, object: bool) -> Step<Expect> {
        self.at += 1;
        let next = small(self.tape.nodes.len());
        let end = small(self.at);
        if let Some(frame) = self.stack.last() {
            let (number, suspect) = (frame.node, frame.suspect);
            if let Some(node) = self.tape.nodes.get_mut(number as usize) {
                node.next = next;
                node.end = end;
            }
            if object
                && suspect
                && self.mode == Mode::Strict
                && let Some(key) = self.tape.duplicate(number)
            {
                let at = self.tape.node(key).map_or(0, |n| n.start as usize);
                if let Some(frame) = self.stack.last_mut() {
                    frame.key = key;
                }
                return Err(("json_duplicate_key", at, "each member name once"));
            }
        }
        self.stack.pop();
        Ok(Expect::After)
    }

    /// Steps over a string; says whether it has escapes, and whether it may not be copied as it stands.
    fn string(&mut self) -> Step<(bool, bool)> {
        let start = self.at;
        let lenient = self.mode == Mode::Lenient;
        let (mut escaped, mut dirty) = (false, false);
        self.at += 1;
        loop {
            self.at += text::plain_run(self.tape.raw.get(self.at..).unwrap_or_default());
            match self.byte(self.at) {
                None => return Err(("json_invalid", start, "a closing double quote")),
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    dirty |= self.escape(lenient)?;
                }
                Some(_) if lenient => {
                    dirty = true;
                    self.at += 1;
                }
                Some(_) => {
                    return Err(("json_invalid", self.at, "control characters in strings written as escapes"));
                }
            }
        }
        self.at += 1;
        if self.tape.text.is_none() {
            dirty |= std::str::from_utf8(self.tape.raw.get(start..self.at).unwrap_or_default()).is_err();
        }
        Ok((escaped, dirty))
    }

    fn escape(&mut self, lenient: bool) -> Step<bool> {
        let at = self.at;
        match self.byte(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let Some(unit) = text::hex4(self.tape.raw, at + 2) else {
                    return Err(("json_invalid", at, "four hexadecimal digits after \\u"));
                };
                self.at += 6;
                let lone = match unit {
                    0xD800..=0xDBFF => {
                        let low = match (self.byte(self.at), self.byte(self.at + 1)) {
                            (Some(b'\\'), Some(b'u')) => text::hex4(self.tape.raw, self.at + 2),
                            _ => None,
                        };
                        let paired = low.is_some_and(|low| (0xDC00..=0xDFFF).contains(&low));
                        self.at += if paired { 6 } else { 0 };
                        !paired
                    }
                    0xDC00..=0xDFFF => true,
                    _ => false,
                };
                if lone && !lenient {
                    return Err(("json_lone_surrogate", at, "surrogate escapes in pairs only"));
                }
                return Ok(lone);
            }
            _ => return Err(("json_invalid", at, "one of the escapes of JSON")),
        }
        Ok(false)
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.byte(self.at).is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    /// Steps over a number; true when it is no finite double (lenient only).
    fn number(&mut self) -> Step<bool> {
        let start = self.at;
        let bad = |at| Err(("json_invalid", at, "a number as JSON writes it"));
        if self.byte(self.at) == Some(b'-') {
            self.at += 1;
        }
        let first = self.byte(self.at);
        let whole = self.digits();
        if whole == 0 || (first == Some(b'0') && whole > 1) {
            return bad(start);
        }
        if self.byte(self.at) == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return bad(start);
            }
        }
        let mut exponent = false;
        if let Some(b'e' | b'E') = self.byte(self.at) {
            exponent = true;
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte(self.at) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return bad(start);
            }
        }
        if !exponent && whole <= 300 {
            return Ok(false);
        }
        let written = self.tape.raw.get(start..self.at).and_then(|b| std::str::from_utf8(b).ok());
        let finite = written.and_then(|t| t.parse::<f64>().ok()).is_some_and(f64::is_finite);
        if !finite && self.mode == Mode::Strict {
            return Err(("json_number", start, "a number that a 64-bit float can hold"));
        }
        Ok(!finite)
    }

    /// JSON pointer of the place the pass has reached.
    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for frame in &self.stack {
            if !frame.object {
                text::push_pointer(&mut pointer, &frame.items.to_string());
            } else if let Some(key) = self.tape.node(frame.key).filter(|_| frame.key > frame.node) {
                text::push_pointer(&mut pointer, &self.tape.decode(key));
            }
        }
        pointer
    }
}

impl<'a> Tape<'a> {
    pub(crate) fn node(&self, number: u32) -> Option<Node> {
        self.nodes.get(number as usize).copied()
    }

    /// Bytes of a value as they were written.
    pub(crate) fn bytes(&self, node: Node) -> &'a [u8] {
        self.raw.get(node.start as usize..node.end as usize).unwrap_or_default()
    }

    /// Text of a string, decoded; of another scalar, as written.
    pub(crate) fn decode(&self, node: Node) -> Cow<'a, str> {
        let (start, end) = match node.sort {
            Sort::Text => (node.start as usize + 1, (node.end as usize).saturating_sub(1)),
            _ => (node.start as usize, node.end as usize),
        };
        if !node.escaped
            && !node.dirty
            && let Some(text) = self.text
        {
            return Cow::Borrowed(text.get(start..end).unwrap_or_default());
        }
        text::decode(self.raw.get(start..end).unwrap_or_default())
    }

    /// Members of an object: key node and number of the value's node. Empty for anything else.
    pub(crate) fn members(&self, object: u32) -> Children<'_, 'a> {
        self.children(object, Sort::Object)
    }

    /// Items of a list; the first of each pair is the item itself. Empty for anything else.
    pub(crate) fn items(&self, list: u32) -> Children<'_, 'a> {
        self.children(list, Sort::List)
    }

    fn children(&self, number: u32, sort: Sort) -> Children<'_, 'a> {
        let end = self.node(number).filter(|n| n.sort == sort).map_or(0, |n| n.next);
        Children { tape: self, at: number + 1, end, object: sort == Sort::Object }
    }

    /// The first member of that name.
    pub(crate) fn get(&self, object: u32, name: &str) -> Option<u32> {
        self.members(object).find(|(key, _)| self.is(*key, name)).map(|(_, value)| value)
    }

    /// Follows a path of names.
    pub(crate) fn path(&self, object: u32, path: &[&str]) -> Option<u32> {
        path.iter().try_fold(object, |at, name| self.get(at, name))
    }

    fn is(&self, key: Node, name: &str) -> bool {
        if key.escaped { self.decode(key) == name } else { self.inner(key) == name.as_bytes() }
    }

    pub(crate) fn inner(&self, node: Node) -> &'a [u8] {
        self.raw.get(node.start as usize + 1..(node.end as usize).saturating_sub(1)).unwrap_or_default()
    }

    /// Key node of the second of two equal names.
    fn duplicate(&self, object: u32) -> Option<u32> {
        let mut names: Vec<(Cow<'_, [u8]>, u32)> = Vec::new();
        for (key, value) in self.members(object) {
            let name = match key.escaped {
                true => Cow::Owned(self.decode(key).into_owned().into_bytes()),
                false => Cow::Borrowed(self.inner(key)),
            };
            names.push((name, value.saturating_sub(1)));
        }
        if names.len() <= PAIRWISE_KEYS_MAX {
            let twice = |(n, (name, _)): &(usize, &(Cow<'_, [u8]>, u32))| names.iter().take(*n).any(|(o, _)| o == name);
            return names.iter().enumerate().find(twice).map(|(_, (_, key))| *key);
        }
        names.sort();
        let twins = names.windows(2).filter(|pair| matches!(pair, [a, b] if a.0 == b.0));
        twins.filter_map(|pair| pair.last().map(|(_, key)| *key)).min()
    }

    /// Appends a value of a strict tape without white space between its tokens.
    pub(crate) fn copy(&self, node: Node, out: &mut Vec<u8>) {
        copy_compact(self.bytes(node), self.spaced, out);
    }
}

/// Appends JSON, leaving out white space between tokens when there may be some.
pub(crate) fn copy_compact(bytes: &[u8], spaced: bool, out: &mut Vec<u8>) {
    if !spaced {
        out.extend_from_slice(bytes);
        return;
    }
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        match first {
            b' ' | b'\n' | b'\r' | b'\t' => rest = tail,
            b'"' => {
                let length = text::string_length(rest);
                out.extend_from_slice(rest.get(..length).unwrap_or(rest));
                rest = rest.get(length..).unwrap_or_default();
            }
            other => {
                out.push(*other);
                rest = tail;
            }
        }
    }
}

/// Walks the members of an object or the items of a list.
pub(crate) struct Children<'t, 'a> {
    tape: &'t Tape<'a>,
    at: u32,
    end: u32,
    object: bool,
}

impl Iterator for Children<'_, '_> {
    type Item = (Node, u32);

    fn next(&mut self) -> Option<(Node, u32)> {
        if self.at >= self.end {
            return None;
        }
        let first = self.tape.node(self.at)?;
        let value = if self.object { self.at + 1 } else { self.at };
        self.at = self.tape.node(value)?.next;
        Some((first, value))
    }
}

/// Messages are at most 1 MiB (checked before a tape is made), so every place fits.
fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
