//! Native events: what is accepted, what it becomes, what is refused and how the refusal says so.

use crate::{body, prepare};
use event::Format;

/// An event as sent, and the `event` of its body.
fn accepts(sent: &str, stored: &str) {
    let event = prepare(Format::Native, sent.as_bytes()).unwrap();
    let head = r#"{"salt":"AAAAAAAAAAAAAAAAAAAAAA==","event":"#;
    let body = body(&event);
    assert_eq!(body.strip_prefix(head).unwrap().strip_suffix('}').unwrap(), stored, "for {sent}");
}

#[test]
fn defaults_are_filled_in_and_white_space_is_left_out() {
    accepts(
        r#"{"action":"invoice.viewed"}"#,
        concat!(
            r#"{"id":"01JD0000000000000000000000","source":"urn:example:app","action":"invoice.viewed","#,
            r#""category":"api","occurred_at":"2026-11-24T02:29:42.000000000Z","actor":{"type":"anonymous"},"#,
            r#""outcome":{"status":"unknown"},"severity":"info","#,
            r#""ext":{"time_from":"arrival","id_generated":true}}"#
        ),
    );
    accepts(
        " { \"metadata\" : { \"a b\" : [ 1 , \"x\\\" y\" ] } , \"id\":\"e1\",\"action\":\"iam.grant\",\n\
         \"actor\":{\"id\":\"u\\\"1\",\"type\":\"user\",\"on_behalf_of\":{\"type\":\"service\",\"id\":\"s\"}},\
         \"occurred_at\":\"2026-11-24T03:29:42.5+01:00\",\"outcome\":{\"code\":\"7\"},\"ext\":{}}",
        concat!(
            r#"{"id":"e1","source":"urn:example:app","action":"iam.grant","category":"iam","#,
            r#""occurred_at":"2026-11-24T02:29:42.500000000Z","#,
            r#""actor":{"id":"u\"1","type":"user","on_behalf_of":{"type":"service","id":"s"}},"#,
            r#""outcome":{"status":"unknown","code":"7"},"severity":"info","#,
            r#""subjects":["user:u\"1","service:s"],"metadata":{"a b":[1,"x\" y"]},"ext":{}}"#
        ),
    );
}

/// Members beside `action`, and the code and field of the refusal.
fn refuses(members: &str, code: &str, field: &str) {
    let raw = format!("{{\"action\":\"a.b\",{members}}}");
    let refusal = prepare(Format::Native, raw.as_bytes()).unwrap_err();
    assert_eq!((refusal.code, refusal.field.as_str()), (code, field), "for {members}");
    assert_eq!(refusal.line, Some(1));
    assert!(!refusal.expected.is_empty());
}

fn takes(members: &str) {
    let raw = format!("{{\"action\":\"a.b\",{members}}}");
    let event = prepare(Format::Native, raw.as_bytes()).unwrap_or_else(|r| panic!("{members}: {r}"));
    event::strict_json(body(&event).as_bytes()).unwrap();
}

#[test]
fn every_field_has_its_rule() {
    let long = |n: usize| "x".repeat(n);
    let rows: &[(&str, usize)] = &[
        (r#""id":"*""#, 128),
        (r#""source":"urn:*""#, 252),
        (r#""source_seq":{"epoch":"*","n":1}"#, 64),
        (r#""actor":{"type":"user","id":"*"}"#, 256),
        (r#""actor":{"name":"*"}"#, 256),
        (r#""actor":{"email":"*"}"#, 256),
        (r#""actor":{"ip":"*"}"#, 256),
        (r#""actor":{"session":"*"}"#, 256),
        (r#""actor":{"groups":["*"]}"#, 128),
        (r#""actor":{"auth":{"method":"*"}}"#, 128),
        (r#""actor":{"auth":{"credential_id":"*"}}"#, 128),
        (r#""targets":[{"type":"*","id":"i"}]"#, 128),
        (r#""targets":[{"type":"t","id":"*"}]"#, 512),
        (r#""targets":[{"type":"t","id":"i","name":"*"}]"#, 512),
        (r#""outcome":{"code":"*"}"#, 64),
        (r#""outcome":{"reason":"*"}"#, 1024),
        (r#""context":{"ip":"*"}"#, 45),
        (r#""context":{"user_agent":"*"}"#, 1024),
        (r#""context":{"location":"*"}"#, 256),
        (r#""context":{"host":"*"}"#, 255),
        (r#""context":{"app":"*"}"#, 128),
        (r#""context":{"app_version":"*"}"#, 64),
        (r#""context":{"environment":"*"}"#, 64),
        (r#""context":{"request_id":"*"}"#, 128),
        (r#""context":{"correlation_id":"*"}"#, 128),
        (r#""context":{"causation_id":"*"}"#, 128),
        (r#""message":"*""#, 8192),
        (r#""schema":"*""#, 128),
        (r#""metadata":{"*":1}"#, 40),
        (r#""metadata":{"k":[{"d":"*"}]}"#, 500),
    ];
    for (members, max) in rows {
        takes(&members.replace('*', &long(*max)));
        let raw = format!("{{\"action\":\"a.b\",{}}}", members.replace('*', &long(max + 1)));
        let refusal = prepare(Format::Native, raw.as_bytes()).unwrap_err();
        assert!(matches!(refusal.code, "field_limit" | "field_value"), "{members}: {refusal}");
        assert!(refusal.field.len() > 2 && !refusal.to_string().contains("xxxxx...x"), "{members}");
    }
    // Characters count, not bytes; escapes count as what they stand for.
    takes(&format!(r#""outcome":{{"code":"{}"}}"#, "\u{e9}".repeat(64)));
    takes(&format!(r#""outcome":{{"code":"{}"}}"#, "\\u00e9".repeat(64)));
    refuses(&format!(r#""message":"{}""#, "\u{e9}".repeat(4097)), "field_limit", "/message");
}

#[test]
fn refusals_name_code_and_field() {
    let table: &[(&str, &str, &str)] = &[
        (r#""colour":1"#, "field_unknown", "/colour"),
        (r#""a/b~c":1"#, "field_unknown", "/a~1b~0c"),
        (r#""actor":{"nick":"x"}"#, "field_unknown", "/actor/nick"),
        (r#""actor":{"auth":{"x":1}}"#, "field_unknown", "/actor/auth/x"),
        (r#""targets":[{"type":"t","id":"i"},{"type":"t","id":"i","x":1}]"#, "field_unknown", "/targets/1/x"),
        (r#""outcome":{"x":1}"#, "field_unknown", "/outcome/x"),
        (r#""context":{"x":1}"#, "field_unknown", "/context/x"),
        (r#""classification":{"x":1}"#, "field_unknown", "/classification/x"),
        (r#""source_seq":{"epoch":"e","n":1,"x":1}"#, "field_unknown", "/source_seq/x"),
        (r#""received_at":"2026-11-24T02:29:42Z""#, "field_server_only", "/received_at"),
        (r#""seq":1"#, "field_server_only", "/seq"),
        (r#""ingest":{}"#, "field_server_only", "/ingest"),
        (r#""original":{}"#, "field_server_only", "/original"),
        (r#""ext":{"id_generated":true}"#, "field_server_only", "/ext/id_generated"),
        (r#""ext":{"time_from":"x"}"#, "field_server_only", "/ext/time_from"),
        (r#""tenant":"other""#, "tenant_other", "/tenant"),
        (r#""stream":"other""#, "stream_other", "/stream"),
        (r#""id":"""#, "field_value", "/id"),
        (r#""id":"a\u00e9""#, "field_value", "/id"),
        (r#""source":"no colon""#, "field_value", "/source"),
        (r#""source":"urn:a b""#, "field_value", "/source"),
        (r#""source":":x""#, "field_value", "/source"),
        (r#""category":"other""#, "field_value", "/category"),
        (r#""severity":"INFO""#, "field_value", "/severity"),
        (r#""occurred_at":"2026-11-24 02:29:42Z""#, "field_value", "/occurred_at"),
        (r#""occurred_at":"2026-02-29T02:29:42Z""#, "field_value", "/occurred_at"),
        (r#""occurred_at":"2026-11-24T02:29:42""#, "field_value", "/occurred_at"),
        (r#""occurred_at":"2026-11-24T02:29:42.1234567890Z""#, "field_value", "/occurred_at"),
        (r#""occurred_at":5"#, "field_type", "/occurred_at"),
        (r#""actor":{"type":"user"}"#, "field_missing", "/actor/id"),
        (r#""actor":{"type":"robot","id":"x"}"#, "field_value", "/actor/type"),
        (r#""actor":{"on_behalf_of":{"type":"user"}}"#, "field_missing", "/actor/on_behalf_of/id"),
        (r#""targets":[{"type":"t"}]"#, "field_missing", "/targets/0/id"),
        (r#""targets":{}"#, "field_type", "/targets"),
        (r#""targets":[{"type":"t","id":"i","before":[]}]"#, "field_type", "/targets/0/before"),
        (r#""outcome":{"status":"ok"}"#, "field_value", "/outcome/status"),
        (r#""outcome":{"authorized":"yes"}"#, "field_type", "/outcome/authorized"),
        (r#""context":{"trace_id":"abc"}"#, "field_value", "/context/trace_id"),
        (r#""context":{"span_id":"zzzzzzzzzzzzzzzz"}"#, "field_value", "/context/span_id"),
        (r#""source_seq":{"epoch":"e","n":9007199254740992}"#, "field_value", "/source_seq/n"),
        (r#""source_seq":{"epoch":"e","n":1.0}"#, "field_value", "/source_seq/n"),
        (r#""source_seq":{"epoch":"e","n":-0}"#, "field_value", "/source_seq/n"),
        (r#""source_seq":{"epoch":"e"}"#, "field_missing", "/source_seq/n"),
        (r#""classification":{"level":"secret"}"#, "field_value", "/classification/level"),
        (r#""classification":{"regulation":["X"]}"#, "field_value", "/classification/regulation/0"),
        (r#""message":null"#, "field_type", "/message"),
        (r#""metadata":[]"#, "field_type", "/metadata"),
        (r#""action":"x""#, "json_duplicate_key", "/action"),
        (r#""metadata":{"a":{"b":1,"\u0062":2}}"#, "json_duplicate_key", "/metadata/a/b"),
        (r#""metadata":{"a":[1,"\ud800"]}"#, "json_lone_surrogate", "/metadata/a/1"),
        (r#""metadata":{"a":1e400}"#, "json_number", "/metadata/a"),
        (r#""metadata":{"a":NaN}"#, "json_invalid", "/metadata/a"),
        (r#""metadata":{"a":-Infinity}"#, "json_invalid", "/metadata/a"),
        (r#""metadata":{"a":01}"#, "json_invalid", "/metadata/a"),
    ];
    for (members, code, field) in table {
        refuses(members, code, field);
    }
    let many = |n: usize, item: &str| vec![item; n].join(",");
    refuses(&format!(r#""targets":[{}]"#, many(65, r#"{"type":"t","id":"i"}"#)), "field_limit", "/targets");
    refuses(&format!(r#""actor":{{"groups":[{}]}}"#, many(65, r#""g""#)), "field_limit", "/actor/groups");
    refuses(&format!(r#""subjects":[{}]"#, many(17, r#""s""#)), "field_limit", "/subjects");
    let keys = |n: usize| (0..n).map(|k| format!("\"k{k}\":1")).collect::<Vec<_>>().join(",");
    refuses(&format!(r#""metadata":{{{}}}"#, keys(51)), "field_limit", "/metadata");
    refuses(&format!(r#""context":{{"http":{{{}}}}}"#, keys(21)), "field_limit", "/context/http");
    refuses(&format!(r#""ext":{{"x":"{}"}}"#, "y".repeat(65536)), "field_limit", "/ext");
    let nest = |n: usize| r#"{"on_behalf_of":"#.repeat(n) + "{}" + &"}".repeat(n);
    takes(&format!(r#""actor":{}"#, nest(4)));
    let deep = "/actor/on_behalf_of/on_behalf_of/on_behalf_of/on_behalf_of/on_behalf_of";
    refuses(&format!(r#""actor":{}"#, nest(5)), "field_limit", deep);
}

#[test]
fn accepted_forms() {
    let good = [
        r#""tenant":"default","stream":"main""#,
        r#""source":"https://example.com/a?b=c#d""#,
        r#""occurred_at":"2016-12-31T23:59:60Z""#,
        r#""occurred_at":"2026-11-24t02:29:42.123456789z""#,
        r#""context":{"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7"}"#,
        r#""classification":{"level":"restricted","regulation":["GDPR","PCI-DSS"],"category":"phi"}"#,
        r#""metadata":{"a":-0,"b":18446744073709551616,"c":1e-400,"d":"\u0000\ud83d\ude00"}"#,
        r#""source_seq":{"epoch":"a\"\\b","n":9007199254740991}"#,
        r#""occurred_at":"2026-11-24T02:29:42Z","ext":{"time_from":"x"}"#,
    ];
    good.iter().for_each(|members| takes(members));
    let refusal = prepare(Format::Native, b"{}").unwrap_err();
    assert_eq!((refusal.code, refusal.field.as_str()), ("field_missing", "/action"));
    for action in ["Invoice.Viewed", "a b", "", "\u{e9}"] {
        let raw = format!(r#"{{"action":"{action}"}}"#);
        assert_eq!(prepare(Format::Native, raw.as_bytes()).unwrap_err().field, "/action");
    }
    let raw = b"{\n \"action\":\"a\",\n \"colour\": 1}";
    assert_eq!(prepare(Format::Native, raw).unwrap_err().line, Some(3));
}

#[test]
fn ids_come_from_client_file_or_server() {
    let mut ctx = crate::context();
    ctx.place = Some(event::FilePlace { digest: "0123456789abcdef", offset: 77 });
    let mut event = event::prepare(Format::Native, br#"{"action":"a"}"#, &ctx).unwrap();
    assert_eq!((event.id(), event.id_made()), ("0123456789abcdef:77", event::IdMade::FilePlace));
    assert!(!body(&event).contains("id_generated"));
    event.collide("01NEW".to_owned());
    assert!(body(&event).contains(r#""id":"01NEW""#) && body(&event).contains(r#""id_collision":true"#));
}

#[test]
fn own_events_pass_the_same_door() {
    let bytes = event::own::Own::new("token.created")
        .category("iam")
        .occurred(crate::ARRIVAL)
        .actor("user", "p-1", Some("Ada \"L\""))
        .target("token", "t-1", None)
        .outcome("success", None, None)
        .correlation("c")
        .ext("state", &serde_json::json!({"hash": "x", "quotas": [1, 2]}))
        .build()
        .unwrap();
    let event = prepare(Format::Native, &bytes).unwrap();
    assert_eq!(event.source(), event::own::SOURCE);
    let body = body(&event);
    assert!(body.contains(r#""ext":{"id_generated":true,"state":{"hash":"x","quotas":[1,2]}}"#), "{body}");
}
