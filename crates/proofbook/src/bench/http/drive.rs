//! Drives many connections from one thread.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::connection::{Broken, Connection};
use super::{Load, Target};
use crate::bench::histogram::Histogram;

/// Events of the poll taken at once.
const POLLED: usize = 256;
/// A connection that was pushed back with 429 rests for this long.
const REST: Duration = Duration::from_millis(20);
/// Requests that may be late at one time in an open loop; beyond it the measurement has failed.
const LATE_MAX: usize = 1_000_000;

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) enum Pace {
    /// Each connection sends its next one once it has its answer.
    Closed,
    /// So many a second are due, at even distances.
    Open(u32),
}

/// What came of it. Requests that were due or sent in the warm-up are left out.
#[derive(Default)]
pub(in crate::bench) struct Outcome {
    /// Events that were acknowledged within the time.
    pub(in crate::bench) acknowledged: u64,
    /// Answers by status.
    pub(in crate::bench) answers: BTreeMap<u16, u64>,
    /// From sent (closed) or due (open) to answered, of those that were answered with 2xx.
    pub(in crate::bench) times: Histogram,
    /// Open loop: requests that had to wait because no connection was free, the warm-up's included.
    pub(in crate::bench) late: u64,
    /// Requests whose connection broke before their answer, the warm-up's included.
    pub(in crate::bench) broken: u64,
    /// Length of the measurement.
    pub(in crate::bench) time: Duration,
    /// Body of the first answer that was neither 2xx nor 429.
    pub(in crate::bench) complaint: Option<String>,
}

impl Outcome {
    pub(in crate::bench) fn per_second(&self) -> f64 {
        self.acknowledged as f64 / self.time.as_secs_f64()
    }
}

/// Runs for `warm_up` and then `time`; `begin` is called in between, when counting begins.
pub(in crate::bench) fn drive(
    target: &Target,
    connections: usize,
    pace: Pace,
    (warm_up, time): (Duration, Duration),
    load: &mut dyn Load,
    begin: &mut dyn FnMut(),
) -> Result<Outcome> {
    let epoll = epoll::create(CreateFlags::CLOEXEC).context("epoll")?;
    let mut all = Vec::with_capacity(connections);
    for n in 0..connections {
        all.push(open(&epoll, target.addr, n)?);
    }
    let start = Instant::now();
    let (counts, end) = (start + warm_up, start + warm_up + time);
    let idle = (0..connections).rev().collect();
    let driver = Driver {
        epoll,
        addr: target.addr,
        all,
        idle,
        load,
        outcome: Outcome::default(),
        counts,
        end,
        resting: VecDeque::new(),
        late: VecDeque::new(),
        closed: matches!(pace, Pace::Closed),
        next: start,
    };
    driver.run(pace, begin)
}

fn open(epoll: &OwnedFd, addr: SocketAddr, n: usize) -> Result<Connection> {
    let connection = Connection::open(addr)?;
    let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET | EventFlags::RDHUP;
    epoll::add(epoll, &connection.stream, EventData::new_u64(n as u64), flags).context("epoll")?;
    Ok(connection)
}

struct Driver<'a> {
    epoll: OwnedFd,
    addr: SocketAddr,
    all: Vec<Connection>,
    idle: Vec<usize>,
    load: &'a mut dyn Load,
    outcome: Outcome,
    /// From when on is counted.
    counts: Instant,
    end: Instant,
    /// Connections that were pushed back, and until when they rest.
    resting: VecDeque<(Instant, usize)>,
    /// Open loop: when those were due that wait for a connection.
    late: VecDeque<Instant>,
    closed: bool,
    /// Open loop: when the next one is due.
    next: Instant,
}

impl Driver<'_> {
    fn run(mut self, pace: Pace, begin: &mut dyn FnMut()) -> Result<Outcome> {
        let every = match pace {
            Pace::Closed => None,
            Pace::Open(per_second) => Some(Duration::from_secs(1) / per_second.max(1)),
        };
        let mut begun = false;
        let mut events = Vec::with_capacity(POLLED);
        loop {
            let now = Instant::now();
            if !begun && now >= self.counts {
                begun = true;
                begin();
            }
            if now >= self.end {
                break;
            }
            self.send(now, every)?;
            let edge = if begun { self.end } else { self.counts };
            let mut until = if every.is_some() { self.next.min(edge) } else { edge };
            until = self.resting.front().map_or(until, |(rested, _)| until.min(*rested));
            let wait = timespec(until.saturating_duration_since(Instant::now()));
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e).context("epoll"),
            }
            for event in events.drain(..) {
                self.serve(event.data.u64(), event.flags)?;
            }
        }
        self.outcome.time = self.end - self.counts;
        Ok(self.outcome)
    }

    /// Sends what is due and has a connection.
    fn send(&mut self, now: Instant, every: Option<Duration>) -> Result<()> {
        if let Some(every) = every {
            while self.next <= now {
                if self.late.len() >= self.idle.len() {
                    self.outcome.late += 1;
                }
                self.late.push_back(self.next);
                self.next += every;
            }
            ensure!(self.late.len() <= LATE_MAX, "the server is slower than what is offered: it never catches up");
        }
        while let Some((_, n)) = self.resting.pop_front_if(|(rested, _)| *rested <= now) {
            self.idle.push(n);
        }
        while let Some(n) = self.idle.last().copied() {
            let due = match every {
                None => now,
                Some(_) => match self.late.pop_front() {
                    Some(due) => due,
                    None => return Ok(()),
                },
            };
            self.idle.pop();
            let load = &mut *self.load;
            if let Some(connection) = self.all.get_mut(n) {
                if connection.is_closed() {
                    // It was idle for longer than the server keeps one.
                    *connection = open(&self.epoll, self.addr, n)?;
                }
                connection.send(due, |out| load.request(out));
            }
        }
        Ok(())
    }

    fn serve(&mut self, n: u64, flags: EventFlags) -> Result<()> {
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        let Some(connection) = self.all.get_mut(n) else { return Ok(()) };
        if connection.is_idle() {
            // The first report of a socket that can be written to, or the last one of any.
            connection.look();
            return Ok(());
        }
        if flags.contains(EventFlags::OUT) {
            connection.write();
        }
        if !flags.contains(EventFlags::IN) {
            return Ok(());
        }
        let (load, outcome, closed) = (&mut *self.load, &mut self.outcome, self.closed);
        let (counts, end) = (self.counts, self.end);
        let mut pushed_back = None;
        let whole = connection.receive(|due, sent, answer| {
            let now = Instant::now();
            // In an open loop what is due goes out, whatever was answered before.
            pushed_back = (answer.status == 429 && closed).then_some(now + REST);
            let acknowledged = load.acknowledged(sent, answer);
            if now < counts || now >= end {
                return;
            }
            outcome.acknowledged += acknowledged;
            *outcome.answers.entry(answer.status).or_default() += 1;
            if (200..300).contains(&answer.status) && due >= counts {
                outcome.times.record(now - due);
            }
            if !matches!(answer.status, 200..300 | 429) && outcome.complaint.is_none() {
                outcome.complaint = Some(String::from_utf8_lossy(answer.body).chars().take(300).collect());
            }
        });
        if let Err(Broken(error)) = whole {
            // The server may close a connection just as a request is on its way: its fate is unknown.
            self.outcome.broken += 1;
            self.outcome.complaint.get_or_insert(error);
            *connection = open(&self.epoll, self.addr, n)?;
        }
        if connection.is_idle() {
            match pushed_back {
                Some(rested) => self.resting.push_back((rested, n)),
                None => self.idle.push(n),
            }
        }
        Ok(())
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(time.subsec_nanos()) }
}
