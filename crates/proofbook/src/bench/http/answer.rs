//! The answer to a request: status and body, found in the bytes that have come so far. HTTP/1.1 with a
//! `Content-Length` or chunked; anything else is an error.

use anyhow::{Context, Result, bail};

/// Longest head that is looked at.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// A whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) struct Answer<'a> {
    pub(in crate::bench) status: u16,
    pub(in crate::bench) body: &'a [u8],
}

/// The first answer in `bytes` and its length; `None` where it has not come whole. Chunked bodies are given as they
/// came, with the chunks' heads in them.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Answer<'_>, usize)>> {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        if bytes.len() > HEAD_BYTES_MAX {
            bail!("an answer's head is too long");
        }
        return Ok(None);
    };
    let (head, body) = bytes.split_at(end + 4);
    let text = std::str::from_utf8(head).context("an answer's head is no text")?;
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.context("no answer of HTTP/1.1")?;
    let field = |name: &str| {
        let lines = text.split("\r\n").filter_map(|line| line.split_once(':'));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    };
    let length = match field("content-length") {
        Some(length) => length.parse().context("an answer's length")?,
        None if field("transfer-encoding").is_some() => match find(body, b"0\r\n\r\n") {
            Some(end) => end + 5,
            None => return Ok(None),
        },
        None => bail!("an answer without a length"),
    };
    Ok(body.get(..length).map(|body| (Answer { status, body }, head.len() + length)))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
