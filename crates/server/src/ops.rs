//! Health, figures, status and the description of the API.

use std::sync::LazyLock;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use ledger::{Kind, Verification};
use serde_json::{Value, json};

use crate::app::Call;
use crate::events;
use crate::openapi;
use crate::routes::Answer;

fn plain(status: StatusCode, text: String) -> Response<Body> {
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// `GET /healthz`
pub(crate) async fn healthz(_call: Call) -> Answer {
    Ok(plain(StatusCode::OK, "ok\n".into()))
}

/// `GET /readyz`: says nothing about names, for it is open to anyone.
pub(crate) async fn readyz(call: Call) -> Answer {
    if *call.app.stopping.borrow() {
        return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n".into()));
    }
    let status = call.blocking(|log, _| Ok(log.status())).await?;
    if status.ledgers.iter().any(|l| l.log.poisoned.is_some()) {
        return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, "a ledger takes no entries\n".into()));
    }
    if status.ledgers.iter().any(|l| l.log.disk_low) {
        let why = "the disk is nearly full: free room is below the low-disk watermark\n";
        return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, why.into()));
    }
    Ok(plain(StatusCode::OK, "ready\n".into()))
}

/// `GET /metrics`
pub(crate) async fn metrics(call: Call) -> Answer {
    let status = call.blocking(|log, scope| Ok(visible(log.status(), scope))).await?;
    let mut answer = plain(StatusCode::OK, call.app.metrics.text(&status));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    Ok(answer)
}

/// Ledgers that the caller may know of.
fn visible(mut status: journal::Status, scope: &journal::Scope) -> journal::Status {
    let any = |name: &str| journal::Verb::ALL.into_iter().any(|v| scope.allows(v, name));
    status.ledgers.retain(|l| any(&l.info.name));
    status
}

fn verification(state: &Verification) -> Value {
    match state {
        Verification::NotRun => json!({"state": "not-run"}),
        Verification::Running { checked } => json!({"state": "running", "checked": checked}),
        Verification::Whole { checked } => json!({"state": "whole", "checked": checked}),
        Verification::Failed(what) => json!({"state": "failed", "detail": what}),
    }
}

/// `GET /v1/status`
pub(crate) async fn status(call: Call) -> Answer {
    let status = call.blocking(|log, scope| Ok(visible(log.status(), scope))).await?;
    let ledgers: Vec<Value> = status
        .ledgers
        .iter()
        .map(|l| {
            json!({
                "name": l.info.name,
                "kind": if l.info.kind == Kind::Raw { "raw" } else { "audit" },
                "origin": l.info.origin,
                "size": l.log.size,
                "checkpoint_size": l.log.published_size,
                "checkpoint_at_ns": l.log.published_at,
                "sealed_size": l.log.sealed_size,
                "backlog_bytes": l.log.backlog_bytes,
                "queue_bytes": l.log.queue_bytes,
                "immutability": if l.log.immutable { "set" } else { "none" },
                "state": if l.log.poisoned.is_some() { "stopped" } else { "writing" },
                "poisoned": l.log.poisoned,
                "disk_low": l.log.disk_low,
                "sealer_waits": l.log.sealer_waits,
                "verification": verification(&l.log.verification),
                "sync_p50_ns": l.log.sync_p50_ns,
                "sync_p99_ns": l.log.sync_p99_ns,
                "gaps_open": l.gaps_open,
                "gaps": l.gaps.iter().map(|g| json!({
                    "source": g.source, "epoch": g.epoch, "first": g.first, "last": g.last, "recorded": g.recorded,
                })).collect::<Vec<_>>(),
                "witnesses": "unwitnessed",
            })
        })
        .collect();
    let value = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "state": if *call.app.stopping.borrow() { "stopping" } else { "running" },
        "tokens": status.tokens,
        "ledgers": ledgers,
    });
    Ok(events::json(value.to_string().into_bytes()))
}

/// `GET /v1/openapi.json`
pub(crate) async fn openapi(_call: Call) -> Answer {
    // Made once: it is open to anyone, and whoever asks for it and takes nothing must cost nothing.
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| openapi::document().to_string().into());
    let mut answer = events::json(Vec::new());
    *answer.body_mut() = Body::from(DOCUMENT.clone());
    Ok(answer)
}
