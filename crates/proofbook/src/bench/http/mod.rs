//! A load generator over raw TCP and HTTP/1.1 with keep-alive: one thread, as cheap as it can be, because it shares its
//! cores with the server.
//!
//! Closed loop for throughput: a connection sends its next request once the last one is answered. Open loop for
//! latency: requests are due at fixed times whatever the server does, and each latency counts from the time it was due,
//! so that a server that stalls is charged for every request that it would have got meanwhile.

mod answer;
mod connection;
mod drive;

pub(super) use answer::Answer;
pub(super) use drive::{Outcome, Pace, drive};

use std::net::SocketAddr;

/// Makes requests and looks at their answers.
pub(super) trait Load {
    /// Appends a whole request to an empty buffer; says how many events it carries.
    fn request(&mut self, out: &mut Vec<u8>) -> u64;
    /// How many events of a request this answer acknowledges.
    fn acknowledged(&mut self, sent: u64, answer: &Answer<'_>) -> u64;
}

/// Writes a request's head and its body.
pub(super) fn post(target: &Target, path: &str, body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"POST ");
    out.extend_from_slice(path.as_bytes());
    out.extend_from_slice(&target.head);
    out.extend_from_slice(body.len().to_string().as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
}

/// Whom to send to.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) addr: SocketAddr,
    /// From behind the path to the value of `Content-Length`.
    head: Vec<u8>,
}

impl Target {
    pub(super) fn new(addr: SocketAddr, token: &str, media_type: &str) -> Target {
        let head = format!(
            " HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: {media_type}\r\nContent-Length: "
        );
        Target { addr, head: head.into_bytes() }
    }
}

#[cfg(test)]
mod tests;
