//! Ledgers and tokens.

use axum::body::Body;
use http::{Response, StatusCode};
use journal::{Credential, LedgerInfo, NewLedger, NewToken, Quotas, Verb};
use ledger::Kind;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

use crate::app::Call;
use crate::decode;
use crate::events;
use crate::limits::ADMIN_BODY_BYTES_MAX;
use crate::problem::Problem;
use crate::routes::Answer;

fn answer(value: &Value) -> Response<Body> {
    events::json(value.to_string().into_bytes())
}

async fn wanted<T: for<'a> Deserialize<'a>>(call: &mut Call) -> Result<T, Problem> {
    let body = call.take_body();
    let memory = call.app.memory.purse(&call.credential()?.token_id);
    let collected = decode::collect(&call.headers, body, ADMIN_BODY_BYTES_MAX, &memory).await?;
    serde_json::from_slice(&collected.bytes).map_err(|e| {
        // serde's message may quote the value; place and category are enough.
        Problem::new(
            "request-malformed",
            format!("the body is not the object that is expected, at column {}", e.column()),
        )
        .field("body", "see /v1/openapi.json")
    })
}

fn info(ledger: &LedgerInfo) -> Value {
    json!({
        "name": ledger.name,
        "ulid": ledger.ulid,
        "kind": if ledger.kind == Kind::Raw { "raw" } else { "audit" },
        "origin": ledger.origin,
        "vkeys": ledger.vkeys,
        "size": ledger.size,
        "checkpoint_size": ledger.checkpoint_size,
        "public_leaves": ledger.public_leaves,
        "retention": ledger.retention,
        "created_at": ledger.created_at,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LedgerWanted {
    name: String,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    retention: Option<String>,
    #[serde(default)]
    public_leaves: bool,
}

/// `POST /v1/ledgers`
pub(crate) async fn create_ledger(mut call: Call) -> Answer {
    let wanted: LedgerWanted = wanted(&mut call).await?;
    let kind = match wanted.kind.as_deref() {
        None | Some("audit") => Kind::Audit,
        Some("raw") => Kind::Raw,
        Some(_) => {
            return Err(Problem::new("request-malformed", "no such kind of ledger").field("kind", "audit or raw"));
        }
    };
    let who = Arc::clone(call.credential()?);
    let new = NewLedger { name: wanted.name, kind, retention: wanted.retention, public_leaves: wanted.public_leaves };
    let made = call.blocking(move |log, _| log.create_ledger(&who, new)).await?;
    let mut answer = answer(&info(&made));
    *answer.status_mut() = StatusCode::CREATED;
    Ok(answer)
}

/// `GET /v1/ledgers`
pub(crate) async fn list_ledgers(call: Call) -> Answer {
    let all = call.blocking(|log, scope| Ok(log.list_ledgers(scope))).await?;
    Ok(answer(&json!({"ledgers": all.iter().map(info).collect::<Vec<_>>()})))
}

/// `GET /v1/ledgers/{ledger}`
pub(crate) async fn show_ledger(call: Call) -> Answer {
    let name = call.ledger();
    let found = call.blocking(move |log, scope| log.ledger_info(scope, &name)).await?;
    Ok(answer(&info(&found)))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotasWanted {
    #[serde(default)]
    events_per_second: Option<u64>,
    #[serde(default)]
    bytes_per_day: Option<u64>,
    #[serde(default)]
    reads_per_minute: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenWanted {
    #[serde(default)]
    person: Option<String>,
    #[serde(default)]
    service: Option<String>,
    #[serde(default)]
    principal: Option<String>,
    verbs: Vec<String>,
    #[serde(default)]
    ledgers: Vec<String>,
    #[serde(default)]
    default_source: Option<String>,
    #[serde(default)]
    source_prefixes: Vec<String>,
    #[serde(default)]
    quotas: Option<QuotasWanted>,
}

fn token(credential: &Credential) -> Value {
    json!({
        "token_id": credential.token_id,
        "principal": credential.principal,
        "bootstrap": credential.bootstrap,
        "default_source": credential.default_source,
        "source_prefixes": credential.source_prefixes,
        "ledgers": credential.ledgers,
        "verbs": credential.verbs.iter().map(|v| v.name()).collect::<Vec<_>>(),
        "quotas": {
            "events_per_second": credential.quotas.events_per_second,
            "bytes_per_day": credential.quotas.bytes_per_day,
            "reads_per_minute": credential.quotas.reads_per_minute,
        },
    })
}

/// `POST /v1/tokens`
pub(crate) async fn create_token(mut call: Call) -> Answer {
    let wanted: TokenWanted = wanted(&mut call).await?;
    let verbs: Vec<Verb> = wanted.verbs.iter().map(|v| v.parse()).collect::<Result<_, ()>>().map_err(|()| {
        Problem::new("request-malformed", "no such verb").field("verbs", "append, read-leaves, read-bodies, admin")
    })?;
    let person = wanted.person.or(wanted.service);
    if person.is_none() && wanted.principal.is_none() {
        return Err(Problem::new("request-malformed", "every token belongs to one principal")
            .field("person", "a name; or service, or principal"));
    }
    let quotas = wanted.quotas.unwrap_or_default();
    let new = NewToken {
        person: person.unwrap_or_default(),
        principal: wanted.principal,
        default_source: wanted.default_source.unwrap_or_default(),
        source_prefixes: wanted.source_prefixes,
        ledgers: wanted.ledgers,
        verbs,
        quotas: Quotas {
            events_per_second: quotas.events_per_second.unwrap_or(0),
            bytes_per_day: quotas.bytes_per_day.unwrap_or(0),
            reads_per_minute: quotas.reads_per_minute.unwrap_or(0),
        },
    };
    let who = Arc::clone(call.credential()?);
    let (made, secret) = call.blocking(move |log, _| log.create_token(&who, new)).await?;
    let mut value = token(&made);
    value["token"] = Value::String(secret.0);
    let mut answer = answer(&value);
    *answer.status_mut() = StatusCode::CREATED;
    Ok(answer)
}

/// `GET /v1/tokens`
pub(crate) async fn list_tokens(call: Call) -> Answer {
    let who = Arc::clone(call.credential()?);
    let all = call.blocking(move |log, _| log.list_tokens(&who)).await?;
    let rows: Vec<Value> = all
        .iter()
        .map(|t| {
            let mut row = token(&t.credential);
            row["person"] = json!(t.person);
            row["created_at"] = json!(t.created_at);
            row["revoked_at"] = json!(t.revoked_at);
            row["state"] = json!(if t.revoked_at.is_some() { "revoked" } else { "active" });
            row
        })
        .collect();
    Ok(answer(&json!({"tokens": rows})))
}

/// `DELETE /v1/tokens/{id}`
pub(crate) async fn revoke_token(call: Call) -> Answer {
    let (who, id) = (Arc::clone(call.credential()?), call.param("id").to_owned());
    let revoked = id.clone();
    call.blocking(move |log, _| log.revoke_token(&who, &revoked)).await?;
    Ok(answer(&json!({"revoked": id})))
}
