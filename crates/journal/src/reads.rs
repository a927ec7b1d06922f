//! Read doors: what a scope may see of a ledger, as views.
//!
//! Looks at no credential: the scope is all that counts.

use std::ops::Range;
use std::sync::Arc;

use ledger::{Entry, Kind, Signed};
use tlog::{Resource, TilePath, TlogProof};

use crate::credential::Verb;
use crate::error::Error;
use crate::read::{EntryState, EntryView};
use crate::request::{Done, Refusal};
use crate::scope::Scope;
use crate::state::{Inner, OpenLedger};

impl Inner {
    pub(crate) fn view_entry(&self, scope: &Scope, ledger: &str, index: u64) -> Result<EntryView, Error> {
        let open = self.readable(scope, ledger)?;
        let size = open.ledger.size();
        if index >= size {
            return Err(Error::Beyond { asked: index, size });
        }
        view(scope, &open, size, open.ledger.entry(index)?)
    }

    pub(crate) fn view_entries(&self, scope: &Scope, ledger: &str, range: Range<u64>) -> Result<Vec<EntryView>, Error> {
        let open = self.readable(scope, ledger)?;
        let size = open.ledger.size();
        let entries = open.ledger.entries(range)?;
        entries.into_iter().map(|entry| view(scope, &open, size, entry)).collect()
    }

    pub(crate) fn view_tile(&self, scope: &Scope, ledger: &str, path: &TilePath) -> Result<Vec<u8>, Error> {
        let open = self.readable(scope, ledger)?;
        match path.resource {
            Resource::Tile { level } => Ok(open.ledger.tile(level, path.index, path.width)?),
            Resource::Entries => Ok(open.ledger.bundle(path.index, path.width)?),
            Resource::Bodies => {
                let refusal = Refusal::new(400, "read-refused", "", "a path of a tile or an entry bundle", "no tile");
                Err(Error::Refused(refusal))
            }
        }
    }

    pub(crate) fn view_bodies(
        &self,
        scope: &Scope,
        ledger: &str,
        path: &TilePath,
        from: u16,
    ) -> Result<(Vec<u8>, u16), Error> {
        let open = self.readable(scope, ledger)?;
        if path.resource != Resource::Bodies {
            let refusal = Refusal::new(400, "read-refused", "", "a path of a bundle of bodies", "no bundle of bodies");
            return Err(Error::Refused(refusal));
        }
        if !scope.allows(Verb::ReadBodies, ledger) {
            return Err(Error::Denied(Verb::ReadBodies.name()));
        }
        // A bundle comes whole or not at all: a narrowed scope reads entry by entry.
        if scope.is_narrowed() {
            return Err(Error::Denied("read-bodies of every entry of a bundle"));
        }
        Ok(open.ledger.bodies(path.index, path.width, from)?)
    }

    pub(crate) fn view_bundle_gzip(&self, scope: &Scope, ledger: &str, path: &TilePath) -> Result<Vec<u8>, Error> {
        let open = self.readable(scope, ledger)?;
        if path.resource != Resource::Entries {
            let refusal = Refusal::new(400, "read-refused", "", "a path of an entry bundle", "no entry bundle");
            return Err(Error::Refused(refusal));
        }
        Ok(open.ledger.bundle_gzip(path.index, path.width)?)
    }

    /// The `.tlog-proof` of an entry under the last shown checkpoint.
    pub(crate) fn proof_text(&self, scope: &Scope, ledger: &str, index: u64) -> Result<String, Error> {
        let open = self.readable_for_receipt(scope, ledger)?;
        let size = open.ledger.size();
        if index >= size {
            return Err(Error::Beyond { asked: index, size });
        }
        let signed = open.ledger.checkpoint();
        if index >= signed.size {
            return Err(Error::NotPublished { index });
        }
        let proof = open.ledger.prove(index, signed.size)?;
        Ok(TlogProof { extra: None, index, proof, checkpoint_note: signed.note.clone() }.to_text())
    }

    pub(crate) fn when_published(&self, scope: &Scope, ledger: &str, size: u64, done: Done<Arc<Signed>>) {
        match self.readable_for_receipt(scope, ledger) {
            Ok(open) => open.ledger.wait_published(size, Box::new(move |outcome| done(outcome.map_err(Error::from)))),
            Err(error) => done(Err(error)),
        }
    }

    /// Who may append may wait for the checkpoint that covers it.
    pub(crate) fn readable_for_receipt(&self, scope: &Scope, ledger: &str) -> Result<Arc<OpenLedger>, Error> {
        match self.readable(scope, ledger) {
            Err(Error::Denied(_)) if scope.allows(Verb::Append, ledger) => self.visible(scope, ledger),
            other => other,
        }
    }
}

fn view(scope: &Scope, open: &OpenLedger, tree_size: u64, entry: Entry) -> Result<EntryView, Error> {
    let Entry { index, leaf, body, .. } = entry;
    let body_sha256 = match open.kind {
        Kind::Audit => event::body_digest(&leaf),
        Kind::Raw => None,
    };
    let state = match (body_sha256, &body) {
        (Some(_), None) => EntryState::Missing,
        _ => EntryState::Present,
    };
    let body = body.filter(|_| scope.allows(Verb::ReadBodies, &open.name) && scope.covers(&leaf));
    let leaf_hash = tlog::leaf_hash(&leaf);
    Ok(EntryView {
        ledger: open.name.clone(),
        origin: open.origin.clone(),
        kind: open.kind,
        index,
        tree_size,
        leaf,
        leaf_hash,
        body,
        body_sha256,
        state,
    })
}
