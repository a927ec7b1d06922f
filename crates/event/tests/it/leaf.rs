//! Leaves: exact bytes, strict reading, the digest at the end; and properties of accepted events.

use crate::{SALT, prepare};
use event::{Format, body_digest, parse_leaf};
use proptest::prelude::*;

fn leaf(raw: &[u8], actor_ref: Option<&str>) -> (Vec<u8>, u32) {
    let mut out = b"before".to_vec();
    let event = prepare(Format::Native, raw).unwrap();
    let slot = event.write_leaf("01JD0000000000000000000000", actor_ref, &[0xA5; 32], 4_294_967_295, &mut out);
    (out.split_off(6), slot)
}

#[test]
fn exact_bytes_and_the_slot() {
    let raw = br#"{"action":"a.b","source_seq":{"epoch":"e\"\\","n":0},"actor":{"type":"user","id":"Ada"},
        "occurred_at":"2026-11-24T02:29:42Z","message":"Ada was here","id":"Ada-1"}"#;
    let (mut leaf, slot) = leaf(raw, Some("00112233445566778899aabbccddeeff"));
    let slot = slot as usize;
    assert_eq!(&leaf[slot..slot + 30], b"0000-00-00T00:00:00.000000000Z");
    assert_eq!(parse_leaf(&leaf), None, "an unstamped leaf is no leaf");
    leaf[slot..slot + 30].copy_from_slice(&event::stamp(crate::ARRIVAL));
    let text = String::from_utf8(leaf.clone()).unwrap();
    let expected = concat!(
        r#"{"v":1,"entry_id":"01JD0000000000000000000000","source":"urn:example:app","source_epoch":"e\"\\","#,
        r#""source_seq":0,"action":"a.b","category":"api","severity":"info","outcome":"unknown","#,
        r#""occurred_at":"2026-11-24T02:29:42.000000000Z","received_at":"2026-11-24T02:29:42.000000000Z","#,
        r#""actor_ref":"00112233445566778899aabbccddeeff","body_sha256":"#,
        r#""a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5","body_bytes":4294967295}"#
    );
    assert_eq!(text, expected);
    assert!(!text.contains("Ada"), "no personal data in a leaf");
    let view = parse_leaf(&leaf).unwrap();
    assert_eq!((view.source_epoch.as_deref(), view.source_seq), (Some("e\"\\"), Some(0)));
    assert_eq!(body_digest(&leaf), Some([0xA5; 32]));
    for at in 0..leaf.len() {
        let mut other = leaf.clone();
        other.remove(at);
        let same = parse_leaf(&other).is_some_and(|v| v == view);
        assert!(!same, "byte {at} removed");
        assert_eq!(parse_leaf(&leaf[..at]), None);
    }
}

#[test]
fn digests_of_what_is_no_leaf() {
    for bytes in [&b""[..], b"}", b"{}", b"1}", b"\",\"body_bytes\":1}", &[b'0'; 200], &[0xFF; 100]] {
        assert_eq!(body_digest(bytes), None);
    }
}

proptest! {
    #[test]
    fn accepted_events_give_strict_bodies_and_leaves_that_read_back(
        action in "[a-z0-9_.:/-]{1,128}", id in "[ -~]{1,128}", message in ".{0,200}", person in ".{1,60}",
        epoch in "[ -~]{1,64}", n in 0..(1_u64 << 53), spaces in "[ \n\t]{0,3}",
    ) {
        let text = |s: &str| serde_json::to_string(s).unwrap();
        let raw = format!(
            "{{{spaces}\"message\":{},\"id\":{spaces}{},\"action\":{},\
             \"actor\":{{\"type\":\"user\",{spaces}\"id\":{}}},\
             \"metadata\":{{\"k\":[{},{spaces}{{}}]}},\"source_seq\":{{\"n\":{n},\"epoch\":{}}}}}{spaces}",
            text(&message), text(&id), text(&action), text(&person), text(&message), text(&epoch)
        );
        let event = prepare(Format::Native, raw.as_bytes()).unwrap();
        let (mut one, mut two) = (Vec::new(), Vec::new());
        event.write_body(SALT, &mut one);
        event.write_body(SALT, &mut two);
        prop_assert_eq!(&one, &two);
        prop_assert!(event::strict_json(&one).is_ok());
        let value: serde_json::Value = serde_json::from_slice(&one).unwrap();
        prop_assert_eq!(value["event"]["message"].as_str().unwrap(), message);
        prop_assert_eq!(value["event"]["subjects"][0].as_str().unwrap(), format!("user:{person}"));
        let mut leaf = Vec::new();
        let slot = event.write_leaf("01JD0000000000000000000000", None, &[1; 32], 7, &mut leaf) as usize;
        leaf[slot..slot + 30].copy_from_slice(&event::stamp(n));
        let view = parse_leaf(&leaf).unwrap();
        prop_assert_eq!(view.action, action);
        prop_assert_eq!(view.source_epoch.as_deref().unwrap(), epoch);
        prop_assert_eq!(body_digest(&leaf), Some([1; 32]));
    }

    #[test]
    fn times_agree_with_another_calendar(ns in 0_u64..9_000_000_000_000_000_000) {
        let text = String::from_utf8(event::stamp(ns).to_vec()).unwrap();
        let other: jiff::Timestamp = text.parse().unwrap();
        prop_assert_eq!(other.as_nanosecond(), i128::from(ns));
        let raw = format!(r#"{{"action":"a","occurred_at":"{text}"}}"#);
        let event = prepare(Format::Native, raw.as_bytes()).unwrap();
        prop_assert_eq!(event.occurred_at(), &event::stamp(ns));
    }

    #[test]
    fn any_bytes_are_an_answer(raw in proptest::collection::vec(any::<u8>(), 0..300)) {
        for format in [Format::Native, Format::CloudTrail, Format::OpenBao, Format::Syslog, Format::Text] {
            for part in event::split(format, event::Framing::Auto, &raw).unwrap_or_default() {
                if let Ok(event) = prepare(format, part) {
                    prop_assert!(event::strict_json(crate::body(&event).as_bytes()).is_ok());
                }
            }
        }
    }
}
