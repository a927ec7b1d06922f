//! A load generator that costs little: requests are built once, ids are patched in place, answers are only skimmed.
//!
//! Not an HTTP client for anything else: it knows the answers of this server alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Events of about this many bytes.
pub(crate) const EVENT_BYTES: usize = 512;
/// Largest answer head.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Where to send and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) addr: String,
    pub(crate) token: String,
}

/// A request whose event ids can be patched without building it anew.
#[derive(Clone)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    /// Offsets of the 16-digit slots.
    slots: Vec<usize>,
    pub(crate) events: u64,
}

const SLOT: &str = "0000000000000000";

/// One event of about 512 bytes, different in what differs in real life.
pub(crate) fn event(n: usize) -> String {
    let actors = ["ada", "grace", "edsger", "barbara", "tony", "leslie", "donald", "frances"];
    let verbs = ["viewed", "created", "updated", "deleted", "exported", "shared"];
    let pick = |all: &[&'static str], salt: usize| all.get((n.wrapping_mul(2_654_435_761) >> salt) % all.len()).copied().unwrap_or("x");
    let mut text = format!(
        "{{\"id\":\"evt-{SLOT}\",\"action\":\"invoice.{}\",\"occurred_at\":\"2026-11-24T10:{:02}:{:02}.{:06}Z\",\
         \"actor\":{{\"type\":\"user\",\"id\":\"{}-{}\"}},\"targets\":[{{\"type\":\"invoice\",\"id\":\"inv-{}\"}}],\
         \"outcome\":{{\"status\":\"success\"}},\"context\":{{\"ip\":\"10.20.{}.{}\",\"request_id\":\"{:016x}\",\
         \"user_agent\":\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\"}},\"message\":\"",
        pick(&verbs, 3),
        n / 60 % 60,
        n % 60,
        n.wrapping_mul(7919) % 1_000_000,
        pick(&actors, 7),
        n % 5000,
        n.wrapping_mul(31) % 100_000,
        n % 256,
        n.wrapping_mul(13) % 256,
        (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15),
    );
    let words = ["ledger", "quarterly", "approved", "reviewed", "total", "customer", "region", "draft", "final", "paid"];
    let mut i = n;
    while text.len() + 12 < EVENT_BYTES {
        i = i.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(words.get((i >> 33) % words.len()).unwrap_or(&"x"));
        text.push(' ');
    }
    text.push_str("\"}");
    text
}

impl Template {
    /// `POST /v1/ledgers/main/events` with an NDJSON batch.
    pub(crate) fn batch(target: &Target, events: usize, seed: usize, query: &str) -> Self {
        let mut body = String::new();
        for n in 0..events {
            body.push_str(&event(seed + n));
            body.push('\n');
        }
        Self::post(target, &format!("/v1/ledgers/main/events{query}"), "application/x-ndjson", &body, events as u64)
    }

    /// One event as one JSON object.
    pub(crate) fn single(target: &Target, seed: usize, query: &str) -> Self {
        Self::post(target, &format!("/v1/ledgers/main/events{query}"), "application/json", &event(seed), 1)
    }

    /// One raw entry through `/add`.
    pub(crate) fn add(target: &Target, ledger: &str, seed: usize) -> Self {
        Self::post(target, &format!("/logs/{ledger}/add"), "application/octet-stream", &event(seed), 1)
    }

    /// A request that the server answers without doing anything.
    pub(crate) fn empty(target: &Target) -> Self {
        let text = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", target.addr);
        Self { bytes: text.into_bytes(), slots: Vec::new(), events: 1 }
    }

    fn post(target: &Target, path: &str, content_type: &str, body: &str, events: u64) -> Self {
        let text = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: {content_type}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            target.addr,
            target.token,
            body.len()
        );
        let slots = text.match_indices(&format!("evt-{SLOT}")).map(|(at, _)| at + 4).collect();
        Self { bytes: text.into_bytes(), slots, events }
    }

    /// Gives every event an id that no other event of this run has.
    pub(crate) fn patch(&mut self, next: &AtomicU64) -> &[u8] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let first = next.fetch_add(self.slots.len() as u64, Ordering::Relaxed);
        for (n, at) in self.slots.iter().enumerate() {
            let mut id = first + n as u64;
            if let Some(slot) = self.bytes.get_mut(*at..at + SLOT.len()) {
                for digit in slot.iter_mut().rev() {
                    *digit = HEX.get((id & 15) as usize).copied().unwrap_or(b'0');
                    id >>= 4;
                }
            }
        }
        &self.bytes
    }
}

/// One connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(addr: &str) -> Result<Self> {
        let stream = TcpStream::connect(addr).await.with_context(|| format!("cannot connect to {addr}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 << 10) })
    }

    /// Sends a request and reads its answer whole; gives the status and the body's length.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<(u16, usize)> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head_end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if self.buffer.len() > HEAD_BYTES_MAX || self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection or sent no head");
            }
        };
        let head = String::from_utf8_lossy(self.buffer.get(..head_end).unwrap_or(&[])).to_ascii_lowercase();
        let status = head.get(9..12).and_then(|s| s.parse().ok()).context("no status line")?;
        let length = head
            .split("content-length:")
            .nth(1)
            .and_then(|r| r.split("\r\n").next())
            .and_then(|v| v.trim().parse::<usize>().ok())
            .context("an answer without Content-Length")?;
        let mut have = self.buffer.len() - head_end;
        while have < length {
            self.buffer.clear();
            let read = self.stream.read_buf(&mut self.buffer).await?;
            if read == 0 {
                bail!("the answer broke off");
            }
            have += read;
        }
        Ok((status, length))
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

/// What a run gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) events: u64,
    pub(crate) requests: u64,
    pub(crate) busy: u64,
    pub(crate) errors: u64,
    pub(crate) seconds: f64,
    /// Latencies in microseconds, sorted.
    pub(crate) latencies: Vec<u32>,
}

impl Outcome {
    pub(crate) fn rate(&self) -> f64 {
        self.events as f64 / self.seconds.max(1e-9)
    }

    /// The p-th percentile in milliseconds.
    pub(crate) fn percentile(&self, p: f64) -> f64 {
        let at = ((self.latencies.len() as f64 * p / 100.0) as usize).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).map_or(f64::NAN, |us| f64::from(*us) / 1000.0)
    }

    fn absorb(&mut self, other: Self) {
        self.events += other.events;
        self.requests += other.requests;
        self.busy += other.busy;
        self.errors += other.errors;
        self.latencies.extend(other.latencies);
    }
}

/// Each connection sends its next request when the last one is answered.
pub(crate) async fn closed_loop(
    target: &Target,
    connections: usize,
    duration: Duration,
    ids: &Arc<AtomicU64>,
    make: impl Fn(usize) -> Template,
) -> Result<Outcome> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for n in 0..connections {
        let (mut template, stop, ids) = (make(n), Arc::clone(&stop), Arc::clone(ids));
        let mut connection = Connection::open(&target.addr).await?;
        tasks.push(tokio::spawn(async move {
            let mut out = Outcome::default();
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                match connection.ask(template.patch(&ids)).await {
                    Ok((200, _)) => {
                        out.events += template.events;
                        out.requests += 1;
                        out.latencies.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
                    }
                    Ok((429 | 503, _)) => {
                        out.busy += 1;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    _ => {
                        out.errors += 1;
                        break;
                    }
                }
            }
            out
        }));
    }
    let begun = Instant::now();
    tokio::time::sleep(duration).await;
    stop.store(true, Ordering::Relaxed);
    let mut total = Outcome::default();
    for task in tasks {
        total.absorb(task.await.context("a generator task died")?);
    }
    total.seconds = begun.elapsed().as_secs_f64();
    total.latencies.sort_unstable();
    Ok(total)
}

/// Requests at a fixed rate; a latency counts from the moment its request was due, so that waiting is not hidden.
pub(crate) async fn open_loop(
    target: &Target,
    per_second: u64,
    duration: Duration,
    ids: &Arc<AtomicU64>,
    make: impl Fn(usize) -> Template,
) -> Result<Outcome> {
    const CONNECTIONS: usize = 64;
    let begun = Instant::now() + Duration::from_millis(100);
    let count = per_second * duration.as_secs();
    let due = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for n in 0..CONNECTIONS {
        let (mut template, ids, due) = (make(n), Arc::clone(ids), Arc::clone(&due));
        let mut connection = Connection::open(&target.addr).await?;
        tasks.push(tokio::spawn(async move {
            let mut out = Outcome::default();
            loop {
                let turn = due.fetch_add(1, Ordering::Relaxed);
                if turn >= count {
                    return out;
                }
                let at = begun + Duration::from_nanos(turn * 1_000_000_000 / per_second);
                tokio::time::sleep_until(at.into()).await;
                match connection.ask(template.patch(&ids)).await {
                    Ok((200, _)) => {
                        out.events += 1;
                        out.requests += 1;
                        out.latencies.push(u32::try_from(at.elapsed().as_micros()).unwrap_or(u32::MAX));
                    }
                    Ok((429 | 503, _)) => out.busy += 1,
                    _ => {
                        out.errors += 1;
                        return out;
                    }
                }
            }
        }));
    }
    let mut total = Outcome::default();
    for task in tasks {
        total.absorb(task.await.context("a generator task died")?);
    }
    total.seconds = begun.elapsed().as_secs_f64();
    total.latencies.sort_unstable();
    Ok(total)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::sync::atomic::AtomicU64;

    use super::{EVENT_BYTES, Target, Template, event};

    #[test]
    fn events_are_json_of_the_stated_size() {
        for n in 0..200 {
            let text = event(n);
            assert!(text.len().abs_diff(EVENT_BYTES) < 24, "{}", text.len());
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
    }

    #[test]
    fn every_patched_id_is_new() {
        let target = Target { addr: "127.0.0.1:1".into(), token: "t".into() };
        let next = AtomicU64::new(7);
        let mut template = Template::batch(&target, 3, 0, "");
        let first = template.patch(&next).to_vec();
        let second = template.patch(&next).to_vec();
        assert_eq!(first.len(), second.len());
        let text = String::from_utf8(second).unwrap();
        for id in ["evt-000000000000000a", "evt-000000000000000b", "evt-000000000000000c"] {
            assert!(text.contains(id), "{text}");
        }
    }
}
