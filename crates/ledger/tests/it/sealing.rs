//! The running ledger seals by itself: on a real disk and on one that fails.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ledger::{AppendError, Outcome};
use testkit::{Fault, FaultKind, OpKind, Rng, SimDisk};
use tlog::verify_inclusion;

use crate::rig::{Rig, append, numbered, push, push_numbered, until};

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

/// 256 bodies of 100 kB are read in pages of 16 MiB, from the tail as from a sealed set.
#[test]
fn a_bundle_of_large_bodies_is_read_page_by_page() {
    const BODY: usize = 100_000;
    let mut rig = Rig::new();
    rig.config.publish_busy_ms = 0;
    let (ledger, _) = rig.open().unwrap();
    let body = |id: u8| vec![id; BODY];
    for id in 0..=255 {
        let mut batch = ledger::Batch::default();
        push(&mut batch, id, &body(id));
        append(&ledger, batch).unwrap();
    }
    let pages = |ledger: &ledger::Ledger| {
        let (mut all, mut next, mut largest) = (Vec::new(), 0, 0);
        while next < 256 {
            let (bytes, after) = ledger.bodies(0, 256, next).unwrap();
            assert!(after > next, "a page holds something");
            (largest, next) = (largest.max(bytes.len()), after);
            all.extend(bytes);
        }
        assert!(largest <= (16 << 20) + 2 * BODY && largest > 8 << 20, "{largest}");
        let bodies = tlog::decode_bodies(&all).unwrap();
        assert!(bodies.iter().zip(0..=255).all(|(found, id)| *found == Some(&body(id)[..])));
        assert_eq!(bodies.len(), 256);
    };
    until("the checkpoint", || ledger.checkpoint().size == 256);
    pages(&ledger);
    assert!(ledger.bodies(0, 256, 256).is_err() && ledger.bodies(1, 1, 0).is_err());
    rig.advance_ms(3_600_000);
    until("the sealed bundle", || ledger.status().sealed_size == 256);
    pages(&ledger);
    ledger.close().unwrap();
}

#[test]
fn a_disk_without_room_is_told_before_anybody_appends() {
    let disk = SimDisk::new();
    let mut rig = Rig::on(&disk);
    rig.config.disk_low_bytes = u64::MAX;
    let (ledger, _) = rig.open().unwrap();
    until("the word", || ledger.status().disk_low);
    assert_eq!(append(&ledger, numbered(0, 1)).unwrap_err(), AppendError::DiskLow);
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

/// Callers who append, send again and read while sets are sealed and released under them.
#[test]
fn nothing_is_doubled_or_missed_while_entries_move_from_tail_to_sets() {
    const TOTAL: u64 = 12_000;
    let mut rig = Rig::new();
    rig.config.segment_bytes = 20_000;
    // Callers wait for the sealer, so that most of it happens while they run.
    rig.config.backlog_bytes_max = 500_000;
    rig.config.publish_busy_ms = 0;
    let (ledger, _) = rig.open().unwrap();
    let indexes: Mutex<Vec<Option<u64>>> = Mutex::new(vec![None; usize::try_from(TOTAL).unwrap()]);
    let (taken, done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|seed| {
                let (ledger, indexes, taken) = (&ledger, &indexes, &taken);
                scope.spawn(move || append_and_repeat(ledger, indexes, taken, TOTAL, seed))
            })
            .collect();
        for seed in 10..12 {
            let (ledger, done) = (&ledger, &done);
            scope.spawn(move || read_at_random(ledger, done, seed));
        }
        let repeats: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        done.store(true, Ordering::Release);
        assert!(repeats > TOTAL / 4, "{repeats} repeats");
    });
    assert_eq!(ledger.size(), TOTAL, "an entry was appended twice or not at all");
    assert!(ledger.status().sealed_size > TOTAL / 2);
    ledger.close().unwrap();
    let (ledger, _) = rig.open().unwrap();
    for (number, index) in (0..).zip(indexes.into_inner().unwrap()) {
        let entry = ledger.entry(index.unwrap()).unwrap();
        assert_eq!(entry.body, Some(format!("body of entry {number}").into_bytes()));
    }
    ledger.close().unwrap();
}

/// Takes numbers by the fifty, appends them and some older ones; gives how many repeats were known.
fn append_and_repeat(
    ledger: &ledger::Ledger,
    indexes: &Mutex<Vec<Option<u64>>>,
    taken: &AtomicU64,
    total: u64,
    seed: u64,
) -> u64 {
    let (mut rng, mut repeats) = (Rng::new(seed), 0);
    let at = |number: u64| usize::try_from(number).unwrap();
    loop {
        let first = taken.fetch_add(50, Ordering::SeqCst);
        if first >= total {
            return repeats;
        }
        let mut numbers: Vec<u64> = (first..first + 50).collect();
        let older: Vec<u64> = (0..20).map(|_| rng.below(first + 1)).collect();
        // Numbers of the other caller may be on their way: only those that were answered are repeats.
        numbers.extend(older.into_iter().filter(|n| indexes.lock().unwrap()[at(*n)].is_some()));
        let answers = loop {
            let mut batch = ledger::Batch::default();
            numbers.iter().for_each(|n| push_numbered(&mut batch, *n));
            match append(ledger, batch) {
                Ok(answers) => break answers,
                Err(AppendError::Busy(_)) => std::thread::yield_now(),
                Err(other) => panic!("{other}"),
            }
        };
        let mut known = indexes.lock().unwrap();
        for (number, outcome) in numbers.into_iter().zip(answers.outcomes) {
            match (known[at(number)], outcome) {
                (None, Outcome::Appended { index, .. }) => known[at(number)] = Some(index),
                (Some(before), Outcome::Duplicate { index, leaf_hash }) => {
                    assert_eq!(index, before, "entry {number} has two indexes");
                    assert_ne!(leaf_hash, tlog::Hash([0; 32]));
                    repeats += 1;
                }
                other => panic!("entry {number}: {other:?}"),
            }
        }
    }
}

/// Reads and proves at random until told to end: whatever is published can be read and proven at any moment.
fn read_at_random(ledger: &ledger::Ledger, done: &AtomicBool, seed: u64) {
    let mut rng = Rng::new(seed);
    while !done.load(Ordering::Acquire) {
        let published = ledger.checkpoint();
        if published.size < 300 {
            std::thread::yield_now();
            continue;
        }
        let index = rng.below(published.size);
        let entry = ledger.entry(index).unwrap();
        let proof = ledger.prove(index, published.size).unwrap();
        verify_inclusion(&tlog::leaf_hash(&entry.leaf), index, published.size, &proof, &published.root).unwrap();
        let bundle = rng.below(published.size / 256);
        let leaves = ledger.bundle(bundle, 256).unwrap();
        assert_eq!(tlog::decode_bundle(&leaves).unwrap().len(), 256);
        ledger.bundle_gzip(bundle, 256).unwrap();
        ledger.tile(0, bundle, 256).unwrap();
        let from = rng.below(published.size);
        let some = ledger.entries(from..published.size.min(from + 300)).unwrap();
        assert!(some.iter().zip(from..).all(|(entry, n)| entry.index == n) && !some.is_empty());
        let size = 1 + rng.below(published.size);
        ledger.consistency(size, published.size).unwrap();
    }
}
