//! Tests of the checkpoint log over a disk that can lose what was not synced.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::fake_disk::{FakeDisk, Survives};

fn dir() -> PathBuf {
    PathBuf::from("/l/checkpoints")
}

fn empty() -> FakeDisk {
    let disk = FakeDisk::default();
    disk.create_dir(&dir()).unwrap();
    disk
}

fn open(disk: &FakeDisk) -> Result<CheckpointLog, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    CheckpointLog::open(&disk, &dir())
}

fn note(n: usize) -> String {
    format!("note {n} {}\n", "x".repeat(3_500))
}

#[test]
fn the_last_note_is_found_again() {
    let disk = empty();
    let mut log = open(&disk).unwrap();
    assert_eq!(log.last(), None);
    for n in 0..3 {
        log.append(&note(n)).unwrap();
        assert_eq!(open(&disk.power_cut(Survives::Nothing)).unwrap().last(), Some(note(n).as_str()));
    }
}

#[test]
fn a_log_is_rolled_into_the_history() {
    let disk = empty();
    let mut log = open(&disk).unwrap();
    for n in 0..160 {
        log.append(&note(n)).unwrap();
    }
    assert_eq!(disk.names(&dir()), ["0000000000000003.log", "history.log"]);
    let history = disk.bytes(&dir().join(HISTORY));
    let walk = walk_records(&history);
    assert_eq!((walk.notes.len(), walk.end), (2, history.len() as u64));
    assert_eq!(open(&disk).unwrap().last(), Some(note(159).as_str()));
}

/// Power is cut at every mutating call of a run that rolls twice: the last note is the acknowledged one or the next.
#[test]
fn power_cut_at_every_call() {
    for survives in [Survives::Nothing, Survives::HalfOfEachFile, Survives::Everything] {
        for call in 0.. {
            let disk = empty();
            let mut log = open(&disk).unwrap();
            // Large notes, so that 40 of them roll twice.
            let note = |n: usize| format!("{n} {}\n", "y".repeat(14 << 10));
            disk.fail_after(Some(call));
            let acknowledged = (0..40).take_while(|n| log.append(&note(*n)).is_ok()).count();
            let after = disk.power_cut(survives);
            let found = open(&after).unwrap().last().map(str::to_owned);
            let may_be = [acknowledged.checked_sub(1).map(note), Some(note(acknowledged))];
            assert!(may_be.contains(&found), "call {call} {survives:?}: {} acknowledged", acknowledged);
            let mut log = open(&after).unwrap();
            for n in 100..140 {
                log.append(&note(n)).unwrap();
            }
            let names = after.names(&dir());
            let last = names.iter().filter_map(|name| log_number(name)).next_back().unwrap();
            let history = after.bytes(&dir().join(HISTORY));
            let walk = walk_records(&history);
            assert_eq!(walk.end, history.len() as u64, "call {call} {survives:?}");
            assert_eq!(walk.notes.len() as u64, last - 1, "call {call} {survives:?}: one note a rolled log");
            if acknowledged == 40 {
                break;
            }
        }
    }
}

#[test]
fn a_torn_record_is_left_behind_in_a_new_log() {
    let disk = empty();
    let mut log = open(&disk).unwrap();
    log.append(&note(0)).unwrap();
    log.append(&note(1)).unwrap();
    let path = dir().join(log_name(1));
    let whole = disk.bytes(&path);
    let first = usize::try_from(walk_records(&whole[..whole.len() - 1]).end).unwrap();
    for cut in first..whole.len() {
        let disk = empty();
        disk.put(&path, &whole[..cut]);
        let mut log = open(&disk).unwrap();
        assert_eq!((log.last(), log.is_torn()), (Some(note(0).as_str()), cut > first), "cut at {cut}");
        if cut % 500 == 0 {
            log.append(&note(7)).unwrap();
            let log = open(&disk).unwrap();
            assert_eq!((log.last(), log.is_torn()), (Some(note(7).as_str()), false));
        }
    }
}

#[test]
fn damage_before_the_last_record_is_corruption() {
    let disk = empty();
    let mut log = open(&disk).unwrap();
    for n in 0..9 {
        log.append(&note(n)).unwrap();
    }
    let path = dir().join(log_name(1));
    let whole = disk.bytes(&path);
    for at in (0..3_540).step_by(7).chain(0..9).chain(3_500..3_540) {
        let mut bad = whole.clone();
        bad[at] ^= 0x80;
        disk.put(&path, &bad);
        assert!(matches!(open(&disk), Err(OpenError::Corrupt(_))), "byte {at}");
    }
}

#[test]
fn a_changed_length_is_never_short() {
    let (whole, _) = record(&[0; 32], note(1).as_bytes());
    for at in 0..8 {
        for value in [whole[at] ^ 1, whole[at] ^ 0x80, 0, 0xff] {
            let mut bad = whole.clone();
            bad[at] = value;
            let walk = walk_records(&bad);
            assert!(bad == whole || (walk.notes.is_empty() && !walk.short), "byte {at} to {value}");
        }
    }
}

#[test]
fn notes_beyond_the_limit_are_not_written() {
    let mut log = open(&empty()).unwrap();
    log.append("").unwrap_err();
    log.append(&"z".repeat(16 << 10)).unwrap_err();
    assert_eq!(log.last(), None);
}
