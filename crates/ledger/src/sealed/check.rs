//! Judges one sealed set byte by byte (docs/formats/verdicts.md, sealed sets). Trusts the manifest it is handed.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest;
use tlog::Hash;

use super::write::{hash_range, sha256};
use super::{BUNDLE, BUNDLE_LEN, HEADER_BYTES, Manifest, TAGS_BYTES, TRAILER_BYTES, codec, file_name};
use crate::durable::{Disk, DiskFile};
use crate::error::OpenError;
use crate::types::BodyDigest;
use crate::verdict::{Code, Finding};

/// What the check of a set found.
#[derive(Debug)]
pub struct CheckedSet {
    /// Empty where every byte is as it was written.
    pub findings: Vec<Finding>,
    /// Leaf hashes: of the leaves, of a bundle that does not decode those that `.tiles` holds.
    pub hashes: Vec<Hash>,
}

struct Checker<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    set: &'a Manifest,
    findings: Vec<Finding>,
}

/// One file of the set, measured and hashed.
struct Opened {
    name: String,
    file: Arc<dyn DiskFile>,
    len: u64,
    suspect: bool,
}

/// Checks every byte of the files that a manifest names.
///
/// Errors: only where the system refuses to read; damage is a finding.
pub fn check_set(
    disk: &dyn Disk,
    dir: &Path,
    set: &Manifest,
    body_digest: &BodyDigest,
) -> Result<CheckedSet, OpenError> {
    let mut checker = Checker { disk, dir, set, findings: Vec::new() };
    let hashes = checker.run(body_digest).map_err(OpenError::io("check the sealed set in", dir))?;
    Ok(CheckedSet { findings: checker.findings, hashes })
}

impl Checker<'_> {
    fn run(&mut self, body_digest: &BodyDigest) -> io::Result<Vec<Hash>> {
        let leaves = self.open("leaves", b"PBLEAF01", self.set.leaves.bytes, Some(self.set.leaves.digest))?;
        let tiles = self.open("tiles", b"PBTILE01", self.set.tiles.bytes, Some(self.set.tiles.digest))?;
        let bodies = match self.set.bodies {
            Some(bytes) => self.open("bodies", b"PBBODY01", bytes, None)?,
            None => None,
        };
        let tags = match self.set.tags {
            Some(tags) => self.open("tags", b"PBTAGS01", tags.bytes, Some(tags.digest))?,
            None => None,
        };
        let stored = tiles.as_ref().map(|tiles| self.stored_hashes(tiles)).transpose()?.unwrap_or_default();
        let hashes = self.bundles(leaves.as_ref(), tiles.as_ref(), bodies.as_ref(), &stored, body_digest)?;
        if let Some(tags) = &tags {
            self.tags(tags)?;
        }
        for opened in [leaves, tiles, bodies, tags].into_iter().flatten() {
            // Nobody asked for these bytes: they leave the room in memory to those that somebody reads.
            opened.file.drop_cache();
            if opened.suspect && !self.findings.iter().any(|finding| finding.file == opened.name) {
                let range = 0..opened.len;
                self.find(Code::FileAltered, &opened.name, range, self.all(), "bytes around the bundles differ");
            }
        }
        Ok(hashes)
    }

    fn bundle_count(&self) -> usize {
        usize::try_from((self.set.end - self.set.first) / BUNDLE).unwrap_or(0)
    }

    fn all(&self) -> Range<u64> {
        self.set.first..self.set.end
    }

    fn entries_of(&self, bundle: usize) -> Range<u64> {
        let first = self.set.first + bundle as u64 * BUNDLE;
        first..first + BUNDLE
    }

    fn find(&mut self, code: Code, file: &str, bytes: Range<u64>, entries: Range<u64>, detail: &'static str) {
        let file = file.to_owned();
        self.findings.push(Finding { code, file, bytes: Some(bytes), entries: Some(entries), detail });
    }

    /// Opens and hashes a file; a missing one is a finding.
    fn open(
        &mut self,
        extension: &str,
        magic: &[u8; 8],
        bytes: u64,
        whole: Option<[u8; 32]>,
    ) -> io::Result<Option<Opened>> {
        let name = file_name(self.set.first, extension);
        let file = match self.disk.open(&self.dir.join(&name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let entries = Some(self.all());
                let detail = "the manifest names a file that is not there";
                self.findings.push(Finding { code: Code::FileMissing, file: name, bytes: None, entries, detail });
                return Ok(None);
            }
            other => other?,
        };
        let len = file.len()?;
        let mut suspect = len != bytes || len < HEADER_BYTES + TRAILER_BYTES;
        if !suspect {
            // What lies on the device counts.
            file.drop_cache();
            let mut context = digest::Context::new(&digest::SHA256);
            hash_range(&*file, 0..len - TRAILER_BYTES, &mut context)?;
            let (mut header, mut trailer) = ([0; 24], [0; 32]);
            file.read_exact_at(&mut header, 0)?;
            file.read_exact_at(&mut trailer, len - TRAILER_BYTES)?;
            suspect = context.clone().finish().as_ref() != trailer;
            context.update(&trailer);
            suspect |= whole.is_some_and(|digest| context.finish().as_ref() != digest);
            let wanted = [&magic[..], &self.set.first.to_be_bytes(), &self.set.end.to_be_bytes()].concat();
            suspect |= header[..] != wanted[..];
        }
        Ok(Some(Opened { name, file, len, suspect }))
    }

    /// Leaf hashes as `.tiles` holds them; shorter where the file is.
    fn stored_hashes(&mut self, tiles: &Opened) -> io::Result<Vec<Hash>> {
        let count = self.bundle_count() * (BUNDLE_LEN + 1);
        let there = (tiles.len.saturating_sub(HEADER_BYTES) / 32).min(count as u64);
        if there == 0 {
            return Ok(Vec::new());
        }
        let mut bytes = vec![0; usize::try_from(there * 32).unwrap_or(0)];
        tiles.file.read_exact_at(&mut bytes, HEADER_BYTES)?;
        Ok(bytes.as_chunks::<32>().0.iter().map(|chunk| Hash(*chunk)).collect())
    }

    /// The offsets of a file's bundles, if they can be the ones that were written.
    fn offsets(&self, opened: &Opened) -> io::Result<Option<Vec<u64>>> {
        let table = (self.bundle_count() as u64 + 1) * 8;
        let Some(at) = opened.len.checked_sub(table + TRAILER_BYTES).filter(|at| *at >= HEADER_BYTES) else {
            return Ok(None);
        };
        let mut bytes = vec![0; usize::try_from(table).unwrap_or(0)];
        opened.file.read_exact_at(&mut bytes, at)?;
        let offsets: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_be_bytes(*chunk)).collect();
        let fits = offsets.first() == Some(&HEADER_BYTES) && offsets.last() == Some(&at) && offsets.is_sorted();
        Ok(fits.then_some(offsets))
    }

    fn bundles(
        &mut self,
        leaves: Option<&Opened>,
        tiles: Option<&Opened>,
        bodies: Option<&Opened>,
        stored: &[Hash],
        body_digest: &BodyDigest,
    ) -> io::Result<Vec<Hash>> {
        let (leaf_at, body_at) = (self.places(leaves, Code::EntryAltered)?, self.places(bodies, Code::BodyAltered)?);
        let mut hashes = Vec::with_capacity(self.bundle_count() * BUNDLE_LEN);
        for bundle in 0..self.bundle_count() {
            let from = bundle * BUNDLE_LEN;
            let tile = stored.get(from..from + BUNDLE_LEN).unwrap_or_default();
            let root = stored.get(self.bundle_count() * BUNDLE_LEN + bundle);
            let decoded = match (leaves, leaf_at.as_ref().and_then(|at| place(at, bundle))) {
                (Some(leaves), Some(range)) => self.leaf_bundle(leaves, bundle, range)?,
                _ => None,
            };
            let Some((bundle_bytes, range)) = decoded else {
                hashes.extend_from_slice(tile);
                continue;
            };
            let entries = codec::leaves_of(&bundle_bytes).unwrap_or_default();
            let found: Vec<Hash> = entries.iter().map(|leaf| Hash(sha256(&[&[0], leaf]))).collect();
            self.compare(bundle, &found, tile, root, leaves, tiles, range);
            if let (Some(bodies), Some(range)) = (bodies, body_at.as_ref().and_then(|at| place(at, bundle))) {
                self.body_bundle(bodies, bundle, range, &entries, body_digest)?;
            }
            hashes.extend(found);
        }
        Ok(hashes)
    }

    fn places(&mut self, opened: Option<&Opened>, code: Code) -> io::Result<Option<Vec<u64>>> {
        let Some(opened) = opened else { return Ok(None) };
        let offsets = self.offsets(opened)?;
        if offsets.is_none() {
            self.find(code, &opened.name, 0..opened.len, self.all(), "the offsets of the bundles are not in order");
        }
        Ok(offsets)
    }

    fn leaf_bundle(
        &mut self,
        leaves: &Opened,
        bundle: usize,
        range: Range<u64>,
    ) -> io::Result<Option<(Vec<u8>, Range<u64>)>> {
        let member = read(&*leaves.file, range.clone())?;
        let decoded = codec::gunzip(&member).and_then(|bytes| codec::leaves_of(&bytes).map(drop).map(|()| bytes));
        match decoded {
            Ok(bytes) => Ok(Some((bytes, range))),
            Err(why) => {
                self.find(Code::EntryAltered, &leaves.name, range, self.entries_of(bundle), why);
                Ok(None)
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "two files and what each holds of one bundle")]
    fn compare(
        &mut self,
        bundle: usize,
        found: &[Hash],
        tile: &[Hash],
        root: Option<&Hash>,
        leaves: Option<&Opened>,
        tiles: Option<&Opened>,
        member: Range<u64>,
    ) {
        let (Some(leaves), Some(tiles)) = (leaves, tiles) else { return };
        let first = self.entries_of(bundle).start;
        for (k, hash) in found.iter().enumerate() {
            let entry = first + k as u64;
            if tile.get(k) == Some(hash) {
                continue;
            }
            if tiles.suspect && !leaves.suspect {
                let at = HEADER_BYTES + (entry - self.set.first) * 32;
                let detail = "not the hash of the stored leaf";
                self.find(Code::TileAltered, &tiles.name, at..at + 32, entry..entry + 1, detail);
            } else {
                let detail = "not the leaf that was hashed";
                self.find(Code::EntryAltered, &leaves.name, member.clone(), entry..entry + 1, detail);
            }
        }
        if root != Some(&tlog::perfect_root(found)) && found.iter().zip(tile).all(|(a, b)| a == b) {
            let at = HEADER_BYTES + (self.set.end - self.set.first + bundle as u64) * 32;
            let detail = "not the root of the bundle's leaves";
            self.find(Code::TileAltered, &tiles.name, at..at + 32, self.entries_of(bundle), detail);
        }
    }

    fn body_bundle(
        &mut self,
        bodies: &Opened,
        bundle: usize,
        range: Range<u64>,
        leaves: &[&[u8]],
        body_digest: &BodyDigest,
    ) -> io::Result<()> {
        let frame = read(&*bodies.file, range.clone())?;
        let bytes = match codec::decompress_bodies(&frame) {
            Ok(bytes) => bytes,
            Err(why) => {
                self.find(Code::BodyAltered, &bodies.name, range, self.entries_of(bundle), why);
                return Ok(());
            }
        };
        let found = match codec::bodies_of(&bytes) {
            Ok(found) => found,
            Err(why) => {
                self.find(Code::BodyAltered, &bodies.name, range, self.entries_of(bundle), why);
                return Ok(());
            }
        };
        let first = self.entries_of(bundle).start;
        for (k, (leaf, body)) in leaves.iter().zip(found).enumerate() {
            let entry = first + k as u64..first + k as u64 + 1;
            match (body_digest(leaf), body) {
                (Some(digest), Some(body)) if sha256(&[body]) == digest => {}
                (None, None) => {}
                (Some(_), None) => {
                    self.find(Code::BodyMissing, &bodies.name, range.clone(), entry, "the body is absent");
                }
                _ => {
                    let detail = "not the body that the leaf names";
                    self.find(Code::BodyAltered, &bodies.name, range.clone(), entry, detail);
                }
            }
        }
        Ok(())
    }

    fn tags(&mut self, tags: &Opened) -> io::Result<()> {
        let bundle_bytes = BUNDLE * TAGS_BYTES;
        let digests = HEADER_BYTES + self.bundle_count() as u64 * bundle_bytes;
        for bundle in 0..self.bundle_count() {
            let at = HEADER_BYTES + bundle as u64 * bundle_bytes;
            let digest = digests + bundle as u64 * 32;
            if digest + 32 > tags.len {
                // Cut: the file as a whole is named.
                return Ok(());
            }
            let bytes = read(&*tags.file, at..at + bundle_bytes)?;
            if sha256(&[&bytes])[..] != read(&*tags.file, digest..digest + 32)?[..] {
                let range = at..at + bundle_bytes;
                let detail = "not the tags that were written";
                self.find(Code::TagsAltered, &tags.name, range, self.entries_of(bundle), detail);
            }
        }
        Ok(())
    }
}

fn place(offsets: &[u64], bundle: usize) -> Option<Range<u64>> {
    Some(*offsets.get(bundle)?..*offsets.get(bundle + 1)?)
}

/// Bytes of a range that lies within the file: its length was checked before.
pub(crate) fn read(file: &dyn DiskFile, range: Range<u64>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0)];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes)
}
