//! Whole lives of a ledger by seed: commits with repeats, ticks, checkpoints, sealing, cuts and failing calls in any
//! order. What was acknowledged is there under its index, what was published is its prefix, and no identity is twice.
//!
//! `PROOFBOOK_SEED=n` runs one seed alone.

use ledger::{AppendError, Batch, Known, OpenError, Outcome, SealError, Sealing, Setup, Writer, recover};
use testkit::{Fault, FaultKind, OpKind, Progress, Rng, Survivors, entries, is_ci};

use crate::tamper::{spread, threads};
use crate::{World, check, known};

struct Life {
    world: World,
    setup: Setup,
    rng: Rng,
    acknowledged: u64,
    published: Vec<Known>,
    /// Steps that did something, by kind: a seed that does nothing proves nothing.
    sealed: u64,
    repeats: u64,
    failures: u64,
}

/// Its bytes follow from its number, which is its index.
fn body_bytes(number: u64) -> usize {
    usize::try_from(20 + number * 37 % 200).unwrap()
}

impl Life {
    fn new(seed: u64) -> Life {
        let world = World::new();
        let mut rng = Rng::new(seed);
        let mut setup = world.setup();
        setup.config.segment_bytes = 2_000 + rng.below(60_000);
        setup.config.backlog_bytes_max = 400_000;
        let published = Vec::new();
        Life { world, setup, rng, acknowledged: 0, published, sealed: 0, repeats: 0, failures: 0 }
    }

    /// What may go wrong in the life to come.
    fn tempt(&mut self) {
        let nth = 1 + self.rng.below(150);
        let kinds = [FaultKind::Eio, FaultKind::Enospc, FaultKind::Short];
        let calls = [
            OpKind::Write,
            OpKind::Sync,
            OpKind::SyncDir,
            OpKind::Create,
            OpKind::Rename,
            OpKind::Remove,
            OpKind::Read,
        ];
        match self.rng.below(5) {
            0 | 1 => self.world.disk.cut_at(1 + self.rng.below(200)),
            2 => {
                let kind = kinds[self.rng.below_usize(3)];
                let on = calls[self.rng.below_usize(7)];
                let folder = ["/l/wal", "/l/sealed", "/views", "/"][self.rng.below_usize(4)];
                let once = self.rng.one_in(2);
                let fault = if once { Fault::once(on, nth, kind) } else { Fault::for_ever(on, nth, kind) };
                self.world.disk.fail(fault.where_path_has(folder));
            }
            3 => self.world.disk.cut_at(1 + self.rng.below(8)),
            _ => {}
        }
    }

    fn live(&mut self, seed: u64) {
        let mut writer = match recover(&self.setup, &self.published) {
            Ok((writer, _)) => writer,
            Err(OpenError::Io { .. }) => return,
            Err(other) => panic!("seed {seed}: {other}"),
        };
        assert!(writer.size() >= self.acknowledged, "seed {seed}: {} of {}", writer.size(), self.acknowledged);
        let mut sealer = writer.sealer();
        for _ in 0..5 + self.rng.below(40) {
            let published = self.published.first().map_or(0, |at| at.size);
            let alive = match self.rng.below(10) {
                0..=4 => self.commit(&mut writer, seed),
                5 => {
                    self.world.clock.advance(self.rng.below(4) * 1_800_000_000_000);
                    writer.tick().is_ok()
                }
                6 => {
                    self.published = vec![known(&writer)];
                    true
                }
                _ => match sealer.step(published) {
                    Ok(done) => {
                        self.sealed += u64::from(done == Sealing::Worked);
                        true
                    }
                    Err(SealError::Waits(_)) => {
                        self.failures += 1;
                        true
                    }
                    Err(damage) => panic!("seed {seed}: {damage}"),
                },
            };
            if !alive || self.world.disk.is_dead() {
                return;
            }
        }
    }

    /// New entries and repeats of any age in one block. Whether the writer lives on.
    fn commit(&mut self, writer: &mut Writer, seed: u64) -> bool {
        let size = writer.size();
        let (mut batch, mut expected, mut next) = (Batch::default(), Vec::new(), size);
        for _ in 0..1 + self.rng.below(120) {
            let repeat = next > 0 && self.rng.one_in(4);
            let number = if repeat { self.rng.below(next) } else { next };
            next += u64::from(!repeat);
            entries::push(&mut batch, &entries::entry(number, body_bytes(number)), !repeat && self.rng.one_in(2));
            expected.push((number, repeat));
        }
        match writer.commit(vec![batch]) {
            Ok(answers) => {
                for (outcome, (number, repeat)) in answers[0].outcomes.iter().zip(expected) {
                    // A failing read may hit this very question.
                    let Some(hash) = writer.leaf_hashes(number..number + 1).and_then(|mut h| h.pop()) else { continue };
                    let right = if repeat {
                        Outcome::Duplicate { index: number, leaf_hash: hash }
                    } else {
                        Outcome::Appended { index: number, leaf_hash: hash }
                    };
                    assert_eq!(*outcome, right, "seed {seed}: entry {number} of {size}");
                    self.repeats += u64::from(repeat);
                }
                self.acknowledged = writer.size();
                true
            }
            Err(AppendError::Busy(_)) => {
                self.failures += 1;
                true
            }
            Err(AppendError::Poisoned(_)) => false,
            Err(other) => panic!("seed {seed}: {other}"),
        }
    }

    /// Healed: everything is there, everything is known, everything can be sealed, and all of it is whole.
    fn end(&mut self, seed: u64) {
        self.world.disk.kill();
        let (mut writer, _) = recover(&self.setup, &self.published).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        check(&writer, self.acknowledged);
        let mut sealer = writer.sealer();
        while sealer.step(writer.size()).unwrap_or_else(|e| panic!("seed {seed}: {e}")) == Sealing::Worked {}
        check(&writer, self.acknowledged);
        let size = writer.size();
        for first in (0..size).step_by(500) {
            let mut batch = Batch::default();
            let numbers = first..size.min(first + 500);
            numbers.clone().for_each(|n| entries::push(&mut batch, &entries::entry(n, body_bytes(n)), false));
            let answers = writer.commit(vec![batch]).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            for (outcome, number) in answers[0].outcomes.iter().zip(numbers) {
                let known = matches!(outcome, Outcome::Duplicate { index, .. } if *index == number);
                assert!(known, "seed {seed}: entry {number} again: {outcome:?}");
            }
        }
        let mut recheck = writer.recheck();
        while recheck.step().unwrap_or_else(|e| panic!("seed {seed}: {e}")) {}
    }
}

/// What lives came to: entries sealed, repeats answered, faults met.
type Sum = (u64, u64, u64);

fn one_life(seed: u64) -> Sum {
    println!("PROOFBOOK_SEED={seed}");
    let mut life = Life::new(seed);
    for _ in 0..2 + life.rng.below(6) {
        life.tempt();
        life.live(seed);
        if life.rng.one_in(3) {
            life.world.disk.kill();
        } else {
            life.world.disk.cut_now();
            let survivors = Survivors::of_seed(life.rng.next_u64(), true);
            life.world.disk.restart(survivors);
        }
    }
    life.end(seed);
    (life.sealed, life.repeats, life.failures)
}

#[test]
fn whole_lives_lose_nothing_and_know_everything() {
    let one = std::env::var("PROOFBOOK_SEED").ok().and_then(|text| text.parse().ok());
    let seeds = one.map_or(0..if is_ci() { 2_000 } else { 60 }, |seed: u64| seed..seed + 1);
    let count = seeds.end - seeds.start;
    let progress = Progress::new("whole lives", count);
    let sums = spread(threads(), |thread| {
        seeds.clone().skip(thread).step_by(threads()).fold((0, 0, 0), |sum: Sum, seed| {
            let one = one_life(seed);
            progress.step();
            (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2)
        })
    });
    progress.end();
    let total = |of: fn(&Sum) -> u64| sums.iter().map(of).sum::<u64>();
    let (sealed, repeats, failures) = (total(|sum| sum.0), total(|sum| sum.1), total(|sum| sum.2));
    if count > 1 {
        assert!(sealed > 5 * count && repeats > 100 * count && failures > count / 2, "{sealed} {repeats} {failures}");
    }
}
