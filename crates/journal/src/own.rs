//! The server's own entries: into `control`, into `access`, and into the ledger that they explain.
//!
//! Builds nothing that a client could: these pass the same builder, under the reserved source.

use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::{MutexGuard, PoisonError};

use event::own::Own;
use ledger::{Committed, Ledger, Outcome};
use tlog::Hash;

use crate::access::{Access, Denial};
use crate::append::Built;
use crate::credential::Credential;
use crate::error::Error;
use crate::fold::control::Fact;
use crate::limits::FOLD_STEP_ENTRIES;
use crate::request::{Done, Refusal};
use crate::state::{ACCESS, CONTROL, Inner, lock};

/// A decision that is being made: while it is held, nobody else decides from the fold.
pub(crate) struct Deciding<'a> {
    _held: MutexGuard<'a, ()>,
}

/// An own event that states a fact in `control`.
pub(crate) fn stating(action: &str, fact: &Fact) -> Own {
    Own::new(action).category("log").outcome("success", None, None).ext("control", fact)
}

/// Index and leaf hash of each entry, of a duplicate those of the first.
fn places(committed: &Committed) -> Vec<(u64, Option<Hash>)> {
    let place = |outcome: &Outcome| match *outcome {
        Outcome::Appended { index, leaf_hash } | Outcome::Duplicate { index, leaf_hash } => (index, Some(leaf_hash)),
        Outcome::Conflict { index } => (index, None),
    };
    committed.outcomes.iter().map(place).collect()
}

impl Inner {
    pub(crate) fn build_own(&self, ledger: &str, events: &[Own]) -> Result<Built, Error> {
        let bytes: Result<Vec<_>, _> = events.iter().map(Own::build).collect();
        let refused = |what: String| Error::Refused(Refusal::new(400, "own-event", "", "an event of ours", what));
        let bytes = bytes.map_err(|rejected| refused(rejected.to_string()))?;
        self.builder(ledger).build_own(&bytes).map_err(Error::Refused)
    }

    /// Appends own events in one block and waits until they are durable. Blocking.
    pub(crate) fn append_own(
        &self,
        ledger: &Ledger,
        name: &str,
        events: &[Own],
    ) -> Result<Vec<(u64, Option<Hash>)>, Error> {
        let built = self.build_own(name, events)?;
        let (tx, rx) = mpsc::channel();
        ledger.submit(built.batch, Box::new(move |outcome| drop(tx.send(outcome))));
        let dropped = || Error::Unavailable("the log dropped an entry of the server".into());
        Ok(places(&rx.recv().map_err(|_| dropped())??))
    }

    /// Begins a decision: looks at the fold, commits, folds, all under one lock. Blocking.
    pub(crate) fn decide(&self) -> Result<Deciding<'_>, Error> {
        let held = lock(&self.deciding);
        self.fit()?;
        Ok(Deciding { _held: held })
    }

    /// Like [`decide`](Self::decide), for somebody: a token that was revoked meanwhile decides nothing, however long
    /// ago its request was let in. Revocations are decisions too: none falls between this look and the commit.
    pub(crate) fn decide_for(&self, by: &Credential) -> Result<Deciding<'_>, Error> {
        let deciding = self.decide()?;
        if self.is_valid(by) { Ok(deciding) } else { Err(Error::Revoked) }
    }

    /// Commits facts to `control` in one block and folds what was committed. Blocking; returned = durable and known.
    pub(crate) fn commit(&self, _: &Deciding<'_>, events: &[Own]) -> Result<Vec<(u64, Option<Hash>)>, Error> {
        let places = self.append_own(&self.control_ledger, CONTROL, events)?;
        self.fold_control()?;
        Ok(places)
    }

    /// Folds committed entries of `control` up to its size. Only under `deciding`, or while opening.
    pub(crate) fn fold_control(&self) -> Result<(), Error> {
        loop {
            let from = self.control.read().unwrap_or_else(PoisonError::into_inner).size;
            let size = self.control_ledger.size();
            if from >= size {
                break;
            }
            let page = self.control_ledger.entries(from..size.min(from + FOLD_STEP_ENTRIES))?;
            let mut control = self.control.write().unwrap_or_else(PoisonError::into_inner);
            for entry in page {
                let body = entry
                    .body
                    .as_deref()
                    .ok_or_else(|| self.unfit(format!("entry {} of control has no body", entry.index)))?;
                control.step(entry.index, body).map_err(|unfit| self.unfit(unfit.to_string()))?;
            }
        }
        let control = self.control.read().unwrap_or_else(PoisonError::into_inner);
        *self.credentials.write().unwrap_or_else(PoisonError::into_inner) = control.credentials();
        self.bootstrap_open.store(!control.bootstrap_ended, Ordering::Release);
        Ok(())
    }

    fn unfit(&self, why: String) -> Error {
        let _ = self.unfit.set(why.clone());
        Error::Corrupt(why)
    }

    /// Submits an entry of `access`; `done` gets its index.
    pub(crate) fn submit_access(&self, event: &Own, done: Done<u64>) {
        let Some(access) = self.find(ACCESS) else {
            return done(Err(Error::Unavailable("the ledger access is not open".into())));
        };
        match self.build_own(ACCESS, std::slice::from_ref(event)) {
            Err(error) => done(Err(error)),
            Ok(built) => access.ledger.submit(
                built.batch,
                Box::new(move |outcome| {
                    let first = outcome.map_err(Error::from).and_then(|committed| {
                        places(&committed).first().map(|(index, _)| *index).ok_or(Error::NotFound)
                    });
                    done(first);
                }),
            ),
        }
    }

    /// What a read leaves behind.
    pub(crate) fn access_event(&self, credential: &Credential, access: &Access) -> Own {
        let tree_size = self.find(&access.ledger).map(|open| open.ledger.size());
        let asked = serde_json::json!({
            "from": access.from,
            "to": access.to,
            "count": access.count,
            "tree_size": tree_size,
            "token": credential.token_id,
        });
        let event = Own::new(&format!("access.{}", access.what))
            .category("log")
            .actor("user", &credential.principal, None)
            .target("ledger", &access.ledger, None)
            .outcome("success", None, None)
            .ext("access", &asked);
        with_peer(event, access.peer.as_deref())
    }
}

/// What a denial leaves behind.
pub(crate) fn denial_event(credential: Option<&Credential>, denial: &Denial) -> Own {
    let asked = serde_json::json!({
        "verb": denial.verb,
        "route": denial.route,
        "ledger": denial.ledger,
        "token": credential.map(|c| &c.token_id),
    });
    let (kind, principal) = match credential {
        Some(credential) => ("user", credential.principal.as_str()),
        None => ("anonymous", "anonymous"),
    };
    let event = Own::new("access.denied")
        .category("log")
        .severity("low")
        .actor(kind, principal, None)
        .outcome("denied", None, None)
        .ext("access", &asked);
    with_peer(event, denial.peer.as_deref())
}

fn with_peer(event: Own, peer: Option<&str>) -> Own {
    // Whatever is no address stays out: an entry about a read must never be refused.
    match peer.filter(|peer| peer.parse::<std::net::IpAddr>().is_ok()) {
        Some(peer) => event.ip(peer),
        None => event,
    }
}
