//! Builder of Proofbook's own events: what the server says about itself, by source `urn:proofbook:server`.
//!
//! People appear by their random principal ids; a display name goes to `actor.name`, a sealed place. The builder gives
//! the bytes of a native event, which pass through the same door as all others.

use serde::Serialize;

use crate::Rejected;
use crate::text::push_string;

/// The source of the server's own events.
pub const SOURCE: &str = "urn:proofbook:server";

/// An own event under construction.
///
/// ```
/// let bytes = event::own::Own::new("token.created").category("iam").actor("user", "p-1", Some("Ada")).build();
/// assert!(bytes.is_ok());
/// ```
#[derive(Default, Debug, Clone)]
pub struct Own {
    id: Option<String>,
    action: String,
    category: Option<&'static str>,
    severity: Option<&'static str>,
    occurred: Option<String>,
    actor: Option<(&'static str, String, Option<String>)>,
    actor_ip: Option<String>,
    targets: Vec<(String, String, Option<String>)>,
    outcome: Option<(&'static str, Option<String>, Option<String>)>,
    correlation: Option<String>,
    causation: Option<String>,
    message: Option<String>,
    ext: Vec<(&'static str, String)>,
    broken: Option<&'static str>,
}

impl Own {
    /// An own event with that action.
    pub fn new(action: &str) -> Self {
        Self { action: action.to_owned(), ..Self::default() }
    }

    /// Its id; left out, the server makes one.
    pub fn id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// Its category.
    pub fn category(mut self, category: &'static str) -> Self {
        self.category = Some(category);
        self
    }

    /// Its severity.
    pub fn severity(mut self, severity: &'static str) -> Self {
        self.severity = Some(severity);
        self
    }

    /// When it happened, in nanoseconds since 1970.
    pub fn occurred(mut self, ns: u64) -> Self {
        self.occurred = Some(crate::text::lossy(&crate::stamp(ns)).into_owned());
        self
    }

    /// Who did it: a principal id and, for people, a display name.
    pub fn actor(mut self, kind: &'static str, principal: &str, name: Option<&str>) -> Self {
        self.actor = Some((kind, principal.to_owned(), name.map(str::to_owned)));
        self
    }

    /// The address the actor came from (a sealed place).
    pub fn ip(mut self, ip: &str) -> Self {
        self.actor_ip = Some(ip.to_owned());
        self
    }

    /// What was acted on; the first one is the main one.
    pub fn target(mut self, kind: &str, id: &str, name: Option<&str>) -> Self {
        self.targets.push((kind.to_owned(), id.to_owned(), name.map(str::to_owned)));
        self
    }

    /// How it ended.
    pub fn outcome(mut self, status: &'static str, code: Option<&str>, reason: Option<&str>) -> Self {
        self.outcome = Some((status, code.map(str::to_owned), reason.map(str::to_owned)));
        self
    }

    /// The flow it belongs to.
    pub fn correlation(mut self, id: &str) -> Self {
        self.correlation = Some(id.to_owned());
        self
    }

    /// What caused it.
    pub fn causation(mut self, id: &str) -> Self {
        self.causation = Some(id.to_owned());
        self
    }

    /// A sentence for people (a sealed place).
    pub fn message(mut self, message: &str) -> Self {
        self.message = Some(message.to_owned());
        self
    }

    /// A payload under `ext`, for folds to read.
    pub fn ext<T: Serialize + ?Sized>(mut self, name: &'static str, value: &T) -> Self {
        match serde_json::to_string(value) {
            Ok(json) => self.ext.push((name, json)),
            Err(_) => self.broken = Some(name),
        }
        self
    }

    /// The bytes of the event, as `prepare` takes them.
    ///
    /// Errors: a payload that cannot be written as JSON, by its name.
    pub fn build(&self) -> Result<Vec<u8>, Rejected> {
        if let Some(name) = self.broken {
            return Err(Rejected::at("field_type", &format!("/ext/{name}"), None, "a value that JSON can hold"));
        }
        let mut out = Vec::with_capacity(512);
        out.push(b'{');
        text("id", self.id.as_deref(), &mut out);
        text("source", Some(SOURCE), &mut out);
        text("action", Some(&self.action), &mut out);
        text("category", self.category, &mut out);
        text("occurred_at", self.occurred.as_deref(), &mut out);
        self.write_people(&mut out);
        if let Some((status, code, reason)) = &self.outcome {
            open("outcome", b'{', &mut out);
            text("status", Some(*status), &mut out);
            text("code", code.as_deref(), &mut out);
            text("reason", reason.as_deref(), &mut out);
            out.push(b'}');
        }
        if self.correlation.is_some() || self.causation.is_some() {
            open("context", b'{', &mut out);
            text("correlation_id", self.correlation.as_deref(), &mut out);
            text("causation_id", self.causation.as_deref(), &mut out);
            out.push(b'}');
        }
        text("severity", self.severity, &mut out);
        text("message", self.message.as_deref(), &mut out);
        if !self.ext.is_empty() {
            open("ext", b'{', &mut out);
            for (name, json) in &self.ext {
                key(name, &mut out);
                out.extend_from_slice(json.as_bytes());
            }
            out.push(b'}');
        }
        out.push(b'}');
        Ok(out)
    }

    fn write_people(&self, out: &mut Vec<u8>) {
        if let Some((kind, id, name)) = &self.actor {
            open("actor", b'{', out);
            text("type", Some(kind), out);
            text("id", Some(id), out);
            text("name", name.as_deref(), out);
            text("ip", self.actor_ip.as_deref(), out);
            out.push(b'}');
        }
        if !self.targets.is_empty() {
            open("targets", b'[', out);
            for (number, (kind, id, name)) in self.targets.iter().enumerate() {
                out.extend_from_slice(if number == 0 { b"{" } else { b",{" });
                text("type", Some(kind), out);
                text("id", Some(id), out);
                text("name", name.as_deref(), out);
                out.push(b'}');
            }
            out.push(b']');
        }
    }
}

fn key(name: &str, out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'{')) {
        out.push(b',');
    }
    push_string(name, out);
    out.push(b':');
}

fn open(name: &str, bracket: u8, out: &mut Vec<u8>) {
    key(name, out);
    out.push(bracket);
}

fn text(name: &str, value: Option<&str>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        key(name, out);
        push_string(value, out);
    }
}
