//! AWS CloudTrail records, versions 1.05 to 1.11 (events.md section 7).

use std::borrow::Cow;
use std::net::IpAddr;

use super::{Draft, Out, Who, at, object_at, record};
use crate::prepared::{Original, Prepared};
use crate::tape::{Sort, Tape};
use crate::{Context, Rejected, time};

/// Maps one record.
///
/// Errors: `event_size`, and `json_invalid` for what is no JSON object.
pub fn cloudtrail<'a>(raw: &'a [u8], ctx: &Context<'a>) -> Result<Prepared<'a>, Rejected> {
    let tape = record(raw)?;
    let mut draft = Draft::new();
    draft.id = at(&tape, &["eventID"]);
    let account = at(&tape, &["recipientAccountId"]);
    let usable = |id: &str| id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    draft.source = account.filter(|id| usable(id)).map(|id| Cow::Owned(format!("urn:aws:{id}")));
    let event_source = at(&tape, &["eventSource"]).unwrap_or(Cow::Borrowed("unknown"));
    let service = event_source.split('.').next().unwrap_or_default();
    draft.action = format!("{service}.{}", at(&tape, &["eventName"]).as_deref().unwrap_or("unknown"));
    draft.occurred = at(&tape, &["eventTime"]).and_then(|t| time::parse(t.as_bytes()));
    if draft.occurred.is_none() {
        // Records that went through Logstash lost their eventTime and carry it here.
        draft.occurred = at(&tape, &["@timestamp"]).and_then(|t| time::parse(t.as_bytes()));
        draft.marks.time_from = draft.occurred.map(|_| "@timestamp");
    }
    identity(&tape, &mut draft);
    outcome(&tape, &mut draft);
    targets(&tape, service, &event_source, &mut draft);
    context(&tape, &mut draft);
    Ok(draft.finish(raw, Original { format: "cloudtrail", media_type: "application/json" }, ctx))
}

/// Who authenticated; in an assumed role also whom they acted as.
fn identity<'a>(tape: &Tape<'a>, draft: &mut Draft<'a>) {
    let of = |name: &str| at(tape, &["userIdentity", name]);
    let kind = of("type");
    let service = match kind.as_deref() {
        Some("AWSService") => true,
        // Instances and services assume roles under names that start so.
        Some("AssumedRole") => {
            let session = of("principalId");
            of("invokedBy").is_some()
                || session.is_some_and(|p| p.split_once(':').is_some_and(|(_, s)| s.starts_with("i-")))
        }
        _ => false,
    };
    let named = if kind.as_deref() == Some("AWSService") { of("invokedBy") } else { None };
    let id = named.or_else(|| of("principalId")).or_else(|| of("arn")).or_else(|| of("accountId"));
    let session = of("principalId").and_then(|p| p.split_once(':').map(|(_, s)| s.to_owned()));
    draft.actor = Who {
        kind: if service { "service" } else { "user" },
        id: id.or_else(|| of("invokedBy")).or_else(|| of("userName")),
        name: of("userName").or_else(|| session.map(Cow::Owned)),
    };
    if kind.as_deref() == Some("Root") && draft.actor.name.is_none() {
        draft.actor.name = Some(Cow::Borrowed("root"));
    }
    let issuer = |name: &str| at(tape, &["userIdentity", "sessionContext", "sessionIssuer", name]);
    if matches!(kind.as_deref(), Some("AssumedRole" | "FederatedUser")) && issuer("type").is_some() {
        draft.behalf = Some(Who {
            kind: if issuer("type").as_deref() == Some("Role") { "service" } else { "user" },
            id: issuer("principalId").or_else(|| issuer("arn")),
            name: issuer("userName"),
        });
    }
    draft.auth.flag("mfa", mfa(tape));
    draft.auth.text("idp", of("identityProvider").as_deref(), 128);
    draft.auth.text("credential_id", of("accessKeyId").as_deref(), 128);
}

fn mfa(tape: &Tape<'_>) -> Option<bool> {
    let node = tape.path(0, &["userIdentity", "sessionContext", "attributes", "mfaAuthenticated"])?;
    match tape.node(node).map(|n| tape.decode(n)).as_deref() {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => None,
    }
}

fn outcome<'a>(tape: &Tape<'a>, draft: &mut Draft<'a>) {
    draft.code = at(tape, &["errorCode"]);
    draft.reason = at(tape, &["errorMessage"]);
    let refused = draft.code.as_deref().is_some_and(|c| c.contains("AccessDenied") || c.contains("Unauthorized"));
    draft.outcome = match (&draft.code, &draft.reason) {
        _ if refused => "denied",
        (None, None) => "success",
        _ => "failure",
    };
    draft.authorized = refused.then_some(false);
    draft.severity = if draft.outcome == "success" { "info" } else { "medium" };
    let omitted = |name: &str| tape.path(0, &[name, "omitted"]).is_some();
    draft.marks.truncated |= omitted("requestParameters") || omitted("responseElements");
}

fn targets<'a>(tape: &Tape<'a>, service: &str, event_source: &str, draft: &mut Draft<'a>) {
    if let Some(resources) = tape.get(0, "resources") {
        for (_, resource) in tape.items(resources) {
            let of = |name: &str| {
                let node = tape.get(resource, name).and_then(|n| tape.node(n))?;
                (node.sort == Sort::Text).then(|| tape.decode(node)).filter(|t| !t.is_empty())
            };
            let Some(id) = of("ARN").or_else(|| of("ARNPrefix")).or_else(|| of("resourceName")) else { continue };
            let mut target = Out::default();
            let kind = of("type").or_else(|| of("resourceType"));
            target.text("type", Some(kind.as_deref().unwrap_or("aws/resource")), 128);
            target.text("id", Some(&id), 512);
            draft.targets.push(target);
        }
    }
    let before = object_at(tape, &["requestParameters"]);
    let after = object_at(tape, &["responseElements"]);
    if before.is_none() && after.is_none() {
        return;
    }
    if draft.targets.is_empty() {
        let mut target = Out::default();
        target.text("type", Some(&format!("aws/{service}")), 128);
        target.text("id", Some(event_source), 512);
        draft.targets.push(target);
    }
    if let Some(first) = draft.targets.first_mut() {
        first.copy("before", tape, before);
        first.copy("after", tape, after);
    }
}

fn context<'a>(tape: &Tape<'a>, draft: &mut Draft<'a>) {
    let mut ext = Out::default();
    let address = at(tape, &["sourceIPAddress"]);
    if let Some(address) = address {
        // The name of a service may stand here, or AWS Internal.
        if address.parse::<IpAddr>().is_ok() {
            draft.context.text("ip", Some(&address), 45);
        } else {
            ext.text("sourceIPAddress", Some(&address), 256);
        }
    }
    draft.context.text("user_agent", at(tape, &["userAgent"]).as_deref(), 1024);
    draft.context.text("location", at(tape, &["awsRegion"]).as_deref(), 256);
    let request = at(tape, &["requestID"]);
    draft.context.text("request_id", request.as_deref(), 128);
    let correlation = at(tape, &["sharedEventID"]).or(request);
    draft.context.text("correlation_id", correlation.as_deref(), 128);
    let kept = ["eventVersion", "eventType", "eventCategory", "readOnly", "managementEvent", "apiVersion"];
    let more = ["tlsDetails", "vpcEndpointId", "sharedEventID", "additionalEventData", "serviceEventDetails"];
    for name in kept.iter().chain(&more) {
        let present = tape.get(0, name).filter(|n| tape.node(*n).is_some_and(|n| n.sort != Sort::Null));
        ext.copy(name, tape, present);
    }
    ext.copy("userIdentityType", tape, tape.path(0, &["userIdentity", "type"]));
    if !ext.is_empty() {
        draft.ext.object("cloudtrail", ext);
    }
}
