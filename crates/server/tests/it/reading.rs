//! Entries, proofs, tiles, tails, figures.

use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{PATIENCE, get, post, send};
use crate::start;

async fn fill(addr: std::net::SocketAddr, ledger: &str, count: usize) {
    for n in 0..count {
        post(addr, &format!("/logs/{ledger}/add"), "admin", format!("leaf {n}").as_bytes()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tiles_by_the_book() {
    let (running, _) = start().await;
    let addr = running.addr();
    fill(addr, "open", 3).await;
    fill(addr, "raw", 3).await;
    for (ledger, token, cache) in [("open", "", "public"), ("raw", "admin", "private")] {
        let at = |path: &str| format!("/logs/{ledger}/{path}");
        let tile = get(addr, &at("tile/0/000.p/3"), token).await;
        assert_eq!((tile.status, tile.body.len()), (200, 96));
        assert_eq!(tile.header("content-type"), Some("application/octet-stream"));
        assert_eq!(tile.header("cache-control"), Some(&*format!("{cache}, max-age=31536000, immutable")));
        assert_eq!(tile.header("content-encoding"), None);
        let bundle = get(addr, &at("tile/entries/000.p/3"), token).await;
        assert_eq!((bundle.status, bundle.header("content-encoding")), (200, Some("gzip")));
        assert_eq!(bundle.header("cache-control"), tile.header("cache-control"));
        let checkpoint = get(addr, &at("checkpoint"), token).await;
        assert_eq!(checkpoint.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(checkpoint.header("cache-control"), Some(&*format!("{cache}, no-cache")));
        assert!(checkpoint.text().starts_with(&format!("test/logs/{ledger}\n3\n")));
        for absent in [
            "tile/0/000",
            "tile/0/000.p/4",
            "tile/0/001.p/1",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/0.p/3",
            "tile/0/000.p/03",
            "tile/00/000.p/3",
            "tile/64/000.p/3",
            "tile/0/x000/000.p/3",
            "tile/entries/000",
            "tile/entries/../0/000.p/3",
            "tile/0/000.p%2F3x",
            "tile/",
        ] {
            assert_eq!(get(addr, &at(absent), token).await.status, 404, "{absent}");
        }
    }
    assert_eq!(get(addr, "/logs/raw/checkpoint", "").await.status, 401);
    assert_eq!(get(addr, "/logs/open/bodies/000.p/3", "").await.status, 401, "bodies are never public");
    assert_eq!(get(addr, "/logs/open/checkpoint", "nobody").await.status, 401, "a wrong token is not no token");
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_raw_ledgers_and_beyond() {
    let (running, _) = start().await;
    let addr = running.addr();
    fill(addr, "raw", 1).await;
    let entry = get(addr, "/v1/ledgers/raw/entries/0", "admin").await.json();
    assert_eq!(entry["leaf_base64"], "bGVhZiAw");
    assert!(entry.get("leaf").is_none() && entry.get("body").is_none());
    for (index, status) in [("1", 404), ("00", 404), ("-1", 404), ("18446744073709551616", 404), ("x", 404)] {
        assert_eq!(get(addr, &format!("/v1/ledgers/raw/entries/{index}"), "admin").await.status, status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_waits_two_seconds_then_says_later() {
    let (running, double) = start().await;
    let addr = running.addr();
    fill(addr, "raw", 1).await;
    let proof = get(addr, "/v1/ledgers/raw/entries/0/proof", "admin").await;
    assert_eq!((proof.status, proof.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    double.silent.store(true, Ordering::SeqCst);
    fill(addr, "raw", 1).await;
    let begun = Instant::now();
    let late = get(addr, "/v1/ledgers/raw/entries/1/proof", "admin").await;
    assert_eq!((late.status, late.header("retry-after")), (503, Some("1")));
    assert!(begun.elapsed().as_secs_f32() >= 1.9);
    assert_eq!(get(addr, "/v1/ledgers/raw/entries/2/proof", "admin").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn consistency() {
    let (running, _) = start().await;
    let addr = running.addr();
    fill(addr, "open", 2).await;
    let answer = get(addr, "/v1/ledgers/open/consistency/1/2", "").await;
    assert_eq!((answer.status, answer.json()["proof"].as_array().unwrap().len()), (200, 1));
    assert_eq!(get(addr, "/v1/ledgers/open/consistency/2/1", "").await.status, 400);
    assert_eq!(get(addr, "/v1/ledgers/open/consistency/1/3", "").await.status, 404);
}

async fn open_tail(addr: std::net::SocketAddr, path: &str) -> tokio::net::TcpStream {
    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer reader\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn until(stream: &mut tokio::net::TcpStream, text: &str) -> String {
    let mut seen = Vec::new();
    let reading = async {
        let mut buffer = vec![0; 4096];
        while !String::from_utf8_lossy(&seen).contains(text) {
            let n = stream.read(&mut buffer).await.unwrap();
            assert!(n > 0, "ended without {text}: {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&buffer[..n]);
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the tail goes on");
    String::from_utf8(seen).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_brings_old_and_new_entries_and_leaves_one_entry_a_window() {
    let (running, double) = start().await;
    let addr = running.addr();
    for _ in 0..3 {
        post(addr, "/v1/ledgers/main/events", "writer", b"{\"action\":\"a\"}").await;
    }
    let mut stream = open_tail(addr, "/v1/ledgers/main/tail?from=1").await;
    let seen = until(&mut stream, "id: 2\n").await;
    assert!(seen.contains("content-type: text/event-stream") && !seen.contains("id: 0\n"));
    post(addr, "/v1/ledgers/main/events", "writer", b"{\"action\":\"b\"}").await;
    until(&mut stream, "id: 3\ndata: {\"ledger\":\"main\"").await;
    assert_eq!(double.accesses.lock().unwrap().iter().filter(|a| a.what == "tail").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_of_large_entries_comes_whole_and_is_fetched_in_small_pieces() {
    let (running, double) = start().await;
    let addr = running.addr();
    let large = format!("{{\"action\":\"{}\"}}", "a".repeat(150_000));
    for _ in 0..20 {
        post(addr, "/v1/ledgers/main/events", "writer", large.as_bytes()).await;
    }
    let mut stream = open_tail(addr, "/v1/ledgers/main/tail?from=0").await;
    let seen = until(&mut stream, "id: 19\n").await;
    for index in 0..20 {
        assert_eq!(seen.matches(&format!("id: {index}\n")).count(), 1, "{index}");
    }
    // Who does not read holds a few entries, not a page of 64.
    let most = double.fetched.load(Ordering::SeqCst);
    assert!(most <= 4, "{most}");
}

/// The double gives two bodies a read: what the client gets is the bundle, and never a short one that looks whole.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_come_whole_in_pages_or_break_off() {
    let (running, double) = start().await;
    let addr = running.addr();
    for n in 0..5 {
        let event = format!("{{\"action\":\"{}\"}}", n.to_string().repeat(70_000));
        post(addr, "/v1/ledgers/main/events", "writer", event.as_bytes()).await;
    }
    let bodies: Vec<_> = double.ledgers.lock().unwrap()["main"].entries.iter().map(|(_, body)| body.clone()).collect();
    let mut whole = Vec::new();
    assert!(bodies.iter().all(|body| tlog::push_body(&mut whole, body.as_deref())) && whole.len() > 300_000);
    let long = get(addr, "/logs/main/bodies/000.p/5", "reader").await;
    assert_eq!((long.status, long.header("transfer-encoding")), (200, Some("chunked")));
    assert!(chunks(&long.body) == (whole, true));
    let short = get(addr, "/logs/main/bodies/000.p/2", "reader").await;
    assert_eq!(short.header("content-length"), Some(&*short.body.len().to_string()), "one read tells its length");
    assert_eq!(double.accesses.lock().unwrap().len(), 2);
    double.ledgers.lock().unwrap().get_mut("main").unwrap().entries[4].1 = Some(b"unreadable".to_vec());
    let broken = get(addr, "/logs/main/bodies/000.p/5", "reader").await;
    assert!(broken.status == 200 && !chunks(&broken.body).1, "what was cut looks whole");
}

/// What stands in chunks, and whether the last one came.
pub(crate) fn chunks(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    while let Some(line) = bytes.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return (all, true);
        }
        let Some(chunk) = bytes.get(line + 2..line + 2 + size) else { break };
        all.extend_from_slice(chunk);
        bytes = bytes.get(line + 2 + size + 2..).unwrap_or_default();
    }
    (all, false)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_of_access_leaves_out_what_it_causes() {
    let (running, _) = start().await;
    let addr = running.addr();
    let mut stream = open_tail(addr, "/v1/ledgers/access/tail?from=0").await;
    until(&mut stream, ": tail").await;
    // Index 0 is the tail's own entry; the denial of a stranger is 1.
    get(addr, "/v1/ledgers", "nobody").await;
    let seen = until(&mut stream, "id: 1\n").await;
    assert!(!seen.contains("id: 0\n") && seen.contains("denied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_loses_its_open_tails() {
    let (running, double) = start().await;
    let addr = running.addr();
    let mut stream = open_tail(addr, "/v1/ledgers/main/tail").await;
    until(&mut stream, ": tail").await;
    double.revoke("reader");
    post(addr, "/v1/ledgers/main/events", "writer", b"{\"action\":\"secret\"}").await;
    // The last chunk of the answer: the connection itself may be used again.
    let rest = until(&mut stream, "0\r\n\r\n").await;
    assert!(!rest.contains("secret"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_figures_status_and_odd_methods() {
    let (running, _) = start().await;
    let addr = running.addr();
    post(addr, "/v1/ledgers/main/events", "writer", b"{\"action\":\"a\"}").await;
    assert_eq!(get(addr, "/healthz", "").await.text(), "ok\n");
    let metrics = get(addr, "/metrics", "leaves").await.text();
    assert!(metrics.contains("proofbook_events_total 1") && metrics.contains("ledger=\"main\""), "{metrics}");
    assert!(!metrics.contains("ledger=\"raw\""), "only ledgers that the token may know of");
    let status = get(addr, "/v1/status", "admin").await.json();
    assert_eq!(status["ledgers"][1]["immutability"], "none");
    assert_eq!(send(addr, "PUT", "/v1/status", "admin", &[], b"").await.status, 405);
    for path in ["/", "/v1", "/logs/main", "/../etc/passwd", "/v1/ledgers/%2e%2e/entries/0", "/v1//ledgers"] {
        assert_eq!(get(addr, path, "admin").await.status, 404, "{path}");
    }
}
