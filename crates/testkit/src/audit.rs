//! Leaves and bodies in the form of docs/formats/entry.md, for tests of what reads stored bytes without the room that
//! writes them. No event is parsed here.

use std::sync::Arc;

use ledger::{Batch, Body, BodyDigest, STAMP_BYTES, Stamp, Tags};
use sha2::{Digest as _, Sha256};

use crate::entries::hex;
use crate::random::Rng;

const ULID_DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// One audit entry, ready for a batch.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// Leaf with an empty slot.
    pub leaf: Vec<u8>,
    /// Where the slot begins.
    pub stamp_at: u32,
    /// Body.
    pub body: Vec<u8>,
    /// Duplicate tags.
    pub tags: Tags,
}

/// Different bodies of tiny entries.
const TINY_BODIES: u64 = 8;

/// An entry that depends on its number alone. `body_bytes` is about how long the body is. With 0 it is tiny: digests
/// and names repeat, and little but the number is left of it once it is compressed.
pub fn entry(number: u64, body_bytes: usize) -> AuditEntry {
    let tiny = body_bytes == 0;
    let mut rng = Rng::new(number ^ 0x6175_6469_7400);
    let mut salt = [0; 16];
    if body_bytes > 64 {
        rng.fill(&mut salt);
    }
    let id = if tiny { number % TINY_BODIES } else { number };
    let mut body = format!("{{\"salt\":\"{}\",\"event\":{{\"id\":\"e-{id}\"", hex(&salt)).into_bytes();
    let mut part = 0;
    while body.len() + 80 < body_bytes {
        // What an event is made of: names that repeat, and values that do not.
        let value = rng.next_u64();
        let member = match part % 4 {
            0 => format!(",\"target_{part}\":{{\"type\":\"invoice\",\"id\":\"inv-{value:016x}\",\"state\":\"open\"}}"),
            1 => format!(",\"actor_{part}\":{{\"type\":\"user\",\"name\":\"person number {}\"}}", value % 1000),
            2 => format!(",\"reason_{part}\":\"the customer asked for a copy by mail and was sent one\""),
            _ => format!(",\"request_{part}\":\"{value:016x}\""),
        };
        body.extend_from_slice(member.as_bytes());
        part += 1;
    }
    body.extend_from_slice(b"}}");
    let mut leaf = format!(
        "{{\"v\":1,\"entry_id\":\"01JD{}\",\"source\":\"urn:example:billing\",\"action\":\"invoice.viewed\",\
         \"category\":\"data\",\"severity\":\"info\",\"outcome\":\"success\",\
         \"occurred_at\":\"2026-11-24T10:00:00.{:09}Z\",\
         \"received_at\":\"",
        ulid(number, !tiny),
        if tiny { 0 } else { number % 1_000_000_000 }
    );
    let stamp_at = u32::try_from(leaf.len()).unwrap_or(u32::MAX);
    leaf.push_str("0000-00-00T00:00:00.000000000Z");
    let actor = Sha256::digest((number % if tiny { 2 } else { 50 }).to_be_bytes());
    let digest = hex(&Sha256::digest(&body));
    let actor = hex(&actor[..16]);
    leaf.push_str(&format!(
        "\",\"actor_ref\":\"{actor}\",\"body_sha256\":\"{digest}\",\"body_bytes\":{}}}",
        body.len()
    ));
    let mut tags = Tags::default();
    Rng::new(number).fill(&mut tags.identity);
    tags.content.copy_from_slice(&Sha256::digest(&body)[..16]);
    AuditEntry { leaf: leaf.into_bytes(), stamp_at, body, tags }
}

/// `count` entries from `first` on in one batch.
pub fn batch(first: u64, count: u64, body_bytes: usize) -> Batch {
    let mut batch = Batch::default();
    for number in first..first + count {
        let made = entry(number, body_bytes);
        batch.push(&made.leaf, Some(made.stamp_at), Some(Body::new(&made.body)), made.tags, true);
    }
    batch
}

/// The digest that such a leaf names for its body: looks at its end alone.
pub fn body_digest() -> BodyDigest {
    Arc::new(|leaf: &[u8]| {
        let rest = leaf.strip_suffix(b"}")?;
        let digits = rest.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let rest = rest[..rest.len() - digits].strip_suffix(b"\",\"body_bytes\":")?;
        let (rest, digest) = rest.split_last_chunk::<64>()?;
        (digits > 0 && rest.ends_with(b",\"body_sha256\":\"")).then(|| unhex(digest))?
    })
}

/// The text for the slot, on one day: which day it was tells nothing here.
pub fn stamp() -> Stamp {
    Arc::new(|ns| {
        let (seconds, rest) = (ns / 1_000_000_000 % 86_400, ns % 1_000_000_000);
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        let text = format!("2026-11-24T{hours:02}:{minutes:02}:{:02}.{rest:09}Z", seconds % 60);
        let mut out = [b'0'; STAMP_BYTES];
        out.copy_from_slice(text.as_bytes());
        out
    })
}

/// 22 digits of a ULID: a number that rises, then what looks random, or zeros.
fn ulid(number: u64, random: bool) -> String {
    let mut digits = Vec::with_capacity(22);
    for shift in (0..8).rev() {
        digits.push(ULID_DIGITS[usize::try_from(number >> (5 * shift) & 31).unwrap_or(0)]);
    }
    let mut rng = Rng::new(number ^ 0x0075_6C69_6400);
    for _ in 0..14 {
        let digit = if random { rng.next_u64() & 31 } else { 0 };
        digits.push(ULID_DIGITS[usize::try_from(digit).unwrap_or(0)]);
    }
    String::from_utf8_lossy(&digits).into_owned()
}

fn unhex(text: &[u8; 64]) -> Option<[u8; 32]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(text.as_chunks::<2>().0) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_names_its_body() {
        for (number, bytes) in [(0, 0), (7, 300), (1 << 39, 700)] {
            let made = entry(number, bytes);
            assert!(made.body.len() + 120 > bytes && made.body.ends_with(b"}}"), "{}", made.body.len());
            assert_eq!(body_digest()(&made.leaf), Some(Sha256::digest(&made.body).into()));
            let slot = &made.leaf[made.stamp_at as usize..made.stamp_at as usize + STAMP_BYTES];
            assert_eq!(slot, b"0000-00-00T00:00:00.000000000Z");
            assert_eq!(&stamp()(crate::clock::NOON + 5), b"2026-11-24T12:00:00.000000005Z");
        }
        assert_eq!(body_digest()(b"posted by somebody"), None);
        assert_ne!(entry(1, 0).leaf[..60], entry(2, 0).leaf[..60]);
    }
}
