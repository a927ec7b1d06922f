//! The fold over `source_seq` of one ledger: which numbers are missing, which gaps are entries, which were filled.
//!
//! Fed with committed entries alone, the ledger's own gap entries included; gives commands, appends nothing.
//!
//! HOLE: a stream that was pushed out by `GAP_STREAMS_MAX` others, or a gap beyond `GAP_RANGES_MAX` open ones of its
//! stream, is no longer followed: its gap may stay without an entry. Memory must be bounded against a source that makes
//! up epochs; `untracked` counts them and status shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::{GAP_LATER_NUMBERS, GAP_RANGES_MAX, GAP_STREAMS_MAX, GAP_WAIT_NS};
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
            return stream.fill(n);
        }
        if n > stream.high + 1 {
            if stream.gaps.len() < GAP_RANGES_MAX {
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

    /// What should become an entry now. Gives the same again until that entry is committed and folded; its id is made
    /// of counter and range, so that a repeated append is a duplicate.
    pub fn due(&self, now_ns: u64) -> Vec<Command> {
        let mut commands = Vec::new();
        for stream in &self.streams {
            let counter = || stream.counter.clone();
            for gap in &stream.gaps {
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
        commands
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
    fn fill(&mut self, n: u64) {
        for gap in self.gaps.iter_mut().filter(|g| g.first <= n && n <= g.last) {
            let before = n.checked_sub(1).map(|end| cut(&gap.missing, gap.first, end)).unwrap_or_default();
            gap.missing = before.into_iter().chain(cut(&gap.missing, n + 1, gap.last)).collect();
        }
        self.gaps.retain(|g| g.recorded || !g.missing.is_empty());
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
