//! Tests of the pin over a disk that can lose what was not synced.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::fake_disk::{FakeDisk, Survives};

fn path() -> PathBuf {
    PathBuf::from("/state/pin")
}

fn empty() -> FakeDisk {
    let disk = FakeDisk::default();
    disk.create_dir(Path::new("/state")).unwrap();
    disk
}

fn open(disk: &FakeDisk) -> Result<Pin, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Pin::open(&disk, &path())
}

fn root(n: u64) -> Hash {
    tlog::leaf_hash(&n.to_be_bytes())
}

#[test]
fn the_last_line_of_an_origin_counts() {
    let disk = empty();
    let pin = open(&disk).unwrap();
    assert_eq!(pin.last("a/logs/x"), None);
    for n in 0..5 {
        pin.record("a/logs/x", n, &root(n)).unwrap();
        pin.record("a/logs/y", n * 10, &root(n)).unwrap();
        let after = open(&disk.power_cut(Survives::Nothing)).unwrap();
        assert_eq!(after.last("a/logs/x"), Some((n, root(n))));
        assert_eq!(after.last("a/logs/y"), Some((n * 10, root(n))));
    }
}

#[test]
fn a_smaller_or_another_tree_is_refused() {
    let pin = open(&empty()).unwrap();
    pin.record("o", 7, &root(7)).unwrap();
    pin.record("o", 7, &root(7)).unwrap();
    pin.record("o", 6, &root(6)).unwrap_err();
    pin.record("o", 7, &root(8)).unwrap_err();
    pin.record("two words", 8, &root(8)).unwrap_err();
    assert_eq!(pin.last("o"), Some((7, root(7))));
}

#[test]
fn a_torn_line_is_ignored_and_written_over() {
    let disk = empty();
    let pin = open(&disk).unwrap();
    pin.record("o", 1, &root(1)).unwrap();
    let one = disk.bytes(&path()).len();
    pin.record("o", 2, &root(2)).unwrap();
    let whole = disk.bytes(&path());
    for cut in one..whole.len() {
        disk.put(&path(), &whole[..cut]);
        let pin = open(&disk).unwrap();
        assert_eq!(pin.last("o"), Some((1, root(1))), "cut at {cut}");
        pin.record("o", 3, &root(3)).unwrap();
        assert_eq!(open(&disk).unwrap().last("o"), Some((3, root(3))), "cut at {cut}");
        assert!(read_pin(&disk.bytes(&path()), &path(), false).is_ok(), "cut at {cut}");
    }
}

#[test]
fn a_changed_line_is_corruption_and_named() {
    let disk = empty();
    let pin = open(&disk).unwrap();
    for n in 1..4 {
        pin.record("o", n, &root(n)).unwrap();
    }
    let whole = disk.bytes(&path());
    for at in 0..whole.len() {
        for value in [whole[at] ^ 1, whole[at] ^ 0x80, 0, 0xff] {
            let mut bad = whole.clone();
            bad[at] = value;
            let found = read_pin(&bad, &path(), false);
            let torn = at == whole.len() - 1;
            assert!(found.is_err() || (torn && found.unwrap().end < whole.len() as u64), "byte {at} to {value}");
        }
    }
    let mut bad = whole.clone();
    let line = whole.split_inclusive(|b| *b == b'\n').take(2).map(<[u8]>::len).sum::<usize>();
    bad[line + 3] ^= 1;
    disk.put(&path(), &bad);
    let Err(OpenError::Corrupt(corrupt)) = open(&disk) else { panic!("taken") };
    assert_eq!((corrupt.file, corrupt.offset), (path(), line as u64));
}

#[test]
fn compaction_keeps_one_line_an_origin() {
    let disk = empty();
    let pin = open(&disk).unwrap();
    let mut largest = 0;
    for n in 0..2_000 {
        pin.record("a/logs/x", n, &root(n)).unwrap();
        pin.record("a/logs/y", n, &root(n)).unwrap();
        largest = largest.max(disk.bytes(&path()).len() as u64);
    }
    assert!(largest <= PIN_BYTES_MAX, "{largest}");
    assert_eq!(open(&disk).unwrap().last("a/logs/x"), Some((1_999, root(1_999))));
    assert_eq!(open(&disk).unwrap().last("a/logs/y"), Some((1_999, root(1_999))));
}

#[test]
fn many_ledgers_of_one_process_share_it() {
    let disk = empty();
    let pin = Arc::new(open(&disk).unwrap());
    std::thread::scope(|scope| {
        for ledger in 0..4 {
            let pin = Arc::clone(&pin);
            scope.spawn(move || {
                for n in 0..300 {
                    pin.record(&format!("o{ledger}"), n, &root(n)).unwrap();
                }
            });
        }
    });
    let pin = open(&disk.power_cut(Survives::Nothing)).unwrap();
    for ledger in 0..4 {
        assert_eq!(pin.last(&format!("o{ledger}")), Some((299, root(299))));
    }
}

/// Power is cut at every mutating call of a run that compacts: the last acknowledged size is there, or the next.
#[test]
fn power_cut_at_every_call() {
    for survives in [Survives::Nothing, Survives::HalfOfEachFile, Survives::Everything] {
        for call in 0.. {
            let disk = empty();
            let pin = open(&disk).unwrap();
            let origin = "o".repeat(8_000);
            disk.fail_after(Some(call));
            let done = (1..30).take_while(|n| pin.record(&origin, *n, &root(*n)).is_ok()).count() as u64;
            if done < 29 {
                // Poisoned: a later record is refused even if the disk came back.
                disk.fail_after(None);
                pin.record("another", 1, &root(1)).unwrap_err();
            }
            let after = disk.power_cut(survives);
            let found = open(&after).unwrap().last(&origin).map_or(0, |(size, _)| size);
            assert!(found == done || found == done + 1, "call {call} {survives:?}: {done} recorded, {found} found");
            open(&after).unwrap().record(&origin, 99, &root(99)).unwrap();
            assert_eq!(open(&after).unwrap().last(&origin), Some((99, root(99))));
            if done == 29 {
                break;
            }
        }
    }
}
