//! What a long loop says while it runs: a line each half minute, and its count at the end. Counts nothing by itself.
//!
//! Speaks past the capture of the test harness, and only at the counts of continuous integration.

use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longest silence of a loop that goes on.
const SILENCE: Duration = Duration::from_secs(30);

/// The counts of continuous integration are asked for.
pub fn is_ci() -> bool {
    std::env::var("PROOFBOOK_COUNTS").is_ok_and(|tier| tier == "ci")
}

/// A loop under way; shared between its threads.
#[derive(Debug)]
pub struct Progress {
    what: String,
    of: u64,
    done: AtomicU64,
    began: Instant,
    said: Mutex<Instant>,
}

impl Progress {
    /// A loop of `of` rounds; 0 where nobody knows how many.
    pub fn new(what: impl Into<String>, of: u64) -> Progress {
        let began = Instant::now();
        Progress { what: what.into(), of, done: AtomicU64::new(0), began, said: Mutex::new(began) }
    }

    /// One round more.
    pub fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        // Whoever finds it taken leaves the line to the other.
        let Ok(mut said) = self.said.try_lock() else { return };
        if said.elapsed() >= SILENCE {
            *said = Instant::now();
            self.say(done, "");
        }
    }

    /// The count at the end.
    pub fn end(&self) {
        self.say(self.done.load(Ordering::Relaxed), ", done");
    }

    fn say(&self, done: u64, end: &str) {
        if is_ci() {
            let of = if self.of == 0 { String::new() } else { format!(" of {}", self.of) };
            let seconds = self.began.elapsed().as_secs_f64();
            // Nobody to hear it is no failure of the loop.
            let _ = writeln!(std::io::stderr(), "{}: {done}{of} in {seconds:.0} s{end}", self.what);
        }
    }
}
