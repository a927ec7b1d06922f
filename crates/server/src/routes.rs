//! The one table of routes: address, method, what it needs, what it does. Router, authorization and the OpenAPI
//! document are made from it; a route without a row does not exist.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::{Method, Response};
use journal::Verb;

use crate::app::{App, Call, guard};
use crate::problem::Problem;
use crate::{admin, events, logs, ops, reads, tail};

/// What a caller must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Open to anyone.
    Nothing,
    /// Any valid token; of a ledger in the path, one that covers it.
    Token,
    /// This verb on the ledger in the path.
    Ledger(Verb),
    /// `read-leaves`, or nothing where the ledger was created `public_leaves`.
    LeavesOrPublic,
    /// The verb `admin`.
    Admin,
}

impl Need {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Need::Nothing => "nothing",
            Need::Token => "token",
            Need::Ledger(verb) => verb.name(),
            Need::LeavesOrPublic => "read-leaves",
            Need::Admin => "admin",
        }
    }
}

pub(crate) type Answer = Result<Response<Body>, Problem>;
pub(crate) type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Answer> + Send>>;

/// A row of the table.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// In axum's form; places in braces.
    pub(crate) path: &'static str,
    pub(crate) need: Need,
    pub(crate) summary: &'static str,
    /// Query parameters with their meaning.
    pub(crate) query: &'static [(&'static str, &'static str)],
    /// Media type of the answer.
    pub(crate) media: &'static str,
    pub(crate) handler: Handler,
}

impl Route {
    pub(crate) fn is_read(&self) -> bool {
        self.method == Method::GET && self.need != Need::Nothing
    }
}

macro_rules! route {
    (
        $method:ident $path:literal, $need:expr, $handler:path, $media:literal,
        $summary:literal $(, $q:literal = $m:literal)*
    ) => {
        Route {
            method: Method::$method,
            path: $path,
            need: $need,
            summary: $summary,
            query: &[$(($q, $m)),*],
            media: $media,
            handler: |call| Box::pin($handler(call)),
        }
    };
}

/// All routes.
pub(crate) static ROUTES: &[Route] = &[
    route!(
        POST "/v1/ledgers/{ledger}/events", Need::Ledger(Verb::Append), events::append, "application/json",
        "Append events: one object, an array, NDJSON, or a source's own bytes",
        "wait" = "durable (default) or checkpoint",
        "format" = "native (default), cloudtrail, openbao, syslog or text",
        "file" = "16 hex digits that name the file the body is a piece of",
        "offset" = "where in the file the body begins"
    ),
    route!(
        GET "/v1/ledgers/{ledger}/entries/{index}", Need::Ledger(Verb::ReadLeaves), reads::entry, "application/json",
        "One entry; its body with the verb read-bodies alone"
    ),
    route!(
        GET "/v1/ledgers/{ledger}/entries/{index}/proof", Need::LeavesOrPublic, reads::proof, "text/plain",
        "The .tlog-proof of one entry"
    ),
    route!(
        GET "/v1/ledgers/{ledger}/consistency/{from}/{to}", Need::LeavesOrPublic, reads::consistency,
        "application/json",
        "Consistency proof between two published sizes"
    ),
    route!(
        GET "/v1/ledgers/{ledger}/tail", Need::Ledger(Verb::ReadLeaves), tail::tail, "text/event-stream",
        "Entries as they are committed",
        "from" = "first index; default: the next entry"
    ),
    route!(
        GET "/logs/{ledger}/checkpoint", Need::LeavesOrPublic, logs::checkpoint, "text/plain",
        "The last signed checkpoint"
    ),
    route!(
        GET "/logs/{ledger}/tile/{*path}", Need::LeavesOrPublic, logs::tile, "application/octet-stream",
        "Hash tile or entry bundle of tlog-tiles"
    ),
    route!(
        GET "/logs/{ledger}/bodies/{*path}", Need::Ledger(Verb::ReadBodies), logs::bodies, "application/octet-stream",
        "Bodies of a bundle: u32 big-endian length and body per entry"
    ),
    route!(
        GET "/logs/{ledger}/keys", Need::LeavesOrPublic, logs::keys, "application/json",
        "Key notes of the ledger"
    ),
    route!(
        POST "/logs/{ledger}/add", Need::Ledger(Verb::Append), events::add, "text/plain",
        "Append the body as posted to a raw ledger; answers the index"
    ),
    route!(
        POST "/v1/ledgers", Need::Admin, admin::create_ledger, "application/json",
        "Create a ledger"
    ),
    route!(
        GET "/v1/ledgers", Need::Token, admin::list_ledgers, "application/json",
        "Ledgers that the token may know of"
    ),
    route!(
        GET "/v1/ledgers/{ledger}", Need::Token, admin::show_ledger, "application/json",
        "One ledger: origin, keys, sizes"
    ),
    route!(
        POST "/v1/tokens", Need::Admin, admin::create_token, "application/json",
        "Create a token; its secret is shown once"
    ),
    route!(
        GET "/v1/tokens", Need::Admin, admin::list_tokens, "application/json",
        "All tokens, never their secrets"
    ),
    route!(
        DELETE "/v1/tokens/{id}", Need::Admin, admin::revoke_token, "application/json",
        "Revoke a token for ever"
    ),
    route!(
        GET "/v1/status", Need::Token, ops::status, "application/json",
        "How the server and its ledgers are"
    ),
    route!(
        GET "/v1/openapi.json", Need::Nothing, ops::openapi, "application/json",
        "This description"
    ),
    route!(
        GET "/metrics", Need::Token, ops::metrics, "text/plain",
        "Figures in the Prometheus text format; any valid token"
    ),
    route!(
        GET "/healthz", Need::Nothing, ops::healthz, "text/plain",
        "Whether the process answers"
    ),
    route!(
        GET "/readyz", Need::Nothing, ops::readyz, "text/plain",
        "Whether the log takes entries"
    ),
];

/// The router, made from the table.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let filter = MethodFilter::try_from(route.method.clone()).unwrap_or(MethodFilter::GET);
        let app = Arc::clone(app);
        let handler: MethodRouter = on(filter, move |request: Request| run(Arc::clone(&app), route, request));
        router = router.route(route.path, handler);
    }
    router.fallback(|| async { Problem::not_found().into_response() }).method_not_allowed_fallback(|| async {
        Problem::new("method-not-allowed", "this address does not take that method").into_response()
    })
}

async fn run(app: Arc<App>, route: &'static Route, request: Request) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    app.metrics.requests.add(1);
    let params = RawPathParams::from_request_parts(&mut parts, &()).await;
    let answer = match params {
        Ok(params) => {
            let params = params.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            guard(Arc::clone(&app), route, parts, params, body).await
        }
        Err(_) => Problem::not_found().into_response(),
    };
    app.metrics.answered(answer.status().as_u16());
    answer
}
