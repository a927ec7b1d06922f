//! The answers of the hot routes, written by hand into one buffer: no allocation per event.

use std::ops::Range;

use journal::{EntryView, EventResult};
use ledger::Kind;

use crate::problem::{Problem, text};

const HEX: &[u8; 16] = b"0123456789abcdef";

pub(crate) fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    for b in bytes {
        // Both indexes are below 16.
        out.push(HEX[usize::from(b >> 4)]);
        out.push(HEX[usize::from(b & 15)]);
    }
}

pub(crate) fn number(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// The proof of the entry of an index, where there is one.
pub(crate) type ProofOf<'a> = &'a dyn Fn(u64) -> Option<String>;

/// `{"results":[...]}`; `proof_of` where proofs were asked for.
pub(crate) fn results(all: &[EventResult], proof_of: Option<ProofOf<'_>>) -> Vec<u8> {
    some_results(all, 0..all.len(), proof_of)
}

/// The results of a range, with what stands before the first and behind the last of all.
pub(crate) fn some_results(all: &[EventResult], range: Range<usize>, proof_of: Option<ProofOf<'_>>) -> Vec<u8> {
    let some = all.get(range.clone()).unwrap_or_default();
    let mut out = Vec::with_capacity(16 + some.len() * 160);
    if range.start == 0 {
        out.extend_from_slice(b"{\"results\":[");
    }
    for (n, result) in some.iter().enumerate() {
        if range.start + n > 0 {
            out.push(b',');
        }
        match result {
            EventResult::Acknowledged { index, leaf_hash, entry_id, duplicate } => {
                out.extend_from_slice(b"{\"index\":");
                number(*index, &mut out);
                out.extend_from_slice(b",\"leaf_hash\":\"");
                hex(&leaf_hash.0, &mut out);
                // A ULID needs no escapes.
                out.extend_from_slice(b"\",\"entry_id\":\"");
                out.extend_from_slice(entry_id.as_bytes());
                out.extend_from_slice(if *duplicate { b"\",\"duplicate\":true" } else { b"\",\"duplicate\":false" });
                if let Some(proof_of) = proof_of {
                    out.extend_from_slice(b",\"proof\":");
                    match proof_of(*index) {
                        Some(proof) => text(&proof, &mut out),
                        None => out.extend_from_slice(b"null"),
                    }
                }
                out.push(b'}');
            }
            EventResult::Refused(refusal) => Problem::of_refusal(refusal).write(&mut out),
        }
    }
    if range.end >= all.len() {
        out.extend_from_slice(b"]}");
    }
    out
}

/// The entry JSON (docs/formats/entry.md). Strings are the stored bytes.
pub(crate) fn entry(view: &EntryView) -> Result<Vec<u8>, Problem> {
    let utf8 = |bytes| {
        std::str::from_utf8(bytes)
            .map_err(|_| Problem::new("corrupt", "a stored entry is not the text that it must be"))
    };
    let mut out = Vec::with_capacity(512 + view.leaf.len() + view.body.as_ref().map_or(0, Vec::len) * 5 / 4);
    out.extend_from_slice(b"{\"ledger\":");
    text(&view.ledger, &mut out);
    out.extend_from_slice(b",\"origin\":");
    text(&view.origin, &mut out);
    out.extend_from_slice(b",\"index\":");
    number(view.index, &mut out);
    out.extend_from_slice(b",\"tree_size\":");
    number(view.tree_size, &mut out);
    if view.kind == Kind::Raw {
        use base64::Engine;
        out.extend_from_slice(b",\"leaf_base64\":\"");
        out.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(&view.leaf).as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(b",\"leaf\":");
        text(utf8(&view.leaf)?, &mut out);
    }
    out.extend_from_slice(b",\"leaf_hash\":\"");
    hex(&view.leaf_hash.0, &mut out);
    out.push(b'"');
    if view.kind != Kind::Raw {
        out.extend_from_slice(b",\"body\":");
        match &view.body {
            Some(body) => text(utf8(body)?, &mut out),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"body_sha256\":");
        match &view.body_sha256 {
            Some(digest) => {
                out.push(b'"');
                hex(digest, &mut out);
                out.push(b'"');
            }
            None => out.extend_from_slice(b"null"),
        }
    }
    out.extend_from_slice(b",\"state\":\"");
    out.extend_from_slice(view.state.name().as_bytes());
    out.extend_from_slice(b"\"}");
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_hex() {
        for value in [0, 9, 10, 12_345, u64::MAX] {
            let mut out = Vec::new();
            number(value, &mut out);
            assert_eq!(out, value.to_string().into_bytes());
        }
        let mut out = Vec::new();
        hex(&[0, 0xab, 0xff], &mut out);
        assert_eq!(out, b"00abff");
    }
}
