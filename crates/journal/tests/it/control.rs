//! The fold over `control`.

use std::sync::Arc;

use journal::fold::control::{Control, Fact, LedgerFact, OWN_SOURCE, Token, secret_sha256};
use journal::{Credential, Verb};

pub(crate) fn body(source: &str, fact: &Fact) -> Vec<u8> {
    let fact = serde_json::to_value(fact).unwrap();
    let event = serde_json::json!({"id": "x", "source": source, "action": "x.y", "ext": {"control": fact}});
    serde_json::to_vec(&serde_json::json!({"salt": "AAAAAAAAAAAAAAAAAAAAAA==", "event": event})).unwrap()
}

fn token(id: &str, secret: &str, bootstrap: bool, verbs: &[&str]) -> Fact {
    Fact::TokenCreated(Token {
        token_id: id.into(),
        secret_sha256: secret_sha256(secret),
        principal: "p1".into(),
        bootstrap,
        default_source: "urn:example:a".into(),
        source_prefixes: vec![],
        ledgers: vec!["main".into()],
        verbs: verbs.iter().map(|v| (*v).to_owned()).collect(),
        events_per_second: 0,
        bytes_per_day: 0,
        reads_per_minute: 0,
    })
}

pub(crate) fn history() -> Vec<Fact> {
    vec![
        Fact::Started { options: vec!["accept-first-start".into()] },
        Fact::PrincipalAdded { principal: "p1".into() },
        token("t1", "first", true, &["admin", "append"]),
        Fact::LedgerCreated(LedgerFact {
            ulid: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
            name: "main".into(),
            kind: "audit".into(),
            origin: "local-000000000000/logs/main".into(),
            retention: "none".into(),
            public_leaves: false,
        }),
        token("t2", "second", false, &["admin", "fly"]),
        token("t3", "third", false, &["append"]),
        Fact::TokenRevoked { token_id: "t3".into() },
        Fact::Stopped {},
    ]
}

pub(crate) fn fold(facts: &[Fact]) -> Control {
    let mut control = Control::default();
    for (index, fact) in (0..).zip(facts) {
        control.step(index, &body(OWN_SOURCE, fact)).unwrap();
    }
    control
}

/// As the journal looks a secret up.
fn authenticate(control: &Control, secret: &str) -> Option<Arc<Credential>> {
    control.credentials().remove(&secret_sha256(secret))
}

#[test]
fn a_token_is_known_by_its_secret_until_it_is_revoked() {
    let control = fold(&history());
    let first = authenticate(&control, "first").unwrap();
    assert!(first.bootstrap && first.allows(Verb::Append, "main") && !first.allows(Verb::Append, "other"));
    assert!(authenticate(&control, "third").is_none(), "revoked");
    assert!(authenticate(&control, "").is_none());
    assert!(authenticate(&control, &secret_sha256("first")).is_none(), "the stored hash is no secret");
    assert_eq!(authenticate(&control, "second").unwrap().verbs, [Verb::Admin], "an unknown verb grants nothing");
}

#[test]
fn replay_from_zero_and_from_any_snapshot_gives_the_same_state() {
    let facts = history();
    let whole = fold(&facts);
    assert_eq!(whole, fold(&facts));
    for cut in 0..facts.len() {
        let text = serde_json::to_string(&fold(&facts[..cut])).unwrap();
        let mut control: Control = serde_json::from_str(&text).unwrap();
        for (index, fact) in (cut as u64..).zip(&facts[cut..]) {
            control.step(index, &body(OWN_SOURCE, fact)).unwrap();
        }
        assert_eq!(control, whole, "from {cut}");
    }
}

#[test]
fn what_others_write_to_control_is_data() {
    let mut control = fold(&history());
    let before = control.clone();
    for source in ["urn:example:a", "urn:proofbook:server2", ""] {
        let forged = token("t9", "forged", false, &["admin"]);
        control.step(control.size, &body(source, &forged)).unwrap();
    }
    assert!(authenticate(&control, "forged").is_none());
    assert_eq!(control.size, before.size + 3);
    assert_eq!(control.tokens, before.tokens);
}

#[test]
fn what_the_fold_cannot_take_stops_it() {
    let mut control = fold(&history());
    let before = control.clone();
    let next = control.size;
    let unknown =
        br#"{"salt":"","event":{"source":"urn:proofbook:server","ext":{"control":{"fact":"token-suspended"}}}}"#;
    let more = br#"{"salt":"","event":{"source":"urn:proofbook:server","ext":{"control":{"fact":"stopped","x":1}}}}"#;
    for bad in [unknown.as_slice(), more, b"", b"{}", b"\xff"] {
        assert_eq!(control.step(next, bad).unwrap_err().index, next);
    }
    for fact in [
        token("t1", "again", false, &[]),
        token("t9", "first", false, &[]),
        Fact::TokenRevoked { token_id: "t9".into() },
    ] {
        control.step(next, &body(OWN_SOURCE, &fact)).unwrap_err();
    }
    control.step(next + 1, &body(OWN_SOURCE, &Fact::Stopped {})).unwrap_err();
    assert_eq!(control, before);
}

#[test]
fn the_first_token_file_goes_when_another_admin_token_is_used() {
    let mut control = fold(&history());
    let first = authenticate(&control, "first").unwrap();
    let second = authenticate(&control, "second").unwrap();
    assert!(!control.ends_bootstrap(&first));
    assert!(!control.ends_bootstrap(&second), "an admin of some ledgers cannot take its place");
    let Fact::TokenCreated(mut all) = token("t4", "fourth", false, &["admin"]) else { unreachable!() };
    all.ledgers = vec!["*".into()];
    control.step(control.size, &body(OWN_SOURCE, &Fact::TokenCreated(all))).unwrap();
    let second = authenticate(&control, "fourth").unwrap();
    assert!(control.ends_bootstrap(&second));
    control.step(control.size, &body(OWN_SOURCE, &Fact::BootstrapEnded { by: "t2".into() })).unwrap();
    assert!(!control.ends_bootstrap(&second));
}

#[test]
fn folders_and_control_are_compared() {
    let control = fold(&history());
    let known = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    assert_eq!(control.compare_folders(&[known]), (vec![], vec![]));
    assert_eq!(control.compare_folders(&["other"]), (vec![known], vec!["other"]));
}
