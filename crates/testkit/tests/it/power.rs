//! Power cuts at every operation, also inside recovery: what was acknowledged is there, nothing else is.

use ledger::{CheckpointLog, Pin};
use testkit::{Progress, Rng, SimDisk, Survivors, is_ci};

use crate::loops::{Subject, seeds};

const FACTS: u64 = 24;
const WORKLOADS: u64 = 20;

/// What a run may find afterwards: at least what was acknowledged, at most what was asked for.
#[derive(Clone)]
struct Known {
    acknowledged: Vec<u64>,
    asked: Vec<u64>,
}

impl Known {
    fn new(lanes: u64) -> Known {
        let zeros: Vec<u64> = (0..lanes).map(|_| 0).collect();
        Known { acknowledged: zeros.clone(), asked: zeros }
    }

    fn total(&self) -> u64 {
        self.acknowledged.iter().sum()
    }
}

/// Opens and works until the facts are all there or the power goes; true if it came to the end.
fn work<S: Subject>(disk: &SimDisk, workload: u64, known: &mut Known, upto: u64) -> Result<bool, String> {
    let mut subject = match S::open(&disk.door()) {
        Ok(subject) => subject,
        Err(_) if disk.is_dead() => return Ok(false),
        Err(error) => return Err(format!("does not open: {error}")),
    };
    for lane in 0..S::LANES {
        let at = usize::try_from(lane).unwrap_or(0);
        let found = subject.last(workload, lane)?;
        if found < known.acknowledged[at] || found > known.asked[at] {
            return Err(format!(
                "lane {lane} stands at {found}, acknowledged were {}, asked for {}",
                known.acknowledged[at], known.asked[at]
            ));
        }
        // What was found stands: shown to readers, it may not go away with the next cut.
        known.acknowledged[at] = found;
        known.asked[at] = found;
    }
    while known.total() < upto {
        let lane = known.total() % S::LANES;
        let at = usize::try_from(lane).unwrap_or(0);
        known.asked[at] = known.acknowledged[at] + 1;
        match subject.put(workload, lane, known.asked[at]) {
            Ok(()) => known.acknowledged[at] = known.asked[at],
            Err(_) if disk.is_dead() => return Ok(false),
            Err(error) => return Err(format!("refuses on a healthy disk: {error}")),
        }
    }
    Ok(true)
}

/// One run with cuts at the given operations of each life, then a life to the end and one more look.
fn cut<S: Subject>(workload: u64, cuts: &[(u64, Survivors)]) -> Result<bool, String> {
    cut_on::<S>(&SimDisk::new(), workload, cuts)
}

fn cut_on<S: Subject>(disk: &SimDisk, workload: u64, cuts: &[(u64, Survivors)]) -> Result<bool, String> {
    S::prepare(disk);
    let mut known = Known::new(S::LANES);
    let mut was_cut = false;
    for (at, survivors) in cuts {
        disk.cut_at(*at);
        was_cut = !work::<S>(disk, workload, &mut known, FACTS)?;
        if !was_cut {
            break;
        }
        disk.restart(*survivors);
    }
    disk.heal();
    for upto in [known.total(), FACTS + 2] {
        if !work::<S>(disk, workload, &mut known, upto)? {
            return Err("the power went without a cut".to_owned());
        }
        disk.kill();
    }
    Ok(was_cut)
}

fn modes<S: Subject>(seed: u64) -> Vec<Survivors> {
    (0..if S::GARBAGE { 6 } else { 5 }).map(|mode| Survivors::of_seed(seed * 30 + mode, S::GARBAGE)).collect()
}

fn every_operation<S: Subject>() {
    let mut runs = 0;
    for workload in 0..WORKLOADS {
        for at in 1.. {
            let mut was_cut = false;
            for survivors in modes::<S>(workload * 1_000 + at) {
                was_cut |= cut::<S>(workload, &[(at, survivors)])
                    .unwrap_or_else(|error| panic!("{}: workload {workload}, {at}, {survivors:?}: {error}", S::NAME));
                runs += 1;
            }
            if !was_cut {
                break;
            }
        }
    }
    assert!(runs > 20 * 24, "only {runs} cuts of the {}", S::NAME);
}

/// Three cuts in a row, the later ones inside what the next life does first.
fn nested<S: Subject>() {
    let workloads = if is_ci() { 6 } else { 2 };
    let progress = Progress::new(format!("{}, three cuts in a row", S::NAME), workloads * 60);
    for workload in 0..workloads {
        for first in 1..=60 {
            progress.step();
            for second in 1..=6 {
                for third in 1..=6 {
                    let seed = first * 36 + second * 6 + third;
                    let mode = |n: u64| Survivors::of_seed(seed + n, S::GARBAGE);
                    let cuts = [(first, mode(0)), (second, mode(1)), (third, mode(2))];
                    if let Err(error) = cut::<S>(workload, &cuts) {
                        panic!("{}: workload {workload}, {cuts:?}: {error}", S::NAME);
                    }
                }
            }
        }
    }
    progress.end();
}

fn seeded<S: Subject>() {
    let seeds = seeds(200, 20_000);
    let progress = Progress::new(format!("{}, seeds of power cuts", S::NAME), seeds.end - seeds.start);
    for seed in seeds {
        progress.step();
        let mut rng = Rng::new(seed);
        let workload = rng.below(WORKLOADS);
        let lives = 1 + rng.below(5);
        let cuts: Vec<_> =
            (0..lives).map(|_| (1 + rng.below(40), Survivors::of_seed(rng.next_u64(), S::GARBAGE))).collect();
        if let Err(error) = cut::<S>(workload, &cuts) {
            panic!("{}: {error}\nrepeat with: cargo xtask sim --seed {seed}", S::NAME);
        }
    }
    progress.end();
}

#[test]
fn pin_cut_at_every_operation() {
    every_operation::<Pin>();
}

#[test]
fn pin_cut_three_times() {
    nested::<Pin>();
}

#[test]
fn pin_seeds() {
    seeded::<Pin>();
}

#[test]
fn checkpoint_log_cut_at_every_operation() {
    every_operation::<CheckpointLog>();
}

#[test]
fn checkpoint_log_cut_three_times() {
    nested::<CheckpointLog>();
}

#[test]
fn checkpoint_log_seeds() {
    seeded::<CheckpointLog>();
}

/// The harness itself: a log that forgets to sync must be caught.
mod planted {
    use super::*;
    use std::path::Path;
    use std::sync::Arc;

    use ledger::durable::{Disk, DiskFile};
    use testkit::OpKind;

    /// One byte a fact, appended and never synced.
    struct Forgetful {
        file: Arc<dyn DiskFile>,
    }

    impl Subject for Forgetful {
        const NAME: &'static str = "planted bug";
        const GARBAGE: bool = false;
        const LANES: u64 = 1;

        fn prepare(disk: &SimDisk) {
            disk.write_file(Path::new("/log"), b"").expect("an empty disk");
        }

        fn open(disk: &Arc<dyn Disk>) -> Result<Forgetful, String> {
            let file = disk.open_write(Path::new("/log")).map_err(|error| error.to_string())?;
            Ok(Forgetful { file })
        }

        fn put(&mut self, _workload: u64, _lane: u64, fact: u64) -> Result<(), String> {
            self.file.write_all_at(&[b"."], fact - 1).map_err(|error| error.to_string())
        }

        fn last(&self, _workload: u64, _lane: u64) -> Result<u64, String> {
            self.file.len().map_err(|error| error.to_string())
        }
    }

    fn caught_on_a_lying_disk<S: Subject>(about: OpKind) -> bool {
        (1..=60).any(|at| {
            let disk = SimDisk::new();
            disk.lie(Some(about));
            cut_on::<S>(&disk, 1, &[(at, Survivors::Nothing)]).is_err()
        })
    }

    #[test]
    fn skipped_syncs_of_files_and_folders_are_caught() {
        for about in [OpKind::Sync, OpKind::SyncDir] {
            assert!(caught_on_a_lying_disk::<Pin>(about), "pin, {about:?}");
            assert!(caught_on_a_lying_disk::<CheckpointLog>(about), "checkpoint log, {about:?}");
        }
    }

    #[test]
    fn a_missing_sync_is_caught() {
        let caught = (1..=5).any(|at| cut::<Forgetful>(0, &[(at, Survivors::Nothing)]).is_err());
        assert!(caught);
    }
}
