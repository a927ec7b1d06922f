//! The leaf: the small header that stays for ever. Written, read back strictly, and asked for the body's digest.
//!
//! Format: docs/formats/entry.md. It holds no personal data: nothing of a body is copied but the header fields.

use std::borrow::Cow;

use crate::native::{is_action, is_printable, is_uri};
use crate::places::{CATEGORIES, OUTCOMES, SEVERITIES, word};
use crate::prepared::Prepared;
use crate::text::{push_hex, push_number, push_string};
use crate::{limits, time};

/// What stands where `received_at` will be stamped.
pub const EMPTY_STAMP: &time::Stamp = b"0000-00-00T00:00:00.000000000Z";

const TAIL_SHA: &[u8] = b",\"body_sha256\":\"";
const TAIL_BYTES: &[u8] = b"\",\"body_bytes\":";

impl Prepared<'_> {
    /// Appends the leaf; returns the offset of the 30 bytes of `received_at` within it.
    ///
    /// `entry_id` is a ULID, `actor_ref` 32 hexadecimal digits; both are written as they are.
    pub fn write_leaf(
        &self,
        entry_id: &str,
        actor_ref: Option<&str>,
        body_sha256: &[u8; 32],
        body_bytes: u32,
        out: &mut Vec<u8>,
    ) -> u32 {
        let start = out.len();
        out.reserve(512);
        let field = |name: &[u8], value: &[u8], out: &mut Vec<u8>| {
            out.extend_from_slice(name);
            out.extend_from_slice(value);
            out.push(b'"');
        };
        field(b"{\"v\":1,\"entry_id\":\"", entry_id.as_bytes(), out);
        out.extend_from_slice(b",\"source\":");
        push_string(self.source(), out);
        if let Some((epoch, n)) = self.source_seq() {
            out.extend_from_slice(b",\"source_epoch\":");
            push_string(epoch, out);
            out.extend_from_slice(b",\"source_seq\":");
            push_number(n, out);
        }
        field(b",\"action\":\"", self.action().as_bytes(), out);
        field(b",\"category\":\"", self.category.as_bytes(), out);
        field(b",\"severity\":\"", self.severity.as_bytes(), out);
        field(b",\"outcome\":\"", self.outcome.as_bytes(), out);
        field(b",\"occurred_at\":\"", &self.occurred, out);
        out.extend_from_slice(b",\"received_at\":\"");
        let slot = out.len() - start;
        field(b"", EMPTY_STAMP, out);
        if let Some(actor_ref) = actor_ref {
            field(b",\"actor_ref\":\"", actor_ref.as_bytes(), out);
        }
        out.extend_from_slice(TAIL_SHA);
        push_hex(body_sha256, out);
        out.extend_from_slice(TAIL_BYTES);
        push_number(u64::from(body_bytes), out);
        out.push(b'}');
        // A leaf is a header of about 400 bytes.
        u32::try_from(slot).unwrap_or(u32::MAX)
    }
}

/// Digest of the body that a leaf names; `None` when the bytes do not end as a leaf does.
///
/// Looks at the end alone, so that it costs next to nothing; [`parse_leaf`] judges the whole.
pub fn body_digest(leaf: &[u8]) -> Option<[u8; 32]> {
    let rest = leaf.strip_suffix(b"}")?;
    let digits = rest.iter().rev().take(11).take_while(|b| b.is_ascii_digit()).count();
    if !(1..=10).contains(&digits) {
        return None;
    }
    let rest = rest.get(..rest.len() - digits)?.strip_suffix(TAIL_BYTES)?;
    let (rest, hex) = rest.split_last_chunk::<64>()?;
    if !rest.ends_with(TAIL_SHA) {
        return None;
    }
    unhex(hex)
}

fn unhex(hex: &[u8; 64]) -> Option<[u8; 32]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => b - b'0',
        b'a'..=b'f' => b - b'a' + 10,
        _ => 0xFF,
    };
    let mut out = [0; 32];
    let mut bad = 0;
    for (slot, pair) in out.iter_mut().zip(hex.as_chunks::<2>().0) {
        let [high, low] = *pair;
        let (high, low) = (digit(high), digit(low));
        bad |= (high | low) & 0xF0;
        *slot = high << 4 | low & 15;
    }
    (bad == 0).then_some(out)
}

/// All members of a stored leaf.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeafView<'a> {
    /// ULID that the server gave.
    pub entry_id: &'a str,
    /// Who emitted the event.
    pub source: &'a str,
    /// Epoch of the source's own counter; there together with `source_seq`.
    pub source_epoch: Option<Cow<'a, str>>,
    /// The source's own counter.
    pub source_seq: Option<u64>,
    /// What was done.
    pub action: &'a str,
    /// Category.
    pub category: &'static str,
    /// Severity.
    pub severity: &'static str,
    /// Status of the outcome.
    pub outcome: &'static str,
    /// When it happened, by the source's clock.
    pub occurred_at: &'a str,
    /// When its block was committed.
    pub received_at: &'a str,
    /// Pseudonym of the actor, 32 hexadecimal digits.
    pub actor_ref: Option<&'a str>,
    /// SHA-256 of the stored body.
    pub body_sha256: [u8; 32],
    /// Bytes of the stored body.
    pub body_bytes: u32,
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn tag(&mut self, tag: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(tag)?;
        Some(())
    }

    /// Up to the next quote; the values read so have no escapes.
    fn plain(&mut self, tag: &str) -> Option<&'a str> {
        self.tag(tag)?;
        let (value, rest) = self.rest.split_once('"')?;
        self.rest = rest;
        (!value.contains('\\')).then_some(value)
    }

    fn number(&mut self, tag: &str) -> Option<u64> {
        self.tag(tag)?;
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (value, rest) = self.rest.split_at_checked(digits)?;
        self.rest = rest;
        let canonical = value == "0" || !value.starts_with('0');
        canonical.then(|| value.parse().ok()).flatten()
    }

    fn time(&mut self, tag: &str) -> Option<&'a str> {
        let text = self.plain(tag)?;
        let utc = text.len() == 30 && text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T');
        (utc && time::parse(text.as_bytes()).is_some()).then_some(text)
    }

    fn epoch(&mut self) -> Option<Cow<'a, str>> {
        self.tag(",\"source_epoch\":")?;
        let length = crate::text::string_length(self.rest.as_bytes());
        let (value, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        let inner = value.strip_prefix('"')?.strip_suffix('"')?;
        let text = crate::text::decode(inner.as_bytes());
        let mut again = Vec::with_capacity(value.len());
        push_string(&text, &mut again);
        (again == value.as_bytes() && is_printable(&text, 64)).then_some(text)
    }
}

fn hex_digits(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_ulid(text: &str) -> bool {
    let crockford = |b| matches!(b, b'0'..=b'9' | b'A'..=b'H' | b'J' | b'K' | b'M' | b'N' | b'P'..=b'T' | b'V'..=b'Z');
    text.len() == 26 && text.bytes().all(crockford)
}

/// Reads a stored leaf strictly: every member in its place and form, nothing else. `None` for anything else.
pub fn parse_leaf(leaf: &[u8]) -> Option<LeafView<'_>> {
    if leaf.len() > limits::LEAF_BYTES_MAX {
        return None;
    }
    let mut r = Reader { rest: std::str::from_utf8(leaf).ok()? };
    let entry_id = r.plain("{\"v\":1,\"entry_id\":\"").filter(|t| is_ulid(t))?;
    let source = r.plain(",\"source\":\"").filter(|t| is_uri(t, 256))?;
    let (mut source_epoch, mut source_seq) = (None, None);
    if r.rest.starts_with(",\"source_epoch\":") {
        source_epoch = Some(r.epoch()?);
        source_seq = Some(r.number(",\"source_seq\":").filter(|n| *n <= limits::SAFE_INTEGER_MAX)?);
    }
    let action = r.plain(",\"action\":\"").filter(|t| is_action(t, 128))?;
    let category = r.plain(",\"category\":\"").and_then(|t| word(CATEGORIES, t))?;
    let severity = r.plain(",\"severity\":\"").and_then(|t| word(SEVERITIES, t))?;
    let outcome = r.plain(",\"outcome\":\"").and_then(|t| word(OUTCOMES, t))?;
    let occurred_at = r.time(",\"occurred_at\":\"")?;
    let received_at = r.time(",\"received_at\":\"")?;
    let mut actor_ref = None;
    if r.rest.starts_with(",\"actor_ref\":\"") {
        actor_ref = Some(r.plain(",\"actor_ref\":\"").filter(|t| hex_digits(t, 32))?);
    }
    let sha = r.plain(",\"body_sha256\":\"")?;
    let body_sha256 = unhex(sha.as_bytes().first_chunk::<64>().filter(|_| sha.len() == 64)?)?;
    let body_bytes = u32::try_from(r.number(",\"body_bytes\":")?).ok()?;
    (r.rest == "}").then_some(LeafView {
        entry_id,
        source,
        source_epoch,
        source_seq,
        action,
        category,
        severity,
        outcome,
        occurred_at,
        received_at,
        actor_ref,
        body_sha256,
        body_bytes,
    })
}
