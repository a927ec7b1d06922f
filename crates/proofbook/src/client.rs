//! Talks to a server: one HTTP client, one error type, retries where asking again cannot do harm.
//!
//! Does not interpret entries and prints nothing.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::blocking::{Client as Http, RequestBuilder, Response};
use serde_json::Value;

use crate::cli::Global;

/// Largest answer that is read into memory: a bundle of 256 of the largest bodies is the worst legitimate one.
const ANSWER_BYTES_MAX: u64 = 256 * (4 + ledger::limits::BODY_BYTES_MAX as u64);
/// Longest text of a problem that is shown.
const PROBLEM_BYTES_MAX: u64 = 64 << 10;

/// A refusal by the server, as its problem+json says.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) title: String,
    pub(crate) detail: String,
    pub(crate) field: String,
    pub(crate) expected: String,
    pub(crate) retry_after: Option<u64>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the server answered {}: {}", self.status, event_safe(&self.title))?;
        if !self.detail.is_empty() && self.detail != self.title {
            write!(f, " ({})", event_safe(&self.detail))?;
        }
        if !self.expected.is_empty() {
            let field = if self.field.is_empty() { String::new() } else { format!("{}: ", event_safe(&self.field)) };
            write!(f, "\nexpected: {field}{}", event_safe(&self.expected))?;
        }
        match self.status {
            401 => write!(f, "\nhint: pass --token or set PROOFBOOK_TOKEN; `proofbook token create` makes one"),
            403 => write!(f, "\nhint: this token lacks the right; `proofbook token list` shows what each may do"),
            _ => Ok(()),
        }
    }
}
impl std::error::Error for Problem {}

/// The server could not be reached, or stayed busy for too long.
#[derive(Debug)]
pub(crate) struct Unreachable(pub(crate) String);
impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Unreachable {}

fn event_safe(text: &str) -> String {
    crate::output::safe(text)
}

/// A server and the right to ask it.
#[derive(Clone)]
pub(crate) struct Client {
    http: Http,
    base: String,
    token: Option<String>,
}

impl Client {
    /// Resolves URL, token and authorities of the command line.
    pub(crate) fn new(global: &Global) -> Result<Self> {
        let mut builder = Http::builder()
            .user_agent(concat!("proofbook/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .timeout(None)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if let Some(ca) = &global.ca {
            let pem = std::fs::read(ca).with_context(|| format!("cannot read --ca {}", ca.display()))?;
            let authorities = reqwest::Certificate::from_pem_bundle(&pem)
                .with_context(|| format!("--ca {} holds no PEM certificate", ca.display()))?;
            builder = builder.tls_certs_only(authorities);
        }
        let base = global.url.trim_end_matches('/').to_owned();
        if !base.starts_with("http://") && !base.starts_with("https://") {
            bail!("--url {base} must begin with http:// or https://");
        }
        let token = global.token.clone().or_else(|| bootstrap_token(&base));
        if token.is_some() && base.starts_with("http://") && !is_loopback(&base) {
            eprintln_warning("the token travels unencrypted: this URL is plain http beyond this machine");
        }
        Ok(Self { http: builder.build().context("cannot set up the HTTP client")?, base, token })
    }

    /// Another ledger server with the same token rules, for `verify URL`.
    pub(crate) fn with_base(&self, base: &str) -> Self {
        Self { http: self.http.clone(), base: base.trim_end_matches('/').to_owned(), token: self.token.clone() }
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends as is; maps transport failures to [`Unreachable`] and refusals to [`Problem`].
    pub(crate) fn send(&self, request: RequestBuilder) -> Result<Response> {
        let answer = self.authorized(request).send().map_err(|e| {
            let cause = std::error::Error::source(&e).map(|s| format!(": {s}")).unwrap_or_default();
            Unreachable(format!(
                "cannot reach {}{cause}\nhint: is `proofbook up` running there? --url or PROOFBOOK_URL names another",
                self.base
            ))
        })?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(problem(answer).into())
    }

    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Bytes of a GET; `None` for 404.
    pub(crate) fn get_bytes(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match self.get_patiently(path) {
            Ok(answer) => Ok(Some(read_capped(answer)?)),
            Err(e) if e.downcast_ref::<Problem>().is_some_and(|p| p.status == 404) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// JSON of a GET.
    pub(crate) fn get_json(&self, path: &str) -> Result<Value> {
        let bytes = read_capped(self.get_patiently(path)?)?;
        serde_json::from_slice(&bytes).with_context(|| format!("{path}: the answer is not JSON"))
    }

    /// A GET that waits out 429 and 503 a few times: reading twice does no harm.
    fn get_patiently(&self, path: &str) -> Result<Response> {
        const TRIES: u32 = 6;
        let mut tried = 0;
        loop {
            let outcome = self.send(self.request(reqwest::Method::GET, path));
            tried += 1;
            let wait = match &outcome {
                Err(e) => match e.downcast_ref::<Problem>() {
                    Some(p) if matches!(p.status, 429 | 503) && tried < TRIES => p.retry_after.unwrap_or(1).min(30),
                    _ => return outcome,
                },
                Ok(_) => return outcome,
            };
            std::thread::sleep(Duration::from_secs(wait.max(1)));
        }
    }

    /// POSTs JSON and reads JSON.
    pub(crate) fn post_json(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.request(reqwest::Method::POST, path).json(body);
        let bytes = read_capped(self.send(request)?)?;
        serde_json::from_slice(&bytes).with_context(|| format!("{path}: the answer is not JSON"))
    }
}

fn problem(answer: Response) -> Problem {
    let status = answer.status().as_u16();
    let retry_after = answer
        .headers()
        .get(reqwest::header::RETRY_AFTER)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.trim().parse::<u64>().ok());
    let reason = answer.status().canonical_reason().unwrap_or("refused").to_owned();
    let mut text = Vec::new();
    let _ = answer.take(PROBLEM_BYTES_MAX).read_to_end(&mut text);
    let said: Value = serde_json::from_slice(&text).unwrap_or(Value::Null);
    let member = |name: &str| said.get(name).and_then(Value::as_str).map(str::to_owned);
    Problem {
        status,
        title: member("title").unwrap_or(reason),
        detail: member("detail").unwrap_or_default(),
        field: member("field").unwrap_or_default(),
        expected: member("expected").unwrap_or_default(),
        retry_after,
    }
}

/// The whole answer, refused beyond the cap.
pub(crate) fn read_capped(answer: Response) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    answer
        .take(ANSWER_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Unreachable(format!("the answer broke off: {e}")))?;
    if bytes.len() as u64 > ANSWER_BYTES_MAX {
        bail!("the answer is larger than {ANSWER_BYTES_MAX} bytes");
    }
    Ok(bytes)
}

/// Whether a URL names this machine by a loopback address.
pub(crate) fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, r)| r);
    let host = rest.split('/').next().unwrap_or("");
    let host = host.rsplit_once(':').map_or(host, |(h, _)| h).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A newcomer's first server is on this machine, with its token beside its data.
fn bootstrap_token(base: &str) -> Option<String> {
    if !is_loopback(base) {
        return None;
    }
    let text = std::fs::read_to_string(Path::new("proofbook-data").join("bootstrap.token")).ok()?;
    let token = text.trim();
    (!token.is_empty()).then(|| token.to_owned())
}

fn eprintln_warning(text: &str) {
    crate::output::note(&format!("warning: {text}"));
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn loopback_is_told_by_address_alone() {
        for (url, expected) in [
            ("http://127.0.0.1:8440", true),
            ("http://[::1]:8440/x", true),
            ("https://localhost", true),
            ("http://127.0.0.1.example.com", false),
            ("https://log.example.com", false),
            ("http://10.0.0.1:80", false),
        ] {
            assert_eq!(is_loopback(url), expected, "{url}");
        }
    }
}
