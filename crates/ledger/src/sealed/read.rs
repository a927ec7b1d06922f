//! Answers from sealed sets: entries, tags, hashes, bundles as stored. Checks what it decodes, not whole files.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tlog::{Frontier, Hash};

use super::check::read;
use super::files::{OpenFile, OpenFiles};
use super::parts::PartKind;
use super::stream::StreamError;
use super::write::sha256;
use super::{BUNDLE, BUNDLE_LEN, HEADER_BYTES, HEADER_LEN, Manifest, TAGS_BYTES, TAGS_LEN, codec, file_name};
use crate::durable::Disk;
use crate::error::{Corrupt, OpenError, ReadError};
use crate::types::{BodyDigest, Entry, Kind, Tags};

/// Largest manifest: 63 hashes of 44 characters and a dozen short lines.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 16 << 10;

/// All sealed sets of one ledger. Opening reads names and the last manifest only. A clone shares the open files.
#[derive(Clone)]
pub struct SealedSets {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    kind: Kind,
    /// First entry of each set, ascending.
    firsts: Vec<u64>,
    frontier: Frontier,
    last_digest: [u8; 32],
    files: Arc<OpenFiles>,
}

impl SealedSets {
    /// Opens the folder `sealed/`, which must exist.
    ///
    /// `about` is the digest of `LEDGER`, which the first set's manifest continues.
    /// Errors: `Corrupt` where a set lacks one of its files (the manifest of a set that later ones follow included), or
    /// the last manifest is not whole; `Io`.
    pub fn open(disk: &Arc<dyn Disk>, dir: &Path, kind: Kind, about: [u8; 32]) -> Result<SealedSets, OpenError> {
        let names = disk.list(dir).map_err(OpenError::io("list", dir))?;
        let firsts: Vec<u64> = names.iter().filter_map(|name| seal_first(name)).collect();
        let mut sets = SealedSets {
            disk: Arc::clone(disk),
            dir: dir.to_path_buf(),
            kind,
            frontier: Frontier::new(),
            last_digest: about,
            files: Arc::new(OpenFiles::new(disk, dir)),
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
        sets.complete(&names)?;
        Ok(sets)
    }

    /// Every file that stands before the end belongs to a set with a manifest, and every such set has all its files.
    fn complete(&self, names: &[String]) -> Result<(), OpenError> {
        let has = |name: &str| names.binary_search_by(|other| other.as_str().cmp(name)).is_ok();
        let missing = |first: u64, extension: &str| {
            let name = file_name(first, extension);
            let path = self.dir.join(&name);
            if has(&name) {
                return Ok(());
            }
            Err(Corrupt::at(&path, 0, Some(first), "a file of a sealed set is missing"))
        };
        let extensions: &[&str] =
            if self.kind == Kind::Audit { &["leaves", "tiles", "bodies", "tags"] } else { &["leaves", "tiles"] };
        for first in &self.firsts {
            extensions.iter().try_for_each(|extension| missing(*first, extension))?;
        }
        for first in names.iter().filter_map(|name| part_first(name)).filter(|first| *first < self.end()) {
            missing(first, "seal")?;
        }
        Ok(())
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
        immutable && self.make_immutable(manifest.first).is_ok()
    }

    /// Gives the leaf and tile files of a set the immutable attribute; those that have it keep it.
    pub fn make_immutable(&self, first: u64) -> io::Result<()> {
        let set = |extension| self.disk.set_immutable(&self.dir.join(file_name(first, extension)));
        set("leaves").and_then(|()| set("tiles"))
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

    /// The tree of `size` sealed entries: complete subtrees up to the start of a set, and the leaf hashes behind it.
    ///
    /// Errors: `BeyondTree`; `Corrupt` where a manifest does not continue the one before; `Io`.
    pub fn tree_at(&self, size: u64) -> Result<(Frontier, Vec<Hash>), OpenError> {
        if size >= self.end() {
            let beyond = OpenError::Refused("a tree beyond the sealed entries");
            return if size == self.end() { Ok((self.frontier.clone(), Vec::new())) } else { Err(beyond) };
        }
        let at = self.firsts.partition_point(|first| *first <= size).saturating_sub(1);
        let first = self.firsts.get(at).copied().unwrap_or(0);
        let frontier = match at.checked_sub(1).and_then(|before| self.firsts.get(before)) {
            Some(before) => self.manifest(*before)?.0.frontier,
            None => Frontier::new(),
        };
        if frontier.size() != first {
            let at = first.min(frontier.size());
            let path = self.dir.join(file_name(at, "seal"));
            return Err(Corrupt::at(&path, 0, Some(at), "no set continues the one before").into());
        }
        Ok((frontier, self.leaf_hashes(first..size).map_err(open_error)?))
    }

    /// `received_at` of the last sealed entry below `index`, or something older; 0 where nothing is sealed.
    pub fn received_before(&self, index: u64) -> Result<u64, OpenError> {
        let after = self.firsts.partition_point(|first| *first < index);
        match after.checked_sub(1).and_then(|at| self.firsts.get(at)) {
            None => Ok(0),
            Some(first) => {
                let (manifest, _) = self.manifest(*first)?;
                Ok(if index >= manifest.end { manifest.received.1 } else { manifest.received.0 })
            }
        }
    }

    /// Entries of a sealed range until they are `bytes_max` bytes (at least one), each bundle decoded once. Leaves are
    /// checked against the stored hashes, bodies against the digests that their leaves name.
    pub fn entries(
        &self,
        range: Range<u64>,
        bytes_max: u64,
        body_digest: &BodyDigest,
    ) -> Result<Vec<Entry>, ReadError> {
        let (mut entries, mut bytes, mut at) = (Vec::new(), 0, range.start);
        while at < range.end && (entries.is_empty() || bytes < bytes_max) {
            let bundle = at / BUNDLE;
            let file = self.file(PartKind::Leaves, at)?;
            let (_, leaves) = self.checked_bundle(bundle)?;
            let leaves = codec::leaves_of(&leaves).map_err(|what| file.damage(bundle, at, what))?;
            let place = |index: u64| usize::try_from(index - bundle * BUNDLE).unwrap_or(BUNDLE_LEN);
            let wanted = place(at)..place(range.end.min((bundle + 1) * BUNDLE));
            let bodies = self.some_bodies(bundle, &leaves, wanted.clone(), bytes_max, Some(body_digest))?;
            let tags = self.bundle_tags(bundle)?;
            for (k, body) in wanted.zip(bodies) {
                if !entries.is_empty() && bytes >= bytes_max {
                    break;
                }
                let leaf = leaves.get(k).map(|leaf| leaf.to_vec()).unwrap_or_default();
                bytes += (leaf.len() + body.as_ref().map_or(0, Vec::len)) as u64;
                entries.push(Entry { index: at, leaf, body, tags: tags.get(k).copied().unwrap_or_default() });
                at += 1;
            }
        }
        Ok(entries)
    }

    /// Bodies of some entries of a bundle, checked against the digests that their leaves name. A bundle of many bytes
    /// is read only as far as needed, and gives no more than about `bytes_max` bytes (one body at least).
    fn some_bodies(
        &self,
        bundle: u64,
        leaves: &[&[u8]],
        wanted: Range<usize>,
        bytes_max: u64,
        body_digest: Option<&BodyDigest>,
    ) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
        let first = bundle.saturating_mul(BUNDLE);
        let Some(file) = self.audit_file(PartKind::Bodies, first)? else { return Ok(vec![None; wanted.len()]) };
        let check = |k: usize, body: &Option<Vec<u8>>| {
            let (Some(body), Some(digest_of)) = (body, body_digest) else { return Ok(()) };
            let named = leaves.get(k).and_then(|leaf| digest_of(leaf));
            let what = "not the body that the leaf names";
            if named == Some(sha256(&[body])) { Ok(()) } else { Err(file.damage(bundle, first + k as u64, what)) }
        };
        let mut bodies = Vec::with_capacity(wanted.len());
        if let Some(mut stream) = file.large_bundle(bundle)? {
            let failed = |error| match error {
                StreamError::Io(error) => ReadError::io("read", &file.path)(error),
                StreamError::Torn(what) => file.damage(bundle, first, what).into(),
            };
            let mut bytes = 0;
            for k in 0..wanted.end {
                if bytes >= bytes_max && !bodies.is_empty() {
                    break;
                }
                let mut body = Vec::new();
                let mut keep = |piece: &[u8]| body.extend_from_slice(piece);
                let present = if k < wanted.start { stream.next(|_| {}) } else { stream.next(&mut keep) };
                let body = present.map_err(failed)?.then_some(body);
                if k >= wanted.start {
                    check(k, &body)?;
                    bytes += body.as_ref().map_or(0, Vec::len) as u64;
                    bodies.push(body);
                }
            }
            return Ok(bodies);
        }
        let bytes = self.bodies(bundle)?.unwrap_or_default();
        let all = codec::bodies_of(&bytes).map_err(|what| file.damage(bundle, first, what))?;
        for k in wanted {
            let body = all.get(k).copied().flatten().map(<[u8]>::to_vec);
            check(k, &body)?;
            bodies.push(body);
        }
        Ok(bodies)
    }

    /// A bundle of leaves as stored and inflated, each leaf checked against the stored hashes.
    pub fn checked_bundle(&self, bundle: u64) -> Result<(Vec<u8>, Vec<u8>), ReadError> {
        let first = bundle.saturating_mul(BUNDLE);
        let file = self.file(PartKind::Leaves, first)?;
        let member = file.bundle(bundle)?;
        let bytes = codec::gunzip(&member).map_err(|what| file.damage(bundle, first, what))?;
        let leaves = codec::leaves_of(&bytes).map_err(|what| file.damage(bundle, first, what))?;
        let hashes = self.leaf_hashes(first..first + BUNDLE)?;
        for ((leaf, hash), index) in leaves.iter().zip(hashes).zip(first..) {
            if sha256(&[&[0], leaf]) != hash.0 {
                return Err(file.damage(bundle, index, "not the leaf that was hashed").into());
            }
        }
        Ok((member, bytes))
    }

    /// Tags of one entry, checked by the digest of their bundle; zero in a raw ledger.
    pub fn checked_tags(&self, index: u64) -> Result<Tags, ReadError> {
        let Some(file) = self.audit_file(PartKind::Tags, index)? else { return Ok(Tags::default()) };
        let bundle = (index - file.first) / BUNDLE;
        let at = HEADER_BYTES + bundle * BUNDLE * TAGS_BYTES;
        let digest = HEADER_BYTES + (file.end - file.first) * TAGS_BYTES + bundle * 32;
        let bytes = file.read(at..at + BUNDLE * TAGS_BYTES)?;
        if sha256(&[&bytes])[..] != file.read(digest..digest + 32)?[..] {
            return Err(Corrupt::at(&file.path, at, Some(index), "not the tags that were written").into());
        }
        let k = usize::try_from(index % BUNDLE).unwrap_or(0);
        Ok(bytes.as_chunks::<TAGS_LEN>().0.get(k).map(tags_of).unwrap_or_default())
    }

    /// Tags of a whole set, checked by the digest in its manifest.
    pub fn tags_of_set(&self, first: u64) -> Result<Vec<Tags>, OpenError> {
        let (manifest, _) = self.manifest(first)?;
        let file = self.audit_file(PartKind::Tags, first).map_err(open_error)?;
        let (Some(file), Some(part)) = (file, manifest.tags) else { return Ok(Vec::new()) };
        let bytes = file.read_whole(part.bytes).map_err(open_error)?;
        let Some(bytes) = bytes.filter(|bytes| sha256(&[bytes]) == part.digest) else {
            return Err(Corrupt::at(&file.path, 0, Some(first), "not the tags that were written").into());
        };
        let entries = usize::try_from(manifest.end - manifest.first).unwrap_or(0);
        let payload = bytes.split_at_checked(HEADER_LEN).map_or(&[][..], |(_, payload)| payload);
        Ok(payload.as_chunks::<TAGS_LEN>().0.iter().take(entries).map(tags_of).collect())
    }

    /// Tags of a whole bundle; none in a raw ledger.
    fn bundle_tags(&self, bundle: u64) -> Result<Vec<Tags>, ReadError> {
        let first = bundle.saturating_mul(BUNDLE);
        let Some(file) = self.audit_file(PartKind::Tags, first)? else { return Ok(Vec::new()) };
        let at = HEADER_BYTES + (first - file.first) * TAGS_BYTES;
        let bytes = file.read(at..at + BUNDLE * TAGS_BYTES)?;
        Ok(bytes.as_chunks::<TAGS_LEN>().0.iter().map(tags_of).collect())
    }

    /// One entry, its leaf checked against the stored hash.
    pub fn entry(&self, index: u64) -> Result<Entry, ReadError> {
        let (bundle, k) = (index / BUNDLE, usize::try_from(index % BUNDLE).unwrap_or(0));
        let file = self.file(PartKind::Leaves, index)?;
        let torn = |what| file.damage(bundle, index, what);
        let leaves = self.bundle(bundle)?;
        let leaf = codec::leaves_of(&leaves).map_err(torn)?.get(k).map(|leaf| leaf.to_vec()).unwrap_or_default();
        if self.leaf_hashes(index..index + 1)?.first() != Some(&Hash(sha256(&[&[0], &leaf]))) {
            return Err(torn("not the leaf that was hashed").into());
        }
        let body = self.some_bodies(bundle, &[], k..k + 1, u64::MAX, None)?.pop().flatten();
        Ok(Entry { index, leaf, body, tags: self.tags(index)? })
    }

    /// Duplicate tags of one entry; zero in a raw ledger.
    pub fn tags(&self, index: u64) -> Result<Tags, ReadError> {
        let Some(file) = self.audit_file(PartKind::Tags, index)? else { return Ok(Tags::default()) };
        let at = HEADER_BYTES + (index - file.first) * TAGS_BYTES;
        Ok(file.read(at..at + TAGS_BYTES)?.first_chunk().map(tags_of).unwrap_or_default())
    }

    /// Stored leaf hashes of a sealed range.
    pub fn leaf_hashes(&self, range: Range<u64>) -> Result<Vec<Hash>, ReadError> {
        self.hashes_by(range, 1, |set, index| index - set.first)
    }

    /// Roots of bundles: the hashes of level 8.
    pub fn bundle_roots(&self, bundles: Range<u64>) -> Result<Vec<Hash>, ReadError> {
        let place = |set: &OpenFile, bundle: u64| set.end - set.first + bundle - set.first / BUNDLE;
        let range = bundles.start * BUNDLE..bundles.end * BUNDLE;
        self.hashes_by(range, BUNDLE, place)
    }

    /// A bundle of leaves as stored: one gzip member.
    pub fn bundle_gzip(&self, bundle: u64) -> Result<Vec<u8>, ReadError> {
        self.file(PartKind::Leaves, bundle.saturating_mul(BUNDLE))?.bundle(bundle)
    }

    /// A bundle of leaves, inflated.
    pub fn bundle(&self, bundle: u64) -> Result<Vec<u8>, ReadError> {
        let first = bundle.saturating_mul(BUNDLE);
        let file = self.file(PartKind::Leaves, first)?;
        Ok(codec::gunzip(&file.bundle(bundle)?).map_err(|what| file.damage(bundle, first, what))?)
    }

    /// The bodies of a bundle: length u32, body each. `None` in a raw ledger.
    pub fn bodies(&self, bundle: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let first = bundle.saturating_mul(BUNDLE);
        let Some(file) = self.audit_file(PartKind::Bodies, first)? else { return Ok(None) };
        let bytes = codec::decompress_bodies(&file.bundle(bundle)?);
        Ok(Some(bytes.map_err(|what| file.damage(bundle, first, what))?))
    }

    /// The file that holds the leaf hash of an entry.
    pub fn tiles_of(&self, index: u64) -> PathBuf {
        let at = self.firsts.partition_point(|first| *first <= index).saturating_sub(1);
        self.dir.join(file_name(self.firsts.get(at).copied().unwrap_or(0), "tiles"))
    }

    /// Hashes of `unit` entries each over a range of entries; `place` gives the position within a set's file.
    fn hashes_by(
        &self,
        range: Range<u64>,
        unit: u64,
        place: impl Fn(&OpenFile, u64) -> u64,
    ) -> Result<Vec<Hash>, ReadError> {
        let mut out = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let file = self.file(PartKind::Tiles, at)?;
            let end = file.end.min(range.end);
            let from = HEADER_BYTES + place(&file, at / unit) * 32;
            let bytes = file.read(from..from + (end - at) / unit * 32)?;
            out.extend(bytes.as_chunks::<32>().0.iter().map(|chunk| Hash(*chunk)));
            at = end;
        }
        Ok(out)
    }

    /// A file of the set that holds an entry.
    fn file(&self, kind: PartKind, index: u64) -> Result<Arc<OpenFile>, ReadError> {
        if index >= self.end() {
            return Err(ReadError::BeyondTree { asked: index, size: self.end() });
        }
        let after = self.firsts.partition_point(|first| *first <= index);
        let first = after.checked_sub(1).and_then(|at| self.firsts.get(at)).copied().unwrap_or(0);
        let end = self.firsts.get(after).copied().unwrap_or(self.end());
        self.files.get(kind, first..end)
    }

    /// A file that only the sets of an audit ledger have.
    fn audit_file(&self, kind: PartKind, index: u64) -> Result<Option<Arc<OpenFile>>, ReadError> {
        if self.kind == Kind::Audit { self.file(kind, index).map(Some) } else { Ok(None) }
    }
}

/// The first entry of a manifest's name, strictly as written.
fn seal_first(name: &str) -> Option<u64> {
    let first = name.strip_suffix(".seal")?.parse().ok()?;
    (file_name(first, "seal") == name).then_some(first)
}

/// The first entry of any file of a set by its name, strictly as written; `None` for manifests and other names.
fn part_first(name: &str) -> Option<u64> {
    let (digits, extension) = name.split_once('.')?;
    let first = digits.parse().ok()?;
    let known = ["leaves", "tiles", "bodies", "tags"].contains(&extension);
    (known && file_name(first, extension) == name).then_some(first)
}

fn tags_of(bytes: &[u8; TAGS_LEN]) -> Tags {
    let (identity, content) = bytes
        .as_chunks::<16>()
        .0
        .split_first()
        .map_or(([0; 16], [0; 16]), |(first, rest)| (*first, rest.first().copied().unwrap_or_default()));
    Tags { identity, content }
}

/// A read that fails while the ledger is being opened.
pub(crate) fn open_error(error: ReadError) -> OpenError {
    match error {
        ReadError::Corrupt(corrupt) => OpenError::Corrupt(corrupt),
        ReadError::Io { call, path, source } => OpenError::Io { call, path, source },
        _ => OpenError::Refused("a sealed entry that is not there"),
    }
}
