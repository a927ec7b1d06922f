//! What all requests share, and the one choke point that each of them passes before its handler runs.
//!
//! A handler is reached only through [`guard`]; it gets a [`Call`], which exists only after authorization.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use axum::body::Body;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Response};
use journal::{Credential, Denial, Done, Error, Scope, Verb};
use tokio::sync::{Semaphore, oneshot, watch};

use crate::limits::{
    ANONYMOUS_DENIALS_PER_SECOND, BODIES_KIB_MAX, BUILDS_PER_PROCESSOR, BUNDLES_MAX, DENIALS_PER_SECOND, TAILS_MAX,
    TOKEN_BODIES_KIB_MAX, TOKEN_BUNDLES_MAX, TOKEN_TAILS_MAX,
};
use crate::log::Log;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::quota::{Quotas, Rate, What};
use crate::routes::{Need, Route};
use crate::seats::Seats;

/// Shared by all requests of one server.
pub(crate) struct App {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) clock: ledger::Clock,
    pub(crate) quotas: Quotas,
    pub(crate) metrics: Metrics,
    /// Request bodies in memory.
    pub(crate) memory: Arc<Memory>,
    /// Requests that may be built into batches at this moment.
    pub(crate) builds: Arc<Semaphore>,
    /// Tails that are open.
    pub(crate) tails: Arc<Seats>,
    /// Bundles of bodies on their way to somebody.
    pub(crate) bundles: Arc<Seats>,
    /// Becomes true when a stop was asked for.
    pub(crate) stopping: watch::Receiver<bool>,
    origins: RwLock<HashMap<String, String>>,
}

/// Who asks, and what they may see.
#[derive(Clone)]
pub(crate) struct Caller {
    /// `None` for anyone.
    pub(crate) credential: Option<Arc<Credential>>,
    pub(crate) scope: Scope,
}

/// An authorized request.
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) caller: Caller,
    /// Values of the path's places, decoded once.
    pub(crate) params: Vec<(String, String)>,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    /// Behind a lock only because a body is not `Sync`; never contended.
    body: Mutex<Body>,
    pub(crate) peer: Option<String>,
}

/// The client's address, put into each request by the listener.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl App {
    pub(crate) fn new(log: Arc<dyn Log>, clock: ledger::Clock, stopping: watch::Receiver<bool>) -> App {
        App {
            log,
            clock,
            quotas: Quotas::default(),
            metrics: Metrics::default(),
            memory: Memory::of_kib(BODIES_KIB_MAX, TOKEN_BODIES_KIB_MAX),
            builds: Arc::new(Semaphore::new(BUILDS_PER_PROCESSOR * processors())),
            tails: Seats::of(TAILS_MAX, TOKEN_TAILS_MAX),
            bundles: Seats::of(BUNDLES_MAX, TOKEN_BUNDLES_MAX),
            stopping,
            origins: RwLock::default(),
        }
    }

    /// Checkpoint origin of a ledger; fixed at creation, so remembered.
    pub(crate) fn origin(&self, ledger: &str) -> Option<String> {
        if let Some(origin) = self.origins.read().unwrap_or_else(PoisonError::into_inner).get(ledger) {
            return Some(origin.clone());
        }
        let origin = self.log.status().ledgers.into_iter().find(|l| l.info.name == ledger)?.info.origin;
        let mut origins = self.origins.write().unwrap_or_else(PoisonError::into_inner);
        origins.insert(ledger.to_owned(), origin.clone());
        Some(origin)
    }

    async fn denied(
        self: &Arc<Self>,
        who: Option<&Arc<Credential>>,
        route: &Route,
        ledger: Option<&str>,
        peer: Option<String>,
    ) {
        self.metrics.denials.add(1);
        let (key, most) = match who {
            Some(credential) => (credential.token_id.as_str(), DENIALS_PER_SECOND),
            None => ("", ANONYMOUS_DENIALS_PER_SECOND),
        };
        if self.quotas.take(What::Denials, key, Rate::per_second(most), 1, (self.clock)()).is_err() {
            return;
        }
        let verb = if who.is_none() { "authenticate" } else { route.need.name() };
        // A name longer than any ledger's is no ledger: cut, so that the entry stays small.
        let ledger = ledger.map(|l| l.chars().take(64).collect());
        let denial = Denial { verb, ledger, route: route.path, peer };
        if let Err(error) = ask(|done| self.log.record_denial(who, &denial, done)).await {
            tracing::warn!(error = ?error.to_string(), "a denial left no entry");
        }
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Runs a call that answers by callback.
pub(crate) async fn ask<T: Send + 'static>(call: impl FnOnce(Done<T>)) -> Result<T, Error> {
    let (tx, rx) = oneshot::channel();
    call(Box::new(move |outcome| drop(tx.send(outcome))));
    rx.await.unwrap_or_else(|_| Err(Error::Unavailable("the log dropped the request".into())))
}

impl Call {
    /// The body, once.
    pub(crate) fn take_body(&mut self) -> Body {
        std::mem::take(self.body.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    pub(crate) fn ledger(&self) -> String {
        self.param("ledger").to_owned()
    }

    /// A number in the path; anything else is an address that does not exist.
    pub(crate) fn number(&self, name: &str) -> Result<u64, Problem> {
        let text = self.param(name);
        let strict =
            text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        strict.then(|| text.parse().ok()).flatten().ok_or_else(Problem::not_found)
    }

    /// The credential of a route that is not for anyone.
    pub(crate) fn credential(&self) -> Result<&Arc<Credential>, Problem> {
        self.caller.credential.as_ref().ok_or_else(unauthenticated)
    }

    /// Runs a blocking door off the connection tasks.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Log, &Scope) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let (log, scope) = (Arc::clone(&self.app.log), self.caller.scope.clone());
        tokio::task::spawn_blocking(move || work(&*log, &scope))
            .await
            .map_err(|_| Problem::new("unavailable", "the request could not be carried out"))?
            .map_err(|e| Problem::of(&e))
    }
}

fn unauthenticated() -> Problem {
    Problem::new("unauthenticated", "no token, or one that is unknown or revoked")
        .field("Authorization", "Bearer <token>")
}

/// The secret of `Authorization: Bearer`; `None` where there is none or more than one.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let value = all.next()?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    let fits = scheme.eq_ignore_ascii_case("bearer") && all.next().is_none() && secret.len() <= 256;
    fits.then(|| secret.trim_matches(' '))
}

/// Authenticates, authorizes by the route's row, counts quotas, and only then runs the handler.
pub(crate) async fn guard(
    app: Arc<App>,
    route: &'static Route,
    parts: Parts,
    params: Vec<(String, String)>,
    body: Body,
) -> Response<Body> {
    let peer = parts.extensions.get::<Peer>().map(|p| p.0.ip().to_string());
    let ledger = params.iter().find(|(n, _)| n == "ledger").map(|(_, v)| v.clone());
    let caller = match admit(&app, route, &parts.headers, ledger.as_deref()) {
        Ok(caller) => caller,
        Err((who, problem)) => {
            if matches!(problem.status, 401 | 403 | 404) {
                app.denied(who.as_ref(), route, ledger.as_deref(), peer).await;
            }
            return problem.into_response();
        }
    };
    let who = caller.credential.clone();
    let call = Call {
        app: Arc::clone(&app),
        caller,
        params,
        query: parts.uri.query().unwrap_or("").to_owned(),
        headers: parts.headers,
        body: Mutex::new(body),
        peer: peer.clone(),
    };
    match (route.handler)(call).await {
        Ok(answer) => answer,
        Err(problem) => {
            // What the route's row cannot see is denied deeper: a system ledger, more than an admin has, a source that
            // is another's. An attempt is an attempt wherever it fails.
            if matches!(problem.status, 401 | 403) {
                app.denied(who.as_ref(), route, ledger.as_deref(), peer).await;
            }
            problem.into_response()
        }
    }
}

type Refused = (Option<Arc<Credential>>, Problem);

fn admit(app: &Arc<App>, route: &Route, headers: &HeaderMap, ledger: Option<&str>) -> Result<Caller, Refused> {
    if route.need == Need::Nothing {
        return Ok(Caller { credential: None, scope: Scope::public_leaves() });
    }
    let credential = bearer(headers).and_then(|secret| app.log.authenticate(secret));
    let named = ledger.unwrap_or("");
    let public = || route.need == Need::LeavesOrPublic && app.log.ledger_info(&Scope::public_leaves(), named).is_ok();
    let Some(credential) = credential else {
        // A wrong token on a public ledger is still a wrong token.
        if !headers.contains_key(AUTHORIZATION) && public() {
            return Ok(Caller { credential: None, scope: Scope::public_leaves() });
        }
        return Err((None, unauthenticated()));
    };
    if app.log.ends_bootstrap(&credential) {
        crate::real::remove_bootstrap(&app.log.data());
    }
    let scope = Scope::of(&credential);
    let known = ledger.is_none() || credential.ledgers.iter().any(|l| l == "*" || l == named);
    let allowed = match route.need {
        Need::Nothing | Need::Token => known,
        Need::Ledger(verb) => credential.allows(verb, named),
        Need::LeavesOrPublic => credential.allows(Verb::ReadLeaves, named),
        Need::Admin => credential.verbs.contains(&Verb::Admin) && known,
    };
    let caller = if allowed {
        Caller { credential: Some(Arc::clone(&credential)), scope }
    } else if public() {
        Caller { credential: Some(Arc::clone(&credential)), scope: Scope::public_leaves() }
    } else if !known {
        // The same answer for a ledger that is not there and one that is not this token's.
        return Err((Some(credential), Problem::not_found()));
    } else {
        let needed = route.need.name();
        return Err((Some(credential), Problem::new("not-allowed", format!("the token lacks the verb {needed}"))));
    };
    let reads = Rate::per_minute(credential.quotas.reads_per_minute);
    if route.is_read() {
        app.quotas.take(What::Reads, &credential.principal, reads, 1, (app.clock)()).map_err(|seconds| {
            app.metrics.quota_refusals.add(1);
            let problem = Problem::new("quota-exceeded", "the principal's reads of this minute are used up");
            (None, problem.retry_after(seconds))
        })?;
    }
    Ok(caller)
}
