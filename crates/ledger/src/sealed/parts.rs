//! The files of a sealed set as a judge sees them: length, header, digests, offsets. Decodes no bundle.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest;

use super::write::hash_range;
use super::{BUNDLE, HEADER_BYTES, Manifest, TRAILER_BYTES, file_name};
use crate::durable::{Disk, DiskFile};

/// Offsets that are looked at in one read.
const OFFSETS_READ: u64 = 1 << 14;

/// What one file of a set is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartKind {
    Leaves,
    Tiles,
    Bodies,
    Tags,
}

impl PartKind {
    pub(super) const ALL: [PartKind; 4] = [PartKind::Leaves, PartKind::Tiles, PartKind::Bodies, PartKind::Tags];

    pub(super) fn extension(self) -> &'static str {
        match self {
            PartKind::Leaves => "leaves",
            PartKind::Tiles => "tiles",
            PartKind::Bodies => "bodies",
            PartKind::Tags => "tags",
        }
    }

    fn magic(self) -> &'static [u8; 8] {
        match self {
            PartKind::Leaves => b"PBLEAF01",
            PartKind::Tiles => b"PBTILE01",
            PartKind::Bodies => b"PBBODY01",
            PartKind::Tags => b"PBTAGS01",
        }
    }

    /// Bytes of the file, and its digest where the manifest has one; `None` where it names no such file.
    fn of(self, set: &Manifest) -> Option<(u64, Option<[u8; 32]>)> {
        match self {
            PartKind::Leaves => Some((set.leaves.bytes, Some(set.leaves.digest))),
            PartKind::Tiles => Some((set.tiles.bytes, Some(set.tiles.digest))),
            PartKind::Bodies => set.bodies.map(|bytes| (bytes, None)),
            PartKind::Tags => set.tags.map(|tags| (tags.bytes, Some(tags.digest))),
        }
    }
}

/// One file of the set, opened and measured.
pub(super) struct PartFile {
    pub(super) kind: PartKind,
    pub(super) name: String,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) len: u64,
    /// Digest that the manifest holds for the whole file.
    digest: Option<[u8; 32]>,
    /// The length is not the manifest's.
    pub(super) other_length: bool,
    /// Magic or range are not those of this set.
    pub(super) other_header: bool,
}

/// Whether a manifest names the file, and whether it is there.
pub(super) enum Opened {
    NotNamed,
    Missing(String),
    There(PartFile),
}

/// What the digests of a file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digests {
    /// Trailer and manifest agree with the bytes.
    pub(super) hold: bool,
    /// The manifest's digest shows that the trailer alone is another.
    pub(super) trailer_alone: bool,
}

impl Digests {
    const FAIL: Digests = Digests { hold: false, trailer_alone: false };
}

impl PartFile {
    pub(super) fn open(disk: &dyn Disk, dir: &Path, set: &Manifest, kind: PartKind) -> io::Result<Opened> {
        let Some((bytes, digest)) = kind.of(set) else { return Ok(Opened::NotNamed) };
        let name = file_name(set.first, kind.extension());
        let file = match disk.open(&dir.join(&name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Opened::Missing(name)),
            other => other?,
        };
        let len = file.len()?;
        let wanted = [&kind.magic()[..], &set.first.to_be_bytes(), &set.end.to_be_bytes()].concat();
        let mut header = vec![0; wanted.len()];
        let other_header = len >= HEADER_BYTES && {
            file.read_exact_at(&mut header, 0)?;
            header != wanted
        };
        let other_length = len != bytes || len < HEADER_BYTES + TRAILER_BYTES;
        Ok(Opened::There(PartFile { kind, name, file, len, digest, other_length, other_header }))
    }

    /// Reads the whole file, but for one whose length already tells.
    pub(super) fn digests(&self) -> io::Result<Digests> {
        if self.other_length {
            return Ok(Digests::FAIL);
        }
        let mut before = digest::Context::new(&digest::SHA256);
        hash_range(&*self.file, 0..self.len - TRAILER_BYTES, &mut before)?;
        let computed = before.clone().finish();
        let mut trailer = [0; 32];
        self.file.read_exact_at(&mut trailer, self.len - TRAILER_BYTES)?;
        let whole = |trailer: &[u8]| {
            let mut context = before.clone();
            context.update(trailer);
            self.digest.is_none_or(|digest| context.finish().as_ref() == digest)
        };
        if computed.as_ref() == trailer {
            return Ok(Digests { hold: whole(&trailer), trailer_alone: false });
        }
        Ok(Digests { hold: false, trailer_alone: self.digest.is_some() && whole(computed.as_ref()) })
    }

    /// Where the offsets of the bundles stand, if they can be the ones that were written.
    pub(super) fn offsets(&self, bundles: u64) -> io::Result<Option<Offsets>> {
        let table = bundles.checked_add(1).and_then(|count| count.checked_mul(8));
        let at = table.and_then(|table| self.len.checked_sub(table)?.checked_sub(TRAILER_BYTES));
        let Some(at) = at.filter(|at| *at >= HEADER_BYTES) else { return Ok(None) };
        let offsets = Offsets { at };
        let mut last = HEADER_BYTES;
        let mut from = 0;
        while from <= bundles {
            let until = (from + OFFSETS_READ).min(bundles + 1);
            for (n, offset) in (from..).zip(offsets.read(self, from..until)?) {
                if offset < last || (n == 0 && offset != HEADER_BYTES) {
                    return Ok(None);
                }
                last = offset;
            }
            from = until;
        }
        Ok((last == at).then_some(offsets))
    }
}

/// The table of offsets behind the bundles of a file.
pub(super) struct Offsets {
    at: u64,
}

impl Offsets {
    /// Where the bundles of a range begin, and one more: where the last one ends.
    pub(super) fn of(&self, part: &PartFile, bundles: &Range<u64>) -> io::Result<Vec<u64>> {
        self.read(part, bundles.start..bundles.end + 1)
    }

    fn read(&self, part: &PartFile, range: Range<u64>) -> io::Result<Vec<u64>> {
        let mut bytes = vec![0; usize::try_from((range.end - range.start) * 8).unwrap_or(0)];
        part.file.read_exact_at(&mut bytes, self.at + range.start * 8)?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_be_bytes(*chunk)).collect())
    }
}

/// Bundles of a set.
pub(super) fn bundles(set: &Manifest) -> u64 {
    (set.end - set.first) / BUNDLE
}
