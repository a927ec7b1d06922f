//! Makes one sealed set, whole or not at all: the manifest is written last, after everything else was read back.
//!
//! Reads no segment, and takes no set up.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest;
use tlog::{Frontier, Hash};

use super::pack::{Packer, Raw};
use super::stream::{FrameWriter, LARGE_BYTES};
use super::{BUNDLE, BUNDLE_LEN, check, file_name};
use crate::durable::{Disk, DiskFile};
use crate::error::{Corrupt, OpenError};
use crate::parallel;
use crate::sealed::{Manifest, Part};
use crate::types::{BodyDigest, Kind, Tags};

/// Bytes that are gathered before a write.
const WRITE_BYTES: usize = 1 << 20;

/// What a set continues.
#[derive(Clone, Debug)]
pub struct SetSpec {
    /// Origin of the ledger.
    pub origin: String,
    /// With bodies and tags, or without.
    pub kind: Kind,
    /// The tree before the first entry of the set.
    pub frontier: Frontier,
    /// The index behind its last entry.
    pub end: u64,
    /// Digest of the manifest before, of `LEDGER` for the first set.
    pub previous: [u8; 32],
    /// Level of gzip for leaves.
    pub gzip_level: u32,
    /// Level of zstd for bodies.
    pub zstd_level: i32,
    /// Threads that compress, sync and read back.
    pub threads: usize,
}

/// A set that is being written. Dropped unfinished it leaves `.tmp` files, which the next start removes.
pub struct SetWriter {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    spec: SetSpec,
    first: u64,
    leaves: PartWriter,
    audit: Option<(PartWriter, PartWriter)>,
    hashes: Vec<Hash>,
    /// Roots of the bundles that were packed.
    roots: Vec<Hash>,
    packer: Packer,
    bundle: Raw,
    /// In the place of the bundle's bodies while a large bundle is written.
    large: Option<FrameWriter>,
    tag_bundle: Vec<u8>,
    tag_digests: Vec<u8>,
    received: Option<(u64, u64)>,
}

impl SetWriter {
    /// Starts a set in the folder `sealed/`. Files of an earlier attempt are replaced.
    pub fn begin(disk: &Arc<dyn Disk>, dir: &Path, spec: SetSpec) -> Result<SetWriter, OpenError> {
        let first = spec.frontier.size();
        if !first.is_multiple_of(BUNDLE) {
            return Err(OpenError::Refused("a sealed set begins with a whole bundle"));
        }
        let seal = dir.join(file_name(first, "seal"));
        if disk.exists(&seal).map_err(OpenError::io("look for", &seal))? {
            return Err(OpenError::Refused("a sealed set of that name exists"));
        }
        if spec.end <= first || !spec.end.is_multiple_of(BUNDLE) {
            return Err(OpenError::Refused("a sealed set covers whole bundles"));
        }
        let part = |extension, magic| PartWriter::begin(disk, dir, first..spec.end, extension, magic);
        let leaves = part("leaves", b"PBLEAF01")?;
        let audit = match spec.kind {
            Kind::Audit => Some((part("bodies", b"PBBODY01")?, part("tags", b"PBTAGS01")?)),
            Kind::Raw => None,
        };
        Ok(SetWriter {
            packer: Packer::new(spec.threads, spec.gzip_level, spec.zstd_level),
            disk: Arc::clone(disk),
            dir: dir.to_path_buf(),
            spec,
            first,
            leaves,
            audit,
            hashes: Vec::new(),
            roots: Vec::new(),
            bundle: Raw::default(),
            large: None,
            tag_bundle: Vec::new(),
            tag_digests: Vec::new(),
            received: None,
        })
    }

    /// Writes all whole bundles so far; gives the tree with them.
    pub(crate) fn flush(&mut self) -> Result<&Frontier, OpenError> {
        self.pack()?;
        Ok(&self.spec.frontier)
    }

    /// Adds the next entry.
    pub fn push(&mut self, leaf: &[u8], body: Option<&[u8]>, tags: Tags, received_at: u64) -> Result<(), OpenError> {
        self.push_hashed(leaf, Hash(sha256(&[&[0], leaf])), body, tags, received_at)
    }

    /// Adds the next entry, whose leaf hash is known. `finish` reads the leaf back and refuses another one.
    pub(crate) fn push_hashed(
        &mut self,
        leaf: &[u8],
        hash: Hash,
        body: Option<&[u8]>,
        tags: Tags,
        received_at: u64,
    ) -> Result<(), OpenError> {
        if !tlog::push_entry(&mut self.bundle.leaves, leaf) {
            return Err(OpenError::Refused("a leaf is longer than a bundle can hold"));
        }
        self.hashes.push(hash);
        if let Some((bodies, _)) = &mut self.audit {
            match &mut self.large {
                Some(frame) => {
                    frame.push(body).map_err(OpenError::io("compress", &bodies.tmp))?;
                    bodies.put(&frame.take())?;
                }
                None if tlog::push_body(&mut self.bundle.bodies, body) => {}
                None => return Err(OpenError::Refused("a body is longer than a bundle can hold")),
            }
            self.tag_bundle.extend_from_slice(&tags.identity);
            self.tag_bundle.extend_from_slice(&tags.content);
        } else if body.is_some() {
            return Err(OpenError::Refused("an entry of a raw ledger has no body"));
        }
        self.received = Some((self.received.map_or(received_at, |(from, _)| from), received_at));
        if self.hashes.len().is_multiple_of(BUNDLE_LEN) {
            self.end_bundle()?;
        }
        Ok(())
    }

    /// The bundle that begins with the next entry has so many bytes of bodies, their lengths included: where they are
    /// many, they are written as they come.
    pub(crate) fn expect_bodies(&mut self, bytes: u64) -> Result<(), OpenError> {
        let begins = self.hashes.len().is_multiple_of(BUNDLE_LEN) && self.large.is_none();
        if self.audit.is_none() || !begins || bytes <= LARGE_BYTES {
            return Ok(());
        }
        // The bundles before it come first in the file.
        self.pack()?;
        if let Some((bodies, _)) = &mut self.audit {
            let frame = FrameWriter::new(self.spec.zstd_level, bytes);
            self.large = Some(frame.map_err(OpenError::io("compress", &bodies.tmp))?);
            bodies.bundle(&[])?;
        }
        Ok(())
    }

    fn end_bundle(&mut self) -> Result<(), OpenError> {
        if let Some((bodies, tags)) = &mut self.audit {
            if let Some(large) = self.large.take() {
                bodies.put(&large.finish().map_err(OpenError::io("compress", &bodies.tmp))?)?;
            }
            tags.put(&self.tag_bundle)?;
            self.tag_digests.extend_from_slice(&sha256(&[&self.tag_bundle]));
            self.tag_bundle.clear();
        }
        let fresh = self.packer.fresh();
        self.packer.waiting.push(std::mem::replace(&mut self.bundle, fresh));
        if self.packer.is_full() { self.pack() } else { Ok(()) }
    }

    /// Compresses and writes the bundles that wait.
    fn pack(&mut self) -> Result<(), OpenError> {
        let hashes = self.hashes.get(self.roots.len() * BUNDLE_LEN..).unwrap_or_default();
        let packed = self.packer.pack(hashes).map_err(OpenError::io("compress", &self.leaves.tmp))?;
        for bundle in packed {
            if !self.spec.frontier.push_subtree(bundle.root, BUNDLE) {
                return Err(OpenError::Refused("a sealed set begins with a whole bundle"));
            }
            self.roots.push(bundle.root);
            self.leaves.bundle(&bundle.leaves)?;
            // A bundle in an audit ledger is never empty, for it has lengths: an empty one is written already.
            if let Some((bodies, _)) = self.audit.as_mut().filter(|_| !bundle.bodies.is_empty()) {
                bodies.bundle(&bundle.bodies)?;
            }
        }
        Ok(())
    }

    /// Writes what is left, reads everything back, then writes the manifest; returned = the set is durable.
    ///
    /// `root` is what the log knows for the size reached, where it knows it.
    pub fn finish(mut self, body_digest: &BodyDigest, root: Option<&Hash>) -> Result<Manifest, OpenError> {
        self.pack()?;
        let end = self.spec.end;
        let whole = self.first + self.hashes.len() as u64 == end;
        let Some(received) = self.received.filter(|_| whole) else {
            return Err(OpenError::Refused("a sealed set ends where it was said to end"));
        };
        let seal = self.dir.join(file_name(self.first, "seal"));
        if root.is_some_and(|root| *root != self.spec.frontier.root()) {
            return Err(Corrupt::at(&seal, 0, Some(self.first), "the entries do not give the root of the log").into());
        }
        let tiles = self.tiles()?;
        self.leaves.offsets()?;
        let mut parts = vec![tiles, self.leaves];
        if let Some((mut bodies, mut tags)) = self.audit {
            bodies.offsets()?;
            tags.put(&self.tag_digests)?;
            parts.extend([bodies, tags]);
        }
        // Together: most of the time goes by while the device takes what was written.
        let parts: Vec<Mutex<PartWriter>> = parts.into_iter().map(Mutex::new).collect();
        let finished = parallel::map(
            self.spec.threads,
            parts.len(),
            || Ok(()),
            |at, ()| {
                let part = parts.get(at).map(|part| part.lock().unwrap_or_else(PoisonError::into_inner));
                Ok(part.map(|mut part| part.finish()))
            },
        );
        let finished = finished.map_err(OpenError::io("write", &self.dir))?;
        let mut finished = finished.into_iter().flatten();
        let mut next = || finished.next().transpose();
        let (tiles, leaves, bodies, tags) = (next()?, next()?, next()?, next()?);
        let (Some(tiles), Some(leaves)) = (tiles, leaves) else {
            return Err(OpenError::Refused("a sealed set has leaves and tiles"));
        };
        // Crash: files without a manifest; the next start removes them.
        self.disk.sync_dir(&self.dir).map_err(OpenError::io("sync", &self.dir))?;
        let manifest = Manifest {
            origin: self.spec.origin,
            first: self.first,
            end,
            received,
            frontier: self.spec.frontier,
            leaves,
            bodies: bodies.map(|part| part.bytes),
            tags,
            tiles,
            previous: self.spec.previous,
        };
        let checked = check::check_set(&*self.disk, &self.dir, &manifest, body_digest, self.spec.threads)?;
        if let Some(finding) = checked.findings.first() {
            let at = finding.bytes.as_ref().map_or(0, |bytes| bytes.start);
            let index = finding.entries.as_ref().map(|entries| entries.start);
            let what = format!("read back after writing: {}", finding.detail);
            return Err(Corrupt::at(&self.dir.join(&finding.file), at, index, what).into());
        }
        if checked.hashes != self.hashes {
            return Err(Corrupt::at(&seal, 0, Some(self.first), "read back other leaves than were written").into());
        }
        write_whole(&self.disk, &self.dir, &file_name(self.first, "seal"), manifest.to_text().as_bytes())?;
        Ok(manifest)
    }

    fn tiles(&self) -> Result<PartWriter, OpenError> {
        let range = self.first..self.spec.end;
        let mut tiles = PartWriter::begin(&self.disk, &self.dir, range, "tiles", b"PBTILE01")?;
        for hash in self.hashes.iter().chain(&self.roots) {
            tiles.put(&hash.0)?;
        }
        Ok(tiles)
    }
}

/// One binary file of a set; its digest is taken of what is written, before it is written.
struct PartWriter {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    tmp: PathBuf,
    path: PathBuf,
    buffer: Vec<u8>,
    written: u64,
    digest: digest::Context,
    offsets: Vec<u64>,
}

impl PartWriter {
    fn begin(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        entries: Range<u64>,
        extension: &str,
        magic: &[u8; 8],
    ) -> Result<PartWriter, OpenError> {
        let path = dir.join(file_name(entries.start, extension));
        let tmp = dir.join(file_name(entries.start, &format!("{extension}.tmp")));
        for old in [&tmp, &path] {
            if disk.exists(old).map_err(OpenError::io("look for", old))? {
                disk.remove(old).map_err(OpenError::io("remove", old))?;
            }
        }
        let file = disk.create_new(&tmp).map_err(OpenError::io("create", &tmp))?;
        let mut buffer = Vec::with_capacity(WRITE_BYTES + WRITE_BYTES / 4);
        buffer.extend_from_slice(magic);
        buffer.extend_from_slice(&entries.start.to_be_bytes());
        buffer.extend_from_slice(&entries.end.to_be_bytes());
        let (disk, digest) = (Arc::clone(disk), digest::Context::new(&digest::SHA256));
        Ok(PartWriter { disk, file, tmp, path, buffer, written: 0, digest, offsets: Vec::new() })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), OpenError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn bundle(&mut self, bytes: &[u8]) -> Result<(), OpenError> {
        self.offsets.push(self.end());
        self.put(bytes)
    }

    fn offsets(&mut self) -> Result<(), OpenError> {
        self.offsets.push(self.end());
        for offset in std::mem::take(&mut self.offsets) {
            self.put(&offset.to_be_bytes())?;
        }
        Ok(())
    }

    fn end(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn flush(&mut self) -> Result<(), OpenError> {
        self.digest.update(&self.buffer);
        self.file.write_all_at(&[&self.buffer], self.written).map_err(OpenError::io("write", &self.tmp))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Trailer, sync, rename. The folder is synced by the caller.
    fn finish(&mut self) -> Result<Part, OpenError> {
        self.digest.update(&self.buffer);
        let trailer = self.digest.clone().finish();
        self.digest.update(trailer.as_ref());
        let rest = [&self.buffer[..], trailer.as_ref()];
        self.file.write_all_at(&rest, self.written).map_err(OpenError::io("write", &self.tmp))?;
        self.file.sync_data().map_err(OpenError::io("sync", &self.tmp))?;
        self.disk.rename(&self.tmp, &self.path).map_err(OpenError::io("rename", &self.tmp))?;
        self.file.drop_cache();
        let digest = self.digest.clone().finish().as_ref().try_into().unwrap_or([0; 32]);
        Ok(Part { bytes: self.end() + trailer.as_ref().len() as u64, digest })
    }
}

/// Feeds a range of a file to a digest.
pub(crate) fn hash_range(file: &dyn DiskFile, range: Range<u64>, context: &mut digest::Context) -> std::io::Result<()> {
    let mut at = range.start;
    let mut part = Vec::new();
    while at < range.end {
        part.resize(usize::try_from((range.end - at).min(WRITE_BYTES as u64)).unwrap_or(WRITE_BYTES), 0);
        file.read_exact_at(&mut part, at)?;
        context.update(&part);
        at += part.len() as u64;
    }
    Ok(())
}

pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().try_into().unwrap_or([0; 32])
}

/// A small file, whole under its name or absent.
pub(crate) fn write_whole(disk: &Arc<dyn Disk>, dir: &Path, name: &str, bytes: &[u8]) -> Result<(), OpenError> {
    let path = dir.join(name);
    let tmp = dir.join(format!("{name}.tmp"));
    let failed = |source| OpenError::Io { call: "write", path: path.clone(), source };
    if disk.exists(&tmp).map_err(failed)? {
        disk.remove(&tmp).map_err(failed)?;
    }
    let file = disk.create_new(&tmp).map_err(failed)?;
    file.write_all_at(&[bytes], 0).map_err(failed)?;
    file.sync_data().map_err(failed)?;
    // Crash: `.tmp`, ignored. After the rename: the set exists or not, by what the folder's sync reached.
    disk.rename(&tmp, &path).map_err(failed)?;
    disk.sync_dir(dir).map_err(failed)
}
