//! Writer and sealer together, driven step by step: power cuts and failing calls at every operation, damage, release.

use std::path::{Path, PathBuf};

use ledger::sealed::{SealedSets, check_set};
use ledger::{Known, Outcome, SealError, Sealer, Sealing, Writer};
use testkit::{Fault, FaultKind, OpKind, Progress, SimDisk, Survivors, entries};

use crate::{World, check, known};

const BUNDLE: u64 = 256;
const COMMITS: u64 = 9;
const ENTRIES: u64 = 90;

/// What was promised before the power went off.
struct Promised {
    acknowledged: u64,
    published: Vec<Known>,
    sealed: u64,
}

/// Takes steps until nothing is due; stops at the first error.
fn drain(sealer: &mut Sealer, published: u64) -> Result<u64, SealError> {
    let mut steps = 0;
    while sealer.step(published)? == Sealing::Worked {
        steps += 1;
        assert!(steps < 1_000, "the sealer never comes to rest");
    }
    Ok(steps)
}

/// Commits, publishes and seals in turn until something fails.
fn run(world: &World, before: &Promised) -> Promised {
    let mut promised = Promised { published: before.published.clone(), ..*before };
    let Ok((mut writer, _)) = world.open(&promised.published) else { return promised };
    let mut sealer = writer.sealer();
    for n in 0..COMMITS {
        let first = writer.size();
        if writer.commit(vec![entries::batch(first, ENTRIES, 20 + (first as usize * 37) % 50, n % 2 == 0)]).is_err() {
            return promised;
        }
        promised.acknowledged = writer.size();
        if n % 3 == 2 {
            promised.published = vec![known(&writer)];
            let done = drain(&mut sealer, writer.size());
            promised.sealed = sealed_end(world).unwrap_or(promised.sealed);
            if done.is_err() {
                return promised;
            }
        }
    }
    promised
}

fn nothing() -> Promised {
    Promised { acknowledged: 0, published: Vec::new(), sealed: 0 }
}

fn sealed_end(world: &World) -> Option<u64> {
    let setup = world.setup();
    SealedSets::open(&setup.disk, &setup.sealed, setup.kind, setup.about).ok().map(|sets| sets.end())
}

fn segments(world: &World) -> Vec<String> {
    world.disk.door().list(Path::new("/l/wal")).unwrap()
}

/// All sets are whole, byte by byte, and continue one another.
fn whole(world: &World) -> u64 {
    let setup = world.setup();
    let sets = SealedSets::open(&setup.disk, &setup.sealed, setup.kind, setup.about).unwrap();
    let mut previous = setup.about;
    for range in sets.ranges() {
        let (manifest, digest) = sets.manifest(range.start).unwrap();
        assert_eq!((manifest.first..manifest.end, manifest.previous), (range, previous));
        let checked = check_set(&*setup.disk, &setup.sealed, &manifest, &setup.body_digest, 1).unwrap();
        assert_eq!(checked.findings, []);
        previous = digest;
    }
    sets.end()
}

/// Recovers, checks what was promised, seals on, and checks again.
fn survives(world: &World, promised: &Promised, what: &str) {
    let (mut writer, recovered) = world.open(&promised.published).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(recovered.size >= promised.acknowledged, "{what}: {} of {}", recovered.size, promised.acknowledged);
    check(&writer, promised.acknowledged);
    assert!(sealed_end(world) >= Some(promised.sealed), "{what}: a sealed set is gone");
    let (size, root) = (writer.size(), writer.root());
    world.disk.kill();
    drop(writer);
    (writer, _) = world.open(&promised.published).unwrap_or_else(|e| panic!("{what}, again: {e}"));
    assert_eq!((writer.size(), writer.root()), (size, root), "{what}: recovery is not idempotent");
    let mut sealer = writer.sealer();
    while writer.size() < 3 * BUNDLE + 10 {
        writer.commit(vec![entries::batch(writer.size(), ENTRIES, 40, true)]).unwrap();
    }
    drain(&mut sealer, writer.size()).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(whole(world) >= 2 * BUNDLE, "{what}: {} entries sealed of {}", whole(world), writer.size());
    check(&writer, size);
    let mut again = ledger::Batch::default();
    (0..size).for_each(|n| entries::push(&mut again, &entries::entry(n, 20), false));
    if size > 0 {
        let answers = writer.commit(vec![again]).unwrap_or_else(|e| panic!("{what}: {e}"));
        for (answer, n) in answers[0].outcomes.iter().zip(0..) {
            let known = matches!(answer, Outcome::Duplicate { index, .. } | Outcome::Conflict { index } if *index == n);
            assert!(known, "{what}: entry {n} again: {answer:?}");
        }
    }
    let left = segments(world);
    assert!(left.len() <= 5, "{what}: sealed segments are still there: {left:?}");
}

#[test]
fn the_sealer_seals_what_is_published_and_closed_and_releases_it() {
    let world = World::new();
    let mut setup = world.setup();
    setup.config.segment_bytes = 50_000;
    let (mut writer, _) = ledger::recover(&setup, &[]).unwrap();
    let mut sealer = writer.sealer();
    for _ in 0..14 {
        writer.commit(vec![entries::batch(writer.size(), ENTRIES, 40, true)]).unwrap();
    }
    writer.commit(vec![entries::batch(writer.size(), 40, 40, true)]).unwrap();
    let (size, closed) = (writer.size(), 12 * ENTRIES);
    assert_eq!((size, segments(&world).len()), (1_300, 5));
    assert_eq!(sealer.step(0).unwrap(), Sealing::Idle, "nothing is published");
    assert_eq!(sealer.step(BUNDLE - 1).unwrap(), Sealing::Idle);
    let before = writer.backlog_bytes();
    assert!(drain(&mut sealer, BUNDLE + 20).unwrap() >= 2);
    assert_eq!(whole(&world), BUNDLE, "a whole bundle and no more is published");
    assert_eq!(segments(&world).len(), 5, "the first segment has unsealed entries");
    drain(&mut sealer, size).unwrap();
    // The last segment is open: its entries wait, and the one before holds a bundle that goes on in it.
    assert_eq!((whole(&world), segments(&world).len()), (closed / BUNDLE * BUNDLE, 2));
    assert!(writer.backlog_bytes() < before / 2);
    check(&writer, size);
    writer.tick().unwrap();
    assert_eq!(drain(&mut sealer, size).unwrap(), 0);
    // Its age closes it, on a tick.
    world.clock.advance(3_600_000_000_000);
    writer.tick().unwrap();
    writer.tick().unwrap();
    drain(&mut sealer, size).unwrap();
    assert_eq!((whole(&world), segments(&world).len()), (size / BUNDLE * BUNDLE, 2));
    assert!(!sealer.immutable());
    check(&writer, size);
}

/// A first block that was torn leaves a first segment without an entry: it goes with the first set, not before it.
#[test]
fn a_torn_first_segment_stays_until_something_is_sealed() {
    let world = World::new();
    drop(world.open(&[]).unwrap());
    let first = PathBuf::from("/l/wal/0000000000000001.wal");
    let header = world.disk.read_file(&first).unwrap();
    world.disk.write_file(&first, &[&header[..], &[7; 500]].concat()).unwrap();
    world.disk.kill();
    let (mut writer, recovered) = world.open(&[]).unwrap();
    assert_eq!(recovered.torn_bytes, 500);
    let mut sealer = writer.sealer();
    for commits in [2, 4] {
        for _ in 0..commits {
            writer.commit(vec![entries::batch(writer.size(), ENTRIES, 40, true)]).unwrap();
        }
        drain(&mut sealer, writer.size()).unwrap();
        let (sealed, there) = (sealed_end(&world).unwrap(), world.disk.read_file(&first).is_ok());
        assert_eq!(there, sealed == 0, "{sealed} sealed");
        let at = known(&writer);
        let snapshot = world.disk.snapshot();
        world.disk.kill();
        check(&world.open(&[at]).unwrap().0, at.size);
        world.disk.restore(&snapshot);
        (writer, _) = world.open(&[at]).unwrap();
        sealer = writer.sealer();
    }
    assert!(sealed_end(&world) > Some(0));
}

#[test]
fn an_old_segment_without_a_whole_bundle_stays_open() {
    let world = World::new();
    let mut setup = world.setup();
    setup.config.segment_bytes = 1 << 20;
    let (mut writer, _) = ledger::recover(&setup, &[]).unwrap();
    writer.commit(vec![entries::batch(0, 200, 40, true)]).unwrap();
    for _ in 0..5 {
        world.clock.advance(3_600_000_000_000);
        writer.tick().unwrap();
    }
    assert_eq!(segments(&world).len(), 1);
    writer.commit(vec![entries::batch(200, 100, 40, true)]).unwrap();
    world.disk.kill();
    let (mut writer, _) = ledger::recover(&setup, &[]).unwrap();
    writer.tick().unwrap();
    assert_eq!(segments(&world).len(), 2, "its age is known after a restart too");
}

#[test]
fn a_full_backlog_ends_once_it_is_sealed() {
    let world = World::new();
    let mut setup = world.setup();
    setup.config.backlog_bytes_max = 100_000;
    let (mut writer, _) = ledger::recover(&setup, &[]).unwrap();
    let mut sealer = writer.sealer();
    let refused = loop {
        if let Err(refused) = writer.commit(vec![entries::batch(writer.size(), ENTRIES, 40, true)]) {
            break refused;
        }
    };
    assert!(matches!(refused, ledger::AppendError::Busy(_)), "{refused:?}");
    drain(&mut sealer, writer.size()).unwrap();
    writer.commit(vec![entries::batch(writer.size(), ENTRIES, 40, true)]).unwrap();
    check(&writer, writer.size());
}

/// Tiny entries are bounded by their number: in a segment, and in all that waits for the sealer.
#[test]
fn tiny_entries_are_bounded_by_their_number() {
    let world = World::new();
    let mut setup = world.setup();
    setup.kind = ledger::Kind::Raw;
    setup.config.segment_bytes = 1 << 20;
    setup.config.segment_entries = 300;
    setup.config.backlog_entries_max = 1_000;
    let raw = |count: u64| {
        let mut batch = ledger::Batch::default();
        (0..count).for_each(|n| entries::push_raw(&mut batch, &n.to_be_bytes()[7..]));
        vec![batch]
    };
    let (mut writer, _) = ledger::recover(&setup, &[]).unwrap();
    writer.commit(raw(200)).unwrap();
    world.disk.kill();
    let (mut writer, _) = ledger::recover(&setup, &[]).unwrap();
    writer.commit(raw(150)).unwrap();
    assert_eq!(segments(&world).len(), 1);
    for _ in 0..7 {
        writer.commit(raw(100)).unwrap();
    }
    assert_eq!(segments(&world).len(), 4);
    assert!(matches!(writer.commit(raw(1)), Err(ledger::AppendError::Busy(_))));
    let mut sealer = writer.sealer();
    drain(&mut sealer, writer.size()).unwrap();
    writer.commit(raw(100)).unwrap();
    let sets = SealedSets::open(&setup.disk, &setup.sealed, setup.kind, setup.about).unwrap();
    assert_eq!(sets.end(), 768);
    assert_eq!(writer.entries(0..writer.size()).unwrap().len(), 1_150);
}

/// A bundle of bodies that are together far above an ordinary one.
#[test]
fn large_bodies_are_sealed_and_read() {
    let world = World::new();
    let mut setup = world.setup();
    setup.config.segment_bytes = 4 << 20;
    let (mut writer, _) = ledger::recover(&setup, &[]).unwrap();
    let mut sealer = writer.sealer();
    for first in (0..375).step_by(25) {
        writer.commit(vec![entries::batch(first, 25, 80_000, true)]).unwrap();
    }
    drain(&mut sealer, writer.size()).unwrap();
    assert_eq!(whole(&world), BUNDLE);
    check(&writer, 375);
    world.disk.kill();
    let (writer, _) = ledger::recover(&setup, &[]).unwrap();
    check(&writer, 375);
    let mut recheck = writer.recheck();
    while recheck.step().unwrap() {}
    assert_eq!(recheck.checked(), BUNDLE);
}

/// Entries so large that a bundle is more than the backlog may be: the bundle is let through, and sealed.
#[test]
fn a_backlog_smaller_than_a_bundle_does_not_hang() {
    let world = World::new();
    let mut setup = world.setup();
    setup.config.segment_bytes = 400_000;
    setup.config.backlog_bytes_max = 300_000;
    let (mut writer, _) = ledger::recover(&setup, &[]).unwrap();
    let mut sealer = writer.sealer();
    let mut busy = 0;
    while writer.size() < 2_000 {
        match writer.commit(vec![entries::batch(writer.size(), 30, 4_000, true)]) {
            Ok(_) => busy = 0,
            Err(refused) => {
                assert!(matches!(refused, ledger::AppendError::Busy(_)), "{refused:?}");
                busy += 1;
                assert!(busy < 3, "the backlog stays full at {} entries", writer.size());
            }
        }
        writer.tick().unwrap();
        drain(&mut sealer, writer.size()).unwrap();
    }
    assert!(whole(&world) >= 1_500);
    check(&writer, 2_000);
}

fn operations() -> u64 {
    let world = World::new();
    let before = world.disk.operations();
    let promised = run(&world, &nothing());
    assert!(promised.sealed >= 2 * BUNDLE, "{} sealed", promised.sealed);
    world.disk.operations() - before
}

#[test]
fn a_power_cut_at_every_operation_of_writer_and_sealer_loses_nothing() {
    let operations = operations();
    assert!(operations > 100, "{operations}");
    let progress = Progress::new("power cuts of writer and sealer", operations);
    for n in 1..=operations {
        progress.step();
        let modes = [
            Survivors::Nothing,
            Survivors::All,
            Survivors::Prefix(n),
            Survivors::Subset(n),
            Survivors::Sectors(n),
            Survivors::Garbage(n),
        ];
        // All six at each operation in continuous integration, two in turn elsewhere.
        let some = if crate::is_ci() { 6 } else { 2 };
        for mode in modes.into_iter().cycle().skip(n as usize % 6).take(some) {
            let world = World::new();
            world.disk.cut_at(n);
            let promised = run(&world, &nothing());
            assert!(world.disk.is_dead(), "operation {n} was not reached");
            world.disk.restart(mode);
            survives(&world, &promised, &format!("cut at {n}, {mode:?}"));
        }
    }
    progress.end();
}

/// The process dies at each operation and the kernel lives; the next process does one thing on what the cache shows;
/// then the power goes, and takes with it what nobody has synced.
#[test]
fn a_power_cut_after_a_killed_process_loses_nothing() {
    let operations = operations();
    let mut short = 0;
    for first in 1..=operations {
        for steps in [0, 2] {
            let world = World::new();
            world.disk.cut_at(first);
            let mut promised = run(&world, &nothing());
            world.disk.kill();
            let (mut writer, _) = world.open(&promised.published).unwrap();
            let mut sealer = writer.sealer();
            let before = segments(&world).len();
            for _ in 0..steps {
                sealer.step(promised.published.first().map_or(0, |at| at.size)).unwrap();
            }
            short += u64::from(segments(&world).len() < before);
            writer.commit(vec![entries::batch(writer.size(), 1, 40, true)]).unwrap();
            promised.acknowledged = writer.size();
            promised.sealed = sealed_end(&world).unwrap();
            world.disk.cut_now();
            world.disk.restart(Survivors::Nothing);
            survives(&world, &promised, &format!("killed at {first}, {steps} steps, then no power"));
        }
    }
    assert!(short > 5, "the sealer released something only {short} times");
}

/// Cuts within recovery and within the sealing that follows it.
#[test]
fn power_cuts_nested_three_deep_lose_nothing() {
    let operations = operations();
    for first in (1..=operations).step_by(if crate::is_ci() { 1 } else { 5 }) {
        let world = World::new();
        let mut promised = nothing();
        for depth in 0..3 {
            world.disk.cut_at(1 + (first + depth * 31) % operations);
            promised = run(&world, &promised);
            world.disk.cut_now();
            world.disk.restart(Survivors::of_seed(first * 7 + depth, true));
        }
        survives(&world, &promised, &format!("cut at {first} and two more"));
    }
}

#[test]
fn a_failing_call_makes_the_sealer_wait_and_loses_nothing() {
    let mut struck = 0;
    for (on, kind) in [
        (OpKind::Write, FaultKind::Eio),
        (OpKind::Write, FaultKind::Enospc),
        (OpKind::Write, FaultKind::Short),
        (OpKind::Sync, FaultKind::Eio),
        (OpKind::SyncDir, FaultKind::Eio),
        (OpKind::Create, FaultKind::Enospc),
        (OpKind::Rename, FaultKind::Eio),
        (OpKind::Remove, FaultKind::Eio),
        (OpKind::Read, FaultKind::Eio),
    ] {
        for nth in 1.. {
            let world = World::new();
            let (mut writer, _) = world.open(&[]).unwrap();
            for _ in 0..7 {
                writer.commit(vec![entries::batch(writer.size(), ENTRIES, 40, true)]).unwrap();
            }
            let at = known(&writer);
            let mut sealer = writer.sealer();
            world.disk.fail(Fault::once(on, nth, kind));
            let first = drain(&mut sealer, at.size);
            if world.disk.struck() == 0 {
                break;
            }
            struck += 1;
            // A call that may fail unnoticed is the advice to forget pages alone; any other is told, and tried again.
            assert!(matches!(first, Err(SealError::Waits(_))), "{on:?} {nth}: {first:?}");
            check(&writer, at.size);
            drain(&mut sealer, at.size).unwrap_or_else(|e| panic!("{on:?} {nth} {kind:?}: {e}"));
            assert_eq!(whole(&world), 2 * BUNDLE, "{on:?} {nth}");
            check(&writer, at.size);
            writer.commit(vec![entries::batch(at.size, 1, 40, true)]).unwrap();
            world.disk.kill();
            let (writer, _) = world.open(&[at]).unwrap();
            check(&writer, at.size + 1);
        }
    }
    assert!(struck > 40, "only {struck} faults struck");
}

/// Damage to a segment that waits for the sealer is found before anything is released, and named.
#[test]
fn damage_in_a_segment_stops_the_sealer() {
    let world = World::new();
    let (mut writer, _) = world.open(&[]).unwrap();
    for _ in 0..5 {
        writer.commit(vec![entries::batch(writer.size(), ENTRIES, 40, true)]).unwrap();
    }
    let whole = world.disk.snapshot();
    for (number, offset) in [(1, 300), (2, 15_000), (3, 70), (2, 100), (3, 9_000)] {
        world.disk.restore(&whole);
        let (writer, _) = world.open(&[]).unwrap();
        let path = PathBuf::from(format!("/l/wal/{number:016x}.wal"));
        world.disk.flip(&path, offset, 4).unwrap();
        let mut sealer = writer.sealer();
        let error = drain(&mut sealer, writer.size()).unwrap_err();
        let SealError::Damage(what) = &error else { panic!("{error}") };
        assert!(what.contains(path.to_str().unwrap()), "{what}");
        assert_eq!(sealed_end(&world), Some(0));
        assert!(world.disk.read_file(&path).is_ok(), "a damaged segment was removed");
    }
}

/// What is read back wrong after writing is written again, not sealed.
#[test]
fn a_set_that_is_read_back_wrong_is_made_again() {
    for seed in 0..200 {
        let world = World::new();
        let (mut writer, _) = world.open(&[]).unwrap();
        for _ in 0..5 {
            writer.commit(vec![entries::batch(writer.size(), ENTRIES, 40, true)]).unwrap();
        }
        let mut sealer = writer.sealer();
        world.disk.corrupt_next_read(seed);
        if let Err(error) = drain(&mut sealer, writer.size()) {
            // The first read is of a segment's header, or of a block: damage as far as the sealer can tell.
            assert!(matches!(error, SealError::Damage(_) | SealError::Waits(_)));
            drain(&mut sealer, writer.size()).unwrap();
        }
        assert_eq!(whole(&world), BUNDLE);
        check(&writer, writer.size());
    }
}

#[test]
fn sealed_leaves_and_tiles_become_immutable_where_that_is_allowed() {
    let world = World::new();
    world.disk.allow_immutable(true);
    let (mut writer, _) = world.open(&[]).unwrap();
    let mut sealer = writer.sealer();
    assert!(!sealer.immutable(), "there is none");
    for _ in 0..5 {
        writer.commit(vec![entries::batch(writer.size(), ENTRIES, 40, true)]).unwrap();
    }
    drain(&mut sealer, writer.size()).unwrap();
    assert!(sealer.immutable());
    let stuck = |extension: &str| {
        let path = PathBuf::from(format!("/l/sealed/{:020}.{extension}", 0));
        world.disk.door().open_write(&path).is_err()
    };
    assert_eq!(["leaves", "tiles", "bodies", "tags", "seal"].map(stuck), [true, true, false, false, false]);
    world.disk.kill();
    // After a restart without the right: what has the attribute keeps it, what comes new has not.
    world.disk.allow_immutable(false);
    let (writer, _) = world.open(&[]).unwrap();
    let mut sealer = writer.sealer();
    drain(&mut sealer, writer.size()).unwrap();
    assert!(!sealer.immutable());
}

/// The harness is tested too: a device that lies about syncs loses what was sealed and released.
#[test]
fn a_lying_device_is_noticed_by_these_very_checks() {
    let lost = |about: Option<OpKind>, disk: &SimDisk| disk.lie(about);
    let world = World::new();
    let (mut writer, _): (Writer, _) = world.open(&[]).unwrap();
    for _ in 0..7 {
        writer.commit(vec![entries::batch(writer.size(), ENTRIES, 40, true)]).unwrap();
    }
    let at = known(&writer);
    let mut sealer = writer.sealer();
    lost(Some(OpKind::Sync), &world.disk);
    drain(&mut sealer, at.size).unwrap();
    world.disk.cut_now();
    world.disk.restart(Survivors::Nothing);
    lost(None, &world.disk);
    assert!(world.open(&[at]).is_err(), "the checks cannot fail");
}
