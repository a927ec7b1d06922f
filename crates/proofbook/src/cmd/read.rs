//! `proofbook tail`, `get`, `prove`: entries for people and for verifiers.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cli::{Get, Global, Prove, Tail};
use crate::client::{Client, Problem, Unreachable};
use crate::{Exit, known, output};

/// A line of an event stream that is longer is an attack or a bug (1 MiB of body, escaped).
const STREAM_LINE_BYTES_MAX: usize = 16 << 20;
/// Times a followed stream is taken up again before giving up.
const RECONNECTS_MAX: u32 = 120;

pub(crate) fn get(global: &Global, flags: &Get) -> Result<Exit> {
    let client = Client::new(global)?;
    let entry = client.get_json(&format!("/v1/ledgers/{}/entries/{}", flags.ledger, flags.index))?;
    if global.json {
        output::json(&entry);
    } else {
        pretty(&entry);
    }
    Ok(Exit::Done)
}

fn member<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or("")
}

/// The stored strings of an entry, parsed for display alone.
fn parsed(entry: &Value, name: &str) -> Value {
    serde_json::from_str(member(entry, name)).unwrap_or(Value::Null)
}

fn pretty(entry: &Value) {
    let index = entry.get("index").and_then(Value::as_u64).unwrap_or(0);
    let size = entry.get("tree_size").and_then(Value::as_u64).unwrap_or(0);
    output::line(&output::bold(&format!("#{index} of {}", output::safe(member(entry, "origin")))));
    let field = |name: &str, value: &str| output::line(&format!("{name:<12} {}", output::safe(value)));
    field("leaf hash", member(entry, "leaf_hash"));
    field("tree size", &output::thousands(size));
    field("state", member(entry, "state"));
    if let Some(raw) = entry.get("leaf_base64").and_then(Value::as_str) {
        field("leaf", &format!("{raw} (base64)"));
        return;
    }
    let block = |title: &str, value: &Value| {
        output::line("");
        output::line(&output::bold(title));
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        for line in text.lines() {
            output::line(&output::safe(line));
        }
    };
    block("leaf", &parsed(entry, "leaf"));
    match entry.get("body") {
        Some(Value::String(_)) => block("body", &parsed(entry, "body")),
        _ => output::line(&output::dim("\nbody: not shown (no right to read bodies, or no longer there)")),
    }
}

/// One entry on one line.
pub(crate) fn one_line(entry: &Value) -> String {
    let leaf = parsed(entry, "leaf");
    let event = parsed(entry, "body").get("event").cloned().unwrap_or(Value::Null);
    let index = entry.get("index").and_then(Value::as_u64).unwrap_or(0);
    if leaf.is_null() {
        let raw = member(entry, "leaf_base64");
        let shown: String = raw.chars().take(60).collect();
        return format!("{} {}", output::bold(&format!("#{index}")), output::safe(&shown));
    }
    let actor = event.get("actor").cloned().unwrap_or(Value::Null);
    let who = [member(&actor, "name"), member(&actor, "id"), member(&leaf, "actor_ref")]
        .into_iter()
        .find(|s| !s.is_empty())
        .unwrap_or("-")
        .to_owned();
    let target = event
        .get("targets")
        .and_then(|t| t.get(0))
        .map(|t| format!("{} {}", member(t, "type"), member(t, "id")))
        .unwrap_or_default();
    let time = output::safe(member(&leaf, "occurred_at").get(..19).unwrap_or("")).replace('T', " ");
    let outcome = member(&leaf, "outcome");
    let outcome = match outcome {
        "denied" | "failure" => output::red(&output::safe(outcome)),
        "success" => output::green(outcome),
        other => output::dim(&output::safe(other)),
    };
    let cut = |text: &str, width: usize| {
        let text = output::safe(text);
        if text.chars().count() > width { text.chars().take(width - 1).chain(['\u{2026}']).collect() } else { text }
    };
    format!(
        "{} {time}  {}  {}  {outcome}  {}",
        output::bold(&format!("#{index}")),
        output::bold(&cut(member(&leaf, "action"), 48)),
        cut(&who, 40),
        cut(if target.is_empty() { member(&event, "message") } else { &target }, 90),
    )
}

pub(crate) fn tail(global: &Global, flags: &Tail) -> Result<Exit> {
    let client = Client::new(global)?;
    let info = client.get_json(&format!("/v1/ledgers/{}", flags.ledger))?;
    let size = info.get("size").and_then(Value::as_u64).context("the server does not say how large the ledger is")?;
    let from = flags.from.unwrap_or_else(|| size.saturating_sub(flags.lines));
    if !flags.follow && from >= size {
        output::note(&format!("{} holds {size} entries; nothing from #{from} on", output::safe(&flags.ledger)));
        return Ok(Exit::Done);
    }
    let until = (!flags.follow).then_some(size);
    let mut next = from;
    let mut failures = 0;
    loop {
        let before = next;
        let outcome = stream(global, &client, &flags.ledger, &mut next, until);
        match outcome {
            Ok(true) => return Ok(Exit::Done),
            Ok(false) => {}
            Err(e) => {
                let busy = e.downcast_ref::<Problem>().is_some_and(|p| matches!(p.status, 429 | 503));
                if !flags.follow || !(busy || e.downcast_ref::<Unreachable>().is_some()) || failures >= RECONNECTS_MAX {
                    return Err(e);
                }
            }
        }
        failures = if next > before { 0 } else { failures + 1 };
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

/// Reads the stream until `until`; `false` when the server ended it before.
fn stream(global: &Global, client: &Client, ledger: &str, next: &mut u64, until: Option<u64>) -> Result<bool> {
    let request = client.request(reqwest::Method::GET, &format!("/v1/ledgers/{ledger}/tail?from={next}"));
    let mut reader = BufReader::new(client.send(request)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = std::io::Read::take(&mut reader, STREAM_LINE_BYTES_MAX as u64)
            .read_until(b'\n', &mut line)
            .map_err(|e| Unreachable(format!("the stream broke off: {e}")))?;
        if read == 0 {
            return Ok(false);
        }
        let Some(data) = line.strip_prefix(b"data:") else { continue };
        let entry: Value = serde_json::from_slice(data.trim_ascii()).context("the stream holds no entry JSON")?;
        let index = entry.get("index").and_then(Value::as_u64).context("an entry without an index")?;
        // A tail of `access` leaves out what it causes itself; of any other ledger every entry comes.
        if index < *next || (index != *next && ledger != "access") {
            bail!("the stream goes on at #{index} where #{next} was expected: entries are withheld");
        }
        if global.json {
            output::json(&entry);
        } else {
            output::line(&one_line(&entry));
        }
        *next = index + 1;
        // Nobody reads any more.
        if output::lost().is_some() {
            return Ok(true);
        }
        if until.is_some_and(|u| *next >= u) {
            return Ok(true);
        }
    }
}

/// Fetches the entry JSON and the proof of one entry, as stored bytes.
pub(crate) fn fetch_proof(client: &Client, ledger: &str, index: u64) -> Result<(String, Vec<u8>)> {
    let base = format!("/v1/ledgers/{ledger}/entries/{index}");
    let proof =
        client.get_bytes(&format!("{base}/proof"))?.with_context(|| format!("{ledger} has no entry #{index}"))?;
    let entry = client.get_bytes(&base)?.with_context(|| format!("{ledger} has no entry #{index}"))?;
    Ok((String::from_utf8(proof).context("the proof is not text")?, entry))
}

pub(crate) fn prove(global: &Global, flags: &Prove) -> Result<Exit> {
    let client = Client::new(global)?;
    let (proof, entry) = fetch_proof(&client, &flags.ledger, flags.index)?;
    let write = |suffix: &str, bytes: &[u8]| -> Result<PathBuf> {
        let path = flags.out.join(format!("{}.{suffix}", flags.index));
        known::write_whole(&path, bytes)?;
        Ok(path)
    };
    let proof_path = write("tlog-proof", proof.as_bytes())?;
    let entry_path = write("entry.json", &entry)?;
    if global.json {
        output::json(&serde_json::json!({"proof": proof_path, "entry": entry_path}));
    } else {
        output::line(&format!("wrote {} and {}", proof_path.display(), entry_path.display()));
        output::line(&output::dim(&format!("check it anywhere: proofbook verify {}", proof_path.display())));
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn no_member_of_an_entry_steers_the_terminal() {
        let evil = "\u{1b}]0;x\u{7}\u{1b}[2J\u{202e}";
        // A server that lies may send a leaf that none of ours would write.
        let leaf = serde_json::json!({"occurred_at": format!("{evil}0123456789"), "action": evil, "outcome": evil,
            "actor_ref": evil});
        let event = serde_json::json!({"actor": {"name": evil}, "targets": [{"type": evil, "id": evil}]});
        let body = serde_json::json!({"event": event});
        let entry = serde_json::json!({"index": 1, "leaf": leaf.to_string(), "body": body.to_string()});
        let shown = one_line(&entry);
        assert!(shown.contains("x") && !shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown:?}");
        let raw = serde_json::json!({"index": 1, "leaf_base64": evil});
        assert!(!one_line(&raw).contains('\u{1b}'));
    }
}
