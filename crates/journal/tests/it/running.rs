//! The running journal over real ledgers: set-up, appends, tokens, reads, restarts.

use std::time::{Duration, Instant};

use journal::{Access, Denial, Error, EventResult, FilePlace, Format, Framing, NewLedger, Request, Scope, Verb};
use ledger::Kind;

use crate::rig::{Rig, append, bodies, copy_folder, index, token, try_append, wait};

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < until, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_fresh_folder_has_four_ledgers_that_explain_themselves() {
    let rig = Rig::new();
    let (journal, admin) = rig.fresh();
    let scope = Scope::of(&admin);
    let names: Vec<String> = journal.list_ledgers(&scope).into_iter().map(|l| l.name).collect();
    assert_eq!(names, ["access", "control", "main", "output"]);
    for name in &names {
        let created = bodies(&journal, &admin, name, "ledger.created");
        let own = created.iter().find(|b| b["event"]["ext"]["ledger"]["name"] == name.as_str());
        assert!(own.is_some(), "{name} explains itself");
    }
    let control = bodies(&journal, &admin, "control", "ledger.referenced");
    assert_eq!(control.len(), 4);
    for body in control {
        let fact = &body["event"]["ext"]["control"];
        let of = journal.list_ledgers(&scope).into_iter().find(|l| l.origin == fact["origin"].as_str().unwrap());
        let view = journal.entry(&scope, &of.unwrap().name, fact["index"].as_u64().unwrap()).unwrap();
        assert_eq!(view.leaf_hash.hex(), fact["leaf_hash"].as_str().unwrap());
    }
    journal.close().unwrap();
    journal.close().unwrap();
    assert!(matches!(try_append(&journal, &admin, "main", r#"{"action":"a"}"#), Err(Error::Unavailable(_))));
}

#[test]
fn appends_are_read_back_proved_and_kept_over_a_restart() {
    let rig = Rig::new();
    let (journal, admin) = rig.fresh();
    let first = append(&journal, &admin, "main", r#"[{"action":"a.b","id":"1"},{"id":"x"},{"action":"c","id":"2"}]"#);
    let (one, _) = index(&first[0]);
    assert!(matches!(&first[1], EventResult::Refused(r) if r.status == 400 && r.field.contains("action")));
    assert_eq!(index(&first[2]), (one + 1, false));
    let scope = Scope::of(&admin);
    let signed = wait(|done| journal.wait_published(&scope, "main", one + 2, done)).unwrap();
    let proof = tlog::TlogProof::parse(journal.proof(&scope, "main", one).unwrap().as_bytes()).unwrap();
    let info = journal.ledger_info(&scope, "main").unwrap();
    let keys: Vec<tlog::Vkey> = info.vkeys.iter().map(|k| tlog::Vkey::parse(k).unwrap()).collect();
    let view = journal.entry(&scope, "main", one).unwrap();
    let checkpoint = proof.verify(&view.leaf_hash, &keys, Some(&info.origin)).unwrap();
    assert!(checkpoint.size >= signed.size);
    assert_eq!(tlog::leaf_hash(&view.leaf), view.leaf_hash);
    journal.close().unwrap();
    drop(journal);

    let (journal, report) = rig.open();
    assert!(!report.fresh && report.bootstrap.is_none());
    assert_eq!(journal.entry(&scope, "main", one).unwrap().leaf, view.leaf);
    let again = append(&journal, &admin, "main", r#"{"action":"a.b","id":"1"}"#);
    let EventResult::Acknowledged { index: at, duplicate, entry_id, .. } = &again[0] else { panic!("{again:?}") };
    assert_eq!((*at, *duplicate), (one, true));
    let leaf: serde_json::Value = serde_json::from_slice(&view.leaf).unwrap();
    assert_eq!(leaf["entry_id"], entry_id.as_str(), "a duplicate is answered with the first one's id");
    journal.close().unwrap();
}

#[test]
fn a_conflict_is_refused_and_becomes_an_entry() {
    let rig = Rig::new();
    let (journal, admin) = rig.fresh();
    let (first, _) = index(&append(&journal, &admin, "main", r#"{"action":"a","id":"1"}"#)[0]);
    let other = append(&journal, &admin, "main", r#"{"action":"b","id":"1"}"#);
    assert!(matches!(&other[0], EventResult::Refused(r) if r.status == 409 && r.first_index == Some(first)));
    let entries = bodies(&journal, &admin, "main", "source.identity_conflict");
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["event"]["ext"]["conflict"]["first_index"], first);
    assert_eq!(entries[0]["event"]["source"], "urn:proofbook:server");
    // The same id in another ledger is another entry.
    let new = NewLedger { name: "other".into(), kind: Kind::Audit, retention: None, public_leaves: false };
    journal.create_ledger(&admin, new).unwrap();
    assert!(!index(&append(&journal, &admin, "other", r#"{"action":"b","id":"1"}"#)[0]).1);
    journal.close().unwrap();
}

#[test]
fn records_without_an_id_are_told_apart_by_their_place_in_a_file() {
    let rig = Rig::new();
    let (journal, admin) = rig.fresh();
    let place = |offset| Some(FilePlace { file: "0123456789abcdef".into(), offset });
    let send = |body: &str, offset| {
        let request =
            Request { format: Format::Text, body: body.as_bytes(), framing: Framing::Auto, place: place(offset) };
        wait(|done| journal.append(&admin, "main", &request, done)).unwrap()
    };
    let first = send("one\ntwo\n", 0);
    let again = send("two\n", 4);
    assert_eq!(index(&again[0]), (index(&first[1]).0, true));
    // Other bytes at the same place: nothing is lost, the record gets an id of its own.
    let other = send("six\n", 4);
    let (at, duplicate) = index(&other[0]);
    assert!(!duplicate && at > index(&first[1]).0);
    journal.close().unwrap();
}

#[test]
fn tokens_are_made_used_and_revoked_for_good() {
    let rig = Rig::new();
    let (journal, admin) = rig.fresh();
    let writer = token(&journal, &admin, &[Verb::Append], &["main"]);
    index(&append(&journal, &writer, "main", r#"{"action":"a"}"#)[0]);
    let refused = append(&journal, &writer, "main", r#"{"action":"a","source":"urn:else"}"#);
    assert!(matches!(&refused[0], EventResult::Refused(r) if r.status == 403 && r.detail.contains("urn:else")));
    let own = append(&journal, &admin, "main", r#"{"action":"a","source":"urn:proofbook:server"}"#);
    assert!(matches!(&own[0], EventResult::Refused(r) if r.status == 403));
    assert_eq!(try_append(&journal, &writer, "access", r#"{"action":"a"}"#), Err(Error::NotFound));
    for system in ["control", "access", "output"] {
        let denied = try_append(&journal, &admin, system, r#"{"action":"a"}"#);
        assert!(matches!(denied, Err(Error::Denied(_))), "{system}: {denied:?}");
    }
    assert!(matches!(journal.entry(&Scope::of(&writer), "main", 0), Err(Error::Denied(_))));
    assert!(matches!(journal.revoke_token(&writer, &admin.token_id), Err(Error::Denied(_))));
    assert!(matches!(journal.revoke_token(&admin, &admin.token_id), Err(Error::Refused(r)) if r.code == "last-admin"));

    let (_, secret) = journal
        .create_token(
            &admin,
            journal::NewToken { person: "Bo".into(), verbs: vec![Verb::Admin], ..journal::NewToken::default() },
        )
        .unwrap();
    let bo = journal.authenticate(secret.expose()).unwrap();
    assert!(!journal.ends_bootstrap(&admin));
    assert!(journal.ends_bootstrap(&bo));
    assert!(!journal.ends_bootstrap(&bo), "told once");
    eventually("the end of bootstrap.token is an entry", || {
        !bodies(&journal, &admin, "control", "bootstrap.ended").is_empty()
    });
    assert!(journal.is_valid(&bo));
    journal.revoke_token(&admin, &bo.token_id).unwrap();
    assert!(!journal.is_valid(&bo) && journal.is_valid(&admin));
    assert!(journal.authenticate(secret.expose()).is_none());
    let listed = journal.list_tokens(&admin).unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[2].person.as_deref(), Some("Bo"));
    assert!(listed[2].revoked_at.is_some() && listed[1].revoked_at.is_none());
    // A name stands in sealed places alone: no leaf and no fact has it.
    let scope = Scope::of(&admin);
    let size = journal.ledger_info(&scope, "control").unwrap().size;
    for view in journal.entries(&scope, "control", 0..size).unwrap() {
        assert!(!String::from_utf8_lossy(&view.leaf).contains("Ada"));
        let body: serde_json::Value = serde_json::from_slice(&view.body.unwrap()).unwrap();
        assert!(!body["event"]["ext"].to_string().contains("Ada"));
        assert!(!body.to_string().contains(secret.expose()), "no secret in the log");
    }
    journal.close().unwrap();
    drop(journal);
    let (journal, _) = rig.open();
    assert!(journal.authenticate(secret.expose()).is_none(), "revoked for good");
    assert!(!journal.ends_bootstrap(&bo), "it ended before the restart");
    journal.close().unwrap();
}

#[test]
fn a_request_that_outlives_its_token_does_nothing() {
    let rig = Rig::new();
    let (journal, admin) = rig.fresh();
    let late = token(&journal, &admin, &Verb::ALL, &["*"]);
    let ledger = |name: &str, kind| NewLedger { name: name.into(), kind, retention: None, public_leaves: false };
    journal.create_ledger(&late, ledger("raw", Kind::Raw)).unwrap();
    journal.revoke_token(&admin, &late.token_id).unwrap();
    // The credential was handed out before the revocation: its body or its turn came later.
    let size = |name: &str| journal.ledger_info(&Scope::of(&admin), name).unwrap().size;
    let before = ["control", "main", "raw"].map(size);
    assert_eq!(try_append(&journal, &late, "main", r#"{"action":"a"}"#), Err(Error::Revoked));
    assert_eq!(wait(|done| journal.add_raw(&late, "raw", b"x", done)), Err(Error::Revoked));
    let new = journal::NewToken { verbs: vec![Verb::Admin], ..journal::NewToken::default() };
    assert!(matches!(journal.create_token(&late, new), Err(Error::Revoked)));
    assert!(matches!(journal.create_ledger(&late, ledger("late", Kind::Audit)), Err(Error::Revoked)));
    assert_eq!(journal.revoke_token(&late, &admin.token_id), Err(Error::Revoked));
    assert_eq!(["control", "main", "raw"].map(size), before);
    journal.close().unwrap();
}

#[test]
fn a_ledger_has_a_retention_profile_that_is_known() {
    let rig = Rig::new();
    let (journal, admin) = rig.fresh();
    let create = |name: &str, retention: Option<&str>| {
        let retention = retention.map(str::to_owned);
        journal.create_ledger(&admin, NewLedger { name: name.into(), kind: Kind::Raw, retention, public_leaves: false })
    };
    for unknown in ["", "None", "none ", "forever", "ai_act"] {
        let Err(Error::Refused(refusal)) = create("x", Some(unknown)) else { panic!("{unknown:?} is taken") };
        let told = (refusal.status, refusal.code, &*refusal.field, &*refusal.expected);
        assert_eq!(told, (400, "retention-unknown", "retention", "one of none, ai-act, hipaa, pci"));
    }
    assert_eq!(create("default", None).unwrap().retention, "none");
    // The page of the format lists the same, with the same minimums.
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats/control.md");
    let page = std::fs::read_to_string(page).unwrap().replace(',', "");
    for profile in journal::RETENTION_PROFILES {
        assert_eq!(create(&format!("l-{}", profile.name), Some(profile.name)).unwrap().retention, profile.name);
        let kept = profile.days_min.map_or_else(|| "for ever".to_owned(), |days| format!("{days} days"));
        assert!(page.contains(&format!("| `{}` | {kept}", profile.name)), "{profile:?}");
    }
    journal.close().unwrap();
    drop(journal);
    let (journal, _) = rig.open();
    for profile in journal::RETENTION_PROFILES {
        let info = journal.ledger_info(&Scope::of(&admin), &format!("l-{}", profile.name)).unwrap();
        assert_eq!(info.retention, profile.name);
    }
    journal.close().unwrap();
}

#[test]
fn a_limited_admin_gives_away_no_more_than_it_has() {
    let rig = Rig::new();
    let (journal, admin) = rig.fresh();
    let limited = token(&journal, &admin, &[Verb::Admin], &["main"]);
    let mut new = journal::NewToken { verbs: vec![Verb::Append], ..journal::NewToken::default() };
    assert!(matches!(journal.create_token(&limited, new.clone()), Err(Error::Denied(_))), "empty means all ledgers");
    new.ledgers = vec!["access".into()];
    assert!(matches!(journal.create_token(&limited, new.clone()), Err(Error::Denied(_))));
    new.ledgers = vec!["main".into()];
    assert!(journal.create_token(&limited, new).is_ok());
    let ledger = |name: &str| NewLedger { name: name.into(), kind: Kind::Raw, retention: None, public_leaves: false };
    assert!(matches!(journal.create_ledger(&limited, ledger("new")), Err(Error::Denied(_))));
    assert!(matches!(journal.create_ledger(&admin, ledger("main")), Err(Error::Refused(r)) if r.status == 409));
    assert!(matches!(journal.create_ledger(&admin, ledger("../x")), Err(Error::Refused(r)) if r.status == 400));
    journal.close().unwrap();
}

#[test]
fn a_limited_admin_neither_sees_nor_impersonates_others() {
    let rig = Rig::new();
    let (journal, admin) = rig.fresh();
    let limited = token(&journal, &admin, &[Verb::Admin], &["main"]);
    let boss = token(&journal, &admin, &[Verb::Append, Verb::Admin], &["*"]);
    let clerk = token(&journal, &admin, &[Verb::Append], &["main"]);
    let of = |principal: &str| journal::NewToken {
        principal: Some(principal.into()),
        verbs: vec![Verb::Append],
        ledgers: vec!["main".into()],
        ..journal::NewToken::default()
    };
    for other in [&boss.principal, &admin.principal] {
        let made = journal.create_token(&limited, of(other));
        assert!(matches!(made, Err(Error::Refused(r)) if r.code == "principal-unknown"), "what it does is theirs");
    }
    for own in [&limited.principal, &clerk.principal] {
        assert!(journal.create_token(&limited, of(own)).is_ok());
    }
    assert!(journal.create_token(&admin, of(&boss.principal)).is_ok());
    let seen = journal.list_tokens(&limited).unwrap();
    assert!(seen.iter().all(|t| t.credential.ledgers == ["main"]) && seen.len() == 5, "{}", seen.len());
    // Neither does it take the place of an admin over everything.
    assert!(!journal.ends_bootstrap(&limited));
    journal.revoke_token(&admin, &boss.token_id).unwrap();
    let last = journal.revoke_token(&admin, &admin.token_id);
    assert!(matches!(last, Err(Error::Refused(r)) if r.code == "last-admin"), "only a limited one would be left");
    journal.close().unwrap();
}

#[test]
fn what_a_scope_does_not_cover_is_not_there() {
    let rig = Rig::new();
    let (journal, admin) = rig.fresh();
    let (at, _) = index(&append(&journal, &admin, "main", r#"{"action":"a.b","category":"iam"}"#)[0]);
    let leaves = token(&journal, &admin, &[Verb::ReadLeaves], &["main"]);
    let scope = Scope::of(&leaves);
    assert!(journal.entry(&scope, "main", at).unwrap().body.is_none());
    assert_eq!(journal.entry(&scope, "control", 0), Err(Error::NotFound));
    assert_eq!(journal.list_ledgers(&scope).len(), 1);
    assert!(journal.list_ledgers(&Scope::public_leaves()).is_empty());
    let all = || Scope::of(&admin);
    let body = |scope: Scope| journal.entry(&scope, "main", at).unwrap().body.is_some();
    assert!(body(all()) && body(all().with_actions(vec!["a.".into()])) && body(all().with_classes(vec!["iam".into()])));
    assert!(!body(all().with_actions(vec!["b".into()])) && !body(all().with_classes(vec!["data".into()])));
    assert!(!body(all().with_time(0..1)));
    let size = wait(|done| journal.wait_published(&all(), "main", at + 1, done)).unwrap().size;
    let path = tlog::TilePath::bodies(0, u16::try_from(size).unwrap()).unwrap();
    let bodies = |scope: Scope| journal.bodies(&scope, "main", &path, 0);
    let (bytes, next) = bodies(all()).unwrap();
    assert_eq!((tlog::decode_bodies(&bytes).unwrap().len() as u64, u64::from(next)), (size, size));
    assert!(matches!(bodies(scope), Err(Error::Denied(_))));
    assert!(matches!(bodies(all().with_time(0..1)), Err(Error::Denied(_))));
    // No other door gives them.
    assert!(matches!(journal.tile(&all(), "main", &path), Err(Error::Refused(_))));
    journal.close().unwrap();
}

#[test]
fn raw_ledgers_hold_what_was_posted_and_may_be_public() {
    let rig = Rig::new();
    let (journal, admin) = rig.fresh();
    let new = NewLedger { name: "raw".into(), kind: Kind::Raw, retention: None, public_leaves: true };
    journal.create_ledger(&admin, new).unwrap();
    let (at, hash) = wait(|done| journal.add_raw(&admin, "raw", b"\xff bytes", done)).unwrap();
    assert_eq!((at, hash), (0, tlog::leaf_hash(b"\xff bytes")));
    let anyone = Scope::public_leaves();
    assert_eq!(journal.entry(&anyone, "raw", 0).unwrap().leaf, b"\xff bytes");
    assert!(matches!(try_append(&journal, &admin, "raw", r#"{"action":"a"}"#), Err(Error::Refused(_))));
    assert!(matches!(wait(|done| journal.add_raw(&admin, "main", b"x", done)), Err(Error::Refused(_))));
    journal.close().unwrap();
}

#[test]
fn reads_and_denials_are_entries() {
    let rig = Rig::new();
    let (journal, admin) = rig.fresh();
    let access = Access {
        what: "entry",
        ledger: "main".into(),
        from: Some(0),
        to: Some(1),
        count: 1,
        peer: Some("192.0.2.7".into()),
    };
    let at = wait(|done| journal.record_access(&admin, &access, done)).unwrap();
    let scope = Scope::of(&admin);
    let body = journal.entry(&scope, "access", at).unwrap().body.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["event"]["actor"]["id"], admin.principal.as_str());
    assert_eq!(body["event"]["actor"]["ip"], "192.0.2.7");
    assert_eq!(body["event"]["ext"]["access"]["tree_size"], journal.ledger_info(&scope, "main").unwrap().size);
    let denial = Denial {
        verb: "append",
        ledger: Some("\u{1b}[31m\"".into()),
        route: "/v1/ledgers/{ledger}/events",
        peer: Some("no address".into()),
    };
    let at = wait(|done| journal.record_denial(None, &denial, done)).unwrap();
    let body = journal.entry(&scope, "access", at).unwrap().body.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["event"]["outcome"]["status"], "denied");
    assert_eq!(body["event"]["ext"]["access"]["ledger"], "\u{1b}[31m\"");
    journal.close().unwrap();
}

#[test]
fn a_gap_is_an_entry_after_thirty_seconds_and_closed_when_filled() {
    let rig = Rig::new();
    let (journal, admin) = rig.fresh();
    let numbered = |n: u64| {
        let body = format!(r#"{{"action":"a","id":"n{n}","source_seq":{{"epoch":"e","n":{n}}}}}"#);
        index(&append(&journal, &admin, "main", &body)[0]);
    };
    (1..=3).for_each(numbered);
    (7..=9).for_each(numbered);
    let gaps = || journal.status().ledgers.into_iter().find(|l| l.info.name == "main").unwrap();
    eventually("the gap is in status", || gaps().gaps_open == 1);
    assert!(bodies(&journal, &admin, "main", "source.gap").is_empty());
    rig.clock.advance(31_000_000_000);
    eventually("the gap is an entry", || bodies(&journal, &admin, "main", "source.gap").len() == 1);
    let gap = &bodies(&journal, &admin, "main", "source.gap")[0]["event"]["ext"]["gap"];
    assert_eq!((gap["first"].as_u64(), gap["last"].as_u64()), (Some(4), Some(6)));
    (4..=5).for_each(numbered);
    journal.close().unwrap();
    drop(journal);

    // A restart with the snapshot, and one without, know the same.
    for keep in [true, false] {
        if !keep {
            std::fs::remove_dir_all(rig.data().join("views")).unwrap();
        }
        let (journal, _) = rig.open();
        let gaps = || journal.status().ledgers.into_iter().find(|l| l.info.name == "main").unwrap();
        eventually("the gap is known again", || gaps().gaps.first().is_some_and(|g| g.recorded));
        assert!(bodies(&journal, &admin, "main", "source.gap_closed").is_empty());
        journal.close().unwrap();
    }
    let (journal, _) = rig.open();
    index(&append(&journal, &admin, "main", r#"{"action":"a","id":"n6","source_seq":{"epoch":"e","n":6}}"#)[0]);
    eventually("the gap is closed", || bodies(&journal, &admin, "main", "source.gap_closed").len() == 1);
    assert_eq!(bodies(&journal, &admin, "main", "source.gap").len(), 1);
    journal.close().unwrap();
}

#[test]
fn a_gap_that_comes_again_after_it_was_forgotten_is_known() {
    let rig = Rig::new();
    let (journal, admin) = rig.fresh();
    let numbered = |id: &str, epoch: &str, n: u64| {
        format!(r#"{{"action":"a","id":"{id}","source_seq":{{"epoch":"{epoch}","n":{n}}}}}"#)
    };
    let send = |id: &str, n| drop(append(&journal, &admin, "main", &numbered(id, "e", n)));
    send("1", 1);
    send("3", 3);
    rig.clock.advance(31_000_000_000);
    eventually("the gap is an entry", || bodies(&journal, &admin, "main", "source.gap").len() == 1);
    // So many other epochs that this one is forgotten; then it counts as before.
    let others: Vec<String> =
        (0..journal::limits::GAP_STREAMS_MAX).map(|n| numbered(&format!("o{n}"), &format!("o{n}"), 1)).collect();
    others.chunks(1_000).for_each(|some| drop(append(&journal, &admin, "main", &some.join("\n"))));
    send("4", 1);
    send("5", 3);
    rig.clock.advance(31_000_000_000);
    let gaps = || journal.status().ledgers.into_iter().find(|l| l.info.name == "main").unwrap().gaps;
    eventually("the gap is settled", || gaps().first().is_some_and(|g| g.epoch == "e" && g.recorded));
    assert_eq!(bodies(&journal, &admin, "main", "source.gap").len(), 1);
    journal.close().unwrap();
}

#[test]
fn a_falsified_snapshot_grants_nothing() {
    let rig = Rig::new();
    let (journal, admin) = rig.fresh();
    let made = token(&journal, &admin, &[Verb::Append], &["main"]);
    journal.revoke_token(&admin, &made.token_id).unwrap();
    journal.close().unwrap();
    drop(journal);
    let views = rig.data().join("views");
    let snapshots: Vec<_> = std::fs::read_dir(&views)
        .unwrap()
        .map(|d| d.unwrap().path().join("control.snapshot"))
        .filter(|p| p.exists())
        .collect();
    assert_eq!(snapshots.len(), 1);
    let text = std::fs::read_to_string(&snapshots[0]).unwrap();
    let forged = text.replace("\"append\"", "\"admin\"");
    assert_ne!(text, forged);
    std::fs::write(&snapshots[0], forged).unwrap();
    let (journal, _) = rig.open();
    let listed = journal.list_tokens(&admin).unwrap();
    let found = listed.iter().find(|t| t.credential.token_id == made.token_id).unwrap();
    assert_eq!(found.credential.verbs, [Verb::Append]);
    assert!(found.revoked_at.is_some());
    journal.close().unwrap();
}

#[test]
fn a_stopped_folder_gets_a_new_admin_token_and_an_entry() {
    let rig = Rig::new();
    let (journal, admin) = rig.fresh();
    let doors = || rig.doors(std::sync::Arc::new(ledger::durable::OsDisk));
    let held = journal::Journal::reset_admin_token(rig.options(), doors());
    assert!(held.is_err_and(|e| e.kind() == "locked"), "a running server keeps its folder");
    let before = bodies(&journal, &admin, "control", "token.created").len();
    journal.close().unwrap();
    drop(journal);
    let (secret, _) = journal::Journal::reset_admin_token(rig.options(), doors()).unwrap();
    let (journal, _) = rig.open();
    let new = journal.authenticate(secret.expose()).unwrap();
    assert!(new.verbs.contains(&Verb::Admin) && !new.bootstrap);
    assert_eq!(bodies(&journal, &new, "control", "token.created").len(), before + 1);
    journal.close().unwrap();
}

#[test]
fn yesterdays_folder_is_refused_and_a_lost_pin_asks() {
    let rig = Rig::new();
    let (journal, _) = rig.fresh();
    journal.close().unwrap();
    drop(journal);
    let yesterday = rig.root.join("yesterday");
    copy_folder(&rig.data(), &yesterday);
    let (journal, report) = rig.open();
    assert!(report.notes.is_empty(), "{:?}", report.notes);
    journal.close().unwrap();
    drop(journal);
    std::fs::remove_dir_all(rig.data()).unwrap();
    copy_folder(&yesterday, &rig.data());
    assert_eq!(rig.try_open().err().map(|e| e.kind()), Some("rolled-back"));
    std::fs::remove_dir_all(rig.root.join("state")).unwrap();
    assert_eq!(rig.try_open().err().map(|e| e.kind()), Some("no-pin"));
    let mut options = rig.options();
    options.accept_first_start = true;
    let doors = rig.doors(std::sync::Arc::new(ledger::durable::OsDisk));
    let (journal, report) = journal::Journal::open(options, doors).unwrap();
    assert!(!report.notes.is_empty());
    let admin = std::sync::Arc::new(journal::Credential {
        token_id: String::new(),
        principal: String::new(),
        bootstrap: false,
        default_source: String::new(),
        source_prefixes: vec![],
        ledgers: vec!["*".into()],
        verbs: Verb::ALL.to_vec(),
        quotas: journal::Quotas::default(),
    });
    let started = bodies(&journal, &admin, "control", "server.started");
    let options = &started.last().unwrap()["event"]["ext"]["control"]["options"];
    assert_eq!(options[0], "accept-first-start");
    journal.close().unwrap();
}
