//! Writes, syncs and names that fail at the n-th call, once and for ever: no acknowledgement that a restart disproves.

use ledger::{CheckpointLog, Pin};
use testkit::{Fault, FaultKind, OpKind, SimDisk, Survivors};

use crate::loops::Subject;

const FACTS: u64 = 40;
const KINDS: [(OpKind, FaultKind); 9] = [
    (OpKind::Write, FaultKind::Eio),
    (OpKind::Write, FaultKind::Short),
    (OpKind::Write, FaultKind::Enospc),
    (OpKind::Sync, FaultKind::Eio),
    (OpKind::SyncDir, FaultKind::Eio),
    (OpKind::Create, FaultKind::Enospc),
    (OpKind::Rename, FaultKind::Eio),
    (OpKind::Rename, FaultKind::Enospc),
    (OpKind::Remove, FaultKind::Eio),
];

/// Works until an error, then restarts without the cache: true if the fault struck.
fn run<S: Subject>(workload: u64, fault: &Fault) -> Result<bool, String> {
    let disk = SimDisk::new();
    S::prepare(&disk);
    disk.fail(fault.clone());
    let mut acknowledged = vec![0; usize::try_from(S::LANES).unwrap_or(1)];
    let mut asked = acknowledged.clone();
    if let Ok(mut subject) = S::open(&disk.door()) {
        for n in 0..FACTS {
            let lane = n % S::LANES;
            let at = usize::try_from(lane).unwrap_or(0);
            asked[at] = acknowledged[at] + 1;
            if subject.put(workload, lane, asked[at]).is_err() {
                break;
            }
            acknowledged[at] = asked[at];
        }
    }
    let struck = disk.struck() > 0;
    disk.restart(Survivors::Nothing);
    let subject = S::open(&disk.door()).map_err(|error| format!("does not open after a fault: {error}"))?;
    for (at, lane) in (0..S::LANES).enumerate() {
        let found = subject.last(workload, lane)?;
        if found < acknowledged[at] || found > asked[at] {
            return Err(format!("lane {lane}: found {found}, acknowledged {}, asked {}", acknowledged[at], asked[at]));
        }
    }
    Ok(struck)
}

fn every_call<S: Subject>() {
    let mut struck = 0;
    for workload in 0..4 {
        for (on, kind) in KINDS {
            for n in 1.. {
                let mut any = false;
                for fault in [Fault::once(on, n, kind), Fault::for_ever(on, n, kind)] {
                    any |= run::<S>(workload, &fault)
                        .unwrap_or_else(|error| panic!("{}: workload {workload}, {fault:?}: {error}", S::NAME));
                }
                if !any {
                    break;
                }
                struck += 1;
            }
        }
    }
    assert!(struck > 100, "only {struck} faults of the {}", S::NAME);
}

#[test]
fn pin_faults_at_every_call() {
    every_call::<Pin>();
}

#[test]
fn checkpoint_log_faults_at_every_call() {
    every_call::<CheckpointLog>();
}

/// A full disk refuses; with room again a restart goes on where the last acknowledgement was.
#[test]
fn a_full_disk_refuses_and_goes_on_after_a_restart() {
    for capacity in (200..40_000).step_by(977) {
        let disk = SimDisk::new();
        CheckpointLog::prepare(&disk);
        disk.set_capacity(capacity);
        let mut log = <CheckpointLog as Subject>::open(&disk.door()).expect("an empty folder");
        let mut last = 0;
        while last < 200 && log.put(3, 0, last + 1).is_ok() {
            last += 1;
        }
        assert!(last < 200, "the disk of {capacity} bytes was never full");
        disk.restart(Survivors::Nothing);
        disk.set_capacity(1 << 30);
        let mut log = <CheckpointLog as Subject>::open(&disk.door()).expect("what is there is whole");
        assert_eq!(Subject::last(&log, 3, 0), Ok(last));
        assert_eq!(log.put(3, 0, last + 1), Ok(()));
    }
}
