//! Sources, names, ids, secrets, scopes.

use std::sync::Arc;

use journal::rules::{Ulids, allow_source, is_ledger_name, origin, secret};
use journal::{Credential, Quotas, Scope, Verb};

fn credential(verbs: &[Verb], ledgers: &[&str]) -> Arc<Credential> {
    Arc::new(Credential {
        token_id: "t".into(),
        principal: "p".into(),
        bootstrap: false,
        default_source: "urn:a".into(),
        source_prefixes: vec!["urn:b:".into(), "urn:".into()],
        ledgers: ledgers.iter().map(|l| (*l).to_owned()).collect(),
        verbs: verbs.to_vec(),
        quotas: Quotas::default(),
    })
}

#[test]
fn a_source_is_the_default_or_under_a_prefix_and_never_the_servers_own() {
    let mut token = Credential::clone(&credential(&[], &[]));
    assert!(allow_source(&token, "urn:a").is_ok() && allow_source(&token, "urn:b:x").is_ok());
    for own in ["urn:proofbook:server", "urn:proofbook:", "URN:ProofBook:x"] {
        token.source_prefixes.push(String::new());
        token.default_source = own.into();
        assert_eq!(allow_source(&token, own).unwrap_err().status, 403, "{own}");
    }
    token.default_source = "urn:a".into();
    token.source_prefixes = vec!["urn:b:".into()];
    let refusal = allow_source(&token, "urn:c").unwrap_err();
    assert_eq!((refusal.status, refusal.field.as_str()), (403, "source"));
    for named in ["urn:c", "urn:a", "urn:b:"] {
        assert!(refusal.detail.contains(named), "{}", refusal.detail);
    }
    // A refusal per event of a full request: as long as the token's list it would make an answer of 300 MiB.
    token.source_prefixes = (0..64).map(|n| format!("urn:{}:{n:03}", "x".repeat(240))).collect();
    let refusal = allow_source(&token, "urn:c").unwrap_err();
    assert!(refusal.detail.len() + refusal.expected.len() < 3_000 && refusal.detail.contains("61 more"));
}

#[test]
fn a_scope_denies_by_default() {
    for verb in Verb::ALL {
        assert!(!Scope::public_leaves().allows(verb, "main"));
        assert!(!Scope::default().allows(verb, "main"));
        assert!(!Scope::of(&credential(&[], &["*"])).allows(verb, "main"));
        assert!(!Scope::of(&credential(&Verb::ALL, &[])).allows(verb, "main"));
        assert!(Scope::of(&credential(&[verb], &["main"])).allows(verb, "main"));
        assert!(!Scope::of(&credential(&[verb], &["main"])).allows(verb, "main2"));
        assert!(Scope::of(&credential(&[verb], &["*"])).allows(verb, "any"));
    }
    assert!(!Scope::of(&credential(&[Verb::Admin], &["*"])).allows(Verb::ReadBodies, "main"));
}

#[test]
fn ulids_ascend_and_carry_the_time() {
    let ulids = Ulids::default();
    let random = |out: &mut [u8]| out.fill(0xff);
    // 2016-07-30T23:54:10.259Z, the time of the ULID specification's example 01ARZ3NDEK.
    let now = 1_469_922_850_259_000_000;
    let mut last = ulids.next(now, &random);
    assert!(last.starts_with("01ARZ3NDEK"), "{last}");
    for clock in [now, now, now - 5_000_000, now + 1_000_000, now + 1_000_000] {
        let next = ulids.next(clock, &random);
        assert!(next > last && next.len() == 26, "{next} after {last}");
        last = next;
    }
}

#[test]
fn names_origins_and_secrets() {
    for (name, good) in [("main", true), ("a-1", true), ("", false), ("Main", false), ("../x", false), ("a.b", false)] {
        assert_eq!(is_ledger_name(name), good, "{name}");
    }
    assert!(is_ledger_name(&"a".repeat(63)) && !is_ledger_name(&"a".repeat(64)));
    assert_eq!(origin(Some("log.example"), &[0; 6], "main"), "log.example/logs/main");
    assert_eq!(origin(None, &[0x0a, 1, 2, 3, 4, 0xff], "main"), "local-0a01020304ff/logs/main");
    let made = secret(&|out: &mut [u8]| out.fill(0xab));
    assert_eq!(made.expose(), format!("pb_{}", "ab".repeat(32)));
    assert_eq!(made.to_string(), "pb_...");
}
