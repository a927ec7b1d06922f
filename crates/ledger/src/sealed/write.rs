//! Makes one sealed set, whole or not at all: the manifest is written last, after everything else was read back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;
use tlog::{Frontier, Hash};

use super::stream::{FrameWriter, LARGE_BYTES};
use super::{BUNDLE, BUNDLE_LEN, check, codec, file_name};
use crate::durable::{Disk, DiskFile};
use crate::error::{Corrupt, OpenError};
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
    /// Digest of the manifest before, of `LEDGER` for the first set.
    pub previous: [u8; 32],
    /// Level of gzip for leaves.
    pub gzip_level: u32,
    /// Level of zstd for bodies.
    pub zstd_level: i32,
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
    gzip: codec::Gzip,
    zstd: codec::Zstd,
    leaf_bundle: Vec<u8>,
    body_bundle: Vec<u8>,
    /// In the place of `body_bundle` while a large bundle is written.
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
        let part = |extension, magic| PartWriter::begin(disk, dir, first, extension, magic);
        let leaves = part("leaves", b"PBLEAF01")?;
        let audit = match spec.kind {
            Kind::Audit => Some((part("bodies", b"PBBODY01")?, part("tags", b"PBTAGS01")?)),
            Kind::Raw => None,
        };
        Ok(SetWriter {
            gzip: codec::Gzip::new(spec.gzip_level),
            zstd: codec::Zstd::new(spec.zstd_level).map_err(OpenError::io("compress", dir))?,
            disk: Arc::clone(disk),
            dir: dir.to_path_buf(),
            spec,
            first,
            leaves,
            audit,
            hashes: Vec::new(),
            leaf_bundle: Vec::new(),
            body_bundle: Vec::new(),
            large: None,
            tag_bundle: Vec::new(),
            tag_digests: Vec::new(),
            received: None,
        })
    }

    /// The tree with all entries so far.
    pub(crate) fn frontier(&self) -> &Frontier {
        &self.spec.frontier
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
        if !tlog::push_entry(&mut self.leaf_bundle, leaf) {
            return Err(OpenError::Refused("a leaf is longer than a bundle can hold"));
        }
        self.spec.frontier.push(hash);
        self.hashes.push(hash);
        if let Some((bodies, _)) = &mut self.audit {
            match &mut self.large {
                Some(frame) => {
                    frame.push(body).map_err(OpenError::io("compress", &bodies.tmp))?;
                    bodies.put(&frame.take())?;
                }
                None if tlog::push_body(&mut self.body_bundle, body) => {}
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
        if let Some((bodies, _)) = self.audit.as_mut().filter(|_| begins && bytes > LARGE_BYTES) {
            let frame = FrameWriter::new(self.spec.zstd_level, bytes);
            self.large = Some(frame.map_err(OpenError::io("compress", &bodies.tmp))?);
            bodies.bundle(&[])?;
        }
        Ok(())
    }

    fn end_bundle(&mut self) -> Result<(), OpenError> {
        let path = &self.leaves.tmp;
        let member = self.gzip.member(&self.leaf_bundle).map_err(OpenError::io("compress", path))?;
        self.leaves.bundle(member)?;
        self.leaf_bundle.clear();
        if let Some((bodies, tags)) = &mut self.audit {
            match self.large.take() {
                Some(frame) => bodies.put(&frame.finish().map_err(OpenError::io("compress", &bodies.tmp))?)?,
                None => {
                    let frame = self.zstd.frame(&self.body_bundle).map_err(OpenError::io("compress", &bodies.tmp))?;
                    bodies.bundle(frame)?;
                    self.body_bundle.clear();
                }
            }
            tags.put(&self.tag_bundle)?;
            self.tag_digests.extend_from_slice(&sha256(&[&self.tag_bundle]));
            self.tag_bundle.clear();
        }
        Ok(())
    }

    /// Writes what is left, reads everything back, then writes the manifest; returned = the set is durable.
    ///
    /// `root` is what the log knows for the size reached, where it knows it.
    pub fn finish(mut self, body_digest: &BodyDigest, root: Option<&Hash>) -> Result<Manifest, OpenError> {
        let end = self.spec.frontier.size();
        let Some(received) = self.received.filter(|_| self.hashes.len().is_multiple_of(BUNDLE_LEN)) else {
            return Err(OpenError::Refused("a sealed set covers whole bundles"));
        };
        let seal = self.dir.join(file_name(self.first, "seal"));
        if root.is_some_and(|root| *root != self.spec.frontier.root()) {
            return Err(Corrupt::at(&seal, 0, Some(self.first), "the entries do not give the root of the log").into());
        }
        let tiles = self.write_tiles(end)?;
        self.leaves.offsets()?;
        let leaves = self.leaves.finish(end)?;
        let (mut bodies, mut tags) = (None, None);
        if let Some((mut body_writer, mut tag_writer)) = self.audit {
            body_writer.offsets()?;
            bodies = Some(body_writer.finish(end)?.bytes);
            tag_writer.put(&self.tag_digests)?;
            tags = Some(tag_writer.finish(end)?);
        }
        // Crash: files without a manifest; the next start removes them.
        self.disk.sync_dir(&self.dir).map_err(OpenError::io("sync", &self.dir))?;
        let manifest = Manifest {
            origin: self.spec.origin,
            first: self.first,
            end,
            received,
            frontier: self.spec.frontier,
            leaves,
            bodies,
            tags,
            tiles,
            previous: self.spec.previous,
        };
        let checked = check::check_set(&*self.disk, &self.dir, &manifest, body_digest)?;
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

    fn write_tiles(&self, end: u64) -> Result<Part, OpenError> {
        let mut tiles = PartWriter::begin(&self.disk, &self.dir, self.first, "tiles", b"PBTILE01")?;
        for hash in &self.hashes {
            tiles.put(&hash.0)?;
        }
        for bundle in self.hashes.chunks(BUNDLE_LEN) {
            tiles.put(&tlog::perfect_root(bundle).0)?;
        }
        tiles.finish(end)
    }
}

/// One binary file of a set. The header names the end, which is known last: the digest is fed when it is.
struct PartWriter {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    tmp: PathBuf,
    path: PathBuf,
    dir_first: u64,
    magic: [u8; 8],
    buffer: Vec<u8>,
    written: u64,
    offsets: Vec<u64>,
}

impl PartWriter {
    fn begin(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        first: u64,
        extension: &str,
        magic: &[u8; 8],
    ) -> Result<PartWriter, OpenError> {
        let path = dir.join(file_name(first, extension));
        let tmp = dir.join(file_name(first, &format!("{extension}.tmp")));
        for old in [&tmp, &path] {
            if disk.exists(old).map_err(OpenError::io("look for", old))? {
                disk.remove(old).map_err(OpenError::io("remove", old))?;
            }
        }
        let file = disk.create_new(&tmp).map_err(OpenError::io("create", &tmp))?;
        let mut buffer = Vec::with_capacity(WRITE_BYTES + WRITE_BYTES / 4);
        buffer.extend_from_slice(magic);
        buffer.extend_from_slice(&first.to_be_bytes());
        buffer.extend_from_slice(&[0; 8]);
        Ok(PartWriter {
            disk: Arc::clone(disk),
            file,
            tmp,
            path,
            dir_first: first,
            magic: *magic,
            buffer,
            written: 0,
            offsets: Vec::new(),
        })
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
        self.file.write_all_at(&[&self.buffer], self.written).map_err(OpenError::io("write", &self.tmp))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Header, trailer, sync, rename. The folder is synced by the caller.
    fn finish(mut self, end: u64) -> Result<Part, OpenError> {
        self.flush()?;
        let mut header = self.magic.to_vec();
        header.extend_from_slice(&self.dir_first.to_be_bytes());
        header.extend_from_slice(&end.to_be_bytes());
        self.file.write_all_at(&[&header], 0).map_err(OpenError::io("write", &self.tmp))?;
        let mut context = digest::Context::new(&digest::SHA256);
        hash_range(&*self.file, 0..self.written, &mut context).map_err(OpenError::io("read", &self.tmp))?;
        let trailer = context.clone().finish();
        context.update(trailer.as_ref());
        self.file.write_all_at(&[trailer.as_ref()], self.written).map_err(OpenError::io("write", &self.tmp))?;
        self.file.sync_data().map_err(OpenError::io("sync", &self.tmp))?;
        self.disk.rename(&self.tmp, &self.path).map_err(OpenError::io("rename", &self.tmp))?;
        self.file.drop_cache();
        let digest = context.finish().as_ref().try_into().unwrap_or([0; 32]);
        Ok(Part { bytes: self.written + trailer.as_ref().len() as u64, digest })
    }
}

/// Feeds a range of a file to a digest.
pub(crate) fn hash_range(
    file: &dyn DiskFile,
    range: std::ops::Range<u64>,
    context: &mut digest::Context,
) -> std::io::Result<()> {
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
