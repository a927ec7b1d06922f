//! Mappers: what each reads out of its records.

use crate::{body, prepare};
use event::Format;
use serde_json::{Value, json};

fn mapped(format: Format, raw: &[u8]) -> Value {
    let event = prepare(format, raw).unwrap();
    let body = body(&event);
    event::strict_json(body.as_bytes()).unwrap();
    serde_json::from_str::<Value>(&body).unwrap()["event"].take()
}

/// A message, and pointers into its event with what must stand there (null = absent).
fn check(format: Format, raw: &[u8], expected: &[(&str, Value)]) {
    let event = mapped(format, raw);
    for (pointer, value) in expected {
        let found = event.pointer(pointer).cloned().unwrap_or(Value::Null);
        assert_eq!(&found, value, "{pointer} of {}", String::from_utf8_lossy(raw));
    }
}

#[test]
fn syslog_headers() {
    let syslog = |raw: &[u8], expected: &[(&str, Value)]| check(Format::Syslog, raw, expected);
    syslog(
        br#"<165>1 2003-10-11T22:14:15.003+02:00 h.example evntslog 12 ID47 [a@1 k="v\"\]\\" k="w"][b] BOM"#,
        &[
            ("/occurred_at", json!("2003-10-11T20:14:15.003000000Z")),
            ("/action", json!("syslog.evntslog")),
            ("/severity", json!("low")),
            ("/context/host", json!("h.example")),
            ("/ext/sd/a@1/k", json!(["v\"]\\", "w"])),
            ("/ext/sd/b", json!({})),
            ("/ext/syslog/msgid", json!("ID47")),
            ("/actor", json!({"type": "system", "id": "h.example/evntslog"})),
            ("/message", json!("BOM")),
            ("/outcome/status", json!("unknown")),
        ],
    );
    syslog(
        "<34>1 - - - - - - \u{feff}x\r".as_bytes(),
        &[
            ("/message", json!("x")),
            ("/ext/time_from", json!("arrival")),
            ("/severity", json!("critical")),
            ("/action", json!("syslog.message")),
        ],
    );
    syslog(b"<14>1 - h a - - -  two spaces", &[("/message", json!(" two spaces"))]);
    syslog(
        b"<14>from python\0",
        &[
            ("/message", json!("from python")),
            ("/original/raw", json!("<14>from python\0")),
            ("/ext/syslog/form", json!("none")),
            ("/severity", json!("info")),
        ],
    );
    syslog(b"no pri", &[("/ext/syslog/pri_assumed", json!(true)), ("/severity", json!("low"))]);
    syslog(b"<999>x", &[("/message", json!("<999>x")), ("/ext/syslog/pri_assumed", json!(true))]);
    syslog(b"", &[("/message", json!(""))]);
    syslog(
        b"<13>Dec 10 06:55:46 host app/x[1]: hi\xFF#012",
        &[
            ("/occurred_at", json!("2025-12-10T06:55:46.000000000Z")),
            ("/ext/time_zone_assumed", json!(true)),
            ("/message", json!("hi\u{fffd}#012")),
            ("/original/encoding", json!("base64")),
            ("/ext/syslog/procid", json!("1")),
        ],
    );
    // The relay's header outside, the sender's inside.
    syslog(
        b"<38>1 2026-01-02T00:00:00Z relay logger - - - Dec 31 23:59:00 web-1 sshd[24200]: Server listening",
        &[
            ("/occurred_at", json!("2025-12-31T23:59:00.000000000Z")),
            ("/observed_at", json!("2026-01-02T00:00:00.000000000Z")),
            ("/context/host", json!("web-1")),
            ("/action", json!("syslog.sshd")),
            ("/ext/syslog/relay_host", json!("relay")),
        ],
    );
    let bomb: String = (0..100_000).map(|n| format!(" k{n}=\"\"")).collect();
    let bomb = format!("<13>1 - h a - - [x{bomb}] text");
    syslog(bomb.as_bytes(), &[("/ext/truncated", json!(true)), ("/ext/sd", Value::Null)]);
    syslog(b"<13>Feb 29 00:00:00 h a: x", &[("/occurred_at", json!("2024-02-29T00:00:00.000000000Z"))]);
    syslog(b"<13>Nov 24 12:00:00 h a: x", &[("/occurred_at", json!("2026-11-24T12:00:00.000000000Z"))]);
}

#[test]
fn syslog_people() {
    let line = |app: &str, text: &str| format!("2026-11-24T02:29:42Z web-1 {app}: {text}").into_bytes();
    let who = |app: &str, text: &str, kind: &str, id: Value, outcome: &str, behalf: Value| {
        check(
            Format::Syslog,
            &line(app, text),
            &[
                ("/actor/type", json!(kind)),
                ("/actor/id", id),
                ("/outcome/status", json!(outcome)),
                ("/actor/on_behalf_of/id", behalf),
            ],
        );
    };
    let none = Value::Null;
    let system = |app: &str| json!(format!("web-1/{app}"));
    who(
        "sshd[1]",
        "Accepted publickey for alice from 10.0.0.1 port 1 ssh2",
        "user",
        json!("alice"),
        "success",
        none.clone(),
    );
    who(
        "sshd[1]",
        "Failed password for alice from 10.0.0.1 port 1 ssh2",
        "anonymous",
        none.clone(),
        "failure",
        none.clone(),
    );
    let forged = "Failed password for invalid user Accepted publickey for root from 1.1.1.1 from 10.0.0.9 port 1 ssh2";
    who("sshd[1]", forged, "anonymous", none.clone(), "failure", none.clone());
    assert_eq!(mapped(Format::Syslog, &line("sshd[1]", forged))["context"]["ip"], json!("10.0.0.9"));
    who("sshd[1]", "Accepted key ED25519 SHA256:x found at /y:1", "system", system("sshd"), "unknown", none.clone());
    who(
        "sshd[1]",
        "Connection closed by authenticating user root 1.1.1.1 port 1 [preauth]",
        "system",
        system("sshd"),
        "unknown",
        none.clone(),
    );
    let sudo = "  alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls ; USER=x";
    who("sudo", sudo, "user", json!("alice"), "success", json!("root"));
    let twice = "alice : TTY=pts/0 ; PWD=/a ; USER=bob ; USER=root ; COMMAND=/bin/ls";
    who("sudo", twice, "user", json!("alice"), "success", none.clone());
    who(
        "sudo",
        "eve : user NOT in sudoers ; TTY=x ; PWD=/ ; USER=root ; COMMAND=/bin/sh",
        "user",
        json!("eve"),
        "denied",
        none.clone(),
    );
    let cee = r#"@cee:{"sudo":{"accept":{"submituser":"alice","runuser":"root","command":"/bin/cat"}}}"#;
    who("sudo", cee, "user", json!("alice"), "success", json!("root"));
    who("sudo", &cee[..60], "system", system("sudo"), "unknown", none.clone());
    who("su[1]", "FAILED SU (to alice) dave on none", "user", json!("dave"), "failure", none.clone());
    who("su[1]", "(to root) alice on pts/0", "user", json!("alice"), "success", json!("root"));
    who("cron", "Accepted publickey for alice from 10.0.0.1 port 1", "system", system("cron"), "unknown", none);
}

#[test]
fn cloudtrail_records() {
    let ct = |raw: &str, expected: &[(&str, Value)]| check(Format::CloudTrail, raw.as_bytes(), expected);
    ct(
        r#"{"eventID":"e1","eventTime":"2023-07-10T11:42:44Z","eventSource":"iam.amazonaws.com","eventName":"Get User",
            "recipientAccountId":"123","userIdentity":{"type":"AssumedRole","principalId":"AROA1:ada",
            "accessKeyId":"ASIA",
            "sessionContext":{"attributes":{"mfaAuthenticated":"true"},
            "sessionIssuer":{"type":"Role","principalId":"AROA1","userName":"admin"}}},"sourceIPAddress":"1.2.3.4",
            "errorCode":"Client.UnauthorizedOperation","errorMessage":"no","requestParameters":null,"requestID":"r",
            "responseElements":{"a":1e999,"a":2,"b":"\ud800"}}"#,
        &[
            ("/id", json!("e1")),
            ("/source", json!("urn:aws:123")),
            ("/action", json!("iam.get_user")),
            ("/category", json!("iam")),
            ("/actor/id", json!("AROA1:ada")),
            ("/actor/on_behalf_of/id", json!("AROA1")),
            ("/actor/auth", json!({"mfa": true, "credential_id": "ASIA"})),
            (
                "/outcome",
                json!({"status":"denied","code":"Client.UnauthorizedOperation","reason":"no","authorized":false}),
            ),
            ("/severity", json!("medium")),
            ("/context/ip", json!("1.2.3.4")),
            ("/targets/0/after", json!({"a": "1e999", "b": "\u{fffd}"})),
            ("/subjects", json!(["user:AROA1:ada", "service:AROA1"])),
            ("/ext/truncated", json!(true)),
        ],
    );
    ct(
        r#"{"@timestamp":"2020-09-14T00:44:23.000Z","eventSource":"ec2.amazonaws.com","eventName":"X",
            "userIdentity":{"type":"AWSService","invokedBy":"ec2.amazonaws.com"},
            "sourceIPAddress":"ec2.amazonaws.com"}"#,
        &[
            ("/occurred_at", json!("2020-09-14T00:44:23.000000000Z")),
            ("/ext/time_from", json!("@timestamp")),
            ("/ext/id_generated", json!(true)),
            ("/source", json!("urn:example:app")),
            ("/actor", json!({"type":"service","id":"ec2.amazonaws.com"})),
            ("/context", Value::Null),
            ("/ext/cloudtrail/sourceIPAddress", json!("ec2.amazonaws.com")),
            ("/outcome/status", json!("success")),
        ],
    );
    ct("{}", &[("/action", json!("unknown.unknown")), ("/actor", json!({"type": "anonymous"}))]);
    ct(
        &format!(r#"{{"errorMessage":"{}"}}"#, "x".repeat(2000)),
        &[("/outcome/status", json!("failure")), ("/ext/truncated", json!(true))],
    );
    assert_eq!(prepare(Format::CloudTrail, b"{\"a\":").unwrap_err().code, "json_invalid");
}

#[test]
fn openbao_lines() {
    let ob = |raw: &str, expected: &[(&str, Value)]| check(Format::OpenBao, raw.as_bytes(), expected);
    ob(
        r#"{"time":"2026-11-24T02:11:07.727706939Z","type":"request","auth":{"token_type":"default"},
        "request":{"id":"r1",
        "operation":"update","namespace":{"id":"root"},"path":"sys/audit/test"}}"#,
        &[
            ("/id", json!("r1/request")),
            ("/action", json!("vault.sys.update")),
            ("/category", json!("config")),
            ("/outcome/status", json!("pending")),
            ("/actor", json!({"type": "anonymous"})),
            ("/targets/0", json!({"type":"vault/path","id":"sys/audit/test","attributes":{"namespace":{"id":"root"}}})),
            ("/ext/vault/token_type", json!("default")),
        ],
    );
    ob(
        r#"{"type":"response","error":"1 error: permission denied","auth":{"entity_id":"E",
        "accessor":"hmac-sha256:a",
        "display_name":"ada"},
        "request":{"id":"r1","operation":"read","path":"secret/x","remote_address":"127.0.0.1"}}"#,
        &[
            ("/id", json!("r1/response")),
            ("/outcome/status", json!("denied")),
            ("/actor/id", json!("E")),
            ("/actor/auth/credential_id", json!("hmac-sha256:a")),
            ("/category", json!("data")),
            ("/context/ip", json!("127.0.0.1")),
            ("/context/correlation_id", json!("r1")),
        ],
    );
}
