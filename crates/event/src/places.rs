//! The envelope `audit.v1` as data: each field with its type, its limits and the place where it stands.
//!
//! Validation, tests and (later) sealing read this one table. It holds no code that looks at an event.

use crate::limits::{DELEGATES_MAX, EXT_BYTES_MAX, MESSAGE_BYTES_MAX};

/// Where a field stands, and who may read it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the leaf, for ever; never personal data. It stands in the body as well.
    Leaf,
    /// Readable in the body; never personal data.
    Clear,
    /// In the body only; under a privacy profile encrypted under its subject's key.
    Sealed,
    /// Never stored in the body: added by readers.
    Read,
    /// Its members have places of their own.
    Members,
    /// References to the keys of the people whose data is inside.
    Subjects,
}

/// Type and limits of a field. Plain numbers count characters, `Bytes` counts bytes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A string of `min` to `max` characters.
    Text {
        /// Least number of characters.
        min: usize,
        /// Greatest number of characters.
        max: usize,
    },
    /// A string of at most that many bytes of UTF-8.
    Bytes(usize),
    /// 1 to that many printable ASCII characters.
    Printable(usize),
    /// An absolute URI or URN of at most that many characters.
    Uri(usize),
    /// `[a-z0-9_.:/-]`, 1 to that many.
    Action(usize),
    /// `[a-z0-9-]{1,63}`, and equal to what endpoint and credential say.
    Name,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// RFC 3339, at most nine fraction digits.
    Time,
    /// `true` or `false`.
    Flag,
    /// Exactly that many hexadecimal digits.
    Hex(usize),
    /// A whole number from 0 to 2^53 - 1.
    Counter,
    /// An object with these members and no others.
    Object(&'static [Field]),
    /// At most `max` items.
    List {
        /// Greatest number of items.
        max: usize,
        /// Type of each item.
        item: &'static Kind,
    },
    /// A free object.
    Free(Free),
    /// Written by the server, refused from clients.
    Server,
}

/// Limits of a free object; `usize::MAX` where there is none.
#[derive(Clone, Copy, Debug)]
pub struct Free {
    /// Keys of the object itself.
    pub keys: usize,
    /// Characters of each key, at any depth.
    pub key: usize,
    /// Characters of each string, at any depth.
    pub value: usize,
    /// Bytes of the whole object.
    pub bytes: usize,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Member name.
    pub name: &'static str,
    /// Where it stands.
    pub place: Place,
    /// Type and limits.
    pub kind: Kind,
    /// A native event must have it.
    pub required: bool,
}

const fn row(name: &'static str, place: Place, kind: Kind) -> Field {
    Field { name, place, kind, required: false }
}

const fn must(name: &'static str, place: Place, kind: Kind) -> Field {
    Field { name, place, kind, required: true }
}

const fn text(max: usize) -> Kind {
    Kind::Text { min: 0, max }
}

const fn free(keys: usize) -> Kind {
    Kind::Free(Free { keys, key: usize::MAX, value: usize::MAX, bytes: usize::MAX })
}

/// Categories of an event.
pub const CATEGORIES: &[&str] = &["api", "auth", "iam", "data", "config", "log", "runbook", "finding"];
/// Kinds of actors.
pub const ACTOR_TYPES: &[&str] = &["user", "service", "api_key", "system", "anonymous", "runbook"];
/// Outcomes.
pub const OUTCOMES: &[&str] = &["success", "failure", "denied", "pending", "unknown"];
/// Severities, least first.
pub const SEVERITIES: &[&str] = &["info", "low", "medium", "high", "critical"];
/// Levels of `classification`.
pub const LEVELS: &[&str] = &["public", "internal", "confidential", "restricted"];
/// Regulations of `classification`.
pub const REGULATIONS: &[&str] = &["GDPR", "HIPAA", "PCI-DSS", "SOC-2", "SOX", "CCPA", "ISO-27001", "NIST-800-53"];
/// Data categories of `classification`.
pub const DATA_CATEGORIES: &[&str] = &["non-sensitive", "standard", "sensitive", "special-category", "pii", "phi"];

/// Members of `actor.on_behalf_of`, which may nest up to `DELEGATES_MAX` levels.
pub static DELEGATE: [Field; 5] = [
    row("type", Place::Clear, Kind::OneOf(ACTOR_TYPES)),
    row("id", Place::Sealed, Kind::Text { min: 1, max: 256 }),
    row("name", Place::Sealed, text(256)),
    row("ip", Place::Sealed, text(256)),
    row("on_behalf_of", Place::Sealed, Kind::Object(&DELEGATE)),
];
const _: () = assert!(DELEGATES_MAX == 4);

static AUTH: [Field; 4] = [
    row("method", Place::Clear, text(128)),
    row("mfa", Place::Clear, Kind::Flag),
    row("idp", Place::Clear, text(128)),
    row("credential_id", Place::Sealed, text(128)),
];

static ACTOR: [Field; 9] = [
    row("type", Place::Clear, Kind::OneOf(ACTOR_TYPES)),
    row("id", Place::Sealed, Kind::Text { min: 1, max: 256 }),
    row("name", Place::Sealed, text(256)),
    row("email", Place::Sealed, text(256)),
    row("ip", Place::Sealed, text(256)),
    row("session", Place::Sealed, text(256)),
    row("groups", Place::Sealed, Kind::List { max: 64, item: &Kind::Text { min: 0, max: 128 } }),
    row("on_behalf_of", Place::Sealed, Kind::Object(&DELEGATE)),
    row("auth", Place::Members, Kind::Object(&AUTH)),
];

static TARGET: [Field; 6] = [
    must("type", Place::Clear, text(128)),
    must("id", Place::Sealed, text(512)),
    row("name", Place::Sealed, text(512)),
    row("before", Place::Sealed, free(usize::MAX)),
    row("after", Place::Sealed, free(usize::MAX)),
    row("attributes", Place::Sealed, free(50)),
];

static OUTCOME: [Field; 4] = [
    row("status", Place::Leaf, Kind::OneOf(OUTCOMES)),
    row("code", Place::Clear, text(64)),
    row("reason", Place::Sealed, text(1024)),
    row("authorized", Place::Clear, Kind::Flag),
];

static CONTEXT: [Field; 13] = [
    row("ip", Place::Sealed, text(45)),
    row("user_agent", Place::Sealed, text(1024)),
    row("location", Place::Sealed, text(256)),
    row("host", Place::Clear, text(255)),
    row("app", Place::Clear, text(128)),
    row("app_version", Place::Clear, text(64)),
    row("environment", Place::Clear, text(64)),
    row("request_id", Place::Clear, text(128)),
    row("trace_id", Place::Clear, Kind::Hex(32)),
    row("span_id", Place::Clear, Kind::Hex(16)),
    row("correlation_id", Place::Clear, text(128)),
    row("causation_id", Place::Clear, text(128)),
    row("http", Place::Sealed, free(20)),
];

static CLASSIFICATION: [Field; 3] = [
    row("level", Place::Clear, Kind::OneOf(LEVELS)),
    row("regulation", Place::Clear, Kind::List { max: 16, item: &Kind::OneOf(REGULATIONS) }),
    row("category", Place::Clear, Kind::OneOf(DATA_CATEGORIES)),
];

static SEQ: [Field; 2] = [must("epoch", Place::Leaf, Kind::Printable(64)), must("n", Place::Leaf, Kind::Counter)];

/// The whole envelope, in the order in which members stand in a body.
pub static ENVELOPE: [Field; 24] = [
    row("id", Place::Clear, Kind::Printable(128)),
    row("source", Place::Leaf, Kind::Uri(256)),
    row("source_seq", Place::Members, Kind::Object(&SEQ)),
    row("tenant", Place::Read, Kind::Name),
    row("stream", Place::Read, Kind::Name),
    must("action", Place::Leaf, Kind::Action(128)),
    row("category", Place::Leaf, Kind::OneOf(CATEGORIES)),
    row("occurred_at", Place::Leaf, Kind::Time),
    row("observed_at", Place::Clear, Kind::Time),
    row("received_at", Place::Leaf, Kind::Server),
    row("actor", Place::Members, Kind::Object(&ACTOR)),
    row("targets", Place::Members, Kind::List { max: 64, item: &Kind::Object(&TARGET) }),
    row("outcome", Place::Members, Kind::Object(&OUTCOME)),
    row("context", Place::Members, Kind::Object(&CONTEXT)),
    row("severity", Place::Leaf, Kind::OneOf(SEVERITIES)),
    row("message", Place::Sealed, Kind::Bytes(MESSAGE_BYTES_MAX)),
    row("subjects", Place::Subjects, Kind::List { max: 16, item: &Kind::Text { min: 1, max: 512 } }),
    row("classification", Place::Clear, Kind::Object(&CLASSIFICATION)),
    row("schema", Place::Clear, Kind::Text { min: 1, max: 128 }),
    row("metadata", Place::Sealed, Kind::Free(Free { keys: 50, key: 40, value: 500, bytes: usize::MAX })),
    row(
        "ext",
        Place::Sealed,
        Kind::Free(Free { keys: usize::MAX, key: usize::MAX, value: usize::MAX, bytes: EXT_BYTES_MAX }),
    ),
    row("original", Place::Sealed, Kind::Server),
    row("ingest", Place::Clear, Kind::Server),
    row("seq", Place::Read, Kind::Server),
];

/// Number of a row of [`ENVELOPE`].
pub(crate) mod at {
    pub(crate) const ID: usize = 0;
    pub(crate) const SOURCE: usize = 1;
    pub(crate) const SOURCE_SEQ: usize = 2;
    pub(crate) const ACTION: usize = 5;
    pub(crate) const CATEGORY: usize = 6;
    pub(crate) const OCCURRED_AT: usize = 7;
    pub(crate) const OBSERVED_AT: usize = 8;
    pub(crate) const ACTOR: usize = 10;
    pub(crate) const OUTCOME: usize = 12;
    pub(crate) const SEVERITY: usize = 14;
    pub(crate) const EXT: usize = 20;
}

/// The word of a list that equals the text.
pub(crate) fn word(list: &'static [&'static str], text: &str) -> Option<&'static str> {
    list.iter().copied().find(|w| *w == text)
}
