//! Entries and proofs.

use axum::body::Body;
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use journal::{Access, Error};

use crate::app::{Call, ask};
use crate::events::json;
use crate::limits::PROOF_WAIT;
use crate::problem::{Problem, text};
use crate::results;
use crate::routes::Answer;

/// Leaves an entry in `access`; the answer must not leave before this has returned.
pub(crate) async fn record(call: &Call, access: &Access) -> Result<u64, Problem> {
    let who = call.credential()?;
    ask(|done| call.app.log.record_access(who, access, done)).await.map_err(|e| Problem::of(&e))
}

/// `GET /v1/ledgers/{ledger}/entries/{index}`
pub(crate) async fn entry(call: Call) -> Answer {
    let (ledger, index) = (call.ledger(), call.number("index")?);
    let name = ledger.clone();
    let view = call.reading(move |log, scope| log.entry(scope, &name, index)).await?;
    if view.body.is_some() {
        let access = Access {
            what: "entry",
            ledger,
            from: Some(index),
            to: Some(index.saturating_add(1)),
            count: 1,
            peer: call.peer.clone(),
        };
        record(&call, &access).await?;
    }
    Ok(json(results::entry(&view)?))
}

/// `GET /v1/ledgers/{ledger}/entries/{index}/proof`
pub(crate) async fn proof(call: Call) -> Answer {
    let (ledger, index) = (call.ledger(), call.number("index")?);
    call.app.metrics.proofs.add(1);
    let read = async |call: &Call| {
        let name = ledger.clone();
        // The outcome is looked at below.
        call.reading(move |log, scope| Ok(log.proof(scope, &name, index))).await
    };
    let mut outcome = read(&call).await?;
    if matches!(outcome, Err(Error::NotPublished { .. })) {
        let published =
            ask(|done| call.app.log.wait_published(&call.caller.scope, &ledger, index.saturating_add(1), done));
        if let Ok(Ok(_)) = tokio::time::timeout(PROOF_WAIT, published).await {
            outcome = read(&call).await?;
        }
    }
    let proof = outcome.map_err(|e| Problem::of(&e))?;
    let mut answer = Response::new(Body::from(proof));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(answer)
}

/// `GET /v1/ledgers/{ledger}/consistency/{from}/{to}`
pub(crate) async fn consistency(call: Call) -> Answer {
    let (name, from, to) = (call.ledger(), call.number("from")?, call.number("to")?);
    if from > to {
        return Err(Problem::new("request-malformed", "the first size is larger than the second")
            .field("from", "at most the second size"));
    }
    call.app.metrics.proofs.add(1);
    let hashes = call.reading(move |log, scope| log.consistency(scope, &name, from, to)).await?;
    let mut out = format!("{{\"from\":{from},\"to\":{to},\"proof\":[").into_bytes();
    for (n, hash) in hashes.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        text(&hash.b64(), &mut out);
    }
    out.extend_from_slice(b"]}");
    Ok(json(out))
}
