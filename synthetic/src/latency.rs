//! Latency: how long things took, as a histogram of three significant digits from 1 us to 60 s.
//!
//! Coordinated omission: a sender that waits for a slow hub sends less while it is slow, and so measures least when it matters most. Here each
//! transaction is due at a moment that nobody's slowness moves, and is counted from that moment, whenever it was really sent.

use hdrhistogram::Histogram;
use serde::Serialize;

/// What is longer is counted as this, and beside it.
pub const LONGEST_US: u64 = 60_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// Points of the curve "latency by percentile": this many for each halving of what is still above.
const CURVE_STEPS: u32 = 4;

#[derive(Debug, Clone)]
pub struct Latencies {
    histogram: Histogram<u64>,
    beyond: u64,
}

/// The figures that reports tell, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Summary {
    pub count: u64,
    pub mean_us: f64,
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub max_us: u64,
    /// Of these, how many took longer than can be told apart.
    pub beyond_60_s: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, SIGNIFICANT_DIGITS);
        Self { histogram: histogram.expect("the bounds are constants that the library takes"), beyond: 0 }
    }
}

impl Latencies {
    /// Less than a microsecond counts as one.
    pub fn record(&mut self, us: u64) {
        self.beyond += u64::from(LONGEST_US < us);
        self.histogram.saturating_record(us.clamp(1, LONGEST_US));
    }

    /// Notes a transaction that was due at `due_us` and done at `done_us`, both by one monotonic clock.
    pub fn record_since(&mut self, due_us: u64, done_us: u64) {
        self.record(done_us.saturating_sub(due_us));
    }

    pub fn add(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("all histograms here have the same bounds");
        self.beyond += other.beyond;
    }

    pub fn clear(&mut self) {
        self.histogram.reset();
        self.beyond = 0;
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// 0 where nothing was recorded.
    #[must_use]
    pub fn percentile_us(&self, percent: f64) -> u64 {
        if self.histogram.is_empty() { 0 } else { self.histogram.value_at_percentile(percent).min(LONGEST_US) }
    }

    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            count: self.count(),
            mean_us: self.histogram.mean(),
            p50_us: self.percentile_us(50.0),
            p90_us: self.percentile_us(90.0),
            p99_us: self.percentile_us(99.0),
            p999_us: self.percentile_us(99.9),
            max_us: self.percentile_us(100.0),
            beyond_60_s: self.beyond,
        }
    }

    /// How many took at most each of `bounds_us`, to the histogram's three digits.
    #[must_use]
    pub fn cumulative(&self, bounds_us: &[u64]) -> Vec<u64> {
        bounds_us.iter().map(|bound| self.histogram.count_between(0, *bound)).collect()
    }

    /// Percentile in percent and latency in microseconds, ever finer towards 100.
    #[must_use]
    pub fn curve(&self) -> Vec<(f64, u64)> {
        let steps = self.histogram.iter_quantiles(CURVE_STEPS);
        steps.map(|step| (step.quantile_iterated_to() * 100.0, step.value_iterated_to().min(LONGEST_US))).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stall_is_told_by_the_schedule_and_hidden_by_the_sender() {
        // One transaction a millisecond, each done at once, but for a stall of a second in the middle.
        let (mut corrected, mut naive) = (Latencies::default(), Latencies::default());
        let mut free_us = 0;
        for n in 0..10_000_u64 {
            let due_us = n * 1_000;
            let sent_us = due_us.max(free_us);
            let done_us = sent_us + if n == 5_000 { 1_000_000 } else { 10 };
            free_us = done_us;
            corrected.record_since(due_us, done_us);
            naive.record_since(sent_us, done_us);
        }
        // The thousand that were due in the stall waited, on average half of it.
        assert_eq!(naive.percentile_us(99.0), 10);
        let p95 = corrected.percentile_us(95.0);
        assert!((450_000..550_000).contains(&p95), "{p95}");
        assert_eq!(naive.summary().max_us / 1_000, corrected.summary().max_us / 1_000);
    }

    #[test]
    fn what_is_longer_than_a_minute_is_kept_as_a_minute_and_counted() {
        let mut latencies = Latencies::default();
        latencies.record(61_000_000);
        latencies.record(0);
        let summary = latencies.summary();
        assert_eq!((summary.count, summary.max_us, summary.beyond_60_s, summary.p50_us), (2, LONGEST_US, 1, 1));
        latencies.clear();
        assert_eq!(latencies.summary(), Summary::default());
    }

    proptest! {
        #[test]
        fn each_percentile_is_within_a_thousandth_of_the_sorted_list(
            mut values in prop::collection::vec(1_u64..LONGEST_US, 1..400),
            percent in 1_u32..100,
        ) {
            let mut latencies = Latencies::default();
            values.iter().for_each(|us| latencies.record(*us));
            values.sort_unstable();
            let rank = (values.len() * percent as usize).div_ceil(100).max(1) - 1;
            // A rank that is a whole number may be off by one: percentiles are floating-point numbers.
            let low = values[rank.saturating_sub(1)] as f64;
            let high = values[(rank + 1).min(values.len() - 1)] as f64;
            let told = latencies.percentile_us(f64::from(percent)) as f64;
            prop_assert!(low <= told && told <= high * 1.001 + 1.0, "{told} of {low} to {high}");
            prop_assert_eq!(latencies.cumulative(&[LONGEST_US]), vec![values.len() as u64]);
        }

        #[test]
        fn two_halves_added_are_the_whole(values in prop::collection::vec(1_u64..70_000_000, 2..100)) {
            let (mut whole, mut left, mut right) = (Latencies::default(), Latencies::default(), Latencies::default());
            for (index, us) in values.iter().enumerate() {
                whole.record(*us);
                if index % 2 == 0 { left.record(*us) } else { right.record(*us) }
            }
            left.add(&right);
            prop_assert_eq!(left.summary(), whole.summary());
        }
    }
}
