//! Who did what, out of messages of sshd, sudo and su: an actor only where the message makes it certain.
//!
//! A failed login names an account that somebody tried, not a person: it becomes the target, the actor is anonymous.

use std::borrow::Cow;
use std::net::IpAddr;

use super::syslog::Header;
use super::{Draft, Out, Who, at, readable, record};

/// Fills in actor, outcome, targets and address where the message says so.
pub(crate) fn people<'a>(header: &Header<'a>, draft: &mut Draft<'a>) {
    let app = header.app.map(readable).unwrap_or_default();
    let program = app.rsplit('/').next().unwrap_or_default();
    let text = header.text.trim_ascii_start();
    match program {
        "sshd" | "sshd-session" => sshd(readable(text), draft),
        "sudo" => match text.strip_prefix(b"@cee:") {
            Some(json) => sudo_json(json, draft),
            None => sudo(readable(text), draft),
        },
        "su" => su(readable(text), draft),
        _ => return,
    }
    draft.category = Some("auth");
}

fn person<'a>(name: &str) -> Who<'a> {
    Who { kind: "user", id: Some(Cow::Owned(name.to_owned())), name: Some(Cow::Owned(name.to_owned())) }
}

fn account(name: &str, draft: &mut Draft<'_>) {
    let mut target = Out::default();
    target.text("type", Some("user"), 128);
    target.text("id", Some(name), 512);
    draft.targets.push(target);
}

fn stranger(name: &str, address: &str, outcome: &'static str, draft: &mut Draft<'_>) {
    draft.actor = Who { kind: "anonymous", id: None, name: None };
    draft.outcome = outcome;
    draft.context.text("ip", Some(address), 45);
    account(name, draft);
}

/// A name that cannot have been stretched to look like more of the message.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains([' ', '\t', '"', '('])
}

/// `NAME from ADDRESS port N ...`, split at the last place: a name that was tried may hold anything.
fn from(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.rsplit_once(" from ")?;
    let address = rest.split(' ').next()?;
    address.parse::<IpAddr>().ok()?;
    Some((name, address))
}

fn sshd<'a>(text: Cow<'a, str>, draft: &mut Draft<'a>) {
    if let Some((method, (name, address))) = text
        .strip_prefix("Accepted ")
        .and_then(|rest| rest.split_once(" for "))
        .and_then(|(method, rest)| Some((method, from(rest)?)))
        .filter(|(method, (name, _))| is_plain(method) && is_plain(name))
    {
        draft.actor = person(name);
        draft.outcome = "success";
        draft.auth.text("method", Some(method), 128);
        draft.context.text("ip", Some(address), 45);
    } else if let Some((_, rest)) = text.strip_prefix("Failed ").and_then(|rest| rest.split_once(" for ")) {
        let rest = rest.strip_prefix("invalid user ").unwrap_or(rest);
        if let Some((name, address)) = from(rest) {
            stranger(name, address, "failure", draft);
        }
    } else if let Some((name, address)) = text.strip_prefix("Invalid user ").and_then(from) {
        stranger(name, address, "failure", draft);
    } else if let Some(rest) = text.strip_prefix("Disconnected from user ") {
        // Only authenticated users are called so; others are `authenticating user` or `invalid user`.
        let mut words = rest.split(' ');
        if let (Some(name), Some(address), Some("port")) = (words.next(), words.next(), words.next())
            && address.parse::<IpAddr>().is_ok()
        {
            draft.actor = person(name);
            draft.context.text("ip", Some(address), 45);
        }
    }
}

fn sudo<'a>(text: Cow<'a, str>, draft: &mut Draft<'a>) {
    let Some((name, rest)) = text.split_once(" : ").filter(|(name, _)| is_plain(name)) else { return };
    let Some((head, command)) = rest.split_once(" ; COMMAND=") else { return };
    let run: Vec<&str> = head.split(" ; ").filter_map(|part| part.strip_prefix("USER=")).collect();
    draft.actor = person(name);
    let accepted = head.starts_with("TTY=") || head.starts_with("PWD=") || head.starts_with("USER=");
    if accepted {
        draft.outcome = "success";
    } else {
        let reason = head.split(" ; ").next().unwrap_or_default();
        draft.outcome = if reason.contains("incorrect password") { "failure" } else { "denied" };
        draft.authorized = Some(false);
        draft.reason = Some(Cow::Owned(reason.to_owned()));
    }
    // A folder's name can look like a second USER: then it is not certain.
    if let [run] = run.as_slice() {
        ran_as(run, accepted, draft);
    }
    run_command(command, draft);
}

fn ran_as(name: &str, accepted: bool, draft: &mut Draft<'_>) {
    if accepted {
        draft.behalf = Some(person(name));
    } else {
        account(name, draft);
    }
}

fn run_command(command: &str, draft: &mut Draft<'_>) {
    let mut target = Out::default();
    target.text("type", Some("command"), 128);
    target.text("id", Some(command), 512);
    draft.targets.push(target);
}

/// sudo with JSON logging; a line cut in the middle of its JSON names nobody.
fn sudo_json<'a>(json: &'a [u8], draft: &mut Draft<'a>) {
    let Ok(tape) = record(json) else { return };
    for (kind, accepted) in [("accept", true), ("reject", false)] {
        let of = |name: &str| at(&tape, &["sudo", kind, name]);
        let Some(name) = of("submituser") else { continue };
        draft.actor = person(&name);
        draft.outcome = if accepted { "success" } else { "denied" };
        draft.authorized = Some(accepted);
        draft.reason = of("reason");
        if let Some(run) = of("runuser") {
            ran_as(&run, accepted, draft);
        }
        if let Some(command) = of("command") {
            run_command(&command, draft);
        }
    }
}

/// `(to root) alice on pts/0`, with `FAILED SU ` in front where it failed.
fn su<'a>(text: Cow<'a, str>, draft: &mut Draft<'a>) {
    let (failed, rest) = text.strip_prefix("FAILED SU ").map_or((false, text.as_ref()), |rest| (true, rest));
    let parsed = rest.strip_prefix("(to ").and_then(|rest| rest.split_once(") "));
    let Some((to, rest)) = parsed else { return };
    let Some((name, _)) = rest.split_once(" on ").filter(|(name, _)| is_plain(name) && is_plain(to)) else { return };
    draft.actor = person(name);
    draft.outcome = if failed { "failure" } else { "success" };
    ran_as(to, !failed, draft);
}
