//! The journal: opened once, cloned cheaply.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ledger::Signed;
use tlog::TilePath;

use crate::access::{Access, Denial};
use crate::credential::{Credential, NewToken, Secret, TokenInfo};
use crate::error::{Error, OpenError};
use crate::read::{EntryView, Watching};
use crate::request::{Done, EventResult, Request};
use crate::scope::Scope;
use crate::state::{Inner, lock};
use crate::status::{LedgerInfo, LedgerStatus, NewLedger, Status};
use crate::{open, own, write};

/// What the journal needs from outside. Only server and testkit make these.
#[derive(Clone)]
pub struct Doors {
    /// Nanoseconds since 1970.
    pub clock: ledger::Clock,
    /// Fills with random bytes.
    pub random: vault::Random,
    /// File calls.
    pub disk: Arc<dyn ledger::durable::Disk>,
}

/// Where the pin lies.
#[derive(Clone, Debug)]
pub enum PinChoice {
    /// This very file.
    File(PathBuf),
    /// `<folder>/<ULID of the control ledger>`; the folder is made where it is missing.
    InFolder(PathBuf),
}

/// How to open a data folder.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data folder.
    pub data: PathBuf,
    /// Host of `--public-url`: fixed in the origin of ledgers that are created from now on.
    pub host: Option<String>,
    /// Where the pin lies.
    pub pin: PinChoice,
    /// Start although no pin knows this folder; becomes an entry of `control`.
    pub accept_first_start: bool,
    /// Settings of every ledger.
    pub ledger: ledger::Config,
}

/// What opening found.
pub struct OpenReport {
    /// The folder was empty and is now set up.
    pub fresh: bool,
    /// The first admin token, where there was none yet: show it once.
    pub bootstrap: Option<Secret>,
    /// Another admin token was used before this start: no file of the first one may be left.
    pub bootstrap_ended: bool,
    /// Sentences for the operator.
    pub notes: Vec<String>,
}

/// Handle of an open data folder; clones share it.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

impl Journal {
    /// Opens or sets up a data folder. Blocking.
    pub fn open(options: Options, doors: Doors) -> Result<(Journal, OpenReport), OpenError> {
        Self::open_keeping(options, doors, &|_| Ok(()))
    }

    /// Like [`open`](Self::open). Where a first admin token is made, `keep` stores its secret before the token becomes
    /// valid: a crash between the two leaves a secret without a token, which the next start replaces, and never a
    /// token whose secret nobody has.
    pub fn open_keeping(
        options: Options,
        doors: Doors,
        keep: &dyn Fn(&Secret) -> std::io::Result<()>,
    ) -> Result<(Journal, OpenReport), OpenError> {
        let (inner, report) = open::open(options, doors, keep)?;
        Ok((Journal { inner }, report))
    }

    /// The credential of a token's secret; `None` where unknown or revoked. In memory, constant-time compare.
    pub fn authenticate(&self, secret: &str) -> Option<Arc<Credential>> {
        self.inner.authenticate(secret)
    }

    /// Whether the credential's token is still valid: for requests that outlive their first look.
    pub fn is_valid(&self, credential: &Credential) -> bool {
        self.inner.is_valid(credential)
    }

    /// Appends the events of a request. `done` runs once, when all are durable or nothing was appended; it may run on
    /// the sequencer's thread and must not block. An outer error means that nothing was appended (`Unavailable` of a
    /// poisoned ledger: the fate is unknown).
    pub fn append(
        &self,
        credential: &Arc<Credential>,
        ledger: &str,
        request: &Request<'_>,
        done: Done<Vec<EventResult>>,
    ) {
        write::append(&self.inner, credential, ledger, request, done);
    }

    /// Appends the bytes as posted to a raw ledger; answers index and leaf hash.
    pub fn add_raw(&self, credential: &Arc<Credential>, ledger: &str, leaf: &[u8], done: Done<(u64, tlog::Hash)>) {
        write::add_raw(&self.inner, credential, ledger, leaf, done);
    }

    /// Makes a ledger. Blocking; returned = durable and in `control`.
    pub fn create_ledger(&self, credential: &Arc<Credential>, new: NewLedger) -> Result<LedgerInfo, Error> {
        self.inner.create_ledger(credential, new)
    }

    /// Ledgers that the scope may see, by name.
    pub fn list_ledgers(&self, scope: &Scope) -> Vec<LedgerInfo> {
        let all = self.inner.all();
        all.iter().filter(|open| self.inner.visible(scope, &open.name).is_ok()).map(|open| open.info()).collect()
    }

    /// One ledger.
    pub fn ledger_info(&self, scope: &Scope, ledger: &str) -> Result<LedgerInfo, Error> {
        Ok(self.inner.visible(scope, ledger)?.info())
    }

    /// Makes a token; the secret is shown once. Blocking; returned = durable. Needs `Verb::Admin`.
    pub fn create_token(
        &self,
        credential: &Arc<Credential>,
        new: NewToken,
    ) -> Result<(Arc<Credential>, Secret), Error> {
        self.inner.create_token(credential, new)
    }

    /// Revokes a token for ever. Blocking; returned = durable. Needs `Verb::Admin`.
    pub fn revoke_token(&self, credential: &Arc<Credential>, token_id: &str) -> Result<(), Error> {
        self.inner.revoke_token(credential, token_id)
    }

    /// Tokens, oldest first; an admin of some ledgers sees those that reach no further. Needs `Verb::Admin`.
    pub fn list_tokens(&self, credential: &Arc<Credential>) -> Result<Vec<TokenInfo>, Error> {
        self.inner.list_tokens(credential)
    }

    /// Opens a stopped folder, makes a new admin token, leaves an entry, closes. Blocking.
    pub fn reset_admin_token(options: Options, doors: Doors) -> Result<(Secret, Vec<String>), OpenError> {
        let (inner, report) = open::open(options, doors, &|_| Ok(()))?;
        let secret = match report.bootstrap {
            // The folder had no token at all: this one is as good.
            Some(secret) => Ok(secret),
            None => open::admin_token(&inner, false, &|_| Ok(())),
        };
        let closed = open::close(&inner);
        let secret = secret?;
        closed.map_err(|e| OpenError::Unavailable(e.to_string()))?;
        Ok((secret, report.notes))
    }

    /// Whether this use of an admin token ends the life of `bootstrap.token`: call after `authenticate`; `true` is
    /// answered once, remove the file then.
    pub fn ends_bootstrap(&self, credential: &Credential) -> bool {
        self.inner.ends_bootstrap(credential)
    }

    /// One entry; its body only with `Verb::ReadBodies`. Blocking on the disk.
    pub fn entry(&self, scope: &Scope, ledger: &str, index: u64) -> Result<EntryView, Error> {
        self.inner.view_entry(scope, ledger, index)
    }

    /// Entries of a range, cut at the ledger's page size (at least one). Blocking on the disk.
    pub fn entries(&self, scope: &Scope, ledger: &str, range: Range<u64>) -> Result<Vec<EntryView>, Error> {
        self.inner.view_entries(scope, ledger, range)
    }

    /// Hash tile of the published tree (`Resource::Tile`), or an entry bundle, not compressed (`Resource::Entries`).
    pub fn tile(&self, scope: &Scope, ledger: &str, path: &TilePath) -> Result<Vec<u8>, Error> {
        self.inner.view_tile(scope, ledger, path)
    }

    /// Bodies of a bundle (`Resource::Bodies`, needs `Verb::ReadBodies`) from the `from`-th on, as many as one read
    /// holds (16 MiB, at least one), and the place behind them; the bundle is whole at `path.width`.
    pub fn bodies(&self, scope: &Scope, ledger: &str, path: &TilePath, from: u16) -> Result<(Vec<u8>, u16), Error> {
        self.inner.view_bodies(scope, ledger, path, from)
    }

    /// An entry bundle as one gzip member, as stored.
    pub fn bundle_gzip(&self, scope: &Scope, ledger: &str, path: &TilePath) -> Result<Vec<u8>, Error> {
        self.inner.view_bundle_gzip(scope, ledger, path)
    }

    /// The last shown checkpoint.
    pub fn checkpoint(&self, scope: &Scope, ledger: &str) -> Result<Arc<Signed>, Error> {
        Ok(self.inner.readable(scope, ledger)?.ledger.checkpoint())
    }

    /// The key notes of a ledger, `proofbook-key/v1`, as the file `keys` holds them.
    pub fn keys(&self, scope: &Scope, ledger: &str) -> Result<String, Error> {
        Ok(self.inner.readable(scope, ledger)?.keys.clone())
    }

    /// `.tlog-proof` text of an entry under the last shown checkpoint.
    pub fn proof(&self, scope: &Scope, ledger: &str, index: u64) -> Result<String, Error> {
        self.inner.proof_text(scope, ledger, index)
    }

    /// Consistency proof between two published sizes.
    pub fn consistency(&self, scope: &Scope, ledger: &str, from: u64, to: u64) -> Result<Vec<tlog::Hash>, Error> {
        Ok(self.inner.readable(scope, ledger)?.ledger.consistency(from, to)?)
    }

    /// Calls back once a checkpoint covers `size` entries.
    pub fn wait_published(&self, scope: &Scope, ledger: &str, size: u64, done: Done<Arc<Signed>>) {
        self.inner.when_published(scope, ledger, size, done);
    }

    /// Calls `watch` with the committed size after each commit, until the result is dropped. Must not block.
    pub fn subscribe(
        &self,
        scope: &Scope,
        ledger: &str,
        watch: Box<dyn Fn(u64) + Send + Sync>,
    ) -> Result<Watching, Error> {
        Ok(Watching { _subscription: self.inner.readable(scope, ledger)?.ledger.subscribe(watch) })
    }

    /// Leaves an entry in `access`; let the answer leave only after `done(Ok(index))`.
    pub fn record_access(&self, credential: &Arc<Credential>, access: &Access, done: Done<u64>) {
        self.inner.submit_access(&self.inner.access_event(credential, access), done);
    }

    /// Leaves an entry in `access` about a denial; `None` where nobody was authenticated.
    pub fn record_denial(&self, credential: Option<&Arc<Credential>>, denial: &Denial, done: Done<u64>) {
        self.inner.submit_access(&own::denial_event(credential.map(|c| &**c), denial), done);
    }

    /// Figures of every ledger. For callers that may see status.
    pub fn status(&self) -> Status {
        let of = |open: &crate::state::OpenLedger| {
            let shown = lock(&open.gaps);
            LedgerStatus {
                info: open.info(),
                log: open.ledger.status(),
                gaps: shown.first.clone(),
                gaps_open: shown.open,
            }
        };
        let ledgers = self.inner.all().iter().map(|open| of(open)).collect();
        let tokens = self.inner.with_control(|control| control.secrets.len() as u64);
        Status { ledgers, tokens }
    }

    /// Drains, leaves a stop entry, signs a checkpoint over everything. Blocking; a second call is a no-op.
    pub fn close(&self) -> Result<(), Error> {
        if self.inner.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        open::close(&self.inner)
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.inner.data
    }
}
