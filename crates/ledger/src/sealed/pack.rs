//! Bundles on their way into a set: gathered, then compressed a few at a time on a few threads, their order kept.
//!
//! Writes no file.

use std::io;
use std::sync::{Mutex, PoisonError};

use tlog::Hash;

use super::{BUNDLE_LEN, codec};
use crate::parallel;

/// Bundles that are compressed together: enough for each thread to have several.
const BUNDLES: usize = 16;
/// Bytes of bundles that wait, beyond which fewer go together: a bundle can be large.
const BYTES: usize = 16 << 20;

/// One bundle as it is gathered.
#[derive(Default)]
pub(super) struct Raw {
    pub(super) leaves: Vec<u8>,
    /// Empty where the set holds none, or where they were written as they came.
    pub(super) bodies: Vec<u8>,
}

/// The same, as stored.
pub(super) struct Packed {
    pub(super) leaves: Vec<u8>,
    pub(super) bodies: Vec<u8>,
    /// Root over its leaf hashes.
    pub(super) root: Hash,
}

/// Tables of one thread.
struct Tools {
    gzip: codec::Gzip,
    zstd: codec::Zstd,
}

/// Bundles that wait, and what compresses them.
pub(super) struct Packer {
    threads: usize,
    levels: (u32, i32),
    tools: Mutex<Vec<Tools>>,
    pub(super) waiting: Vec<Raw>,
    /// Buffers of bundles that were packed.
    spare: Vec<Raw>,
}

impl Packer {
    pub(super) fn new(threads: usize, gzip_level: u32, zstd_level: i32) -> Packer {
        let levels = (gzip_level, zstd_level);
        Packer { threads, levels, tools: Mutex::default(), waiting: Vec::new(), spare: Vec::new() }
    }

    /// An empty bundle.
    pub(super) fn fresh(&mut self) -> Raw {
        self.spare.pop().unwrap_or_default()
    }

    /// So much waits that it is to be packed now.
    pub(super) fn is_full(&self) -> bool {
        let bytes = |raw: &Raw| raw.leaves.len() + raw.bodies.len();
        self.waiting.len() >= BUNDLES || self.waiting.iter().map(bytes).sum::<usize>() >= BYTES
    }

    /// Packs what waits. `hashes` are the leaf hashes of all of it.
    pub(super) fn pack(&mut self, hashes: &[Hash]) -> io::Result<Vec<Packed>> {
        let lease = || Ok(Lease { tools: Some(self.take_tools()?), packer: self });
        let packed = parallel::map(self.threads, self.waiting.len(), lease, |piece, lease| {
            let (Some(raw), Some(tools)) = (self.waiting.get(piece), &mut lease.tools) else {
                return Err(io::ErrorKind::InvalidInput.into());
            };
            let leaves = tools.gzip.member(&raw.leaves)?.to_vec();
            let bodies = if raw.bodies.is_empty() { Vec::new() } else { tools.zstd.frame(&raw.bodies)?.to_vec() };
            let of_bundle = hashes.get(piece * BUNDLE_LEN..(piece + 1) * BUNDLE_LEN).unwrap_or_default();
            Ok(Packed { leaves, bodies, root: tlog::perfect_root(of_bundle) })
        })?;
        for mut raw in std::mem::take(&mut self.waiting) {
            // The buffers of a large bundle are not kept.
            if raw.leaves.capacity() + raw.bodies.capacity() <= BYTES / BUNDLES {
                raw.leaves.clear();
                raw.bodies.clear();
                self.spare.push(raw);
            }
        }
        Ok(packed)
    }

    fn take_tools(&self) -> io::Result<Tools> {
        let kept = self.tools.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match kept {
            Some(tools) => Ok(tools),
            None => Ok(Tools { gzip: codec::Gzip::new(self.levels.0), zstd: codec::Zstd::new(self.levels.1)? }),
        }
    }
}

/// Tools of a thread while it runs.
struct Lease<'a> {
    tools: Option<Tools>,
    packer: &'a Packer,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.packer.tools.lock().unwrap_or_else(PoisonError::into_inner).extend(self.tools.take());
    }
}
