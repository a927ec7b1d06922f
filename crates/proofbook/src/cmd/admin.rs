//! `proofbook status`, `ledger ...`, `token ...`: the server's own affairs, as tables or JSON.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::cli::{DataFlags, Global, LedgerCommand, TokenCommand, TokenCreate};
use crate::client::Client;
use crate::{Exit, output, serving};

fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(s)) => output::safe(s),
        Some(Value::Array(all)) => {
            let all: Vec<String> =
                all.iter().map(|v| v.as_str().map_or_else(|| output::safe(&v.to_string()), output::safe)).collect();
            if all.is_empty() { "-".to_owned() } else { all.join(",") }
        }
        Some(Value::Number(n)) => n.as_u64().map_or_else(|| n.to_string(), output::thousands),
        Some(other) => other.to_string(),
    }
}

fn rows(head: &[(&str, &str)], all: &[Value]) -> Vec<Vec<String>> {
    let mut rows = vec![head.iter().map(|(title, _)| (*title).to_owned()).collect::<Vec<_>>()];
    rows.extend(all.iter().map(|v| head.iter().map(|(_, member)| text(v, member)).collect()));
    rows
}

fn list(value: &Value, name: &str) -> Vec<Value> {
    value.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
}

pub(crate) fn status(global: &Global) -> Result<Exit> {
    let answer = Client::new(global)?.get_json("/v1/status")?;
    if global.json {
        output::json(&answer);
        return Ok(Exit::Done);
    }
    for (name, value) in answer.as_object().into_iter().flatten() {
        if !value.is_array() && !value.is_object() {
            let shown = output::safe(&name.replace('_', " "));
            output::line(&format!("{shown:<18} {}", text(&answer, name)));
        }
    }
    output::line("");
    output::table(&rows(
        &[
            ("LEDGER", "name"),
            ("KIND", "kind"),
            ("ENTRIES", "size"),
            ("SIGNED", "checkpoint_size"),
            ("UNSEALED BYTES", "backlog_bytes"),
            ("IMMUTABILITY", "immutability"),
            ("STATE", "state"),
        ],
        &list(&answer, "ledgers"),
    ));
    Ok(Exit::Done)
}

pub(crate) fn ledger(global: &Global, command: &LedgerCommand) -> Result<Exit> {
    let client = Client::new(global)?;
    match command {
        LedgerCommand::Create { name, raw, public_leaves, retention } => {
            let kind = if *raw { "raw" } else { "audit" };
            let wanted = json!({"name": name, "kind": kind, "public_leaves": public_leaves, "retention": retention});
            show(global, &client.post_json("/v1/ledgers", &wanted)?);
        }
        LedgerCommand::List => {
            let answer = client.get_json("/v1/ledgers")?;
            if global.json {
                output::json(&answer);
            } else {
                let head = [("NAME", "name"), ("KIND", "kind"), ("ENTRIES", "size"), ("ORIGIN", "origin")];
                output::table(&rows(&head, &list(&answer, "ledgers")));
            }
        }
        LedgerCommand::Show { name } => show(global, &client.get_json(&format!("/v1/ledgers/{name}"))?),
    }
    Ok(Exit::Done)
}

fn show(global: &Global, info: &Value) {
    if global.json {
        output::json(info);
        return;
    }
    for (title, member) in [
        ("name", "name"),
        ("kind", "kind"),
        ("origin", "origin"),
        ("entries", "size"),
        ("signed", "checkpoint_size"),
        ("created", "created_at"),
        ("public leaves", "public_leaves"),
        ("retention", "retention"),
    ] {
        output::line(&format!("{title:<14} {}", text(info, member)));
    }
    for vkey in list(info, "vkeys") {
        output::line(&format!("{:<14} {}", "key", output::safe(vkey.as_str().unwrap_or(""))));
    }
}

pub(crate) fn token(global: &Global, command: &TokenCommand) -> Result<Exit> {
    match command {
        TokenCommand::Create(flags) => create(global, flags)?,
        TokenCommand::Reset(flags) => reset(global, flags)?,
        TokenCommand::List => {
            let answer = Client::new(global)?.get_json("/v1/tokens")?;
            if global.json {
                output::json(&answer);
            } else {
                let head = [
                    ("ID", "token_id"),
                    ("PERSON", "person"),
                    ("PRINCIPAL", "principal"),
                    ("VERBS", "verbs"),
                    ("LEDGERS", "ledgers"),
                    ("DEFAULT SOURCE", "default_source"),
                    ("STATE", "state"),
                ];
                output::table(&rows(&head, &list(&answer, "tokens")));
            }
        }
        TokenCommand::Revoke { id } => {
            let client = Client::new(global)?;
            client.send(client.request(reqwest::Method::DELETE, &format!("/v1/tokens/{id}")))?;
            if global.json {
                output::json(&json!({"revoked": id}));
            } else {
                output::line(&format!("{} is revoked", output::safe(id)));
            }
        }
    }
    Ok(Exit::Done)
}

/// A new admin token for a folder whose server is stopped.
fn reset(global: &Global, flags: &DataFlags) -> Result<()> {
    if !flags.data.join("FORMAT").exists() {
        bail!("{} is no data folder\nhint: --data DIR names it", output::safe(&flags.data.display().to_string()));
    }
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let config = serving::settings(flags, listen)?.resolve()?;
    let (secret, notes) = server::real::reset_admin_token(&config).map_err(serving::explained)?;
    if global.json {
        output::json(&json!({"token": secret.expose(), "notes": notes}));
        return Ok(());
    }
    notes.iter().for_each(|note| output::note(&output::safe(note)));
    output::line(secret.expose());
    output::note("a new admin token, shown once; the entry about it is in the ledger control");
    Ok(())
}

fn create(global: &Global, flags: &TokenCreate) -> Result<()> {
    let verbs: Vec<&str> = flags.verbs.iter().map(|v| v.name()).collect();
    let wanted = json!({
        "person": flags.person, "service": flags.service, "verbs": verbs, "ledgers": flags.ledgers,
        "default_source": flags.source, "source_prefixes": flags.source_prefixes,
        "quotas": {"events_per_second": flags.events_per_second, "bytes_per_day": flags.bytes_per_day,
            "reads_per_minute": flags.reads_per_minute},
    });
    let answer = Client::new(global)?.post_json("/v1/tokens", &wanted)?;
    let secret = answer.get("token").and_then(Value::as_str).context("the answer holds no token")?.to_owned();
    secret_once(global, &answer, &secret);
    Ok(())
}

fn secret_once(global: &Global, answer: &Value, secret: &str) {
    if global.json {
        let mut answer = answer.clone();
        if let Some(map) = answer.as_object_mut() {
            map.insert("token".to_owned(), json!(secret));
        }
        output::json(&answer);
        return;
    }
    // The secret alone on standard output: it can be piped into a file.
    output::note("this token is shown once; keep it, only its hash is stored");
    output::line(secret);
}
