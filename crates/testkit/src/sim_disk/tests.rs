//! The simulated disk loses what it should and keeps what it must.
#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use super::*;

fn path(text: &str) -> &Path {
    Path::new(text)
}

/// A folder `/d` with a durable file `/d/a` of `abc`.
fn disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir(path("/d")).unwrap();
    disk.sync_dir(path("/")).unwrap();
    let file = disk.create_new(path("/d/a")).unwrap();
    file.write_all_at(&[b"a", b"bc"], 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(path("/d")).unwrap();
    disk
}

#[test]
fn synced_bytes_and_names_survive_and_others_do_not() {
    let disk = disk();
    let file = disk.open_write(path("/d/a")).unwrap();
    file.write_all_at(&[b"lost"], 3).unwrap();
    disk.create_new(path("/d/b")).unwrap();
    assert_eq!(disk.list(path("/d")).unwrap(), ["a", "b"]);
    disk.restart(Survivors::Nothing);
    assert_eq!(disk.list(path("/d")).unwrap(), ["a"]);
    assert_eq!(disk.read_file(path("/d/a")).unwrap(), b"abc");
    assert!(file.len().is_err(), "a handle does not outlive the power");
}

#[test]
fn a_synced_file_without_a_synced_folder_is_gone() {
    let disk = disk();
    let file = disk.create_new(path("/d/b")).unwrap();
    file.write_all_at(&[b"x"], 0).unwrap();
    file.sync_data().unwrap();
    disk.restart(Survivors::Nothing);
    assert!(!disk.exists(path("/d/b")).unwrap());
}

#[test]
fn a_rename_is_lost_or_kept_whole() {
    for seed in 0..50 {
        let disk = disk();
        disk.rename(path("/d/a"), path("/d/z")).unwrap();
        disk.restart(Survivors::Subset(seed));
        let names = disk.list(path("/d")).unwrap();
        assert!(names == ["a"] || names == ["z"], "{names:?}");
        let name = format!("/d/{}", names[0]);
        assert_eq!(disk.read_file(path(&name)).unwrap(), b"abc");
    }
}

#[test]
fn names_survive_in_any_combination() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let disk = disk();
        disk.create_new(path("/d/b")).unwrap();
        disk.create_new(path("/d/c")).unwrap();
        disk.remove(path("/d/a")).unwrap();
        disk.restart(Survivors::Subset(seed));
        seen.insert(disk.list(path("/d")).unwrap());
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
}

#[test]
fn a_cut_kills_every_later_call() {
    let disk = disk();
    let file = disk.open_write(path("/d/a")).unwrap();
    disk.cut_at(2);
    file.write_all_at(&[b"x"], 3).unwrap();
    assert!(file.sync_data().is_err());
    assert!(file.write_all_at(&[b"y"], 4).is_err() && disk.list(path("/d")).is_err());
    disk.restart(Survivors::All);
    assert_eq!(disk.read_file(path("/d/a")).unwrap(), b"abcx");
}

#[test]
fn a_prefix_is_a_prefix() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let disk = disk();
        let file = disk.open_write(path("/d/a")).unwrap();
        file.write_all_at(&[b"defg"], 3).unwrap();
        file.write_all_at(&[b"hij"], 7).unwrap();
        disk.restart(Survivors::Prefix(seed));
        let bytes = disk.read_file(path("/d/a")).unwrap();
        assert!(b"abcdefghij".starts_with(&bytes));
        lengths.insert(bytes.len());
    }
    assert_eq!(lengths.len(), 8);
}

#[test]
fn subsets_and_sectors_never_touch_synced_bytes() {
    let mut changed = 0;
    for seed in 0..100 {
        for survivors in [Survivors::Subset(seed), Survivors::Sectors(seed), Survivors::Garbage(seed)] {
            let disk = disk();
            let file = disk.open_write(path("/d/a")).unwrap();
            file.write_all_at(&[&[7; 2_000]], 3).unwrap();
            disk.restart(survivors);
            let bytes = disk.read_file(path("/d/a")).unwrap();
            assert!(bytes.starts_with(b"abc") && bytes.len() <= 2_003);
            changed += u32::from(bytes.len() > 3 && bytes[3..] != [7; 2_000]);
        }
    }
    assert!(changed > 50, "{changed} of 300 were torn");
}

#[test]
fn a_failed_sync_loses_the_pages_and_then_says_yes() {
    let disk = disk();
    let file = disk.open_write(path("/d/a")).unwrap();
    disk.fail(Fault::once(OpKind::Sync, 1, FaultKind::Eio));
    file.write_all_at(&[b"d"], 3).unwrap();
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
    assert!(file.sync_data().is_ok());
    assert_eq!(disk.read_file(path("/d/a")).unwrap(), b"abcd", "the cache still shows it");
    file.drop_cache();
    assert_eq!(disk.read_file(path("/d/a")).unwrap(), b"abc\0");
    disk.restart(Survivors::All);
    assert_eq!(disk.read_file(path("/d/a")).unwrap(), b"abc");
}

#[test]
fn faults_strike_at_their_number_once_or_for_ever() {
    let disk = disk();
    let file = disk.open_write(path("/d/a")).unwrap();
    disk.fail(Fault::once(OpKind::Write, 2, FaultKind::Enospc));
    let ok: Vec<bool> = (0..3).map(|_| file.write_all_at(&[b"1"], 3).is_ok()).collect();
    assert_eq!(ok, [true, false, true]);
    disk.fail(Fault::for_ever(OpKind::Write, 2, FaultKind::Short).where_path_has("nowhere"));
    assert!(file.write_all_at(&[b"1"], 3).is_ok() && file.write_all_at(&[b"1"], 3).is_ok());
    disk.fail(Fault::for_ever(OpKind::Write, 1, FaultKind::Short));
    assert!(file.write_all_at(&[b"22"], 3).is_err() && file.write_all_at(&[b"33"], 3).is_err());
    assert_eq!(disk.read_file(path("/d/a")).unwrap(), b"abc3");
    disk.heal();
    assert!(file.write_all_at(&[b"44"], 3).is_ok());
}

#[test]
fn a_full_disk_takes_a_part_and_refuses() {
    let disk = disk();
    disk.set_capacity(5);
    assert_eq!(disk.free_bytes(path("/d")).unwrap(), 2);
    let file = disk.open_write(path("/d/a")).unwrap();
    assert_eq!(file.write_all_at(&[b"1234"], 3).unwrap_err().raw_os_error(), Some(28));
    assert_eq!(disk.read_file(path("/d/a")).unwrap(), b"abc12");
}

#[test]
fn snapshots_go_back_whole_or_below_a_folder() {
    let disk = disk();
    disk.make_dir(path("/pins")).unwrap();
    disk.write_file(path("/pins/p"), b"old").unwrap();
    let before = disk.snapshot();
    disk.write_file(path("/d/a"), b"new").unwrap();
    disk.write_file(path("/d/b"), b"new").unwrap();
    disk.write_file(path("/pins/p"), b"new").unwrap();
    disk.restore_below(&before, path("/d")).unwrap();
    assert_eq!(disk.files(), [path("/d/a"), path("/pins/p")]);
    assert_eq!(disk.read_file(path("/d/a")).unwrap(), b"abc");
    assert_eq!(disk.read_file(path("/pins/p")).unwrap(), b"new");
    disk.restore(&before);
    assert_eq!(disk.read_file(path("/pins/p")).unwrap(), b"old");
}

#[test]
fn a_folder_is_renamed_with_its_files() {
    let disk = disk();
    disk.rename(path("/d"), path("/e")).unwrap();
    assert_eq!(disk.read_file(path("/e/a")).unwrap(), b"abc");
    disk.restart(Survivors::Nothing);
    assert_eq!(disk.read_file(path("/d/a")).unwrap(), b"abc");
}

#[test]
fn immutable_files_stay_and_flips_and_bad_reads_show() {
    let disk = disk();
    assert!(disk.set_immutable(path("/d/a")).is_err());
    disk.allow_immutable(true);
    disk.set_immutable(path("/d/a")).unwrap();
    assert!(disk.open_write(path("/d/a")).is_err() && disk.remove(path("/d/a")).is_err());
    disk.flip(path("/d/a"), 1, 0x20).unwrap();
    assert_eq!(disk.read_file(path("/d/a")).unwrap(), b"aBc");
    let file = disk.open(path("/d/a")).unwrap();
    disk.corrupt_next_read(1);
    let (mut bad, mut good) = ([0; 3], [0; 3]);
    file.read_exact_at(&mut bad, 0).unwrap();
    file.read_exact_at(&mut good, 0).unwrap();
    assert!(bad != *b"aBc" && good == *b"aBc");
    assert!(file.read_exact_at(&mut [0; 4], 0).is_err());
}
