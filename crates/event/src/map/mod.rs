//! Mappers from foreign records to `audit.v1`, a module per source kind.
//!
//! A mapper never refuses what its source really wrote (events.md rule 7): it cuts and marks, and the original stays.

pub mod cloudtrail;
pub mod openbao;
mod people;
pub mod syslog;
pub mod text;

use std::borrow::Cow;

use crate::limits::{COPIED_BYTES_MAX, COPIED_DEPTH_MAX, EVENT_BYTES_MAX, EXT_BYTES_MAX, MESSAGE_BYTES_MAX};
use crate::places::{CATEGORIES, word};
use crate::prepared::{IdMade, Marks, Original, Prepared, Slots};
use crate::tape::{Mode, Sort, Tape, parse};
use crate::text::{cut_bytes, cut_chars, lossy, push_number, push_string};
use crate::time::Moment;
use crate::{Context, Rejected};

/// A person or program in a mapped event.
#[derive(Default)]
pub(crate) struct Who<'a> {
    pub(crate) kind: &'static str,
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) name: Option<Cow<'a, str>>,
}

/// What a mapper found; `finish` turns it into an accepted event.
pub(crate) struct Draft<'a> {
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) source: Option<Cow<'a, str>>,
    pub(crate) action: String,
    pub(crate) category: Option<&'static str>,
    pub(crate) occurred: Option<Moment>,
    pub(crate) observed: Option<Moment>,
    pub(crate) severity: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) code: Option<Cow<'a, str>>,
    pub(crate) reason: Option<Cow<'a, str>>,
    pub(crate) authorized: Option<bool>,
    pub(crate) actor: Who<'a>,
    pub(crate) behalf: Option<Who<'a>>,
    pub(crate) auth: Out,
    pub(crate) targets: Vec<Out>,
    pub(crate) context: Out,
    pub(crate) message: Option<Cow<'a, str>>,
    pub(crate) ext: Out,
    pub(crate) marks: Marks,
}

impl<'a> Draft<'a> {
    pub(crate) fn new() -> Self {
        Self {
            id: None,
            source: None,
            action: String::new(),
            category: None,
            occurred: None,
            observed: None,
            severity: "info",
            outcome: "unknown",
            code: None,
            reason: None,
            authorized: None,
            actor: Who { kind: "anonymous", id: None, name: None },
            behalf: None,
            auth: Out::default(),
            targets: Vec::new(),
            context: Out::default(),
            message: None,
            ext: Out::default(),
            marks: Marks::default(),
        }
    }

    /// Fills in what is missing, and settles id, time and source.
    pub(crate) fn finish(mut self, raw: &'a [u8], original: Original, ctx: &Context<'a>) -> Prepared<'a> {
        let mut marks = std::mem::take(&mut self.marks);
        let occurred = self.occurred.unwrap_or_else(|| {
            marks.time_from = Some("arrival");
            Moment::of_nanos(ctx.arrival)
        });
        marks.judge_time(occurred, ctx.arrival);
        let (id, id_made) = IdMade::settle(self.id.take(), ctx, &mut marks);
        let action = action_of(&self.action, &mut marks);
        let first = action.split('.').next().unwrap_or_default();
        let category = self.category.or_else(|| word(CATEGORIES, first)).unwrap_or("api");
        let actor_id = self.actor.id.take().map(|id| clip(id, 256, &mut marks)).filter(|id| !id.is_empty());
        let actor_type = if actor_id.is_none() { "anonymous" } else { self.actor.kind };
        let mut slots = Slots::default();
        let mut delegates = Vec::new();
        slots.actor = Some(self.actor_json(actor_type, actor_id.as_deref(), &mut delegates, &mut marks).done());
        slots.outcome = Some(self.outcome_json(&mut marks).done());
        if !self.targets.is_empty() {
            slots.targets = Some(list(&mut self.targets, &mut marks));
        }
        marks.truncated |= self.context.cut | self.ext.cut;
        slots.context = self.context.done_if_any();
        slots.ext = self.ext.done_if_any();
        if slots.ext.as_ref().is_some_and(|ext| ext.len() > EXT_BYTES_MAX) {
            marks.truncated = true;
            slots.ext = None;
        }
        if let Some(message) = &self.message {
            let (text, cut) = cut_bytes(message, MESSAGE_BYTES_MAX);
            marks.truncated |= cut;
            let mut json = Vec::new();
            push_string(text, &mut json);
            slots.message = Some(Cow::Owned(json));
        }
        Prepared {
            submitted: raw,
            id,
            id_made,
            source: self.source.unwrap_or(Cow::Borrowed(ctx.default_source)),
            seq: None,
            action: Cow::Owned(action),
            category,
            severity: self.severity,
            outcome: self.outcome,
            outcome_given: true,
            occurred: occurred.stamp(),
            observed: self.observed.map(Moment::stamp),
            actor_type,
            actor_given: true,
            actor_id,
            delegates,
            slots,
            marks,
            original: Some(original),
            ingest: ctx.ingest,
            spaced: false,
        }
    }

    fn actor_json(
        &mut self,
        kind: &'static str,
        id: Option<&str>,
        delegates: &mut Vec<(&'static str, Cow<'a, str>)>,
        marks: &mut Marks,
    ) -> Out {
        let mut out = Out::default();
        out.text("type", Some(kind), 16);
        out.text("id", id, 256);
        out.text("name", self.actor.name.as_deref(), 256);
        if let Some(behalf) = self.behalf.take() {
            let id = behalf.id.map(|id| clip(id, 256, marks)).filter(|id| !id.is_empty());
            let mut inner = Out::default();
            inner.text("type", Some(if id.is_some() { behalf.kind } else { "anonymous" }), 16);
            inner.text("id", id.as_deref(), 256);
            inner.text("name", behalf.name.as_deref(), 256);
            out.object("on_behalf_of", inner);
            delegates.extend(id.map(|id| (behalf.kind, id)));
        }
        if !self.auth.is_empty() {
            out.object("auth", std::mem::take(&mut self.auth));
        }
        marks.truncated |= out.cut;
        out
    }

    fn outcome_json(&self, marks: &mut Marks) -> Out {
        let mut out = Out::default();
        out.text("status", Some(self.outcome), 16);
        out.text("code", self.code.as_deref(), 64);
        out.text("reason", self.reason.as_deref(), 1024);
        out.flag("authorized", self.authorized);
        marks.truncated |= out.cut;
        out
    }
}

fn list<'a>(targets: &mut Vec<Out>, marks: &mut Marks) -> Cow<'a, [u8]> {
    let mut json = vec![b'['];
    for (number, target) in targets.drain(..).enumerate() {
        marks.truncated |= target.cut || number >= 64;
        if number < 64 {
            if number > 0 {
                json.push(b',');
            }
            json.extend_from_slice(&target.done());
        }
    }
    json.push(b']');
    Cow::Owned(json)
}

fn clip<'a>(text: Cow<'a, str>, chars: usize, marks: &mut Marks) -> Cow<'a, str> {
    let (short, cut) = cut_chars(&text, chars);
    if !cut {
        return text;
    }
    marks.truncated = true;
    Cow::Owned(short.to_owned())
}

/// events.md rule 7: lower case, other bytes become `_`, cut at the limit.
fn action_of(text: &str, marks: &mut Marks) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.:/-".contains(c);
    let lower = text.chars().map(|c| c.to_ascii_lowercase());
    let action: String = lower.map(|c| if fits(c) { c } else { '_' }).take(128).collect();
    marks.truncated |= text.chars().nth(128).is_some();
    action
}

/// JSON object under construction, with members cut at their limits.
#[derive(Default)]
pub(crate) struct Out {
    json: Vec<u8>,
    pub(crate) cut: bool,
}

impl Out {
    pub(crate) fn is_empty(&self) -> bool {
        self.json.is_empty()
    }

    fn key(&mut self, name: &str) {
        self.json.push(if self.json.is_empty() { b'{' } else { b',' });
        push_string(name, &mut self.json);
        self.json.push(b':');
    }

    pub(crate) fn text(&mut self, name: &str, value: Option<&str>, chars: usize) {
        let Some(value) = value else { return };
        let (value, cut) = cut_chars(value, chars);
        self.cut |= cut;
        self.key(name);
        push_string(value, &mut self.json);
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) {
        self.key(name);
        push_number(value, &mut self.json);
    }

    pub(crate) fn flag(&mut self, name: &str, value: Option<bool>) {
        let Some(value) = value else { return };
        self.key(name);
        self.json.extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(crate) fn object(&mut self, name: &str, value: Out) {
        self.cut |= value.cut;
        self.key(name);
        self.json.extend_from_slice(&value.done());
    }

    /// A value of the original as strict JSON; left out, and marked, where it is too large.
    pub(crate) fn copy(&mut self, name: &str, tape: &Tape<'_>, number: Option<u32>) {
        let Some(number) = number else { return };
        let mut json = Vec::new();
        let mut cut = false;
        strict(tape, number, 0, &mut json, &mut cut);
        self.cut |= cut;
        if json.len() > COPIED_BYTES_MAX {
            self.cut = true;
            return;
        }
        self.key(name);
        self.json.extend_from_slice(&json);
    }

    /// Members known to have distinct names, each a string of the source.
    pub(crate) fn pairs(&mut self, name: &str, pairs: &[(Cow<'_, str>, Vec<Cow<'_, str>>)]) {
        let mut inner = Out::default();
        for (key, values) in pairs {
            inner.key(key);
            if let [one] = values.as_slice() {
                push_string(one, &mut inner.json);
                continue;
            }
            inner.json.push(b'[');
            for (number, value) in values.iter().enumerate() {
                if number > 0 {
                    inner.json.push(b',');
                }
                push_string(value, &mut inner.json);
            }
            inner.json.push(b']');
        }
        self.object(name, inner);
    }

    fn done<'a>(mut self) -> Cow<'a, [u8]> {
        if self.json.is_empty() {
            self.json.push(b'{');
        }
        self.json.push(b'}');
        Cow::Owned(self.json)
    }

    fn done_if_any<'a>(self) -> Option<Cow<'a, [u8]>> {
        if self.is_empty() { None } else { Some(self.done()) }
    }
}

/// Writes a value of a lenient tape as strict JSON: the first of equal names, no lone surrogates, no endless numbers.
fn strict(tape: &Tape<'_>, number: u32, depth: usize, out: &mut Vec<u8>, cut: &mut bool) {
    let Some(node) = tape.node(number) else { return };
    if depth > COPIED_DEPTH_MAX {
        *cut = true;
        out.extend_from_slice(b"null");
        return;
    }
    match node.sort {
        Sort::Object => {
            let mut names: std::collections::BTreeSet<Cow<'_, str>> = std::collections::BTreeSet::new();
            out.push(b'{');
            let start = out.len();
            for (key, value) in tape.members(number) {
                let name = tape.decode(key);
                if !names.insert(name.clone()) {
                    *cut = true;
                    continue;
                }
                if out.len() > start {
                    out.push(b',');
                }
                push_string(&name, out);
                out.push(b':');
                strict(tape, value, depth + 1, out, cut);
            }
            out.push(b'}');
        }
        Sort::List => {
            out.push(b'[');
            for (place, (_, value)) in tape.items(number).enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                strict(tape, value, depth + 1, out, cut);
            }
            out.push(b']');
        }
        Sort::Text | Sort::Number if node.dirty => push_string(&tape.decode(node), out),
        _ => tape.copy(node, out),
    }
}

/// Refuses only what is larger than a body may hold.
pub(crate) fn sized(raw: &[u8]) -> Result<(), Rejected> {
    if raw.len() > EVENT_BYTES_MAX {
        return Err(Rejected::at("event_size", "", None, "a message of at most 1 MiB"));
    }
    Ok(())
}

/// The tape of a foreign JSON record.
pub(crate) fn record(raw: &[u8]) -> Result<Tape<'_>, Rejected> {
    sized(raw)?;
    let tape = parse(raw, Mode::Lenient).map_err(|fault| Rejected::of(raw, fault))?;
    let object = tape.node(0).is_some_and(|n| n.sort == Sort::Object);
    if object { Ok(tape) } else { Err(Rejected::at("field_type", "", Some(1), "an object, a record of the source")) }
}

/// Text of a string at that path; empty ones count as absent.
pub(crate) fn at<'a>(tape: &Tape<'a>, path: &[&str]) -> Option<Cow<'a, str>> {
    let node = tape.path(0, path).and_then(|n| tape.node(n))?;
    (node.sort == Sort::Text).then(|| tape.decode(node)).filter(|t| !t.is_empty())
}

/// An object at that path that is not empty.
pub(crate) fn object_at(tape: &Tape<'_>, path: &[&str]) -> Option<u32> {
    let number = tape.path(0, path)?;
    let full = tape.members(number).next().is_some();
    full.then_some(number)
}

/// Text for people out of any bytes.
pub(crate) fn readable(bytes: &[u8]) -> Cow<'_, str> {
    lossy(bytes)
}
