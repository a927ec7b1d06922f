//! A ledger of the product, opened in this process in a fresh folder, with the disk, the clock and the settings of
//! production.
//!
//! Its checkpoints carry a plain text instead of signatures: the vault is not within reach of the binary. One is made
//! at most ten times a second, so that this saves about a thousandth of the work.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use ledger::durable::{Disk, OsDisk};
use ledger::{About, Config, DataFolder, Doors, Kind, Ledger, Pin, Place, Signer};
use sha2::{Digest, Sha256};
use tlog::Hash;

const ULID: &str = "01J00000000000000000000000";
const ORIGIN: &str = "local-000000000000/logs/bench";
/// Ends of a leaf (docs/formats/entry.md).
const BODY_BYTES: &[u8] = b"\",\"body_bytes\":";

/// An open ledger and the lock of its folder.
pub(super) struct Rig {
    pub(super) ledger: Ledger,
    _folder: DataFolder,
}

/// States a tree without signing it.
struct Plain;

impl Signer for Plain {
    fn sign(&self, origin: &str, size: u64, root: &Hash, unix_seconds: u64) -> String {
        format!("{origin}\n{size}\n{}\n{unix_seconds}\n", root.b64())
    }

    fn check(&self, origin: &str, note: &[u8]) -> Option<(u64, Hash)> {
        let mut lines = std::str::from_utf8(note).ok()?.lines();
        (lines.next()? == origin).then_some(())?;
        Some((lines.next()?.parse().ok()?, Hash::from_b64(lines.next()?)?))
    }
}

impl Rig {
    /// Makes a ledger in `dir`, which must be empty, and opens it.
    pub(super) fn new(dir: &Path, kind: Kind, config: Config) -> Result<Rig> {
        let clock = server::real::clock();
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let data = dir.join("data");
        let folder = DataFolder::open(&disk, &data).context("the data folder")?;
        let about = About {
            ulid: ULID.to_owned(),
            name: "bench".to_owned(),
            tenant: "default".to_owned(),
            kind,
            origin: ORIGIN.to_owned(),
            created_at: "2026-01-01T00:00:00.000000000Z".to_owned(),
        };
        folder.create_ledger(&about, b"", clock()).context("the ledger")?;
        let pin = Pin::open(&disk, &dir.join("pin")).context("the pin")?;
        let doors = Doors {
            disk,
            clock,
            body_digest: Arc::new(body_digest),
            stamp: Arc::new(stamp),
            views_mac: Arc::new(|parts| {
                parts.iter().fold(Sha256::new(), |sum, p| sum.chain_update(p)).finalize().into()
            }),
            signer: Arc::new(Plain),
            pin: Arc::new(pin),
        };
        let (ledger, _) = Ledger::open(&Place { data, ulid: ULID.to_owned() }, config, doors).context("the ledger")?;
        Ok(Rig { ledger, _folder: folder })
    }
}

/// Twenty digits in the form of a time: costs what the real text costs, and any 30 bytes do.
fn stamp(ns: u64) -> [u8; 30] {
    let mut out = *b"0000-00-00T00:00:00.000000000Z";
    let text = format!("{ns:020}");
    out.iter_mut().filter(|b| **b == b'0').zip(text.bytes()).for_each(|(slot, digit)| *slot = digit);
    out
}

/// The digest that a leaf names for its body; looks at the leaf's end alone, as the product does.
fn body_digest(leaf: &[u8]) -> Option<[u8; 32]> {
    let rest = leaf.strip_suffix(b"}")?;
    let digits = rest.iter().rev().take(11).take_while(|b| b.is_ascii_digit()).count();
    let rest = rest.get(..rest.len() - digits)?.strip_suffix(BODY_BYTES)?;
    let (_, hex) = rest.split_last_chunk::<64>()?;
    let mut out = [0; 32];
    let value = |b: u8| char::from(b).to_digit(16).map(|v| v as u8);
    for (byte, pair) in out.iter_mut().zip(hex.as_chunks::<2>().0) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_stands_at_the_end_of_a_leaf() {
        let leaf = format!("{{\"body_sha256\":\"{}\",\"body_bytes\":512}}", "0f".repeat(32));
        assert_eq!(body_digest(leaf.as_bytes()), Some([15; 32]));
        assert_eq!(body_digest(b"{}"), None);
        assert_eq!(&stamp(12_345_678_901_234_567_890)[..19], b"1234-56-78T90:12:34");
    }
}
