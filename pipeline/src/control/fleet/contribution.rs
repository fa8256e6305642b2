//! A contribution: what one machine adds to the fleet in one minute, as one record with a cell per metric.
//!
//! One record instead of one per metric is what makes the fleet cheap in differential (ADR 0012). Sums are fixed-point, so that any order
//! of adding gives the same bits.

use std::cmp::Ordering;
use std::ops::Deref;
use std::sync::Arc;

use model::MachineId;
use serde::{Deserialize, Serialize};

/// A value that can be sorted and compared, in the order of the numbers.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Real(pub(super) f64);

impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Real {}
impl PartialOrd for Real {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Real {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// A sum in units of 2^-50. Addition has no order; 2^17 summands of the largest size fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Sum(i128);

impl Sum {
    const SCALE: f64 = 1_125_899_906_842_624.0;
    /// 10^18 in base units: beyond it a machine's sum counts as this much.
    const MAX: i128 = 1 << 110;

    pub(super) fn of(value: f64) -> Self {
        // The cast saturates and makes nothing of NaN, which a sum that overflowed both ways is.
        #[expect(clippy::cast_possible_truncation, reason = "what lies beyond is cut off on purpose")]
        let units = (value * Self::SCALE).round() as i128;
        Self(units).bounded()
    }

    pub(super) fn add(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }

    /// Cut to what a machine may add.
    pub(super) fn bounded(self) -> Self {
        Self(self.0.clamp(-Self::MAX, Self::MAX))
    }

    pub(super) fn value(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "the nearest f64 is what is wanted")]
        let units = self.0 as f64;
        units / Self::SCALE
    }
}

/// What all series of one metric of a machine add up to in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Cell {
    /// Samples; 0 where there were none in this minute.
    pub(super) count: u64,
    pub(super) sum: Sum,
    pub(super) min: Real,
    pub(super) max: Real,
    /// The mean of the hottest series.
    pub(super) value: Real,
}

impl Cell {
    pub(super) const EMPTY: Self = Self {
        count: 0,
        sum: Sum(0),
        min: Real(f64::INFINITY),
        max: Real(f64::NEG_INFINITY),
        value: Real(f64::NEG_INFINITY),
    };
}

/// A metric that cells are about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Column {
    pub(super) metric: Arc<str>,
    /// In the catalogue; others are limited in number.
    pub(super) is_listed: bool,
}

/// The metrics of a machine's cells; machines with the same ones share them.
pub(super) type Columns = Arc<[Column]>;

/// One machine's cells for one minute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Contribution {
    // First, so that a minute's contributions come in the order of their machines.
    pub(super) machine: MachineId,
    /// Start, in microseconds of event time.
    pub(super) minute: i64,
    pub(super) columns: Columns,
    /// One per column.
    pub(super) cells: Vec<Cell>,
}

/// A contribution as differential holds it: by pointer, compared by pointer first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Shared(pub(super) Arc<Contribution>);

impl Deref for Shared {
    type Target = Contribution;
    fn deref(&self) -> &Contribution {
        &self.0
    }
}
impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Shared {}
impl PartialOrd for Shared {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Shared {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// F-1: whatever the order, the same bits.
        #[test]
        fn a_sum_has_no_order(values in prop::collection::vec(any::<f64>(), 0..60)) {
            let add = |values: &mut dyn Iterator<Item = &f64>| {
                let mut sum = Sum::default();
                values.for_each(|value| sum.add(Sum::of(*value)));
                sum
            };
            prop_assert_eq!(add(&mut values.iter()), add(&mut values.iter().rev()));
        }

        #[test]
        fn a_sum_of_ordinary_values_is_as_good_as_their_own(values in prop::collection::vec(-1e9..1e9, 1..60)) {
            let mut sum = Sum::default();
            values.iter().for_each(|value| sum.add(Sum::of(*value)));
            let plain: f64 = values.iter().sum();
            prop_assert!((sum.value() - plain).abs() <= 1e-4, "{} and {plain}", sum.value());
        }
    }

    #[test]
    fn what_no_sum_can_hold_is_cut_off() {
        assert_eq!(Sum::of(f64::NAN), Sum::default());
        assert_eq!(Sum::of(f64::MAX), Sum::of(f64::INFINITY));
        assert!(Sum::of(f64::MAX).value() > 1e18 && Sum::of(f64::MIN).value() < -1e18);
    }
}
