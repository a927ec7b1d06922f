//! The hostile JSON set: every input gets an answer that says what and where, in bounded time and memory.

use crate::{body, prepare};
use event::{Format, Framing, split};

fn code(raw: &[u8]) -> &'static str {
    match prepare(Format::Native, raw) {
        Ok(event) => {
            event::strict_json(body(&event).as_bytes()).unwrap();
            "ok"
        }
        Err(refusal) => refusal.code,
    }
}

#[test]
fn each_gets_its_verdict() {
    let with = |value: &str| format!(r#"{{"action":"a","metadata":{{"k":{value}}}}}"#).into_bytes();
    let raw = |value: &[u8]| [br#"{"action":"a","metadata":{"k":""#, value, br#""}}"#].concat();
    let table: Vec<(Vec<u8>, &str)> = vec![
        (b"[".repeat(100_000), "json_depth"),
        (b"{\"a\":".repeat(100_000), "json_depth"),
        (with(&("[".repeat(62) + &"]".repeat(62))), "ok"),
        (with(&("[".repeat(63) + &"]".repeat(63))), "json_depth"),
        (with(r#"{"x":1,"x":1}"#), "json_duplicate_key"),
        (with(r#""\udc00""#), "json_lone_surrogate"),
        (with(r#""\ud800x""#), "json_lone_surrogate"),
        (with(r#""\ud800\ud800""#), "json_lone_surrogate"),
        (raw(b"\xC0\xAF"), "utf8_invalid"),
        (raw(b"\xED\xA0\x80"), "utf8_invalid"),
        (raw(b"\xF4\x90\x80\x80"), "utf8_invalid"),
        (raw(b"\xFF"), "utf8_invalid"),
        (raw(b"\0"), "json_invalid"),
        (raw(b"\x1b[31m"), "json_invalid"),
        (raw(b"\n"), "json_invalid"),
        (raw("\u{2028}\u{202e}\u{feff}".as_bytes()), "ok"),
        ([b"\xEF\xBB\xBF", with("1").as_slice()].concat(), "json_invalid"),
        (with("1e400"), "json_number"),
        (with("-1e400"), "json_number"),
        (with(&"9".repeat(400)), "json_number"),
        (with(&format!("0.{}", "1".repeat(400))), "ok"),
        (with("-0"), "ok"),
        (with("18446744073709551616"), "ok"),
        (with("NaN"), "json_invalid"),
        (with("+1"), "json_invalid"),
        (with(".5"), "json_invalid"),
        (with("1."), "json_invalid"),
        (with("0x1"), "json_invalid"),
        (with("'a'"), "json_invalid"),
        (with("[1,]"), "json_invalid"),
        (with("{\"a\":1,}"), "json_invalid"),
        (with("// x"), "json_invalid"),
        (with("tru"), "json_invalid"),
        (with(r#""\x""#), "json_invalid"),
        (with(r#""\u12""#), "json_invalid"),
        (with("1}}"), "json_invalid"),
        (b"{\"action\":\"a\"} x".to_vec(), "json_invalid"),
        (b"{\"action\":\"a\"}\0".to_vec(), "json_invalid"),
        (b"".to_vec(), "json_invalid"),
        (b"{\"action\":\"a".to_vec(), "json_invalid"),
        (b"[]".to_vec(), "field_type"),
        (b"\"a\"".to_vec(), "field_type"),
        (vec![b'x'; 1024 * 1024 + 1], "event_size"),
        (raw(&vec![b'x'; 1024 * 1024 - 100]), "field_limit"),
    ];
    for (input, expected) in table {
        let shown = String::from_utf8_lossy(&input[..input.len().min(60)]).into_owned();
        assert_eq!(code(&input), expected, "{shown}");
    }
}

#[test]
fn many_keys_are_checked_in_bounded_time() {
    let keys = |n: usize| (0..n).map(|k| format!("\"{k:x}\":1")).collect::<Vec<_>>().join(",");
    let big = format!(r#"{{"action":"a","ext":{{{}}}}}"#, keys(90_000));
    assert_eq!(code(big.as_bytes()), "field_limit");
    let twice = format!(r#"{{"action":"a","ext":{{{},"5":1}}}}"#, keys(90_000));
    let refusal = prepare(Format::Native, twice.as_bytes()).unwrap_err();
    assert_eq!((refusal.code, refusal.field.as_str()), ("json_duplicate_key", "/ext/5"));
    let million = format!("{{{}}}", keys(1_000_000));
    assert_eq!(code(million.as_bytes()), "event_size");
}

#[test]
fn refusals_are_short_and_harmless() {
    let raw = format!("{{\"action\":\"a\",\"{}\u{1}\":1}}", "\\u001b[31m".repeat(200));
    let refusal = prepare(Format::Native, raw.as_bytes()).unwrap_err();
    assert!(refusal.to_string().len() < 2000 && !refusal.to_string().contains('\u{1b}'));
    let raw = format!("{{\"action\":\"a\",\"{}\":1}}", "\\u001b\\u202e".repeat(200));
    let refusal = prepare(Format::Native, raw.as_bytes()).unwrap_err();
    assert!(refusal.field.len() < 800 && refusal.field.starts_with("/\\u{1b}\\u{202e}"));
}

#[test]
fn framing_and_splitting() {
    let parts = |format, body: &str| {
        let list = split(format, Framing::Auto, body.as_bytes()).unwrap();
        list.iter().map(|p| String::from_utf8(p.to_vec()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(parts(Format::Native, " {\n\"a\":\"}\"}\n"), ["{\n\"a\":\"}\"}"]);
    assert_eq!(parts(Format::Native, "{\"a\":1}\r\n\n{\"b\":[\n"), ["{\"a\":1}", "{\"b\":["]);
    assert_eq!(parts(Format::Native, "[ {\"a\":\",]\"} , 7 ]"), ["{\"a\":\",]\"}", "7"]);
    assert!(parts(Format::Native, "[]").is_empty());
    assert_eq!(parts(Format::CloudTrail, "{\"Records\" : [{\"a\":1},{\"b\":2}] }"), ["{\"a\":1}", "{\"b\":2}"]);
    assert_eq!(parts(Format::CloudTrail, "{\"a\":1}\n{\"b\":2}"), ["{\"a\":1}", "{\"b\":2}"]);
    assert_eq!(parts(Format::Text, "a\r\n\n\0b"), ["a\r", "", "\0b"]);
    for body in ["[1,,2]", "[1", "[1]x", "[1}"] {
        let refusal = split(Format::Native, Framing::Auto, body.as_bytes()).unwrap_err();
        assert_eq!(refusal.code, "json_invalid", "{body}");
    }
    let many = "{}\n".repeat(10_001);
    assert_eq!(split(Format::Native, Framing::Auto, many.as_bytes()).unwrap_err().code, "batch_size");
    let body = b"{}\n{}\n{}";
    let list = split(Format::Native, Framing::Ndjson, body).unwrap();
    assert_eq!((event::offset_of(body, list[2]), event::line_of(body, list[2])), (6, 3));
}

#[test]
fn lines_end_where_line_feeds_are() {
    let mut state = 1_u64;
    for round in 0..20_000_usize {
        let body: Vec<u8> = (0..round % 41)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                b"\n\x0b\x8a\x09a\xff\x0a\x00"[(state >> 61) as usize]
            })
            .collect();
        let whole = body.strip_suffix(b"\n").unwrap_or(&body);
        let expected: Vec<&[u8]> = if whole.is_empty() { Vec::new() } else { whole.split(|b| *b == b'\n').collect() };
        assert_eq!(split(Format::Text, Framing::Lines, &body).unwrap(), expected, "{body:?}");
    }
}
