//! Append, read back, reopen; torn tails, corruption, rollback, duplicates, flips.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ledger::{AppendError, Batch, DataFolder, OpenError, Outcome, Stage};
use tlog::{verify_consistency, verify_inclusion};

use crate::rig::{Rig, append, batch, edit, numbered, push};

#[test]
fn entries_read_back_and_prove_after_a_restart() {
    let rig = Rig::new();
    let (ledger, report) = rig.open().unwrap();
    assert!(report.notes.is_empty());
    assert_eq!(ledger.checkpoint().size, 0);
    for round in 0..3 {
        let committed = append(&ledger, batch(round * 80, 80)).unwrap();
        assert_eq!(committed.size, (u64::from(round) + 1) * 80);
    }
    ledger.close().unwrap();
    assert_eq!(append(&ledger, batch(250, 1)).unwrap_err(), AppendError::Closing);
    let (ledger, report) = rig.open().unwrap();
    assert!(report.notes.is_empty(), "{report:?}");
    let (checkpoint, entries) = (ledger.checkpoint(), ledger.entries(0..240).unwrap());
    assert_eq!((checkpoint.size, entries.len()), (240, 240));
    for entry in &entries {
        assert_eq!(entry.body.as_deref(), Some(&[u8::try_from(entry.index).unwrap(); 40][..]));
        assert_ne!(entry.leaf[..30], [b'_'; 30]);
        let proof = ledger.prove(entry.index, 240).unwrap();
        verify_inclusion(&tlog::leaf_hash(&entry.leaf), entry.index, 240, &proof, &checkpoint.root).unwrap();
    }
    append(&ledger, batch(240, 10)).unwrap();
    ledger.close().unwrap();
    let now = ledger.checkpoint();
    let proof = ledger.consistency(240, 250).unwrap();
    verify_consistency(240, 250, &proof, &checkpoint.root, &now.root).unwrap();
    assert_eq!(tlog::decode_bundle(&ledger.bundle(0, 250).unwrap()).unwrap().len(), 250);
    assert_eq!(tlog::decode_bodies(&ledger.bodies(0, 250, 0).unwrap().0).unwrap().len(), 250);
    assert_eq!(ledger.tile(0, 0, 250).unwrap().len(), 250 * 32);
    assert!(ledger.tile(0, 0, 251).is_err());
}

#[test]
fn duplicates_and_conflicts_are_settled_within_a_block_and_across_a_restart() {
    let rig = Rig::new();
    let (ledger, _) = rig.open().unwrap();
    let mut mixed = Batch::default();
    for (id, body) in [(1, b"a"), (1, b"a"), (2, b"b"), (1, b"x")] {
        push(&mut mixed, id, body);
    }
    let outcomes = append(&ledger, mixed).unwrap().outcomes;
    assert!(matches!(
        outcomes[..],
        [
            Outcome::Appended { index: 0, .. },
            Outcome::Duplicate { index: 0, .. },
            Outcome::Appended { index: 1, .. },
            Outcome::Conflict { index: 0 }
        ]
    ));
    ledger.close().unwrap();
    let (ledger, _) = rig.open().unwrap();
    let mut again = Batch::default();
    push(&mut again, 2, b"b");
    let committed = append(&ledger, again).unwrap();
    assert!(matches!(committed.outcomes[..], [Outcome::Duplicate { index: 1, .. }]));
    assert_eq!(committed.size, 2);
    ledger.close().unwrap();
}

/// The check before the queue is the only one before the disk: every way to break a batch is refused there, and what
/// stands beside it in the queue goes on.
#[test]
fn a_bad_batch_is_refused_before_the_queue() {
    let rig = Rig::new();
    let (ledger, _) = rig.open().unwrap();
    let good = || batch(1, 2);
    let last = good().payload.len() - 1;
    let leaf = good().entries[0].leaf_bytes;
    let breaks: Vec<(&str, fn(&mut Batch, usize))> = vec![
        ("the digest in a leaf", |b, _| b.payload[31] ^= 1),
        ("a byte too many", |b, _| b.payload.push(0)),
        ("a byte too few", |b, last| b.payload.truncate(last)),
        ("no entry", |b, _| *b = Batch::default()),
        ("no body", |b, _| b.entries[1].body_bytes = None),
        ("an empty leaf", |b, _| b.entries[0].leaf_bytes = 0),
        ("a slot outside", |b, _| b.entries[0].stamp_at = Some(33)),
        ("a body longer than its limit", |b, _| b.entries[1].body_bytes = Some(u32::MAX - 1)),
        ("a leaf longer than its limit", |b, _| b.entries[1].leaf_bytes = 65_536),
    ];
    assert_eq!(leaf, 62);
    let mut other = Batch::default();
    other.push(
        &[b'_'; 62],
        Some(0),
        Some(ledger::Body::new(b"a body that the leaf does not name")),
        ledger::Tags::default(),
        true,
    );
    assert!(matches!(append(&ledger, other), Err(AppendError::Refused(_))));
    for (what, break_it) in breaks {
        let mut bad = good();
        break_it(&mut bad, last);
        assert!(matches!(append(&ledger, bad), Err(AppendError::Refused(_))), "{what}");
    }
    assert_eq!(ledger.size(), 0);
    append(&ledger, good()).unwrap();
    let status = ledger.status();
    assert_eq!((status.size, status.blocks), (2, 1));
    assert!(status.bytes_written > 200 && status.sync_p50_ns > 0 && status.sync_p99_ns >= status.sync_p50_ns);
    ledger.close().unwrap();
}

#[test]
fn a_torn_tail_is_left_behind_at_every_length_and_stays_explained() {
    let rig = Rig::new();
    let (ledger, _) = rig.open().unwrap();
    append(&ledger, batch(0, 3)).unwrap();
    ledger.close().unwrap();
    let whole = std::fs::read(rig.wal(1)).unwrap();
    // An unacknowledged block: the same bytes once more, cut at every length, are no block at this place.
    let block = whole[256..].to_vec();
    for cut in (1..=block.len()).step_by(7) {
        edit(&rig.wal(1), |bytes| bytes.extend_from_slice(&block[..cut]));
        let (ledger, report) = rig.open().unwrap();
        assert!(report.notes.iter().any(|n| n.contains("torn tail")), "{report:?}");
        assert_eq!(ledger.size(), 3);
        ledger.close().unwrap();
        let (ledger, report) = rig.open().unwrap();
        assert!(report.notes.is_empty(), "{report:?}");
        ledger.close().unwrap();
        std::fs::remove_file(rig.wal(2)).unwrap();
        std::fs::write(rig.wal(1), &whole).unwrap();
    }
}

#[test]
fn flips_and_cuts_of_published_segments_are_named() {
    let rig = Rig::new();
    let (ledger, _) = rig.open().unwrap();
    append(&ledger, batch(0, 3)).unwrap();
    append(&ledger, batch(3, 2)).unwrap();
    ledger.close().unwrap();
    let whole = std::fs::read(rig.wal(1)).unwrap();
    // Every byte is the simulated disk's part (`damage`); here the real one with pin and log, a sample.
    for at in (0..whole.len()).step_by(5) {
        edit(&rig.wal(1), |bytes| bytes[at] ^= 4);
        assert!(matches!(rig.open(), Err(OpenError::Corrupt(_))), "byte {at}");
        std::fs::write(rig.wal(1), &whole).unwrap();
    }
    for cut in (0..whole.len()).step_by(4) {
        edit(&rig.wal(1), |bytes| bytes.truncate(cut));
        // Cut at the end of a block the segment is whole and too short: a rollback.
        let refused = rig.open().err();
        assert!(matches!(refused, Some(OpenError::Corrupt(_) | OpenError::Rollback { .. })), "cut at {cut}");
        std::fs::write(rig.wal(1), &whole).unwrap();
    }
}

#[test]
fn a_lost_middle_segment_is_corruption() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 1;
    let (ledger, _) = rig.open().unwrap();
    (0..4).for_each(|i| drop(append(&ledger, batch(i * 3, 3)).unwrap()));
    ledger.close().unwrap();
    assert!(rig.wal(3).exists());
    std::fs::remove_file(rig.wal(3)).unwrap();
    assert!(matches!(rig.open(), Err(OpenError::Corrupt(c)) if c.what.contains("missing")));
}

#[test]
fn yesterdays_folder_refuses_to_sign() {
    let rig = Rig::new();
    let ledger_dir = rig.data().join("ledgers").join(crate::rig::ULID);
    let (ledger, _) = rig.open().unwrap();
    append(&ledger, batch(0, 3)).unwrap();
    ledger.close().unwrap();
    let log = ledger_dir.join("checkpoints/0000000000000001.log");
    let yesterday = (std::fs::read(rig.wal(1)).unwrap(), std::fs::read(&log).unwrap());
    let (ledger, _) = rig.open().unwrap();
    append(&ledger, batch(3, 3)).unwrap();
    ledger.close().unwrap();
    std::fs::write(rig.wal(1), yesterday.0).unwrap();
    std::fs::write(&log, yesterday.1).unwrap();
    let refused = rig.open().err().unwrap();
    assert!(matches!(refused, OpenError::Rollback { what: "smaller tree", found_size: 3, published_size: 6, .. }));
    std::fs::remove_file(rig.pin()).unwrap();
    assert!(matches!(rig.open(), Err(OpenError::NoPin { .. })));
}

#[test]
fn a_flip_on_the_way_to_the_signature_is_refused_at_every_stage() {
    for stage in [Stage::PayloadBeforeWrite, Stage::PayloadAfterRead, Stage::LeafHashes, Stage::Root, Stage::BeforeSign]
    {
        for at in [0, 29, 31, 62, 101] {
            let mut rig = Rig::new();
            let armed = Arc::new(AtomicBool::new(false));
            let trigger = Arc::clone(&armed);
            rig.config.fault = Some(Arc::new(move |s, bytes| {
                if s == stage && trigger.swap(false, Ordering::SeqCst) {
                    let len = bytes.len();
                    bytes[at % len] ^= 1;
                }
            }));
            let (ledger, _) = rig.open().unwrap();
            armed.store(true, Ordering::SeqCst);
            let _ = append(&ledger, batch(0, 3));
            assert!(matches!(ledger.close(), Err(AppendError::Poisoned(_))), "{stage:?} byte {at}");
            assert_eq!(ledger.checkpoint().size, 0, "{stage:?} byte {at}");
            assert!(ledger.status().poisoned.is_some());
            assert!(matches!(append(&ledger, batch(9, 1)), Err(AppendError::Poisoned(_) | AppendError::Closing)));
        }
    }
}

#[test]
fn a_publisher_that_panics_stops_the_ledger() {
    let mut rig = Rig::new();
    let armed = Arc::new(AtomicBool::new(false));
    let fires = Arc::clone(&armed);
    rig.config.fault = Some(Arc::new(move |stage, _: &mut [u8]| {
        assert!(stage != Stage::BeforeSign || !fires.load(Ordering::SeqCst), "a bug on the way to the signature");
    }));
    let (ledger, _) = rig.open().unwrap();
    armed.store(true, Ordering::SeqCst);
    append(&ledger, batch(0, 1)).unwrap();
    let (tx, rx) = std::sync::mpsc::channel();
    ledger.wait_published(1, Box::new(move |outcome| drop(tx.send(outcome.map(|_| ())))));
    // Not a wait for ever, and not a log that goes on without signatures.
    let answer = rx.recv_timeout(std::time::Duration::from_secs(10)).expect("an answer in time");
    assert!(matches!(answer, Err(AppendError::Poisoned(why)) if why.contains("publisher")));
    assert!(matches!(append(&ledger, batch(1, 1)), Err(AppendError::Poisoned(_))));
}

#[test]
fn a_clock_that_is_set_back_keeps_no_checkpoint_away() {
    let rig = Rig::new();
    let (ledger, _) = rig.open().unwrap();
    rig.advance_ms(86_400_000);
    let published = |size| {
        let (tx, rx) = std::sync::mpsc::channel();
        ledger.wait_published(size, Box::new(move |outcome| drop(tx.send(outcome))));
        rx.recv_timeout(std::time::Duration::from_secs(10)).expect("a checkpoint in time").unwrap().size
    };
    append(&ledger, batch(0, 1)).unwrap();
    assert_eq!(published(1), 1);
    rig.set_back_ms(43_200_000);
    let before = ledger.entry(0).unwrap().leaf;
    append(&ledger, batch(1, 1)).unwrap();
    assert_eq!(published(2), 2);
    assert!(ledger.entry(1).unwrap().leaf[..30] >= before[..30], "time in the log never goes back");
    ledger.close().unwrap();
}

#[test]
fn a_newer_format_and_a_second_holder_are_refused() {
    let rig = Rig::new();
    let held = DataFolder::open(&rig.disk(), &rig.data()).unwrap();
    assert!(matches!(DataFolder::open(&rig.disk(), &rig.data()), Err(OpenError::Locked(_))));
    // Taken for a stale one by somebody who wants the server to start.
    std::fs::remove_file(rig.data().join("LOCK")).unwrap();
    assert!(matches!(DataFolder::open(&rig.disk(), &rig.data()), Err(OpenError::Locked(_))));
    drop(held);
    std::fs::write(rig.data().join("FORMAT"), "proofbook-data 2\n").unwrap();
    assert!(matches!(DataFolder::open(&rig.disk(), &rig.data()), Err(OpenError::Format { .. })));
}

#[test]
fn a_full_queue_and_a_full_backlog_answer_busy() {
    let mut rig = Rig::new();
    rig.config.backlog_bytes_max = 600;
    let (ledger, _) = rig.open().unwrap();
    append(&ledger, numbered(0, 200)).unwrap();
    // Less than a bundle cannot be sealed: it never fills the backlog.
    append(&ledger, numbered(200, 100)).unwrap();
    assert!(matches!(append(&ledger, numbered(300, 1)), Err(AppendError::Busy(_))));
    ledger.close().unwrap();
}
