//! Power cuts and failing calls at each operation, once and for ever, and cuts within recovery.

use testkit::{Fault, FaultKind, OpKind, Progress, SimDisk, Survivors};

use crate::{World, check, workload};

const BLOCKS: u64 = 8;

fn modes(seed: u64) -> [Survivors; 6] {
    [
        Survivors::Nothing,
        Survivors::All,
        Survivors::Prefix(seed),
        Survivors::Subset(seed),
        Survivors::Sectors(seed),
        Survivors::Garbage(seed),
    ]
}

fn operations_of_the_workload() -> u64 {
    let world = World::new();
    let before = world.disk.operations();
    let (mut writer, _) = world.open(&[]).unwrap();
    workload(&mut writer, BLOCKS);
    world.disk.operations() - before
}

/// Recovers, checks, recovers again and compares.
fn survives(world: &World, acknowledged: u64, what: &str) {
    let (writer, _) = world.open(&[]).unwrap_or_else(|e| panic!("{what}: {e}"));
    check(&writer, acknowledged);
    let (size, root) = (writer.size(), writer.root());
    drop(writer);
    world.disk.kill();
    let (mut writer, recovered) = world.open(&[]).unwrap_or_else(|e| panic!("{what}, again: {e}"));
    assert_eq!(
        (writer.size(), writer.root(), recovered.torn_bytes),
        (size, root, 0),
        "{what}: recovery is not idempotent"
    );
    let more = workload(&mut writer, 2);
    assert!(more > size, "{what}: nothing can be appended");
    check(&writer, more);
}

#[test]
fn a_power_cut_at_every_operation_loses_nothing_acknowledged() {
    let operations = operations_of_the_workload();
    assert!(operations > 20, "{operations}");
    let progress = Progress::new("power cuts of the writer", operations);
    for n in 1..=operations {
        progress.step();
        for mode in modes(n) {
            let world = World::new();
            world.disk.cut_at(n);
            let acknowledged = match world.open(&[]) {
                Ok((mut writer, _)) => workload(&mut writer, BLOCKS),
                Err(_) => 0,
            };
            assert!(world.disk.is_dead(), "operation {n} was not reached");
            world.disk.restart(mode);
            survives(&world, acknowledged, &format!("cut at {n}, {mode:?}"));
        }
    }
    progress.end();
}

#[test]
fn power_cuts_within_recovery_nested_three_deep_give_the_same_root() {
    let operations = operations_of_the_workload();
    let mut nested = 0;
    for first in 1..=operations {
        for seed in 0..4 {
            let world = World::new();
            world.disk.cut_at(first);
            let acknowledged = world.open(&[]).map_or(0, |(mut writer, _)| workload(&mut writer, BLOCKS));
            world.disk.restart(Survivors::of_seed(first * 31 + seed, true));
            for depth in 1..=3 {
                world.disk.cut_at(1 + (seed + depth) % 4);
                if world.open(&[]).is_err() {
                    nested += 1;
                }
                world.disk.cut_now();
                world.disk.restart(Survivors::of_seed(first * 17 + seed + depth, true));
            }
            survives(&world, acknowledged, &format!("cut at {first}, seed {seed}"));
        }
    }
    assert!(nested > 50, "recovery itself was cut only {nested} times");
}

#[test]
fn a_failing_call_poisons_and_a_restart_has_everything_acknowledged() {
    let mut struck = 0;
    for (on, kinds) in [
        (OpKind::Write, &[FaultKind::Eio, FaultKind::Enospc, FaultKind::Short][..]),
        (OpKind::Sync, &[FaultKind::Eio, FaultKind::Enospc][..]),
        (OpKind::SyncDir, &[FaultKind::Eio][..]),
        (OpKind::Create, &[FaultKind::Eio, FaultKind::Enospc][..]),
        (OpKind::Rename, &[FaultKind::Eio, FaultKind::Enospc][..]),
    ] {
        for kind in kinds {
            for for_ever in [false, true] {
                for nth in 1..40 {
                    let world = World::new();
                    let fault = if for_ever { Fault::for_ever(on, nth, *kind) } else { Fault::once(on, nth, *kind) };
                    world.disk.fail(fault);
                    let acknowledged = world.open(&[]).map_or(0, |(mut writer, _)| workload(&mut writer, BLOCKS));
                    if world.disk.struck() == 0 {
                        break;
                    }
                    struck += 1;
                    world.disk.kill();
                    survives(&world, acknowledged, &format!("{on:?} {nth} {kind:?}, for ever: {for_ever}"));
                }
            }
        }
    }
    assert!(struck > 60, "only {struck} faults struck");
}

/// The harness is tested too: a device that lies about syncs must lose something that was acknowledged.
#[test]
fn a_lying_device_is_noticed_by_these_very_checks() {
    let lost = |disk: &SimDisk| disk.lie(Some(OpKind::Sync));
    let world = World::new();
    let (mut writer, _) = world.open(&[]).unwrap();
    lost(&world.disk);
    let acknowledged = workload(&mut writer, 3);
    world.disk.cut_now();
    world.disk.restart(Survivors::Nothing);
    world.disk.lie(None);
    assert!(acknowledged > 0);
    let survived = world.open(&[]).map_or(0, |(writer, _)| writer.size());
    assert!(survived < acknowledged, "the checks cannot fail");
}
