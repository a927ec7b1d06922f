//! The hostile JSON set through the shipped binary: each gets an answer that says what and where, nothing falls over,
//! and what is refused leaves no entry.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::Http;
use crate::rig::Folder;

const EVENTS: &str = "/v1/ledgers/main/events";

/// Longest time of one of these answers; the largest bodies are 20 MiB.
const ANSWER_MAX: Duration = Duration::from_secs(20);

fn with(value: &str) -> Vec<u8> {
    format!(r#"{{"action":"a","metadata":{{"k":{value}}}}}"#).into_bytes()
}

fn raw(value: &[u8]) -> Vec<u8> {
    [br#"{"action":"a","metadata":{"k":""#, value, br#""}}"#].concat()
}

fn keys(count: usize) -> String {
    (0..count).map(|k| format!("\"{k:x}\":1")).collect::<Vec<_>>().join(",")
}

/// Input and the kind of its refusal; empty where it is accepted.
fn set() -> Vec<(Vec<u8>, &'static str)> {
    vec![
        (b"[".repeat(100_000), "json_depth"),
        (b"{\"a\":".repeat(100_000), "json_depth"),
        (with(&("[".repeat(62) + &"]".repeat(62))), ""),
        (with(&("[".repeat(63) + &"]".repeat(63))), "json_depth"),
        (with(r#"{"x":1,"x":1}"#), "json_duplicate_key"),
        (br#"{"action":"a","action":"b"}"#.to_vec(), "json_duplicate_key"),
        (format!(r#"{{"action":"a","ext":{{{}}}}}"#, keys(90_000)).into_bytes(), "field_limit"),
        (format!("{{{}}}", keys(1_000_000)).into_bytes(), "event_size"),
        (with(r#""\udc00""#), "json_lone_surrogate"),
        (with(r#""\ud800x""#), "json_lone_surrogate"),
        (with(r#""\ud800\ud800""#), "json_lone_surrogate"),
        (raw(b"\xC0\xAF"), "utf8_invalid"),
        (raw(b"\xED\xA0\x80"), "utf8_invalid"),
        (raw(b"\xF4\x90\x80\x80"), "utf8_invalid"),
        (raw(b"\xF8\x88\x80\x80\x80"), "utf8_invalid"),
        (raw(b"\xFF"), "utf8_invalid"),
        (raw(b"\0"), "json_invalid"),
        (raw(b"\x1b[31m"), "json_invalid"),
        (raw(b"\x1b]8;;http://x\x07"), "json_invalid"),
        (raw("\u{2028}\u{202e}\u{feff}".as_bytes()), ""),
        (raw(br"\u0000\u001b[2J\u202e"), ""),
        ([b"\xEF\xBB\xBF", with("1").as_slice()].concat(), "json_invalid"),
        (with("1e400"), "json_number"),
        (with("-1e400"), "json_number"),
        (with(&"9".repeat(400)), "json_number"),
        (with("-0"), ""),
        (with("18446744073709551616"), ""),
        (with("NaN"), "json_invalid"),
        (with("Infinity"), "json_invalid"),
        (with("[1,]"), "json_invalid"),
        (with("// x"), "json_invalid"),
        (with("'a'"), "json_invalid"),
        (b"{\"action\":\"a\"} x".to_vec(), "json_invalid"),
        (b"{\"action\":\"a\"}\0".to_vec(), "json_invalid"),
        (b"{\"action\":\"a".to_vec(), "json_invalid"),
        (b"\"a\"".to_vec(), "field_type"),
        (b"{\"action\":7}".to_vec(), "field_type"),
        (b"{}".to_vec(), "field_missing"),
        (raw(&vec![b'x'; 1024 * 1024]), "event_size"),
        (raw(&vec![b'x'; 19 << 20]), "event_size"),
        (br#"{"action":"../../etc/passwd"}"#.to_vec(), ""),
        (br#"{"action":"a","source":"urn:proofbook:server"}"#.to_vec(), "source-not-allowed"),
        (br#"{"action":"a","message":"${jndi:ldap://x/a} {{7*7}} $(id) =cmd|' /C calc'!A0"}"#.to_vec(), ""),
        (br#"{"action":"a","ext":{"log":"local-0123456789ab/logs/main\n1\nAAAA\n\n\u2014 x AAAA\n"}}"#.to_vec(), ""),
    ]
}

fn size(http: &mut Http) -> u64 {
    http.get("/v1/ledgers/main").ok_json()["size"].as_u64().unwrap()
}

/// The refusal of an answer: its own, or the first one among results.
fn refusal(value: &Value) -> Value {
    let results = value["results"].as_array().cloned().unwrap_or_default();
    results.into_iter().find(|r| r["index"].is_null()).unwrap_or_else(|| value.clone())
}

#[test]
fn hostile_json_is_refused_by_name_and_nothing_falls_over() {
    let folder = Folder::new();
    let up = folder.up();
    let mut http = up.http(&folder.bootstrap());
    for (input, expected) in set() {
        let shown = String::from_utf8_lossy(&input[..input.len().min(60)]).into_owned();
        for media in ["application/json", "application/x-ndjson"] {
            let before = size(&mut http);
            let began = Instant::now();
            let answer = http.call("POST", &format!("{EVENTS}?format=native"), media, &input).unwrap();
            assert!(began.elapsed() < ANSWER_MAX, "{shown}: {:?}", began.elapsed());
            let value = answer.json();
            if expected.is_empty() {
                assert_eq!(answer.status, 200, "{shown}: {value}");
                assert_eq!(size(&mut http), before + 1, "{shown}");
                continue;
            }
            assert!(matches!(answer.status, 200 | 400 | 403 | 413), "{shown}: {} {value}", answer.status);
            let refusal = refusal(&value);
            assert_eq!(refusal["type"], format!("/errors/{expected}"), "{shown} as {media}: {value}");
            assert!(matches!(refusal["status"].as_u64(), Some(400 | 403 | 413)), "{value}");
            let names = |name: &str| refusal[name].as_str().is_some_and(|text| !text.is_empty());
            assert!(names("expected") && names("detail") && names("title"), "{shown}: {value}");
            assert!(answer.body.len() < 4_000 && !answer.body.contains(&0x1b), "{shown}: {value}");
            assert_eq!(size(&mut http), before, "{shown}: a refused event left an entry");
        }
    }
    assert_eq!(http.get("/readyz").status, 200);
    up.stop_cleanly();
}

#[test]
fn the_same_bytes_as_other_formats_never_fail_with_5xx() {
    let folder = Folder::new();
    let up = folder.up();
    let mut http = up.http(&folder.bootstrap());
    for (input, _) in set() {
        for format in ["cloudtrail", "openbao", "syslog", "text"] {
            let path = format!("{EVENTS}?format={format}");
            let answer = http.call("POST", &path, "text/plain", &input).unwrap();
            let shown = String::from_utf8_lossy(&input[..input.len().min(60)]).into_owned();
            assert!(matches!(answer.status, 200 | 400 | 413), "{format} {shown}: {}", answer.text());
        }
    }
    up.stop_cleanly();
}

#[test]
fn a_batch_keeps_its_order_and_refuses_one_by_one() {
    let folder = Folder::new();
    let up = folder.up();
    let mut http = up.http(&folder.bootstrap());
    let lines = "{\"action\":\"a\",\"id\":\"1\"}\n{\"action\":\"a\",\n[1]\n{\"action\":\"a\",\"id\":\"2\"}\nnull\n";
    let answer = http.call("POST", EVENTS, "application/x-ndjson", lines.as_bytes()).unwrap();
    let value = answer.ok_json();
    let kinds: Vec<String> = value["results"].as_array().unwrap().iter().map(|r| r["type"].to_string()).collect();
    let refused = |kind: &str| format!("\"/errors/{kind}\"");
    let (bad, type_) = (refused("json_invalid"), refused("field_type"));
    assert_eq!(kinds, ["null".to_owned(), bad, type_.clone(), "null".to_owned(), type_]);
    assert_eq!(value["results"][1]["line"], 2);
}

#[test]
fn odd_requests_are_refused_by_name() {
    let folder = Folder::new();
    let up = folder.up();
    let mut http = up.http(&folder.bootstrap());
    let event: &[u8] = b"{\"action\":\"a\"}";
    for (method, path, media, body, status) in [
        ("POST", "/v1/ledgers/main/events?wait=soon", "application/json", event, 400),
        ("POST", "/v1/ledgers/main/events?wait=witnessed", "application/json", event, 400),
        ("POST", "/v1/ledgers/main/events?format=xml", "application/json", event, 400),
        ("POST", "/v1/ledgers/main/events?offset=7", "application/json", event, 400),
        ("POST", "/v1/ledgers/main/events", "application/xml", event, 415),
        ("POST", "/v1/ledgers/none/events", "application/json", event, 404),
        ("POST", "/v1/ledgers/..%2f..%2fvault/events", "application/json", event, 404),
        ("POST", "/v1/ledgers/main%00/events", "application/json", event, 404),
        ("PUT", "/v1/ledgers/main/events", "application/json", event, 405),
        ("GET", "/v1/ledgers/main/entries/99999999", "", b"", 404),
        ("GET", "/v1/ledgers/main/entries/18446744073709551615", "", b"", 404),
        ("GET", "/v1/ledgers/main/entries/-1", "", b"", 404),
        ("GET", "/v1/ledgers/main/consistency/5/2", "", b"", 400),
        ("GET", "/v1/ledgers/main/consistency/0/18446744073709551615", "", b"", 404),
        ("GET", "/logs/main/tile/0/x999/x999/999", "", b"", 404),
        ("GET", "/logs/main/tile/99/000", "", b"", 404),
        ("GET", "/logs/main/tile/entries/..%2f..%2fvault", "", b"", 404),
        ("GET", "/logs/main/bodies/000.p/999", "", b"", 404),
        ("POST", "/v1/ledgers", "application/json", b"{\"name\":\"../x\"}", 400),
        ("POST", "/v1/ledgers", "application/json", b"[[[[", 400),
        ("POST", "/v1/tokens", "application/json", b"{\"verbs\":[\"root\"],\"person\":\"x\"}", 400),
    ] {
        let answer = http.call(method, path, media, body).unwrap();
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
        assert_eq!(answer.json()["status"], status, "{path}");
    }
    assert_eq!(up.http("").post(EVENTS, event).status, 401);
    assert_eq!(up.http("pb_wrong").post(EVENTS, event).status, 401);
    up.stop_cleanly();
}
