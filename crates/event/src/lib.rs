//! The audit event: parse, validate, normalise, field places, mappers per source kind.
//!
//! Pure: no IO, no clock, no randomness; what it needs of them stands in [`Context`]. It knows no ledger, no key and no
//! proof; whether a source may be used by a credential is decided by its caller.
//!
//! ```
//! use event::{Context, Format, prepare};
//! let make_id = || "01JD0000000000000000000000".to_owned();
//! let ctx = Context {
//!     default_source: "urn:example:app",
//!     tenant: "default",
//!     ledger: "main",
//!     arrival: 1_795_487_382_000_000_000,
//!     place: None,
//!     make_id: &make_id,
//!     ingest: None,
//! };
//! let event = prepare(Format::Native, br#"{"action":"invoice.viewed"}"#, &ctx).unwrap();
//! let mut body = Vec::new();
//! event.write_body("AAAAAAAAAAAAAAAAAAAAAA==", &mut body);
//! assert!(body.starts_with(br#"{"salt":"AAAAAAAAAAAAAAAAAAAAAA==","event":{"id":"#));
//! ```
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod jcs;
pub mod leaf;
pub mod limits;
pub mod map;
pub mod native;
pub mod own;
pub mod places;
mod prepared;
pub mod seal;
mod split;
mod tape;
mod text;
mod time;

pub use jcs::canonical;
pub use leaf::{LeafView, body_digest, parse_leaf};
pub use prepared::{IdMade, Prepared};
pub use split::{framing, line_of, offset_of, split};
pub use text::terminal_safe;
pub use time::{Stamp, nanoseconds, stamp};

/// What the bytes of a message are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// The envelope `audit.v1`.
    Native,
    /// AWS CloudTrail records.
    CloudTrail,
    /// OpenBao and Vault audit lines.
    OpenBao,
    /// Syslog lines, RFC 5424, RFC 3164 and what calls itself so.
    Syslog,
    /// Any lines.
    Text,
}

impl std::str::FromStr for Format {
    type Err = Rejected;

    fn from_str(name: &str) -> Result<Self, Rejected> {
        Ok(match name {
            "native" => Self::Native,
            "cloudtrail" => Self::CloudTrail,
            "openbao" => Self::OpenBao,
            "syslog" => Self::Syslog,
            "text" => Self::Text,
            _ => {
                let expected = "a format: native, cloudtrail, openbao, syslog or text";
                return Err(Rejected::at("format_unknown", "format", None, expected));
            }
        })
    }
}

/// How the messages of a body follow one another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// By the first bytes of the body.
    Auto,
    /// A JSON value a line.
    Ndjson,
    /// A JSON array.
    Array,
    /// One JSON object.
    Object,
    /// Physical lines.
    Lines,
}

/// Why a message was refused. It names the field and what was expected, never a value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{code}: {} expected {expected}", if field.is_empty() { "the event" } else { field })]
pub struct Rejected {
    /// Kind of the refusal, for machines. `tenant_other` and `stream_other` are answered 403, all others 400.
    pub code: &'static str,
    /// JSON pointer of the field; empty for the whole.
    pub field: String,
    /// Line within the message, from 1.
    pub line: Option<u64>,
    /// What was expected.
    pub expected: String,
}

impl Rejected {
    pub(crate) fn at(code: &'static str, field: &str, line: Option<u64>, expected: &str) -> Self {
        Self { code, field: field.to_owned(), line, expected: expected.to_owned() }
    }

    pub(crate) fn of(raw: &[u8], fault: tape::Fault) -> Self {
        let line = Some(line_at(raw, fault.at));
        Self { code: fault.code, field: fault.pointer, line, expected: fault.expected.to_owned() }
    }
}

/// The place of a record in the file it was read from.
#[derive(Clone, Copy, Debug)]
pub struct FilePlace<'a> {
    /// 16 hexadecimal digits: SHA-256 of the file's first line.
    pub digest: &'a str,
    /// Byte offset of this record in the uncompressed file.
    pub offset: u64,
}

/// What the server says about how an event came in.
#[derive(Clone, Copy, Debug)]
pub struct Ingest<'a> {
    /// Protocol, such as `http`.
    pub protocol: Option<&'a str>,
    /// Address of the peer (a sealed place).
    pub peer: Option<&'a str>,
    /// Principal id of the credential.
    pub principal: Option<&'a str>,
    /// Name of the key a source signed with.
    pub source_key: Option<&'a str>,
}

/// What a message alone does not say.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Source of the credential, for events that name none.
    pub default_source: &'a str,
    /// Tenant of endpoint and credential.
    pub tenant: &'a str,
    /// Ledger of the endpoint.
    pub ledger: &'a str,
    /// Time of arrival, nanoseconds since 1970.
    pub arrival: u64,
    /// Where this very record stood in a file.
    pub place: Option<FilePlace<'a>>,
    /// Makes an id (a ULID) for an event without one.
    pub make_id: &'a dyn Fn() -> String,
    /// What goes to `ingest`; nothing is written when there is nothing.
    pub ingest: Option<Ingest<'a>>,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

/// Parses, checks and normalises one message.
///
/// Native events are refused where they break the envelope; what a source really wrote is never refused, but cut and
/// marked. JSON formats refuse what is no JSON object at all.
pub fn prepare<'a>(format: Format, raw: &'a [u8], ctx: &Context<'a>) -> Result<Prepared<'a>, Rejected> {
    match format {
        Format::Native => native::native(raw, ctx),
        Format::CloudTrail => map::cloudtrail::cloudtrail(raw, ctx),
        Format::OpenBao => map::openbao::openbao(raw, ctx),
        Format::Syslog => map::syslog::syslog(raw, ctx),
        Format::Text => map::text::text(raw, ctx),
    }
}

/// Whether the bytes are one JSON value as this room accepts it from native clients: RFC 8259, no member name twice, no
/// lone surrogates, no number beyond a double, no byte order mark; at most 65 levels, so that a body passes too.
///
/// Errors: [`Rejected`] with the place.
pub fn strict_json(raw: &[u8]) -> Result<(), Rejected> {
    if raw.len() > u32::MAX as usize / 2 {
        return Err(Rejected::at("event_size", "", None, "less than 2 GiB of JSON"));
    }
    tape::parse_to(raw, tape::Mode::Strict, limits::DEPTH_MAX + 1).map(|_| ()).map_err(|fault| Rejected::of(raw, fault))
}

/// Line, from 1, of a byte.
pub(crate) fn line_at(raw: &[u8], at: usize) -> u64 {
    let before = raw.get(..at.min(raw.len())).unwrap_or_default();
    1 + before.iter().filter(|b| **b == b'\n').count() as u64
}
