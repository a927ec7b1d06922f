//! A bit that flips in memory on the way to the signature, at any byte of the block, its hashes and its root: nothing
//! of it is signed, and after a power cut nothing altered is shown. On a simulated disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ledger::{AppendError, Ledger, Stage};
use testkit::{SimDisk, Survivors};
use tlog::{Frontier, leaf_hash};

use crate::rig::{Rig, append, batch};

/// Entries that are signed before the flip.
const BEFORE: u8 = 2;
/// Entries of the block in which it happens.
const IN_BLOCK: u8 = 3;
const STAGES: [Stage; 5] =
    [Stage::PayloadBeforeWrite, Stage::PayloadAfterRead, Stage::LeafHashes, Stage::Root, Stage::BeforeSign];

/// Everything there is as it was sent, and the checkpoint is that of these very entries.
fn is_as_sent(ledger: &Ledger, what: &str) {
    let checkpoint = ledger.checkpoint();
    assert!(checkpoint.size >= u64::from(BEFORE), "{what}: a signed checkpoint is gone");
    let mut tree = Frontier::new();
    for entry in ledger.entries(0..checkpoint.size).unwrap() {
        let id = u8::try_from(entry.index).unwrap();
        assert_eq!(entry.body.as_deref(), Some(&[id; 40][..]), "{what}: entry {id}");
        assert_eq!(entry.leaf.get(30..62), Some(&crate::rig::sha256(&[id; 40])[..]), "{what}: entry {id}");
        tree.push(leaf_hash(&entry.leaf));
    }
    assert_eq!((tree.size(), tree.root()), (checkpoint.size, checkpoint.root), "{what}");
}

/// One flip; gives how many bytes there were to flip.
fn flip(stage: Stage, at: usize, survivors: Survivors) -> usize {
    let what = format!("{stage:?}, byte {at}, {survivors:?}");
    let disk = SimDisk::new();
    let mut rig = Rig::on(&disk);
    let (ledger, _) = rig.open().unwrap();
    append(&ledger, batch(0, BEFORE)).unwrap();
    ledger.close().unwrap();
    let (armed, len) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (trigger, seen) = (Arc::clone(&armed), Arc::clone(&len));
    rig.config.fault = Some(Arc::new(move |s, bytes| {
        if s == stage && trigger.swap(false, Ordering::SeqCst) {
            seen.store(bytes.len(), Ordering::SeqCst);
            bytes[at] ^= 1 << (at % 8);
        }
    }));
    let (ledger, _) = rig.open().unwrap();
    armed.store(true, Ordering::SeqCst);
    let _ = append(&ledger, batch(BEFORE, IN_BLOCK));
    assert!(matches!(ledger.close(), Err(AppendError::Poisoned(_))), "{what}: nobody noticed");
    assert!(!armed.load(Ordering::SeqCst), "{what}: nothing was flipped");
    assert_eq!(ledger.checkpoint().size, u64::from(BEFORE), "{what}: signed");
    is_as_sent(&ledger, &what);
    drop(ledger);
    disk.cut_now();
    disk.restart(survivors);
    rig.config.fault = None;
    // What was flipped before it was written looks like a torn tail or is named; else the next start signs it as sent.
    let opened = rig.open();
    assert!(opened.is_ok() || stage != Stage::PayloadAfterRead, "{what}: {:?}", opened.err());
    if let Ok((ledger, _)) = opened {
        append(&ledger, batch(u8::try_from(ledger.status().size).unwrap(), 1)).unwrap();
        ledger.close().unwrap_or_else(|error| panic!("{what}: {error}"));
        is_as_sent(&ledger, &what);
    }
    len.load(Ordering::SeqCst)
}

#[test]
fn a_flip_at_any_byte_is_never_signed_nor_shown() {
    let mut flips = 0;
    for stage in STAGES {
        let len = flip(stage, 0, Survivors::All);
        assert!(len >= 32, "{stage:?}: {len}");
        for at in 0..len {
            for survivors in [Survivors::All, Survivors::Nothing] {
                assert_eq!(flip(stage, at, survivors), len);
                flips += 1;
            }
        }
    }
    assert!(flips > 1_000, "{flips}");
}
