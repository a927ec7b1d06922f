//! Sealed bodies: golden vectors, cut and put back, and what hostile bytes get.

use std::collections::BTreeMap;

use event::seal::{
    Body, CONTENTS_BYTES_MAX, Commitment, Contents, Pointer, SealPart, Seed, bucket, cut, pad, parse_body, reserved,
    restore, unpad, write_body,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn at(path: &str) -> Pointer {
    Pointer::parse(path).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

const SEED: [u8; 32] = {
    let mut seed = [0; 32];
    let mut n = 0_u8;
    while n < 32 {
        seed[n as usize] = n;
        n += 1;
    }
    seed
};

/// Path, committed bytes, salt, commitment under [`SEED`]. Made with Python's standard library:
/// `H = lambda k, m: hmac.new(k, m, "sha256").digest()`, `salt = H(H(bytes(32), seed), b"proofbook/salt/v1" + path +
/// b"\x01")`, `C = H(salt, len(path).to_bytes(2, "big") + path + len(value).to_bytes(4, "big") + value)`.
#[rustfmt::skip]
const GOLDEN: [(&str, &[u8], &str, &str); 5] = [
    ("/actor/id", b"\"u-1\"", "93064ebf0e982df3031f54c3b5da2103928264463ce5b494d9de1eaef5f0b54e",
        "3e40744eb90adb032e0bf5fc3cda301154e630aca3a4117e5835c1861f40ed20"),
    ("/context/ip", b"\"192.0.2.7\"", "a417128ccaf6173ccb9d1b73b03aa3978829eeea5fcbff5395d077c9481d924a",
        "05b6b954a948f41ac84c6723e3c958600ca0b72d267ed2059b0224fdbb8488a5"),
    ("/targets/0/id", b"\"caf\xc3\xa9\"", "a75719efa293382eebf07cf35323adabaf35342e2b4326fe207f60627fd56660",
        "6b33520368bb4309f0fbb66c3b8e66147d001fe087bc91452327897f376a6422"),
    ("/original/raw", b"\xff\x00raw line\n", "352d1fc513eadf23793195fef3a559016a7de9f7708120e5def9b2248995b32b",
        "13d9a7082f0658284f04d58c4c7788182267689bb7d991164ba8d3f70b71c269"),
    ("/metadata/a~1b", b"{\"a\":\"A\",\"b\":1}", "5a1ab003901ae7972ff4de5db15caaf2239dd86fc829acb6e084d73075f99d18",
        "e3ca0de1fcb46091570f945f358e385bf82a93423556100ea67acd4474514b87"),
];

/// Every kind of place: a string, an escaped one, a raw original in base64, a name with a slash, an object spelled in
/// its own way, and one that looks like a marker.
fn event() -> String {
    let raw = "/wByYXcgbGluZQo=";
    format!(
        r#"{{"id":"1","actor":{{"type":"user","id":"u-1"}},"targets":[{{"type":"doc","id":"caf\u00e9"}}],"context":{{"ip":"192.0.2.7","host":"h"}},"metadata":{{"a/b":{{"b":1.0,"a":"\u0041"}}}},"ext":{{"x":{{"$sealed":[0,"no"]}}}},"original":{{"format":"text","encoding":"base64","raw":"{raw}"}}}}"#
    )
}

fn golden_places() -> Vec<(Pointer, usize)> {
    GOLDEN.iter().map(|(path, ..)| (at(path), 0)).chain([(at("/ext/x"), 0)]).collect()
}

#[test]
fn golden_commitments_alone_and_in_an_event() {
    let seed = Seed::new(&SEED);
    let done = cut(event().as_bytes(), &golden_places(), &[SEED]).unwrap();
    let shown: Value = serde_json::from_slice(&done.event).unwrap();
    for (path, value, salt, commitment) in GOLDEN {
        let path = at(path);
        let made = seed.salt(&path);
        assert_eq!(hex(&made.0), salt, "{path}");
        assert_eq!(hex(&made.commit(&path, value).0), commitment, "{path}");
        let marker = shown.pointer(path.as_str()).unwrap();
        let commitment = made.commit(&path, value);
        use base64::Engine as _;
        let b64 = base64::engine::general_purpose::STANDARD.encode(commitment.0);
        assert_eq!(*marker, json!({ "$sealed": [0, b64] }), "{path}");
        assert!(made.verify(&path, value, &commitment));
        assert!(!made.verify(&path, &[value, b" "].concat(), &commitment));
        assert!(!made.verify(&at("/other"), value, &commitment));
    }
    assert_eq!(shown.pointer("/context/host"), Some(&json!("h")));
}

#[test]
fn the_contents_are_canonical_and_say_what_was_written() {
    let done = cut(event().as_bytes(), &golden_places(), &[SEED]).unwrap();
    let bytes = done.contents[0].to_bytes().unwrap();
    let expected = concat!(
        r#"{"seed":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","values":{"/actor/id":"u-1","#,
        r#""/context/ip":"192.0.2.7","/ext/x":{"$sealed":[0,"no"]},"/original/raw":"/wByYXcgbGluZQo="},"#,
        r#""written":{"/metadata/a~1b":"{\"b\":1.0,\"a\":\"\\u0041\"}","/targets/0/id":"\"caf\\u00e9\""}}"#,
    );
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
    let again = Contents::parse(&bytes).unwrap();
    assert_eq!(again.to_bytes().unwrap(), bytes);
    assert_eq!(again.text(&at("/metadata/a~1b")), Some(br#"{"b":1.0,"a":"\u0041"}"#.as_slice()));
    assert_eq!(again.text(&at("/metadata")), None);
    let back = restore(&done.event, &[(0, again)]).unwrap();
    assert_eq!(String::from_utf8(back.event).unwrap(), event());
    assert!(back.withheld.is_empty());
}

#[test]
fn an_unopened_slot_stays_withheld_and_tells_nothing_of_the_other() {
    let places = [(at("/actor/id"), 0), (at("/context/ip"), 1), (at("/ext/x"), 1)];
    let mut done = cut(event().as_bytes(), &places, &[[1; 32], [2; 32]]).unwrap();
    let first = done.contents.remove(0);
    let back = restore(&done.event, &[(0, first)]).unwrap();
    let shown: Value = serde_json::from_slice(&back.event).unwrap();
    assert_eq!(shown.pointer("/actor/id"), Some(&json!("u-1")));
    assert!(shown.pointer("/context/ip/$sealed").is_some());
    let withheld: Vec<(&str, usize)> = back.withheld.iter().map(|p| (p.path.as_str(), p.slot)).collect();
    assert_eq!(withheld, [("/context/ip", 1), ("/ext/x", 1)]);
    // T6: equal values at two places, and under two seeds, leave different salts and commitments.
    let both = cut(br#"{"a":"x","b":"x"}"#, &[(at("/a"), 0), (at("/b"), 1)], &[[1; 32], [2; 32]]).unwrap();
    let shown: Value = serde_json::from_slice(&both.event).unwrap();
    assert_ne!(shown["a"]["$sealed"][1], shown["b"]["$sealed"][1]);
    let same = cut(br#"{"a":"x","b":"x"}"#, &[(at("/a"), 0), (at("/b"), 0)], &[[1; 32]]).unwrap();
    let shown: Value = serde_json::from_slice(&same.event).unwrap();
    assert_ne!(shown["a"]["$sealed"][1], shown["b"]["$sealed"][1]);
}

/// T5, the half of it that is arithmetic: with the salt every guess can be tested, without it none.
#[test]
fn guesses_need_the_salt() {
    let path = at("/context/ip");
    let commitment = Seed::new(&SEED).salt(&path).commit(&path, b"\"10.0.3.7\"");
    let guesses = |seed: &Seed| -> usize {
        let salt = seed.salt(&path);
        let all = (0..=255).flat_map(|c| (0..=255).map(move |d| format!("\"10.0.{c}.{d}\"")));
        all.filter(|guess| salt.verify(&path, guess.as_bytes(), &commitment)).count()
    };
    assert_eq!(guesses(&Seed::new(&SEED)), 1);
    assert_eq!(guesses(&Seed::new(&[0; 32])), 0);
}

#[test]
fn what_cannot_be_cut_is_refused_by_name() {
    let code = |event: &str, places: &[(&str, usize)], seeds: usize| {
        let places: Vec<(Pointer, usize)> = places.iter().map(|(path, slot)| (at(path), *slot)).collect();
        cut(event.as_bytes(), &places, &vec![SEED; seeds]).map(|_| "ok").unwrap_or_else(|e| e.code)
    };
    assert_eq!(code(r#"{"a":[1,2]}"#, &[("/a/1", 0)], 1), "ok");
    assert_eq!(code(r#"{"a":[1,2]}"#, &[("/a/2", 0)], 1), "pointer_invalid");
    assert_eq!(code(r#"{"a":[1,2]}"#, &[("/a/01", 0)], 1), "pointer_invalid");
    assert_eq!(code(r#"{"a":[1,2]}"#, &[("/a/-", 0)], 1), "pointer_invalid");
    assert_eq!(code(r#"{"a":1}"#, &[("/b", 0)], 1), "pointer_invalid");
    assert_eq!(code(r#"{"a":[1,2]}"#, &[("/a", 0), ("/a/0", 0)], 1), "place_nested");
    assert_eq!(code(r#"{"a":1}"#, &[("/a", 0), ("/a", 0)], 1), "place_nested");
    assert_eq!(code(r#"{"a":1}"#, &[("/a", 1)], 1), "slot_invalid");
    assert_eq!(code(r#"{"a":1}"#, &[("/a", 0)], 2), "slot_invalid");
    assert_eq!(code(r#"{"a":1}"#, &[("/a", 0)], 33), "slot_invalid");
    assert_eq!(code(r#"{"a":1,"b":{"$sealed":[0,""]}}"#, &[("/a", 0)], 1), "marker_reserved");
    assert_eq!(code(r#"{"a":1,"b":[{"\u0024sealed":2}]}"#, &[("/a", 0)], 1), "marker_reserved");
    assert_eq!(code(r#"{"a":1,"b":[{"\u0024sealed":2}]}"#, &[("/a", 0), ("/b/0", 0)], 1), "ok");
    assert_eq!(code("[1]", &[], 0), "event_type");
    let original = |raw: &str, more: &str| format!(r#"{{"original":{{{more}"raw":{raw}}}}}"#);
    let raw = [("/original/raw", 0)];
    assert_eq!(code(&original("\"x\"", ""), &raw, 1), "ok");
    assert_eq!(code(&original("7", ""), &raw, 1), "place_refused");
    assert_eq!(code(&original("\"%\"", r#""encoding":"base64","#), &raw, 1), "place_refused");
    assert_eq!(code(&original("\"x\"", r#""encoding":"other","#), &raw, 1), "place_refused");
    let with = original("\"x\"", r#""encoding":"base64","#);
    assert_eq!(code(&with, &[("/original/encoding", 0)], 1), "place_refused");
    assert_eq!(code(&with, &[("/original", 0)], 1), "ok");
    for bad in ["", "a", "/a~", "/a~2", &format!("/{}", "x".repeat(1024))] {
        assert_eq!(Pointer::parse(bad).unwrap_err().code, "pointer_invalid", "{bad}");
    }
    let found: Vec<String> = reserved(event().as_bytes()).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(found, ["/ext/x"]);
}

#[test]
fn another_value_than_the_committed_one_is_refused() {
    let done = cut(br#"{"a":"x","b":2}"#, &[(at("/a"), 0), (at("/b"), 0)], &[SEED]).unwrap();
    let bytes = String::from_utf8(done.contents[0].to_bytes().unwrap()).unwrap();
    let code = |contents: &str| {
        let contents = Contents::parse(contents.as_bytes()).unwrap();
        restore(&done.event, &[(0, contents)]).unwrap_err().code
    };
    assert_eq!(code(&bytes.replace(r#":"x""#, r#":"y""#)), "value_other");
    assert_eq!(code(&bytes.replace("AAEC", "AAED")), "value_other");
    assert_eq!(code(&bytes.replace(r#""/a":"x","#, "")), "value_missing");
    assert_eq!(code(&bytes.replace(r#""/b":2"#, r#""/b":2,"/c":3"#)), "value_extra");
    let twice = || Contents::parse(bytes.as_bytes()).unwrap();
    assert_eq!(restore(&done.event, &[(0, twice()), (0, twice())]).unwrap_err().code, "slot_invalid");
    // A marker moved to another place, or into another slot, opens nothing.
    let text = String::from_utf8(done.event.clone()).unwrap();
    let moved = text.replace(r#""a":"#, r#""z":"#);
    assert_eq!(restore(moved.as_bytes(), &[(0, twice())]).unwrap_err().code, "value_missing");
    let other = text.replacen("[0,", "[1,", 1);
    assert_eq!(restore(other.as_bytes(), &[(0, twice())]).unwrap_err().code, "value_extra");
}

#[test]
fn contents_have_one_spelling() {
    let good = r#"{"seed":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","values":{"/a":1}}"#;
    assert!(Contents::parse(good.as_bytes()).is_ok());
    let bad = [
        good.replace(":1", ": 1"),
        good.replace(":1", ":1.0"),
        good.replace("Hh8=", "Hh9="),
        good.replace("AAEC", "AA"),
        good.replace("}}", "},\"written\":{}}"),
        good.replace("}}", "},\"written\":{\"/b\":\"1\"}}"),
        good.replace("}}", "},\"written\":{\"/a\":\"1.0\"}}"),
        good.replace("}}", "},\"written\":{\"/b\":\"1 2\"}}"),
        good.replace("}}", "},\"written\":{\"/b\":1}}"),
        good.replace("}}", "},\"other\":1}"),
        good.replace("\"/a\"", "\"a\""),
        good.replace("\"/a\":1", "\"/b\":1,\"/a\":1"),
        good.replace("\"values\":{\"/a\":1}", "\"values\":[]"),
        "{}".to_owned(),
        "[]".to_owned(),
    ];
    for bad in &bad {
        assert_ne!(bad, good);
        assert!(Contents::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert_eq!(Contents::parse(&vec![b' '; CONTENTS_BYTES_MAX + 1]).err().unwrap().code, "contents_size");
}

#[test]
fn buckets() {
    let table = [(0, 256), (256, 256), (257, 512), (2_049, 4_096), (4_097, 8_192), (40_000, 40_960), (65_537, 73_728)];
    for (bytes, expected) in table {
        assert_eq!(bucket(bytes), expected, "{bytes}");
    }
    for bytes in (0..100_000).step_by(7) {
        let padded = bucket(bytes);
        assert!(padded >= bytes && bucket(padded) == padded && padded <= (2 * bytes).max(256));
    }
    let padded = pad(b"abc").unwrap();
    assert_eq!((padded.len(), &padded[..8]), (256, b"\0\0\0\x03abc\0".as_slice()));
    assert_eq!(unpad(&padded).unwrap(), b"abc");
    let mut dirty = padded.clone();
    dirty[255] = 1;
    let mut long = padded.clone();
    long[0] = 0xff;
    let larger = [padded.as_slice(), &[0; 256]].concat();
    for bad in [&dirty[..], &long, &larger, &padded[..255], b"", b"\0\0\0"] {
        assert_eq!(unpad(bad).unwrap_err().code, "pad_invalid");
    }
}

fn part(fill: u8) -> SealPart {
    SealPart { key_id: [fill; 16], nonce: [fill; 12], key_commitment: [fill; 32], ct: vec![fill; 256 + 16] }
}

fn sealed_body() -> String {
    let places = [(at("/a"), 0), (at("/b"), 1)];
    let done = cut(br#"{"a":"x","b":2,"c":3}"#, &places, &[[1; 32], [2; 32]]).unwrap();
    let mut out = Vec::new();
    write_body(&[7; 16], &done.event, &[part(1), part(2)], &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_body_reads_back_and_a_plain_one_is_todays() {
    let text = sealed_body();
    let body: Body<'_> = parse_body(text.as_bytes()).unwrap();
    assert_eq!((body.salt, &body.seals), ([7; 16], &vec![part(1), part(2)]));
    let places: Vec<(&str, usize)> = body.places.iter().map(|p| (p.path.as_str(), p.slot)).collect();
    assert_eq!(places, [("/a", 0), ("/b", 1)]);
    let expected: Commitment = Seed::new(&[1; 32]).salt(&at("/a")).commit(&at("/a"), b"\"x\"");
    assert_eq!(body.places[0].commitment, expected);
    let mut again = Vec::new();
    write_body(&body.salt, body.event, &body.seals, &mut again);
    assert_eq!(again, text.as_bytes());
    // What the server writes today is the plain form, a member of the reserved name in it or not.
    let raw = br#"{"action":"a","metadata":{"$sealed":[0,"x"]}}"#;
    let today = crate::body(&crate::prepare(event::Format::Native, raw).unwrap());
    let body = parse_body(today.as_bytes()).unwrap();
    assert!(body.seals.is_empty() && body.places.is_empty() && today.contains(r#"{"$sealed":[0,"x"]}"#));
    let mut again = Vec::new();
    write_body(&body.salt, body.event, &[], &mut again);
    assert_eq!(again, today.as_bytes());
}

#[test]
fn hostile_bodies_are_refused_by_name() {
    let good = sealed_body();
    let code = |text: &str| parse_body(text.as_bytes()).map(|_| "ok").unwrap_or_else(|e| e.code);
    let change = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        code(&good.replacen(from, to, 1))
    };
    assert_eq!(code(&good), "ok");
    assert_eq!(change(r#"{"salt""#, r#" {"salt""#), "body_invalid");
    assert_eq!(change(r#","event""#, r#", "event""#), "body_invalid");
    assert_eq!(change(r#""salt""#, r#""s\u0061lt""#), "body_invalid");
    assert_eq!(change("Bw==", "Bx=="), "body_invalid");
    assert_eq!(change("BwcHBw", "Bw"), "body_invalid");
    assert_eq!(change(r#""seals""#, r#""seal""#), "body_invalid");
    assert_eq!(code(&format!("{},\"x\":1}}", &good[..good.len() - 1])), "body_invalid");
    assert_eq!(code("[]"), "body_invalid");
    assert_eq!(code(r#"{"salt":"AAAAAAAAAAAAAAAAAAAAAA==","event":[]}"#), "body_invalid");
    assert_eq!(code(""), "json_invalid");
    let seals = good.find(r#","seals":"#).unwrap();
    let with = |seals: &str| format!("{},\"seals\":{seals}}}", &good[..good.find(r#","seals":"#).unwrap()]);
    assert_eq!(code(&with("[]")), "seal_invalid");
    assert_eq!(code(&with("{}")), "seal_invalid");
    assert_eq!(code(&with("[{}]")), "seal_invalid");
    assert_eq!(code(&with(&format!("[{}]", vec!["{}"; 33].join(",")))), "seal_invalid");
    assert_eq!(code(&format!("{}}}", &good[..seals])), "ok", "without seals nothing of an event is interpreted");
    assert_eq!(change(r#"{"slot":1"#, r#"{"slot":0"#), "seal_invalid");
    assert_eq!(change(r#"{"slot":1"#, r#"{"slot":01"#), "json_invalid");
    assert_eq!(change(r#"{"slot":1"#, r#"{"slot":1.0"#), "seal_invalid");
    assert_eq!(change(r#""key_id":""#, r#""key_id":"AAAA"#), "seal_invalid");
    assert_eq!(change(r#""nonce":""#, r#""nonce":"AAAA"#), "seal_invalid");
    assert_eq!(change(r#""key_commitment":""#, r#""key_commitment":"AAAA"#), "seal_invalid");
    assert_eq!(change(r#""ct":""#, r#""ct":"AAAA"#), "seal_invalid");
    assert_eq!(change(r#""ct":""#, r#""ct":"%%%%"#), "seal_invalid");
    assert_eq!(change(r#""nonce""#, r#""once""#), "seal_invalid");
    // Markers: a slot without seal, a seal without marker, another spelling, too little, too much.
    assert_eq!(change("[1,", "[2,"), "marker_invalid");
    assert_eq!(change("[1,", "[0,"), "seal_invalid");
    assert_eq!(change("[1,", "[-1,"), "marker_invalid");
    assert_eq!(change("[1,", "[1e0,"), "marker_invalid");
    assert_eq!(change("[1,", "[\"1\","), "marker_invalid");
    assert_eq!(change("[1,", "[1,1,"), "marker_invalid");
    assert_eq!(change(r#""$sealed":["#, r#""x":1,"$sealed":["#), "marker_invalid");
    assert_eq!(change(r#""$sealed""#, r#""\u0024sealed""#), "marker_invalid");
    assert_eq!(change(r#""c":3"#, r#""c":{"$sealed":3}"#), "marker_invalid");
    assert_eq!(change(r#""c":3"#, r#""c":{"$sealed":[0,"AAAA"]}"#), "marker_invalid");
    let marker = &good[good.find(r#"{"$sealed""#).unwrap()..][..r#"{"$sealed":[0,""]}"#.len() + 44];
    let many = format!(r#""c":[{}]"#, vec![marker; 1_100].join(","));
    assert_eq!(change(r#""c":3"#, &many), "places_many");
    let deep = format!(r#""c":{{"{}":{marker}}}"#, "k".repeat(2_000));
    assert_eq!(change(r#""c":3"#, &deep), "pointer_invalid");
    assert_eq!(change(r#""c":3"#, &format!(r#""c":{}{}"#, "[".repeat(80), "]".repeat(80))), "json_depth");
}

/// Half a mebibyte of name above many lookalikes: the answer comes without a path being copied for each.
#[test]
fn long_names_above_many_lookalikes_cost_little() {
    let name = "k".repeat(500_000);
    let event = format!(r#"{{"a":{{"{name}":[{}]}}}}"#, vec![r#"{"$sealed":0}"#; 30_000].join(","));
    let begin = std::time::Instant::now();
    assert_eq!(reserved(event.as_bytes()).unwrap_err().code, "pointer_invalid");
    let refused = cut(event.as_bytes(), &[], &[]).err().unwrap();
    assert_eq!(refused.code, "marker_reserved");
    assert!(refused.to_string().len() < 300, "{refused}");
    assert!(begin.elapsed().as_secs() < 5);
}

fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof!["[a-c]{0,2}", "[~/\"\\\\\u{e9}\u{1f600}\n ]{1,3}", Just("$sealed".to_owned())];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::from),
        "\\PC{0,8}|[\0-\u{20}]{0,4}".prop_map(Value::from),
    ];
    let inner = leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..5)
                .prop_map(|all: BTreeMap<String, Value>| Value::Object(all.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("[a-f]", inner, 1..6)
        .prop_map(|all: BTreeMap<String, Value>| Value::Object(all.into_iter().collect()))
}

/// Paths of all values below the root.
fn paths(value: &Value, path: &str, out: &mut Vec<String>) {
    let mut visit = |name: &str, inner: &Value| {
        let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        paths(inner, &path, out);
        out.push(path);
    };
    match value {
        Value::Object(all) => all.iter().for_each(|(name, inner)| visit(name, inner)),
        Value::Array(all) => all.iter().enumerate().for_each(|(n, inner)| visit(&n.to_string(), inner)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn cut_and_restore_is_identity(
        value in any_json(), pretty in any::<bool>(), picks in prop::collection::vec((any::<u16>(), 0..3_usize), 0..6),
    ) {
        let event = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
        let mut all = Vec::new();
        paths(&value, "", &mut all);
        // Lookalikes first, then what was drawn, none within another.
        let lookalikes = reserved(&event).unwrap();
        let mut chosen: Vec<(String, usize)> = lookalikes.iter().map(|path| (path.as_str().to_owned(), 0)).collect();
        for (pick, slot) in picks {
            let path = &all[usize::from(pick) % all.len()];
            let within = |a: &str, b: &str| a == b || a.starts_with(&format!("{b}/"));
            if !chosen.iter().any(|(other, _)| within(path, other) || within(other, path)) {
                chosen.push((path.clone(), slot));
            }
        }
        // Slots without gaps.
        let used: Vec<usize> = (0..3).filter(|slot| chosen.iter().any(|(_, of)| of == slot)).collect();
        let places: Vec<(Pointer, usize)> = chosen
            .iter()
            .map(|(path, slot)| (at(path), used.iter().position(|of| of == slot).unwrap()))
            .collect();
        let seeds: Vec<[u8; 32]> = (0..used.len()).map(|n| [u8::try_from(n).unwrap() + 1; 32]).collect();
        let done = cut(&event, &places, &seeds).unwrap();
        for (path, _) in &places {
            let shown: Value = serde_json::from_slice(&done.event).unwrap();
            let marker = format!("{path}/$sealed/1");
            prop_assert!(shown.pointer(&marker).is_some());
        }
        let opened: Vec<(usize, Contents)> = done
            .contents
            .iter()
            .map(|contents| Contents::parse(&contents.to_bytes().unwrap()).unwrap())
            .enumerate()
            .collect();
        let back = restore(&done.event, &opened).unwrap();
        prop_assert_eq!(String::from_utf8_lossy(&back.event), String::from_utf8_lossy(&event));
        prop_assert!(back.withheld.is_empty());
        let none = restore(&done.event, &[]).unwrap();
        prop_assert_eq!(&none.event, &done.event);
        prop_assert_eq!(none.withheld.len(), places.len());
    }

    #[test]
    fn a_commitment_is_of_one_path_and_value(
        a in "[a-c/]{0,6}", b in "[a-c/]{0,6}", x in "[a-c/]{0,6}", y in "[a-c/]{0,6}",
    ) {
        let salt = Seed::new(&SEED).salt(&at("/s"));
        let one = salt.commit(&at(&format!("/{a}")), x.as_bytes());
        let other = salt.commit(&at(&format!("/{b}")), y.as_bytes());
        prop_assert_eq!(one == other, a == b && x == y);
        let salts = [&a, &b].map(|path| Seed::new(&SEED).salt(&at(&format!("/{path}"))).0);
        prop_assert_eq!(salts[0] == salts[1], a == b);
    }

    #[test]
    fn any_bytes_get_an_answer(
        from in 0..900_usize, bytes in prop::collection::vec(any::<u8>(), 0..20), to in 0..40_usize,
    ) {
        let good = sealed_body().into_bytes();
        let from = from.min(good.len());
        let to = (from + to).min(good.len());
        let bad = [&good[..from], &bytes, &good[to..]].concat();
        if let Ok(body) = parse_body(&bad) {
            let mut again = Vec::new();
            write_body(&body.salt, body.event, &body.seals, &mut again);
            prop_assert_eq!(&again, &bad);
        }
        let _ = Contents::parse(&bad);
        let _ = unpad(&bad);
    }

    #[test]
    fn padding_comes_off(data in prop::collection::vec(any::<u8>(), 0..6000)) {
        let padded = pad(&data).unwrap();
        prop_assert_eq!(unpad(&padded).unwrap(), &data[..]);
    }
}
