//! A small HTTP/1.1 client over a plain socket that never sends anything twice: what it calls answered was answered.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// An answer is waited for this long; `wait=checkpoint` alone may take ten seconds.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Http {
    addr: String,
    token: String,
    stream: Option<BufReader<TcpStream>>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Http {
    pub(crate) fn new(url: &str, token: &str) -> Http {
        Http { addr: url.trim_start_matches("http://").to_owned(), token: token.to_owned(), stream: None }
    }

    /// One exchange. After an error the connection is given up; whether the request was carried out is unknown.
    pub(crate) fn call(&mut self, method: &str, path: &str, media: &str, body: &[u8]) -> io::Result<Answer> {
        let outcome = self.exchange(method, path, media, body);
        if outcome.as_ref().map_or(true, |a| a.header("connection") == Some("close")) {
            self.stream = None;
        }
        outcome
    }

    fn exchange(&mut self, method: &str, path: &str, media: &str, body: &[u8]) -> io::Result<Answer> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(&self.addr)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(DEADLINE))?;
            stream.set_write_timeout(Some(DEADLINE))?;
            self.stream = Some(BufReader::new(stream));
        }
        let Some(stream) = &mut self.stream else { return Err(io::ErrorKind::NotConnected.into()) };
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n", body.len());
        if !media.is_empty() {
            head.push_str(&format!("content-type: {media}\r\n"));
        }
        if !self.token.is_empty() {
            head.push_str(&format!("authorization: Bearer {}\r\n", self.token));
        }
        head.push_str("\r\n");
        stream.get_mut().write_all(&[head.as_bytes(), body].concat())?;
        answer(stream)
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.call("GET", path, "", b"").unwrap_or_else(|e| panic!("GET {path}: {e}"))
    }

    pub(crate) fn post(&mut self, path: &str, body: &[u8]) -> Answer {
        self.call("POST", path, "application/json", body).unwrap_or_else(|e| panic!("POST {path}: {e}"))
    }
}

fn answer(stream: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    let status = lines.first().and_then(|l| l.split(' ').nth(1)?.parse().ok()).ok_or_else(|| bad("no status"))?;
    let split = |line: &String| line.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()));
    let headers: Vec<(String, String)> = lines.iter().skip(1).filter_map(split).collect();
    let mut answer = Answer { status, headers, body: Vec::new() };
    if answer.header("transfer-encoding") == Some("chunked") {
        while let Some(chunk) = chunk(stream)? {
            answer.body.extend(chunk);
        }
        return Ok(answer);
    }
    let length = answer.header("content-length").and_then(|v| v.parse().ok()).ok_or_else(|| bad("no length"))?;
    answer.body.resize(length, 0);
    stream.read_exact(&mut answer.body)?;
    Ok(answer)
}

/// The next chunk, `None` after the last one (RFC 9112 7.1). The server sends no trailers.
fn chunk(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let length = usize::from_str_radix(line.trim_end(), 16);
    let length = length.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "no length of a chunk"))?;
    let mut chunk = vec![0; length + 2];
    stream.read_exact(&mut chunk)?;
    assert!(chunk.ends_with(b"\r\n"), "a chunk ends with its line");
    chunk.truncate(length);
    Ok((length > 0).then_some(chunk))
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// The JSON of an answer that must be a success.
    pub(crate) fn ok_json(&self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.text());
        self.json()
    }
}
