//! The fold over `source_seq` of one ledger: which numbers are missing, which gaps are entries, which were filled.
//!
//! Fed with committed entries alone, the ledger's own gap entries included; gives commands, appends nothing.
//!
//! HOLE: a stream that was pushed out by `GAP_STREAMS_MAX` others, or a gap beyond `GAP_RANGES_MAX` open ranges of its
//! stream, is no longer followed: its gap may stay without an entry, or an entry without the one that closes it. Memory
//! must be bounded against a source that makes up epochs or fills every second number; `untracked` counts them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::{GAP_COMMANDS_MAX, GAP_LATER_NUMBERS, GAP_RANGES_MAX, GAP_STREAMS_MAX, GAP_WAIT_NS};
use crate::status::GapState;

/// Who counts: source and epoch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Counter {
    /// Source.
    pub source: String,
    /// Epoch.
    pub epoch: String,
}

/// What should become an entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `source.gap`.
    Gap {
        /// Who counts.
        counter: Counter,
        /// First missing number.
        first: u64,
        /// Last missing number.
        last: u64,
    },
    /// `source.gap_closed`: all numbers of a gap that is an entry have arrived.
    Closed {
        /// Who counts.
        counter: Counter,
        /// First number of the gap.
        first: u64,
        /// Last number of the gap.
        last: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Gap {
    first: u64,
    last: u64,
    since_ns: u64,
    recorded: bool,
    /// Ranges that are still missing, ascending.
    missing: Vec<(u64, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stream {
    counter: Counter,
    high: u64,
    seen_at: u64,
    gaps: Vec<Gap>,
}

/// State of the fold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gaps {
    /// Sorted by counter. A list, because keys of a JSON object are text alone.
    streams: Vec<Stream>,
    /// Gaps or streams that limits pushed out.
    pub untracked: u64,
    steps: u64,
}

impl Gaps {
    /// A committed entry with a number. The first number of an epoch begins the count.
    pub fn seen(&mut self, source: &str, epoch: &str, n: u64, received_ns: u64) {
        self.steps += 1;
        let steps = self.steps;
        let at = match self.find(source, epoch) {
            Ok(at) => at,
            Err(at) => {
                let counter = Counter { source: source.to_owned(), epoch: epoch.to_owned() };
                self.streams.insert(at, Stream { counter, high: n, seen_at: steps, gaps: Vec::new() });
                return self.push_out();
            }
        };
        let Some(stream) = self.streams.get_mut(at) else { return };
        stream.seen_at = steps;
        if n <= stream.high {
            self.untracked += stream.fill(n);
            return;
        }
        if n > stream.high + 1 {
            if stream.ranges() < GAP_RANGES_MAX {
                let (first, last) = (stream.high + 1, n - 1);
                let missing = vec![(first, last)];
                stream.gaps.push(Gap { first, last, since_ns: received_ns, recorded: false, missing });
            } else {
                self.untracked += 1;
            }
        }
        stream.high = n;
    }

    /// The ledger's own `source.gap` was committed.
    pub fn gap_recorded(&mut self, counter: &Counter, first: u64, last: u64) {
        let Some(stream) = self.stream(counter) else { return };
        let Some(at) = stream.gaps.iter().position(|g| !g.recorded && g.first <= first && last <= g.last) else {
            // All of it arrived while the entry was on its way: it still needs the entry that closes it.
            stream.gaps.push(Gap { first, last, since_ns: 0, recorded: true, missing: Vec::new() });
            return;
        };
        let gap = stream.gaps.remove(at);
        let parts =
            [(gap.first, first.checked_sub(1), false), (first, Some(last), true), (last + 1, Some(gap.last), false)];
        for (first, last, recorded) in parts {
            let Some(last) = last.filter(|last| first <= *last) else { continue };
            let missing = cut(&gap.missing, first, last);
            if recorded || !missing.is_empty() {
                stream.gaps.push(Gap { first, last, since_ns: gap.since_ns, recorded, missing });
            }
        }
    }

    /// The ledger's own `source.gap_closed` was committed.
    pub fn gap_closed(&mut self, counter: &Counter, first: u64, last: u64) {
        if let Some(stream) = self.stream(counter) {
            stream.gaps.retain(|g| !(g.recorded && g.first == first && g.last == last));
        }
    }

    /// What should become an entry now, `GAP_COMMANDS_MAX` at most. Gives the same again until that entry is committed
    /// and folded; its id is made of counter and range, so that a repeated append is a duplicate.
    pub fn due(&self, now_ns: u64) -> Vec<Command> {
        let mut commands = Vec::new();
        for stream in &self.streams {
            let counter = || stream.counter.clone();
            for gap in &stream.gaps {
                if commands.len() >= GAP_COMMANDS_MAX {
                    commands.truncate(GAP_COMMANDS_MAX);
                    return commands;
                }
                // events.md section 2: after 30 s or 10,000 later numbers, whichever is first.
                let late = now_ns.saturating_sub(gap.since_ns) >= GAP_WAIT_NS;
                let far = stream.high.saturating_sub(gap.last) >= GAP_LATER_NUMBERS;
                if gap.recorded && gap.missing.is_empty() {
                    commands.push(Command::Closed { counter: counter(), first: gap.first, last: gap.last });
                } else if !gap.recorded && (late || far) {
                    let missing = gap.missing.iter();
                    commands.extend(missing.map(|&(first, last)| Command::Gap { counter: counter(), first, last }));
                }
            }
        }
        commands.truncate(GAP_COMMANDS_MAX);
        commands
    }

    /// Ranges that are held in memory.
    pub fn ranges(&self) -> usize {
        self.streams.iter().map(Stream::ranges).sum()
    }

    /// Open gaps, for status.
    pub fn open(&self) -> impl Iterator<Item = GapState> + '_ {
        self.streams.iter().flat_map(|stream| {
            stream.gaps.iter().filter(|g| !g.missing.is_empty()).map(|gap| GapState {
                source: stream.counter.source.clone(),
                epoch: stream.counter.epoch.clone(),
                first: gap.first,
                last: gap.last,
                recorded: gap.recorded,
            })
        })
    }

    fn find(&self, source: &str, epoch: &str) -> Result<usize, usize> {
        self.streams.binary_search_by(|s| (s.counter.source.as_str(), s.counter.epoch.as_str()).cmp(&(source, epoch)))
    }

    fn stream(&mut self, counter: &Counter) -> Option<&mut Stream> {
        let at = self.find(&counter.source, &counter.epoch).ok()?;
        self.streams.get_mut(at)
    }

    fn push_out(&mut self) {
        if self.streams.len() <= GAP_STREAMS_MAX {
            return;
        }
        let oldest = self.streams.iter().enumerate().min_by_key(|(_, s)| s.seen_at).map(|(at, _)| at);
        if let Some(at) = oldest {
            let stream = self.streams.remove(at);
            self.untracked += u64::from(stream.gaps.iter().any(|g| !g.missing.is_empty()));
        }
    }
}

impl Stream {
    /// Each gap counts once, and each further range within it.
    fn ranges(&self) -> usize {
        self.gaps.iter().map(|gap| gap.missing.len().max(1)).sum()
    }

    /// A number that was missing arrived. Answers how many ranges were given up.
    fn fill(&mut self, n: u64) -> u64 {
        let mut given_up = 0;
        let room = self.ranges() < GAP_RANGES_MAX;
        for gap in self.gaps.iter_mut().filter(|g| g.first <= n && n <= g.last) {
            let Some(at) = gap.missing.iter().position(|&(first, last)| first <= n && n <= last) else { continue };
            let Some((first, last)) = gap.missing.get(at).copied() else { continue };
            let before = n.checked_sub(1).filter(|end| first <= *end).map(|end| (first, end));
            let after = n.checked_add(1).filter(|begin| *begin <= last).map(|begin| (begin, last));
            let rest = match (before, after) {
                (Some(before), Some(after)) if !room => {
                    if gap.recorded {
                        // Its entry may be closed only once all arrived: rather never than too early.
                        continue;
                    }
                    given_up += 1;
                    vec![if before.1 - before.0 < after.1 - after.0 { after } else { before }]
                }
                (before, after) => before.into_iter().chain(after).collect(),
            };
            gap.missing.splice(at..=at, rest);
        }
        self.gaps.retain(|g| g.recorded || !g.missing.is_empty());
        given_up
    }
}

/// The parts of ascending ranges that lie within `first..=last`.
fn cut(ranges: &[(u64, u64)], first: u64, last: u64) -> Vec<(u64, u64)> {
    ranges.iter().map(|&(a, b)| (a.max(first), b.min(last))).filter(|(a, b)| a <= b).collect()
}

/// Id of a gap entry: the same for the same counter and range, so that it is never written twice.
pub fn entry_id_of(kind: &str, counter: &Counter, first: u64, last: u64) -> String {
    let text = BTreeMap::from([("source", counter.source.as_str()), ("epoch", counter.epoch.as_str())]);
    let text = serde_json::to_string(&text).unwrap_or_default();
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let short: String = crate::rules::hex(hash.as_ref()).chars().take(32).collect();
    format!("{kind}:{short}:{first}-{last}")
}
