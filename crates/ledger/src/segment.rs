//! Write-ahead segments as files: their names, their birth under a durable header, and the walk from block to block.
//!
//! The walk goes by length and chain, never by searching for a magic, and checks every byte by the second hash path.
//! It decides nothing about what a failing block means: recovery and publisher do.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use tlog::Hash;

use crate::config::{Config, Stage};
use crate::durable::{Disk, DiskFile, Pages};
use crate::error::OpenError;
use crate::frame::{
    BLOCK_HEADER_BYTES, BlockHeader, COMMIT_BYTES, Commit, Digest, ROW_BYTES, Row, SEGMENT_HEADER_BYTES, SegmentHeader,
    chain_after, sha256,
};
use crate::second::{self, SecondTree};
use crate::types::{BodyDigest, Kind, Tags};

/// Bytes that a walk reads at least: a hundred small blocks. A large block's head costs that much more.
const AHEAD_BYTES: usize = 128 << 10;

/// An open segment.
pub(crate) struct SegmentFile {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
}

/// `<n>.wal`.
pub(crate) fn name(number: u64) -> String {
    format!("{number:016x}.wal")
}

/// The number of a segment's name; `None` for any other name.
pub(crate) fn number_of(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(".wal")?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    (name(number) == file_name && number > 0).then_some(number)
}

/// Makes a segment: under its own name it always has a durable header.
pub(crate) fn create(disk: &dyn Disk, dir: &Path, header: &SegmentHeader) -> Result<SegmentFile, OpenError> {
    let path = dir.join(name(header.number));
    let unfinished = dir.join(format!("{}.tmp", name(header.number)));
    if disk.exists(&unfinished).map_err(OpenError::io("stat", &unfinished))? {
        disk.remove(&unfinished).map_err(OpenError::io("remove", &unfinished))?;
    }
    let file = disk.create_new(&unfinished).map_err(OpenError::io("create", &unfinished))?;
    file.write_all_at(&[&header.encode()], 0).map_err(OpenError::io("write", &unfinished))?;
    file.sync_data().map_err(OpenError::io("fdatasync", &unfinished))?;
    // Crash: an unfinished name, removed at the next start.
    disk.rename(&unfinished, &path).map_err(OpenError::io("rename", &path))?;
    // Crash: the segment is there or it is not; empty, it names the very end of the one before.
    disk.sync_dir(dir).map_err(OpenError::io("fsync", dir))?;
    Ok(SegmentFile { number: header.number, path, file })
}

/// Reads a segment's header; the inner error says what is wrong with it.
pub(crate) fn read_header(file: &dyn DiskFile) -> io::Result<Result<SegmentHeader, &'static str>> {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    if file.len()? < SEGMENT_HEADER_BYTES as u64 {
        return Ok(Err("the segment is shorter than its header"));
    }
    file.read_exact_at(&mut bytes, 0)?;
    Ok(SegmentHeader::decode(&bytes))
}

/// What the checks of a walk need.
#[derive(Clone)]
pub(crate) struct Checks {
    pub(crate) kind: Kind,
    pub(crate) body_digest: BodyDigest,
}

/// How far a walk has come.
#[derive(Clone)]
pub(crate) struct Walk {
    pub(crate) tree: SecondTree,
    pub(crate) chain: Digest,
    pub(crate) received_at: u64,
}

/// The block that the last step took.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) first: u64,
    pub(crate) rows: Vec<Row>,
    pub(crate) hashes: Vec<Hash>,
    /// Where in the file the payload begins.
    pub(crate) payload_at: u64,
    /// Read from the device, past the cache.
    device: bool,
    span: Span,
    /// Table, payload and commit record as read: where in the span.
    block: Range<usize>,
}

/// Bytes of one file, read ahead so that small blocks do not cost a read each.
#[derive(Default)]
struct Span {
    /// Compared only: it keeps no file open.
    file: Option<Weak<dyn DiskFile>>,
    offset: u64,
    pages: Pages,
}

impl Span {
    /// Where in the pages the bytes `offset..offset + len` of a file are, which is `end` bytes long; `ahead` bytes are
    /// read at least, if there are so many.
    fn hold(
        &mut self,
        file: &Arc<dyn DiskFile>,
        device: bool,
        (offset, len, end): (u64, usize, u64),
    ) -> io::Result<Range<usize>> {
        let same = self.file.as_ref().is_some_and(|held| Weak::ptr_eq(held, &Arc::downgrade(file)));
        let at = offset.checked_sub(self.offset).and_then(|at| usize::try_from(at).ok()).filter(|_| same);
        if let Some(at) = at.filter(|at| at.saturating_add(len) <= self.pages.bytes().len()) {
            return Ok(at..at + len);
        }
        let ahead = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX).min(AHEAD_BYTES);
        let len_ahead = len.max(ahead);
        // Nothing is held unless the read succeeds.
        self.file = None;
        if device {
            file.read_device(&mut self.pages, offset, len_ahead)?;
        } else {
            file.read_exact_at(self.pages.room(len_ahead), offset)?;
        }
        (self.file, self.offset) = (Some(Arc::downgrade(file)), offset);
        Ok(0..len)
    }
}

impl Taken {
    /// For blocks that are read from the device.
    pub(crate) fn from_device() -> Taken {
        Taken { device: true, ..Taken::default() }
    }

    /// From the device, or through the system's cache, from the next read on.
    pub(crate) fn read_device(&mut self, device: bool) {
        self.device = device;
    }

    fn bytes(&self) -> &[u8] {
        self.span.pages.bytes().get(self.block.clone()).unwrap_or_default()
    }

    /// Index, leaf, body and tags of each entry, as read from the disk.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u64, &[u8], Option<&[u8]>, Tags)> {
        let mut rest = self.bytes().get(self.rows.len() * ROW_BYTES..).unwrap_or_default();
        let mut cut = move |bytes: u32| {
            // The step has checked that the rows add up to the payload.
            let (part, after) = rest.split_at_checked(bytes as usize).unwrap_or_default();
            rest = after;
            part
        };
        self.rows.iter().zip(self.first..).map(move |(row, index)| {
            let leaf = cut(row.leaf_bytes);
            (index, leaf, row.body_bytes.map(&mut cut), row.tags)
        })
    }
}

/// What a step found at an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A whole block; the next one begins here.
    Block { next: u64 },
    /// The file ends here.
    End,
    /// What lies here is no whole block.
    Fails { index: u64, what: &'static str },
}

impl Walk {
    /// Takes the block at `offset` of a file of `end` bytes, or says why there is none. Only a whole block moves the
    /// walk on.
    pub(crate) fn step(
        &mut self,
        checks: &Checks,
        config: &Config,
        file: &Arc<dyn DiskFile>,
        offset: u64,
        end: u64,
        taken: &mut Taken,
    ) -> io::Result<Step> {
        let first = self.tree.size();
        step(file, offset, end, first, taken, |head, header, taken| self.take(checks, config, head, header, taken))
    }

    /// The apply step of a walk: everything is compared before anything moves.
    fn take(
        &mut self,
        checks: &Checks,
        config: &Config,
        head: &[u8],
        header: &BlockHeader,
        taken: &mut Taken,
    ) -> Result<(), (u64, &'static str)> {
        let first = self.tree.size();
        let commit = Reached { size: first, chain: self.chain, received_at: self.received_at }
            .frame(config, head, header, taken)
            .map_err(|what| (first, what))?;
        let block = taken.span.pages.bytes().get(taken.block.clone()).unwrap_or_default();
        let payload = block.get(taken.rows.len() * ROW_BYTES..).unwrap_or_default();
        check_payload(checks, first, &taken.rows, payload, &mut taken.hashes)?;
        let mut tree = self.tree.clone();
        for hash in &taken.hashes {
            tree.push(*hash);
        }
        if commit.size != tree.size() || commit.root != tree.root() {
            return Err((first, "the block's leaves do not give the root of its commit record"));
        }
        *self = Walk { tree, chain: commit.chain, received_at: commit.received_at };
        Ok(())
    }
}

/// How far a walk has come that hashes no leaf and no body: it checks lengths, order and chain, which is enough where
/// the caller compares all that is made of the bytes with hashes that it has already.
#[derive(Clone)]
pub(crate) struct Skim {
    pub(crate) size: u64,
    pub(crate) root: Hash,
    pub(crate) chain: Digest,
    pub(crate) received_at: u64,
}

impl Skim {
    /// Where a walk is.
    pub(crate) fn of(walk: &Walk) -> Skim {
        let tree = &walk.tree;
        Skim { size: tree.size(), root: tree.root(), chain: walk.chain, received_at: walk.received_at }
    }

    /// As [`Walk::step`]; the hashes of `taken` stay empty.
    pub(crate) fn step(
        &mut self,
        config: &Config,
        file: &Arc<dyn DiskFile>,
        offset: u64,
        end: u64,
        taken: &mut Taken,
    ) -> io::Result<Step> {
        let first = self.size;
        step(file, offset, end, first, taken, |head, header, taken| {
            taken.hashes.clear();
            let reached = Reached { size: first, chain: self.chain, received_at: self.received_at };
            let commit = reached.frame(config, head, header, taken).map_err(|what| (first, what))?;
            let Commit { size, root, received_at, chain } = commit;
            *self = Skim { size, root, chain, received_at };
            Ok(())
        })
    }
}

/// Reads the block at `offset` and lets `take` judge it.
fn step(
    file: &Arc<dyn DiskFile>,
    offset: u64,
    end: u64,
    index: u64,
    taken: &mut Taken,
    take: impl FnOnce(&[u8], &BlockHeader, &mut Taken) -> Result<(), (u64, &'static str)>,
) -> io::Result<Step> {
    let room = end.saturating_sub(offset);
    if room == 0 {
        return Ok(Step::End);
    }
    let fails = |what| Ok(Step::Fails { index, what });
    let mut head = [0; BLOCK_HEADER_BYTES];
    if room < BLOCK_HEADER_BYTES as u64 {
        return fails("the file ends within a block's header");
    }
    let held = taken.span.hold(file, taken.device, (offset, BLOCK_HEADER_BYTES, end))?;
    head.copy_from_slice(taken.span.pages.bytes().get(held).unwrap_or(&[0; BLOCK_HEADER_BYTES]));
    let header = match BlockHeader::decode(&head) {
        Ok(header) => header,
        Err(what) => return fails(what),
    };
    if room - (BLOCK_HEADER_BYTES as u64) < header.rest_bytes() {
        return fails("the file ends within a block");
    }
    let Ok(rest) = usize::try_from(header.rest_bytes()) else { return fails("a block too large to read") };
    taken.block = taken.span.hold(file, taken.device, (offset + BLOCK_HEADER_BYTES as u64, rest, end))?;
    match take(&head, &header, taken) {
        Ok(()) => {
            let table = u64::from(header.count) * ROW_BYTES as u64;
            taken.payload_at = offset + BLOCK_HEADER_BYTES as u64 + table;
            Ok(Step::Block { next: offset + BLOCK_HEADER_BYTES as u64 + header.rest_bytes() })
        }
        Err((index, what)) => Ok(Step::Fails { index, what }),
    }
}

/// Where a block must begin.
struct Reached {
    size: u64,
    chain: Digest,
    received_at: u64,
}

impl Reached {
    /// Checks all of a block but what its payload hashes to, and decodes its rows.
    fn frame(
        &self,
        config: &Config,
        head: &[u8],
        header: &BlockHeader,
        taken: &mut Taken,
    ) -> Result<Commit, &'static str> {
        let (first, no) = (self.size, Err);
        // wal.md, Walking: first index is the size reached, received_at is not below the last one, the chain is.
        if header.first != first {
            return no("the block does not begin at the size reached");
        }
        if header.received_at < self.received_at {
            return no("the block is older than the one before");
        }
        if header.chain != self.chain {
            return no("the block does not follow the one before");
        }
        let block = taken.span.pages.bytes_mut().get_mut(taken.block.clone()).unwrap_or_default();
        let split = block.len().saturating_sub(COMMIT_BYTES);
        let (before, commit) = block.split_at_mut(split);
        let Some(Ok(commit)) = commit.first_chunk().map(Commit::decode) else {
            return no("the block has no commit record");
        };
        let Some((table, payload)) = before.split_at_mut_checked(header.count as usize * ROW_BYTES) else {
            return no("the block ends within its table");
        };
        config.fault(Stage::PayloadAfterRead, payload);
        taken.rows.clear();
        for row in table.as_chunks::<ROW_BYTES>().0 {
            taken.rows.push(Row::decode(row)?);
        }
        if taken.rows.iter().map(Row::bytes).sum::<u64>() != header.payload_bytes {
            return no("the rows do not add up to the payload");
        }
        taken.first = first;
        if commit.size != first + u64::from(header.count) || commit.received_at != header.received_at {
            return no("the commit record is not that of the block");
        }
        if commit.chain != chain_after(head, table, commit.size, &commit.root) {
            return no("the block's header or table fails the chain");
        }
        Ok(commit)
    }
}

/// Hashes every leaf and compares every body with the digest that its leaf names.
fn check_payload(
    checks: &Checks,
    first: u64,
    rows: &[Row],
    payload: &[u8],
    hashes: &mut Vec<Hash>,
) -> Result<(), (u64, &'static str)> {
    hashes.clear();
    let mut rest = payload;
    for (row, index) in rows.iter().zip(first..) {
        let no = |what| Err((index, what));
        let Some((leaf, after)) = rest.split_at_checked(row.leaf_bytes as usize) else {
            return no("the payload ends within a leaf");
        };
        hashes.push(second::leaf(leaf));
        rest = after;
        let Some(body_bytes) = row.body_bytes else {
            if checks.kind == Kind::Audit && (checks.body_digest)(leaf).is_some() {
                return no("the leaf names a body that is not there");
            }
            continue;
        };
        let Some((body, after)) = rest.split_at_checked(body_bytes as usize) else {
            return no("the payload ends within a body");
        };
        if checks.kind == Kind::Raw || (checks.body_digest)(leaf) != Some(sha256(&[body])) {
            return no("the body is not the one that its leaf names");
        }
        rest = after;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        assert_eq!(name(255), "00000000000000ff.wal");
        assert_eq!(number_of("00000000000000ff.wal"), Some(255));
        for bad in [
            "0000000000000000.wal",
            "00000000000000FF.wal",
            "ff.wal",
            "00000000000000ff.wal.tmp",
            "+0000000000000ff.wal",
        ] {
            assert_eq!(number_of(bad), None, "{bad}");
        }
    }
}
