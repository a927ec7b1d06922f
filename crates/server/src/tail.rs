//! Entries as they are committed, as server-sent events whose id is the index.
//!
//! Each window leaves one entry in `access` before its first entry is sent. A tail of `access` leaves out the entries
//! that it causes itself, or it would never end.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use journal::Access;
use tokio::sync::watch;

use crate::app::{Call, ask};
use crate::limits::{TAIL_BYTES_MAX, TAIL_HEARTBEAT, TAIL_OWN_MAX, TAIL_PAGE, TAIL_WINDOW};
use crate::problem::Problem;
use crate::query::Query;
use crate::results;
use crate::routes::Answer;
use crate::seats::Seat;

struct Tail {
    call: Call,
    ledger: String,
    next: u64,
    size: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    /// When the window that is recorded began, nanoseconds.
    window_at: u64,
    own: BTreeSet<u64>,
    ready: VecDeque<Bytes>,
    /// Entries to fetch next: as many as were kept of the last page, and more while all were.
    page: u64,
    _seat: Seat,
    _watching: Box<dyn Send + Sync>,
}

/// `GET /v1/ledgers/{ledger}/tail?from=`
pub(crate) async fn tail(call: Call) -> Answer {
    let query = Query::parse(&call.query, &["from"])?;
    let seat = call.app.tails.take(&call.credential()?.token_id)?;
    let ledger = call.ledger();
    let again = call.headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    let (tx, size) = watch::channel(0);
    let tx = Arc::new(tx);
    let sender = Arc::clone(&tx);
    let note = Box::new(move |size: u64| {
        sender.send_if_modified(|s| {
            let grew = size > *s;
            *s = size.max(*s);
            grew
        });
    });
    // Watch before the first look, so that nothing falls between the two.
    let watching = call.app.log.subscribe(&call.caller.scope, &ledger, note).map_err(|e| Problem::of(&e))?;
    let name = ledger.clone();
    let now = call.blocking(move |log, scope| log.ledger_info(scope, &name)).await?.size;
    tx.send_if_modified(|s| {
        *s = now.max(*s);
        false
    });
    let next = query.number("from")?.or(again.map(|i| i.saturating_add(1))).unwrap_or(now);
    let stopping = call.app.stopping.clone();
    let own = BTreeSet::new();
    let mut tail = Tail {
        call,
        ledger,
        next,
        size,
        stopping,
        window_at: 0,
        own,
        ready: VecDeque::new(),
        page: 1,
        _seat: seat,
        _watching: watching,
    };
    tail.record().await?;
    // The head leaves at once, so that a client of a silent ledger knows that it is connected.
    tail.ready.push_back(Bytes::from_static(b": tail\n\n"));
    let events = stream::unfold(tail, |mut tail| async move {
        let bytes = tail.step().await?;
        Some((Ok::<Bytes, Infallible>(bytes), tail))
    });
    let mut answer = Response::new(Body::from_stream(events));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(answer)
}

impl Tail {
    async fn record(&mut self) -> Result<(), Problem> {
        let access = Access {
            what: "tail",
            ledger: self.ledger.clone(),
            from: Some(self.next),
            to: None,
            count: 0,
            peer: self.call.peer.clone(),
        };
        let who = Arc::clone(self.call.credential()?);
        let index =
            ask(|done| self.call.app.log.record_access(&who, &access, done)).await.map_err(|e| Problem::of(&e))?;
        if self.ledger == "access" {
            self.own.insert(index);
            if self.own.len() > TAIL_OWN_MAX {
                self.own.pop_first();
            }
        }
        self.window_at = (self.call.app.clock)();
        Ok(())
    }

    /// The next bytes to send; `None` ends the stream.
    async fn step(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            if *self.stopping.borrow() || !self.is_allowed() {
                return None;
            }
            let size = *self.size.borrow_and_update();
            if self.next >= size {
                tokio::select! {
                    changed = self.size.changed() => changed.ok()?,
                    _ = self.stopping.changed() => return None,
                    () = wait(TAIL_HEARTBEAT) => return Some(Bytes::from_static(b": here\n\n")),
                }
                continue;
            }
            self.fetch(size).await?;
        }
    }

    /// A token that was revoked since ends its tails, at the latest with the next heartbeat.
    fn is_allowed(&self) -> bool {
        self.call.credential().is_ok_and(|who| self.call.app.log.is_valid(who))
    }

    async fn fetch(&mut self, size: u64) -> Option<()> {
        // The distance: a clock that was set back must not make one window of a day.
        let window = u64::try_from(TAIL_WINDOW.as_nanos()).unwrap_or(u64::MAX);
        if (self.call.app.clock)().abs_diff(self.window_at) >= window && !self.own_only(size) {
            self.record().await.ok()?;
        }
        let (ledger, range) = (self.ledger.clone(), self.next..size.min(self.next.saturating_add(self.page)));
        let page = self.call.reading(move |log, scope| log.entries(scope, &ledger, range)).await.ok()?;
        if page.is_empty() {
            return None;
        }
        let (mut bytes, mut kept) = (0, 0);
        self.page = self.page.saturating_mul(2).min(TAIL_PAGE);
        for view in page {
            if bytes >= TAIL_BYTES_MAX {
                self.page = kept;
                break;
            }
            kept += 1;
            self.next = view.index.saturating_add(1);
            if self.own.contains(&view.index) {
                continue;
            }
            let mut event = Vec::new();
            event.extend_from_slice(b"id: ");
            results::number(view.index, &mut event);
            event.extend_from_slice(b"\ndata: ");
            // One line: the writer escapes line breaks inside strings.
            event.extend_from_slice(&results::entry(&view).ok()?);
            event.extend_from_slice(b"\n\n");
            bytes += event.len();
            self.ready.push_back(Bytes::from(event));
        }
        Some(())
    }

    /// Whether all that waits are entries that this tail caused: sending nothing needs no record.
    fn own_only(&self, size: u64) -> bool {
        (self.next..size).take(TAIL_OWN_MAX).all(|i| self.own.contains(&i))
    }
}

async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}
