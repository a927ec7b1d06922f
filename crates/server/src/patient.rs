//! A stream that gives up on a peer who takes nothing: its answer and its connection would be held for ever.
//!
//! Knows bytes alone; how long a request or an answer may be is decided elsewhere.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Fails a write that made no progress for some time.
pub(crate) struct Patient<S> {
    inner: S,
    /// A write may make no progress for this long.
    stall: Duration,
    late: Pin<Box<Sleep>>,
    /// A write waits for the peer.
    waiting: bool,
    moved: Moved,
}

/// Counts reads and writes that moved bytes; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Moved(Arc<AtomicU64>);

impl Moved {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl<S> Patient<S> {
    pub(crate) fn new(inner: S, stall: Duration) -> Patient<S> {
        Patient { inner, stall, late: Box::pin(sleep(stall)), waiting: false, moved: Moved::default() }
    }

    pub(crate) fn moved(&self) -> Moved {
        self.moved.clone()
    }

    fn judge<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = false;
            return written;
        }
        if !self.waiting {
            self.waiting = true;
            let late = Instant::now() + self.stall;
            self.late.as_mut().reset(late);
        }
        // Asked on each wait: the last asker is the one that is woken.
        self.late.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if read.is_ready() {
            self.moved.add();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        if written.is_ready() {
            self.moved.add();
        }
        self.judge(cx, written)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        if written.is_ready() {
            self.moved.add();
        }
        self.judge(cx, written)
    }
    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.judge(cx, flushed)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.judge(cx, ended)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const STALL: Duration = Duration::from_millis(400);

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_let_go_and_a_slow_one_is_not() {
        let (near, mut far) = duplex(16);
        let mut patient = Patient::new(near, STALL);
        let slow = tokio::spawn(async move {
            let mut taken = [0; 8];
            for _ in 0..8 {
                sleep(STALL / 4).await;
                let _ = far.read_exact(&mut taken).await;
            }
            far
        });
        assert!(patient.write_all(&[0; 64]).await.is_ok(), "slow is no crime");
        let far = slow.await;
        let begun = Instant::now();
        let stalled = patient.write_all(&[0; 64]).await;
        assert_eq!(stalled.map_err(|e| e.kind()), Err(io::ErrorKind::TimedOut));
        assert!(begun.elapsed() >= STALL);
        drop(far);
    }
}
