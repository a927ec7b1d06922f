//! tlog-mirror (draft): add-entries bodies and mirror-info, read and written, and the mirror's checks of both.
//! Stores no entries and authenticates no ticket.

use crate::bundle::{push_entry, split_entry};
use crate::encoding;
use crate::hash::{Hash, leaf_hash};
use crate::limits::{
    MIRROR_INFO_BYTES_MAX, MIRROR_PACKAGES_MAX, NAME_BYTES_MAX, PROOF_HASHES_MAX, TILE_WIDTH, TREE_SIZE_MAX,
};
use crate::note::valid_name;
use crate::proof::{ProofError, verify_subtree_consistency};
use crate::tree::tree_root;

/// Media type of mirror-info, sent and compared exactly.
pub const INFO_MEDIA_TYPE: &str = "text/x.tlog.mirror-info";

/// Entries in a full package.
const PACKAGE: u64 = TILE_WIDTH as u64;

/// Why bytes are no add-entries body or mirror-info.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed mirror request or answer: {0}")]
pub struct MirrorError(pub &'static str);

/// What stands before the packages of an add-entries body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadHeader {
    /// Which log.
    pub origin: String,
    /// First entry uploaded.
    pub start: u64,
    /// Size of the pending checkpoint the upload leads to.
    pub end: u64,
    /// The mirror's own memory, opaque to the client; may be empty.
    pub ticket: Vec<u8>,
}

/// The entries between two multiples of 256, with the proof that they are the log's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package<'a> {
    /// Entries, first to last.
    pub entries: Vec<&'a [u8]>,
    /// Subtree consistency proof of the package's subtree in the tree of size `end`.
    pub proof: Vec<Hash>,
}

/// An add-entries body: the header and a prefix of the packages it announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddEntries<'a> {
    /// What is uploaded.
    pub header: UploadHeader,
    /// The whole packages, in order.
    pub packages: Vec<Package<'a>>,
    /// Whether the body ended within a package; its bytes are discarded.
    pub torn: bool,
}

impl UploadHeader {
    /// Reads the header and gives the bytes of the packages behind it.
    ///
    /// # Errors
    /// [`MirrorError`].
    pub fn parse(body: &[u8]) -> Result<(Self, &[u8]), MirrorError> {
        let torn = MirrorError("the header is incomplete");
        let (origin, rest) = split_entry(body).ok_or(torn)?;
        let (start, rest) = rest.split_first_chunk::<8>().ok_or(torn)?;
        let (end, rest) = rest.split_first_chunk::<8>().ok_or(torn)?;
        let (ticket, rest) = split_entry(rest).ok_or(torn)?;
        let (start, end) = (u64::from_be_bytes(*start), u64::from_be_bytes(*end));
        let origin = std::str::from_utf8(origin).ok().filter(|o| o.len() <= NAME_BYTES_MAX && valid_name(o));
        let origin = origin.ok_or(MirrorError("the origin is not a name of 1 to 255 bytes"))?;
        if start > end || end > TREE_SIZE_MAX {
            return Err(MirrorError("the range of entries is not one"));
        }
        Ok((Self { origin: origin.to_owned(), start, end, ticket: ticket.to_vec() }, rest))
    }

    /// Appends the header to a body; false, and nothing appended, where origin or ticket is too long.
    pub fn write(&self, out: &mut Vec<u8>) -> bool {
        if self.origin.len() > NAME_BYTES_MAX || self.ticket.len() > usize::from(u16::MAX) {
            return false;
        }
        push_entry(out, self.origin.as_bytes());
        out.extend_from_slice(&self.start.to_be_bytes());
        out.extend_from_slice(&self.end.to_be_bytes());
        push_entry(out, &self.ticket)
    }

    /// How many packages lead from start to end.
    pub fn packages(&self) -> u64 {
        if self.start == self.end { 0 } else { self.end.div_ceil(PACKAGE) - self.start / PACKAGE }
    }

    /// The entries of package `number`: first and one past the last; None beyond the last package.
    pub fn range(&self, number: u64) -> Option<(u64, u64)> {
        if number >= self.packages() {
            return None;
        }
        let rounded = self.subtree_start(number);
        Some((self.start.max(rounded), self.end.min(rounded + PACKAGE)))
    }

    /// First leaf of the subtree that the proof of package `number` is about: a multiple of 256.
    fn subtree_start(&self, number: u64) -> u64 {
        (self.start / PACKAGE + number) * PACKAGE
    }

    /// Checks that package `number` belongs to the tree of size `end` with this root.
    ///
    /// `before` are the leaf hashes between the multiple of 256 and the package's first entry, which the mirror has.
    ///
    /// # Errors
    /// `BeyondTree` where there is no such package or its entries or `before` are of another number; those of
    /// [`verify_subtree_consistency`].
    pub fn verify(&self, number: u64, package: &Package<'_>, before: &[Hash], root: &Hash) -> Result<(), ProofError> {
        let beyond = ProofError::BeyondTree { end: number, size: self.packages() };
        let (first, end) = self.range(number).ok_or(beyond.clone())?;
        let start = self.subtree_start(number);
        if before.len() as u64 != first - start || package.entries.len() as u64 != end - first {
            return Err(beyond);
        }
        let mut leaves = before.to_vec();
        leaves.extend(package.entries.iter().map(|entry| leaf_hash(entry)));
        verify_subtree_consistency(start, end, self.end, &package.proof, &tree_root(&leaves), root)
    }
}

impl<'a> Package<'a> {
    /// Reads one package of `count` entries; None where the bytes end before it does, or its proof is too long.
    fn split(bytes: &'a [u8], count: u64) -> Result<Option<(Self, &'a [u8])>, MirrorError> {
        let mut entries = Vec::new();
        let mut rest = bytes;
        for _ in 0..count {
            let Some((entry, after)) = split_entry(rest) else { return Ok(None) };
            entries.push(entry);
            rest = after;
        }
        let Some((hashes, rest)) = rest.split_first() else { return Ok(None) };
        let hashes = usize::from(*hashes);
        if hashes > PROOF_HASHES_MAX {
            return Err(MirrorError("a proof of more than 63 hashes"));
        }
        let Some((proof, rest)) = rest.split_at_checked(hashes * 32) else { return Ok(None) };
        let (proof, _) = proof.as_chunks::<32>();
        Ok(Some((Self { entries, proof: proof.iter().map(|hash| Hash(*hash)).collect() }, rest)))
    }

    /// Appends the package to a body; false where an entry or the proof is too long, and then the body is spoilt.
    pub fn write(&self, out: &mut Vec<u8>) -> bool {
        let Some(hashes) = u8::try_from(self.proof.len()).ok().filter(|n| usize::from(*n) <= PROOF_HASHES_MAX) else {
            return false;
        };
        if !self.entries.iter().all(|entry| push_entry(out, entry)) {
            return false;
        }
        out.push(hashes);
        self.proof.iter().for_each(|hash| out.extend_from_slice(&hash.0));
        true
    }
}

impl<'a> AddEntries<'a> {
    /// Reads a whole body, already decompressed. Allocates no more than the bytes that are there account for.
    ///
    /// # Errors
    /// [`MirrorError`], also for more than 32 packages and for bytes behind the last one.
    pub fn parse(body: &'a [u8]) -> Result<Self, MirrorError> {
        let (header, mut rest) = UploadHeader::parse(body)?;
        let mut packages = Vec::new();
        let mut torn = false;
        while !rest.is_empty() {
            let (first, end) =
                header.range(packages.len() as u64).ok_or(MirrorError("bytes behind the last package"))?;
            if packages.len() >= MIRROR_PACKAGES_MAX {
                return Err(MirrorError("more than 32 packages"));
            }
            match Package::split(rest, end - first)? {
                Some((package, after)) => {
                    packages.push(package);
                    rest = after;
                }
                None => {
                    torn = true;
                    break;
                }
            }
        }
        Ok(Self { header, packages, torn })
    }
}

/// What a mirror holds of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorState {
    /// Sizes of the pending checkpoints it still knows, the current one last; none before the first.
    pub pending: Vec<u64>,
    /// Size of the mirror checkpoint.
    pub checkpoint: u64,
    /// First entry it does not hold.
    pub next_entry: u64,
    /// How many entries it already holds may be sent again.
    pub overlap_max: u64,
}

/// Why a mirror takes no entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadRefusal {
    /// 404: the log is unknown.
    UnknownLog,
    /// 422: there is no pending checkpoint.
    NothingPending,
    /// 409 with mirror-info: end unknown or behind, start beyond the next entry, or too much overlap.
    Conflict,
}

impl UploadRefusal {
    /// Status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::UnknownLog => 404,
            Self::NothingPending => 422,
            Self::Conflict => 409,
        }
    }
}

/// Decides on the header of an upload, before any package is read.
///
/// # Errors
/// [`UploadRefusal`].
pub fn decide_upload(header: &UploadHeader, state: Option<&MirrorState>) -> Result<(), UploadRefusal> {
    let state = state.ok_or(UploadRefusal::UnknownLog)?;
    if state.pending.is_empty() {
        return Err(UploadRefusal::NothingPending);
    }
    let known = state.pending.contains(&header.end) || header.end == state.checkpoint;
    if !known || header.end < state.checkpoint || header.start > state.next_entry {
        return Err(UploadRefusal::Conflict);
    }
    // tlog-mirror: excess_entries = min(upload_end, next_entry) - upload_start.
    let excess = header.end.min(state.next_entry).saturating_sub(header.start);
    if excess > state.overlap_max { Err(UploadRefusal::Conflict) } else { Ok(()) }
}

/// The body of a mirror's 202 and 409: what to send next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorInfo {
    /// Size of a valid pending checkpoint.
    pub pending: u64,
    /// First entry the mirror does not hold.
    pub next_entry: u64,
    /// To be sent back unchanged; may be empty.
    pub ticket: Vec<u8>,
}

impl MirrorInfo {
    /// Reads the three lines.
    ///
    /// # Errors
    /// [`MirrorError`].
    pub fn parse(body: &[u8]) -> Result<Self, MirrorError> {
        if body.len() > MIRROR_INFO_BYTES_MAX {
            return Err(MirrorError("more than 98304 bytes"));
        }
        Self::parse_inner(body).ok_or(MirrorError("not a size, a number and a ticket in base64"))
    }

    fn parse_inner(body: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(body).ok()?.strip_suffix('\n')?.split('\n');
        let pending = encoding::size(lines.next()?)?;
        let next_entry = encoding::size(lines.next()?)?;
        let ticket = encoding::from_b64(lines.next()?)?;
        let fits = ticket.len() <= usize::from(u16::MAX) && lines.next().is_none();
        fits.then_some(Self { pending, next_entry, ticket })
    }

    /// The three lines.
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.pending, self.next_entry, encoding::b64(&self.ticket))
    }
}
