//! From a request to a batch, and back to answers.

use std::sync::Arc;

use journal::append::{Answers, Builder, Built, Slot, answers};
use journal::rules::Ulids;
use journal::{Credential, EventResult, FilePlace, Format, Framing, Quotas, Request};
use ledger::Outcome;
use tlog::Hash;
use vault::{Random, Vault};

fn credential() -> Credential {
    Credential {
        token_id: "t".into(),
        principal: "p".into(),
        bootstrap: false,
        default_source: "urn:a".into(),
        source_prefixes: vec!["urn:b:".into()],
        ledgers: vec!["*".into()],
        verbs: vec![],
        quotas: Quotas::default(),
    }
}

fn build(format: Format, place: Option<FilePlace>, body: &[u8], collide: bool) -> Built {
    let dir = tempfile::tempdir().unwrap();
    let random: Random = Arc::new(|out| out.fill(7));
    let (vault, _) = Vault::open(&dir.path().join("v"), Arc::clone(&random)).unwrap();
    let ulids = Ulids::default();
    let now_ns = 1_795_487_382_000_000_000;
    let builder = Builder { vault: &vault, random: &random, ulids: &ulids, now_ns, ledger: "main" };
    let request = Request { format, body, framing: Framing::Auto, place };
    if collide {
        return builder.build_parts(&credential(), &request, &[body], true).unwrap();
    }
    builder.build(&credential(), &request).unwrap()
}

fn native(body: &str) -> Built {
    build(Format::Native, None, body.as_bytes(), false)
}

fn refused(slot: &Slot) -> (u16, Option<u64>) {
    match slot {
        Slot::Refused(r) => (r.status, r.line),
        Slot::Queued { .. } => (200, None),
    }
}

#[test]
fn good_events_are_queued_and_bad_ones_named_in_order() {
    let built = native(concat!(
        "{\"action\":\"a.b\",\"id\":\"1\",\"actor\":{\"type\":\"user\",\"id\":\"u\"}}\n",
        "{\"action\":\"a.b\",\"nonsense\":1}\n",
        "{\"action\":\"a.b\",\"source\":\"urn:c\"}\n",
        "{\"action\":\"a.b\",\"source\":\"urn:proofbook:server\"}\n",
        "{\"action\":\"a.b\",\"source\":\"urn:b:x\"}\n",
        "{\"action\":\"a.b\",\"stream\":\"other\"}\n",
    ));
    let got: Vec<_> = built.slots.iter().map(refused).collect();
    let line = |n| Some(n);
    let expected = [(200, None), (400, line(2)), (403, line(3)), (403, line(4)), (200, None), (403, line(6))];
    assert_eq!(got, expected);
    assert_eq!(built.batch.entries.len(), 2);
    let first = built.batch.entries[0];
    let (leaf, rest) = built.batch.payload.split_at(first.leaf_bytes as usize);
    let body = &rest[..first.body_bytes.unwrap() as usize];
    assert_eq!(
        event::body_digest(leaf).unwrap(),
        *aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body).as_ref()
    );
    let view = event::leaf::EMPTY_STAMP;
    let at = first.stamp_at.unwrap() as usize;
    assert_eq!(&leaf[at..at + 30], view);
    assert!(std::str::from_utf8(leaf).unwrap().contains("\"actor_ref\":\"") && !first.fresh);
    assert!(built.batch.entries[1].fresh, "an id that the server made needs no look-up");
}

#[test]
fn tags_follow_identity_and_submitted_bytes() {
    let tags = |body: &str| native(body).batch.entries[0].tags;
    let one = tags("{\"action\":\"a.b\",\"id\":\"1\"}");
    assert_eq!(tags("{\"action\":\"a.b\",\"id\":\"1\"}"), one);
    let spaced = tags("{\"action\":\"a.b\", \"id\":\"1\"}");
    assert_eq!((spaced.identity, spaced.content == one.content), (one.identity, false));
    assert_ne!(tags("{\"action\":\"a.b\",\"id\":\"2\"}").identity, one.identity);
}

#[test]
fn answers_stand_in_the_order_of_the_request() {
    let event = |id: u8| format!(r#"{{"action":"a.b","id":"{id}"}}"#);
    let slots = native(&format!(r#"[{},{{"x":1}},{},{},{}]"#, event(1), event(2), event(3), event(4))).slots;
    let leaf_hash = Hash([9; 32]);
    let outcomes = [
        Outcome::Appended { index: 5, leaf_hash },
        Outcome::Duplicate { index: 1, leaf_hash },
        Outcome::Conflict { index: 2 },
    ];
    let Answers { results, again } = answers(slots, &outcomes, &|index| Some(format!("first-{index}")));
    assert_eq!((results.len(), again), (5, vec![]));
    assert!(matches!(&results[0], EventResult::Acknowledged { index: 5, duplicate: false, .. }));
    assert!(matches!(&results[1], EventResult::Refused(r) if r.status == 400));
    let entry_id = "first-1".to_owned();
    assert_eq!(results[2], EventResult::Acknowledged { index: 1, leaf_hash, entry_id, duplicate: true });
    assert!(matches!(&results[3], EventResult::Refused(r) if r.status == 409 && r.first_index == Some(2)));
    assert!(matches!(&results[4], EventResult::Refused(r) if r.status == 503), "never acknowledged without an outcome");
}

#[test]
fn hostile_bodies_are_refused_and_never_panic() {
    let deep = "[".repeat(100_000);
    let deep_value = format!("{{\"action\":\"a.b\",\"metadata\":{}1{}}}", "[".repeat(70), "]".repeat(70));
    let keys = format!("{{\"action\":\"a.b\",\"metadata\":{{{}\"x\":1}}}}", "\"k\":1,".repeat(1_000));
    let cases: [&[u8]; 14] = [
        b"{",
        b"[{]",
        b"{\"action\":1}",
        b"{\"action\":\"a.b\",\"action\":\"a.b\"}",
        b"{\"action\":\"\\ud800\"}",
        b"{\"action\":\"a.b\",\"message\":\"\xff\"}",
        b"{\"action\":\"a.b\",\"message\":\"\x00\"}",
        b"\xef\xbb\xbf{}",
        b"NaN",
        b"{\"action\":\"a.b\",\"severity\":1e400}",
        b"{\"action\":\"a.b\",\"seq\":1}",
        deep.as_bytes(),
        deep_value.as_bytes(),
        keys.as_bytes(),
    ];
    let dir = tempfile::tempdir().unwrap();
    let random: Random = Arc::new(|out| out.fill(7));
    let (vault, _) = Vault::open(&dir.path().join("v"), Arc::clone(&random)).unwrap();
    let builder = Builder { vault: &vault, random: &random, ulids: &Ulids::default(), now_ns: 1, ledger: "main" };
    for body in cases {
        let request = Request { format: Format::Native, body, framing: Framing::Auto, place: None };
        if let Ok(built) = builder.build(&credential(), &request) {
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            assert!(built.batch.entries.is_empty() && !built.slots.is_empty(), "{shown}");
        }
    }
}

#[test]
fn a_made_up_id_that_meets_other_content_goes_on_under_a_generated_one() {
    let place = || Some(FilePlace { file: "0123456789abcdef".into(), offset: 40 });
    let built = build(Format::Text, place(), b"one\ntwo\n", false);
    assert!(built.slots.iter().all(|s| matches!(s, Slot::Queued { from_place: true, .. })));
    let tags = |built: &Built| built.batch.entries.iter().map(|e| e.tags).collect::<Vec<_>>();
    assert_eq!(tags(&build(Format::Text, place(), b"one\ntwo\n", false)), tags(&built), "a resumed upload finds them");

    let outcomes = [Outcome::Conflict { index: 3 }, Outcome::Appended { index: 9, leaf_hash: Hash([1; 32]) }];
    assert_eq!(answers(built.slots, &outcomes, &|_| None).again, [0]);
    let again = build(Format::Text, place(), b"one", true);
    assert!(matches!(again.slots.as_slice(), [Slot::Queued { from_place: false, .. }]));
    assert!(again.batch.entries[0].fresh);
    let payload = String::from_utf8(again.batch.payload.clone()).unwrap();
    assert!(payload.contains("\"id_collision\":true"), "{payload}");
}
