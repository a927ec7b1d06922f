//! Answers from sealed sets: entries, tags, hashes, bundles as stored. Checks what it decodes, not whole files.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tlog::{Frontier, Hash};

use super::check::read;
use super::write::sha256;
use super::{BUNDLE, HEADER_BYTES, Manifest, TAGS_BYTES, TRAILER_BYTES, codec, file_name};
use crate::durable::{Disk, DiskFile};
use crate::error::{Corrupt, OpenError, ReadError};
use crate::types::{Entry, Kind, Tags};

/// Sets whose files stay open: four descriptors each.
const OPEN_SETS_MAX: usize = 16;
/// Largest manifest: 63 hashes of 44 characters and a dozen short lines.
const MANIFEST_BYTES_MAX: u64 = 16 << 10;

/// All sealed sets of one ledger. Opening reads names and the last manifest only.
pub struct SealedSets {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    kind: Kind,
    /// First entry of each set, ascending.
    firsts: Vec<u64>,
    frontier: Frontier,
    last_digest: [u8; 32],
    open: Mutex<VecDeque<Arc<OpenSet>>>,
}

struct OpenSet {
    first: u64,
    leaves: Bundles,
    bodies: Option<Bundles>,
    tags: Option<(PathBuf, Arc<dyn DiskFile>)>,
    tiles: (PathBuf, Arc<dyn DiskFile>),
    end: u64,
}

struct Bundles {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    offsets: Vec<u64>,
}

impl SealedSets {
    /// Opens the folder `sealed/`, which must exist.
    ///
    /// `about` is the digest of `LEDGER`, which the first set's manifest continues.
    /// Errors: `Corrupt` where names leave a gap at the start or the last manifest is not whole; `Io`.
    pub fn open(disk: &Arc<dyn Disk>, dir: &Path, kind: Kind, about: [u8; 32]) -> Result<SealedSets, OpenError> {
        let names = disk.list(dir).map_err(OpenError::io("list", dir))?;
        let firsts: Vec<u64> = names.iter().filter_map(|name| seal_first(name)).collect();
        let mut sets = SealedSets {
            disk: Arc::clone(disk),
            dir: dir.to_path_buf(),
            kind,
            frontier: Frontier::new(),
            last_digest: about,
            open: Mutex::new(VecDeque::new()),
            firsts,
        };
        if let (Some(first), Some(last)) = (sets.firsts.first(), sets.firsts.last()) {
            if *first != 0 {
                let path = dir.join(file_name(0, "seal"));
                return Err(Corrupt::at(&path, 0, Some(0), "the first sealed set is missing").into());
            }
            let (manifest, digest) = sets.manifest(*last)?;
            sets.frontier = manifest.frontier;
            sets.last_digest = digest;
        }
        Ok(sets)
    }

    /// Removes what a crash left of a set without a manifest. Returns the names.
    pub fn remove_unfinished(&self) -> Result<Vec<String>, OpenError> {
        let names = self.disk.list(&self.dir).map_err(OpenError::io("list", &self.dir))?;
        let mut removed = Vec::new();
        for name in names {
            let first = name.get(..20).and_then(|digits| digits.parse::<u64>().ok());
            if name.ends_with(".tmp") || first.is_some_and(|first| first >= self.end()) {
                let path = self.dir.join(&name);
                self.disk.remove(&path).map_err(OpenError::io("remove", &path))?;
                removed.push(name);
            }
        }
        if !removed.is_empty() {
            self.disk.sync_dir(&self.dir).map_err(OpenError::io("sync", &self.dir))?;
        }
        Ok(removed)
    }

    /// Takes up a set that was just finished, and makes its leaf and tile files immutable where the process may.
    /// Returns whether both are.
    pub fn add(&mut self, manifest: &Manifest, immutable: bool) -> bool {
        self.firsts.push(manifest.first);
        self.frontier = manifest.frontier.clone();
        self.last_digest = sha256(&[manifest.to_text().as_bytes()]);
        let set = |extension| self.disk.set_immutable(&self.dir.join(file_name(manifest.first, extension))).is_ok();
        immutable && set("leaves") && set("tiles")
    }

    /// Entries below this are sealed.
    pub fn end(&self) -> u64 {
        self.frontier.size()
    }

    /// The tree of all sealed entries.
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// What the next set's manifest continues.
    pub fn last_digest(&self) -> [u8; 32] {
        self.last_digest
    }

    /// Entry ranges of the sets, in order.
    pub fn ranges(&self) -> Vec<Range<u64>> {
        let ends = self.firsts.iter().skip(1).copied().chain([self.end()]);
        self.firsts.iter().copied().zip(ends).map(|(first, end)| first..end).collect()
    }

    /// The manifest of the set that begins at `first`, and its digest.
    pub fn manifest(&self, first: u64) -> Result<(Manifest, [u8; 32]), OpenError> {
        let path = self.dir.join(file_name(first, "seal"));
        let file = self.disk.open(&path).map_err(OpenError::io("open", &path))?;
        let len = file.len().map_err(OpenError::io("measure", &path))?.min(MANIFEST_BYTES_MAX);
        let bytes = read(&*file, 0..len).map_err(OpenError::io("read", &path))?;
        match Manifest::parse(&bytes) {
            Some(manifest) if manifest.first == first => Ok((manifest, sha256(&[&bytes]))),
            _ => Err(Corrupt::at(&path, 0, Some(first), "the manifest is not whole").into()),
        }
    }

    /// One entry, its leaf checked against the stored hash.
    pub fn entry(&self, index: u64) -> Result<Entry, ReadError> {
        let bundle = self.bundle(index / BUNDLE)?;
        let k = usize::try_from(index % BUNDLE).unwrap_or(0);
        let set = self.set(index)?;
        let torn = |what| Corrupt::at(&set.leaves.path, 0, Some(index), what);
        let leaf = codec::leaves_of(&bundle).map_err(torn)?.get(k).map(|leaf| leaf.to_vec()).unwrap_or_default();
        if self.leaf_hashes(index..index + 1)?.first() != Some(&Hash(sha256(&[&[0], &leaf]))) {
            return Err(torn("not the leaf that was hashed").into());
        }
        let body = match self.bodies(index / BUNDLE)? {
            Some(bodies) => codec::bodies_of(&bodies).map_err(torn)?.get(k).copied().flatten().map(<[u8]>::to_vec),
            None => None,
        };
        Ok(Entry { index, leaf, body, tags: self.tags(index)? })
    }

    /// Duplicate tags of one entry; zero in a raw ledger.
    pub fn tags(&self, index: u64) -> Result<Tags, ReadError> {
        let set = self.set(index)?;
        let Some((path, file)) = &set.tags else { return Ok(Tags::default()) };
        let at = HEADER_BYTES + (index - set.first) * TAGS_BYTES;
        let bytes = read(&**file, at..at + TAGS_BYTES).map_err(ReadError::io("read", path))?;
        let (identity, content) = bytes.split_at_checked(16).unwrap_or_default();
        let array = |part: &[u8]| part.try_into().unwrap_or([0; 16]);
        Ok(Tags { identity: array(identity), content: array(content) })
    }

    /// Stored leaf hashes of a sealed range.
    pub fn leaf_hashes(&self, range: Range<u64>) -> Result<Vec<Hash>, ReadError> {
        self.hashes_by(range, 1, |set, index| index - set.first)
    }

    /// Roots of bundles: the hashes of level 8.
    pub fn bundle_roots(&self, bundles: Range<u64>) -> Result<Vec<Hash>, ReadError> {
        let place = |set: &OpenSet, bundle: u64| set.end - set.first + bundle - set.first / BUNDLE;
        let range = bundles.start * BUNDLE..bundles.end * BUNDLE;
        self.hashes_by(range, BUNDLE, place)
    }

    /// A bundle of leaves as stored: one gzip member.
    pub fn bundle_gzip(&self, bundle: u64) -> Result<Vec<u8>, ReadError> {
        let set = self.set(bundle * BUNDLE)?;
        set.leaves.read(bundle - set.first / BUNDLE)
    }

    /// A bundle of leaves, inflated.
    pub fn bundle(&self, bundle: u64) -> Result<Vec<u8>, ReadError> {
        let member = self.bundle_gzip(bundle)?;
        let set = self.set(bundle * BUNDLE)?;
        Ok(codec::gunzip(&member).map_err(|what| Corrupt::at(&set.leaves.path, 0, Some(bundle * BUNDLE), what))?)
    }

    /// The bodies of a bundle: length u32, body each. `None` in a raw ledger.
    pub fn bodies(&self, bundle: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let set = self.set(bundle * BUNDLE)?;
        let Some(bodies) = &set.bodies else { return Ok(None) };
        let frame = bodies.read(bundle - set.first / BUNDLE)?;
        let bytes = codec::decompress_bodies(&frame)
            .map_err(|what| Corrupt::at(&bodies.path, 0, Some(bundle * BUNDLE), what))?;
        Ok(Some(bytes))
    }

    /// Hashes of `unit` entries each over a range of entries; `place` gives the position within a set's file.
    fn hashes_by(
        &self,
        range: Range<u64>,
        unit: u64,
        place: impl Fn(&OpenSet, u64) -> u64,
    ) -> Result<Vec<Hash>, ReadError> {
        let mut out = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let set = self.set(at)?;
            let end = set.end.min(range.end);
            let from = HEADER_BYTES + place(&set, at / unit) * 32;
            let bytes = read(&*set.tiles.1, from..from + (end - at) / unit * 32)
                .map_err(ReadError::io("read", &set.tiles.0))?;
            out.extend(bytes.as_chunks::<32>().0.iter().map(|chunk| Hash(*chunk)));
            at = end;
        }
        Ok(out)
    }

    /// The set that holds an entry, opened if it is not.
    fn set(&self, index: u64) -> Result<Arc<OpenSet>, ReadError> {
        if index >= self.end() {
            return Err(ReadError::BeyondTree { asked: index, size: self.end() });
        }
        let after = self.firsts.partition_point(|first| *first <= index);
        let first = after.checked_sub(1).and_then(|at| self.firsts.get(at)).copied().unwrap_or(0);
        let end = self.firsts.get(after).copied().unwrap_or(self.end());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match open.iter().position(|set| set.first == first).and_then(|at| open.remove(at)) {
            Some(set) => set,
            None => Arc::new(self.open_set(first, end)?),
        };
        open.push_front(Arc::clone(&found));
        open.truncate(OPEN_SETS_MAX);
        Ok(found)
    }

    fn open_set(&self, first: u64, end: u64) -> Result<OpenSet, ReadError> {
        let open = |extension| {
            let path = self.dir.join(file_name(first, extension));
            let file = self.disk.open(&path).map_err(ReadError::io("open", &path))?;
            Ok::<_, ReadError>((path, file))
        };
        let bundles = |extension| {
            let (path, file) = open(extension)?;
            let offsets = offsets(&*file, (end - first) / BUNDLE).map_err(ReadError::io("read", &path))?;
            let Some(offsets) = offsets else {
                return Err(Corrupt::at(&path, 0, Some(first), "the offsets of the bundles are not in order").into());
            };
            Ok::<_, ReadError>(Bundles { path, file, offsets })
        };
        let audit = self.kind == Kind::Audit;
        Ok(OpenSet {
            first,
            leaves: bundles("leaves")?,
            bodies: if audit { Some(bundles("bodies")?) } else { None },
            tags: if audit { Some(open("tags")?) } else { None },
            tiles: open("tiles")?,
            end,
        })
    }
}

impl Bundles {
    fn read(&self, bundle: u64) -> Result<Vec<u8>, ReadError> {
        let at = usize::try_from(bundle).unwrap_or(usize::MAX);
        let (Some(from), Some(to)) = (self.offsets.get(at), self.offsets.get(at.saturating_add(1))) else {
            return Err(ReadError::Refused("a bundle beyond its set"));
        };
        read(&*self.file, *from..*to).map_err(ReadError::io("read", &self.path))
    }
}

fn offsets(file: &dyn DiskFile, bundles: u64) -> io::Result<Option<Vec<u64>>> {
    let table = (bundles + 1) * 8;
    let Some(at) = file.len()?.checked_sub(table + TRAILER_BYTES) else { return Ok(None) };
    let bytes = read(file, at..at + table)?;
    let offsets: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_be_bytes(*chunk)).collect();
    let fits = offsets.first() == Some(&HEADER_BYTES) && offsets.last() == Some(&at) && offsets.is_sorted();
    Ok(fits.then_some(offsets))
}

/// The first entry of a manifest's name, strictly as written.
fn seal_first(name: &str) -> Option<u64> {
    let first = name.strip_suffix(".seal")?.parse().ok()?;
    (file_name(first, "seal") == name).then_some(first)
}
