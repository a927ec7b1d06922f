//! Keys: signing keys, the duplicate key, the snapshot key. Destroying one is its purpose.
//!
//! Holds seeds in files of its own (docs/formats/vault.md) and hands out what they do, never what they are. Knows no
//! ledger, no checkpoint and no entry; makes no randomness. Encrypts nothing yet: seals come later.

mod error;
mod keys;
mod store;

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::hmac;

pub use error::Error;
pub use keys::LedgerKeys;
use store::{Key, Store};

/// Fills a buffer with random bytes; handed in by server or testkit.
pub type Random = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

const DEDUP: &str = "dedup.hmac";
const VIEWS: &str = "views.hmac";
const ACTORS: &str = "actors.hmac";

/// Whether opening made the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created(pub bool);

/// The open vault; clones share it. Has no Debug: it holds keys.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    random: Random,
    dedup: hmac::Key,
    views: hmac::Key,
    actors: hmac::Key,
}

impl Vault {
    /// Opens the folder, or sets it up where it holds no key yet. Blocking; returned = durable.
    ///
    /// The three HMAC keys are made only while no ledger has signing keys here: a lost one is named and never replaced,
    /// because a new duplicate key would take every resent event for a new one.
    /// Errors: `Missing`, `Damaged` (a flipped bit, a cut file), `Exposed` (mode), `Io`.
    pub fn open(dir: &Path, random: Random) -> Result<(Vault, Created), Error> {
        let store = Store::open(dir)?;
        let names = store.names()?;
        let young = !names.iter().any(|n| n.ends_with(".ed25519") || n.ends_with(".mldsa44"));
        let mut created = false;
        let mut load = |name: &str| -> Result<hmac::Key, Error> {
            if young && !names.iter().any(|n| n == name) {
                store.publish(name, &fresh(&random))?;
                created = true;
            }
            Ok(hmac::Key::new(hmac::HMAC_SHA256, store.read(name)?.bytes()))
        };
        let (dedup, views, actors) = (load(DEDUP)?, load(VIEWS)?, load(ACTORS)?);
        let inner = Inner { store, random, dedup, views, actors };
        Ok((Vault { inner: Arc::new(inner) }, Created(created)))
    }

    /// Makes both signing keys of a ledger and answers them. Blocking; returned = durable.
    ///
    /// What a crash in an earlier attempt left for the same ULID is used, so that creating a ledger can be repeated.
    pub fn create_ledger_keys(&self, ulid: &str) -> Result<LedgerKeys, Error> {
        let names = self.inner.store.names()?;
        for suffix in ["ed25519", "mldsa44"] {
            let name = key_name(ulid, suffix)?;
            if !names.contains(&name) {
                self.inner.store.publish(&name, &fresh(&self.inner.random))?;
            }
        }
        self.ledger_keys(ulid)
    }

    /// The signing keys of a ledger. Reads two files; keep the result.
    pub fn ledger_keys(&self, ulid: &str) -> Result<LedgerKeys, Error> {
        let ed25519 = self.inner.store.read(&key_name(ulid, "ed25519")?)?;
        let mldsa44 = self.inner.store.read(&key_name(ulid, "mldsa44")?)?;
        LedgerKeys::new(&ed25519, &mldsa44)
    }

    /// Duplicate tags (DESIGN section 5): identity over source and id, content over the submitted bytes.
    pub fn dedup_tags(&self, source: &str, id: &str, content: &[u8]) -> ([u8; 16], [u8; 16]) {
        let identity = mac(&self.inner.dedup, &[source.as_bytes(), &[0], id.as_bytes()]);
        (half(&identity), half(&mac(&self.inner.dedup, &[content])))
    }

    /// MAC over the concatenated parts, for everything in `views/`.
    pub fn views_mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        mac(&self.inner.views, parts)
    }

    /// Pseudonym of an actor: 32 hex digits. Equal actors have equal ones; nobody without the key can test a guess.
    pub fn actor_ref(&self, actor_type: &str, id: &str) -> String {
        half(&mac(&self.inner.actors, &[actor_type.as_bytes(), &[0], id.as_bytes()]))
            .iter()
            .flat_map(|b| [b >> 4, b & 15])
            .filter_map(|d| char::from_digit(u32::from(d), 16))
            .collect()
    }
}

fn fresh(random: &Random) -> Key {
    let mut key = Key::zero();
    random(key.bytes_mut());
    key
}

fn key_name(ulid: &str, suffix: &str) -> Result<String, Error> {
    // Names from outside never become paths.
    if ulid.len() != 26 || !ulid.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()) {
        return Err(Error::Refused("a ledger's keys are named by its ULID"));
    }
    Ok(format!("{ulid}.{suffix}"))
}

fn mac(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    let tag = context.sign();
    let mut out = [0; 32];
    out.copy_from_slice(tag.as_ref());
    out
}

fn half(mac: &[u8; 32]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(mac.split_at(16).0);
    out
}
