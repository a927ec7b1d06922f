//! OpenBao and Vault audit lines (events.md section 7). Secrets come as `hmac-sha256:...` and stay so.

use std::borrow::Cow;

use super::{Draft, Out, Who, at, object_at, record};
use crate::prepared::{Original, Prepared};
use crate::{Context, Rejected, time};

/// Maps one audit line: a request or a response.
///
/// Errors: `event_size`, and `json_invalid` for what is no JSON object.
pub fn openbao<'a>(raw: &'a [u8], ctx: &Context<'a>) -> Result<Prepared<'a>, Rejected> {
    let tape = record(raw)?;
    let mut draft = Draft::new();
    let kind = at(&tape, &["type"]);
    let request = at(&tape, &["request", "id"]);
    if let (Some(request), Some(kind)) = (&request, &kind) {
        draft.id = Some(Cow::Owned(format!("{request}/{kind}")));
    }
    let path = at(&tape, &["request", "path"]);
    let first = path.as_deref().and_then(|p| p.split('/').find(|part| !part.is_empty())).unwrap_or("unknown");
    let operation = at(&tape, &["request", "operation"]);
    draft.action = format!("vault.{first}.{}", operation.as_deref().unwrap_or("unknown"));
    draft.category = Some(match path.as_deref() {
        Some(path) if path.starts_with("auth/") => "auth",
        Some(path) if path.starts_with("sys/") => "config",
        _ => "data",
    });
    draft.occurred = at(&tape, &["time"]).and_then(|t| time::parse(t.as_bytes()));
    let entity = at(&tape, &["auth", "entity_id"]);
    let accessor = at(&tape, &["auth", "accessor"]);
    draft.actor = Who {
        kind: if entity.is_some() { "user" } else { "api_key" },
        id: entity.or_else(|| accessor.clone()),
        name: at(&tape, &["auth", "display_name"]),
    };
    draft.auth.text("credential_id", accessor.as_deref(), 128);
    let error = at(&tape, &["error"]);
    draft.outcome = match (&error, kind.as_deref()) {
        (Some(error), _) if error.contains("permission denied") => "denied",
        (Some(_), _) => "failure",
        (None, Some("request")) => "pending",
        (None, Some("response")) => "success",
        _ => "unknown",
    };
    draft.authorized = (draft.outcome == "denied").then_some(false);
    draft.reason = error;
    draft.context.text("ip", at(&tape, &["request", "remote_address"]).as_deref(), 45);
    draft.context.text("request_id", request.as_deref(), 128);
    draft.context.text("correlation_id", request.as_deref(), 128);
    if let Some(path) = &path {
        let mut target = Out::default();
        target.text("type", Some("vault/path"), 128);
        target.text("id", Some(path), 512);
        if let Some(namespace) = object_at(&tape, &["request", "namespace"]) {
            let mut attributes = Out::default();
            attributes.copy("namespace", &tape, Some(namespace));
            target.object("attributes", attributes);
        }
        draft.targets.push(target);
    }
    let mut vault = Out::default();
    for name in ["policies", "token_policies", "identity_policies", "token_type", "metadata"] {
        vault.copy(name, &tape, tape.path(0, &["auth", name]));
    }
    for name in ["mount_point", "mount_type", "mount_accessor", "mount_class", "remote_port"] {
        vault.copy(name, &tape, tape.path(0, &["request", name]));
    }
    if !vault.is_empty() {
        draft.ext.object("vault", vault);
    }
    Ok(draft.finish(raw, Original { format: "openbao", media_type: "application/json" }, ctx))
}
