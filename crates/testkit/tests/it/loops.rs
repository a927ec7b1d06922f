//! What the loops have in common: how often, which seed, and the two logs that they torture.

use std::path::Path;
use std::sync::Arc;

use ledger::durable::Disk;
use ledger::{CheckpointLog, Pin};
use testkit::{Rng, SimDisk, is_ci};
use tlog::Hash;

/// Seeds to run: one, if one is asked for, else the count of the tier.
pub(crate) fn seeds(short: u64, ci: u64) -> std::ops::Range<u64> {
    if let Some(seed) = std::env::var("PROOFBOOK_SEED").ok().and_then(|text| text.parse().ok()) {
        return seed..seed + 1;
    }
    0..if is_ci() { ci } else { short }
}

/// A log of facts, each durable once `put` has returned.
pub(crate) trait Subject: Sized {
    const NAME: &'static str;
    /// Sectors in flight may hold garbage after a power cut.
    const GARBAGE: bool;
    fn prepare(disk: &SimDisk);
    fn open(disk: &Arc<dyn Disk>) -> Result<Self, String>;
    /// Facts are numbered from 1, in each of `LANES` lanes on its own.
    const LANES: u64;
    fn put(&mut self, workload: u64, lane: u64, fact: u64) -> Result<(), String>;
    /// Number of the last fact of a lane, 0 for none; an error if what is there was never put.
    fn last(&self, workload: u64, lane: u64) -> Result<u64, String>;
}

fn root(lane: u64, fact: u64) -> Hash {
    let mut bytes = [0; 32];
    Rng::new(lane << 32 | fact).fill(&mut bytes);
    Hash(bytes)
}

impl Subject for Pin {
    const NAME: &'static str = "pin";
    // HOLE: garbage in the last line of a pin is called corruption, not a torn write, and stops the start. A person
    // then decides; nothing is lost or signed.
    const GARBAGE: bool = false;
    const LANES: u64 = 3;

    fn prepare(disk: &SimDisk) {
        disk.make_dir(Path::new("/state")).expect("an empty disk");
    }

    fn open(disk: &Arc<dyn Disk>) -> Result<Pin, String> {
        Pin::open(disk, Path::new("/state/pin")).map_err(|error| error.to_string())
    }

    fn put(&mut self, workload: u64, lane: u64, fact: u64) -> Result<(), String> {
        self.record(&origin(workload, lane), fact, &root(lane, fact)).map_err(|error| error.to_string())
    }

    fn last(&self, workload: u64, lane: u64) -> Result<u64, String> {
        match Pin::last(self, &origin(workload, lane)) {
            None => Ok(0),
            Some((fact, found)) if found == root(lane, fact) => Ok(fact),
            Some((fact, _)) => Err(format!("lane {lane} has a root at {fact} that was never pinned")),
        }
    }
}

/// Long names in some workloads, so that the file is written anew now and then.
fn origin(workload: u64, lane: u64) -> String {
    let long = if workload % 2 == 1 { "x".repeat(9_000) } else { String::new() };
    format!("test.example/{lane}{long}")
}

impl Subject for CheckpointLog {
    const NAME: &'static str = "checkpoint log";
    const GARBAGE: bool = true;
    const LANES: u64 = 1;

    fn prepare(disk: &SimDisk) {
        disk.make_dir(Path::new("/checkpoints")).expect("an empty disk");
    }

    fn open(disk: &Arc<dyn Disk>) -> Result<CheckpointLog, String> {
        CheckpointLog::open(disk, Path::new("/checkpoints")).map_err(|error| error.to_string())
    }

    fn put(&mut self, workload: u64, _lane: u64, fact: u64) -> Result<(), String> {
        self.append(&note(workload, fact)).map_err(|error| error.to_string())
    }

    fn last(&self, workload: u64, _lane: u64) -> Result<u64, String> {
        let Some(found) = CheckpointLog::last(self) else { return Ok(0) };
        let fact = found.split(' ').next().and_then(|number| number.parse().ok()).ok_or("a note without a number")?;
        if found == note(workload, fact) { Ok(fact) } else { Err(format!("note {fact} is not the one written")) }
    }
}

/// A note of any length up to 15 KiB; long ones roll the log after some twenty.
fn note(workload: u64, fact: u64) -> String {
    let bytes = if workload % 2 == 1 { 14_000 } else { 100 + workload * 37 };
    let mut note = format!("{fact} ");
    while (note.len() as u64) < bytes {
        note.push_str("words of a note\n");
    }
    note
}
