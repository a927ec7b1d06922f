//! What the routes need from the log, as one trait: journal in production, a double in tests.
//!
//! Adds nothing of its own: each method is the door of `journal` with the same name.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use journal::{
    Access, Credential, Denial, Done, Error, EventResult, Journal, LedgerInfo, NewLedger, NewToken, Request, Scope,
    Status, TokenInfo,
};
use ledger::Signed;
use tlog::Hash;
use tlog::tile::TilePath;

/// A secret that is shown once. Has no Debug.
pub struct Shown(pub String);

/// The doors of the log that the routes use. Blocking unless it takes a `Done`.
pub trait Log: Send + Sync + 'static {
    /// See [`Journal::authenticate`].
    fn authenticate(&self, secret: &str) -> Option<Arc<Credential>>;
    /// See [`Journal::is_valid`].
    fn is_valid(&self, credential: &Credential) -> bool;
    /// See [`Journal::ends_bootstrap`].
    fn ends_bootstrap(&self, credential: &Credential) -> bool;
    /// See [`Journal::append`].
    fn append(&self, who: &Arc<Credential>, ledger: &str, request: &Request<'_>, done: Done<Vec<EventResult>>);
    /// See [`Journal::add_raw`].
    fn add_raw(&self, who: &Arc<Credential>, ledger: &str, leaf: &[u8], done: Done<(u64, Hash)>);
    /// See [`Journal::create_ledger`].
    fn create_ledger(&self, who: &Arc<Credential>, new: NewLedger) -> Result<LedgerInfo, Error>;
    /// See [`Journal::list_ledgers`].
    fn list_ledgers(&self, scope: &Scope) -> Vec<LedgerInfo>;
    /// See [`Journal::ledger_info`].
    fn ledger_info(&self, scope: &Scope, ledger: &str) -> Result<LedgerInfo, Error>;
    /// See [`Journal::create_token`].
    fn create_token(&self, who: &Arc<Credential>, new: NewToken) -> Result<(Arc<Credential>, Shown), Error>;
    /// See [`Journal::revoke_token`].
    fn revoke_token(&self, who: &Arc<Credential>, token_id: &str) -> Result<(), Error>;
    /// See [`Journal::list_tokens`].
    fn list_tokens(&self, who: &Arc<Credential>) -> Result<Vec<TokenInfo>, Error>;
    /// See [`Journal::entry`].
    fn entry(&self, scope: &Scope, ledger: &str, index: u64) -> Result<journal::EntryView, Error>;
    /// See [`Journal::entries`].
    fn entries(&self, scope: &Scope, ledger: &str, range: Range<u64>) -> Result<Vec<journal::EntryView>, Error>;
    /// See [`Journal::tile`].
    fn tile(&self, scope: &Scope, ledger: &str, path: &TilePath) -> Result<Vec<u8>, Error>;
    /// See [`Journal::bodies`].
    fn bodies(&self, scope: &Scope, ledger: &str, path: &TilePath, from: u16) -> Result<(Vec<u8>, u16), Error>;
    /// See [`Journal::bundle_gzip`].
    fn bundle_gzip(&self, scope: &Scope, ledger: &str, path: &TilePath) -> Result<Vec<u8>, Error>;
    /// See [`Journal::checkpoint`].
    fn checkpoint(&self, scope: &Scope, ledger: &str) -> Result<Arc<Signed>, Error>;
    /// See [`Journal::keys`].
    fn keys(&self, scope: &Scope, ledger: &str) -> Result<String, Error>;
    /// See [`Journal::proof`].
    fn proof(&self, scope: &Scope, ledger: &str, index: u64) -> Result<String, Error>;
    /// See [`Journal::consistency`].
    fn consistency(&self, scope: &Scope, ledger: &str, from: u64, to: u64) -> Result<Vec<Hash>, Error>;
    /// See [`Journal::wait_published`].
    fn wait_published(&self, scope: &Scope, ledger: &str, size: u64, done: Done<Arc<Signed>>);
    /// See [`Journal::subscribe`]; the watch ends when the result is dropped.
    fn subscribe(
        &self,
        scope: &Scope,
        ledger: &str,
        watch: Box<dyn Fn(u64) + Send + Sync>,
    ) -> Result<Box<dyn Send + Sync>, Error>;
    /// See [`Journal::record_access`].
    fn record_access(&self, who: &Arc<Credential>, access: &Access, done: Done<u64>);
    /// See [`Journal::record_denial`].
    fn record_denial(&self, who: Option<&Arc<Credential>>, denial: &Denial, done: Done<u64>);
    /// See [`Journal::status`].
    fn status(&self) -> Status;
    /// See [`Journal::close`].
    fn close(&self) -> Result<(), Error>;
    /// See [`Journal::data`].
    fn data(&self) -> PathBuf;
}

impl Log for Journal {
    fn authenticate(&self, secret: &str) -> Option<Arc<Credential>> {
        Journal::authenticate(self, secret)
    }
    fn is_valid(&self, credential: &Credential) -> bool {
        Journal::is_valid(self, credential)
    }
    fn ends_bootstrap(&self, credential: &Credential) -> bool {
        Journal::ends_bootstrap(self, credential)
    }
    fn append(&self, who: &Arc<Credential>, ledger: &str, request: &Request<'_>, done: Done<Vec<EventResult>>) {
        Journal::append(self, who, ledger, request, done);
    }
    fn add_raw(&self, who: &Arc<Credential>, ledger: &str, leaf: &[u8], done: Done<(u64, Hash)>) {
        Journal::add_raw(self, who, ledger, leaf, done);
    }
    fn create_ledger(&self, who: &Arc<Credential>, new: NewLedger) -> Result<LedgerInfo, Error> {
        Journal::create_ledger(self, who, new)
    }
    fn list_ledgers(&self, scope: &Scope) -> Vec<LedgerInfo> {
        Journal::list_ledgers(self, scope)
    }
    fn ledger_info(&self, scope: &Scope, ledger: &str) -> Result<LedgerInfo, Error> {
        Journal::ledger_info(self, scope, ledger)
    }
    fn create_token(&self, who: &Arc<Credential>, new: NewToken) -> Result<(Arc<Credential>, Shown), Error> {
        Journal::create_token(self, who, new).map(|(c, s)| (c, Shown(s.expose().to_owned())))
    }
    fn revoke_token(&self, who: &Arc<Credential>, token_id: &str) -> Result<(), Error> {
        Journal::revoke_token(self, who, token_id)
    }
    fn list_tokens(&self, who: &Arc<Credential>) -> Result<Vec<TokenInfo>, Error> {
        Journal::list_tokens(self, who)
    }
    fn entry(&self, scope: &Scope, ledger: &str, index: u64) -> Result<journal::EntryView, Error> {
        Journal::entry(self, scope, ledger, index)
    }
    fn entries(&self, scope: &Scope, ledger: &str, range: Range<u64>) -> Result<Vec<journal::EntryView>, Error> {
        Journal::entries(self, scope, ledger, range)
    }
    fn tile(&self, scope: &Scope, ledger: &str, path: &TilePath) -> Result<Vec<u8>, Error> {
        Journal::tile(self, scope, ledger, path)
    }
    fn bodies(&self, scope: &Scope, ledger: &str, path: &TilePath, from: u16) -> Result<(Vec<u8>, u16), Error> {
        Journal::bodies(self, scope, ledger, path, from)
    }
    fn bundle_gzip(&self, scope: &Scope, ledger: &str, path: &TilePath) -> Result<Vec<u8>, Error> {
        Journal::bundle_gzip(self, scope, ledger, path)
    }
    fn checkpoint(&self, scope: &Scope, ledger: &str) -> Result<Arc<Signed>, Error> {
        Journal::checkpoint(self, scope, ledger)
    }
    fn keys(&self, scope: &Scope, ledger: &str) -> Result<String, Error> {
        Journal::keys(self, scope, ledger)
    }
    fn proof(&self, scope: &Scope, ledger: &str, index: u64) -> Result<String, Error> {
        Journal::proof(self, scope, ledger, index)
    }
    fn consistency(&self, scope: &Scope, ledger: &str, from: u64, to: u64) -> Result<Vec<Hash>, Error> {
        Journal::consistency(self, scope, ledger, from, to)
    }
    fn wait_published(&self, scope: &Scope, ledger: &str, size: u64, done: Done<Arc<Signed>>) {
        Journal::wait_published(self, scope, ledger, size, done);
    }
    fn subscribe(
        &self,
        scope: &Scope,
        ledger: &str,
        watch: Box<dyn Fn(u64) + Send + Sync>,
    ) -> Result<Box<dyn Send + Sync>, Error> {
        Journal::subscribe(self, scope, ledger, watch).map(|w| Box::new(w) as Box<dyn Send + Sync>)
    }
    fn record_access(&self, who: &Arc<Credential>, access: &Access, done: Done<u64>) {
        Journal::record_access(self, who, access, done);
    }
    fn record_denial(&self, who: Option<&Arc<Credential>>, denial: &Denial, done: Done<u64>) {
        Journal::record_denial(self, who, denial, done);
    }
    fn status(&self) -> Status {
        Journal::status(self)
    }
    fn close(&self) -> Result<(), Error> {
        Journal::close(self)
    }
    fn data(&self) -> PathBuf {
        Journal::data(self).to_path_buf()
    }
}
