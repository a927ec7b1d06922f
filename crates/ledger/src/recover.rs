//! Recovery: starts from the sealed sets, walks the unsealed segments, decides whether their end is a torn tail or
//! corruption, and hands a writer over.
//!
//! Appends: it never rewrites or cuts what was written. Running it twice, or crashing within it, gives the same root.
//! It takes sealed sets at their manifests' word; their bytes are verified in the background.

use std::path::Path;
use std::sync::Arc;

use tlog::{Frontier, Hash};

use crate::dedup::DedupIndex;
use crate::durable::DiskFile;
use crate::error::{Corrupt, OpenError};
use crate::frame::{SEGMENT_HEADER_BYTES, SegmentHeader, first_chain};
use crate::limits::DEDUP_BUILD_ENTRIES;
use crate::sealed::{self, SealedSets};
use crate::second::SecondTree;
use crate::segment::{self, Checks, SegmentFile, Step, Taken, Walk};
use crate::store::Store;
use crate::tail::Tail;
use crate::types::Kind;
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

/// Walks what `wal/` holds behind the sealed sets and gives the writer that goes on from there. Blocking.
///
/// # Errors
/// `Corrupt` (named by file, offset, entry), `Rollback` (smaller than or other than a known tree), `Io`. After an
/// error nothing but unfinished `*.tmp` files was changed.
pub fn recover(setup: &Setup, known: &[Known]) -> Result<(Writer, Recovered), OpenError> {
    recover_walk(setup, known).map(|(writer, recovered, _)| (writer, recovered))
}

/// As `recover`, with the walk that the publisher goes on from.
pub(crate) fn recover_walk(setup: &Setup, known: &[Known]) -> Result<(Writer, Recovered, Walk), OpenError> {
    // A name may be in the cache alone too: the process before this one can have died between a rename and the sync of
    // its folder, and what is acknowledged from here on rests on these names.
    for folder in [&setup.wal, &setup.sealed] {
        setup.disk.sync_dir(folder).map_err(OpenError::io("fsync", folder))?;
    }
    let sealed = SealedSets::open(&setup.disk, &setup.sealed, setup.kind, setup.about)?;
    let numbers = segment_numbers(setup, sealed.end())?;
    let (mut state, unsealed) = State::new(setup, sealed, &numbers)?;
    for number in unsealed {
        state.segment(setup, *number)?;
    }
    state.compare(known)?;
    let mut recovered = Recovered { size: state.walk.tree.size(), ..Recovered::default() };
    let frontier = state.frontier()?;
    // The segments hold what an unfinished set would have held: only now is it certain.
    let removed = state.sealed.remove_unfinished()?;
    if !removed.is_empty() {
        recovered.notes.push(format!("an unfinished sealed set is removed: {}", removed.join(", ")));
    }
    let (segment, offset, segment_start, begun_at) = match state.last.take() {
        Some(last) if last.stop.is_none() => (last.file, last.end, last.start, last.begun_at),
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
            (made, offset, header.size, None)
        }
    };
    let Walk { chain, received_at, .. } = state.walk.clone();
    let dedup = (setup.kind == Kind::Audit).then(|| Arc::new(open_index(setup, &state.sealed)));
    let store = Store::new(state.tail, state.sealed, dedup, Arc::clone(&setup.body_digest));
    let start = Start { frontier, chain, received_at, segment, offset, segment_start, begun_at, store };
    Ok((Writer::new(setup.clone(), start), recovered, state.walk))
}

/// The duplicate index. A short gap, as a crash between a set and its run leaves it, is closed at once; a long one, or
/// one that cannot be closed now, is the sealer's, and until then look-ups answer `Busy`.
fn open_index(setup: &Setup, sealed: &SealedSets) -> DedupIndex {
    let end = sealed.end();
    let index = DedupIndex::open(&setup.disk, &setup.views, &setup.ulid, &setup.views_mac, end);
    if index.missing(end) <= DEDUP_BUILD_ENTRIES {
        while matches!(index.fill(sealed), Ok(true)) {}
    }
    index
}

/// Numbers of the segments, ascending without a gap; unfinished ones are removed. The first one is 1 until something
/// is sealed.
fn segment_numbers(setup: &Setup, sealed: u64) -> Result<Vec<u64>, OpenError> {
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
    let first = match numbers.first() {
        Some(first) if sealed > 0 => *first,
        None if sealed > 0 => {
            return Err(Corrupt::at(&setup.wal, 0, Some(sealed), "entries are sealed, and no segment is there").into());
        }
        _ => 1,
    };
    for (expected, number) in (first..).zip(&numbers) {
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
    /// Its first entry, and when that was received.
    start: u64,
    begun_at: Option<u64>,
    /// What stopped the walk before the end of the file.
    stop: Option<Stop>,
}

/// First entry that is not there, and why.
type Stop = (u64, &'static str);

struct State {
    checks: Checks,
    sealed: SealedSets,
    walk: Walk,
    /// The tree of the walked leaves until it has the sealed size.
    joint: Frontier,
    tail: Tail,
    last: Option<Last>,
}

impl State {
    /// Where the walk begins, and the segments it has to take. Those before them hold sealed entries alone.
    fn new<'a>(setup: &Setup, sealed: SealedSets, numbers: &'a [u64]) -> Result<(State, &'a [u64]), OpenError> {
        let mut tail = Tail::new(sealed.end(), setup.kind);
        let mut unsealed = numbers;
        let mut first = None;
        while let [number, rest @ ..] = unsealed {
            let next = rest.first().filter(|_| sealed.end() > 0);
            let next = next.map(|next| open_segment(setup, *next)).transpose()?;
            if next.as_ref().is_none_or(|(_, header)| header.size > sealed.end()) {
                first = Some(open_segment(setup, *number)?);
                break;
            }
            let (file, _) = open_segment(setup, *number)?;
            let bytes = file.file.len().map_err(OpenError::io("stat", &file.path))?;
            let end = next.map_or(0, |(_, header)| header.size);
            tail.push_sealed_segment(Arc::new(file), end, bytes);
            unsealed = rest;
        }
        let (size, chain) = match &first {
            None => (0, first_chain(&setup.about)),
            Some((file, header)) => {
                if header.size > sealed.end() {
                    let (path, what) = if sealed.end() == 0 && header.number > 1 {
                        (setup.wal.join(segment::name(header.number - 1)), "the segment is missing, a later one exists")
                    } else {
                        let seal = setup.sealed.join(sealed::file_name(sealed.end(), "seal"));
                        (seal, "entries are neither sealed nor in a segment")
                    };
                    return Err(Corrupt::at(&path, 0, Some(sealed.end()), what).into());
                }
                if header.number == 1 && (header.size > 0 || header.chain != first_chain(&setup.about)) {
                    return Err(Corrupt::at(&file.path, 0, Some(0), "the first segment does not begin the log").into());
                }
                (header.size, header.chain)
            }
        };
        let (before, leaves) = sealed.tree_at(size)?;
        let mut joint = before.clone();
        joint.extend(&leaves);
        let tree = SecondTree::from_peaks(before.size(), before.hashes().to_vec());
        let mut tree = tree.ok_or(OpenError::Refused("a sealed set begins with a whole bundle"))?;
        leaves.into_iter().for_each(|leaf| tree.push(leaf));
        if let Some((_, header)) = first.filter(|(_, header)| header.root != tree.root()) {
            let what = "the sealed hashes do not give the root that the first segment begins with";
            return Err(Corrupt::at(&sealed.tiles_of(header.size), 0, Some(header.size), what).into());
        }
        let received_at = sealed.received_before(size)?;
        let checks = Checks { kind: setup.kind, body_digest: Arc::clone(&setup.body_digest) };
        let walk = Walk { tree, chain, received_at };
        Ok((State { checks, sealed, walk, joint, tail, last: None }, unsealed))
    }

    /// Takes every whole block of one segment.
    fn segment(&mut self, setup: &Setup, number: u64) -> Result<(), OpenError> {
        let path = setup.wal.join(segment::name(number));
        let io = |call: &'static str| OpenError::io(call, &path);
        let (file, header) = open_segment(setup, number)?;
        self.joins(&path, &header)?;
        let bytes = file.file.len().map_err(io("stat"))?;
        let file = Arc::new(file);
        self.tail.push_segment(Arc::clone(&file), header.size, SEGMENT_HEADER_BYTES as u64);
        let (end, begun_at, stop) = self.blocks(setup, &file.file, bytes).map_err(io("read"))?;
        self.last = Some(Last { file, end, bytes, start: header.size, begun_at, stop });
        Ok(())
    }

    /// A segment must begin at exactly the end of the one before: size, root, chain and offset.
    fn joins(&self, path: &Path, header: &SegmentHeader) -> Result<(), OpenError> {
        // What lies before the first one that is walked is sealed or gone.
        let end = self.last.as_ref().map_or(if header.number == 1 { 0 } else { header.previous_end }, |last| last.end);
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
        file: &Arc<dyn DiskFile>,
        bytes: u64,
    ) -> std::io::Result<(u64, Option<u64>, Option<Stop>)> {
        let mut taken = Taken::default();
        let mut begun_at = None;
        let mut offset = SEGMENT_HEADER_BYTES as u64;
        loop {
            match self.walk.step(&self.checks, &setup.config, file, offset, bytes, &mut taken)? {
                Step::Block { next } => {
                    let (rows, hashes) = (taken.rows.iter(), &taken.hashes);
                    self.tail.push_block(taken.first, taken.payload_at, next, rows, hashes);
                    let below = usize::try_from(self.sealed.end() - self.joint.size()).unwrap_or(usize::MAX);
                    hashes.iter().take(below).for_each(|hash| self.joint.push(*hash));
                    offset = next;
                    begun_at.get_or_insert(self.walk.received_at);
                }
                Step::End => return Ok((offset, begun_at, None)),
                Step::Fails { index, what } => return Ok((offset, begun_at, Some((index, what)))),
            }
        }
    }

    /// DESIGN 5, Rollback: a tree smaller than a published one, or another one, is never signed. The sealed sets are
    /// such a tree too.
    fn compare(&self, known: &[Known]) -> Result<(), OpenError> {
        let size = self.walk.tree.size();
        let sealed = Known { size: self.sealed.end(), root: self.sealed.frontier().root(), by: "sealed sets" };
        for known in known.iter().chain([&sealed]) {
            if size < known.size
                && let Some(Last { file, end, stop: Some((index, what)), .. }) = &self.last
            {
                return Err(Corrupt::at(&file.path, *end, Some(*index), *what).into());
            }
            if self.root_at(known.size)? != Some(known.root) {
                let what = if size < known.size { "smaller tree" } else { "other tree" };
                let (found_size, published_size) = (size, known.size);
                return Err(OpenError::Rollback { what, found_size, published_size, by: known.by });
            }
        }
        Ok(())
    }

    /// The root of an earlier size; `None` beyond the size reached.
    fn root_at(&self, size: u64) -> Result<Option<Hash>, OpenError> {
        let sealed = self.sealed.end();
        if size == sealed {
            // By the segments, where they reach so far.
            return Ok((self.joint.size() == sealed).then(|| self.joint.root()));
        }
        let (mut frontier, leaves) = match self.tail.hashes(sealed..size) {
            Some(leaves) if size > sealed => (self.sealed.frontier().clone(), leaves),
            _ if size < sealed => self.sealed.tree_at(size)?,
            _ => return Ok(None),
        };
        frontier.extend(&leaves);
        Ok(Some(frontier.root()))
    }

    /// The writer's frontier, by the first hash path; both paths must agree.
    fn frontier(&self) -> Result<Frontier, OpenError> {
        let mut frontier = self.sealed.frontier().clone();
        frontier.extend(&self.tail.hashes(self.sealed.end()..self.tail.size()).unwrap_or_default());
        if frontier.root() != self.walk.tree.root() {
            return Err(OpenError::Refused("the two hash paths disagree: this machine's memory cannot be trusted"));
        }
        Ok(frontier)
    }
}

/// Opens a segment of this ledger and reads its header.
fn open_segment(setup: &Setup, number: u64) -> Result<(SegmentFile, SegmentHeader), OpenError> {
    let path = setup.wal.join(segment::name(number));
    let io = |call: &'static str| OpenError::io(call, &path);
    let file = setup.disk.open_write(&path).map_err(io("open"))?;
    // A block may be in the cache alone: it counts only once it is on the device, and is read from there.
    file.sync_data().map_err(io("fdatasync"))?;
    file.drop_cache();
    let header = segment::read_header(&*file).map_err(io("read"))?;
    let header = header.map_err(|what| Corrupt::at(&path, 0, None, what))?;
    if header.number != number || header.about != setup.about {
        return Err(Corrupt::at(&path, 0, None, "the header is of another segment or ledger").into());
    }
    Ok((SegmentFile { number, path, file }, header))
}
