//! The write path over a disk that forgets, fails and is cut off: what was acknowledged is there, whatever happens.
//!
//! `PROOFBOOK_COUNTS=ci` runs the counts of continuous integration.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    clippy::type_complexity,
    reason = "tests"
)]

mod cache;
mod chance;
mod damage;
mod duplicates;
mod flips;
mod power;
mod python;
mod recheck;
mod rig;
mod sealed;
mod sealer;
mod sealing;
mod tamper;
mod verify;
mod write_path;

use std::path::{Path, PathBuf};

use ledger::{AppendError, Batch, Config, Kind, Known, OpenError, Outcome, Recovered, Setup, Writer, recover};
use testkit::{SimDisk, VirtualClock, entries, is_ci};

/// Small segments, so that a short workload rolls.
const SEGMENT_BYTES: u64 = 2_000;

struct World {
    disk: SimDisk,
    clock: VirtualClock,
}

impl World {
    fn new() -> World {
        let disk = SimDisk::new();
        for folder in ["/l", "/l/wal", "/l/sealed", "/views"] {
            disk.door().create_dir(Path::new(folder)).unwrap();
            disk.door().sync_dir(Path::new(folder).parent().unwrap()).unwrap();
        }
        World { disk, clock: VirtualClock::at(testkit::clock::NOON).ticking(1_000) }
    }

    fn setup(&self) -> Setup {
        Setup {
            disk: self.disk.door(),
            wal: PathBuf::from("/l/wal"),
            sealed: PathBuf::from("/l/sealed"),
            origin: "test/logs/main".to_owned(),
            ulid: rig::ULID.to_owned(),
            views: PathBuf::from("/views").join(rig::ULID),
            views_mac: rig::views_mac(),
            about: [7; 32],
            kind: Kind::Audit,
            config: Config { segment_bytes: SEGMENT_BYTES, disk_low_bytes: 0, ..Config::default() },
            clock: self.clock.door(),
            stamp: entries::stamp(),
            body_digest: entries::body_digest(),
        }
    }

    fn open(&self, known: &[Known]) -> Result<(Writer, Recovered), OpenError> {
        recover(&self.setup(), known)
    }
}

/// Commits `blocks` blocks of a few entries each; gives how many entries were acknowledged before the first error.
fn workload(writer: &mut Writer, blocks: u64) -> u64 {
    let mut acknowledged = writer.size();
    for n in 0..blocks {
        let first = writer.size();
        let one = entries::batch(first, 1 + n % 3, 60 + (n as usize * 37) % 300, false);
        let two = entries::batch(first + 1 + n % 3, 2, 90, true);
        match writer.commit(vec![one, two]) {
            Ok(all) => {
                assert_eq!(all.len(), 2);
                acknowledged = all[1].size;
            }
            Err(AppendError::Poisoned(_)) => {
                let again = writer.commit(vec![entries::batch(first, 1, 60, true)]);
                assert!(matches!(again, Err(AppendError::Poisoned(_))), "acknowledged after a failure");
                break;
            }
            Err(other) => panic!("{other}"),
        }
    }
    acknowledged
}

/// Every entry below `acknowledged` is there, byte for byte, and hashes to the root.
fn check(writer: &Writer, acknowledged: u64) {
    assert!(writer.size() >= acknowledged, "{} of {acknowledged} acknowledged entries are left", writer.size());
    let mut frontier = tlog::Frontier::new();
    let mut index = 0;
    while index < writer.size() {
        for stored in writer.entries(index..writer.size()).unwrap() {
            assert_eq!(stored.index, index);
            let body = stored.body.unwrap();
            let made = entries::entry(index, body.len());
            assert!(made.is_leaf(&stored.leaf), "leaf {index}");
            assert_eq!(made.body, body, "body {index}");
            assert_eq!(made.tags, stored.tags);
            frontier.push(tlog::leaf_hash(&stored.leaf));
            index += 1;
        }
    }
    assert_eq!(frontier.root(), writer.root());
}

#[test]
fn what_is_committed_is_read_back_after_every_restart() {
    let world = World::new();
    let mut total = 0;
    for _ in 0..5 {
        let (mut writer, recovered) = world.open(&[]).unwrap();
        assert_eq!((recovered.size, recovered.torn_bytes), (total, 0));
        total = workload(&mut writer, 7);
        check(&writer, total);
        world.disk.kill();
    }
    let segments = world.disk.door().list(Path::new("/l/wal")).unwrap();
    assert!(segments.len() > 4, "the workload was meant to roll: {segments:?}");
}

#[test]
fn one_time_a_block_and_it_never_falls() {
    let world = World::new();
    let (mut writer, _) = world.open(&[]).unwrap();
    let now = world.clock.now();
    let first = writer.commit(vec![entries::batch(0, 3, 60, true)]).unwrap();
    world.clock.set(now - 3_600_000_000_000);
    let second = writer.commit(vec![entries::batch(3, 2, 60, true), entries::batch(5, 1, 60, true)]).unwrap();
    assert_eq!(second[0].received_at, first[0].received_at, "the clock went back, the log does not");
    assert_eq!(second[0].received_at, second[1].received_at);
    for stored in writer.entries(3..6).unwrap() {
        let made = entries::entry(stored.index, 60);
        assert_eq!(stored.leaf, made.stamped(second[0].received_at));
    }
}

#[test]
fn a_batch_that_breaks_a_rule_is_refused_and_nothing_of_it_is_written() {
    let world = World::new();
    let (mut writer, _) = world.open(&[]).unwrap();
    let mut altered = entries::batch(0, 1, 60, true);
    let (made, other) = (entries::entry(1, 60), entries::entry(2, 60));
    let body = Some(ledger::Body::new(&other.body));
    altered.push(&made.leaf, Some(entries::Made::STAMP_AT), body, made.tags, true);
    let mut longer = entries::batch(0, 1, 60, true);
    longer.payload.push(0);
    let mut empty_leaf = Batch::default();
    empty_leaf.push(b"", None, None, Default::default(), true);
    for bad in [altered, longer, empty_leaf, Batch::default()] {
        let refused = writer.commit(vec![entries::batch(9, 1, 60, true), bad]);
        assert!(matches!(refused, Err(AppendError::Refused(_))), "{refused:?}");
    }
    assert_eq!(writer.size(), 0);
    assert!(matches!(
        writer.commit(vec![entries::batch(0, 1, 60, true)]).unwrap()[0].outcomes[0],
        Outcome::Appended { index: 0, .. }
    ));
}

#[test]
fn a_full_backlog_and_a_full_disk_are_told_before_anything_is_written() {
    let world = World::new();
    let mut setup = world.setup();
    setup.config.backlog_bytes_max = 600;
    let (mut writer, _) = recover(&setup, &[]).unwrap();
    writer.commit(vec![entries::batch(0, 300, 40, true)]).unwrap();
    let busy = writer.commit(vec![entries::batch(300, 1, 60, true)]);
    assert!(matches!(busy, Err(AppendError::Busy(_))), "{busy:?}");
    world.disk.kill();
    setup.config = Config { disk_low_bytes: 1 << 50, ..setup.config };
    setup.config.backlog_bytes_max = 1 << 30;
    let (mut writer, _) = recover(&setup, &[]).unwrap();
    assert_eq!(writer.commit(vec![entries::batch(300, 1, 60, true)]).unwrap_err(), AppendError::DiskLow);
    setup.config.disk_low_bytes = 0;
    world.disk.kill();
    let (mut writer, _) = recover(&setup, &[]).unwrap();
    writer.commit(vec![entries::batch(300, 1, 60, true)]).unwrap();
    check(&writer, 301);
}

fn known(writer: &Writer) -> Known {
    Known { size: writer.size(), root: writer.root(), by: "pin" }
}

fn segment(number: u64) -> PathBuf {
    PathBuf::from(format!("/l/wal/{number:016x}.wal"))
}
