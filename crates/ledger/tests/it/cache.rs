//! What a start has read counts from then on: it is made durable, even where a process died before it could do that.

use std::path::Path;

use ledger::{CheckpointLog, Pin};
use testkit::{SimDisk, Survivors};
use tlog::Hash;

/// Facts that are put into a log one after the other; gives the last one that a fresh start reads.
trait Fact {
    fn put(disk: &SimDisk, facts: std::ops::Range<u64>) -> Option<()>;
    fn last(disk: &SimDisk) -> u64;
}

impl Fact for Pin {
    fn put(disk: &SimDisk, facts: std::ops::Range<u64>) -> Option<()> {
        let pin = Pin::open(&disk.door(), Path::new("/state/pin")).ok()?;
        facts.into_iter().try_for_each(|n| pin.record("o/logs/x", n, &Hash([7; 32])).ok())
    }

    fn last(disk: &SimDisk) -> u64 {
        Pin::open(&disk.door(), Path::new("/state/pin")).unwrap().last("o/logs/x").map_or(0, |(size, _)| size)
    }
}

impl Fact for CheckpointLog {
    fn put(disk: &SimDisk, facts: std::ops::Range<u64>) -> Option<()> {
        let mut log = CheckpointLog::open(&disk.door(), Path::new("/state")).ok()?;
        // Long ones: the log rolls after some twenty.
        facts.into_iter().try_for_each(|n| log.append(&format!("{n} {}", "x".repeat(14_000))).ok())
    }

    fn last(disk: &SimDisk) -> u64 {
        let log = CheckpointLog::open(&disk.door(), Path::new("/state")).unwrap();
        log.last().map_or(0, |note| note.split(' ').next().unwrap().parse().unwrap())
    }
}

fn what_was_read_is_durable<F: Fact>() {
    let mut lost_names = 0;
    for operation in 1.. {
        let disk = SimDisk::new();
        disk.make_dir(Path::new("/state")).unwrap();
        disk.cut_at(operation);
        let done = F::put(&disk, 1..25).is_some();
        // The process died; the kernel lives, and its cache shows the next start what never reached the device.
        disk.kill();
        let read = F::last(&disk);
        disk.cut_now();
        disk.restart(Survivors::Nothing);
        assert_eq!(F::last(&disk), read, "killed at {operation}");
        lost_names += 1;
        if done {
            break;
        }
    }
    assert!(lost_names > 20, "{lost_names}");
}

#[test]
fn the_pin_that_a_start_has_read_is_durable() {
    what_was_read_is_durable::<Pin>();
}

#[test]
fn the_checkpoint_that_a_start_has_read_is_durable() {
    what_was_read_is_durable::<CheckpointLog>();
}
