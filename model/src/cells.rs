//! Cells: the aggregates of one machine over one window, one per slot, in 40 bytes each; and rows, what is published of them.
//!
//! A cell lies in one piece, so that a late sample touches one cache line and a frame walks straight through memory. Publishing shares
//! the cells instead of copying them: whoever changes them afterwards makes a copy first.

use std::sync::Arc;

use crate::aggregate::Aggregate;
use crate::ids::Slot;
use crate::time::Timestamp;

/// An accumulator; without samples its count is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cell {
    sum: f64,
    min: f64,
    max: f64,
    last: f64,
    count: u32,
    /// Event time of `last`, in microseconds since the window's start: an hour has fewer than 2^32.
    last_us: u32,
}

const EMPTY: Cell = Cell { sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, last: 0.0, count: 0, last_us: 0 };

impl Cell {
    /// Adds a sample that is newer than all before it.
    #[inline]
    fn add_newest(&mut self, value: f64, us: u32) {
        // A series has one sample a microsecond at most, so an hour of them fits.
        self.count += 1;
        self.sum += value;
        self.min = if value < self.min { value } else { self.min };
        self.max = if value > self.max { value } else { self.max };
        (self.last, self.last_us) = (value, us);
    }

    fn add(&mut self, value: f64, us: u32) {
        let (last, last_us) = (self.last, self.last_us);
        // Events may share a time, so there is no end to them.
        let count = self.count.saturating_add(1);
        let is_last = self.count == 0 || us >= last_us;
        self.add_newest(value, us);
        self.count = count;
        // Of events that share a time, the later arrival is the last.
        if !is_last {
            (self.last, self.last_us) = (last, last_us);
        }
    }
}

/// The cells of one window by slot. Times given must lie in the window.
#[derive(Debug, Clone, Default)]
pub struct Cells {
    start: i64,
    cells: Vec<Cell>,
    /// Newest event time in any cell.
    newest: i64,
}

impl Cells {
    /// Cells of a window that starts at `start`.
    pub fn new(start: Timestamp, width: usize) -> Self {
        Self { start: start.micros(), cells: vec![EMPTY; width], newest: i64::MIN }
    }

    /// Empties every cell for a window that starts at `start`, and keeps the memory.
    pub fn reset(&mut self, start: Timestamp) {
        self.cells.fill(EMPTY);
        (self.start, self.newest) = (start.micros(), i64::MIN);
    }

    pub fn width(&self) -> usize {
        self.cells.len()
    }

    /// Makes room for slots below `width`.
    pub fn widen(&mut self, width: usize) {
        if self.cells.len() < width {
            self.cells.resize(width, EMPTY);
        }
    }

    /// Reads a word of every cache line, so that the memory is near when the cells are changed.
    pub fn touch(&self) -> u64 {
        self.cells.iter().fold(0, |read, cell| read ^ cell.sum.to_bits())
    }

    fn offset(&self, micros: i64) -> u32 {
        u32::try_from(micros - self.start).unwrap_or(0)
    }

    /// Adds one sample. The slot must be below the width, the sample not added before.
    pub fn add(&mut self, slot: Slot, value: f64, time: Timestamp) {
        let us = self.offset(time.micros());
        self.cells[slot.index()].add(value, us);
        self.newest = self.newest.max(time.micros());
    }

    /// Adds one sample for each of the slots 0, 1, 2, ...
    pub fn add_dense(&mut self, values: &[f64], time: Timestamp) {
        let (us, is_newest) = self.meet(time);
        let cells = self.cells.iter_mut().zip(values);
        if is_newest {
            cells.for_each(|(cell, value)| cell.add_newest(*value, us));
        } else {
            cells.for_each(|(cell, value)| cell.add(*value, us));
        }
    }

    /// Adds samples of one time, each of its own slot. Faster where that time is the newest, since then each is its series' last.
    pub fn add_frame<'a>(&mut self, samples: impl Iterator<Item = (usize, &'a f64)>, time: Timestamp) {
        let (us, is_newest) = self.meet(time);
        let cells = self.cells.as_mut_slice();
        if is_newest {
            samples.for_each(|(slot, value)| cells[slot].add_newest(*value, us));
        } else {
            samples.for_each(|(slot, value)| cells[slot].add(*value, us));
        }
    }

    /// Notes a time; whether it is newer than all before it.
    fn meet(&mut self, time: Timestamp) -> (u32, bool) {
        let is_newest = time.micros() > self.newest;
        self.newest = self.newest.max(time.micros());
        (self.offset(time.micros()), is_newest)
    }

    /// Merges an aggregate of other samples.
    pub fn merge(&mut self, slot: Slot, other: &Aggregate) {
        let us = self.offset(other.last_time.micros());
        let cell = &mut self.cells[slot.index()];
        // `>=`, as in `add`: what is merged later arrived later.
        let is_last = cell.count == 0 || us >= cell.last_us;
        cell.count = cell.count.saturating_add(u32::try_from(other.count).unwrap_or(u32::MAX));
        cell.sum += other.sum;
        cell.min = cell.min.min(other.min);
        cell.max = cell.max.max(other.max);
        if is_last {
            (cell.last, cell.last_us) = (other.last, us);
        }
        self.newest = self.newest.max(other.last_time.micros());
    }

    pub fn get(&self, slot: Slot) -> Option<Aggregate> {
        self.cells.get(slot.index()).and_then(|cell| self.aggregate(cell))
    }

    #[inline]
    fn aggregate(&self, cell: &Cell) -> Option<Aggregate> {
        (cell.count > 0).then(|| Aggregate {
            count: u64::from(cell.count),
            sum: cell.sum,
            min: cell.min,
            max: cell.max,
            last: cell.last,
            last_time: Timestamp::from_micros(self.start + i64::from(cell.last_us)),
        })
    }

    /// Every cell that has samples, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, Aggregate)> {
        (0_u32..).zip(&self.cells).filter_map(|(slot, cell)| Some((Slot(slot), self.aggregate(cell)?)))
    }
}

/// What is published of a window: all of its cells, or some rows.
#[derive(Debug, Clone)]
pub enum Rows {
    All(Arc<Cells>),
    /// In slot order.
    Some(Box<[(Slot, Aggregate)]>),
}

impl Rows {
    /// In slot order.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, Aggregate)> {
        let (all, some) = match self {
            Self::All(cells) => (Some(cells.iter()), None),
            Self::Some(rows) => (None, Some(rows.iter().copied())),
        };
        all.into_iter().flatten().chain(some.into_iter().flatten())
    }

    /// As `iter`, faster: without a choice at each row.
    pub fn each(&self, mut read: impl FnMut(Slot, &Aggregate)) {
        match self {
            Self::All(cells) => cells.iter().for_each(|(slot, row)| read(slot, &row)),
            Self::Some(rows) => rows.iter().for_each(|(slot, row)| read(*slot, row)),
        }
    }

    /// Rows that `iter` gives.
    pub fn len(&self) -> usize {
        match self {
            Self::All(cells) => cells.cells.iter().filter(|cell| cell.count > 0).count(),
            Self::Some(rows) => rows.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        match self {
            Self::All(cells) => cells.newest == i64::MIN,
            Self::Some(rows) => rows.is_empty(),
        }
    }
}

impl FromIterator<(Slot, Aggregate)> for Rows {
    fn from_iter<I: IntoIterator<Item = (Slot, Aggregate)>>(rows: I) -> Self {
        Self::Some(rows.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(cells: &Cells) -> Vec<(Slot, Aggregate)> {
        cells.iter().collect()
    }

    proptest! {
        /// The fast ways give what adding one by one gives, and merging gives what adding gives.
        #[test]
        fn frames_equal_single_samples(frames in prop::collection::vec((0i64..50, prop::collection::vec(-1e3f64..1e3, 5)), 1..20)) {
            let new = || Cells::new(Timestamp::EPOCH, 5);
            let (mut dense, mut sparse, mut single, mut merged) = (new(), new(), new(), new());
            for (time, values) in frames {
                let time = Timestamp::from_micros(time);
                dense.add_dense(&values, time);
                sparse.add_frame(values.iter().enumerate(), time);
                let mut one = new();
                for (slot, value) in (0..).map(Slot).zip(&values) {
                    single.add(slot, *value, time);
                    one.add(slot, *value, time);
                }
                one.iter().for_each(|(slot, row)| merged.merge(slot, &row));
            }
            prop_assert_eq!(rows(&dense), rows(&single));
            prop_assert_eq!(rows(&sparse), rows(&single));
            let counts = |cells: &Cells| cells.iter().map(|(slot, row)| (slot, row.count, row.min.to_bits(), row.max.to_bits(), row.last_time)).collect::<Vec<_>>();
            prop_assert_eq!(counts(&merged), counts(&single));
        }
    }

    #[test]
    fn reset_cells_are_as_new() {
        let mut cells = Cells::new(Timestamp::EPOCH, 2);
        cells.add(Slot(1), -5.0, Timestamp::from_micros(9));
        cells.reset(Timestamp::from_micros(60));
        assert!(rows(&cells).is_empty() && Rows::All(Arc::new(cells.clone())).is_empty());
        cells.add_dense(&[1.0, 2.0], Timestamp::from_micros(63));
        assert_eq!(cells.get(Slot(1)), Some(Aggregate::of(2.0, Timestamp::from_micros(63))));
    }

    #[test]
    fn published_cells_stay_as_they_were() {
        let mut cells = Arc::new(Cells::new(Timestamp::EPOCH, 1));
        Arc::make_mut(&mut cells).add(Slot(0), 1.0, Timestamp::EPOCH);
        let published = Rows::All(Arc::clone(&cells));
        Arc::make_mut(&mut cells).add(Slot(0), 2.0, Timestamp::from_micros(1));
        assert_eq!(published.iter().map(|(_, row)| row.count).collect::<Vec<_>>(), [1]);
        assert_eq!((published.len(), cells.get(Slot(0)).unwrap().count), (1, 2));
    }
}
