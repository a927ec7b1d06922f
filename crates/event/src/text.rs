//! Strings: scanning, decoding, quoting and cutting. Pure helpers, no field of an event.

use std::borrow::Cow;

use crate::limits::POINTER_KEY_CHARS_MAX;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Leading bytes that need no attention inside a JSON string: no quote, no backslash, no control character.
pub(crate) fn plain_run(bytes: &[u8]) -> usize {
    let mut run = 0;
    let mut rest = bytes;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        let w = u64::from_le_bytes(*chunk);
        let zero = |x: u64| x.wrapping_sub(ONES) & !x & HIGHS;
        let low = w.wrapping_sub(ONES * 0x20) & !w & HIGHS;
        let hit = zero(w ^ (ONES * 0x22)) | zero(w ^ (ONES * 0x5C)) | low;
        if hit != 0 {
            return run + (hit.trailing_zeros() / 8) as usize;
        }
        run += 8;
        rest = tail;
    }
    run + rest.iter().take_while(|b| **b != b'"' && **b != b'\\' && **b >= 0x20).count()
}

/// Where the first line feed is, eight bytes at a time.
pub(crate) fn line_feed(bytes: &[u8]) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let other = u64::from_le_bytes(*word) ^ (ONES * 0x0A);
        // The lowest bit that is set marks the first zero byte; those above it may be wrong.
        let hit = other.wrapping_sub(ONES) & !other & HIGHS;
        if hit != 0 {
            return Some(8 * n + (hit.trailing_zeros() / 8) as usize);
        }
    }
    tail.iter().position(|b| *b == b'\n').map(|at| 8 * words.len() + at)
}

/// Bytes of the JSON string at the start, quotes included; everything when it does not end.
pub(crate) fn string_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    loop {
        at += plain_run(bytes.get(at..).unwrap_or_default());
        match bytes.get(at) {
            None => return bytes.len(),
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// Four hexadecimal digits at that place.
pub(crate) fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4)?;
    digits.iter().try_fold(0, |sum, b| Some(sum * 16 + char::from(*b).to_digit(16)?))
}

/// Text inside the quotes of a JSON string; what is no text (lone surrogates, bytes that are no UTF-8) becomes U+FFFD.
pub(crate) fn decode(inner: &[u8]) -> Cow<'_, str> {
    if !inner.contains(&b'\\') {
        return lossy(inner);
    }
    let mut out: Vec<u8> = Vec::with_capacity(inner.len());
    let mut at = 0;
    while let Some(byte) = inner.get(at) {
        if *byte != b'\\' {
            out.push(*byte);
            at += 1;
            continue;
        }
        let plain = match inner.get(at + 1) {
            Some(b'b') => 0x08,
            Some(b'f') => 0x0C,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let (c, used) = decode_unicode(inner, at);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                at += used;
                continue;
            }
            Some(other) => *other,
            None => b'\\',
        };
        out.push(plain);
        at += 2;
    }
    Cow::Owned(lossy(&out).into_owned())
}

fn decode_unicode(inner: &[u8], at: usize) -> (char, usize) {
    let unit = hex4(inner, at + 2).unwrap_or(0xFFFD);
    if (0xD800..=0xDBFF).contains(&unit)
        && inner.get(at + 6..at + 8) == Some(b"\\u")
        && let Some(low) = hex4(inner, at + 8).filter(|low| (0xDC00..=0xDFFF).contains(low))
    {
        let code = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        return (char::from_u32(code).unwrap_or('\u{FFFD}'), 12);
    }
    (char::from_u32(unit).unwrap_or('\u{FFFD}'), 6)
}

/// Bytes as text for people; the original keeps the bytes.
pub(crate) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            out.push('\u{FFFD}');
        }
    }
    Cow::Owned(out)
}

/// Appends a JSON string.
pub(crate) fn push_string(text: &str, out: &mut Vec<u8>) {
    push_escaped(text, out, |_| None);
}

/// Appends a JSON string. `short` gives the letters of the escapes that only some spellings write short.
pub(crate) fn push_escaped(text: &str, out: &mut Vec<u8>, short: impl Fn(u8) -> Option<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let run = plain_run(rest);
        let (plain, tail) = rest.split_at_checked(run).unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        let Some((byte, tail)) = tail.split_first() else { break };
        let letter = match byte {
            b'"' | b'\\' => Some(*byte),
            b'\n' => Some(b'n'),
            b'\r' => Some(b'r'),
            b'\t' => Some(b't'),
            other => short(*other),
        };
        match letter {
            Some(letter) => out.extend_from_slice(&[b'\\', letter]),
            None => {
                out.extend_from_slice(b"\\u00");
                push_hex(&[*byte], out);
            }
        }
        rest = tail;
    }
    out.push(b'"');
}

/// Appends lower-case hexadecimal.
pub(crate) fn push_hex(bytes: &[u8], out: &mut Vec<u8>) {
    let digit = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
    for byte in bytes {
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
}

/// Appends a number in decimal.
pub(crate) fn push_number(mut n: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + u8::try_from(n % 10).unwrap_or(0);
        n /= 10;
        used += 1;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(20 - used..).unwrap_or_default());
}

/// The longest beginning of at most that many characters, and whether something was cut.
pub(crate) fn cut_chars(text: &str, chars: usize) -> (&str, bool) {
    if text.len() <= chars {
        return (text, false);
    }
    match text.char_indices().nth(chars) {
        Some((at, _)) => (text.get(..at).unwrap_or_default(), true),
        None => (text, false),
    }
}

/// The longest beginning of at most that many bytes that ends between characters, and whether something was cut.
pub(crate) fn cut_bytes(text: &str, bytes: usize) -> (&str, bool) {
    if text.len() <= bytes {
        return (text, false);
    }
    (text.get(..text.floor_char_boundary(bytes)).unwrap_or_default(), true)
}

/// Appends one step of a JSON pointer (RFC 6901), cut and made harmless: the name is hostile input.
pub(crate) fn push_pointer(pointer: &mut String, name: &str) {
    pointer.push('/');
    let (name, cut) = cut_chars(name, POINTER_KEY_CHARS_MAX);
    let name = terminal_safe(name);
    for c in name.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
    if cut {
        pointer.push_str("...");
    }
}

/// Text that no terminal acts upon: control characters (ESC, C0, C1, DEL), line and paragraph separators, direction
/// marks, zero-width characters and tags are written as `\u{...}`; a line feed and a tab too.
///
/// ```
/// assert_eq!(event::terminal_safe("a\u{1b}[31mb"), "a\\u{1b}[31mb");
/// ```
pub fn terminal_safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = matches!(c, '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}');
        if c.is_control() || hidden {
            out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}
