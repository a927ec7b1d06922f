//! Damage below what was published is corruption, located; a torn tail is not; an older state is a rollback.

use ledger::OpenError;

use crate::{World, check, known, segment, workload};

fn written() -> (World, ledger::Known) {
    let world = World::new();
    let (mut writer, _) = world.open(&[]).unwrap();
    let acknowledged = workload(&mut writer, 12);
    check(&writer, acknowledged);
    let known = known(&writer);
    world.disk.kill();
    (world, known)
}

#[test]
fn every_byte_of_every_segment_is_covered() {
    let (world, known) = written();
    let whole = world.disk.snapshot();
    let files = world.disk.files();
    assert!(files.len() >= 3, "{files:?}");
    let mut tried = 0;
    for file in &files {
        let bytes = world.disk.read_file(file).unwrap().len();
        for offset in 0..bytes {
            for mask in [0x01, 0x80, 0xff] {
                world.disk.restore(&whole);
                world.disk.flip(file, offset, mask).unwrap();
                match world.open(&[known]).map(|_| ()) {
                    Err(OpenError::Corrupt(at)) => assert_eq!(&at.file, file, "byte {offset}"),
                    other => panic!("{} byte {offset} xor {mask}: {other:?}", file.display()),
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 10_000, "{tried}");
}

#[test]
fn a_lost_or_cut_segment_below_the_pin_is_named() {
    let (world, known) = written();
    let whole = world.disk.snapshot();
    let last = world.disk.files().len() as u64;
    for number in 1..=last {
        world.disk.restore(&whole);
        let bytes = world.disk.read_file(&segment(number)).unwrap();
        world.disk.delete_file(&segment(number)).unwrap();
        match world.open(&[known]).map(|_| ()) {
            Err(OpenError::Corrupt(at)) => assert_eq!(at.file, segment(number)),
            Err(OpenError::Rollback { what: "smaller tree", .. }) => assert_eq!(number, last),
            other => panic!("{number}: {other:?}"),
        }
        for cut in [0, 100, 256, 300, bytes.len() - 1] {
            world.disk.restore(&whole);
            world.disk.write_file(&segment(number), &bytes[..cut]).unwrap();
            let opened = world.open(&[known]).map(|_| ());
            assert!(
                matches!(opened, Err(OpenError::Corrupt(_) | OpenError::Rollback { .. })),
                "segment {number} cut at {cut}: {opened:?}"
            );
        }
    }
}

#[test]
fn a_torn_tail_is_left_behind_and_stays_explained() {
    let (world, known) = written();
    let last = world.disk.files().len() as u64;
    let mut bytes = world.disk.read_file(&segment(last)).unwrap();
    let end = bytes.len();
    bytes.extend_from_slice(&[0xab; 77]);
    world.disk.write_file(&segment(last), &bytes).unwrap();
    let (mut writer, recovered) = world.open(&[known]).unwrap();
    assert_eq!((recovered.size, recovered.torn_bytes, recovered.notes.len()), (known.size, 77, 1));
    let more = workload(&mut writer, 2);
    check(&writer, more);
    world.disk.kill();
    let (writer, recovered) = world.open(&[known]).unwrap();
    assert_eq!((writer.size(), recovered.torn_bytes), (more, 0));
    let kept = world.disk.read_file(&segment(last)).unwrap();
    assert_eq!(kept.len(), end + 77, "recovery cut a file");
}

#[test]
fn an_older_state_and_another_tree_are_refused() {
    let world = World::new();
    let (mut writer, _) = world.open(&[]).unwrap();
    workload(&mut writer, 4);
    world.disk.kill();
    let yesterday = world.disk.snapshot();
    let (mut writer, _) = world.open(&[]).unwrap();
    workload(&mut writer, 3);
    let now = known(&writer);
    world.disk.kill();
    world.disk.restore(&yesterday);
    let opened = world.open(&[now]).map(|_| ());
    assert!(matches!(opened, Err(OpenError::Rollback { what: "smaller tree", .. })), "{opened:?}");
    world.disk.kill();
    let (mut writer, _) = world.open(&[]).unwrap();
    world.clock.advance(1_000_000_000);
    while writer.size() < now.size {
        workload(&mut writer, 1);
    }
    world.disk.kill();
    let opened = world.open(&[now]).map(|_| ());
    assert!(matches!(opened, Err(OpenError::Rollback { what: "other tree", .. })), "{opened:?}");
}
