//! From a request's body to plain bytes, under absolute, ratio and window caps and a deadline.
//!
//! Called only after the caller was authenticated: nothing is unfolded for a stranger.

use std::io::Read;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT};
use http_body_util::BodyExt;

use crate::limits::{BODY_READ, PASS_OVER, PASS_OVER_BYTES_MAX, RATIO_FREE_BYTES, RATIO_MAX, ZSTD_WINDOW_LOG_MAX};
use crate::memory::{Purse, Share};
use crate::problem::Problem;

/// A body in memory together with its share of the memory that all bodies may take.
pub(crate) struct Collected {
    pub(crate) bytes: Bytes,
    shares: Vec<Share>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Plain,
    Gzip,
    Zstd,
}

fn too_large(cap: usize) -> Problem {
    Problem::new("body-too-large", format!("the body is larger than {cap} bytes"))
        .field("body", format!("at most {cap} bytes after decompression"))
}

fn coding(headers: &HeaderMap) -> Result<Coding, Problem> {
    let mut all = headers.get_all(CONTENT_ENCODING).iter();
    let coding = match all.next().map(http::HeaderValue::as_bytes) {
        None => Coding::Plain,
        Some(v) if v.eq_ignore_ascii_case(b"identity") => Coding::Plain,
        Some(v) if v.eq_ignore_ascii_case(b"gzip") || v.eq_ignore_ascii_case(b"x-gzip") => Coding::Gzip,
        Some(v) if v.eq_ignore_ascii_case(b"zstd") => Coding::Zstd,
        Some(_) => return Err(unknown_coding()),
    };
    // A second coding would be a bomb inside a bomb.
    if all.next().is_some() { Err(unknown_coding()) } else { Ok(coding) }
}

fn unknown_coding() -> Problem {
    Problem::new("media-type-unknown", "this Content-Encoding is not taken")
        .field("Content-Encoding", "identity, gzip or zstd, once")
}

/// Reads the whole body, unfolds it where it is compressed. `cap` bounds the unfolded bytes.
///
/// Errors: 400 broken compression, 408 deadline, 413 caps, 415 coding, 429 memory for bodies used up.
pub(crate) async fn collect(
    headers: &HeaderMap,
    mut body: Body,
    cap: usize,
    memory: &Purse,
) -> Result<Collected, Problem> {
    let collected = take(headers, &mut body, cap, memory).await;
    if collected.is_err() {
        pass_over(headers, body).await;
    }
    collected
}

async fn take(headers: &HeaderMap, body: &mut Body, cap: usize, memory: &Purse) -> Result<Collected, Problem> {
    let coding = coding(headers)?;
    let reading = raw(headers, body, cap, memory);
    let raw = tokio::time::timeout(BODY_READ, reading).await.map_err(|_| {
        Problem::new("deadline-passed", format!("the body was not complete after {} s", BODY_READ.as_secs()))
    })??;
    if coding == Coding::Plain {
        return Ok(raw);
    }
    let most = cap.min(RATIO_FREE_BYTES.max(raw.bytes.len().saturating_mul(RATIO_MAX)));
    let mut share = memory.reserve(most)?;
    // The shares go along: a client that hangs up ends this future, not the thread that holds the bytes.
    let unfolding = tokio::task::spawn_blocking(move || {
        let Collected { bytes, shares } = raw;
        let plain = unfold(coding, &bytes, most, cap)?;
        drop((bytes, shares));
        // Give back what the caps allowed and the body did not need.
        share.shrink_to(plain.len());
        Ok(Collected { bytes: Bytes::from(plain), shares: vec![share] })
    });
    unfolding.await.map_err(|_| Problem::new("unavailable", "the body could not be unfolded"))?
}

/// Reads the rest of a body that is refused, and keeps none of it: a connection that is closed with bytes unread is
/// reset, and a client that is still sending would never see why.
pub(crate) async fn pass_over(headers: &HeaderMap, mut body: Body) {
    if headers.contains_key(EXPECT) {
        // It sends nothing before it has seen the answer.
        return;
    }
    let reading = async {
        let mut left = PASS_OVER_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    // Whoever is slower than that sees a reset.
    let _ = tokio::time::timeout(PASS_OVER, reading).await;
}

async fn raw(headers: &HeaderMap, body: &mut Body, cap: usize, memory: &Purse) -> Result<Collected, Problem> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
    // Before the first byte is polled: a client that waits for 100-continue need not send what is refused anyway.
    if announced.is_some_and(|n| n > cap) {
        return Err(too_large(cap));
    }
    let mut shares = Vec::new();
    let mut reserved = announced.unwrap_or(0);
    if reserved > 0 {
        shares.push(memory.reserve(reserved)?);
    }
    let mut all = BytesMut::with_capacity(reserved);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::new("request-malformed", "the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        let total = all.len() + data.len();
        if total > cap {
            return Err(too_large(cap));
        }
        if total > reserved {
            let more = (total - reserved).max(256 << 10);
            shares.push(memory.reserve(more)?);
            reserved += more;
        }
        all.extend_from_slice(&data);
    }
    Ok(Collected { bytes: all.freeze(), shares })
}

fn unfold(coding: Coding, packed: &[u8], most: usize, cap: usize) -> Result<Vec<u8>, Problem> {
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut out = Vec::with_capacity(most.min(packed.len().saturating_mul(8)));
    let outcome = match coding {
        Coding::Plain => return Ok(packed.to_vec()),
        Coding::Gzip => flate2::read::MultiGzDecoder::new(packed).take(limit).read_to_end(&mut out).map(|_| ()),
        Coding::Zstd => zstd::stream::read::Decoder::with_buffer(packed).and_then(|mut decoder| {
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            decoder.take(limit).read_to_end(&mut out).map(|_| ())
        }),
    };
    if out.len() > most {
        return Err(if most < cap {
            Problem::new("compression-ratio", format!("the body unfolds to more than {RATIO_MAX} times its size"))
                .field("body", format!("a compression ratio of at most {RATIO_MAX}"))
        } else {
            too_large(cap)
        });
    }
    outcome.map_err(|_| {
        Problem::new("request-malformed", "the body is not what its Content-Encoding says, or is cut off")
            .field("body", "a whole gzip or zstd stream with a window of at most 8 MiB")
    })?;
    Ok(out)
}

impl Collected {
    /// The bytes, and the share of memory that they have for as long as the request is under way.
    pub(crate) fn split(self) -> (Bytes, Vec<Share>) {
        (self.bytes, self.shares)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::limits::BODY_BYTES_MAX;

    fn gz(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        let _ = encoder.write_all(plain);
        encoder.finish().unwrap_or_default()
    }

    fn check(coding: Coding, packed: &[u8], cap: usize, expected: Result<usize, (u16, &str)>) {
        let most = cap.min(RATIO_FREE_BYTES.max(packed.len() * RATIO_MAX));
        let got = unfold(coding, packed, most, cap);
        assert_eq!(got.as_ref().map(Vec::len).map_err(|p| (p.status, p.kind)), expected);
    }

    #[test]
    fn bombs_meet_their_caps() {
        let zeros = vec![b' '; 4 << 20];
        check(Coding::Gzip, &gz(b"{}"), BODY_BYTES_MAX, Ok(2));
        check(Coding::Gzip, &gz(&zeros), BODY_BYTES_MAX, Err((413, "compression-ratio")));
        let packed = zstd::bulk::compress(&zeros, 3).unwrap_or_default();
        check(Coding::Zstd, &packed, BODY_BYTES_MAX, Err((413, "compression-ratio")));
        check(Coding::Zstd, &zstd::bulk::compress(b"[]", 3).unwrap_or_default(), BODY_BYTES_MAX, Ok(2));
        let mixed: Vec<u8> = (0..200_000u32).flat_map(|i| i.to_string().into_bytes()).collect();
        check(Coding::Gzip, &gz(&mixed), 100_000, Err((413, "body-too-large")));
    }

    #[test]
    fn cut_off_and_foreign_bytes_are_refused() {
        let whole = gz(b"{\"action\":\"a.b\"}");
        check(Coding::Gzip, &whole[..whole.len() - 3], BODY_BYTES_MAX, Err((400, "request-malformed")));
        check(Coding::Gzip, b"{}", BODY_BYTES_MAX, Err((400, "request-malformed")));
        check(Coding::Zstd, b"{}", BODY_BYTES_MAX, Err((400, "request-malformed")));
        let mut twice = gz(b"a");
        twice.extend(gz(b"b"));
        check(Coding::Gzip, &twice, BODY_BYTES_MAX, Ok(2));
    }

    /// Hanging up does not free what a thread still holds: else a client that hangs up a thousand times has a thousand
    /// bodies unfolded at one time.
    #[test]
    fn memory_is_taken_for_as_long_as_a_body_unfolds() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(1).build();
        let Ok(runtime) = runtime else { unreachable!("a runtime of one thread") };
        let purse = crate::memory::Memory::of_kib(320, 320).purse("a");
        let (go, wait) = std::sync::mpsc::channel::<()>();
        runtime.block_on(async {
            // The one thread is busy, so that the body waits for it.
            let busy = tokio::task::spawn_blocking(move || wait.recv());
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, http::HeaderValue::from_static("gzip"));
            let hangs_up = collect(&headers, Body::from(gz(b"{}")), 64 << 10, &purse);
            let waited = tokio::time::timeout(std::time::Duration::from_millis(50), hangs_up).await;
            // What came in pieces is counted by 256 KiB, what it may unfold to is 64 KiB.
            assert!(waited.is_err() && purse.reserve(1).is_err());
            drop(go);
            assert!(busy.await.is_ok());
            // Behind the body in the line of the one thread.
            assert!(tokio::task::spawn_blocking(|| ()).await.is_ok());
            assert!(purse.reserve(320 << 10).is_ok());
        });
    }

    #[test]
    fn a_window_of_two_gibibytes_is_refused() {
        // Frame header: magic, no single segment, window descriptor for exponent 21 (2 GiB), then one raw block.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x09, 0x00, 0x00, b'x'];
        check(Coding::Zstd, &frame, BODY_BYTES_MAX, Err((400, "request-malformed")));
    }
}
