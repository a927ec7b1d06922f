//! Durations in buckets of about one percent: any number of them in a few kilobytes.

use std::time::Duration;

/// Buckets an octave.
const STEPS: u64 = 64;
/// Octaves above the first, up to about an hour.
const OCTAVES: u64 = 37;

/// Counts durations; percentiles are right to about one percent.
#[derive(Clone)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: vec![0; ((OCTAVES + 1) * STEPS) as usize], total: 0, sum: 0, max: 0 }
    }
}

fn bucket(ns: u64) -> usize {
    if ns < STEPS {
        return usize::try_from(ns).unwrap_or(0);
    }
    // The six bits below the leading one choose the step within its octave.
    let octave = u64::from(ns.ilog2() - STEPS.ilog2());
    let step = (ns >> octave) - STEPS;
    usize::try_from(((octave + 1) * STEPS + step).min((OCTAVES + 1) * STEPS - 1)).unwrap_or(0)
}

fn upper_edge(bucket: u64) -> u64 {
    if bucket < STEPS { bucket } else { (STEPS + bucket % STEPS + 1) << (bucket / STEPS - 1) }
}

impl Histogram {
    pub(super) fn record(&mut self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket(ns)) {
            *count += 1;
        }
        self.total += 1;
        self.sum = self.sum.saturating_add(ns);
        self.max = self.max.max(ns);
    }

    #[cfg_attr(not(test), allow(dead_code, reason = "the peers and the tests use it"))]
    pub(super) fn merge(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
        self.total += other.total;
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    pub(super) fn count(&self) -> u64 {
        self.total
    }

    /// The mean in milliseconds, exact; zero where nothing was counted.
    pub(super) fn mean_ms(&self) -> f64 {
        self.sum as f64 / self.total.max(1) as f64 / 1e6
    }

    /// Milliseconds below which `per_mille` of 1,000 stay; zero where nothing was counted.
    pub(super) fn ms(&self, per_mille: u64) -> f64 {
        let wanted = (self.total * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (n, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_edge(n as u64).min(self.max) as f64 / 1e6;
            }
        }
        self.max as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_two_percent() {
        let mut all = Histogram::default();
        let mut other = Histogram::default();
        for us in 1..=10_000u64 {
            if us % 2 == 0 { &mut all } else { &mut other }.record(Duration::from_micros(us));
        }
        all.merge(&other);
        assert_eq!(all.count(), 10_000);
        for (per_mille, ms) in [(1, 0.01), (500, 5.0), (990, 9.9), (999, 9.99), (1000, 10.0)] {
            let found = all.ms(per_mille);
            assert!((found / ms - 1.0).abs() < 0.02, "{per_mille}: {found} for {ms}");
        }
        assert_eq!(Histogram::default().ms(500), 0.0);
    }

    #[test]
    fn no_duration_is_too_long_or_too_short() {
        let mut all = Histogram::default();
        for ns in [0, 1, 63, 64, 65, u64::MAX] {
            all.record(Duration::from_nanos(ns));
        }
        assert_eq!(all.count(), 6);
        assert!((0..u64::from(u32::MAX)).step_by(9_999_991).all(|ns| upper_edge(bucket(ns) as u64) >= ns));
    }
}
