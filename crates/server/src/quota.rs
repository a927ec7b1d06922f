//! Token buckets: rates per token and per principal. In memory alone; a restart fills them.
//!
//! What a request costs may be known only afterwards: a bucket may go into debt, and nothing passes until it is paid.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::limits::BUCKETS_MAX;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum What {
    Events,
    Bytes,
    Reads,
    Denials,
}

#[derive(Clone, Copy)]
struct Bucket {
    /// Units left, times the period in nanoseconds; below zero is debt.
    level: i128,
    at: u64,
}

/// The buckets of a server.
#[derive(Default)]
pub(crate) struct Quotas {
    buckets: Mutex<HashMap<(What, String), Bucket>>,
}

/// A rate: so many units a period.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) units: u64,
    pub(crate) period_ns: u64,
}

impl Rate {
    pub(crate) fn per_second(units: u64) -> Rate {
        Rate { units, period_ns: 1_000_000_000 }
    }
    pub(crate) fn per_minute(units: u64) -> Rate {
        Rate { units, period_ns: 60_000_000_000 }
    }
    pub(crate) fn per_day(units: u64) -> Rate {
        Rate { units, period_ns: 86_400_000_000_000 }
    }
}

impl Quotas {
    /// Takes `cost` units if the bucket is not in debt; else the seconds until it no longer is. A rate of 0 units
    /// means no limit.
    pub(crate) fn take(&self, what: What, who: &str, rate: Rate, cost: u64, now: u64) -> Result<(), u64> {
        if rate.units == 0 {
            return Ok(());
        }
        let (units, period) = (i128::from(rate.units), i128::from(rate.period_ns));
        let full = units * period;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX {
            buckets.clear();
        }
        let bucket = buckets.entry((what, who.to_owned())).or_insert(Bucket { level: full, at: now });
        let gained = i128::from(now.saturating_sub(bucket.at)) * units;
        bucket.level = (bucket.level + gained).min(full);
        // A step back gives nothing, and what follows counts from there: else the bucket would stay empty until the
        // clock has caught up.
        bucket.at = now;
        // One whole unit must be there, or none be owed where nothing is taken.
        let needed = if cost > 0 { period } else { 0 };
        if bucket.level < needed {
            let wait_ns = div_up(needed - bucket.level, units);
            return Err(u64::try_from(div_up(wait_ns, 1_000_000_000)).unwrap_or(u64::MAX).max(1));
        }
        bucket.level -= i128::from(cost) * period;
        Ok(())
    }
}

/// Both are positive here.
fn div_up(value: i128, by: i128) -> i128 {
    (value + by - 1) / by
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_bucket_refills_and_debt_is_waited_out() {
        let quotas = Quotas::default();
        let rate = Rate::per_second(10);
        assert_eq!(quotas.take(What::Events, "a", rate, 10, 0), Ok(()));
        assert_eq!(quotas.take(What::Events, "a", rate, 1, 0), Err(1));
        assert_eq!(quotas.take(What::Events, "b", rate, 1, 0), Ok(()), "another token's bucket is its own");
        assert_eq!(quotas.take(What::Events, "a", rate, 50, S), Ok(()), "debt is allowed once");
        assert_eq!(quotas.take(What::Events, "a", rate, 1, S), Err(5));
        assert_eq!(quotas.take(What::Events, "a", rate, 1, 5 * S), Err(1));
        assert_eq!(quotas.take(What::Events, "a", rate, 1, 6 * S), Ok(()));
    }

    #[test]
    fn no_rate_is_no_limit_and_a_clock_that_steps_back_gives_nothing() {
        let quotas = Quotas::default();
        for _ in 0..100 {
            assert_eq!(quotas.take(What::Reads, "a", Rate::per_minute(0), 1_000_000, 0), Ok(()));
        }
        assert_eq!(quotas.take(What::Reads, "a", Rate::per_minute(1), 1, 100 * S), Ok(()));
        assert!(quotas.take(What::Reads, "a", Rate::per_minute(1), 1, 50 * S).is_err());
        assert!(quotas.take(What::Reads, "a", Rate::per_minute(1), 1, 101 * S).is_err());
        assert!(quotas.take(What::Reads, "a", Rate::per_minute(1), 1, 10 * S).is_err());
        assert_eq!(quotas.take(What::Reads, "a", Rate::per_minute(1), 1, 70 * S), Ok(()), "a minute is a minute");
    }
}
