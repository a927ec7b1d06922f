//! The fold over `control`: principals, tokens, ledgers, starts and stops.
//!
//! Never sees a display name or a secret: people are random principal ids, tokens the SHA-256 of their secret. What it
//! reads of an entry is `event.source` and `event.ext.control`.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use crate::credential::{Credential, Quotas, Verb};
use crate::limits::{LEDGERS_MAX, TOKENS_MAX};

/// Source of the server's own entries; allowed to no token.
pub use event::own::SOURCE as OWN_SOURCE;

/// What an entry of `control` states: `ext.control` of its event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fact {
    /// A principal exists from now on.
    PrincipalAdded {
        /// Random id.
        principal: String,
    },
    /// A token exists from now on.
    TokenCreated(Token),
    /// A token is void from now on, for ever.
    TokenRevoked {
        /// Its id.
        token_id: String,
    },
    /// Another admin token was used: the file `bootstrap.token` is gone for ever.
    BootstrapEnded {
        /// The token that was used.
        by: String,
    },
    /// A ledger was made.
    LedgerCreated(LedgerFact),
    /// An entry that explains a ledger's own bytes stands there.
    Reference {
        /// Origin of that ledger.
        origin: String,
        /// Position there.
        index: u64,
        /// Leaf hash, hex.
        leaf_hash: String,
    },
    /// The server started; options that weaken a rule are named.
    Started {
        /// Names of options, such as `accept-first-start`.
        options: Vec<String>,
    },
    /// The server stopped in order.
    Stopped {},
}

/// A token as its entry states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// ULID.
    pub token_id: String,
    /// SHA-256 of the secret, hex.
    pub secret_sha256: String,
    /// Whose it is.
    pub principal: String,
    /// The first token of the folder.
    pub bootstrap: bool,
    /// Source of events that name none.
    pub default_source: String,
    /// Prefixes of other allowed sources.
    pub source_prefixes: Vec<String>,
    /// Ledgers, or `*`.
    pub ledgers: Vec<String>,
    /// Names of verbs; an unknown one grants nothing.
    pub verbs: Vec<String>,
    /// Events a second; 0 = no limit.
    pub events_per_second: u64,
    /// Bytes a day; 0 = no limit.
    pub bytes_per_day: u64,
    /// Reads a minute; 0 = no limit.
    pub reads_per_minute: u64,
}

impl Token {
    /// What the token may do, as callers see it.
    pub fn credential(&self) -> Credential {
        Credential {
            token_id: self.token_id.clone(),
            principal: self.principal.clone(),
            bootstrap: self.bootstrap,
            default_source: self.default_source.clone(),
            source_prefixes: self.source_prefixes.clone(),
            ledgers: self.ledgers.clone(),
            verbs: self.verbs.iter().filter_map(|v| v.parse::<Verb>().ok()).collect(),
            quotas: Quotas {
                events_per_second: self.events_per_second,
                bytes_per_day: self.bytes_per_day,
                reads_per_minute: self.reads_per_minute,
            },
        }
    }
}

/// A ledger as its entry states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerFact {
    /// Folder name.
    pub ulid: String,
    /// Name within the tenant.
    pub name: String,
    /// `audit` or `raw`.
    pub kind: String,
    /// Checkpoint origin.
    pub origin: String,
    /// Retention profile.
    pub retention: String,
    /// Leaves are for anyone.
    pub public_leaves: bool,
}

/// Where a thing was stated, so that its sealed display name can be read from that entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stated<T> {
    /// What.
    pub what: T,
    /// Index of the entry in `control`.
    pub at: u64,
    /// Index of the entry that revoked it.
    pub revoked_at: Option<u64>,
}

/// An entry that this fold cannot take: `control` is damaged or written by a newer release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {index} of control: {what}")]
pub struct Unfit {
    /// The entry.
    pub index: u64,
    /// What is wrong.
    pub what: String,
}

/// All that `control` says up to `size`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// Entries that were folded.
    pub size: u64,
    /// Principal ids, with the index that added each.
    pub principals: BTreeMap<String, u64>,
    /// Tokens by id, revoked ones included.
    pub tokens: BTreeMap<String, Stated<Token>>,
    /// Token ids by the hex SHA-256 of the secret; revoked ones left out.
    pub secrets: BTreeMap<String, String>,
    /// Ledgers by folder name.
    pub ledgers: BTreeMap<String, Stated<LedgerFact>>,
    /// The file `bootstrap.token` is gone for ever.
    pub bootstrap_ended: bool,
    /// The last start or stop was a stop.
    pub stopped: bool,
}

impl Control {
    /// The next committed entry's body. Entries of other sources, and own ones without a fact, change nothing.
    ///
    /// Errors: the state is unchanged then, and nothing may be decided from it any more.
    pub fn step(&mut self, index: u64, body: &[u8]) -> Result<(), Unfit> {
        if index != self.size {
            return Err(Unfit { index, what: format!("folded out of order, expected {}", self.size) });
        }
        if let Some(fact) = fact_of(body).map_err(|what| Unfit { index, what })? {
            self.apply(index, fact).map_err(|what| Unfit { index, what: what.to_owned() })?;
        }
        self.size += 1;
        Ok(())
    }

    fn apply(&mut self, at: u64, fact: Fact) -> Result<(), &'static str> {
        match fact {
            Fact::PrincipalAdded { principal } => {
                self.principals.entry(principal).or_insert(at);
            }
            Fact::TokenCreated(token) => self.token_created(at, token)?,
            Fact::TokenRevoked { token_id } => self.token_revoked(at, &token_id)?,
            Fact::BootstrapEnded { .. } => self.bootstrap_ended = true,
            Fact::LedgerCreated(ledger) => self.ledger_created(at, ledger)?,
            Fact::Reference { .. } => {}
            Fact::Started { .. } => self.stopped = false,
            Fact::Stopped {} => self.stopped = true,
        }
        Ok(())
    }

    fn token_created(&mut self, at: u64, token: Token) -> Result<(), &'static str> {
        if !self.principals.contains_key(&token.principal) {
            return Err("a token of an unknown principal");
        }
        if self.tokens.contains_key(&token.token_id) || self.secrets.contains_key(&token.secret_sha256) {
            return Err("a token that exists already");
        }
        self.secrets.insert(token.secret_sha256.clone(), token.token_id.clone());
        self.tokens.insert(token.token_id.clone(), Stated { what: token, at, revoked_at: None });
        Ok(())
    }

    fn token_revoked(&mut self, at: u64, token_id: &str) -> Result<(), &'static str> {
        let token = self.tokens.get_mut(token_id).ok_or("a revocation of an unknown token")?;
        token.revoked_at.get_or_insert(at);
        self.secrets.remove(&token.what.secret_sha256);
        Ok(())
    }

    fn ledger_created(&mut self, at: u64, ledger: LedgerFact) -> Result<(), &'static str> {
        if self.ledgers.values().any(|l| l.what.name == ledger.name || l.what.ulid == ledger.ulid) {
            return Err("a ledger that exists already");
        }
        self.ledgers.insert(ledger.ulid.clone(), Stated { what: ledger, at, revoked_at: None });
        Ok(())
    }

    /// All valid tokens by the hex SHA-256 of their secrets.
    pub fn credentials(&self) -> BTreeMap<String, Arc<Credential>> {
        let valid = self.tokens.values().filter(|token| token.revoked_at.is_none());
        valid.map(|token| (token.what.secret_sha256.clone(), Arc::new(token.what.credential()))).collect()
    }

    /// Whether this use of a token ends the life of `bootstrap.token`: another admin token over all ledgers. One over
    /// some would leave nobody who can make tokens for the others.
    pub fn ends_bootstrap(&self, credential: &Credential) -> bool {
        !self.bootstrap_ended && !credential.bootstrap && credential.is_full_admin()
    }

    /// Whether one more token fits.
    pub fn has_room_for_token(&self) -> bool {
        self.secrets.len() < TOKENS_MAX
    }

    /// Whether one more ledger fits.
    pub fn has_room_for_ledger(&self) -> bool {
        self.ledgers.len() < LEDGERS_MAX
    }

    /// Folders that `control` knows and the disk lacks (corruption), and folders that it does not know (a creation that
    /// a crash cut short: finished or refused by the opener, never used as they are).
    pub fn compare_folders<'a>(&'a self, on_disk: &[&'a str]) -> (Vec<&'a str>, Vec<&'a str>) {
        let missing = self.ledgers.keys().map(String::as_str).filter(|ulid| !on_disk.contains(ulid)).collect();
        let unknown = on_disk.iter().copied().filter(|ulid| !self.ledgers.contains_key(*ulid)).collect();
        (missing, unknown)
    }
}

/// SHA-256 of a token's secret, hex: what an entry holds in its place.
pub fn secret_sha256(secret: &str) -> String {
    crate::rules::hex(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref())
}

#[derive(Deserialize)]
struct Body {
    event: Event,
}

#[derive(Deserialize)]
struct Event {
    source: String,
    ext: Option<Ext>,
}

#[derive(Deserialize)]
struct Ext {
    control: Option<serde_json::Value>,
}

fn fact_of(body: &[u8]) -> Result<Option<Fact>, String> {
    let body: Body = serde_json::from_slice(body).map_err(|e| format!("no body of an event: line {}", e.line()))?;
    // Only the server's own entries are state: whatever a client writes to `control` is data.
    if body.event.source != OWN_SOURCE {
        return Ok(None);
    }
    let Some(fact) = body.event.ext.and_then(|ext| ext.control) else { return Ok(None) };
    // An unknown fact fails: skipping a revocation that this release does not know would let a void token in.
    serde_json::from_value(fact).map(Some).map_err(|e| format!("an unknown fact: {e}"))
}
