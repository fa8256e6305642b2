//! Cells: the aggregates of one machine over one window, column-wise by slot.
//!
//! A dense frame (value i belongs to slot i) is merged by whole columns, which the compiler vectorizes; anything else goes cell by cell.

use model::{Aggregate, Slot, Timestamp};

const NEVER: i64 = i64::MIN;

/// One accumulator per slot. A slot without samples has count 0.
#[derive(Debug, Default)]
pub struct Cells {
    count: Vec<u32>,
    sum: Vec<f64>,
    min: Vec<f64>,
    max: Vec<f64>,
    last: Vec<f64>,
    last_time: Vec<i64>,
    /// Newest event time in any cell.
    newest: i64,
}

impl Cells {
    pub fn new(width: usize) -> Self {
        let mut cells = Self { newest: NEVER, ..Self::default() };
        cells.widen(width);
        cells
    }

    pub fn width(&self) -> usize {
        self.count.len()
    }

    /// Makes room for slots below `width`.
    pub fn widen(&mut self, width: usize) {
        if self.count.len() < width {
            self.count.resize(width, 0);
            self.sum.resize(width, 0.0);
            self.min.resize(width, f64::INFINITY);
            self.max.resize(width, f64::NEG_INFINITY);
            self.last.resize(width, 0.0);
            self.last_time.resize(width, NEVER);
        }
    }

    /// Empties every cell and keeps the memory.
    pub fn clear(&mut self) {
        self.count.fill(0);
        self.sum.fill(0.0);
        self.min.fill(f64::INFINITY);
        self.max.fill(f64::NEG_INFINITY);
        self.last_time.fill(NEVER);
        self.newest = NEVER;
    }

    /// Adds one sample. The slot must be below the width, the sample not added before.
    pub fn add(&mut self, slot: Slot, value: f64, time: Timestamp) {
        let (i, time) = (slot.index(), time.micros());
        self.count[i] = self.count[i].saturating_add(1);
        self.sum[i] += value;
        self.min[i] = self.min[i].min(value);
        self.max[i] = self.max[i].max(value);
        // `>=`: of events that share a time, the later arrival is the last.
        if time >= self.last_time[i] {
            (self.last[i], self.last_time[i]) = (value, time);
        }
        self.newest = self.newest.max(time);
    }

    /// Adds samples of one time. Faster where that time is the newest, since then each is its series' last.
    pub fn add_newest<'a>(&mut self, samples: impl Iterator<Item = (Slot, &'a f64)>, time: Timestamp) {
        let micros = time.micros();
        if micros <= self.newest {
            samples.for_each(|(slot, value)| self.add(slot, *value, time));
            return;
        }
        self.newest = micros;
        for (slot, value) in samples {
            let i = slot.index();
            self.count[i] = self.count[i].saturating_add(1);
            self.sum[i] += value;
            self.min[i] = if *value < self.min[i] { *value } else { self.min[i] };
            self.max[i] = if *value > self.max[i] { *value } else { self.max[i] };
            (self.last[i], self.last_time[i]) = (*value, micros);
        }
    }

    /// Adds one sample for each of the slots 0, 1, 2, ...
    pub fn add_dense(&mut self, values: &[f64], time: Timestamp) {
        let micros = time.micros();
        if micros <= self.newest {
            for (slot, value) in (0_u32..).zip(values) {
                self.add(Slot(slot), *value, time);
            }
            return;
        }
        self.newest = micros;
        let n = values.len();
        self.count[..n].iter_mut().for_each(|count| *count = count.saturating_add(1));
        // Plain comparisons over equal lengths: each becomes one vector instruction.
        let rows = self.sum.iter_mut().zip(&mut self.min).zip(&mut self.max).zip(values);
        for (((sum, min), max), value) in rows {
            *sum += value;
            *min = if value < min { *value } else { *min };
            *max = if value > max { *value } else { *max };
        }
        self.last[..n].copy_from_slice(values);
        self.last_time[..n].fill(micros);
    }

    /// Merges an aggregate of other samples.
    pub fn merge(&mut self, slot: Slot, other: &Aggregate) {
        let i = slot.index();
        self.count[i] = self.count[i].saturating_add(u32::try_from(other.count).unwrap_or(u32::MAX));
        self.sum[i] += other.sum;
        self.min[i] = self.min[i].min(other.min);
        self.max[i] = self.max[i].max(other.max);
        let time = other.last_time.micros();
        if time > self.last_time[i] {
            (self.last[i], self.last_time[i]) = (other.last, time);
        }
        self.newest = self.newest.max(time);
    }

    pub fn get(&self, slot: Slot) -> Option<Aggregate> {
        let i = slot.index();
        (*self.count.get(i)? > 0).then(|| Aggregate {
            count: u64::from(self.count[i]),
            sum: self.sum[i],
            min: self.min[i],
            max: self.max[i],
            last: self.last[i],
            last_time: Timestamp::from_micros(self.last_time[i]),
        })
    }

    /// Every cell that has samples, in slot order.
    pub fn rows(&self) -> Vec<(Slot, Aggregate)> {
        let mut rows = Vec::with_capacity(self.width());
        rows.extend((0_u32..).take(self.width()).filter_map(|i| Some((Slot(i), self.get(Slot(i))?))));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The fast path by columns gives what adding one by one gives.
        #[test]
        fn frames_equal_single_samples(frames in prop::collection::vec((0i64..50, prop::collection::vec(-1e3f64..1e3, 5)), 1..20)) {
            let (mut dense, mut sparse, mut single) = (Cells::new(5), Cells::new(5), Cells::new(5));
            for (time, values) in frames {
                let time = Timestamp::from_micros(time);
                dense.add_dense(&values, time);
                sparse.add_newest((0..).map(Slot).zip(&values), time);
                for (slot, value) in (0..).zip(&values) {
                    single.add(Slot(slot), *value, time);
                }
            }
            prop_assert_eq!(dense.rows(), single.rows());
            prop_assert_eq!(sparse.rows(), single.rows());
        }
    }

    #[test]
    fn a_cleared_cell_is_as_new() {
        let mut cells = Cells::new(2);
        cells.add(Slot(1), -5.0, Timestamp::from_micros(9));
        cells.clear();
        assert!(cells.rows().is_empty());
        cells.add_dense(&[1.0, 2.0], Timestamp::from_micros(3));
        assert_eq!(cells.get(Slot(1)), Some(Aggregate::of(2.0, Timestamp::from_micros(3))));
    }
}
