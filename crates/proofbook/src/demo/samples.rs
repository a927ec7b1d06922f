//! The recordings in `samples/`, built into the binary so that the tour needs no file.

use std::io::Cursor;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cli::Format;
use crate::client::{Client, read_capped};
use crate::cmd::pieces::open;

/// One recording.
pub(super) struct Sample {
    pub(super) what: &'static str,
    pub(super) format: Format,
    pub(super) bytes: &'static [u8],
}

macro_rules! sample {
    ($what:literal, $format:expr, $file:literal) => {
        Sample { what: $what, format: $format, bytes: include_bytes!(concat!("../../../../samples/", $file)) }
    };
}

/// All of them, in the order of the tour.
pub(super) static SAMPLES: [Sample; 5] = [
    sample!("sshd", Format::Syslog, "sshd/web-1-auth-rfc5424.log"),
    sample!("sudo", Format::Text, "sudo/web-1-sudo.json"),
    sample!("auditd", Format::Text, "auditd/web-1-enriched.log"),
    sample!("OpenBao", Format::Openbao, "openbao/audit.jsonl"),
    sample!("pgaudit", Format::Text, "pgaudit/postgresql-15-jsonlog.jsonl"),
];

/// Events a request.
const BATCH: usize = 1_000;

/// What became of a recording.
pub(super) struct Sent {
    pub(super) acknowledged: u64,
    pub(super) refused: u64,
    /// One past the highest index.
    pub(super) end: u64,
}

impl Sample {
    /// Sends all of it; each record is acknowledged or counted as refused.
    pub(super) fn send(&self, client: &Client, ledger: &str) -> Result<Sent> {
        let mut input = open(Box::new(Cursor::new(self.bytes)), self.format)?;
        let mut sent = Sent { acknowledged: 0, refused: 0, end: 0 };
        while let Some(piece) = input.next(BATCH)? {
            let path = format!(
                "/v1/ledgers/{ledger}/events?format={}&file={}&offset={}",
                self.format.name(),
                input.digest,
                piece.offset
            );
            let request = client
                .request(reqwest::Method::POST, &path)
                .header(reqwest::header::CONTENT_TYPE, piece.content_type)
                .body(piece.bytes);
            let answer: Value = serde_json::from_slice(&read_capped(client.send(request)?)?)?;
            let results = answer.get("results").and_then(Value::as_array).context("an answer without results")?;
            for result in results {
                match result.get("index").and_then(Value::as_u64) {
                    Some(index) => {
                        sent.acknowledged += 1;
                        sent.end = sent.end.max(index + 1);
                    }
                    None => sent.refused += 1,
                }
            }
        }
        Ok(sent)
    }
}
