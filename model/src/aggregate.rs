//! Aggregates over a window: count, sum, min, max, last. All five merge by addition only, so nothing is ever retracted.

use std::sync::Arc;

use crate::bound::Roster;
use crate::cells::Rows;
use crate::time::{LogicalTime, Timestamp};
use crate::window::Window;

/// The aggregate of one series over one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Aggregate {
    /// Samples, at least 1.
    pub count: u64,
    pub sum: f64,
    pub min: f64,
    pub max: f64,
    /// Value at the greatest event time.
    pub last: f64,
    pub last_time: Timestamp,
}

impl Aggregate {
    pub fn of(value: f64, time: Timestamp) -> Self {
        Self { count: 1, sum: value, min: value, max: value, last: value, last_time: time }
    }

    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        // Only events can share a time: of those the one merged later, which arrived later, is the last.
        if other.last_time >= self.last_time {
            (self.last, self.last_time) = (other.last, other.last_time);
        }
    }

    pub fn mean(&self) -> f64 {
        // Counts stay far below 2^53.
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let count = self.count as f64;
        self.sum / count
    }
}

/// Aggregates of one machine over one window, one row per series that has samples in it.
///
/// A later revision of the same window repeats whole rows; the row with the higher `(revision, is_final)` wins (W-2).
#[derive(Debug, Clone)]
pub struct Aggregates {
    pub roster: Arc<Roster>,
    pub window: Window,
    /// T of the newest batch merged.
    pub revision: LogicalTime,
    /// The watermark has passed the window's end: it changes only by corrections from here on.
    pub is_final: bool,
    pub rows: Rows,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// W-4: the order of arrival does not matter (sums here are exact: small integers).
        #[test]
        fn merging_in_any_order_gives_the_same(mut samples in prop::collection::btree_map(0i64..1000, -100i32..100, 1..40), cut in 0usize..40) {
            let all: Vec<Aggregate> = samples.iter().map(|(t, v)| Aggregate::of(f64::from(*v), Timestamp::from_micros(*t))).collect();
            let fold = |items: &mut dyn Iterator<Item = &Aggregate>| {
                let mut total = *items.next().unwrap();
                items.for_each(|a| total.merge(a));
                total
            };
            let cut = cut % all.len();
            let forward = fold(&mut all.iter());
            prop_assert_eq!(forward, fold(&mut all.iter().rev()));
            prop_assert_eq!(forward, fold(&mut all[cut..].iter().chain(&all[..cut])));
            let newest = f64::from(samples.pop_last().unwrap().1);
            prop_assert!((forward.last - newest).abs() < f64::EPSILON);
        }
    }
}
