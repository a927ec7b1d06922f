//! The generator against a tiny listener of its own.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;

/// Answers every request with its number of bytes, after `delay`; the first one of a server is kept for `stall`.
fn listen(delay: Duration, stall: Duration) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addr, served) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&served);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, count) = (stream.unwrap(), Arc::clone(&count));
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                loop {
                    let mut length = 0;
                    let mut line = String::new();
                    while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                        if let Some(value) = line.strip_prefix("Content-Length: ") {
                            length = value.trim().parse().unwrap();
                        }
                        line.clear();
                    }
                    let mut body = vec![0; length];
                    if length == 0 || reader.read_exact(&mut body).is_err() {
                        return;
                    }
                    let first = count.fetch_add(1, Ordering::SeqCst) == 0;
                    std::thread::sleep(if first { stall } else { delay });
                    let text = length.to_string();
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
                    if stream.write_all(head.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (addr, served)
}

struct Bodies {
    target: Target,
    bytes: usize,
    right: u64,
}

impl Load for Bodies {
    fn request(&mut self, out: &mut Vec<u8>) -> u64 {
        self.bytes = self.bytes % 300_000 + 7_001;
        post(&self.target, "/x", &vec![b'a'; self.bytes], out);
        3
    }

    fn acknowledged(&mut self, sent: u64, answer: &Answer<'_>) -> u64 {
        let length: usize = std::str::from_utf8(answer.body).unwrap().parse().unwrap();
        assert!(length >= 7_001 && answer.status == 200);
        self.right += 1;
        sent
    }
}

fn run(connections: usize, pace: Pace, delay: Duration, stall: Duration) -> (Outcome, u64, u64) {
    let (addr, served) = listen(delay, stall);
    let target = Target::new(addr, "t", "text/plain");
    let mut load = Bodies { target: target.clone(), bytes: 0, right: 0 };
    let mut begun = 0;
    let times = (Duration::from_millis(100), Duration::from_millis(500));
    let outcome = drive(&target, connections, pace, times, &mut load, &mut || begun += 1).unwrap();
    assert_eq!(begun, 1);
    (outcome, load.right, served.load(Ordering::SeqCst))
}

#[test]
fn a_closed_loop_keeps_every_connection_busy() {
    let (outcome, right, served) = run(4, Pace::Closed, Duration::from_millis(10), Duration::ZERO);
    assert_eq!(outcome.answers.keys().collect::<Vec<_>>(), [&200]);
    assert_eq!(outcome.acknowledged, 3 * outcome.answers[&200]);
    assert!(right <= served && served <= right + 4, "{right} of {served}");
    // At most 50 each in the half second that counts; a busy machine gives fewer.
    assert!((4..=204).contains(&outcome.answers[&200]), "{:?}", outcome.answers);
    assert!(outcome.times.ms(500) >= 9.0);
}

#[test]
fn an_open_loop_charges_a_stall_to_all_that_were_due() {
    // One connection, kept for 300 ms: 100 ms are warm-up, so what was due in the 200 ms after it waits up to 200 ms.
    let (outcome, _, _) = run(1, Pace::Open(100), Duration::ZERO, Duration::from_millis(300));
    assert!(outcome.late > 0);
    assert!(outcome.times.ms(1000) >= 150.0, "{} ms", outcome.times.ms(1000));
    // A loop that waits for its answers would have seen one slow request and dozens of fast ones.
    assert!(outcome.times.ms(800) >= 50.0, "{} ms", outcome.times.ms(800));
}

#[test]
fn answers_are_found_in_pieces() {
    let whole = b"HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 200 OK\r\n";
    let length = whole.len() - b"HTTP/1.1 200 OK\r\n".len();
    for cut in 0..length {
        assert_eq!(answer::parse(&whole[..cut]).unwrap(), None, "{cut}");
    }
    assert_eq!(answer::parse(whole).unwrap(), Some((Answer { status: 429, body: b"no" }, length)));
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    let found = answer::parse(chunked).unwrap().unwrap();
    assert_eq!((found.0.status, found.1), (200, chunked.len()));
    assert!(answer::parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    assert!(answer::parse(b"SSH-2.0\r\n\r\n").is_err());
}
