//! One run: a sorted file of identities and indexes, read block by block, each under its MAC.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::bloom::{self, Bloom};
use super::{Place, Record, fails};
use crate::durable::DiskFile;

pub(super) const MAGIC: &[u8; 8] = b"PBDUP001";
pub(super) const HEADER_BYTES: usize = 256;
pub(super) const MAC_BYTES: usize = 32;
pub(super) const BLOCK_BYTES: usize = 4096;
pub(super) const RECORD_BYTES: usize = 24;
/// Records of a block; 8 zero bytes and the MAC behind them.
pub(super) const BLOCK_RECORDS: usize = 169;
/// Number of the header's and the filter's MAC; blocks follow.
pub(super) const FIRST_BLOCK: u64 = 2;
/// Guesses by interpolation; then the search halves what is left.
const GUESSES: u32 = 8;

/// An open run.
pub(super) struct Run {
    pub(super) range: Range<u64>,
    pub(super) path: PathBuf,
    pub(super) bloom: Bloom,
    name: String,
    file: Arc<dyn DiskFile>,
}

/// `<first>-<end>.run`.
pub(super) fn name(range: &Range<u64>) -> String {
    format!("{:020}-{:020}.run", range.start, range.end)
}

/// The entries of a run by its name; `None` for any other name.
pub(super) fn range_of(file_name: &str) -> Option<Range<u64>> {
    let (first, end) = file_name.strip_suffix(".run")?.split_once('-')?;
    let range = first.parse().ok()?..end.parse().ok()?;
    (!range.is_empty() && name(&range) == file_name).then_some(range)
}

/// Blocks of so many records.
pub(super) fn blocks_of(records: u64) -> u64 {
    records.div_ceil(BLOCK_RECORDS as u64)
}

/// The header without its MAC.
pub(super) fn header(range: &Range<u64>) -> [u8; HEADER_BYTES - MAC_BYTES] {
    let records = range.end - range.start;
    let fields = [range.start, range.end, records, bloom::bytes_for(records)];
    let mut out = [0; HEADER_BYTES - MAC_BYTES];
    let bytes = MAGIC.iter().copied().chain(fields.iter().flat_map(|n| n.to_be_bytes()));
    out.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = byte);
    out
}

impl Run {
    /// Opens a run and checks header, length and filter. Blocks are checked when they are read.
    pub(super) fn open(place: &Place, range: Range<u64>) -> io::Result<Run> {
        let name = name(&range);
        let path = place.dir.join(&name);
        let file = place.disk.open(&path)?;
        let records = range.end - range.start;
        let filter = bloom::bytes_for(records);
        let blocks = (HEADER_BYTES + MAC_BYTES) as u64 + filter;
        if file.len()? != blocks + blocks_of(records) * BLOCK_BYTES as u64 {
            return Err(fails());
        }
        let mut head = vec![0; usize::try_from(blocks).map_err(|_| fails())?];
        file.read_exact_at(&mut head, 0)?;
        let (header_part, rest) = head.split_at_checked(HEADER_BYTES).ok_or_else(fails)?;
        let (fields, mac) = header_part.split_at_checked(HEADER_BYTES - MAC_BYTES).ok_or_else(fails)?;
        // Everything in the header follows from the name.
        if fields != header(&range) || place.mac(&name, 0, fields) != mac {
            return Err(fails());
        }
        let (bits, mac) = rest.split_at_checked(rest.len() - MAC_BYTES).ok_or_else(fails)?;
        if place.mac(&name, 1, bits) != mac {
            return Err(fails());
        }
        Ok(Run { range, path, bloom: Bloom::from_bytes(bits.to_vec()), name, file })
    }

    pub(super) fn records(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// The lowest index of an identity.
    pub(super) fn find(&self, place: &Place, identity: &[u8; 16]) -> io::Result<Option<u64>> {
        if !self.bloom.may_hold(identity) {
            return Ok(None);
        }
        let prefix = |tag: &[u8; 16]| tag.first_chunk::<8>().map_or(0, |head| u64::from_be_bytes(*head));
        let total = blocks_of(self.records());
        let (mut low, mut high) = (0, total);
        let share = |distance: u64| u64::try_from((u128::from(distance) * u128::from(total)) >> 64).unwrap_or(0);
        // Tags are evenly spread: the first guess is off by a few blocks, the second hardly ever by more than one.
        let mut guess = share(prefix(identity));
        let mut found = None;
        let mut guesses = 0;
        while low < high {
            let at = if guesses < GUESSES { guess.clamp(low, high - 1) } else { low + (high - low) / 2 };
            guesses += 1;
            let block = self.block(place, at)?;
            let (Some(first), Some(last)) = (block.first(), block.last()) else { return Err(fails()) };
            if last.0 < *identity {
                low = at + 1;
                guess = at + 1 + share(prefix(identity).saturating_sub(prefix(&last.0)));
                continue;
            }
            if first.0 <= *identity {
                let slot = block.partition_point(|record| record.0 < *identity);
                found = block.get(slot).filter(|record| record.0 == *identity).map(|record| record.1).or(found);
                if first.0 < *identity {
                    break;
                }
            }
            // Also where the block begins with it: the one before may end with it.
            high = at;
            guess = at.saturating_sub(1 + share(prefix(&first.0).saturating_sub(prefix(identity))));
        }
        Ok(found.filter(|index| self.range.contains(index)))
    }

    /// The records of one block.
    pub(super) fn block(&self, place: &Place, number: u64) -> io::Result<Vec<Record>> {
        let mut bytes = [0; BLOCK_BYTES];
        let start = (HEADER_BYTES + MAC_BYTES + self.bloom.bytes().len()) as u64;
        self.file.read_exact_at(&mut bytes, start + number * BLOCK_BYTES as u64)?;
        let (covered, mac) = bytes.split_at(BLOCK_BYTES - MAC_BYTES);
        if place.mac(&self.name, FIRST_BLOCK + number, covered) != mac {
            return Err(fails());
        }
        let there = (self.records() - number * BLOCK_RECORDS as u64).min(BLOCK_RECORDS as u64);
        let records = covered.as_chunks::<RECORD_BYTES>().0.iter().map(|record| {
            let (tag, index) = record.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
            (*tag, index.first_chunk().map_or(u64::MAX, |n| u64::from_be_bytes(*n)))
        });
        Ok(records.take(usize::try_from(there).unwrap_or(0)).collect())
    }
}
