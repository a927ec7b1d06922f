//! Memory that requests and answers may hold at one time: so much together, so much for one token.
//!
//! Counts what was announced or read; allocates nothing itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::BUCKETS_MAX;
use crate::problem::Problem;

/// What all tokens share, in KiB.
pub(crate) struct Memory {
    /// Together, and of one token.
    most: (usize, usize),
    taken: AtomicUsize,
    tokens: Mutex<HashMap<String, Arc<AtomicUsize>>>,
}

/// What one token may take.
#[derive(Clone)]
pub(crate) struct Purse {
    memory: Arc<Memory>,
    mine: Arc<AtomicUsize>,
}

/// Memory that is taken until it is dropped.
pub(crate) struct Share {
    purse: Purse,
    kib: usize,
}

fn kib_of(bytes: usize) -> usize {
    bytes.div_ceil(1024).max(1)
}

/// Takes `kib` where no more than `most` is taken then.
fn take(taken: &AtomicUsize, kib: usize, most: usize) -> bool {
    let more = |now: usize| now.checked_add(kib).filter(|sum| *sum <= most);
    taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
}

impl Memory {
    pub(crate) fn of_kib(all: usize, token: usize) -> Arc<Memory> {
        Arc::new(Memory { most: (all, token), taken: AtomicUsize::new(0), tokens: Mutex::default() })
    }

    pub(crate) fn purse(self: &Arc<Self>, token: &str) -> Purse {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = match tokens.get(token) {
            Some(mine) => Arc::clone(mine),
            None => {
                if tokens.len() >= BUCKETS_MAX {
                    // Whoever holds some is held by its shares too.
                    tokens.retain(|_, mine| Arc::strong_count(mine) > 1);
                }
                Arc::clone(tokens.entry(token.to_owned()).or_default())
            }
        };
        Purse { memory: Arc::clone(self), mine }
    }
}

fn busy(who: &str) -> Problem {
    Problem::new("busy", format!("too many bytes of {who} are in memory at the moment"))
}

impl Purse {
    /// Errors: 429 where the token holds more than it may.
    pub(crate) fn is_paid(&self) -> Result<(), Problem> {
        if self.mine.load(Ordering::Relaxed) > self.memory.most.1 { Err(busy("this token")) } else { Ok(()) }
    }

    /// Takes what is in memory already, beyond what may be: later requests are refused until it is given back.
    pub(crate) fn owe(&self, bytes: usize) -> Share {
        let kib = kib_of(bytes);
        self.mine.fetch_add(kib, Ordering::Relaxed);
        self.memory.taken.fetch_add(kib, Ordering::Relaxed);
        Share { purse: self.clone(), kib }
    }

    /// Errors: 429.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<Share, Problem> {
        let kib = kib_of(bytes);
        let (all, token) = self.memory.most;
        if !take(&self.mine, kib, token) {
            return Err(busy("this token"));
        }
        if !take(&self.memory.taken, kib, all) {
            self.mine.fetch_sub(kib, Ordering::Relaxed);
            return Err(busy("all tokens"));
        }
        Ok(Share { purse: self.clone(), kib })
    }
}

impl Share {
    /// Gives back what is above `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        self.give_back(self.kib.saturating_sub(kib_of(bytes)));
    }

    fn give_back(&mut self, kib: usize) {
        self.kib -= kib;
        self.purse.mine.fetch_sub(kib, Ordering::Relaxed);
        self.purse.memory.taken.fetch_sub(kib, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back(self.kib);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_does_not_take_all_memory_and_gives_back_what_it_took() {
        let memory = Memory::of_kib(100, 60);
        let (a, b) = (memory.purse("a"), memory.purse("b"));
        let held = a.reserve(60 << 10);
        assert!(held.is_ok() && a.reserve(1).is_err_and(|p| p.status == 429));
        let mut other = b.reserve(40 << 10);
        assert!(other.is_ok() && b.reserve(1).is_err_and(|p| p.status == 429), "all is taken");
        if let Ok(share) = &mut other {
            share.shrink_to(10 << 10);
        }
        assert!(b.reserve(30 << 10).is_ok() && b.reserve(31 << 10).is_err());
        drop(held);
        // The token's share is by the token, whichever purse asks.
        assert!(memory.purse("b").reserve(51 << 10).is_err() && memory.purse("b").reserve(50 << 10).is_ok());
        drop(other);
        assert_eq!((memory.taken.load(Ordering::Relaxed), b.mine.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn what_is_owed_is_counted_although_it_is_too_much() {
        let memory = Memory::of_kib(100, 60);
        let owed = memory.purse("a").owe(90 << 10);
        assert!(memory.purse("a").reserve(1).is_err() && memory.purse("b").reserve(11 << 10).is_err());
        assert!(memory.purse("a").is_paid().is_err() && memory.purse("b").is_paid().is_ok());
        drop(owed);
        assert!(memory.purse("a").reserve(60 << 10).is_ok());
    }

    #[test]
    fn tokens_that_hold_nothing_are_forgotten_in_time() {
        let memory = Memory::of_kib(10, 10);
        let held = memory.purse("held").reserve(1024);
        for n in 0..BUCKETS_MAX + 10 {
            drop(memory.purse(&n.to_string()));
        }
        let tokens = memory.tokens.lock().unwrap_or_else(PoisonError::into_inner).len();
        assert!(tokens <= BUCKETS_MAX && memory.purse("held").reserve(10 << 10).is_err());
        drop(held);
    }
}
