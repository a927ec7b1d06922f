//! One block of a segment: read, hashed and compared with itself, on a thread of its own where there are several.
//!
//! What needs the tree and the blocks before is judged by `segments`.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::{Mutex, PoisonError, mpsc};

use tlog::Hash;

use crate::durable::DiskFile;
use crate::frame::{BLOCK_HEADER_BYTES, BlockHeader, COMMIT_BYTES, Commit, ROW_BYTES, Row, chain_after};
use crate::second;
use crate::types::{BodyDigest, Kind};

/// Bytes of blocks that are read ahead; one block is read whatever it has.
const AHEAD_BYTES_MAX: u64 = 32 << 20;

/// Where a block lies in its file, by its header alone.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// First byte of the header.
    pub(super) at: u64,
    pub(super) head: [u8; BLOCK_HEADER_BYTES],
    pub(super) header: BlockHeader,
    /// Behind the commit record.
    pub(super) end: u64,
}

/// What stands at an offset.
#[derive(Clone, Debug)]
pub(super) enum Found {
    End,
    Block(Place),
    /// No header, or lengths beyond the file.
    Nothing(&'static str),
}

/// Looks at the block header at `at` of a file of `len` bytes.
pub(super) fn look(file: &dyn DiskFile, at: u64, len: u64) -> io::Result<Found> {
    let room = len.saturating_sub(at);
    if room == 0 {
        return Ok(Found::End);
    }
    if room < BLOCK_HEADER_BYTES as u64 {
        return Ok(Found::Nothing("the file ends within a block's header"));
    }
    let mut head = [0; BLOCK_HEADER_BYTES];
    file.read_exact_at(&mut head, at)?;
    let header = match BlockHeader::decode(&head) {
        Ok(header) => header,
        Err(what) => return Ok(Found::Nothing(what)),
    };
    if room - (BLOCK_HEADER_BYTES as u64) < header.rest_bytes() {
        return Ok(Found::Nothing("the file ends within a block"));
    }
    let end = at + BLOCK_HEADER_BYTES as u64 + header.rest_bytes();
    Ok(Found::Block(Place { at, head, header, end }))
}

/// A body that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadBody {
    /// Number of the entry in its block.
    pub(super) entry: usize,
    /// Bytes of the body; of the leaf where there is no body.
    pub(super) bytes: Range<u64>,
    pub(super) missing: bool,
}

/// What a block is by itself.
pub(super) struct Facts {
    /// Why table or commit record cannot be what was written.
    pub(super) fault: Option<&'static str>,
    pub(super) commit: Option<Commit>,
    /// Where the payload lies.
    pub(super) payload: Range<u64>,
    pub(super) hashes: Vec<Hash>,
    pub(super) bad_bodies: Vec<BadBody>,
}

/// By what a block is judged.
pub(super) struct Terms<'a> {
    pub(super) kind: Option<Kind>,
    pub(super) body_digest: &'a BodyDigest,
    pub(super) threads: usize,
}

/// Reads a block whole and judges it by itself.
fn judge(terms: &Terms<'_>, file: &dyn DiskFile, place: &Place, bytes: &mut Vec<u8>) -> io::Result<Facts> {
    let rest = usize::try_from(place.header.rest_bytes()).unwrap_or(0);
    bytes.resize(rest, 0);
    file.read_exact_at(bytes, place.at + BLOCK_HEADER_BYTES as u64)?;
    let table_bytes = place.header.count as usize * ROW_BYTES;
    let from = place.at + BLOCK_HEADER_BYTES as u64 + table_bytes as u64;
    let mut facts = Facts {
        fault: None,
        commit: None,
        payload: from..from + place.header.payload_bytes,
        hashes: Vec::new(),
        bad_bodies: Vec::new(),
    };
    let (before, commit) = bytes.split_at(rest.saturating_sub(COMMIT_BYTES));
    let (Some(commit), Some((table, payload))) = (commit.first_chunk(), before.split_at_checked(table_bytes)) else {
        facts.fault = Some("the block ends within its table");
        return Ok(facts);
    };
    facts.fault = facts.read(terms, place, table, payload, Commit::decode(commit)).err();
    if bytes.capacity() as u64 > AHEAD_BYTES_MAX {
        *bytes = Vec::new();
    }
    Ok(facts)
}

impl Facts {
    fn read(
        &mut self,
        terms: &Terms<'_>,
        place: &Place,
        table: &[u8],
        payload: &[u8],
        commit: Result<Commit, &'static str>,
    ) -> Result<(), &'static str> {
        let commit = commit?;
        self.commit = Some(commit);
        if commit.size != place.header.first + u64::from(place.header.count) {
            return Err("the commit record is of another size");
        }
        if commit.received_at != place.header.received_at {
            return Err("the commit record is of another time");
        }
        if chain_after(&place.head, table, commit.size, &commit.root) != commit.chain {
            return Err("header, table and commit record do not give the chain value");
        }
        let rows = table.as_chunks::<ROW_BYTES>().0.iter().map(Row::decode).collect::<Result<Vec<_>, _>>()?;
        if rows.iter().map(Row::bytes).sum::<u64>() != place.header.payload_bytes {
            return Err("the rows do not add up to the payload");
        }
        if terms.kind == Some(Kind::Raw) && rows.iter().any(|row| row.body_bytes.is_some()) {
            return Err("a raw ledger has no bodies");
        }
        self.payload(terms, &rows, payload);
        Ok(())
    }

    fn payload(&mut self, terms: &Terms<'_>, rows: &[Row], payload: &[u8]) {
        self.hashes.reserve_exact(rows.len());
        let (mut rest, mut at) = (payload, self.payload.start);
        let mut take = |length: u32| {
            let (part, after) = rest.split_at_checked(length as usize).unwrap_or_default();
            rest = after;
            at += u64::from(length);
            (part, at - u64::from(length)..at)
        };
        for (entry, row) in rows.iter().enumerate() {
            let (leaf, bytes) = take(row.leaf_bytes);
            self.hashes.push(second::leaf(leaf));
            let named = || if terms.kind == Some(Kind::Raw) { None } else { (terms.body_digest)(leaf) };
            match row.body_bytes {
                Some(length) => {
                    let (body, bytes) = take(length);
                    if named() != Some(second::digest(body)) {
                        self.bad_bodies.push(BadBody { entry, bytes, missing: false });
                    }
                }
                // What a leaf names counts where the ledger is known to have bodies.
                None if terms.kind == Some(Kind::Audit) && named().is_some() => {
                    self.bad_bodies.push(BadBody { entry, bytes, missing: true });
                }
                None => {}
            }
        }
    }
}

/// What the walk over a segment met.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub(super) enum Met {
    Block(Place, Facts),
    Nothing { at: u64, what: &'static str },
    End { at: u64 },
}

/// Hands over block after block of a file from `at` on, judged by itself, until `take` says false or none is left.
///
/// Blocks are read ahead by their headers alone: what one says of the next is judged when its turn comes.
pub(super) fn each(
    terms: &Terms<'_>,
    file: &dyn DiskFile,
    at: u64,
    len: u64,
    take: &mut dyn FnMut(Met) -> bool,
) -> io::Result<()> {
    if terms.threads < 2 {
        let (mut at, mut bytes) = (at, Vec::new());
        loop {
            let met = match look(file, at, len)? {
                Found::End => Met::End { at },
                Found::Nothing(what) => Met::Nothing { at, what },
                Found::Block(place) => {
                    let facts = judge(terms, file, &place, &mut bytes)?;
                    at = place.end;
                    Met::Block(place, facts)
                }
            };
            let last = !matches!(met, Met::Block(..));
            if !take(met) || last {
                return Ok(());
            }
        }
    }
    let (jobs, taken) = mpsc::channel::<(Place, mpsc::Sender<io::Result<Facts>>)>();
    let taken = Mutex::new(taken);
    std::thread::scope(|scope| {
        for _ in 0..terms.threads {
            scope.spawn(|| {
                let mut bytes = Vec::new();
                loop {
                    let job = taken.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((place, reply)) = job else { return };
                    // Nobody waits where the walk has ended.
                    let _ = reply.send(judge(terms, file, &place, &mut bytes));
                }
            });
        }
        let done = ahead(file, at, len, &jobs, take);
        drop(jobs);
        done
    })
}

/// Looks ahead, hands out, and takes back in order.
fn ahead(
    file: &dyn DiskFile,
    at: u64,
    len: u64,
    jobs: &mpsc::Sender<(Place, mpsc::Sender<io::Result<Facts>>)>,
    take: &mut dyn FnMut(Met) -> bool,
) -> io::Result<()> {
    let mut waiting: VecDeque<(Place, mpsc::Receiver<io::Result<Facts>>)> = VecDeque::new();
    let (mut at, mut bytes) = (at, 0);
    let mut last = None;
    loop {
        while last.is_none() && (waiting.is_empty() || bytes < AHEAD_BYTES_MAX) {
            match look(file, at, len)? {
                Found::End => last = Some(Met::End { at }),
                Found::Nothing(what) => last = Some(Met::Nothing { at, what }),
                Found::Block(place) => {
                    let (reply, answer) = mpsc::channel();
                    bytes += place.end - place.at;
                    at = place.end;
                    if jobs.send((place.clone(), reply)).is_err() {
                        return Err(io::Error::other("the threads of the verification stopped"));
                    }
                    waiting.push_back((place, answer));
                }
            }
        }
        let Some((place, answer)) = waiting.pop_front() else {
            if let Some(met) = last {
                take(met);
            }
            return Ok(());
        };
        bytes -= place.end - place.at;
        let facts = answer.recv().map_err(|_| io::Error::other("a thread of the verification stopped"))??;
        if !take(Met::Block(place, facts)) {
            return Ok(());
        }
    }
}
