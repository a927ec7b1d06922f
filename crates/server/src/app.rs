//! What all requests share, and the one choke point that each of them passes before its handler runs.
//!
//! A handler is reached only through [`guard`]; it gets a [`Call`], which exists only after authorization.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Response};
use journal::{Credential, Denial, Done, Error, Scope, Verb};
use tokio::sync::{Semaphore, oneshot, watch};

use crate::limits::{
    ANONYMOUS_ANSWERS_KIB_MAX, ANONYMOUS_DENIALS_PER_SECOND, ANSWER_BYTES_FREE, ANSWERS_KIB_MAX, BODIES_KIB_MAX,
    BUILDS_PER_PROCESSOR, BUNDLES_MAX, DENIALS_PER_SECOND, READS_PER_PROCESSOR, TAILS_MAX, TOKEN_ANSWERS_KIB_MAX,
    TOKEN_BODIES_KIB_MAX, TOKEN_BUNDLES_MAX, TOKEN_TAILS_MAX,
};
use crate::log::Log;
use crate::memory::{Memory, Purse};
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::quota::{Quotas, Rate, What};
use crate::routes::{Answer, Need, Route};
use crate::seats::{Seats, seated};

/// Shared by all requests of one server.
pub(crate) struct App {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) clock: ledger::Clock,
    pub(crate) quotas: Quotas,
    pub(crate) metrics: Metrics,
    /// Request bodies in memory.
    pub(crate) memory: Arc<Memory>,
    /// Answers that are on their way to tokens, and to anyone.
    answers: (Arc<Memory>, Arc<Memory>),
    /// Requests that may be built into batches at this moment.
    pub(crate) builds: Arc<Semaphore>,
    /// Stored entries that may be read at this moment.
    pub(crate) reads: Arc<Semaphore>,
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
            answers: (
                Memory::of_kib(ANSWERS_KIB_MAX, TOKEN_ANSWERS_KIB_MAX),
                Memory::of_kib(ANONYMOUS_ANSWERS_KIB_MAX, ANONYMOUS_ANSWERS_KIB_MAX),
            ),
            builds: Arc::new(Semaphore::new(BUILDS_PER_PROCESSOR * processors())),
            reads: Arc::new(Semaphore::new(READS_PER_PROCESSOR * processors())),
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

    /// Answers on their way to somebody.
    pub(crate) fn answers(&self, who: &Option<Arc<Credential>>) -> Purse {
        match who {
            Some(who) => self.answers.0.purse(&who.token_id),
            None => self.answers.1.purse(""),
        }
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

    /// Reads stored entries, or what is made of them, off the connection tasks: a few at a time. Whoever hangs up while
    /// it waits leaves the line.
    pub(crate) async fn reading<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Log, &Scope) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = Arc::clone(&self.app.reads).acquire_owned().await;
        // With the work, not with the caller: a thread that reads for nobody is one all the same.
        self.blocking(move |log, scope| {
            let read = work(log, scope);
            drop(permit);
            read
        })
        .await
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
        // Of a reader nobody reads it: kept, it would lie there for as long as a tail goes on.
        body: Mutex::new(if route.is_read() { Body::empty() } else { body }),
        peer: peer.clone(),
    };
    let answer = (route.handler)(call).await.and_then(|answer| {
        if route.need == Need::Nothing { Ok(answer) } else { counted(answer, &app.answers(&who), route.is_read()) }
    });
    match answer {
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

/// Counts an answer of some size until the client has taken it: one who asks and takes nothing
/// would else hold any number of them. What was done already is answered, however much is held.
fn counted(answer: Response<Body>, purse: &Purse, may_refuse: bool) -> Answer {
    let bytes = answer.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let Some(bytes) = bytes.filter(|bytes| *bytes > ANSWER_BYTES_FREE) else { return Ok(answer) };
    let share = if may_refuse { purse.reserve(bytes)? } else { purse.owe(bytes) };
    let (mut parts, body) = answer.into_parts();
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    let pages = body.into_data_stream().map_err(std::io::Error::other);
    Ok(Response::from_parts(parts, seated::<Bytes, _>(pages, share)))
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
