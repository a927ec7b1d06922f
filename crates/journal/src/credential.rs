//! Tokens as the fold over `control` knows them: never their secrets, only SHA-256 of each.

use std::fmt;
use std::str::FromStr;

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Append events.
    Append,
    /// Read leaves, tiles, proofs, checkpoints.
    ReadLeaves,
    /// Read bodies, tails and exports with bodies.
    ReadBodies,
    /// Create ledgers and tokens, revoke, read status.
    Admin,
}

impl Verb {
    /// All verbs.
    pub const ALL: [Verb; 4] = [Verb::Append, Verb::ReadLeaves, Verb::ReadBodies, Verb::Admin];

    /// Name in entries and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Append => "append",
            Verb::ReadLeaves => "read-leaves",
            Verb::ReadBodies => "read-bodies",
            Verb::Admin => "admin",
        }
    }
}

impl FromStr for Verb {
    type Err = ();
    fn from_str(name: &str) -> Result<Verb, ()> {
        Verb::ALL.into_iter().find(|v| v.name() == name).ok_or(())
    }
}

/// Rates of one token; 0 = no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Events a second.
    pub events_per_second: u64,
    /// Bytes a day that are appended.
    pub bytes_per_day: u64,
    /// Reads a minute, per principal.
    pub reads_per_minute: u64,
}

/// An authenticated token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// ULID of the token.
    pub token_id: String,
    /// Random id of the principal that it belongs to.
    pub principal: String,
    /// The first token of a folder: removed from disk once another admin token is used.
    pub bootstrap: bool,
    /// Source of events that name none.
    pub default_source: String,
    /// Other sources that it may name begin with one of these.
    pub source_prefixes: Vec<String>,
    /// Names of ledgers, or `*`.
    pub ledgers: Vec<String>,
    /// What it may do.
    pub verbs: Vec<Verb>,
    /// Its rates.
    pub quotas: Quotas,
}

impl Credential {
    /// Allows nothing.
    pub(crate) fn none() -> Credential {
        Credential {
            token_id: String::new(),
            principal: String::new(),
            bootstrap: false,
            default_source: String::new(),
            source_prefixes: Vec::new(),
            ledgers: Vec::new(),
            verbs: Vec::new(),
            quotas: Quotas::default(),
        }
    }

    /// Whether it is an admin of all ledgers.
    pub(crate) fn is_full_admin(&self) -> bool {
        self.verbs.contains(&Verb::Admin) && self.ledgers.iter().any(|l| l == "*")
    }

    /// Whether the verb is granted on the ledger.
    pub fn allows(&self, verb: Verb, ledger: &str) -> bool {
        self.verbs.contains(&verb) && self.ledgers.iter().any(|l| l == "*" || l == ledger)
    }
}

/// A token to be made.
#[derive(Clone, Debug, Default)]
pub struct NewToken {
    /// Display name of the person; stands in a sealed place only.
    pub person: String,
    /// Give the token to this principal instead of a new one.
    pub principal: Option<String>,
    /// Default source; empty = `urn:proofbook:principal` is never made up: `urn:principal:<principal id>`.
    pub default_source: String,
    /// Allowed prefixes of other sources.
    pub source_prefixes: Vec<String>,
    /// Ledgers or `*`; empty = `*`.
    pub ledgers: Vec<String>,
    /// Verbs; at least one.
    pub verbs: Vec<Verb>,
    /// Rates.
    pub quotas: Quotas,
}

/// A token as listed.
#[derive(Clone, Debug)]
pub struct TokenInfo {
    /// What it may do.
    pub credential: Credential,
    /// Display name of its person, where known.
    pub person: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339, where revoked.
    pub revoked_at: Option<String>,
}

/// A token's secret, shown once. Has no Debug; wiped when dropped.
pub struct Secret(pub(crate) zeroize::Zeroizing<String>);

impl Secret {
    /// The text that the client sends.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Secret {
    /// Never the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pb_...")
    }
}
