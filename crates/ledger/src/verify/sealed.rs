//! The sealed sets of a ledger, in order: each manifest in its place, each set by its files, the tree through them all.
//!
//! What the files of one set hold is judged by `sealed::SetJudge`; here is what lies between sets.

use super::VerifyError;
use super::case::{Case, Small};
use super::identity::Identity;
use super::names::{LedgerNames, is_newer};
use super::tree::{Marks, SealedTree};
use crate::frame::{Digest, sha256};
use crate::sealed::{MANIFEST_BYTES_MAX, Manifest, SetJudge, Told, file_name};
use crate::second::SecondTree;
use crate::types::Kind;
use crate::verdict::Code;

/// The manifest of the last set.
pub(super) struct Last {
    pub(super) file: String,
    pub(super) bytes: u64,
    pub(super) first: u64,
    pub(super) end: u64,
}

/// What the sets lead to.
pub(super) struct Sealed {
    /// Entries below this are sealed; `None` where the last manifest cannot be read.
    pub(super) end: Option<u64>,
    pub(super) last: Option<Last>,
    /// The tree where the first segment begins, if it is known.
    pub(super) start_tree: Option<SecondTree>,
    /// The tree of all sealed entries, if it is known.
    pub(super) tree: Option<SecondTree>,
}

/// The digest that the first manifest holds of `LEDGER`, where it can be read.
pub(super) fn about_of_first(case: &Case<'_>, names: &LedgerNames) -> Result<Option<Digest>, VerifyError> {
    if !names.sets.get(&0).is_some_and(|extensions| extensions.contains(&"seal")) {
        return Ok(None);
    }
    let path = case.dir.join("sealed").join(file_name(0, "seal"));
    let small = Small::read(case.disk, &path, MANIFEST_BYTES_MAX)?;
    let manifest = small.and_then(|small| Manifest::parse(&small.bytes)).filter(|manifest| manifest.first == 0);
    Ok(manifest.map(|manifest| manifest.previous))
}

/// Judges all sets. `start` is where the first segment begins.
pub(super) fn judge(
    case: &mut Case<'_>,
    names: &LedgerNames,
    identity: &Identity,
    start: Option<u64>,
    marks: &mut Marks,
) -> Result<Sealed, VerifyError> {
    let mut walk =
        Walk { tree: SealedTree::new(start, marks), marks, end: Some(0), digest: identity.about, last: None };
    for (first, extensions) in names.sets.iter().filter(|(_, extensions)| extensions.contains(&"seal")) {
        if let Some(manifest) = walk.manifest(case, identity, *first)? {
            for extension in extensions.iter().filter(|extension| !is_named(&manifest, extension)) {
                let file = format!("sealed/{}", file_name(*first, extension));
                case.find(Code::FileUnknown, &file, None, None, "the manifest does not name it");
            }
            walk.set(case, &manifest)?;
        }
    }
    let (start_tree, tree) = walk.tree.finish();
    Ok(Sealed { end: walk.end, last: walk.last, start_tree, tree })
}

/// Files of sets without a manifest: a crash left them while segments hold their entries, or their manifest is gone.
pub(super) fn judge_unfinished(case: &mut Case<'_>, names: &LedgerNames, start: Option<u64>) {
    for (first, extensions) in names.sets.iter().filter(|(_, extensions)| !extensions.contains(&"seal")) {
        if start.is_some_and(|start| start <= *first) {
            for extension in extensions {
                let file = format!("sealed/{}", file_name(*first, extension));
                case.find(Code::Unfinished, &file, None, None, "a set without a manifest");
            }
        } else {
            let file = format!("sealed/{}", file_name(*first, "seal"));
            case.find_missing(file, None, "the set has files and no manifest");
        }
    }
}

fn is_named(manifest: &Manifest, extension: &str) -> bool {
    match extension {
        "bodies" => manifest.bodies.is_some(),
        "tags" => manifest.tags.is_some(),
        _ => true,
    }
}

struct Walk<'m> {
    tree: SealedTree,
    marks: &'m mut Marks,
    /// Where the next set must begin; `None` behind a manifest that cannot be read.
    end: Option<u64>,
    /// What the next manifest must name as the one before.
    digest: Option<Digest>,
    last: Option<Last>,
}

impl Walk<'_> {
    /// Step 1: the manifest in its place. `None` where the set is not followed.
    fn manifest(
        &mut self,
        case: &mut Case<'_>,
        identity: &Identity,
        first: u64,
    ) -> Result<Option<Manifest>, VerifyError> {
        let file = format!("sealed/{}", file_name(first, "seal"));
        let Some(small) = Small::read(case.disk, &case.dir.join(&file), MANIFEST_BYTES_MAX)? else {
            return Ok(None);
        };
        let line = small.bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let newer = is_newer(line, "proofbook-seal/");
        let manifest = Manifest::parse(&small.bytes).filter(|manifest| manifest.first == first && !newer);
        let Some(manifest) = manifest else {
            let (code, detail) = match newer {
                true => (Code::FormatNewer, "of a version that this release does not know"),
                false => (Code::ManifestAltered, "not the text of a manifest, or not that of this file"),
            };
            case.find(code, &file, small.all(), None, detail);
            (self.end, self.digest) = (None, None);
            self.tree.lose();
            self.last = None;
            return Ok(None);
        };
        let entries = Some(manifest.first..manifest.end);
        let gap = self.end.filter(|end| *end < first);
        if let Some(end) = gap {
            let file = format!("sealed/{}", file_name(end, "seal"));
            case.find_missing(file, Some(end..first), "entries are in no set before a later one");
            self.digest = None;
            self.tree.lose();
        }
        let overlaps = self.end.is_some_and(|end| end > first);
        let audit = (manifest.bodies.is_some(), manifest.tags.is_some());
        let detail = if overlaps {
            Some("begins before the end of the set before")
        } else if identity.origin.as_ref().is_some_and(|origin| *origin != manifest.origin) {
            Some("of another origin")
        } else if identity.kind.is_some_and(|kind| audit != (kind == Kind::Audit, kind == Kind::Audit)) {
            Some("of another kind of ledger")
        } else if self.digest.is_some_and(|digest| digest != manifest.previous) {
            Some("does not follow the manifest before")
        } else {
            None
        };
        if let Some(detail) = detail {
            case.find(Code::ManifestAltered, &file, small.all(), entries, detail);
        }
        if overlaps {
            return Ok(None);
        }
        self.end = Some(manifest.end);
        self.digest = Some(sha256(&[&small.bytes]));
        self.last = Some(Last { file, bytes: small.len, first, end: manifest.end });
        Ok(Some(manifest))
    }

    /// Steps 2 to 8: the files of a set, and the tree at its end.
    fn set(&mut self, case: &mut Case<'_>, manifest: &Manifest) -> Result<(), VerifyError> {
        if self.tree.size() != Some(manifest.first) {
            self.tree.lose();
        }
        let dir = case.dir.join("sealed");
        let (disk, options, steps) = (case.disk, case.options, case.steps);
        let (body_digest, threads) = (&options.body_digest, options.threads);
        let judge = SetJudge { disk, dir: &dir, set: manifest, body_digest, threads, forget: false };
        let (tree, marks) = (&mut self.tree, &mut *self.marks);
        let found = judge.run(&mut |told| match told {
            Told::Finding(finding) => {
                let file = format!("sealed/{}", finding.file);
                case.find(finding.code, &file, finding.bytes, finding.entries, finding.detail);
            }
            Told::Bundle(leaves) => tree.bundle(marks, leaves),
        });
        let found = found.map_err(VerifyError::io("check the sealed set in", &dir))?;
        steps.advance(manifest.leaves.bytes.saturating_add(manifest.bodies.unwrap_or(0)));
        let peaks = manifest.frontier.hashes();
        match self.tree.is(manifest.end, peaks) {
            Some(true) => self.tree.keep(self.marks),
            Some(false) if found == 0 => {
                if let Some(last) = &self.last {
                    let (file, bytes) = (last.file.clone(), last.bytes);
                    let detail = "the entries do not have the tree of the manifest";
                    case.find(Code::ManifestAltered, &file, Some(0..bytes), Some(manifest.first..manifest.end), detail);
                }
                self.tree.keep(self.marks);
            }
            Some(false) | None => self.tree.replace(self.marks, manifest.first, manifest.end, peaks),
        }
        Ok(())
    }
}
