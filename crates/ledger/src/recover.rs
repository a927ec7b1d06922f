//! Recovery: walks the segments, decides whether their end is a torn tail or corruption, and hands a writer over.
//!
//! Appends: it never rewrites or cuts what was written. Running it twice, or crashing within it, gives the same root.
//! Covers write-ahead segments; sealed sets come before them once they are built.

use std::path::Path;
use std::sync::Arc;

use tlog::{Frontier, Hash};

use crate::durable::DiskFile;
use crate::error::{Corrupt, OpenError};
use crate::frame::{SEGMENT_HEADER_BYTES, SegmentHeader, first_chain};
use crate::second::SecondTree;
use crate::segment::{self, Checks, SegmentFile, Step, Taken, Walk};
use crate::tail::Tail;
use crate::writer::{Setup, Start, Writer};

/// A tree that was published before: nothing smaller and nothing else may follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its size.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// `pin` or `checkpoint log`.
    pub by: &'static str,
}

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Entries that are durable.
    pub size: u64,
    /// Sentences for the operator.
    pub notes: Vec<String>,
    /// Bytes of a torn tail that was left behind just now.
    pub torn_bytes: u64,
}

/// Walks everything that `wal/` holds and gives the writer that goes on from there. Blocking.
///
/// # Errors
/// `Corrupt` (named by file, offset, entry), `Rollback` (smaller than or other than a known tree), `Io`. After an
/// error nothing but unfinished `*.tmp` files was changed.
pub fn recover(setup: &Setup, known: &[Known]) -> Result<(Writer, Recovered), OpenError> {
    recover_walk(setup, known).map(|(writer, recovered, _)| (writer, recovered))
}

/// As `recover`, with the walk that the publisher goes on from.
pub(crate) fn recover_walk(setup: &Setup, known: &[Known]) -> Result<(Writer, Recovered, Walk), OpenError> {
    let numbers = segment_numbers(setup)?;
    let mut state = State::new(setup)?;
    for number in &numbers {
        state.segment(setup, *number)?;
    }
    state.compare(known)?;
    let mut recovered = Recovered { size: state.walk.tree.size(), ..Recovered::default() };
    let frontier = state.frontier()?;
    let (segment, offset) = match state.last.take() {
        Some(last) if last.stop.is_none() => (last.file, last.end),
        last => {
            // A torn tail stays where it is; the new segment's header explains it.
            if let Some(last) = &last {
                recovered.torn_bytes = last.bytes - last.end;
                let what = last.stop.map_or("", |(_, what)| what);
                let name = segment::name(last.file.number);
                recovered
                    .notes
                    .push(format!("{name}: a torn tail of {} bytes is left behind ({what})", recovered.torn_bytes));
            }
            let header = SegmentHeader {
                number: last.as_ref().map_or(1, |l| l.file.number + 1),
                previous_end: last.as_ref().map_or(0, |l| l.end),
                size: state.walk.tree.size(),
                root: state.walk.tree.root(),
                chain: state.walk.chain,
                about: setup.about,
                created_at: (setup.clock)(),
            };
            let made = Arc::new(segment::create(&*setup.disk, &setup.wal, &header)?);
            let offset = SEGMENT_HEADER_BYTES as u64;
            state.tail.push_segment(Arc::clone(&made), header.size, offset);
            (made, offset)
        }
    };
    let Walk { chain, received_at, .. } = state.walk.clone();
    let start = Start { frontier, chain, received_at, segment, offset, tail: state.tail };
    Ok((Writer::new(setup.clone(), start), recovered, state.walk))
}

/// Numbers of the segments, ascending without a gap; unfinished ones are removed.
fn segment_numbers(setup: &Setup) -> Result<Vec<u64>, OpenError> {
    let names = setup.disk.list(&setup.wal).map_err(OpenError::io("list", &setup.wal))?;
    let mut numbers = Vec::new();
    for name in names {
        let path = setup.wal.join(&name);
        if name.ends_with(".tmp") {
            setup.disk.remove(&path).map_err(OpenError::io("remove", &path))?;
            continue;
        }
        let Some(number) = segment::number_of(&name) else {
            return Err(Corrupt::at(&path, 0, None, "a file that does not belong among the segments").into());
        };
        numbers.push(number);
    }
    numbers.sort_unstable();
    for (expected, number) in (1..).zip(&numbers) {
        if expected != *number {
            let path = setup.wal.join(segment::name(expected));
            return Err(Corrupt::at(&path, 0, None, "the segment is missing, a later one exists").into());
        }
    }
    Ok(numbers)
}

/// How the walk over one segment ended.
struct Last {
    file: Arc<SegmentFile>,
    /// Behind the last whole block.
    end: u64,
    /// Bytes in the file.
    bytes: u64,
    /// What stopped the walk before the end of the file.
    stop: Option<(u64, &'static str)>,
}

struct State {
    checks: Checks,
    walk: Walk,
    tail: Tail,
    last: Option<Last>,
}

impl State {
    fn new(setup: &Setup) -> Result<State, OpenError> {
        let tree = SecondTree::from_peaks(0, Vec::new()).ok_or(OpenError::Refused("no empty tree"))?;
        Ok(State {
            checks: Checks { kind: setup.kind, body_digest: Arc::clone(&setup.body_digest) },
            walk: Walk { tree, chain: first_chain(&setup.about), received_at: 0 },
            tail: Tail::new(0, setup.kind),
            last: None,
        })
    }

    /// Takes every whole block of one segment.
    fn segment(&mut self, setup: &Setup, number: u64) -> Result<(), OpenError> {
        let path = setup.wal.join(segment::name(number));
        let io = |call: &'static str| OpenError::io(call, &path);
        let file = setup.disk.open_write(&path).map_err(io("open"))?;
        // A block may be in the cache alone: it counts only once it is on the device, and is read from there.
        file.sync_data().map_err(io("fdatasync"))?;
        file.drop_cache();
        let header = segment::read_header(&*file).map_err(io("read"))?;
        let header = header.map_err(|what| Corrupt::at(&path, 0, Some(self.walk.tree.size()), what))?;
        self.joins(setup, &path, number, &header)?;
        let bytes = file.len().map_err(io("stat"))?;
        let file = Arc::new(SegmentFile { number, path: path.clone(), file });
        self.tail.push_segment(Arc::clone(&file), header.size, SEGMENT_HEADER_BYTES as u64);
        let (end, stop) = self.blocks(setup, &*file.file, bytes).map_err(io("read"))?;
        self.last = Some(Last { file, end, bytes, stop });
        Ok(())
    }

    /// A segment must begin at exactly the end of the one before: size, root, chain and offset.
    fn joins(&self, setup: &Setup, path: &Path, number: u64, header: &SegmentHeader) -> Result<(), OpenError> {
        if header.number != number || header.about != setup.about {
            return Err(Corrupt::at(path, 0, None, "the header is of another segment or ledger").into());
        }
        let end = self.last.as_ref().map_or(0, |last| last.end);
        let size = self.walk.tree.size();
        let joined = header.size == size
            && header.root == self.walk.tree.root()
            && header.chain == self.walk.chain
            && header.previous_end == end;
        if joined {
            return Ok(());
        }
        // A later segment knows more than the walk reached: the damage is where the walk ended, not here.
        match &self.last {
            Some(last) if header.size > size || last.stop.is_some() => {
                let (index, what) = last.stop.unwrap_or((size, "entries are missing before the next segment"));
                Err(Corrupt::at(&last.file.path, last.end, Some(index), what).into())
            }
            _ => {
                Err(Corrupt::at(path, 0, Some(size), "the segment does not begin where the one before it ends").into())
            }
        }
    }

    fn blocks(
        &mut self,
        setup: &Setup,
        file: &dyn DiskFile,
        bytes: u64,
    ) -> std::io::Result<(u64, Option<(u64, &'static str)>)> {
        let mut taken = Taken::default();
        let mut offset = SEGMENT_HEADER_BYTES as u64;
        loop {
            match self.walk.step(&self.checks, &setup.config, file, offset, bytes, &mut taken)? {
                Step::Block { next } => {
                    let (rows, hashes) = (taken.rows.iter(), &taken.hashes);
                    self.tail.push_block(taken.first, taken.payload_at, next, rows, hashes);
                    offset = next;
                }
                Step::End => return Ok((offset, None)),
                Step::Fails { index, what } => return Ok((offset, Some((index, what)))),
            }
        }
    }

    /// DESIGN 5, Rollback: a tree smaller than a published one, or another one, is never signed.
    fn compare(&self, known: &[Known]) -> Result<(), OpenError> {
        let size = self.walk.tree.size();
        for known in known {
            if size < known.size
                && let Some(Last { file, end, stop: Some((index, what)), .. }) = &self.last
            {
                return Err(Corrupt::at(&file.path, *end, Some(*index), *what).into());
            }
            let root = self.tail.hashes(0..known.size).map(|hashes| {
                let mut frontier = Frontier::new();
                frontier.extend(&hashes);
                frontier.root()
            });
            if root != Some(known.root) {
                let what = if size < known.size { "smaller tree" } else { "other tree" };
                let (found_size, published_size) = (size, known.size);
                return Err(OpenError::Rollback { what, found_size, published_size, by: known.by });
            }
        }
        Ok(())
    }

    /// The writer's frontier, by the first hash path; both paths must agree.
    fn frontier(&self) -> Result<Frontier, OpenError> {
        let mut frontier = Frontier::new();
        frontier.extend(&self.tail.hashes(0..self.tail.size()).unwrap_or_default());
        if frontier.root() != self.walk.tree.root() {
            return Err(OpenError::Refused("the two hash paths disagree: this machine's memory cannot be trusted"));
        }
        Ok(frontier)
    }
}
