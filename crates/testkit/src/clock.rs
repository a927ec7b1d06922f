//! Time that moves only when a test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Nanoseconds since 1970, set by hand; clones share it.
#[derive(Clone, Debug)]
pub struct VirtualClock {
    now: Arc<AtomicU64>,
    tick: u64,
}

/// 24 November 2026, noon: a date that a stamp can be read by.
pub const NOON: u64 = 1_795_521_600_000_000_000;

impl Default for VirtualClock {
    fn default() -> Self {
        VirtualClock::at(NOON)
    }
}

impl VirtualClock {
    /// A clock that stands at `now`.
    pub fn at(now: u64) -> VirtualClock {
        VirtualClock { now: Arc::new(AtomicU64::new(now)), tick: 0 }
    }

    /// The same, but each reading moves it on by `tick` nanoseconds.
    #[must_use]
    pub fn ticking(mut self, tick: u64) -> VirtualClock {
        self.tick = tick;
        self
    }

    /// Reads it.
    pub fn now(&self) -> u64 {
        self.now.fetch_add(self.tick, Ordering::SeqCst)
    }

    /// Puts it anywhere, also backwards.
    pub fn set(&self, now: u64) {
        self.now.store(now, Ordering::SeqCst);
    }

    /// Moves it on.
    pub fn advance(&self, nanoseconds: u64) {
        self.now.fetch_add(nanoseconds, Ordering::SeqCst);
    }

    /// As the closure that a ledger is handed.
    pub fn door(&self) -> ledger::Clock {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_by_hand_and_by_tick() {
        let clock = VirtualClock::at(10).ticking(1);
        let door = clock.door();
        assert_eq!((door(), door()), (10, 11));
        clock.set(3);
        clock.advance(2);
        assert_eq!(clock.now(), 5);
    }
}
