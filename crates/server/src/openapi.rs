//! OpenAPI 3.1, made from the table of routes.

use serde_json::{Map, Value, json};

use crate::problem::KINDS;
use crate::routes::{Need, ROUTES, Route};

/// axum's `{*path}` is `{path}` in a document.
pub(crate) fn path_of(route: &Route) -> String {
    route.path.replace("{*", "{")
}

fn parameters(route: &Route) -> Vec<Value> {
    let path = path_of(route);
    let places = path
        .split('{')
        .skip(1)
        .filter_map(|p| p.split('}').next())
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let query = route.query.iter().map(|(name, meaning)| {
        json!({"name": name, "in": "query", "required": false, "description": meaning, "schema": {"type": "string"}})
    });
    places.chain(query).collect()
}

fn body(route: &Route) -> Option<Value> {
    let any = json!({});
    let retention = journal::RETENTION_PROFILES.map(|profile| profile.name);
    match route.path {
        "/v1/ledgers/{ledger}/events" => Some(json!({"required": true, "content": {
            "application/json": {"schema": any}, "application/x-ndjson": {"schema": any},
            "text/plain": {"schema": any}, "application/octet-stream": {"schema": any}}})),
        "/logs/{ledger}/add" => {
            Some(json!({"required": true, "content": {"application/octet-stream": {"schema": any}}}))
        }
        "/v1/ledgers" => Some(json!({"required": true, "content": {"application/json": {"schema": {
            "type": "object", "required": ["name"], "additionalProperties": false, "properties": {
                "name": {"type": "string", "pattern": "^[a-z0-9-]{1,63}$"}, "kind": {"enum": ["audit", "raw"]},
                "retention": {"enum": retention}, "public_leaves": {"type": "boolean"}}}}}})),
        "/v1/tokens" => Some(json!({"required": true, "content": {"application/json": {"schema": {
            "type": "object", "required": ["verbs"], "additionalProperties": false, "properties": {
                "person": {"type": "string"}, "service": {"type": "string"}, "principal": {"type": "string"},
                "verbs": {"type": "array", "items": {"enum": ["append", "read-leaves", "read-bodies", "admin"]}},
                "ledgers": {"type": "array", "items": {"type": "string"}}, "default_source": {"type": "string"},
                "source_prefixes": {"type": "array", "items": {"type": "string"}},
                "quotas": {"type": "object", "properties": {"events_per_second": {"type": "integer"},
                    "bytes_per_day": {"type": "integer"}, "reads_per_minute": {"type": "integer"}}}}}}}})),
        _ => None,
    }
}

fn operation(route: &Route) -> Value {
    let created = route.method == http::Method::POST && matches!(route.path, "/v1/ledgers" | "/v1/tokens");
    let ok = if created { "201" } else { "200" };
    let security = match route.need {
        Need::Nothing => json!([]),
        Need::LeavesOrPublic => json!([{"bearer": []}, {}]),
        Need::Token | Need::Ledger(_) | Need::Admin => json!([{"bearer": []}]),
    };
    let mut value = json!({
        "summary": route.summary,
        "parameters": parameters(route),
        "security": security,
        "x-needs": route.need.name(),
        "responses": {
            ok: {"description": "done", "content": {route.media: {"schema": {}}}},
            "default": {"description": "refused", "content": {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}},
        },
    });
    if let (Some(body), http::Method::POST) = (body(route), route.method.clone()) {
        value["requestBody"] = body;
    }
    value
}

/// The whole document.
pub(crate) fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let entry = paths.entry(path_of(route)).or_insert_with(|| json!({}));
        entry[route.method.as_str().to_ascii_lowercase()] = operation(route);
    }
    let kinds: Vec<String> = KINDS.iter().map(|(kind, _, _)| format!("/errors/{kind}")).collect();
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Proofbook", "version": env!("CARGO_PKG_VERSION"),
            "description": "An audit log that proves itself."},
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Problem": {
                "type": "object", "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": {"type": "string", "examples": kinds}, "title": {"type": "string"},
                    "status": {"type": "integer"}, "detail": {"type": "string"}, "field": {"type": "string"},
                    "line": {"type": "integer"}, "expected": {"type": "string"}, "first_index": {"type": "integer"}}}},
        },
    })
}
