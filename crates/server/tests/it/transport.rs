//! TLS, deadlines, HTTP/2, stopping.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use server::{ConfigFile, Log};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{PATIENCE, post};
use crate::double::Double;
use crate::{config, start, start_with};

fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// The certificate that the server shows is the one in `pem`, and the server answers.
async fn greets(addr: std::net::SocketAddr, pem: &str) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(addr).await.unwrap();
    let Ok(mut tls) = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await else { return false };
    tls.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = tls.read_to_end(&mut answer).await;
    answer.starts_with(b"HTTP/1.1 200")
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_taken_up_again_and_a_broken_pair_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    let (first, second) = (pair(), pair());
    std::fs::write(&cert, &first.0).unwrap();
    std::fs::write(&key, &first.1).unwrap();
    let mut file = ConfigFile::new("d".into(), "127.0.0.1:0".parse().unwrap(), "s".into());
    file.tls_cert = Some(cert.clone());
    file.tls_key = Some(key.clone());
    let double: Arc<dyn Log> = Double::new();
    let running = server::serve(&file.resolve().unwrap(), double, server::real::clock()).await.unwrap();
    assert!(greets(running.addr(), &first.0).await);
    // Half of a change: the old pair stays in force.
    std::fs::write(&cert, &second.0).unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(greets(running.addr(), &first.0).await);
    std::fs::write(&key, &second.1).unwrap();
    let renewed = async {
        while !greets(running.addr(), &second.0).await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, renewed).await.expect("the new pair is taken up");
    assert!(!greets(running.addr(), &first.0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_does_not_fit_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&cert, pair().0).unwrap();
    std::fs::write(&key, pair().1).unwrap();
    let mut file = ConfigFile::new("d".into(), "127.0.0.1:0".parse().unwrap(), "s".into());
    file.tls_cert = Some(cert);
    file.tls_key = Some(key);
    let double: Arc<dyn Log> = Double::new();
    let refused = server::serve(&file.resolve().unwrap(), double, server::real::clock()).await;
    assert!(matches!(refused, Err(server::ServeError::Tls(_))));
}

type Http2 = hyper::client::conn::http2::SendRequest<http_body_util::Empty<bytes::Bytes>>;

/// A connection, and what becomes of it.
async fn http2(addr: std::net::SocketAddr) -> (Http2, tokio::task::JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(addr).await.unwrap();
    let (executor, stream) = (hyper_util::rt::TokioExecutor::new(), hyper_util::rt::TokioIo::new(stream));
    let (sender, connection) = hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
    (sender, tokio::spawn(connection))
}

async fn ask(sender: &mut Http2, path: &str, token: &str) -> hyper::Result<http::Response<hyper::body::Incoming>> {
    let request = http::Request::get(format!("http://x{path}")).header("authorization", format!("Bearer {token}"));
    sender.send_request(request.body(http_body_util::Empty::new()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_with_prior_knowledge() {
    let (running, _) = start().await;
    let (mut sender, _) = http2(running.addr()).await;
    assert_eq!(ask(&mut sender, "/healthz", "").await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_http2_connection_is_ended_and_a_busy_one_is_not() {
    let mut config = config();
    config.connections.idle = Duration::from_millis(300);
    let (running, _) = start_with(&config).await;
    let (mut idle, ended) = http2(running.addr()).await;
    let (mut busy, _held) = http2(running.addr()).await;
    assert_eq!(ask(&mut idle, "/healthz", "").await.unwrap().status(), 200);
    let begun = std::time::Instant::now();
    while !ended.is_finished() {
        assert_eq!(ask(&mut busy, "/healthz", "").await.unwrap().status(), 200);
        assert!(begun.elapsed() < PATIENCE, "the idle one goes on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(300) && ask(&mut idle, "/healthz", "").await.is_err());
    ended.await.unwrap().expect("it was told goodbye");
}

/// The status of an answer; none where the connection is closed without one.
async fn get(addr: std::net::SocketAddr, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(addr).await.ok()?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_does_not_take_all_connections() {
    let mut config = config();
    config.connections.loopback_max = 3;
    let (running, _) = start_with(&config).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let (mut sender, task) = http2(running.addr()).await;
        assert_eq!(ask(&mut sender, "/healthz", "").await.unwrap().status(), 200);
        held.push((sender, task));
    }
    let mut one_more = TcpStream::connect(running.addr()).await.unwrap();
    let mut byte = [0];
    let refused = tokio::time::timeout(Duration::from_secs(5), one_more.read(&mut byte)).await;
    assert!(matches!(refused.expect("closed at once"), Ok(0) | Err(_)));
    let metrics = ask(&mut held[0].0, "/metrics", "writer").await.unwrap();
    let text = http_body_util::BodyExt::collect(metrics.into_body()).await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&text).contains("proofbook_address_refusals_total 1\n"));
    held.pop().unwrap().1.abort();
    // The server notices the end of that connection a moment later; then its place is free.
    let again = async {
        while get(running.addr(), "/healthz").await != Some(200) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("a place that was left is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_is_let_go_and_blocks_nobody() {
    let (running, _) = start().await;
    let mut silent = TcpStream::connect(running.addr()).await.unwrap();
    silent.write_all(b"POST /v1/led").await.unwrap();
    assert_eq!(post(running.addr(), "/logs/raw/add", "writer", b"x").await.status, 200);
    let mut buffer = [0; 64];
    let ended = tokio::time::timeout(PATIENCE, silent.read(&mut buffer)).await.expect("let go in time");
    assert!(matches!(ended, Ok(0) | Err(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_under_load_loses_nothing_that_was_acknowledged() {
    let (running, double) = start().await;
    let addr = running.addr();
    let acknowledged = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let acknowledged = Arc::clone(&acknowledged);
        tasks.push(tokio::spawn(async move {
            let Ok(mut stream) = TcpStream::connect(addr).await else { return };
            let mut buffer = vec![0; 4096];
            loop {
                let request = b"POST /v1/ledgers/main/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer writer\r\n\
                    content-length: 14\r\n\r\n{\"action\":\"a\"}";
                if stream.write_all(request).await.is_err() {
                    return;
                }
                match stream.read(&mut buffer).await {
                    Ok(n) if buffer[..n].starts_with(b"HTTP/1.1 200") => {
                        acknowledged.fetch_add(1, Ordering::SeqCst);
                    }
                    _ => return,
                }
            }
        }));
    }
    while acknowledged.load(Ordering::SeqCst) < 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::timeout(PATIENCE, running.stop()).await.expect("stops in time").unwrap();
    for task in tasks {
        tokio::time::timeout(PATIENCE, task).await.expect("every connection ends").unwrap();
    }
    let closed = double.closed_at.lock().unwrap().expect("the log was closed");
    assert_eq!(closed, double.size("main"), "nothing was appended after the last checkpoint");
    assert!(acknowledged.load(Ordering::SeqCst) <= closed);
    assert!(TcpStream::connect(addr).await.is_err(), "the listener is gone");
}
