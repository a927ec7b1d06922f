//! An event that was accepted, ready to be written as body and leaf. It parses nothing.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::limits::{FUTURE_SECONDS, OLD_BEFORE_SECONDS};
use crate::tape::copy_compact;
use crate::text::{push_hex, push_number, push_string};
use crate::time::{Moment, Stamp};
use crate::{Context, Ingest, native};

/// Who made the id of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IdMade {
    /// It came with the event.
    Client,
    /// Digest of a file's first line and the record's place in the file.
    FilePlace,
    /// The server.
    Generated,
}

impl IdMade {
    /// events.md rule 8: a usable id of the source, else the place in a file, else a generated one that is marked.
    pub(crate) fn settle<'a>(
        given: Option<Cow<'a, str>>,
        ctx: &Context<'a>,
        marks: &mut Marks,
    ) -> (Cow<'a, str>, Self) {
        if let Some(id) = given.filter(|id| native::is_printable(id, 128)) {
            return (id, Self::Client);
        }
        if let Some(place) = &ctx.place {
            return (Cow::Owned(format!("{}:{}", place.digest, place.offset)), Self::FilePlace);
        }
        marks.id_generated = true;
        (Cow::Owned((ctx.make_id)()), Self::Generated)
    }
}

/// What the server says about an event in `ext`.
#[derive(Default, Debug, Clone)]
pub(crate) struct Marks {
    pub(crate) time_from: Option<&'static str>,
    pub(crate) time_suspect: Option<&'static str>,
    pub(crate) time_zone_assumed: bool,
    pub(crate) id_generated: bool,
    pub(crate) id_collision: bool,
    pub(crate) truncated: bool,
}

impl Marks {
    /// Names that a mark may take in `ext`.
    pub(crate) const RESERVED: [&'static str; 4] = ["time_from", "time_suspect", "id_generated", "id_collision"];

    /// Whether this mark stands or may still come to stand in this event.
    pub(crate) fn writes(&self, name: &str) -> bool {
        match name {
            "time_from" => self.time_from.is_some(),
            "time_suspect" => self.time_suspect.is_some(),
            _ => true,
        }
    }

    /// events.md section 3: future and very old times are accepted and flagged, never rewritten.
    pub(crate) fn judge_time(&mut self, occurred: Moment, arrival: u64) {
        let now = Moment::of_nanos(arrival).seconds;
        if occurred.seconds > now.saturating_add(FUTURE_SECONDS) {
            self.time_suspect = Some("future");
        } else if occurred.seconds < OLD_BEFORE_SECONDS {
            self.time_suspect = Some("old");
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (name, value) in [("time_from", self.time_from), ("time_suspect", self.time_suspect)] {
            if let Some(value) = value {
                member(name, out);
                push_string(value, out);
            }
        }
        let flags = [
            ("time_zone_assumed", self.time_zone_assumed),
            ("id_generated", self.id_generated),
            ("id_collision", self.id_collision),
            ("truncated", self.truncated),
        ];
        for (name, _) in flags.iter().filter(|(_, set)| *set) {
            member(name, out);
            out.extend_from_slice(b"true");
        }
    }
}

/// JSON of the members that are copied as they came, or that a mapper wrote.
#[derive(Default, Debug, Clone)]
pub(crate) struct Slots<'a> {
    pub(crate) actor: Option<Cow<'a, [u8]>>,
    pub(crate) targets: Option<Cow<'a, [u8]>>,
    pub(crate) outcome: Option<Cow<'a, [u8]>>,
    pub(crate) context: Option<Cow<'a, [u8]>>,
    pub(crate) message: Option<Cow<'a, [u8]>>,
    pub(crate) subjects: Option<Cow<'a, [u8]>>,
    pub(crate) classification: Option<Cow<'a, [u8]>>,
    pub(crate) schema: Option<Cow<'a, [u8]>>,
    pub(crate) metadata: Option<Cow<'a, [u8]>>,
    pub(crate) ext: Option<Cow<'a, [u8]>>,
}

impl<'a> Slots<'a> {
    pub(crate) fn named(&mut self, name: &str) -> Option<&mut Option<Cow<'a, [u8]>>> {
        Some(match name {
            "actor" => &mut self.actor,
            "targets" => &mut self.targets,
            "outcome" => &mut self.outcome,
            "context" => &mut self.context,
            "message" => &mut self.message,
            "subjects" => &mut self.subjects,
            "classification" => &mut self.classification,
            "schema" => &mut self.schema,
            "metadata" => &mut self.metadata,
            "ext" => &mut self.ext,
            _ => return None,
        })
    }
}

/// Format and media type of a kept original; its bytes are the submitted ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Original {
    pub(crate) format: &'static str,
    pub(crate) media_type: &'static str,
}

/// An accepted event.
///
/// It borrows the bytes it was read from; nothing of a native event is re-serialised but names with a fixed grammar.
#[derive(Debug, Clone)]
pub struct Prepared<'a> {
    pub(crate) submitted: &'a [u8],
    pub(crate) id: Cow<'a, str>,
    pub(crate) id_made: IdMade,
    pub(crate) source: Cow<'a, str>,
    pub(crate) seq: Option<(Cow<'a, str>, u64)>,
    pub(crate) action: Cow<'a, str>,
    pub(crate) category: &'static str,
    pub(crate) severity: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) outcome_given: bool,
    pub(crate) occurred: Stamp,
    pub(crate) observed: Option<Stamp>,
    pub(crate) actor_type: &'static str,
    pub(crate) actor_given: bool,
    pub(crate) actor_id: Option<Cow<'a, str>>,
    pub(crate) delegates: Vec<(&'static str, Cow<'a, str>)>,
    pub(crate) slots: Slots<'a>,
    pub(crate) marks: Marks,
    pub(crate) original: Option<Original>,
    pub(crate) ingest: Option<Ingest<'a>>,
    pub(crate) spaced: bool,
}

fn member(name: &str, out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'{')) {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends a member whose value needs no escapes.
fn plain(name: &str, value: &[u8], out: &mut Vec<u8>) {
    member(name, out);
    out.push(b'"');
    out.extend_from_slice(value);
    out.push(b'"');
}

fn string(name: &str, value: &str, out: &mut Vec<u8>) {
    member(name, out);
    push_string(value, out);
}

impl<'a> Prepared<'a> {
    /// Who emitted it: the payload's source or the credential's default. Whether it may is decided by the caller.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its id within the source.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Who made the id.
    pub fn id_made(&self) -> IdMade {
        self.id_made
    }

    /// The source's own counter: epoch and number.
    pub fn source_seq(&self) -> Option<(&str, u64)> {
        self.seq.as_ref().map(|(epoch, n)| (epoch.as_ref(), *n))
    }

    /// What was done.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// Category, given or derived.
    pub fn category(&self) -> &'static str {
        self.category
    }

    /// Severity, given or `info`.
    pub fn severity(&self) -> &'static str {
        self.severity
    }

    /// Status of the outcome, given or `unknown`.
    pub fn outcome(&self) -> &'static str {
        self.outcome
    }

    /// When it happened, as it stands in leaf and body.
    pub fn occurred_at(&self) -> &Stamp {
        &self.occurred
    }

    /// What the content tag covers: the event as the client sent it, or the original of an adapter.
    pub fn submitted(&self) -> &'a [u8] {
        self.submitted
    }

    /// Type of the actor, for the pseudonym.
    pub fn actor_type(&self) -> &'static str {
        self.actor_type
    }

    /// Id of the actor, for the pseudonym; none for an anonymous one.
    pub fn actor_id(&self) -> Option<&str> {
        self.actor_id.as_deref()
    }

    /// events.md rule 8: a made-up id met other content; the event goes on under this one, and says so.
    pub fn collide(&mut self, new_id: String) {
        self.id = Cow::Owned(new_id);
        self.id_made = IdMade::Generated;
        self.marks.id_collision = true;
    }

    /// Appends the body: `{"salt":"...","event":{...}}`, UTF-8 JSON without spaces.
    ///
    /// The same event, salt and context give the same bytes. `salt_b64` is written as it is.
    pub fn write_body(&self, salt_b64: &str, out: &mut Vec<u8>) {
        out.reserve(self.submitted.len() + 512);
        out.extend_from_slice(b"{\"salt\":\"");
        out.extend_from_slice(salt_b64.as_bytes());
        out.extend_from_slice(b"\",\"event\":{");
        string("id", &self.id, out);
        string("source", &self.source, out);
        if let Some((epoch, n)) = &self.seq {
            member("source_seq", out);
            out.push(b'{');
            string("epoch", epoch, out);
            member("n", out);
            push_number(*n, out);
            out.push(b'}');
        }
        plain("action", self.action.as_bytes(), out);
        plain("category", self.category.as_bytes(), out);
        plain("occurred_at", &self.occurred, out);
        if let Some(observed) = &self.observed {
            plain("observed_at", observed, out);
        }
        let actor_default = (!self.actor_given).then_some(("type", self.actor_type));
        self.with_default("actor", self.slots.actor.as_deref(), actor_default, out);
        self.slot("targets", self.slots.targets.as_deref(), out);
        let outcome_default = (!self.outcome_given).then_some(("status", self.outcome));
        self.with_default("outcome", self.slots.outcome.as_deref(), outcome_default, out);
        self.slot("context", self.slots.context.as_deref(), out);
        plain("severity", self.severity.as_bytes(), out);
        self.slot("message", self.slots.message.as_deref(), out);
        self.subjects(out);
        self.slot("classification", self.slots.classification.as_deref(), out);
        self.slot("schema", self.slots.schema.as_deref(), out);
        self.slot("metadata", self.slots.metadata.as_deref(), out);
        self.ext(out);
        self.original(out);
        self.ingest(out);
        out.extend_from_slice(b"}}");
    }

    fn slot(&self, name: &str, value: Option<&[u8]>, out: &mut Vec<u8>) {
        if let Some(value) = value {
            member(name, out);
            copy_compact(value, self.spaced, out);
        }
    }

    /// An object that is always there, with its one defaulted member in front when it was left out.
    fn with_default(&self, name: &str, value: Option<&[u8]>, default: Option<(&str, &str)>, out: &mut Vec<u8>) {
        let Some((key, word)) = default else {
            return self.slot(name, value, out);
        };
        member(name, out);
        out.push(b'{');
        plain(key, word.as_bytes(), out);
        self.rest_of_object(value, out);
    }

    /// The members of an object after others that were written already, and the closing brace.
    fn rest_of_object(&self, value: Option<&[u8]>, out: &mut Vec<u8>) {
        let value = value.unwrap_or(b"{}");
        let before = out.len();
        copy_compact(value.get(1..).unwrap_or(b"}"), self.spaced, out);
        let empty = out.get(before) == Some(&b'}');
        if !empty && before > 0 && out.get(before - 1) != Some(&b'{') {
            out.insert(before, b',');
        }
    }

    /// events.md: `subjects` defaults to the actor, then those on whose behalf it acted.
    fn subjects(&self, out: &mut Vec<u8>) {
        if self.slots.subjects.is_some() {
            return self.slot("subjects", self.slots.subjects.as_deref(), out);
        }
        let actor = self.actor_id.as_ref().map(|id| (self.actor_type, id));
        let others = self.delegates.iter().map(|(kind, id)| (*kind, id));
        let mut opened = false;
        for (kind, id) in actor.into_iter().chain(others) {
            if opened {
                out.push(b',');
            } else {
                member("subjects", out);
                out.push(b'[');
                opened = true;
            }
            let start = out.len();
            push_string(id, out);
            // The quote that was just written comes to stand before the type.
            let prefix = [b"\"", kind.as_bytes(), b":"].concat();
            out.splice(start..=start, prefix);
        }
        if opened {
            out.push(b']');
        }
    }

    fn ext(&self, out: &mut Vec<u8>) {
        let start = out.len();
        member("ext", out);
        out.push(b'{');
        let empty = out.len();
        self.marks.write(out);
        self.rest_of_object(self.slots.ext.as_deref(), out);
        if self.slots.ext.is_none() && out.len() == empty + 1 {
            out.truncate(start);
        }
    }

    fn original(&self, out: &mut Vec<u8>) {
        let Some(original) = self.original else { return };
        member("original", out);
        out.push(b'{');
        plain("format", original.format.as_bytes(), out);
        plain("media_type", original.media_type.as_bytes(), out);
        member("sha256", out);
        out.push(b'"');
        push_hex(&Sha256::digest(self.submitted), out);
        out.push(b'"');
        match std::str::from_utf8(self.submitted) {
            Ok(text) => string("raw", text, out),
            Err(_) => {
                plain("encoding", b"base64", out);
                plain("raw", STANDARD.encode(self.submitted).as_bytes(), out);
            }
        }
        out.push(b'}');
    }

    fn ingest(&self, out: &mut Vec<u8>) {
        let Some(ingest) = self.ingest else { return };
        member("ingest", out);
        out.push(b'{');
        let members = [
            ("protocol", ingest.protocol),
            ("peer", ingest.peer),
            ("principal", ingest.principal),
            ("source_key", ingest.source_key),
        ];
        for (name, value) in members {
            if let Some(value) = value {
                string(name, value, out);
            }
        }
        out.push(b'}');
    }
}
