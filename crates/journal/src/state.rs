//! What an open journal holds, and how a name becomes a ledger.
//!
//! Decides who may do what through [`Scope`] and [`Credential`] alone; talks to no disk but the ledgers'.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use ledger::{DataFolder, Kind, Ledger, Pin};
use vault::Vault;

use crate::append::Builder;
use crate::credential::{Credential, Verb};
use crate::error::Error;
use crate::fold::control::Control;
use crate::follow::Follower;
use crate::journal::{Doors, Options};
use crate::rules::Ulids;
use crate::scope::Scope;
use crate::settle::Settler;
use crate::status::{GapState, LedgerInfo};

/// The tenant; the only one until tenants are built.
pub(crate) const TENANT: &str = "default";
/// Names of the ledgers that the server alone writes.
pub(crate) const SYSTEM: [&str; 3] = [CONTROL, ACCESS, OUTPUT];
pub(crate) const CONTROL: &str = "control";
pub(crate) const ACCESS: &str = "access";
pub(crate) const OUTPUT: &str = "output";

/// What the gap fold last said about a ledger.
#[derive(Default)]
pub(crate) struct GapsShown {
    pub(crate) first: Vec<GapState>,
    pub(crate) open: u64,
}

/// A ledger that is open and that `control` knows.
pub(crate) struct OpenLedger {
    pub(crate) ledger: Ledger,
    pub(crate) name: String,
    pub(crate) ulid: String,
    pub(crate) kind: Kind,
    pub(crate) origin: String,
    pub(crate) vkeys: Vec<String>,
    /// The file `keys`.
    pub(crate) keys: String,
    pub(crate) created_at: String,
    pub(crate) retention: String,
    pub(crate) public: bool,
    pub(crate) gaps: Mutex<GapsShown>,
}

impl OpenLedger {
    pub(crate) fn info(&self) -> LedgerInfo {
        LedgerInfo {
            name: self.name.clone(),
            ulid: self.ulid.clone(),
            kind: self.kind,
            origin: self.origin.clone(),
            vkeys: self.vkeys.clone(),
            size: self.ledger.size(),
            checkpoint_size: self.ledger.checkpoint().size,
            public_leaves: self.public,
            retention: self.retention.clone(),
            created_at: self.created_at.clone(),
        }
    }
}

/// State behind the handle.
pub(crate) struct Inner {
    pub(crate) doors: Doors,
    pub(crate) options: Options,
    pub(crate) data: PathBuf,
    /// Held for the lock; gone once closed.
    pub(crate) folder: Mutex<Option<DataFolder>>,
    pub(crate) vault: Vault,
    pub(crate) pin: Arc<Pin>,
    pub(crate) control_ledger: Ledger,
    pub(crate) ledgers: RwLock<BTreeMap<String, Arc<OpenLedger>>>,
    pub(crate) control: RwLock<Control>,
    /// Valid tokens by the hex SHA-256 of their secrets, as `control` last said: a request need not make its own.
    pub(crate) credentials: RwLock<BTreeMap<String, Arc<Credential>>>,
    /// Held from looking at the fold until the decision is committed and folded.
    pub(crate) deciding: Mutex<()>,
    pub(crate) bootstrap_open: AtomicBool,
    /// The end of the first token's file was told in this run.
    pub(crate) bootstrap_told: AtomicBool,
    pub(crate) ulids: Ulids,
    pub(crate) settler: Settler,
    pub(crate) follower: Follower,
    pub(crate) closed: AtomicBool,
    /// Why nothing can be decided any more: `control` holds what this release cannot fold.
    pub(crate) unfit: OnceLock<String>,
}

/// A lock whose holder panicked: what it guards is replaced as a whole or rebuilt, so it may be used.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    pub(crate) fn now(&self) -> u64 {
        (self.doors.clock)()
    }

    pub(crate) fn builder<'a>(&'a self, ledger: &'a str) -> Builder<'a> {
        Builder { vault: &self.vault, random: &self.doors.random, ulids: &self.ulids, now_ns: self.now(), ledger }
    }

    /// Whether decisions can still be made from `control`.
    pub(crate) fn fit(&self) -> Result<(), Error> {
        match self.unfit.get() {
            Some(why) => Err(Error::Unavailable(why.clone())),
            None => Ok(()),
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<OpenLedger>> {
        self.ledgers.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<OpenLedger>> {
        self.ledgers.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn insert(&self, open: Arc<OpenLedger>) {
        self.ledgers.write().unwrap_or_else(PoisonError::into_inner).insert(open.name.clone(), open);
    }

    /// A ledger that the scope may know of.
    pub(crate) fn visible(&self, scope: &Scope, name: &str) -> Result<Arc<OpenLedger>, Error> {
        let open = self.find(name).ok_or(Error::NotFound)?;
        let known = open.public || Verb::ALL.into_iter().any(|verb| scope.allows(verb, name));
        if known { Ok(open) } else { Err(Error::NotFound) }
    }

    /// A ledger whose leaves, tiles, proofs and checkpoints the scope may read.
    pub(crate) fn readable(&self, scope: &Scope, name: &str) -> Result<Arc<OpenLedger>, Error> {
        let open = self.visible(scope, name)?;
        let verbs = [Verb::ReadLeaves, Verb::ReadBodies];
        let allowed = open.public || verbs.into_iter().any(|verb| scope.allows(verb, name));
        if allowed { Ok(open) } else { Err(Error::Denied("read-leaves")) }
    }

    /// A ledger that the credential may append to.
    pub(crate) fn writable(&self, credential: &Credential, name: &str) -> Result<Arc<OpenLedger>, Error> {
        self.fit()?;
        // Looked at again here: a body may take a minute to arrive, and a revocation must not wait for it.
        if !self.is_valid(credential) {
            return Err(Error::Revoked);
        }
        let open = self.find(name).ok_or(Error::NotFound)?;
        if credential.allows(Verb::Append, name) {
            // Default deny: what the server knows is folded from these, so nobody else writes to them.
            return if SYSTEM.contains(&name) { Err(Error::Denied("append to a system ledger")) } else { Ok(open) };
        }
        let known = open.public || Verb::ALL.into_iter().any(|verb| credential.allows(verb, name));
        Err(if known { Error::Denied("append") } else { Error::NotFound })
    }
}
