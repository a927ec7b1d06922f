//! JCS, the canonical form of JSON (RFC 8785): one spelling for each value, so that two parties hash the same bytes.
//!
//! It works on the strict pass of this room: what that refuses has no canonical form here. Numbers are doubles: whole
//! numbers beyond 2^53 and digits beyond a double's come out rounded, as the RFC has it.

use std::borrow::Cow;

use crate::tape::{Mode, Sort, Tape, parse_to};
use crate::text::push_escaped;
use crate::{Rejected, limits};

/// The canonical form of one JSON value, which may have white space around it.
///
/// Errors: as [`crate::strict_json`].
///
/// ```
/// assert_eq!(event::canonical(br#"{"b":1.0, "a":"\u0041"}"#).unwrap(), br#"{"a":"A","b":1}"#);
/// ```
pub fn canonical(json: &[u8]) -> Result<Vec<u8>, Rejected> {
    let tape = strict(json)?;
    let mut out = Vec::with_capacity(json.len());
    push(&tape, 0, &mut out);
    Ok(out)
}

/// The strict pass over a value with the nesting of a body.
pub(crate) fn strict(json: &[u8]) -> Result<Tape<'_>, Rejected> {
    if json.len() > u32::MAX as usize / 2 {
        return Err(Rejected::at("event_size", "", None, "less than 2 GiB of JSON"));
    }
    parse_to(json, Mode::Strict, limits::DEPTH_MAX + 1).map_err(|fault| Rejected::of(json, fault))
}

/// Appends the canonical form of a node of a strict tape. Recurses as deep as the tape's limit let it nest.
pub(crate) fn push(tape: &Tape<'_>, number: u32, out: &mut Vec<u8>) {
    let Some(node) = tape.node(number) else { return };
    match node.sort {
        Sort::Null | Sort::Bool => out.extend_from_slice(tape.bytes(node)),
        Sort::Number => push_number(tape.bytes(node), out),
        Sort::Text => push_text(&tape.decode(node), out),
        Sort::List => {
            out.push(b'[');
            for (n, (_, item)) in tape.items(number).enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                push(tape, item, out);
            }
            out.push(b']');
        }
        Sort::Object => {
            let mut members: Vec<(Cow<'_, str>, u32)> =
                tape.members(number).map(|(key, value)| (tape.decode(key), value)).collect();
            members.sort_by(|(a, _), (b, _)| by_units(a, b));
            out.push(b'{');
            for (n, (name, value)) in members.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                push_text(name, out);
                out.push(b':');
                push(tape, *value, out);
            }
            out.push(b'}');
        }
    }
}

/// The order of member names: by UTF-16 code units (RFC 8785, section 3.2.3).
pub(crate) fn by_units(a: &str, b: &str) -> std::cmp::Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

/// Appends a string with the escapes of JCS and no others.
pub(crate) fn push_text(text: &str, out: &mut Vec<u8>) {
    push_escaped(text, out, |byte| match byte {
        0x08 => Some(b'b'),
        0x0C => Some(b'f'),
        _ => None,
    });
}

/// Appends a number as ECMAScript writes the double (RFC 8785, section 3.2.2.3).
fn push_number(written: &[u8], out: &mut Vec<u8>) {
    // Whole numbers that every double holds are written the same in both.
    if written.len() <= 15 && written.iter().all(u8::is_ascii_digit) {
        return out.extend_from_slice(written);
    }
    let value = std::str::from_utf8(written).ok().and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    if value == 0.0 {
        return out.push(b'0');
    }
    if value < 0.0 {
        out.push(b'-');
    }
    // The shortest digits that read back as this double, and the place of the point behind the first.
    let mut shown = format!("{:e}", value.abs());
    // Of two shortest ones that are equally near the even one is taken; the line above takes the upper one.
    let even = format!("{:.*e}", shown.bytes().take_while(|b| *b != b'e').count().saturating_sub(2), value.abs());
    if even.parse() == Ok(value.abs()) {
        shown = even;
    }
    let (mantissa, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
    let digits: Vec<u8> = mantissa.bytes().filter(|b| *b != b'.').collect();
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let zeros = |n: i32| std::iter::repeat_n(b'0', usize::try_from(n).unwrap_or(0));
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    if (count..=21).contains(&point) {
        out.extend_from_slice(&digits);
        out.extend(zeros(point - count));
    } else if (1..=21).contains(&point) {
        let (whole, part) = digits.split_at_checked(usize::try_from(point).unwrap_or(0)).unwrap_or((&digits, &[]));
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(part);
    } else if (-5..=0).contains(&point) {
        out.extend_from_slice(b"0.");
        out.extend(zeros(-point));
        out.extend_from_slice(&digits);
    } else {
        let (first, rest) = digits.split_at_checked(1).unwrap_or((&digits, &[]));
        out.extend_from_slice(first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        out.extend_from_slice(if point > 0 { b"e+" } else { b"e-" });
        out.extend_from_slice((point - 1).unsigned_abs().to_string().as_bytes());
    }
}
