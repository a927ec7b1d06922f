//! The running ledger seals by itself: on a real disk and on one that fails.

use std::path::Path;

use ledger::AppendError;
use testkit::{Fault, FaultKind, OpKind, SimDisk};
use tlog::verify_inclusion;

use crate::rig::{Rig, append, numbered, until};

/// Appends batches of 100 until `size` entries are durable.
fn fill(ledger: &ledger::Ledger, size: u64) {
    while ledger.size() < size {
        append(ledger, numbered(ledger.size(), 100)).unwrap();
    }
}

#[test]
fn a_ledger_seals_while_it_runs_and_every_answer_stays_the_same() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 40_000;
    rig.config.publish_busy_ms = 0;
    let (ledger, _) = rig.open().unwrap();
    fill(&ledger, 2_000);
    until("a sealed set", || ledger.status().sealed_size >= 1_024 && ledger.status().backlog_bytes < 100_000);
    fill(&ledger, 3_000);
    until("another one", || ledger.status().sealed_size >= 2_304);
    let status = ledger.status();
    assert_eq!((status.size, status.sealer_waits, status.poisoned), (3_000, None, None));
    assert!(!status.immutable);
    assert!(!rig.wal(1).exists(), "a sealed segment is still there");
    ledger.close().unwrap();
    let (again, report) = rig.open().unwrap();
    // The close may have met the sealer within a set.
    let expected = |note: &String| note.starts_with("an unfinished sealed set is removed");
    assert!(report.notes.iter().all(expected), "{report:?}");
    assert_eq!((again.size(), again.status().sealed_size), (3_000, ledger.status().sealed_size));
    let root = again.checkpoint().root;
    for (entry, index) in again.entries(0..3_000).unwrap().iter().zip(0..) {
        assert_eq!(entry.body.as_deref(), Some(format!("body of entry {index}").as_bytes()));
        let proof = again.prove(index, 3_000).unwrap();
        verify_inclusion(&tlog::leaf_hash(&entry.leaf), index, 3_000, &proof, &root).unwrap();
    }
    again.close().unwrap();
}

/// The hour of a quiet ledger passes without a further entry.
#[test]
fn an_old_segment_is_sealed_without_further_entries() {
    let rig = Rig::new();
    let (ledger, _) = rig.open().unwrap();
    fill(&ledger, 300);
    rig.advance_ms(3_600_000);
    until("the sealed bundle", || ledger.status().sealed_size == 256);
    assert!(rig.ledger("sealed/00000000000000000000.seal").exists());
    ledger.close().unwrap();
}

#[test]
fn busy_ends_when_the_backlog_is_sealed() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 20_000;
    rig.config.backlog_bytes_max = 70_000;
    rig.config.publish_busy_ms = 0;
    let (ledger, _) = rig.open().unwrap();
    let (mut taken, mut busy) = (0, 0);
    // More than ten times the backlog goes through, whether or not the sealer keeps up.
    while taken < 5_000 {
        match append(&ledger, numbered(taken, 100)) {
            Ok(_) => taken += 100,
            Err(AppendError::Busy(_)) => busy += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(ledger.status().sealed_size > 4_000, "{busy} refusals");
    ledger.close().unwrap();
}

#[test]
fn a_sealer_without_room_waits_says_so_and_goes_on() {
    let disk = SimDisk::new();
    let mut rig = Rig::on(&disk);
    rig.config.segment_bytes = 20_000;
    rig.config.backlog_bytes_max = 200_000;
    rig.config.publish_busy_ms = 0;
    let (ledger, _) = rig.open().unwrap();
    disk.fail(Fault::for_ever(OpKind::Write, 1, FaultKind::Enospc).where_path_has("/sealed/"));
    let refused = loop {
        if let Err(refused) = append(&ledger, numbered(ledger.size(), 100)) {
            break refused;
        }
    };
    assert!(matches!(refused, AppendError::Busy(_)), "{refused}");
    until("the reason", || ledger.status().sealer_waits.is_some());
    let why = ledger.status().sealer_waits.unwrap();
    assert!(why.contains("/sealed/00000000000000000000."), "{why}");
    let size = ledger.size();
    assert_eq!(ledger.entries(0..size).unwrap().len() as u64, size, "reads go on");
    assert!(ledger.status().poisoned.is_none());
    disk.heal();
    until("the sealed backlog", || ledger.status().sealed_size > 256 && ledger.status().sealer_waits.is_none());
    append(&ledger, numbered(size, 100)).unwrap();
    ledger.close().unwrap();
}

/// The sealer reads a segment again before it lets it go: what rotted since it was signed stops the signing.
#[test]
fn damage_that_the_sealer_meets_poisons_the_ledger() {
    let disk = SimDisk::new();
    let mut rig = Rig::on(&disk);
    rig.config.publish_busy_ms = 0;
    let (ledger, _) = rig.open().unwrap();
    fill(&ledger, 600);
    until("the checkpoint", || ledger.checkpoint().size == 600);
    disk.flip(&rig.wal(1), 30_000, 0x20).unwrap();
    rig.advance_ms(3_600_000);
    until("the poison", || ledger.status().poisoned.is_some());
    let why = ledger.status().poisoned.unwrap();
    assert!(why.contains("0000000000000001.wal") && why.contains("entry"), "{why}");
    assert!(matches!(append(&ledger, numbered(600, 1)), Err(AppendError::Poisoned(_))));
    assert_eq!(ledger.status().sealed_size, 0);
    ledger.close().unwrap_err();
}

/// Where this process may set it, the attribute is there and holds; elsewhere the status says so.
#[test]
fn the_status_tells_the_truth_about_immutability() {
    let mut rig = Rig::new();
    rig.config.immutable = true;
    rig.config.publish_busy_ms = 0;
    let (ledger, _) = rig.open().unwrap();
    assert!(!ledger.status().immutable, "nothing is sealed yet");
    fill(&ledger, 300);
    rig.advance_ms(3_600_000);
    until("the sealed bundle", || ledger.status().sealed_size == 256);
    ledger.close().unwrap();
    let file = |extension: &str| rig.ledger(&format!("sealed/00000000000000000000.{extension}"));
    let flags = |path: &Path| rustix::fs::ioctl_getflags(std::fs::File::open(path).unwrap()).ok();
    let is = |path: &Path| flags(path).is_some_and(|flags| flags.contains(rustix::fs::IFlags::IMMUTABLE));
    let immutable = ["leaves", "tiles", "bodies", "tags", "seal"].map(|extension| is(&file(extension)));
    let (reopened, _) = rig.open().unwrap();
    until("the look at old sets", || reopened.status().immutable == immutable[0]);
    reopened.close().unwrap();
    if immutable[0] {
        assert_eq!(immutable, [true, true, false, false, false]);
        assert!(ledger.status().immutable);
        for extension in ["leaves", "tiles"] {
            std::fs::OpenOptions::new().write(true).open(file(extension)).unwrap_err();
            std::fs::remove_file(file(extension)).unwrap_err();
            let opened = std::fs::File::open(file(extension)).unwrap();
            let flags = rustix::fs::ioctl_getflags(&opened).unwrap();
            rustix::fs::ioctl_setflags(&opened, flags - rustix::fs::IFlags::IMMUTABLE).unwrap();
        }
    } else {
        assert_eq!(immutable, [false; 5]);
        assert!(!ledger.status().immutable);
    }
}
