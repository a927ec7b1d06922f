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
