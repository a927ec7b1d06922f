//! The static read API of tlog-tiles below `/logs/{ledger}/`, and bodies beside it.

use std::io;

use axum::body::Body;
use futures_util::stream::{self, Stream, StreamExt};
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use journal::{Access, Error, Scope};
use tlog::tile::{Resource, TilePath};

use crate::app::Call;
use crate::problem::Problem;
use crate::reads::record;
use crate::routes::Answer;
use crate::seats::seated;

fn answer(bytes: Vec<u8>, media: &'static str, cache: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::from(bytes));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    answer
}

/// tlog-tiles: a client tries the full tile on 404 alone, so whatever is not there is 404 and nothing else.
fn absent(error: Error) -> Error {
    match error {
        Error::Refused(_) => Error::NotFound,
        other => other,
    }
}

impl Call {
    /// Whether shared caches may keep what this ledger answers.
    fn public(&self) -> bool {
        self.app.log.ledger_info(&Scope::public_leaves(), self.param("ledger")).is_ok()
    }

    fn immutable(&self) -> &'static str {
        if self.public() { "public, max-age=31536000, immutable" } else { "private, max-age=31536000, immutable" }
    }

    fn path(&self, prefix: &str) -> Result<TilePath, Problem> {
        TilePath::parse(&format!("{prefix}{}", self.param("path"))).map_err(|_| Problem::not_found())
    }
}

/// `GET /logs/{ledger}/checkpoint`
pub(crate) async fn checkpoint(call: Call) -> Answer {
    call.app.metrics.checkpoints.add(1);
    let signed = call.app.log.checkpoint(&call.caller.scope, call.param("ledger")).map_err(|e| Problem::of(&e))?;
    let cache = if call.public() { "public, no-cache" } else { "private, no-cache" };
    Ok(answer(signed.note.clone().into_bytes(), "text/plain; charset=utf-8", cache))
}

/// `GET /logs/{ledger}/tile/...`: hash tiles plain, entry bundles as the gzip member that is stored.
pub(crate) async fn tile(call: Call) -> Answer {
    let path = call.path("tile/")?;
    let name = call.ledger();
    call.app.metrics.tiles.add(1);
    let packed = path.resource == Resource::Entries;
    let bytes = call
        .reading(move |log, scope| {
            if packed { log.bundle_gzip(scope, &name, &path) } else { log.tile(scope, &name, &path) }.map_err(absent)
        })
        .await?;
    let mut answer = answer(bytes, "application/octet-stream", call.immutable());
    if packed {
        answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(answer)
}

/// `GET /logs/{ledger}/bodies/...`
pub(crate) async fn bodies(call: Call) -> Answer {
    let path = call.path("bodies/")?;
    let seat = call.app.bundles.take(&call.credential()?.token_id)?;
    let ledger = call.ledger();
    let first = path.index.saturating_mul(256);
    let count = u64::from(path.width);
    let (bytes, next) = page(&call, path, 0).await?;
    let access = Access {
        what: "bodies",
        ledger,
        from: Some(first),
        to: Some(first.saturating_add(count)),
        count,
        peer: call.peer.clone(),
    };
    record(&call, &access).await?;
    let mut answer = answer(Vec::new(), "application/octet-stream", "private, no-store");
    if next >= path.width {
        // As before pieces were sent: a client that is cut off knows it.
        answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    }
    *answer.body_mut() = seated(Pages { call, path, next }.after(bytes), seat);
    Ok(answer)
}

/// What one read of a bundle's bodies gives.
async fn page(call: &Call, path: TilePath, from: u16) -> Result<(Vec<u8>, u16), Problem> {
    let name = call.ledger();
    call.reading(move |log, scope| log.bodies(scope, &name, &path, from).map_err(absent)).await
}

/// The rest of a bundle of bodies, read as it is taken: one of the largest is a gibibyte.
struct Pages {
    call: Call,
    path: TilePath,
    next: u16,
}

impl Pages {
    /// `first`, then what is not read yet. A page that cannot be read breaks the answer off.
    fn after(self, first: Vec<u8>) -> impl Stream<Item = io::Result<Vec<u8>>> + Send {
        let rest = stream::try_unfold(self, |mut pages| async move {
            if pages.next >= pages.path.width {
                return Ok(None);
            }
            let (bytes, next) = page(&pages.call, pages.path, pages.next).await.map_err(|problem| {
                tracing::warn!(kind = problem.kind, "a bundle of bodies broke off");
                io::Error::other(problem.kind)
            })?;
            // Whatever the log says: an answer comes to its end.
            pages.next = next.max(pages.next.saturating_add(1));
            Ok(Some((bytes, pages)))
        });
        stream::once(async { Ok(first) }).chain(rest)
    }
}

/// `GET /logs/{ledger}/keys`
pub(crate) async fn keys(call: Call) -> Answer {
    let name = call.ledger();
    let keys = call.blocking(move |log, scope| log.keys(scope, &name)).await?;
    let cache = if call.public() { "public, no-cache" } else { "private, no-cache" };
    Ok(answer(keys.into_bytes(), "application/json", cache))
}
