//! What callers hold on to: answers that they do not take, reads that they leave, proofs by the thousand.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use server::limits::{READS_PER_PROCESSOR, TOKEN_ANSWERS_KIB_MAX};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{PATIENCE, get, post};
use crate::reading::chunks;
use crate::start;

const ENTRY: &str = "/v1/ledgers/main/entries/0";

async fn ask(addr: SocketAddr, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let head = format!("GET {ENTRY} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_takes_are_counted() {
    let (running, double) = start().await;
    let addr = running.addr();
    // A third of what a token may hold, and far more than the system takes off our hands.
    let body = vec![b'x'; (TOKEN_ANSWERS_KIB_MAX << 10) / 3];
    double.ledgers.lock().unwrap().get_mut("main").unwrap().entries.push((b"leaf".to_vec(), Some(body)));
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = ask(addr, "reader").await;
        // The head has come: the rest is on its way.
        let mut head = [0; 12];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut head)).await.unwrap().unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        held.push(stream);
    }
    let refused = get(addr, ENTRY, "reader").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert_eq!(get(addr, ENTRY, "leaves").await.status, 200, "without a body it is small");
    assert_eq!(get(addr, ENTRY, "admin").await.status, 200, "another token has its own");
    // An append cannot be refused once it is done: its answer is owed, and the next one waits.
    let events = b"{\"x\":1}\n".repeat(100_000);
    let mut appends = Vec::new();
    let refused = async {
        loop {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            let path = "/v1/ledgers/main/events";
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer writer\r\ncontent-length: {}\r\n\r\n",
                events.len()
            );
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&events).await;
            let mut head = [0; 12];
            stream.read_exact(&mut head).await.unwrap();
            appends.push(stream);
            if &head == b"HTTP/1.1 429" {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("a token that takes no answers is refused in the end");
    drop(appends);
    drop(held);
    let given_back = async {
        while get(addr, ENTRY, "reader").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, given_back).await.expect("what was held is given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn few_entries_are_read_at_one_time_also_for_those_who_hang_up() {
    let (running, double) = start().await;
    let addr = running.addr();
    post(addr, "/v1/ledgers/main/events", "writer", b"{\"action\":\"a\"}").await;
    *double.read_takes.lock().unwrap() = Duration::from_millis(100);
    let most = READS_PER_PROCESSOR * std::thread::available_parallelism().unwrap().get();
    let mut waiting = Vec::new();
    for _ in 0..4 * most {
        waiting.push(ask(addr, "reader").await);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(waiting);
    // Whoever hung up in the line is not read for: the next one waits for those alone that are under way.
    let next = tokio::time::timeout(PATIENCE, get(addr, ENTRY, "admin")).await.unwrap();
    assert_eq!(next.status, 200);
    let [now, at_once] = &double.reading;
    assert!(at_once.load(Ordering::SeqCst) <= most as u64, "{at_once:?} of {most}, {now:?} still");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_batch_gets_its_proofs_in_pieces() {
    let (running, _) = start().await;
    let path = "/v1/ledgers/main/events?wait=checkpoint";
    for (count, pieces) in [(63, false), (64, false), (65, true), (1000, true)] {
        let events = "{\"action\":\"a\"}\n{\"x\":1}\n".repeat(count / 2) + &"{\"action\":\"a\"}\n".repeat(count % 2);
        let answer = post(running.addr(), path, "admin", events.as_bytes()).await;
        assert_eq!((answer.status, answer.header("transfer-encoding").is_some()), (200, pieces));
        let (body, whole) = if pieces { chunks(&answer.body) } else { (answer.body.clone(), true) };
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let results = answer["results"].as_array().unwrap();
        assert!(whole && results.len() == count);
        for (n, result) in results.iter().enumerate() {
            let proof = result["index"].as_u64().map(|i| format!("c2sp.org/tlog-proof@v1\nindex {i}\n"));
            assert_eq!((result.get("proof").and_then(|p| p.as_str()), n % 2 == 0), (proof.as_deref(), proof.is_some()));
        }
    }
}
