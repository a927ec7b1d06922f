//! Syslog lines: RFC 5424, RFC 3164, the file forms of both, and what has no header at all (ingest.md section 9).
//!
//! Finds header, structured data and an inner header; `people` reads who did what out of sshd, sudo and su messages.

use std::borrow::Cow;

use super::{Draft, Out, Who, people, readable, sized};
use crate::limits::{STRUCTURED_DATA_MAX, YEARLESS_AHEAD_SECONDS};
use crate::prepared::{Original, Prepared};
use crate::time::{self, Moment, days, days_in_month, number};
use crate::{Context, Rejected};

/// What the header of a message says. All parts are claims of whoever sent it.
#[derive(Default)]
pub(crate) struct Header<'a> {
    form: &'static str,
    time: Option<Moment>,
    zone_assumed: bool,
    host: Option<&'a [u8]>,
    pub(crate) app: Option<&'a [u8]>,
    pid: Option<&'a [u8]>,
    msgid: Option<&'a [u8]>,
    data: Vec<Element<'a>>,
    pub(crate) text: &'a [u8],
}

type Element<'a> = (Cow<'a, str>, Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>);

/// Maps one message, without transport framing, whatever it holds.
///
/// Errors: `event_size` alone.
pub fn syslog<'a>(raw: &'a [u8], ctx: &Context<'a>) -> Result<Prepared<'a>, Rejected> {
    sized(raw)?;
    let mut draft = Draft::new();
    let line = strip_end(raw);
    let (pri, rest) = priority(line);
    let outer = header(rest, Moment::of_nanos(ctx.arrival));
    // The header's host and time are the relay's where another header stands inside.
    let reference = outer.time.unwrap_or(Moment::of_nanos(ctx.arrival));
    let inner = if outer.form == "none" { None } else { file_form(outer.text.trim_ascii_start(), reference) };
    let mut ext = Out::default();
    ext.text("form", Some(outer.form), 16);
    ext.number("facility", u64::from(pri.unwrap_or(13) / 8));
    ext.number("severity", u64::from(pri.unwrap_or(13) % 8));
    ext.flag("pri_assumed", pri.is_none().then_some(true));
    draft.severity = match pri.unwrap_or(13) % 8 {
        0..=2 => "critical",
        3 => "high",
        4 => "medium",
        5 => "low",
        _ => "info",
    };
    data(&outer.data, &mut draft.ext);
    let part = |bytes: Option<&'a [u8]>| bytes.map(readable);
    ext.text("msgid", part(outer.msgid).as_deref(), 128);
    let found = match inner {
        Some(inner) => {
            ext.text("relay_host", part(outer.host).as_deref(), 255);
            ext.text("relay_app", part(outer.app).as_deref(), 128);
            draft.observed = outer.time;
            inner
        }
        None => outer,
    };
    ext.text("procid", part(found.pid).as_deref(), 128);
    draft.ext.object("syslog", ext);
    draft.occurred = found.time;
    draft.marks.time_zone_assumed = found.zone_assumed;
    let (host, app) = (part(found.host), part(found.app));
    draft.context.text("host", host.as_deref(), 255);
    draft.context.text("app", app.as_deref(), 128);
    draft.action = format!("syslog.{}", app.as_deref().unwrap_or("message"));
    draft.message = Some(readable(found.text));
    let names: Vec<&str> = [host.as_deref(), app.as_deref()].into_iter().flatten().collect();
    let name = if names.is_empty() { "syslog".to_owned() } else { names.join("/") };
    draft.actor = Who { kind: "system", id: Some(Cow::Owned(name)), name: None };
    people::people(&found, &mut draft);
    Ok(draft.finish(raw, Original { format: "syslog", media_type: "text/plain" }, ctx))
}

/// Line feed, NULs (Python) and carriage return at the end belong to no field; the original keeps them.
fn strip_end(raw: &[u8]) -> &[u8] {
    let mut line = raw.strip_suffix(b"\n").unwrap_or(raw);
    while let Some(shorter) = line.strip_suffix(b"\0") {
        line = shorter;
    }
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// `<0>` to `<191>`; anything else is no PRI, and the message is all of it.
fn priority(line: &[u8]) -> (Option<u8>, &[u8]) {
    let parse = || {
        let rest = line.strip_prefix(b"<")?;
        let end = rest.iter().take(4).position(|b| *b == b'>').filter(|n| *n > 0)?;
        let pri = u8::try_from(number(rest.get(..end)?)?).ok().filter(|p| *p <= 191)?;
        Some((pri, rest.get(end + 1..)?))
    };
    parse().map_or((None, line), |(pri, rest)| (Some(pri), rest))
}

fn header(rest: &[u8], reference: Moment) -> Header<'_> {
    let bare = |text| Header { form: "none", text, ..Header::default() };
    rfc5424(rest).or_else(|| file_form(rest, reference)).or_else(|| tagged(rest)).unwrap_or_else(|| bare(rest))
}

fn token(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = rest.iter().position(|b| *b == b' ').filter(|n| *n > 0)?;
    Some((rest.get(..end)?, rest.get(end + 1..)?))
}

fn nil(token: &[u8]) -> Option<&[u8]> {
    (token != b"-").then_some(token)
}

/// `1 TIMESTAMP HOST APP PROCID MSGID SD [MSG]`.
fn rfc5424(rest: &[u8]) -> Option<Header<'_>> {
    let rest = rest.strip_prefix(b"1 ")?;
    let (stamp, rest) = token(rest)?;
    let time = match nil(stamp) {
        Some(stamp) => Some(time::parse(stamp)?),
        None => None,
    };
    let (host, rest) = token(rest)?;
    let (app, rest) = token(rest)?;
    let (pid, rest) = token(rest)?;
    let (msgid, rest) = token(rest)?;
    let (data, rest) = structured(rest)?;
    // RFC 5424 6.4: one space belongs to the syntax, a second one to the message.
    let text = if rest.is_empty() { rest } else { rest.strip_prefix(b" ")? };
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let (host, app, pid, msgid) = (nil(host), nil(app), nil(pid), nil(msgid));
    Some(Header { form: "rfc5424", time, zone_assumed: false, host, app, pid, msgid, data, text })
}

/// `-` or elements `[ID name="value" ...]` without space between them.
fn structured(mut rest: &[u8]) -> Option<(Vec<Element<'_>>, &[u8])> {
    let mut elements: Vec<Element<'_>> = Vec::new();
    let mut read = 0;
    if let Some(rest) = rest.strip_prefix(b"-") {
        return Some((elements, rest));
    }
    while let Some(inner) = rest.strip_prefix(b"[") {
        read += 1;
        let end = inner.iter().position(|b| matches!(b, b' ' | b']'))?;
        let id = readable(inner.get(..end)?);
        let mut params: Vec<(Cow<'_, str>, Vec<Cow<'_, str>>)> = Vec::new();
        let mut at = inner.get(end..)?;
        while let Some(param) = at.strip_prefix(b" ") {
            read += 1;
            if read > STRUCTURED_DATA_MAX {
                return None;
            }
            let equals = param.iter().position(|b| *b == b'=').filter(|n| *n > 0)?;
            let name = readable(param.get(..equals)?);
            let (value, after) = quoted(param.get(equals + 1..)?)?;
            match params.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => values.push(value),
                None => params.push((name, vec![value])),
            }
            at = after;
        }
        rest = at.strip_prefix(b"]").filter(|_| read <= STRUCTURED_DATA_MAX)?;
        match elements.iter_mut().find(|(known, _)| *known == id) {
            Some((_, known)) => merge(known, params),
            None => elements.push((id, params)),
        }
    }
    (!elements.is_empty()).then_some((elements, rest))
}

fn merge<'a>(known: &mut Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>, more: Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>) {
    for (name, values) in more {
        match known.iter_mut().find(|(other, _)| *other == name) {
            Some((_, all)) => all.extend(values),
            None => known.push((name, values)),
        }
    }
}

/// A value in quotes; `\"`, `\\` and `\]` stand for the character itself, any other backslash for itself.
fn quoted(rest: &[u8]) -> Option<(Cow<'_, str>, &[u8])> {
    let rest = rest.strip_prefix(b"\"")?;
    let mut value = Vec::new();
    let mut at = 0;
    loop {
        match (rest.get(at)?, rest.get(at + 1)) {
            (b'"', _) => return Some((Cow::Owned(readable(&value).into_owned()), rest.get(at + 1..)?)),
            (b'\\', Some(next @ (b'"' | b'\\' | b']'))) => {
                value.push(*next);
                at += 2;
            }
            (other, _) => {
                value.push(*other);
                at += 1;
            }
        }
    }
}

/// `Mmm dd hh:mm:ss HOST TAG: MSG` or the same with an RFC 3339 time, as files and RFC 3164 have it.
fn file_form(rest: &[u8], reference: Moment) -> Option<Header<'_>> {
    let (time, zone_assumed, form, rest) = match yearless(rest, reference) {
        Some((time, rest)) => (time, true, "rfc3164", rest),
        None => {
            let (stamp, rest) = token(rest)?;
            (time::parse(stamp)?, false, "rfc3339", rest)
        }
    };
    let base = Header { form, time: Some(time), zone_assumed, ..Header::default() };
    let (host, after) = match token(rest) {
        // Local sockets leave the host out: the tag follows at once.
        Some((first, _)) if first.ends_with(b":") => (None, rest),
        Some((host, after)) => (Some(host), after),
        None => (None, rest),
    };
    Some(match tag(after) {
        Some((app, pid, text)) => Header { host, app: Some(app), pid, text, ..base },
        None => Header { host, text: after, ..base },
    })
}

/// No time and no host, but a tag with a process id.
fn tagged(rest: &[u8]) -> Option<Header<'_>> {
    let (app, pid, text) = tag(rest)?;
    pid.map(|pid| Header { form: "tag", app: Some(app), pid: Some(pid), text, ..Header::default() })
}

type Tag<'a> = (&'a [u8], Option<&'a [u8]>, &'a [u8]);

/// `app[pid]: ` or `app: `.
fn tag(rest: &[u8]) -> Option<Tag<'_>> {
    let fits = |b: &u8| b.is_ascii_alphanumeric() || b"-_./@+()".contains(b);
    let end = rest.iter().position(|b| !fits(b)).filter(|n| (1..=64).contains(n))?;
    let (app, mut after) = rest.split_at_checked(end)?;
    let mut pid = None;
    if let Some(inner) = after.strip_prefix(b"[") {
        let close = inner.iter().take(64).position(|b| *b == b']')?;
        pid = inner.get(..close);
        after = inner.get(close + 1..)?;
    }
    let text = after.strip_prefix(b":")?;
    Some((app, pid, text.strip_prefix(b" ").unwrap_or(text)))
}

/// `Mmm dd hh:mm:ss `: no year, so the nearest past; no zone, so UTC is assumed, and up to a day ahead is no past.
fn yearless(rest: &[u8], reference: Moment) -> Option<(Moment, &[u8])> {
    const MONTHS: [&[u8]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let month = rest.get(..3)?;
    let month = i64::try_from(MONTHS.iter().position(|m| *m == month)?).ok()? + 1;
    let field = |from: usize, to: usize| rest.get(from..to).and_then(number);
    let byte = |at: usize| rest.get(at).copied();
    let day = if byte(4) == Some(b' ') { field(5, 6)? } else { field(4, 6)? };
    let (hour, minute, second) = (field(7, 9)?, field(10, 12)?, field(13, 15)?);
    let marks = [(3, b' '), (6, b' '), (9, b':'), (12, b':'), (15, b' ')];
    if marks.iter().any(|(at, mark)| byte(*at) != Some(*mark)) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let now: i64 = reference.seconds;
    let this_year = 1970 + now.div_euclid(31_556_952);
    // Eight years at most lie between two leap days.
    for year in (this_year - 9..=this_year + 1).rev() {
        if day < 1 || day > days_in_month(year, month) {
            continue;
        }
        let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second.min(59);
        if seconds <= now.saturating_add(YEARLESS_AHEAD_SECONDS) {
            return Some((Moment { seconds, nanos: 0 }, rest.get(16..)?));
        }
    }
    None
}

fn data(elements: &[Element<'_>], ext: &mut Out) {
    if elements.is_empty() {
        return;
    }
    let mut sd = Out::default();
    for (id, params) in elements {
        sd.pairs(id, params);
    }
    ext.object("sd", sd);
}
