//! A native event: strict JSON, checked against the table of `places`, defaults filled in. It writes nothing.

use std::borrow::Cow;

use crate::limits::{DELEGATES_MAX, EVENT_BYTES_MAX, SAFE_INTEGER_MAX};
use crate::places::{self, ACTOR_TYPES, CATEGORIES, ENVELOPE, Field, Free, Kind, OUTCOMES, SEVERITIES, at};
use crate::prepared::{IdMade, Marks, Prepared, Slots};
use crate::tape::{Mode, Sort, Tape, parse};
use crate::{Context, Rejected, text, time};

/// Checks a native event and fills in what it left out.
///
/// Errors: [`Rejected`] names the field as a JSON pointer and what was expected, never the value.
pub fn native<'a>(raw: &'a [u8], ctx: &Context<'a>) -> Result<Prepared<'a>, Rejected> {
    let size = Rejected::at("event_size", "", None, "an event of at most 1 MiB");
    if raw.len() > EVENT_BYTES_MAX {
        return Err(size);
    }
    let tape = parse(raw, Mode::Strict).map_err(|fault| Rejected::of(raw, fault))?;
    let check = Check { tape: &tape, ctx };
    let root = tape.node(0).filter(|n| n.sort == Sort::Object);
    if root.is_none() {
        return Err(Rejected::at("field_type", "", Some(1), "an object"));
    }
    let mut found = [0_u32; ENVELOPE.len()];
    check.object(0, &ENVELOPE, &Path::ROOT, Some(&mut found))?;
    Build { tape: &tape, ctx, found }.prepared(raw)
}

/// A path from the root, kept on the stack: turned into text only when something is refused.
struct Path<'p> {
    up: Option<&'p Path<'p>>,
    name: &'p str,
    index: Option<usize>,
}

impl<'p> Path<'p> {
    const ROOT: Path<'static> = Path { up: None, name: "", index: None };

    fn to(&'p self, name: &'p str) -> Path<'p> {
        Path { up: Some(self), name, index: None }
    }

    fn item(&'p self, index: usize) -> Path<'p> {
        Path { up: Some(self), name: "", index: Some(index) }
    }

    fn write(&self, out: &mut String) {
        let Some(up) = self.up else { return };
        up.write(out);
        match self.index {
            Some(index) => text::push_pointer(out, &index.to_string()),
            None => text::push_pointer(out, self.name),
        }
    }

    /// Levels with this name directly above one another.
    fn run(&self, name: &str) -> usize {
        if self.name == name && self.index.is_none() { 1 + self.up.map_or(0, |up| up.run(name)) } else { 0 }
    }
}

struct Check<'c, 'a> {
    tape: &'c Tape<'a>,
    ctx: &'c Context<'a>,
}

impl Check<'_, '_> {
    fn refuse(&self, code: &'static str, number: u32, path: &Path<'_>, expected: impl Into<String>) -> Rejected {
        let mut field = String::new();
        path.write(&mut field);
        let line = self.tape.node(number).map(|n| crate::line_at(self.tape.raw, n.start as usize));
        Rejected { code, field, line, expected: expected.into() }
    }

    fn object(
        &self,
        number: u32,
        fields: &'static [Field],
        path: &Path<'_>,
        mut found: Option<&mut [u32; ENVELOPE.len()]>,
    ) -> Result<(), Rejected> {
        let mut seen = 0_u32;
        // Clients write members in about the same order as the table: look on from the last one found.
        let mut hint = 0;
        for (key, value) in self.tape.members(number) {
            let name = self.tape.decode(key);
            let step = path.to(&name);
            let rows = fields.iter().enumerate();
            let hit = rows.clone().skip(hint).chain(rows.take(hint)).find(|(_, field)| field.name == name);
            let Some((row, field)) = hit else {
                let names: Vec<&str> = fields.iter().map(|f| f.name).collect();
                let expected = format!("only the members {}", names.join(", "));
                return Err(self.refuse("field_unknown", value, &step, expected));
            };
            hint = row + 1;
            seen |= 1 << row;
            if let Some(slot) = found.as_mut().and_then(|found| found.get_mut(row)) {
                *slot = value;
            }
            self.value(value, &field.kind, &step)?;
        }
        for (row, field) in fields.iter().enumerate() {
            if field.required && seen >> row & 1 == 0 {
                return Err(self.refuse("field_missing", number, &path.to(field.name), "this member"));
            }
        }
        Ok(())
    }

    fn value(&self, number: u32, kind: &'static Kind, path: &Path<'_>) -> Result<(), Rejected> {
        let sort = self.tape.node(number).map(|n| n.sort);
        let (wanted, expected) = match kind {
            Kind::Flag => (Sort::Bool, "true or false"),
            Kind::Counter => (Sort::Number, "a whole number from 0 to 2^53 - 1"),
            Kind::Object(_) | Kind::Free(_) => (Sort::Object, "an object"),
            Kind::List { .. } => (Sort::List, "a list"),
            Kind::Server => {
                let expected = "this member to be left out: only the server writes it";
                return Err(self.refuse("field_server_only", number, path, expected));
            }
            _ => (Sort::Text, "a string"),
        };
        if sort != Some(wanted) {
            return Err(self.refuse("field_type", number, path, expected));
        }
        match kind {
            Kind::Flag => Ok(()),
            Kind::Object(fields) => {
                if path.run("on_behalf_of") > DELEGATES_MAX {
                    return Err(self.refuse("field_limit", number, path, "at most 4 delegations"));
                }
                self.object(number, fields, path, None)
            }
            Kind::List { max, item } => self.list(number, *max, item, path),
            Kind::Free(free) => self.free(number, free, path),
            Kind::Counter => match self.tape.node(number).and_then(|n| counter(self.tape.bytes(n))) {
                Some(_) => Ok(()),
                None => Err(self.refuse("field_value", number, path, "a whole number from 0 to 2^53 - 1")),
            },
            _ => self.string(number, kind, path),
        }
    }

    fn list(&self, number: u32, max: usize, item: &'static Kind, path: &Path<'_>) -> Result<(), Rejected> {
        for (index, (_, value)) in self.tape.items(number).enumerate() {
            if index >= max {
                return Err(self.refuse("field_limit", number, path, format!("at most {max} items")));
            }
            self.value(value, item, &path.item(index))?;
        }
        Ok(())
    }

    fn string(&self, number: u32, kind: &'static Kind, path: &Path<'_>) -> Result<(), Rejected> {
        let Some(node) = self.tape.node(number) else { return Ok(()) };
        if let Kind::Text { min, max } = kind {
            // Escapes and several-byte characters only make the text shorter than its bytes.
            let inner = self.tape.inner(node).len();
            if inner >= *min && inner <= *max {
                return Ok(());
            }
        }
        let text = self.tape.decode(node);
        let (ok, code) = grammar(kind, &text, self.ctx, path);
        if ok { Ok(()) } else { Err(self.refuse(code, number, path, expected(kind))) }
    }

    fn free(&self, number: u32, free: &Free, path: &Path<'_>) -> Result<(), Rejected> {
        let Some(node) = self.tape.node(number) else { return Ok(()) };
        if self.tape.bytes(node).len() > free.bytes {
            let expected = format!("at most {} KiB", free.bytes / 1024);
            return Err(self.refuse("field_limit", number, path, expected));
        }
        if free.keys != usize::MAX && self.tape.members(number).count() > free.keys {
            return Err(self.refuse("field_limit", number, path, format!("at most {} keys", free.keys)));
        }
        if free.key == usize::MAX && free.value == usize::MAX { Ok(()) } else { self.inside(number, free, path) }
    }

    /// Limits of keys and strings at any depth; the depth itself is bounded by the parser.
    fn inside(&self, number: u32, free: &Free, path: &Path<'_>) -> Result<(), Rejected> {
        let Some(node) = self.tape.node(number) else { return Ok(()) };
        let longer = |node, max| self.tape.bytes(node).len() > max && self.tape.decode(node).chars().count() > max;
        match node.sort {
            Sort::Text if longer(node, free.value) => {
                let expected = format!("strings of at most {} characters", free.value);
                Err(self.refuse("field_limit", number, path, expected))
            }
            Sort::Object => self.tape.members(number).try_for_each(|(key, value)| {
                let name = self.tape.decode(key);
                let step = path.to(&name);
                if longer(key, free.key) {
                    let expected = format!("keys of at most {} characters", free.key);
                    return Err(self.refuse("field_limit", value, &step, expected));
                }
                self.inside(value, free, &step)
            }),
            Sort::List => {
                let mut items = self.tape.items(number).enumerate();
                items.try_for_each(|(index, (_, value))| self.inside(value, free, &path.item(index)))
            }
            _ => Ok(()),
        }
    }
}

fn grammar(kind: &Kind, text: &str, ctx: &Context<'_>, path: &Path<'_>) -> (bool, &'static str) {
    let ok = match kind {
        Kind::Text { min, max } => text.len() >= *min && (text.len() <= *max || text.chars().count() <= *max),
        Kind::Bytes(max) => text.len() <= *max,
        Kind::Printable(max) => is_printable(text, *max),
        Kind::Uri(max) => is_uri(text, *max),
        Kind::Action(max) => is_action(text, *max),
        Kind::OneOf(words) => words.contains(&text),
        Kind::Time => time::parse(text.as_bytes()).is_some(),
        Kind::Hex(digits) => text.len() == *digits && text.bytes().all(|b| b.is_ascii_hexdigit()),
        Kind::Name => is_name(text) && text == if path.name == "tenant" { ctx.tenant } else { ctx.ledger },
        _ => true,
    };
    let code = match kind {
        Kind::Text { .. } | Kind::Bytes(_) => "field_limit",
        Kind::Name if path.name == "tenant" => "tenant_other",
        Kind::Name => "stream_other",
        _ => "field_value",
    };
    (ok, code)
}

fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Text { min, max } => format!("{min} to {max} characters"),
        Kind::Bytes(max) => format!("at most {max} bytes"),
        Kind::Printable(max) => format!("1 to {max} printable ASCII characters"),
        Kind::Uri(max) => format!("a URI or URN of at most {max} characters"),
        Kind::Action(max) => format!("1 to {max} characters of [a-z0-9_.:/-]"),
        Kind::OneOf(words) => format!("one of {}", words.join(", ")),
        Kind::Time => "a time as RFC 3339 writes it, with at most 9 fraction digits".to_owned(),
        Kind::Hex(digits) => format!("{digits} hexadecimal digits"),
        Kind::Name => "the name that endpoint and credential say, or nothing".to_owned(),
        _ => "another value".to_owned(),
    }
}

fn counter(bytes: &[u8]) -> Option<u64> {
    let n = u64::try_from(time::number(bytes.get(..bytes.len().min(17))?)?).ok()?;
    (bytes.len() <= 16 && n <= SAFE_INTEGER_MAX).then_some(n)
}

/// 1 to `max` printable ASCII characters, the space among them.
pub(crate) fn is_printable(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && text.bytes().all(|b| (0x20..0x7F).contains(&b))
}

/// `[a-z0-9_.:/-]{1,max}`.
pub(crate) fn is_action(text: &str, max: usize) -> bool {
    let fits = |b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b':' | b'/' | b'-');
    (1..=max).contains(&text.len()) && text.bytes().all(fits)
}

/// RFC 3986 section 3: a scheme, a colon, and something of the characters that a URI may have.
pub(crate) fn is_uri(text: &str, max: usize) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let letters = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b);
    letters && !rest.is_empty() && text.len() <= max && rest.bytes().all(allowed)
}

fn is_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(fits)
}

struct Build<'c, 'a> {
    tape: &'c Tape<'a>,
    ctx: &'c Context<'a>,
    found: [u32; ENVELOPE.len()],
}

impl<'a> Build<'_, 'a> {
    /// Number of the node of an envelope member that is there (node 0 is the event itself).
    fn node(&self, row: usize) -> Option<u32> {
        self.found.get(row).copied().filter(|n| *n != 0)
    }

    fn text_of(&self, number: u32) -> Option<Cow<'a, str>> {
        self.tape.node(number).map(|node| self.tape.decode(node))
    }

    fn text(&self, row: usize) -> Option<Cow<'a, str>> {
        self.node(row).and_then(|n| self.text_of(n))
    }

    fn member(&self, row: usize, name: &str) -> Option<Cow<'a, str>> {
        self.node(row).and_then(|n| self.tape.get(n, name)).and_then(|n| self.text_of(n))
    }

    fn prepared(self, raw: &'a [u8]) -> Result<Prepared<'a>, Rejected> {
        let ctx = self.ctx;
        let action = self.text(at::ACTION).unwrap_or_default();
        let category = match self.text(at::CATEGORY) {
            Some(text) => places::word(CATEGORIES, &text),
            None => places::word(CATEGORIES, action.split('.').next().unwrap_or_default()),
        };
        let mut marks = Marks::default();
        let occurred = match self.text(at::OCCURRED_AT).and_then(|t| time::parse(t.as_bytes())) {
            Some(moment) => moment,
            None => {
                marks.time_from = Some("arrival");
                time::Moment::of_nanos(ctx.arrival)
            }
        };
        marks.judge_time(occurred, ctx.arrival);
        let (id, id_made) = IdMade::settle(self.text(at::ID), ctx, &mut marks);
        let (actor_type, actor_id) = self.actor()?;
        let mut slots = Slots::default();
        for (row, field) in ENVELOPE.iter().enumerate() {
            if let Some(slot) = slots.named(field.name) {
                *slot = self.node(row).and_then(|n| self.tape.node(n)).map(|n| Cow::Borrowed(self.tape.bytes(n)));
            }
        }
        self.reserved(&marks)?;
        let word = |list, text: Option<Cow<'_, str>>| text.and_then(|t| places::word(list, &t));
        Ok(Prepared {
            submitted: raw,
            id,
            id_made,
            source: self.text(at::SOURCE).unwrap_or(Cow::Borrowed(ctx.default_source)),
            seq: self.sequence(),
            category: category.unwrap_or("api"),
            severity: word(SEVERITIES, self.text(at::SEVERITY)).unwrap_or("info"),
            outcome: word(OUTCOMES, self.member(at::OUTCOME, "status")).unwrap_or("unknown"),
            outcome_given: self.member(at::OUTCOME, "status").is_some(),
            occurred: occurred.stamp(),
            observed: self.text(at::OBSERVED_AT).and_then(|t| time::parse(t.as_bytes())).map(time::Moment::stamp),
            actor_given: self.member(at::ACTOR, "type").is_some(),
            delegates: self.delegates()?,
            action,
            actor_type,
            actor_id,
            slots,
            marks,
            original: None,
            ingest: ctx.ingest,
            spaced: self.tape.spaced,
        })
    }

    fn sequence(&self) -> Option<(Cow<'a, str>, u64)> {
        let epoch = self.member(at::SOURCE_SEQ, "epoch")?;
        let n = self.member(at::SOURCE_SEQ, "n")?;
        Some((epoch, counter(n.as_bytes())?))
    }

    fn person(&self, number: u32, field: &str) -> Result<(&'static str, Option<Cow<'a, str>>), Rejected> {
        let given = self.tape.get(number, "type").and_then(|n| self.text_of(n));
        let kind = given.and_then(|t| places::word(ACTOR_TYPES, &t)).unwrap_or("anonymous");
        let id = self.tape.get(number, "id").and_then(|n| self.text_of(n));
        if id.is_none() && kind != "anonymous" {
            let line = self.tape.node(number).map(|n| crate::line_at(self.tape.raw, n.start as usize));
            return Err(Rejected::at("field_missing", field, line, "an id, unless the type is anonymous"));
        }
        Ok((kind, id))
    }

    fn actor(&self) -> Result<(&'static str, Option<Cow<'a, str>>), Rejected> {
        self.node(at::ACTOR).map_or(Ok(("anonymous", None)), |n| self.person(n, "/actor/id"))
    }

    /// Type and id of those on whose behalf the actor acted, nearest first.
    fn delegates(&self) -> Result<Vec<(&'static str, Cow<'a, str>)>, Rejected> {
        let mut found = Vec::new();
        let mut field = "/actor".to_owned();
        let mut next = self.node(at::ACTOR).and_then(|n| self.tape.get(n, "on_behalf_of"));
        while let Some(number) = next {
            field.push_str("/on_behalf_of");
            if let (kind, Some(id)) = self.person(number, &format!("{field}/id"))? {
                found.push((kind, id));
            }
            next = self.tape.get(number, "on_behalf_of");
        }
        Ok(found)
    }

    /// Members of `ext` that only the server writes into this event.
    fn reserved(&self, marks: &Marks) -> Result<(), Rejected> {
        let Some(ext) = self.node(at::EXT) else { return Ok(()) };
        for name in Marks::RESERVED.iter().filter(|name| marks.writes(name)) {
            if let Some(number) = self.tape.get(ext, name) {
                let line = self.tape.node(number).map(|n| crate::line_at(self.tape.raw, n.start as usize));
                let expected = "this member to be left out: only the server writes it";
                return Err(Rejected::at("field_server_only", &format!("/ext/{name}"), line, expected));
            }
        }
        Ok(())
    }
}
