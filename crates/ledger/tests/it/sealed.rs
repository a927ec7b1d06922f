//! A ledger whose first entries are sealed and whose segments are gone: it starts, reads, proves and goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::durable::Disk;
use ledger::sealed::{SealedSets, SetSpec, SetWriter};
use ledger::{BodyDigest, Kind, OpenError, ReadError};
use testkit::entries;

use crate::rig::{self, Rig, append, batch, numbered};
use crate::{World, check, known, segment, workload};

const BUNDLE: u64 = 256;

/// Seals `bundles` more bundles from what a closed ledger holds in `entries`.
fn seal(disk: &Arc<dyn Disk>, dir: &Path, about: [u8; 32], digest: &BodyDigest, entries: &[ledger::Entry]) {
    let mut sets = SealedSets::open(disk, dir, Kind::Audit, about).unwrap();
    let spec = SetSpec {
        origin: "test/logs/main".to_owned(),
        kind: Kind::Audit,
        frontier: sets.frontier().clone(),
        end: sets.end() + entries.len() as u64,
        previous: sets.last_digest(),
        gzip_level: 1,
        zstd_level: 1,
        threads: 1,
    };
    let mut set = SetWriter::begin(disk, dir, spec).unwrap();
    for entry in entries {
        set.push(&entry.leaf, entry.body.as_deref(), entry.tags, 1).unwrap();
    }
    let manifest = set.finish(digest, None).unwrap();
    sets.add(&manifest, false);
}

/// A world with `total` entries or more of which the first `sealed` are sealed and their whole segments removed.
fn sealed_world(blocks: u64, bundles: &[u64]) -> (World, ledger::Known) {
    let world = World::new();
    let (mut writer, _) = world.open(&[]).unwrap();
    workload(&mut writer, blocks);
    let at = known(&writer);
    let mut from = 0;
    for count in bundles {
        let mut entries = Vec::new();
        while (entries.len() as u64) < count * BUNDLE {
            entries.extend(writer.entries(from + entries.len() as u64..from + count * BUNDLE).unwrap());
        }
        let setup = world.setup();
        seal(&setup.disk, &setup.sealed, setup.about, &setup.body_digest, &entries);
        from += count * BUNDLE;
    }
    world.disk.kill();
    (world, at)
}

/// Start sizes of the segments, from their headers.
fn starts(world: &World) -> Vec<(PathBuf, u64)> {
    let names = world.disk.door().list(Path::new("/l/wal")).unwrap();
    let start = |name: &String| {
        let path = Path::new("/l/wal").join(name);
        let bytes = world.disk.read_file(&path).unwrap();
        (path, u64::from_be_bytes(bytes[24..32].try_into().unwrap()))
    };
    names.iter().map(start).collect()
}

/// Removes segments whose entries are all below `sealed`.
fn release(world: &World, sealed: u64) -> u64 {
    let starts = starts(world);
    let gone = starts.windows(2).filter(|pair| pair[1].1 <= sealed).map(|pair| pair[0].0.clone());
    gone.map(|path| world.disk.delete_file(&path).unwrap()).count() as u64
}

#[test]
fn a_writer_goes_on_from_a_sealed_base_with_and_without_the_sealed_segments() {
    let (world, at) = sealed_world(250, &[1, 2]);
    assert!(at.size > 900 && at.size % BUNDLE != 0);
    for released in [false, true] {
        if released {
            assert!(release(&world, 3 * BUNDLE) > 10);
        }
        for _ in 0..2 {
            let (writer, recovered) = world.open(&[at]).unwrap();
            assert_eq!((recovered.size, recovered.torn_bytes, recovered.notes.len()), (at.size, 0, 0));
            assert_eq!(known(&writer).root, at.root);
            check(&writer, at.size);
            let hashes = writer.leaf_hashes(500..at.size).unwrap();
            for entry in writer.entries(500..at.size).unwrap() {
                let hash = hashes[usize::try_from(entry.index).unwrap() - 500];
                assert_eq!(tlog::leaf_hash(&entry.leaf), hash);
            }
            drop(writer);
            world.disk.kill();
        }
    }
    let (mut writer, _) = world.open(&[at]).unwrap();
    let more = workload(&mut writer, 30);
    check(&writer, more);
    world.disk.kill();
    let (writer, _) = world.open(&[at]).unwrap();
    check(&writer, more);
}

/// Sealed to the very last entry: only an empty segment is left, and time does not fall behind the sealed one.
#[test]
fn a_log_that_is_sealed_to_its_end_goes_on() {
    let world = World::new();
    let (mut writer, _) = world.open(&[]).unwrap();
    while writer.size() < 2 * BUNDLE {
        writer.commit(vec![entries::batch(writer.size(), 64, 90, true)]).unwrap();
    }
    let at = known(&writer);
    let entries = writer.entries(0..2 * BUNDLE).unwrap();
    let setup = world.setup();
    seal(&setup.disk, &setup.sealed, setup.about, &setup.body_digest, &entries);
    writer.commit(vec![entries::batch(at.size, 1, 90, true)]).unwrap();
    world.disk.kill();
    assert!(release(&world, at.size) > 2);
    let last = starts(&world).pop().unwrap();
    assert_eq!(last.1, at.size);
    // The one entry behind the sealed ones was never published: without it the segment is empty.
    let bytes = world.disk.read_file(&last.0).unwrap();
    world.disk.write_file(&last.0, &bytes[..256]).unwrap();
    let (mut writer, recovered) = world.open(&[at]).unwrap();
    assert_eq!(recovered.size, at.size);
    let more = workload(&mut writer, 3);
    check(&writer, more);
}

#[test]
fn damage_around_the_joint_is_named() {
    let (world, at) = sealed_world(250, &[1, 1]);
    release(&world, 2 * BUNDLE);
    let whole = world.disk.snapshot();
    let (first, start) = starts(&world)[0].clone();
    assert!(start < 2 * BUNDLE && start % BUNDLE != 0, "{start}");
    let corrupt = |what: &str| match world.open(&[at]).map(|_| ()) {
        Err(OpenError::Corrupt(at)) => at.file,
        other => panic!("{what}: {other:?}"),
    };
    // Every byte of the segment that holds sealed and unsealed entries.
    for offset in 0..world.disk.read_file(&first).unwrap().len() {
        world.disk.restore(&whole);
        world.disk.flip(&first, offset, 0x40).unwrap();
        assert_eq!(corrupt("flip"), first, "byte {offset}");
    }
    for extension in ["leaves", "bodies", "tags", "tiles", "seal"] {
        for (set, before) in [(0, 0), (BUNDLE, BUNDLE)] {
            let path = PathBuf::from(format!("/l/sealed/{set:020}.{extension}"));
            world.disk.restore(&whole);
            world.disk.delete_file(&path).unwrap();
            let named = corrupt("deleted");
            let expected = PathBuf::from(format!("/l/sealed/{before:020}.{extension}"));
            assert_eq!(named, expected, "{extension} of set {set}");
        }
    }
    // The last manifest and its segments gone: what lies between is in no file.
    world.disk.restore(&whole);
    let names = world.disk.door().list(Path::new("/l/sealed")).unwrap();
    for name in names.iter().filter(|name| name.starts_with(&format!("{BUNDLE:020}"))) {
        world.disk.delete_file(&Path::new("/l/sealed").join(name)).unwrap();
    }
    assert_eq!(corrupt("set deleted"), PathBuf::from(format!("/l/sealed/{BUNDLE:020}.seal")));
    world.disk.restore(&whole);
    for (path, _) in starts(&world) {
        world.disk.delete_file(&path).unwrap();
    }
    assert_eq!(corrupt("no segment"), PathBuf::from("/l/wal"));
    world.disk.restore(&whole);
    world.disk.delete_file(&segment(1)).unwrap_err();
    world.open(&[at]).unwrap();
}

#[test]
fn what_a_crash_left_of_a_set_is_removed_and_the_segments_still_hold_it() {
    let (world, at) = sealed_world(250, &[1, 2]);
    let seal = PathBuf::from(format!("/l/sealed/{BUNDLE:020}.seal"));
    world.disk.delete_file(&seal).unwrap();
    world.disk.write_file(Path::new("/l/sealed/00000000000000000768.leaves.tmp"), b"half").unwrap();
    let (writer, recovered) = world.open(&[at]).unwrap();
    assert!(recovered.notes.iter().any(|note| note.contains("unfinished")), "{recovered:?}");
    check(&writer, at.size);
    assert_eq!(world.disk.door().list(Path::new("/l/sealed")).unwrap().len(), 5);
}

/// The running ledger: entries, bundles, tiles and proofs are the same before and after sealing.
#[test]
fn reads_join_sealed_sets_and_tail() {
    let rig = Rig::new();
    let (ledger, _) = rig.open().unwrap();
    for round in 0..13 {
        append(&ledger, numbered(round * 100, 100)).unwrap();
    }
    ledger.close().unwrap();
    let (ledger, _) = rig.open().unwrap();
    let size = 1_300;
    let read = |ledger: &ledger::Ledger| {
        let entries = ledger.entries(0..size).unwrap();
        let proofs: Vec<_> = (0..size).map(|i| ledger.prove(i, size).unwrap()).collect();
        let paths: Vec<_> = (1..size).map(|from| ledger.consistency(from, size).unwrap()).collect();
        let older: Vec<_> = (0..600).step_by(7).map(|i| ledger.prove(i, 700).unwrap()).collect();
        let files: Vec<_> = (0..5)
            .map(|i| {
                (ledger.bundle(i, 256).unwrap(), ledger.bodies(i, 256, 0).unwrap(), ledger.tile(0, i, 256).unwrap())
            })
            .collect();
        let parts = (ledger.bundle(1, 77).unwrap(), ledger.bodies(2, 3, 0).unwrap(), ledger.tile(1, 0, 5).unwrap());
        let hashes: Vec<_> = (0..size).map(|i| ledger.leaf_hash(i).unwrap()).collect();
        (entries, proofs, paths, older, files, parts, hashes)
    };
    let before = read(&ledger);
    assert_eq!(before.0.len() as u64, size);
    ledger.close().unwrap();
    let dir = rig.data().join("ledgers").join(rig::ULID);
    let about = rig::sha256(&std::fs::read(dir.join("LEDGER")).unwrap());
    let digest = rig::body_digest();
    seal(&rig.disk(), &dir.join("sealed"), about, &digest, &before.0[..512]);
    seal(&rig.disk(), &dir.join("sealed"), about, &digest, &before.0[512..1024]);
    let (ledger, report) = rig.open().unwrap();
    assert!(report.notes.is_empty(), "{report:?}");
    assert_eq!(ledger.status().sealed_size, 1024);
    assert!(read(&ledger) == before, "sealing changed an answer");
    // A sealed bundle is served as stored, any other is made.
    let stored = std::fs::read(dir.join("sealed/00000000000000000512.leaves")).unwrap();
    let member = ledger.bundle_gzip(2, 256).unwrap();
    assert_eq!(stored[24..24 + member.len()], member[..]);
    for (bundle, width) in [(2, 256), (1, 9), (4, 256), (5, 20)] {
        let mut out = Vec::new();
        let member = ledger.bundle_gzip(bundle, width).unwrap();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&member[..]), &mut out).unwrap();
        assert_eq!(out, ledger.bundle(bundle, width).unwrap());
    }
    assert!(matches!(ledger.entry(size), Err(ReadError::BeyondTree { .. })));
    append(&ledger, batch(1, 1)).unwrap();
    ledger.close().unwrap();
}

/// What does not hash to the tree is not served, and its file is named.
#[test]
fn damaged_sealed_files_are_not_served() {
    let mut rig = Rig::new();
    // It would find the damage too, and poison.
    rig.config.verify_sealed = false;
    let (ledger, _) = rig.open().unwrap();
    for round in 0..3 {
        append(&ledger, numbered(round * 200, 200)).unwrap();
    }
    let entries = ledger.entries(0..512).unwrap();
    ledger.close().unwrap();
    let dir = rig.data().join("ledgers").join(rig::ULID);
    let about = rig::sha256(&std::fs::read(dir.join("LEDGER")).unwrap());
    seal(&rig.disk(), &dir.join("sealed"), about, &rig::body_digest(), &entries);
    for (extension, offset) in [("leaves", 200), ("bodies", 60), ("tiles", 24 + 32 * 5), ("tiles", 24 + 32 * 512 + 3)] {
        let path = dir.join(format!("sealed/{:020}.{extension}", 0));
        let whole = std::fs::read(&path).unwrap();
        rig::edit(&path, |bytes| bytes[offset] ^= 0x10);
        let (ledger, _) = rig.open().unwrap();
        let refused: Vec<(bool, &str)> = vec![
            (ledger.entry(5).is_err(), "entry"),
            (ledger.bundle_gzip(0, 256).is_err(), "bundle"),
            (ledger.bodies(0, 256, 0).is_err(), "bodies"),
            (ledger.tile(0, 0, 256).is_err(), "tile"),
            (ledger.prove(5, 600).is_err() || ledger.prove(599, 600).is_err(), "proof"),
        ];
        let wrong: Vec<&str> = refused.into_iter().filter(|(refused, _)| *refused).map(|(_, what)| what).collect();
        let expected: &[&str] = match (extension, offset) {
            ("leaves", _) => &["entry", "bundle", "bodies"],
            ("bodies", _) => &["entry", "bodies"],
            ("tiles", 184) => &["entry", "bundle", "bodies", "tile", "proof"],
            _ => &["proof"],
        };
        assert_eq!(wrong, expected, "{extension} byte {offset}");
        ledger.close().unwrap();
        std::fs::write(&path, whole).unwrap();
    }
}
