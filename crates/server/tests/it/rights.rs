//! Who may do what: every route of the document, every kind of caller.

use journal::{Quotas, Verb};

use crate::client::{get, post, send};
use crate::double::credential;
use crate::start;

/// (method, path) of each route in the served document, places filled in for `main`.
async fn routes(addr: std::net::SocketAddr) -> Vec<(String, String, String)> {
    let document = get(addr, "/v1/openapi.json", "").await.json();
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let filled = path
                .replace("{ledger}", "main")
                .replace("{index}", "0")
                .replace("{from}", "0")
                .replace("{to}", "0")
                .replace("{path}", "0/000.p/1")
                .replace("{id}", "none");
            let needs = operation["x-needs"].as_str().unwrap().to_owned();
            all.push((method.to_uppercase(), filled, needs));
        }
    }
    assert!(all.len() >= 21, "the document lists every route");
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn anonymous_and_unknown_tokens_get_401_on_every_route_that_is_not_open() {
    let (running, double) = start().await;
    let mut refused = 0;
    for (method, path, needs) in routes(running.addr()).await {
        for token in ["", "nobody"] {
            let answer = send(running.addr(), &method, &path, token, &[], b"{}").await;
            if needs == "nothing" {
                assert_eq!(answer.status, 200, "{path}");
            } else {
                refused += 1;
                assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{path}");
            }
        }
    }
    assert!(refused >= 36);
    let denials = double.denials.lock().unwrap();
    assert!(!denials.is_empty() && denials.iter().all(|d| d.verb == "authenticate"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_the_verb_is_refused_on_every_route_and_leaves_an_entry() {
    let (running, double) = start().await;
    double.grant("idle", credential("idle", &[], &["main"]));
    let mut refused = 0;
    for (method, path, needs) in routes(running.addr()).await {
        if matches!(needs.as_str(), "nothing" | "token") {
            continue;
        }
        let answer = send(running.addr(), &method, &path, "idle", &[], b"{}").await;
        assert_eq!((answer.status, answer.json()["type"].as_str()), (403, Some("/errors/not-allowed")), "{path}");
        refused += 1;
    }
    assert_eq!(double.denials.lock().unwrap().len(), refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_itself_denies_leaves_an_entry_too() {
    let (running, double) = start().await;
    let theirs = b"{\"action\":\"theirs\"}";
    let answer = post(running.addr(), "/v1/ledgers/main/events", "writer", theirs).await;
    assert_eq!(answer.status, 403);
    {
        let denials = double.denials.lock().unwrap();
        let seen: Vec<_> = denials.iter().map(|d| (d.verb, d.ledger.as_deref(), d.route)).collect();
        assert_eq!(seen, [("append", Some("main"), "/v1/ledgers/{ledger}/events")]);
    }
    // What is wrong without being forbidden is no attempt.
    assert_eq!(post(running.addr(), "/v1/ledgers/main/events", "writer", b"{}").await.status, 400);
    assert_eq!(double.denials.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn not_there_and_not_yours_are_the_same_bytes() {
    let (running, double) = start().await;
    double.grant("other", credential("other", &Verb::ALL, &["raw"]));
    double.grant("wide", credential("wide", &Verb::ALL, &["raw", "absent"]));
    for path in ["/v1/ledgers/{}/entries/0", "/logs/{}/checkpoint", "/v1/ledgers/{}", "/v1/ledgers/{}/tail"] {
        let theirs = get(running.addr(), &path.replace("{}", "main"), "other").await;
        let absent = get(running.addr(), &path.replace("{}", "absent"), "other").await;
        let granted = get(running.addr(), &path.replace("{}", "absent"), "wide").await;
        assert_eq!(theirs.status, 404, "{path}");
        assert_eq!((absent.status, &absent.body), (404, &theirs.body), "{path}");
        assert_eq!((granted.status, &granted.body), (404, &theirs.body), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_without_bodies() {
    let (running, double) = start().await;
    post(running.addr(), "/v1/ledgers/main/events", "writer", b"{\"action\":\"a\"}").await;
    let entry = "/v1/ledgers/main/entries/0";
    let answer = get(running.addr(), entry, "leaves").await;
    assert_eq!((answer.status, &answer.json()["body"]), (200, &serde_json::Value::Null));
    assert!(double.accesses.lock().unwrap().is_empty(), "a leaf alone is no read of a body");
    let answer = get(running.addr(), entry, "reader").await;
    assert_eq!(answer.json()["body"], "{\"action\":\"a\"}");
    assert_eq!(double.accesses.lock().unwrap().len(), 1);
    assert_eq!(get(running.addr(), "/logs/main/bodies/000.p/1", "leaves").await.status, 403);
    assert_eq!(get(running.addr(), "/logs/main/bodies/000.p/1", "reader").await.status, 200);
    assert_eq!(double.accesses.lock().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_credentials_are_no_credentials() {
    let (running, _) = start().await;
    for value in ["admin", "Basic YWRtaW46", "Bearer", "Bearer  ", "Bearer admin x", "Token admin"] {
        let answer = send(running.addr(), "GET", "/v1/ledgers", "", &[("authorization", value)], b"").await;
        assert_eq!(answer.status, 401, "{value}");
    }
    let twice = [("authorization", "Bearer admin"), ("authorization", "Bearer admin")];
    assert_eq!(send(running.addr(), "GET", "/v1/ledgers", "", &twice, b"").await.status, 401);
    assert_eq!(get(running.addr(), "/v1/ledgers?token=admin", "").await.status, 401);
    let lower = [("authorization", "bearer admin")];
    assert_eq!(send(running.addr(), "GET", "/v1/ledgers", "", &lower, b"").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_answer_429_with_retry_after() {
    let (running, double) = start().await;
    let mut slow = credential("slow", &Verb::ALL, &["*"]);
    slow.quotas = Quotas { events_per_second: 1, bytes_per_day: 0, reads_per_minute: 2 };
    double.grant("slow", slow.clone());
    let mut small = credential("small", &Verb::ALL, &["*"]);
    small.quotas = Quotas { events_per_second: 0, bytes_per_day: 20, reads_per_minute: 0 };
    double.grant("small", small);
    let three = b"[{\"action\":\"a\"},{\"action\":\"b\"},{\"action\":\"c\"},{\"action\":\"d\"}]";
    assert_eq!(post(running.addr(), "/v1/ledgers/main/events", "slow", three).await.status, 200);
    let answer = post(running.addr(), "/v1/ledgers/main/events", "slow", three).await;
    assert_eq!((answer.status, answer.json()["type"].as_str()), (429, Some("/errors/quota-exceeded")));
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(double.size("main"), 4, "nothing of the refused request was appended");
    assert_eq!(post(running.addr(), "/v1/ledgers/main/events", "small", three).await.status, 200);
    assert_eq!(post(running.addr(), "/v1/ledgers/main/events", "small", three).await.status, 429);
    for status in [200, 200, 429] {
        assert_eq!(get(running.addr(), "/v1/ledgers/main/entries/0", "slow").await.status, status);
    }
    // The quota is the principal's: another token of the same one gains nothing.
    slow.token_id = "slow2".into();
    double.grant("slow2", slow);
    assert_eq!(get(running.addr(), "/v1/ledgers/main/entries/0", "slow2").await.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_ledgers_by_the_api() {
    let (running, _) = start().await;
    let addr = running.addr();
    let wanted = br#"{"person":"Ann","verbs":["append"],"ledgers":["main"],"quotas":{"events_per_second":null}}"#;
    let made = post(addr, "/v1/tokens", "admin", wanted).await;
    assert_eq!(made.status, 201);
    let (secret, id) = (made.json()["token"].as_str().unwrap().to_owned(), made.json()["token_id"].clone());
    assert_eq!(post(addr, "/v1/ledgers/main/events", &secret, b"{\"action\":\"a\"}").await.status, 200);
    let listed = get(addr, "/v1/tokens", "admin").await;
    assert!(!listed.text().contains(&secret), "a list never shows a secret");
    let gone = send(addr, "DELETE", &format!("/v1/tokens/{}", id.as_str().unwrap()), "admin", &[], b"").await;
    assert_eq!(gone.status, 200);
    assert_eq!(post(addr, "/v1/ledgers/main/events", &secret, b"{\"action\":\"a\"}").await.status, 401);
    for (body, field) in [
        (&b"{\"person\":\"x\",\"verbs\":[\"root\"]}"[..], "verbs"),
        (b"{\"verbs\":[\"append\"]}", "person"),
        (b"{\"person\":\"x\",\"verbs\":[],\"admin\":true}", "body"),
    ] {
        let answer = post(addr, "/v1/tokens", "admin", body).await;
        assert_eq!((answer.status, answer.json()["field"].as_str()), (400, Some(field)));
    }
    let made = post(addr, "/v1/ledgers", "admin", br#"{"name":"more","kind":"raw","public_leaves":true}"#).await;
    assert_eq!((made.status, made.json()["origin"].as_str()), (201, Some("test/logs/more")));
    assert_eq!(post(addr, "/v1/ledgers", "admin", br#"{"name":"x","kind":"odd"}"#).await.status, 400);
    assert_eq!(get(addr, "/v1/ledgers", "writer").await.json()["ledgers"].as_array().unwrap().len(), 2);
}
