//! Refusals as problem+json (RFC 9457). The one match from error kinds to HTTP stands here.

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use journal::{Error, Refusal};

/// A refusal on its way to the client. Holds no value of an event and no secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) detail: String,
    pub(crate) field: String,
    pub(crate) line: Option<u64>,
    pub(crate) expected: String,
    pub(crate) first_index: Option<u64>,
    /// Seconds; given with 429 and 503 alone.
    pub(crate) retry_after: Option<u64>,
}

/// Kinds that this room makes itself, with status and title. `docs/errors/` has a page for each.
pub(crate) const KINDS: &[(&str, u16, &str)] = &[
    ("request-malformed", 400, "The request cannot be read"),
    ("not-built", 400, "This choice is not built"),
    ("unauthenticated", 401, "A valid token is needed"),
    ("not-allowed", 403, "The token lacks the right"),
    ("not-found", 404, "There is no such thing here"),
    ("beyond-tree", 404, "The tree does not reach so far"),
    ("method-not-allowed", 405, "This address does not take that method"),
    ("deadline-passed", 408, "The body took too long"),
    ("body-too-large", 413, "The body is too large"),
    ("media-type-unknown", 415, "This kind of body is not taken"),
    ("compression-ratio", 413, "The body unfolds too far"),
    ("quota-exceeded", 429, "The token's quota is used up"),
    ("busy", 429, "The log takes no more at the moment"),
    ("corrupt", 500, "Stored bytes fail their own evidence"),
    ("unavailable", 503, "The log cannot answer at the moment"),
    ("not-published", 503, "No checkpoint covers it yet"),
];

fn title_of(kind: &str, status: u16) -> &'static str {
    if let Some((_, _, title)) = KINDS.iter().find(|(k, _, _)| *k == kind) {
        return title;
    }
    match status {
        403 => "The event is not allowed",
        409 => "It contradicts what is there",
        413 => "The event is too large",
        // Kinds of events are spelled with underscores.
        _ if kind.contains('-') => "The request is refused",
        _ => "The event is refused",
    }
}

impl Problem {
    pub(crate) fn new(kind: &'static str, detail: impl Into<String>) -> Problem {
        let status = KINDS.iter().find(|(k, _, _)| *k == kind).map_or(500, |(_, status, _)| *status);
        Problem {
            status,
            kind,
            detail: detail.into(),
            field: String::new(),
            line: None,
            expected: String::new(),
            first_index: None,
            retry_after: matches!(status, 429 | 503).then_some(1),
        }
    }

    pub(crate) fn field(mut self, field: &str, expected: impl Into<String>) -> Problem {
        field.clone_into(&mut self.field);
        self.expected = expected.into();
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Problem {
        self.retry_after = Some(seconds.max(1));
        self
    }

    /// No such ledger, or not this token's: the same bytes for both.
    pub(crate) fn not_found() -> Problem {
        Problem::new("not-found", "there is nothing at this address, or nothing that this token may know of")
    }

    pub(crate) fn of_refusal(refusal: &Refusal) -> Problem {
        Problem {
            // An own bug must not become a success: anything but a refusal's statuses counts as 400. One event of many
            // may meet a log that is busy by then: 503, and the others stand.
            status: if matches!(refusal.status, 400 | 403 | 404 | 409 | 413 | 503) { refusal.status } else { 400 },
            kind: refusal.code,
            detail: refusal.detail.clone(),
            field: refusal.field.clone(),
            line: refusal.line,
            expected: refusal.expected.clone(),
            first_index: refusal.first_index,
            retry_after: None,
        }
    }

    /// The one match from the log's errors to HTTP.
    pub(crate) fn of(error: &Error) -> Problem {
        match error {
            Error::Refused(refusal) => Problem::of_refusal(refusal),
            Error::NotFound => Problem::not_found(),
            Error::Denied(what) => Problem::new("not-allowed", *what),
            Error::Revoked => Problem::new("unauthenticated", "no token, or one that is unknown or revoked"),
            Error::Beyond { asked, size } => Problem::new(
                "beyond-tree",
                format!("{asked} was asked for; the tree that answers has {size} entries, counted from 0"),
            ),
            Error::NotPublished { index } => {
                Problem::new("not-published", format!("entry {index} is durable, but no checkpoint covers it yet"))
            }
            Error::Busy(what) => Problem::new("busy", *what),
            Error::Unavailable(what) => Problem::new("unavailable", what.clone()).retry_after(5),
            Error::Corrupt(what) => {
                tracing::error!(what = ?what, "stored bytes fail their own evidence");
                Problem::new("corrupt", "stored bytes fail their own evidence; the operator's log names the place")
            }
            // A kind that a later release adds: nothing is promised.
            _ => Problem::new("unavailable", "the log cannot answer"),
        }
    }

    /// Writes the JSON object.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":\"/errors/");
        out.extend_from_slice(self.kind.as_bytes());
        out.extend_from_slice(b"\",\"title\":");
        text(title_of(self.kind, self.status), out);
        out.extend_from_slice(format!(",\"status\":{},\"detail\":", self.status).as_bytes());
        text(&self.detail, out);
        if !self.field.is_empty() {
            out.extend_from_slice(b",\"field\":");
            text(&self.field, out);
        }
        if let Some(line) = self.line {
            out.extend_from_slice(format!(",\"line\":{line}").as_bytes());
        }
        if !self.expected.is_empty() {
            out.extend_from_slice(b",\"expected\":");
            text(&self.expected, out);
        }
        if let Some(index) = self.first_index {
            out.extend_from_slice(format!(",\"first_index\":{index}").as_bytes());
        }
        out.push(b'}');
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let mut json = Vec::with_capacity(256);
        self.write(&mut json);
        let mut answer = Response::new(Body::from(json));
        *answer.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == 401 {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}

/// Writes a JSON string with its quotes.
pub(crate) fn text(value: &str, out: &mut Vec<u8>) {
    // Writing a str to a Vec cannot fail.
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_page() {
        for (kind, _, _) in KINDS {
            let page = format!("{}/../../docs/errors/{kind}.md", env!("CARGO_MANIFEST_DIR"));
            assert!(std::path::Path::new(&page).exists(), "docs/errors/{kind}.md is missing");
        }
    }

    #[test]
    fn a_refusal_is_valid_json_whatever_it_quotes() {
        let mut refusal = Refusal::new(409, "conflict", "a\"b\u{1b}", "x\ny", "d");
        refusal.line = Some(3);
        refusal.first_index = Some(7);
        let mut out = Vec::new();
        Problem::of_refusal(&refusal).write(&mut out);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap_or_default();
        assert_eq!(value["status"], 409);
        assert_eq!(value["field"], "a\"b\u{1b}");
        assert_eq!(value["first_index"], 7);
        assert!(!out.contains(&0x1b));
    }

    #[test]
    fn retry_after_comes_with_429_and_503_alone() {
        for (kind, status, _) in KINDS {
            assert_eq!(Problem::new(kind, "").retry_after.is_some(), matches!(status, 429 | 503), "{kind}");
        }
    }
}
