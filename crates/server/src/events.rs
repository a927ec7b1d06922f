//! Appending: events to audit ledgers, bytes as posted to raw ones.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderName, Response};
use journal::{Credential, EventResult, FilePlace, Format, Framing, Request};

use crate::app::{App, Call, ask};
use crate::decode;
use crate::limits::{
    BODY_BYTES_MAX, CHECKPOINT_WAIT, FILE_BYTES_MAX, LEAF_BYTES_MAX, PARSE_ASIDE_BYTES, PROOFS_AT_ONCE,
};
use crate::problem::Problem;
use crate::query::Query;
use crate::quota::{Rate, What};
use crate::results;
use crate::routes::Answer;
use crate::seats::seated;

static RECEIPT: HeaderName = HeaderName::from_static("audit-receipt");

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Durable,
    Checkpoint,
    Witnessed,
}

/// What the Content-Type says about framing.
fn framing(call: &Call) -> Result<Framing, Problem> {
    let Some(value) = call.headers.get(CONTENT_TYPE) else { return Ok(Framing::Auto) };
    let value = value.to_str().unwrap_or("").to_ascii_lowercase();
    match value.split(';').next().unwrap_or("").trim() {
        // The last is what `curl -d` says of any body unless told otherwise.
        "application/json" | "application/octet-stream" | "text/plain" | "application/x-www-form-urlencoded" => {
            Ok(Framing::Auto)
        }
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/json-lines" => {
            Ok(Framing::Ndjson)
        }
        _ => Err(Problem::new("media-type-unknown", "this Content-Type is not taken here")
            .field("Content-Type", "application/json, application/x-ndjson, text/plain or application/octet-stream")),
    }
}

fn place(query: &Query) -> Result<Option<FilePlace>, Problem> {
    match (query.get("file"), query.number("offset")?) {
        (None, None) => Ok(None),
        (Some(file), Some(offset))
            if file.len() == 16
                && file.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
                && offset <= FILE_BYTES_MAX =>
        {
            Ok(Some(FilePlace { file: file.to_owned(), offset }))
        }
        _ => Err(Problem::new("request-malformed", "file and offset belong together")
            .field("?file", "16 lower-case hex digits, together with an offset below 2^63")),
    }
}

/// Refuses while a bucket of the token is in debt; takes the bytes, which are known.
fn admit(app: &App, who: &Credential, bytes: usize) -> Result<(), Problem> {
    let now = (app.clock)();
    let quotas = &who.quotas;
    let refused = |seconds| {
        app.metrics.quota_refusals.add(1);
        Problem::new("quota-exceeded", "the token's events or bytes are used up for now").retry_after(seconds)
    };
    // An empty take only asks whether the events of earlier requests are paid.
    app.quotas
        .take(What::Events, &who.token_id, Rate::per_second(quotas.events_per_second), 0, now)
        .map_err(refused)?;
    app.quotas.take(What::Bytes, &who.token_id, Rate::per_day(quotas.bytes_per_day), bytes as u64, now).map_err(refused)
}

fn charge(app: &App, who: &Credential, events: usize) {
    let rate = Rate::per_second(who.quotas.events_per_second);
    // Into debt if need be: the events are durable, the next request waits.
    let _ = app.quotas.take(What::Events, &who.token_id, rate, events as u64, (app.clock)());
}

/// `POST /v1/ledgers/{ledger}/events`
pub(crate) async fn append(mut call: Call) -> Answer {
    let query = Query::parse(&call.query, &["wait", "format", "file", "offset"])?;
    let waits = [("durable", Wait::Durable), ("checkpoint", Wait::Checkpoint), ("witnessed", Wait::Witnessed)];
    let wait = query.choice("wait", Wait::Durable, &waits)?;
    if wait == Wait::Witnessed {
        return Err(Problem::new("not-built", "no witness is configured: wait=witnessed cannot be kept")
            .field("?wait", "durable or checkpoint"));
    }
    let formats = [
        ("native", Format::Native),
        ("cloudtrail", Format::CloudTrail),
        ("openbao", Format::OpenBao),
        ("syslog", Format::Syslog),
        ("text", Format::Text),
    ];
    let format = query.choice("format", Format::Native, &formats)?;
    let place = place(&query)?;
    let framing = framing(&call)?;
    let (app, who, ledger) = (Arc::clone(&call.app), Arc::clone(call.credential()?), call.ledger());
    let body = call.take_body();
    if let Err(problem) = app.answers(&call.caller.credential).is_paid() {
        decode::pass_over(&call.headers, body).await;
        return Err(problem);
    }
    let collected = decode::collect(&call.headers, body, BODY_BYTES_MAX, &app.memory.purse(&who.token_id)).await?;
    admit(&app, &who, collected.bytes.len())?;
    app.metrics.bytes.add(collected.bytes.len() as u64);
    let single = format == Format::Native
        && framing == Framing::Auto
        && collected.bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    // The bytes end once the batch is built; their share goes on, for the batch waits in their place.
    let (bytes, shares) = collected.split();
    let all = submit(&app, &who, &ledger, bytes, (format, framing, place)).await?;
    drop(shares);
    charge(&app, &who, all.len());
    app.metrics.events.add(all.len() as u64);
    if let ([EventResult::Refused(refusal)], true) = (&all[..], single) {
        return Err(Problem::of_refusal(refusal));
    }
    let receipt = match &all[..] {
        [EventResult::Acknowledged { index, .. }] if single => {
            app.origin(&ledger).and_then(|o| HeaderValue::from_str(&format!("{o}/{index}")).ok())
        }
        _ => None,
    };
    let mut answer = match wait {
        Wait::Checkpoint => proved(call, all).await,
        Wait::Durable | Wait::Witnessed => json(results::results(&all, None)),
    };
    if let Some(receipt) = receipt {
        answer.headers_mut().insert(RECEIPT.clone(), receipt);
    }
    Ok(answer)
}

/// Hands the whole body to the log, once; large ones beside the connection tasks.
async fn submit(
    app: &Arc<App>,
    who: &Arc<Credential>,
    ledger: &str,
    body: Bytes,
    (format, framing, place): (Format, Framing, Option<FilePlace>),
) -> Result<Vec<EventResult>, Problem> {
    let outcome = if body.len() < PARSE_ASIDE_BYTES {
        let request = Request { format, body: &body, framing, place };
        ask(|done| app.log.append(who, ledger, &request, done)).await
    } else {
        let permit = Arc::clone(&app.builds).acquire_owned().await.map_err(|_| stopping())?;
        let (app, who, ledger) = (Arc::clone(app), Arc::clone(who), ledger.to_owned());
        ask(move |done| {
            drop(tokio::task::spawn_blocking(move || {
                let request = Request { format, body: &body, framing, place };
                app.log.append(&who, &ledger, &request, done);
                drop(permit);
            }));
        })
        .await
    };
    outcome.map_err(|e| Problem::of(&e))
}

fn stopping() -> Problem {
    Problem::new("unavailable", "the server is stopping")
}

/// The results with their proofs, under checkpoints that cover all of them; without proofs where none came in time.
async fn proved(call: Call, all: Vec<EventResult>) -> Response<Body> {
    let last = all.iter().filter_map(|result| match result {
        EventResult::Acknowledged { index, .. } => Some(*index),
        EventResult::Refused(_) => None,
    });
    // The events are durable: 503 would be a lie, so an answer without proofs says what is there.
    let covered = match last.max() {
        None => false,
        Some(last) => {
            let (log, ledger) = (&call.app.log, call.ledger());
            let published = ask(|done| log.wait_published(&call.caller.scope, &ledger, last + 1, done));
            matches!(tokio::time::timeout(CHECKPOINT_WAIT, published).await, Ok(Ok(_)))
        }
    };
    if !covered {
        return json(results::results(&all, Some(&|_| None)));
    }
    let share = call.app.answers(&call.caller.credential).owe(all.len() * size_of::<EventResult>());
    let mut proved = Proved { call, all: Arc::new(all), next: 0 };
    let first = proved.piece().await;
    if proved.next >= proved.all.len() {
        return json(first);
    }
    let rest = stream::unfold(proved, |mut proved| async move {
        (proved.next < proved.all.len()).then_some(())?;
        Some((proved.piece().await, proved))
    });
    let mut answer = json(Vec::new());
    *answer.body_mut() = seated(stream::once(async { first }).chain(rest).map(Ok), share);
    answer
}

/// Results whose proofs are made as the client takes them: ten thousand proofs are 50 MB.
struct Proved {
    call: Call,
    all: Arc<Vec<EventResult>>,
    next: usize,
}

impl Proved {
    async fn piece(&mut self) -> Vec<u8> {
        let range = self.next..self.all.len().min(self.next + PROOFS_AT_ONCE);
        self.next = range.end;
        let (all, ledger, some) = (Arc::clone(&self.all), self.call.ledger(), range.clone());
        let made = self.call.reading(move |log, scope| {
            let proof_of = |index| log.proof(scope, &ledger, index).ok();
            Ok(results::some_results(&all, some, Some(&proof_of)))
        });
        made.await.unwrap_or_else(|_| results::some_results(&self.all, range, Some(&|_| None)))
    }
}

/// `POST /logs/{ledger}/add`: tlog.md section 12, item 1.
pub(crate) async fn add(mut call: Call) -> Answer {
    let (app, who, ledger) = (Arc::clone(&call.app), Arc::clone(call.credential()?), call.ledger());
    let body = call.take_body();
    let collected = decode::collect(&call.headers, body, LEAF_BYTES_MAX, &app.memory.purse(&who.token_id)).await?;
    admit(&app, &who, collected.bytes.len())?;
    let outcome = ask(|done| app.log.add_raw(&who, &ledger, &collected.bytes, done)).await;
    let (index, _) = outcome.map_err(|e| Problem::of(&e))?;
    charge(&app, &who, 1);
    app.metrics.bytes.add(collected.bytes.len() as u64);
    app.metrics.events.add(1);
    let mut text = Vec::with_capacity(24);
    results::number(index, &mut text);
    text.push(b'\n');
    let mut answer = Response::new(Body::from(text));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(answer)
}

/// A JSON answer that nobody stores.
pub(crate) fn json(bytes: Vec<u8>) -> Response<Body> {
    let mut answer = Response::new(Body::from(bytes));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    answer
}
