//! Verifies sealed sets again, one after the other: every byte against its manifest, every manifest against the one
//! before, every leaf against the tree.
//!
//! A plain object over `Disk`; the thread is in `service`. It looks at the sets that were there when it was made: newer
//! ones were read back when they were written. Repairs nothing.

use std::path::PathBuf;
use std::sync::Arc;

use tlog::Frontier;

use crate::durable::Disk;
use crate::error::{Corrupt, OpenError};
use crate::frame::Digest;
use crate::sealed::{self, SealedSets, check_set};
use crate::types::BodyDigest;
use crate::writer::Setup;

/// A walk over the sealed sets.
pub struct Recheck {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    origin: String,
    body_digest: BodyDigest,
    sets: Arc<SealedSets>,
    firsts: std::vec::IntoIter<u64>,
    /// The tree of what was checked.
    tree: Frontier,
    /// Digest of the last manifest, of `LEDGER` before the first.
    previous: Digest,
    /// Found intact, not yet stepped over: a failing disk call is tried again at the same set.
    next: Option<u64>,
}

impl Recheck {
    pub(crate) fn new(setup: &Setup, sets: Arc<SealedSets>) -> Recheck {
        let firsts: Vec<u64> = sets.ranges().into_iter().map(|range| range.start).collect();
        Recheck {
            disk: Arc::clone(&setup.disk),
            dir: setup.sealed.clone(),
            origin: setup.origin.clone(),
            body_digest: Arc::clone(&setup.body_digest),
            sets,
            firsts: firsts.into_iter(),
            tree: Frontier::new(),
            previous: setup.about,
            next: None,
        }
    }

    /// Entries that were checked.
    pub fn checked(&self) -> u64 {
        self.tree.size()
    }

    /// Checks the next set. Returns whether there was one. Blocking: a set is about a segment's bytes.
    ///
    /// # Errors
    /// `Corrupt` names the first thing that is not as it was written; `Io`, after which the set is checked again.
    pub fn step(&mut self) -> Result<bool, OpenError> {
        let Some(first) = self.next.take().or_else(|| self.firsts.next()) else { return Ok(false) };
        self.next = Some(first);
        let seal = self.dir.join(sealed::file_name(first, "seal"));
        if first != self.tree.size() {
            // The set between was there by its place in the order, and is in no file.
            let (at, what) = (self.tree.size(), "the manifest of a sealed set is missing");
            let path = self.dir.join(sealed::file_name(at, "seal"));
            return Err(Corrupt::at(&path, 0, Some(at), what).into());
        }
        let (manifest, digest) = self.sets.manifest(first)?;
        if manifest.previous != self.previous || manifest.origin != self.origin {
            return Err(Corrupt::at(&seal, 0, Some(first), "the manifest does not continue the one before").into());
        }
        let checked = check_set(&*self.disk, &self.dir, &manifest, &self.body_digest, 1)?;
        // The table of verdicts: the highest code is the verdict.
        if let Some(finding) = checked.findings.iter().min_by_key(|finding| finding.code) {
            let at = finding.bytes.as_ref().map_or(0, |bytes| bytes.start);
            let index = finding.entries.as_ref().map(|entries| entries.start);
            let what = format!("{}: {}", finding.code.row().0, finding.detail);
            return Err(Corrupt::at(&self.dir.join(&finding.file), at, index, what).into());
        }
        let mut tree = self.tree.clone();
        tree.extend(&checked.hashes);
        if tree != manifest.frontier {
            return Err(Corrupt::at(&seal, 0, Some(first), "the leaves do not give the tree of the manifest").into());
        }
        self.tree = tree;
        self.previous = digest;
        self.next = None;
        Ok(true)
    }
}
