//! Messages of one request: finds where each begins and ends. It judges no message; `prepare` does.

use crate::limits::{DEPTH_MAX, EVENTS_PER_REQUEST_MAX};
use crate::text::{line_feed, string_length};
use crate::{Format, Framing, Rejected, line_at};

/// How a body is really framed: `Auto` is settled by its first bytes, lines are all that some formats have.
pub fn framing(format: Format, framing: Framing, body: &[u8]) -> Framing {
    if matches!(format, Format::Syslog | Format::Text) {
        return Framing::Lines;
    }
    if framing != Framing::Auto {
        return framing;
    }
    let body = skip_mark(body);
    let start = body.iter().take_while(|b| is_space(**b)).count();
    match body.get(start) {
        Some(b'[') => Framing::Array,
        Some(b'{') => {
            let rest = body.get(start..).unwrap_or_default();
            match value_length(rest) {
                Some(length) if rest.get(length..).unwrap_or_default().iter().all(|b| is_space(*b)) => Framing::Object,
                // An object that never ends may be a broken first line of many.
                None if !body.contains(&b'\n') => Framing::Object,
                _ => Framing::Ndjson,
            }
        }
        _ => Framing::Ndjson,
    }
}

/// The messages of a body, in order, each a part of it.
///
/// JSON messages come without white space around them; lines of text come whole, without their line feed. Blank lines
/// between JSON messages are no messages; a line of text is one, whatever it holds.
///
/// Errors: `batch_size` above 10,000 messages; `json_invalid` where an array has no end.
pub fn split(format: Format, content: Framing, body: &[u8]) -> Result<Vec<&[u8]>, Rejected> {
    let settled = framing(format, content, body);
    let marked = if format == Format::Native { body } else { skip_mark(body) };
    let parts = match settled {
        Framing::Array => array(trim(marked), body)?,
        Framing::Object | Framing::Auto => match format {
            Format::CloudTrail => match records(trim(marked)) {
                Some(list) => array(list, body)?,
                None => vec![trim(marked)],
            },
            _ => vec![trim(marked)],
        },
        Framing::Ndjson => lines(marked)?.into_iter().map(trim).filter(|line| !line.is_empty()).collect(),
        Framing::Lines if matches!(format, Format::Syslog | Format::Text) => lines(body)?,
        Framing::Lines => lines(marked)?.into_iter().map(trim).filter(|line| !line.is_empty()).collect(),
    };
    if parts.len() > EVENTS_PER_REQUEST_MAX { Err(too_many()) } else { Ok(parts) }
}

/// Where a part that [`split`] gave lies in the body: its byte offset.
pub fn offset_of(body: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).saturating_sub(body.as_ptr() as usize).min(body.len())
}

/// Line of the body, from 1, at which a part begins.
pub fn line_of(body: &[u8], part: &[u8]) -> u64 {
    line_at(body, offset_of(body, part))
}

fn too_many() -> Rejected {
    Rejected::at("batch_size", "", None, "at most 10,000 events in one request")
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

fn skip_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)
}

fn trim(mut part: &[u8]) -> &[u8] {
    while let Some((first, rest)) = part.split_first().filter(|(b, _)| is_space(**b)) {
        let _ = first;
        part = rest;
    }
    while let Some((last, rest)) = part.split_last().filter(|(b, _)| is_space(**b)) {
        let _ = last;
        part = rest;
    }
    part
}

/// Physical lines without their line feed; a last one without a line feed is a line too.
fn lines(body: &[u8]) -> Result<Vec<&[u8]>, Rejected> {
    let body = body.strip_suffix(b"\n").unwrap_or(body);
    if body.is_empty() {
        return Ok(Vec::new());
    }
    // Blank lines of JSON bodies are no events, but nobody sends twice as many of them as of events.
    let (mut parts, mut rest) = (Vec::new(), body);
    loop {
        if parts.len() == 2 * EVENTS_PER_REQUEST_MAX {
            return Err(too_many());
        }
        let Some((line, after)) = line_feed(rest).and_then(|at| rest.split_at_checked(at)) else {
            parts.push(rest);
            return Ok(parts);
        };
        parts.push(line);
        rest = after.strip_prefix(b"\n").unwrap_or(after);
    }
}

/// Bytes of the JSON value at the start, by brackets and strings alone.
fn value_length(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'"' => {
                at += string_length(bytes.get(at..)?);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Elements of the array at the start of `list`; nothing may follow it.
fn array<'a>(list: &'a [u8], body: &[u8]) -> Result<Vec<&'a [u8]>, Rejected> {
    let fail = |at: usize, expected: &str| {
        let line = line_at(body, offset_of(body, list) + at);
        Err(Rejected::at("json_invalid", "", Some(line), expected))
    };
    if list.first() != Some(&b'[') {
        return fail(0, "an array of events");
    }
    let mut parts = Vec::new();
    let (mut at, mut depth, mut start) = (1, 0_usize, 1);
    while let Some(byte) = list.get(at) {
        match byte {
            b'"' => {
                at += string_length(list.get(at..).unwrap_or_default());
                continue;
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > DEPTH_MAX + 1 {
                    return Err(Rejected::at(
                        "json_depth",
                        "",
                        Some(line_at(body, at)),
                        "at most 64 levels of nesting",
                    ));
                }
            }
            b',' | b']' if depth == 0 => {
                let part = trim(list.get(start..at).unwrap_or_default());
                let end = *byte == b']';
                if !(part.is_empty() && end && parts.is_empty()) {
                    if part.is_empty() {
                        return fail(at, "an event between the commas");
                    }
                    parts.push(part);
                }
                if parts.len() > EVENTS_PER_REQUEST_MAX {
                    return Err(too_many());
                }
                if end {
                    let rest = trim(list.get(at + 1..).unwrap_or_default());
                    return if rest.is_empty() { Ok(parts) } else { fail(at + 1, "nothing after the array") };
                }
                start = at + 1;
            }
            b'}' | b']' => {
                if depth == 0 {
                    return fail(at, "an event");
                }
                depth -= 1;
            }
            _ => {}
        }
        at += 1;
    }
    fail(list.len(), "the end of the array")
}

/// The list of `{"Records":[...]}` when that is the only member of the object.
fn records(object: &[u8]) -> Option<&[u8]> {
    let rest = trim(object.strip_prefix(b"{")?.strip_suffix(b"}")?);
    let rest = trim(trim(rest.strip_prefix(b"\"Records\"")?).strip_prefix(b":")?);
    let list = rest.get(..value_length(rest)?)?;
    (list.len() == rest.len() && list.first() == Some(&b'[')).then_some(list)
}
