//! The segments of a ledger, in order: header by header and block by block, each where the one before leads to.
//!
//! What a block is by itself is judged in `blocks`; here is what needs the tree, the chain and what others know.

use std::ops::Range;
use std::sync::Arc;

use tlog::Hash;

use super::VerifyError;
use super::blocks::{self, Facts, Met, Place, Terms};
use super::case::Case;
use super::identity::Identity;
use super::names::{LedgerNames, is_newer};
use super::report::FINDINGS_MAX;
use super::sealed::{Last, Sealed};
use super::tree::{self, Marks};
use crate::durable::DiskFile;
use crate::frame::{BLOCK_HEADER_BYTES, BlockHeader, Digest, SEGMENT_HEADER_BYTES, SegmentHeader, first_chain};
use crate::sealed::file_name;
use crate::second::SecondTree;
use crate::segment;
use crate::verdict::Code;

const HEADER_END: u64 = SEGMENT_HEADER_BYTES as u64;
const HEADER: Option<Range<u64>> = Some(0..HEADER_END);

/// A segment before its blocks are looked at.
pub(super) struct Segment {
    number: u64,
    header: Result<SegmentHeader, Unusable>,
    /// The header of its first block, where its own header cannot be used.
    hint: Option<BlockHeader>,
}

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unusable {
    Newer,
    Altered(&'static str),
}

impl Segment {
    fn file(&self) -> String {
        format!("wal/{}", segment::name(self.number))
    }

    /// The entry it begins at, as far as it tells.
    pub(super) fn start(&self) -> Option<u64> {
        match &self.header {
            _ if self.number == 1 => Some(0),
            Ok(header) => Some(header.size),
            Err(_) => self.hint.map(|block| block.first),
        }
    }

    /// Says why its header cannot be used.
    fn tell_header(&self, case: &mut Case<'_>) {
        match self.header {
            Ok(_) => {}
            Err(Unusable::Newer) => {
                let detail = "of a version that this release does not know";
                case.find(Code::FormatNewer, &self.file(), HEADER, None, detail);
            }
            Err(Unusable::Altered(detail)) => case.find(Code::WalAltered, &self.file(), HEADER, None, detail),
        }
    }

    /// What its header holds as the digest of `LEDGER`.
    pub(super) fn about(&self) -> Option<Digest> {
        self.header.as_ref().ok().map(|header| header.about)
    }

    /// Headers that are of another segment or ledger cannot be used either.
    pub(super) fn judge_owner(&mut self, about: Option<Digest>) {
        if let Ok(header) = &self.header {
            if header.number != self.number {
                self.header = Err(Unusable::Altered("the header is of another segment"));
            } else if about.is_some_and(|about| about != header.about) {
                self.header = Err(Unusable::Altered("the header is of another ledger"));
            }
        }
    }
}

/// Reads all headers.
pub(super) fn survey(case: &Case<'_>, names: &LedgerNames) -> Result<Vec<Segment>, VerifyError> {
    names.segments.iter().map(|number| survey_one(case, *number)).collect()
}

fn survey_one(case: &Case<'_>, number: u64) -> Result<Segment, VerifyError> {
    let name = format!("wal/{}", segment::name(number));
    let (file, len) = open(case, &name)?;
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    let header = if len < HEADER_END {
        Err(Unusable::Altered("the segment is shorter than its header"))
    } else {
        file.read_exact_at(&mut bytes, 0).map_err(case.io("read", &name))?;
        match SegmentHeader::decode(&bytes) {
            Ok(header) => Ok(header),
            Err(_) if is_newer_magic(&bytes) => Err(Unusable::Newer),
            Err(what) => Err(Unusable::Altered(what)),
        }
    };
    let mut hint = None;
    if len >= HEADER_END + BLOCK_HEADER_BYTES as u64 {
        let mut block = [0; BLOCK_HEADER_BYTES];
        file.read_exact_at(&mut block, HEADER_END).map_err(case.io("read", &name))?;
        hint = BlockHeader::decode(&block).ok();
    }
    Ok(Segment { number, header, hint })
}

fn is_newer_magic(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> bool {
    let digits = bytes.strip_prefix(b"PBWAL").and_then(|rest| rest.first_chunk::<3>());
    digits.is_some_and(|digits| {
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        is_newer(digits.get(zeros..).unwrap_or_default(), "")
    })
}

fn open(case: &Case<'_>, name: &str) -> Result<(Arc<dyn DiskFile>, u64), VerifyError> {
    let file = case.disk.open(&case.dir.join(name)).map_err(case.io("open", name))?;
    let len = file.len().map_err(case.io("measure", name))?;
    Ok((file, len))
}

/// What others know of the ledger's size.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Others {
    /// The largest good checkpoint.
    pub(super) checkpoint: u64,
    pub(super) pin: u64,
}

/// How far the segments lead.
pub(super) struct Reached {
    pub(super) size: u64,
    pub(super) root: Option<Hash>,
}

/// Judges all segments.
pub(super) fn judge(
    case: &mut Case<'_>,
    segments: &[Segment],
    identity: &Identity,
    sealed: Sealed,
    others: Others,
    marks: &mut Marks,
) -> Result<Reached, VerifyError> {
    let sealed_end = sealed.end.unwrap_or(0);
    let named = others.checkpoint.max(others.pin).max(sealed_end);
    let Some(first) = segments.first() else {
        let gap = (named > sealed_end).then_some(sealed_end..named);
        case.find_missing("wal".to_owned(), gap, "there is no segment");
        return Ok(Reached { size: sealed_end, root: sealed.tree.map(|tree| tree.root()) });
    };
    let mut walk = Walk::begin(case, first, identity, sealed, marks);
    let mut before: Option<&Segment> = None;
    for (at, segment) in segments.iter().enumerate() {
        match before {
            Some(before) if before.number + 1 < segment.number => walk.skip(case, before, segment),
            Some(_) => walk.join(case, segment),
            None => {}
        }
        let later = segments.iter().skip(at + 1).find_map(|later| later.header.as_ref().ok().map(|h| h.size));
        walk.known = later.unwrap_or(named);
        walk.blocks(case, segment, identity)?;
        before = Some(segment);
    }
    walk.end(case, others);
    Ok(walk.reached())
}

/// A fault of the block at which a walk ended; told only where something else shows that it is no torn tail.
struct Fault {
    code: Code,
    bytes: Range<u64>,
    /// To the size known where the block does not tell.
    entries: (u64, Option<u64>),
    detail: &'static str,
}

/// The walk through all segments.
struct Walk<'m> {
    marks: &'m mut Marks,
    /// The tree of the entries reached, or a larger one where the entries reached are sealed; `None`: not known.
    tree: Option<SecondTree>,
    /// Entries reached.
    size: u64,
    /// `None` where nothing tells it: the first block does.
    chain: Option<Digest>,
    received_at: u64,
    /// The segment that was walked last: its name, its bytes, and where the walk in it ended.
    file: String,
    len: u64,
    end: u64,
    /// What is wrong with the block there; empty where the file ends there.
    stop: Vec<Fault>,
    /// The size known from behind this segment.
    known: u64,
    /// From here on only headers are judged.
    broken: bool,
    sealed_end: u64,
    sealed_root: Option<Hash>,
    last_set: Option<Last>,
}

impl<'m> Walk<'m> {
    /// Judges the header of the first segment, and where it begins.
    fn begin(
        case: &mut Case<'_>,
        first: &Segment,
        identity: &Identity,
        sealed: Sealed,
        marks: &'m mut Marks,
    ) -> Walk<'m> {
        let sealed_end = sealed.end.unwrap_or(0);
        let sealed_root = sealed.tree.as_ref().map(SecondTree::root);
        let size = first.start().unwrap_or(sealed_end);
        let mut tree = sealed.start_tree.or(sealed.tree);
        first.tell_header(case);
        if sealed.end.is_some() && size > sealed_end {
            let number = first.number - 1;
            let file = match sealed.last {
                None => format!("wal/{}", segment::name(number)),
                Some(_) => format!("sealed/{}", file_name(sealed_end, "seal")),
            };
            case.find_missing(file, Some(sealed_end..size), "entries are in no set and before the first segment");
            tree = None;
        }
        let of_first = identity.about.filter(|_| first.number == 1).map(|about| first_chain(&about));
        let mut chain = of_first.or(first.hint.map(|block| block.chain));
        if let Ok(header) = &first.header {
            let other_root = tree.as_ref().is_some_and(|tree| tree.size() == header.size && tree.root() != header.root);
            let no_first = first.number == 1 && (header.size != 0 || header.previous_end != 0);
            if other_root || no_first || of_first.is_some_and(|chain| chain != header.chain) {
                let detail = "the segment does not begin with the tree and chain value that are there";
                case.find(Code::WalAltered, &first.file(), HEADER, None, detail);
            }
            chain = of_first.or(Some(header.chain));
        }
        Walk {
            marks,
            tree,
            size,
            chain,
            received_at: 0,
            file: first.file(),
            len: 0,
            end: HEADER_END,
            stop: Vec::new(),
            known: 0,
            broken: first.header == Err(Unusable::Newer),
            sealed_end,
            sealed_root,
            last_set: sealed.last,
        }
    }

    /// Numbers were left out before this segment.
    fn skip(&mut self, case: &mut Case<'_>, before: &Segment, segment: &Segment) {
        let next = segment.header.as_ref().ok().map(|header| header.size);
        let gap = next.filter(|next| !self.broken && *next >= self.size).map(|next| self.size..next);
        for number in (before.number + 1..segment.number).take(FINDINGS_MAX) {
            let file = format!("wal/{}", segment::name(number));
            case.find_missing(file, gap.clone(), "the segment is left out, a later one exists");
        }
        self.broken = true;
        segment.tell_header(case);
    }

    /// The next segment must begin where the walk ended.
    fn join(&mut self, case: &mut Case<'_>, segment: &Segment) {
        segment.tell_header(case);
        if self.broken {
            return;
        }
        let follows = match (&segment.header, &segment.hint) {
            (Ok(header), _) => {
                let root = self.tree.as_ref().filter(|tree| tree.size() == self.size).map(SecondTree::root);
                let follows = header.previous_end == self.end
                    && header.size == self.size
                    && root.is_none_or(|root| root == header.root)
                    && self.chain.is_none_or(|chain| chain == header.chain);
                if !follows && header.size <= self.size {
                    let detail = "the segment does not begin where the one before it ends";
                    case.find(Code::WalAltered, &segment.file(), HEADER, None, detail);
                    self.broken = true;
                    return;
                }
                follows
            }
            (Err(Unusable::Newer), _) => {
                self.broken = true;
                return;
            }
            // Its own blocks tell whether they follow.
            (Err(Unusable::Altered(_)), _) if self.stop.is_empty() => true,
            (Err(Unusable::Altered(_)), Some(block)) => {
                block.first == self.size && self.chain.is_none_or(|chain| chain == block.chain)
            }
            (Err(Unusable::Altered(_)), None) => self.known <= self.size,
        };
        if !follows {
            self.break_off(case);
        }
    }

    /// The walk ended early: says what is wrong there.
    fn break_off(&mut self, case: &mut Case<'_>) {
        self.broken = true;
        let known = self.known.max(self.size);
        let file = self.file.clone();
        if self.stop.is_empty() {
            let from = if self.sealed_end < known { self.sealed_end.max(self.size) } else { self.size };
            let detail = "the segment ends before entries that others know";
            case.find(Code::EntryMissing, &file, None, Some(from..known), detail);
        }
        for fault in std::mem::take(&mut self.stop) {
            let entries = fault.entries.0..fault.entries.1.unwrap_or(known);
            case.find(fault.code, &file, Some(fault.bytes), Some(entries), fault.detail);
        }
    }

    /// Behind the last segment.
    fn end(&mut self, case: &mut Case<'_>, others: Others) {
        if self.broken {
            return;
        }
        if self.stop.is_empty() {
            if others.checkpoint > self.size.max(self.sealed_end) {
                self.break_off(case);
            }
        } else if self.known > self.size {
            self.break_off(case);
        } else {
            let bytes = Some(self.end..self.len);
            case.find(Code::TornTail, &self.file, bytes, None, "an unfinished write behind the last whole block");
        }
    }

    fn reached(&self) -> Reached {
        if self.size < self.sealed_end {
            return Reached { size: self.sealed_end, root: self.sealed_root };
        }
        let tree = self.tree.as_ref().filter(|tree| tree.size() == self.size);
        Reached { size: self.size, root: tree.map(SecondTree::root) }
    }

    /// Walks the blocks of a segment from where the one before ended.
    fn blocks(&mut self, case: &mut Case<'_>, segment: &Segment, identity: &Identity) -> Result<(), VerifyError> {
        if self.broken {
            return Ok(());
        }
        let name = segment.file();
        let (file, len) = open(case, &name)?;
        (self.len, self.end) = (len, HEADER_END.min(len));
        self.file.clone_from(&name);
        self.stop.clear();
        let options = case.options;
        let terms = Terms { kind: identity.kind, body_digest: &options.body_digest, threads: options.threads };
        let steps = case.steps;
        let mut passed_other = false;
        let walked = blocks::each(&terms, &*file, self.end, len, &mut |met| match met {
            Met::End { at } => {
                self.end = at;
                false
            }
            Met::Nothing { at, what } => {
                self.end = at;
                self.stop_at(Code::WalAltered, at..len, (self.size, None), what);
                false
            }
            Met::Block(place, facts) => {
                steps.advance(place.end - place.at);
                self.end = place.at;
                self.block(&place, &facts, &mut passed_other)
            }
        });
        walked.map_err(case.io("read", &name))?;
        if let Some(last) = self.last_set.take_if(|_| passed_other) {
            let detail = "the segments lead to another tree where the set ends";
            case.find(Code::ManifestAltered, &last.file, Some(0..last.bytes), Some(last.first..last.end), detail);
        }
        Ok(())
    }

    fn stop_at(&mut self, code: Code, bytes: Range<u64>, entries: (u64, Option<u64>), detail: &'static str) {
        self.stop.push(Fault { code, bytes, entries, detail });
    }

    /// Takes a block if it is the next one; else says what is wrong with it, in the order of the page.
    fn block(&mut self, place: &Place, facts: &Facts, passed_other: &mut bool) -> bool {
        let (first, header) = (self.size, &place.header);
        let after = first.saturating_add(u64::from(header.count));
        let entries = (first, Some(after));
        // 1. What the block says of itself and of the one before.
        let fault = if header.first != first {
            Some("the block does not begin at the size reached")
        } else if header.received_at < self.received_at {
            Some("the block is older than the one before")
        } else if self.chain.is_some_and(|chain| chain != header.chain) {
            Some("the block does not follow the one before")
        } else {
            facts.fault
        };
        let (None, Some(commit)) = (fault, &facts.commit) else {
            let detail = fault.unwrap_or("the block has no commit record");
            self.stop_at(Code::WalAltered, place.at..place.end, entries, detail);
            return false;
        };
        // 2. The root of the leaves, where the tree is known.
        let mut tree = self.tree.clone();
        let mut told = Vec::new();
        if let Some(tree) = &mut tree {
            // Where the walk passes the sealed end, it must find the tree of the sets there.
            let below = usize::try_from(self.sealed_end.saturating_sub(first)).unwrap_or(usize::MAX);
            let (sealed, others) = facts.hashes.split_at(below.min(facts.hashes.len()));
            let starts_below = tree.size() < self.sealed_end;
            told = tree::push(tree, first, sealed, self.marks.ahead());
            if starts_below && tree.size() == self.sealed_end {
                *passed_other |= self.sealed_root.is_some_and(|root| root != tree.root());
            }
            told.extend(tree::push(tree, first + sealed.len() as u64, others, self.marks.ahead()));
            if tree.size() == commit.size && tree.root() != commit.root {
                let detail = "the leaves do not have the root of the commit record";
                self.stop_at(Code::EntryAltered, facts.payload.clone(), entries, detail);
                return false;
            }
        }
        // 3. The bodies.
        for bad in &facts.bad_bodies {
            let entry = first + bad.entry as u64;
            let (code, detail) = match bad.missing {
                true => (Code::BodyMissing, "the leaf names a body that the table does not"),
                false => (Code::BodyAltered, "not the body that the leaf names"),
            };
            self.stop_at(code, bad.bytes.clone(), (entry, Some(entry + 1)), detail);
        }
        if !self.stop.is_empty() {
            return false;
        }
        self.tree = tree;
        self.marks.tell_all(told);
        self.size = after;
        self.chain = Some(commit.chain);
        self.received_at = commit.received_at;
        self.end = place.end;
        true
    }
}
