//! Keys: signing keys, the duplicate key, the snapshot key. Destroying one is its purpose.
//!
//! Holds seeds in files of its own (docs/formats/vault.md) and hands out what they do, never what they are. Knows no
//! ledger, no checkpoint and no entry; makes no randomness. Encrypts nothing yet: seals come later.

mod error;
mod keys;
mod store;

use std::path::Path;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroize as _;

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
    dedup: Keyed,
    views: Keyed,
    actors: Keyed,
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
        let mut load = |name: &str| -> Result<Keyed, Error> {
            if young && !names.iter().any(|n| n == name) {
                store.publish(name, &fresh(&random))?;
                created = true;
            }
            Ok(keyed(store.read(name)?.bytes()))
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
        let mac = mac(&self.inner.actors, &[actor_type.as_bytes(), &[0], id.as_bytes()]);
        let mut text = String::with_capacity(32);
        for byte in half(&mac) {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }));
            }
        }
        text
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

/// HMAC whose key was taken in once: copying it costs no allocation and no hashing.
type Keyed = Hmac<Sha256>;

fn keyed(key: &[u8; 32]) -> Keyed {
    // RFC 2104, section 2: a key shorter than a block is one block with zeros behind it.
    let mut block = hmac::digest::Key::<Keyed>::default();
    block.iter_mut().zip(key).for_each(|(slot, byte)| *slot = *byte);
    let keyed = Keyed::new(&block);
    block.zeroize();
    keyed
}

fn mac(key: &Keyed, parts: &[&[u8]]) -> [u8; 32] {
    let mut state = key.clone();
    for part in parts {
        state.update(part);
    }
    state.finalize().into_bytes().into()
}

fn half(mac: &[u8; 32]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(mac.split_at(16).0);
    out
}
