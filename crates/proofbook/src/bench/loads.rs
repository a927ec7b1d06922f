//! The requests of the topics: batches, single events, bytes for a raw ledger, and nothing at all.

use super::child::Server;
use super::events::Events;
use super::http::{Answer, Load, Target, post};

/// Events of a batch.
pub(super) const BATCH: u64 = 1_000;

/// A number that no other run has.
pub(super) fn run_number() -> u64 {
    server::real::clock()()
}

/// Posts events, `each` a request; more than one go as NDJSON.
pub(super) struct Post {
    target: Target,
    path: String,
    events: Events,
    each: u64,
    next: u64,
    body: Vec<u8>,
}

impl Post {
    pub(super) fn new(server: &Server, path: &str, each: u64) -> Post {
        let media_type = if each > 1 { "application/x-ndjson" } else { "application/json" };
        Post {
            target: Target::new(server.addr, &server.token, media_type),
            path: path.to_owned(),
            events: Events::new(run_number()),
            each,
            next: 0,
            body: Vec::new(),
        }
    }

    pub(super) fn target(&self) -> Target {
        self.target.clone()
    }
}

impl Load for Post {
    fn request(&mut self, out: &mut Vec<u8>) -> u64 {
        self.body.clear();
        for number in self.next..self.next + self.each {
            self.events.push(number, &mut self.body);
            if self.each > 1 {
                self.body.push(b'\n');
            }
        }
        self.next += self.each;
        post(&self.target, &self.path, &self.body, out);
        self.each
    }

    fn acknowledged(&mut self, sent: u64, answer: &Answer<'_>) -> u64 {
        match answer.status {
            // The index of a raw ledger, in decimal.
            200 if answer.body.first().is_some_and(u8::is_ascii_digit) => sent,
            // An object an event, within one that holds them all; a refused one has more and is not counted as more.
            200 => (answer.body.iter().filter(|b| **b == b'{').count() as u64).saturating_sub(1).min(sent),
            _ => 0,
        }
    }
}

/// Asks a route whose handler does nothing.
pub(super) struct Nothing {
    request: Vec<u8>,
}

impl Nothing {
    pub(super) fn new(server: &Server) -> Nothing {
        Nothing { request: format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", server.addr).into_bytes() }
    }
}

impl Load for Nothing {
    fn request(&mut self, out: &mut Vec<u8>) -> u64 {
        out.extend_from_slice(&self.request);
        1
    }

    fn acknowledged(&mut self, sent: u64, answer: &Answer<'_>) -> u64 {
        if answer.status == 200 { sent } else { 0 }
    }
}
