//! Appending: statuses, forms, codings, limits.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{PATIENCE, get, post, raw, send};
use crate::start;

const EVENTS: &str = "/v1/ledgers/main/events";

fn gz(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_object_answers_its_own_status() {
    let (running, _) = start().await;
    let answer = post(running.addr(), EVENTS, "writer", br#"{"action":"a.b"}"#).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("audit-receipt"), Some("test/logs/main/0"));
    let result = &answer.json()["results"][0];
    assert_eq!((result["index"].as_u64(), result["duplicate"].as_bool()), (Some(0), Some(false)));
    assert_eq!(result["leaf_hash"].as_str().unwrap().len(), 64);
    for (body, status, kind) in [
        (r#"{"x":1}"#, 400, "/errors/field-missing"),
        (r#"{"action":"theirs"}"#, 403, "/errors/source-not-allowed"),
        ("{", 400, "/errors/json-malformed"),
    ] {
        let answer = post(running.addr(), EVENTS, "writer", body.as_bytes()).await;
        assert_eq!((answer.status, answer.json()["type"].as_str()), (status, Some(kind)), "{body}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("audit-receipt"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn arrays_and_lines_answer_each_event_in_order() {
    let (running, double) = start().await;
    for (body, media) in [
        (r#"[{"action":"a"},{"x":1},{"action":"b"}]"#, "application/json"),
        ("{\"action\":\"a\"}\n{\"x\":1}\n{\"action\":\"b\"}\n", "application/x-ndjson"),
        ("{\"action\":\"a\"}\n{\"x\":1}\n{\"action\":\"b\"}\n", "application/json; charset=utf-8"),
    ] {
        let before = double.size("main");
        let answer = send(running.addr(), "POST", EVENTS, "writer", &[("content-type", media)], body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{media}");
        let results = answer.json()["results"].as_array().unwrap().clone();
        assert_eq!(results.len(), 3);
        assert_eq!(results[0]["index"], before);
        assert_eq!((&results[1]["status"], &results[1]["field"]), (&400.into(), &"action".into()));
        assert_eq!(results[2]["index"], before + 1);
    }
    let one =
        send(running.addr(), "POST", EVENTS, "writer", &[("content-type", "application/x-ndjson")], b"{\"x\":1}\n")
            .await;
    assert_eq!((one.status, one.json()["results"][0]["status"].as_u64()), (200, Some(400)), "lines stay a batch");
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_bodies_and_bombs() {
    let (running, double) = start().await;
    let event = br#"{"action":"a.b"}"#;
    let bomb = vec![b' '; 8 << 20];
    let mut large = Vec::new();
    for i in 0..3_000_000u32 {
        large.extend_from_slice(i.wrapping_mul(2_654_435_761).to_string().as_bytes());
    }
    for (coding, body, status) in [
        ("gzip", gz(event), 200),
        ("zstd", zstd::bulk::compress(event, 3).unwrap(), 200),
        ("identity", event.to_vec(), 200),
        ("gzip", gz(&bomb), 413),
        ("zstd", zstd::bulk::compress(&bomb, 3).unwrap(), 413),
        ("gzip", gz(&large), 413),
        ("gzip", event.to_vec(), 400),
        ("zstd", gz(event), 400),
        ("br", event.to_vec(), 415),
        ("gzip, gzip", gz(&gz(event)), 415),
    ] {
        let answer = send(running.addr(), "POST", EVENTS, "writer", &[("content-encoding", coding)], &body).await;
        assert_eq!(answer.status, status, "{coding}, {} bytes: {}", body.len(), answer.text());
    }
    assert_eq!(double.size("main"), 3);
    let ready = get(running.addr(), "/readyz", "").await;
    assert_eq!(ready.status, 200, "bombs leave the server well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_room_is_not_ready_and_says_why() {
    let (running, double) = start().await;
    assert_eq!(get(running.addr(), "/readyz", "").await.status, 200);
    double.disk_low.store(true, Ordering::SeqCst);
    let ready = get(running.addr(), "/readyz", "").await;
    assert!(ready.status == 503 && ready.text().contains("low-disk watermark"), "{}", ready.text());
    assert_eq!(get(running.addr(), "/healthz", "").await.status, 200);
    assert_eq!(get(running.addr(), "/v1/status", "admin").await.json()["ledgers"][0]["disk_low"], true);
}

/// Bodies that are announced and do not come hold memory until their deadline: of one token not all there is.
#[tokio::test(flavor = "multi_thread")]
async fn one_token_does_not_take_all_memory_for_bodies() {
    let (running, double) = start().await;
    double.grant("other", crate::double::credential("other", &[journal::Verb::Append], &["main"]));
    let size = 16 << 20;
    let mut held = Vec::new();
    for _ in 0..server::limits::TOKEN_BODIES_KIB_MAX * 1024 / size {
        let mut stream = TcpStream::connect(running.addr()).await.unwrap();
        let head = format!(
            "POST {EVENTS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer writer\r\ncontent-length: {size}\r\n\
             expect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut go_on = [0; 12];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut go_on)).await.expect("an answer").unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100");
        held.push(stream);
    }
    let event = b"{\"action\":\"a\"}";
    let refused = post(running.addr(), EVENTS, "writer", event).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert_eq!(post(running.addr(), EVENTS, "other", event).await.status, 200);
    drop(held);
    let again = async {
        while post(running.addr(), EVENTS, "writer", event).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("what was held is given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_bombs_are_not_unfolded() {
    let (running, _) = start().await;
    let broken = send(running.addr(), "POST", EVENTS, "nobody", &[("content-encoding", "gzip")], b"no gzip").await;
    assert_eq!(broken.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_and_media_types() {
    let (running, double) = start().await;
    let head = format!(
        "POST {EVENTS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer writer\r\ncontent-length: 20971521\r\n\
         expect: 100-continue\r\nconnection: close\r\n\r\n"
    );
    let answer = raw(running.addr(), head.as_bytes()).await;
    assert_eq!(answer.status, 413, "refused before a byte of the body was sent");
    let xml = [("content-type", "application/xml")];
    let answer = send(running.addr(), "POST", EVENTS, "writer", &xml, b"<a/>").await;
    assert_eq!((answer.status, answer.json()["field"].as_str()), (415, Some("Content-Type")));
    assert_eq!(double.size("main"), 0);
    // README's call: `curl -d` says that this is a form.
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(send(running.addr(), "POST", EVENTS, "writer", &form, b"{\"action\":\"a\"}").await.status, 200);
}

/// A connection that is closed with bytes unread is reset: who sends first and reads then would see no answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_arrives_although_the_body_was_on_its_way() {
    let (running, _) = start().await;
    let body = vec![b' '; 1_500_000];
    for _ in 0..5 {
        let mut stream = TcpStream::connect(running.addr()).await.unwrap();
        let head = format!(
            "POST {EVENTS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer writer\r\ncontent-encoding: br\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // The server has the head alone for a while, and could answer.
        tokio::time::sleep(Duration::from_millis(20)).await;
        tokio::time::timeout(PATIENCE, stream.write_all(&body)).await.expect("the body is taken").unwrap();
        let mut status = [0; 12];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut status)).await.expect("an answer").unwrap();
        assert_eq!(&status, b"HTTP/1.1 415");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn expect_continue_and_chunks() {
    let (running, double) = start().await;
    let mut stream = TcpStream::connect(running.addr()).await.unwrap();
    let head = format!(
        "POST {EVENTS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer writer\r\ntransfer-encoding: chunked\r\n\
         expect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 4096];
    let n = stream.read(&mut buffer).await.unwrap();
    assert!(buffer[..n].starts_with(b"HTTP/1.1 100"), "the client is told to go on");
    stream.write_all(b"9\r\n{\"action\"\r\n").await.unwrap();
    stream.write_all(b"5\r\n:\"a\"}\r\n0\r\n\r\n").await.unwrap();
    let n = stream.read(&mut buffer).await.unwrap();
    assert!(buffer[..n].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..n]));
    // The same connection takes the next request.
    let next = format!(
        "POST {EVENTS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer writer\r\ncontent-length: 14\r\n\r\n\
         {{\"action\":\"b\"}}"
    );
    stream.write_all(next.as_bytes()).await.unwrap();
    let n = stream.read(&mut buffer).await.unwrap();
    assert!(buffer[..n].starts_with(b"HTTP/1.1 200"));
    assert_eq!(double.size("main"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_strict_and_witnesses_are_refused_clearly() {
    let (running, double) = start().await;
    for (query, status, field) in [
        ("wait=witnessed", 400, "?wait"),
        ("wait=never", 400, "?wait"),
        ("format=xml", 400, "?format"),
        ("file=0123456789abcdef", 400, "?file"),
        ("file=0123456789ABCDEF&offset=0", 400, "?file"),
        ("file=0123456789abcdef&offset=9223372036854775808", 400, "?file"),
        ("file=0123456789abcdef&offset=18446744073709551615", 400, "?file"),
        ("durable=1", 400, "?"),
    ] {
        let answer = post(running.addr(), &format!("{EVENTS}?{query}"), "writer", b"{\"action\":\"a\"}").await;
        assert_eq!((answer.status, answer.json()["field"].as_str()), (status, Some(field)), "{query}");
    }
    assert_eq!(double.size("main"), 0);
    let placed = format!("{EVENTS}?format=text&file=0123456789abcdef&offset=12");
    assert_eq!(post(running.addr(), &placed, "writer", b"{\"action\":\"a\"}").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_checkpoint_brings_the_proof() {
    let (running, _) = start().await;
    let answer =
        post(running.addr(), &format!("{EVENTS}?wait=checkpoint"), "admin", br#"[{"action":"a"},{"x":1}]"#).await;
    let results = answer.json()["results"].clone();
    assert_eq!(results[0]["proof"], "c2sp.org/tlog-proof@v1\nindex 0\n");
    assert_eq!(results[1].get("proof"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn add_answers_the_index_and_pushes_back() {
    let (running, double) = start().await;
    let add = "/logs/raw/add";
    for index in 0..3 {
        let answer = post(running.addr(), add, "writer", b"any bytes \x00\xff").await;
        assert_eq!((answer.status, answer.text()), (200, format!("{index}\n")));
    }
    assert_eq!(post(running.addr(), add, "writer", &vec![1; 65_536]).await.status, 413);
    assert_eq!(post(running.addr(), add, "writer", &vec![1; 65_535]).await.status, 200);
    double.busy.store(true, Ordering::SeqCst);
    for path in [add, EVENTS] {
        let answer = post(running.addr(), path, "writer", b"{\"action\":\"a\"}").await;
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_json_meets_no_5xx() {
    let (running, _) = start().await;
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    for body in [
        &b""[..],
        b"null",
        b"[]",
        b"[[]]",
        b"\x00",
        b"\xef\xbb\xbf{}",
        b"{\"action\":\"\\ud800\"}",
        b"{\"action\":1e400}",
        b"\xff\xfe",
        b"{\"action\":\"a\"",
        &deep,
    ] {
        let answer = post(running.addr(), EVENTS, "writer", body).await;
        assert!(answer.status < 500, "{} for {:?}", answer.status, &body[..body.len().min(20)]);
    }
}
