//! Sealed files are verified again after the start: whole ones pass, any changed byte is named and stops the signing.

use std::path::PathBuf;

use ledger::{AppendError, OpenError, Sealing, Verification};
use testkit::{Fault, FaultKind, OpKind, SimDisk, entries};

use crate::World;
use crate::rig::{Rig, append, numbered, until};

const BUNDLE: u64 = 256;

/// Sealed sets of one bundle each, and a tail, closed.
fn sealed(sets: u64) -> World {
    let world = World::new();
    let (mut writer, _) = world.open(&[]).unwrap();
    let mut sealer = writer.sealer();
    while writer.size() < (sets + 1) * BUNDLE {
        writer.commit(vec![entries::batch(writer.size(), 90, 30, true)]).unwrap();
        while sealer.step(writer.size()).unwrap() == Sealing::Worked {}
    }
    world.disk.kill();
    world
}

/// Walks to the end or to the first damage: entries checked, and what was found.
fn walk(world: &World) -> (u64, Result<(), OpenError>) {
    let (writer, _) = world.open(&[]).unwrap();
    let mut recheck = writer.recheck();
    loop {
        match recheck.step() {
            Ok(true) => {}
            Ok(false) => return (recheck.checked(), Ok(())),
            Err(error) => return (recheck.checked(), Err(error)),
        }
    }
}

fn file(first: u64, extension: &str) -> PathBuf {
    PathBuf::from(format!("/l/sealed/{first:020}.{extension}"))
}

#[test]
fn every_byte_of_every_sealed_file_is_covered() {
    let world = sealed(3);
    assert!(matches!(walk(&world), (768, Ok(()))));
    let whole = world.disk.snapshot();
    let mut tried = 0;
    for first in [0, BUNDLE, 2 * BUNDLE] {
        for extension in ["leaves", "bodies", "tags", "tiles", "seal"] {
            let path = file(first, extension);
            let bytes = world.disk.read_file(&path).unwrap().len();
            let step = if extension == "seal" { 1 } else { 13 };
            for offset in (0..bytes).step_by(step) {
                world.disk.restore(&whole);
                // The last manifest is read at the start already.
                let last = extension == "seal" && first == 2 * BUNDLE;
                let (checked, found) = {
                    let (writer, _) = world.open(&[]).unwrap();
                    let mut recheck = writer.recheck();
                    world.disk.flip(&path, offset, 0x04).unwrap();
                    let found = loop {
                        match recheck.step() {
                            Ok(true) => {}
                            Ok(false) => break Ok(()),
                            Err(error) => break Err(error),
                        }
                    };
                    (recheck.checked(), found)
                };
                let Err(OpenError::Corrupt(at)) = found else { panic!("{} byte {offset}: {found:?}", path.display()) };
                assert_eq!((checked, &at.file), (first, &path), "byte {offset}: {at}");
                assert!(at.index.is_some_and(|index| (first..first + BUNDLE).contains(&index)));
                if last && offset % 50 == 0 {
                    world.disk.kill();
                    let opened = world.open(&[]).map(|_| ());
                    assert!(matches!(opened, Err(OpenError::Corrupt(found)) if found.file == path));
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 5_000, "{tried}");
}

#[test]
fn a_set_that_is_gone_or_not_of_this_place_is_named() {
    let world = sealed(4);
    let whole = world.disk.snapshot();
    let extensions = ["leaves", "bodies", "tags", "tiles", "seal"];
    let remove = |first: u64| {
        extensions.iter().for_each(|extension| world.disk.delete_file(&file(first, extension)).unwrap());
    };
    remove(BUNDLE);
    let (checked, found) = walk(&world);
    assert!(matches!(&found, Err(OpenError::Corrupt(at)) if at.file == file(BUNDLE, "seal")), "{found:?}");
    assert_eq!(checked, BUNDLE);
    // The one before the last is missed at the start already: the tail's tree rests on it.
    world.disk.restore(&whole);
    remove(2 * BUNDLE);
    let opened = world.open(&[]).map(|_| ());
    assert!(matches!(&opened, Err(OpenError::Corrupt(at)) if at.file == file(2 * BUNDLE, "seal")), "{opened:?}");
    // The same set of another log: right by itself, wrong in the chain.
    world.disk.restore(&whole);
    let other = World::new();
    let mut setup = other.setup();
    setup.origin = "other/logs/main".to_owned();
    let (mut writer, _) = ledger::recover(&setup, &[]).unwrap();
    let mut sealer = writer.sealer();
    while writer.size() < 5 * BUNDLE {
        writer.commit(vec![entries::batch(writer.size(), 90, 30, true)]).unwrap();
        while sealer.step(writer.size()).unwrap() == Sealing::Worked {}
    }
    for extension in extensions {
        let bytes = other.disk.read_file(&file(BUNDLE, extension)).unwrap();
        world.disk.write_file(&file(BUNDLE, extension), &bytes).unwrap();
    }
    let (checked, found) = walk(&world);
    assert!(matches!(&found, Err(OpenError::Corrupt(at)) if at.file == file(BUNDLE, "seal")), "{found:?}");
    assert_eq!(checked, BUNDLE);
}

#[test]
fn a_failing_read_is_tried_again_at_the_same_set() {
    let world = sealed(3);
    let (writer, _) = world.open(&[]).unwrap();
    let mut recheck = writer.recheck();
    let mut failed = 0;
    loop {
        world.disk.heal();
        // Every set fails at several of its reads, then passes.
        if failed % 8 < 7 {
            let fault = Fault::once(OpKind::Read, failed % 8 * 2 + 1, FaultKind::Eio);
            world.disk.fail(fault.where_path_has("/sealed/"));
        }
        match recheck.step() {
            Err(OpenError::Io { .. }) => failed += 1,
            Err(other) => panic!("{other}"),
            Ok(true) => failed += 1,
            Ok(false) => break,
        }
    }
    assert_eq!((recheck.checked(), failed), (768, 24));
}

/// A running ledger on a simulated disk with a few sealed sets.
fn running(disk: &SimDisk) -> Rig {
    let mut rig = Rig::on(disk);
    rig.config.segment_bytes = 30_000;
    rig.config.publish_busy_ms = 0;
    let (ledger, _) = rig.open().unwrap();
    while ledger.size() < 1_500 {
        append(&ledger, numbered(ledger.size(), 100)).unwrap();
    }
    until("sealed sets", || ledger.status().sealed_size >= 1_024);
    until("nothing to verify", || ledger.status().verification == Verification::Whole { checked: 0 });
    ledger.close().unwrap();
    rig
}

#[test]
fn a_running_ledger_verifies_what_it_found_sealed() {
    let disk = SimDisk::new();
    let mut rig = running(&disk);
    let (ledger, _) = rig.open().unwrap();
    until(
        "the verification",
        || matches!(ledger.status().verification, Verification::Whole { checked } if checked >= 1_024),
    );
    append(&ledger, numbered(1_500, 10)).unwrap();
    ledger.close().unwrap();
    rig.config.verify_sealed = false;
    let (ledger, _) = rig.open().unwrap();
    assert_eq!(ledger.status().verification, Verification::NotRun);
    ledger.close().unwrap();
}

#[test]
fn damage_found_behind_the_start_stops_writing_and_signing_and_leaves_the_rest_readable() {
    let disk = SimDisk::new();
    let rig = running(&disk);
    let first = rig.ledger("sealed/00000000000000000000.bodies");
    disk.flip(&first, 100, 1).unwrap();
    let (ledger, _) = rig.open().unwrap();
    until("the finding", || matches!(ledger.status().verification, Verification::Failed(_)));
    let Verification::Failed(why) = ledger.status().verification else { panic!("it came and went") };
    assert!(why.contains("00000000000000000000.bodies") && why.contains("body-altered"), "{why}");
    until("the poison", || ledger.status().poisoned.is_some());
    assert!(matches!(append(&ledger, numbered(1_500, 1)), Err(AppendError::Poisoned(_))));
    let published = ledger.checkpoint().size;
    assert!(ledger.entry(0).is_err());
    for index in [700, 1_400] {
        assert_eq!(ledger.entry(index).unwrap().index, index);
        ledger.prove(index, published).unwrap();
    }
    assert!(ledger.close().is_err());
}

#[test]
fn a_sealed_file_that_cannot_be_read_is_named_in_the_end() {
    let disk = SimDisk::new();
    let rig = running(&disk);
    let (ledger, _) = rig.open().unwrap();
    until("the verification", || matches!(ledger.status().verification, Verification::Whole { .. }));
    ledger.close().unwrap();
    let name = "00000000000000000000.tags";
    disk.fail(Fault::for_ever(OpKind::Read, 1, FaultKind::Eio).where_path_has(name));
    let (ledger, _) = rig.open().unwrap();
    until("the finding", || matches!(ledger.status().verification, Verification::Failed(_)));
    assert!(ledger.status().poisoned.is_some_and(|why| why.contains("sealed")));
    ledger.close().unwrap_err();
}
