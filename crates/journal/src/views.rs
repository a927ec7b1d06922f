//! Snapshots of folds as files in `views/<ledger ULID>/` (docs/formats/views.md).
//!
//! A snapshot that cannot be read, or that MAC and log do not bear out, is as good as none; one that cannot be written
//! costs time at the next start. Nothing is decided here.

use std::path::{Path, PathBuf};

use ledger::Ledger;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tlog::Hash;

use crate::fold::snapshot::{self, Name};
use crate::limits::SNAPSHOT_BYTES_MAX;
use crate::open::Opening;
use crate::state::{Inner, OpenLedger};

/// Size and state of the snapshot of that name, where it holds.
pub(crate) fn read<T: DeserializeOwned>(opening: &Opening<'_>, open: &OpenLedger, name: &str) -> Option<(u64, T)> {
    let path = folder(opening.data, &open.ulid).join(format!("{name}.snapshot"));
    let file = opening.doors.disk.open(&path).ok()?;
    let len = file.len().ok().filter(|len| *len <= SNAPSHOT_BYTES_MAX)?;
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let named = Name { ledger: &open.ulid, name };
    let mac = |parts: &[&[u8]]| opening.vault.views_mac(parts);
    snapshot::decode(named, &bytes, &mac, &|size| root_at(&open.ledger, size))
}

/// Writes a snapshot under its name, or not at all.
pub(crate) fn write<T: Serialize>(inner: &Inner, open: &OpenLedger, name: &str, size: u64, state: &T) {
    let Some(root) = root_at(&open.ledger, size) else { return };
    let named = Name { ledger: &open.ulid, name };
    let mac = |parts: &[&[u8]]| inner.vault.views_mac(parts);
    let Some(text) = snapshot::encode(named, size, &root, state, &mac) else { return };
    // Failing, the next start folds from an older snapshot or anew.
    let _ = write_file(&*inner.doors.disk, &folder(&inner.data, &open.ulid), name, text.as_bytes());
}

fn write_file(disk: &dyn ledger::durable::Disk, dir: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    disk.create_dir(dir)?;
    let (path, tmp) = (dir.join(format!("{name}.snapshot")), dir.join(format!("{name}.snapshot.tmp")));
    if disk.exists(&tmp)? {
        disk.remove(&tmp)?;
    }
    let file = disk.create_new(&tmp)?;
    file.write_all_at(&[bytes], 0)?;
    file.sync_data()?;
    disk.rename(&tmp, &path)?;
    disk.sync_dir(dir)
}

fn folder(data: &Path, ulid: &str) -> PathBuf {
    data.join("views").join(ulid)
}

/// Root of a size that a checkpoint covers: the proof of the last entry consists of the subtrees to its left.
fn root_at(ledger: &Ledger, size: u64) -> Option<Hash> {
    let Some(last) = size.checked_sub(1) else { return Some(Hash::EMPTY_ROOT) };
    let proof = ledger.prove(last, size).ok()?;
    let leaf = ledger.leaf_hash(last).ok()?;
    Some(proof.iter().fold(leaf, |right, left| tlog::node_hash(left, &right)))
}
