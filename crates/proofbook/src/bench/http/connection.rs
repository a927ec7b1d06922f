//! One connection: what is still to be written, what has been read, and since when its request counts.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use anyhow::{Context, Result};

use super::answer::{Answer, parse};

/// Room for an answer at first; it doubles where that is not enough.
const READ_BYTES: usize = 2 << 10;

/// Why a request has no answer.
pub(super) struct Broken(pub(super) String);

pub(super) struct Connection {
    pub(super) stream: TcpStream,
    out: Vec<u8>,
    written: usize,
    /// Room for an answer, and how much of it has come.
    read: Vec<u8>,
    have: usize,
    /// Since when the request that is on its way counts, and how many events it carries.
    flying: Option<(Instant, u64)>,
    closed: bool,
}

impl Connection {
    pub(super) fn open(addr: SocketAddr) -> Result<Connection> {
        let stream = TcpStream::connect(addr).with_context(|| format!("cannot connect to {addr}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream,
            out: Vec::new(),
            written: 0,
            read: vec![0; READ_BYTES],
            have: 0,
            flying: None,
            closed: false,
        })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.flying.is_none()
    }

    /// The server ended it while it was idle.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Finds out whether an idle connection was ended.
    pub(super) fn look(&mut self) {
        let mut byte = [0];
        self.closed = match self.stream.peek(&mut byte) {
            Ok(n) => n == 0,
            Err(e) => e.kind() != ErrorKind::WouldBlock,
        };
    }

    /// Sends what `make` writes, as far as the socket takes it; the rest follows by `write`.
    pub(super) fn send(&mut self, due: Instant, make: impl FnOnce(&mut Vec<u8>) -> u64) {
        self.out.clear();
        self.written = 0;
        let events = make(&mut self.out);
        self.flying = Some((due, events));
        self.write();
    }

    /// Goes on writing. A connection that ended shows when its answer is read.
    pub(super) fn write(&mut self) {
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(n) => self.written += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
    }

    /// Takes what has come. Where the answer is whole, `judge` sees it.
    pub(super) fn receive(&mut self, judge: impl FnOnce(Instant, u64, &Answer<'_>)) -> Result<(), Broken> {
        let broken = |why: &str| Err(Broken(why.to_owned()));
        loop {
            if self.have == self.read.len() {
                self.read.resize(2 * self.have, 0);
            }
            match self.stream.read(self.read.get_mut(self.have..).unwrap_or_default()) {
                Ok(0) => return broken("the server closed a connection"),
                Ok(n) => {
                    self.have += n;
                    // The socket is empty: one call less a request.
                    if self.have < self.read.len() {
                        break;
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return broken(&e.to_string()),
            }
        }
        let parsed = parse(self.read.get(..self.have).unwrap_or_default());
        let Some((answer, length)) = parsed.map_err(|e| Broken(e.to_string()))? else { return Ok(()) };
        let Some((due, events)) = self.flying.take() else { return broken("an answer to no request") };
        judge(due, events, &answer);
        self.read.copy_within(length..self.have, 0);
        self.have -= length;
        Ok(())
    }
}
