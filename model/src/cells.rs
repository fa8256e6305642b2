//! Cells: the aggregates of one machine over one window, one per slot, in 40 bytes each; and rows, what is published of them.
//!
//! A cell lies in one piece, so that a late sample touches one cache line and a frame walks straight through memory. Publishing shares
//! the cells instead of copying them: whoever changes them afterwards makes a copy first.

use std::iter::repeat_n;
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

    fn merge(&mut self, other: &Self) {
        // `>=`, as in `add`: what is merged later arrived later.
        let is_last = self.count == 0 || other.last_us >= self.last_us;
        self.count = self.count.saturating_add(other.count);
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        if is_last {
            (self.last, self.last_us) = (other.last, other.last_us);
        }
    }
}

/// The cells of one window by slot. Times given must lie in the window. A clone shares the memory until one of the two changes.
#[derive(Debug, Clone)]
pub struct Cells {
    start: i64,
    /// Newest event time in any cell.
    newest: i64,
    cells: Arc<[Cell]>,
}

impl Cells {
    /// Cells of a window that starts at `start`.
    pub fn new(start: Timestamp, width: usize) -> Self {
        Self { start: start.micros(), newest: i64::MIN, cells: repeat_n(EMPTY, width).collect() }
    }

    /// Start of the window, in microseconds since the epoch.
    pub fn start(&self) -> i64 {
        self.start
    }

    pub fn width(&self) -> usize {
        self.cells.len()
    }

    /// Makes room for slots below `width`.
    pub fn widen(&mut self, width: usize) {
        if self.cells.len() < width {
            let more = width - self.cells.len();
            self.cells = self.cells.iter().copied().chain(repeat_n(EMPTY, more)).collect();
        }
    }

    /// Reads a word of nearly every cache line, so that the memory is near when the cells are changed.
    pub fn touch(&self) -> u64 {
        self.cells.iter().step_by(2).fold(0, |read, cell| read ^ cell.sum.to_bits())
    }

    fn offset(&self, micros: i64) -> u32 {
        u32::try_from(micros - self.start).unwrap_or(0)
    }

    /// Adds one sample. The slot must be below the width, the sample not added before.
    pub fn add(&mut self, slot: Slot, value: f64, time: Timestamp) {
        let us = self.offset(time.micros());
        Arc::make_mut(&mut self.cells)[slot.index()].add(value, us);
        self.newest = self.newest.max(time.micros());
    }

    /// Adds one sample for each of the slots 0, 1, 2, ...
    pub fn add_dense(&mut self, values: &[f64], time: Timestamp) {
        let (us, is_newest) = self.meet(time);
        let cells = Arc::make_mut(&mut self.cells).iter_mut().zip(values);
        if is_newest {
            cells.for_each(|(cell, value)| cell.add_newest(*value, us));
        } else {
            cells.for_each(|(cell, value)| cell.add(*value, us));
        }
    }

    /// Adds samples of one time, each of its own slot. Faster where that time is the newest, since then each is its series' last.
    pub fn add_frame<'a>(&mut self, samples: impl Iterator<Item = (usize, &'a f64)>, time: Timestamp) {
        let (us, is_newest) = self.meet(time);
        let cells = Arc::make_mut(&mut self.cells);
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

    /// Merges aggregates of other samples, whose slots are below the width.
    pub fn merge(&mut self, rows: &Rows) {
        let start = self.start;
        let offset = |micros: i64| u32::try_from(micros - start).unwrap_or(0);
        let cells = Arc::make_mut(&mut self.cells);
        match rows {
            Rows::All(other) => {
                for (cell, other_cell) in cells.iter_mut().zip(other.cells.iter()).filter(|(_, other)| other.count > 0)
                {
                    let last_us = offset(other.start + i64::from(other_cell.last_us));
                    cell.merge(&Cell { last_us, ..*other_cell });
                }
                self.newest = self.newest.max(other.newest);
            }
            Rows::Some(list) => {
                for (slot, row) in list {
                    let count = u32::try_from(row.count).unwrap_or(u32::MAX);
                    let last_us = offset(row.last_time.micros());
                    let Aggregate { sum, min, max, last, .. } = *row;
                    cells[slot.index()].merge(&Cell { sum, min, max, last, count, last_us });
                    self.newest = self.newest.max(row.last_time.micros());
                }
            }
        }
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
        (0_u32..).zip(self.cells.iter()).filter_map(|(slot, cell)| Some((Slot(slot), self.aggregate(cell)?)))
    }
}

/// What is published of a window: all of its cells, or some rows.
#[derive(Debug, Clone)]
pub enum Rows {
    All(Cells),
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
                // Both kinds of rows.
                let is_even = time.micros() % 2 == 0;
                merged.merge(&if is_even { Rows::All(one) } else { one.iter().collect() });
            }
            prop_assert_eq!(rows(&dense), rows(&single));
            prop_assert_eq!(rows(&sparse), rows(&single));
            let counts = |cells: &Cells| cells.iter().map(|(slot, row)| (slot, row.count, row.min.to_bits(), row.max.to_bits(), row.last_time)).collect::<Vec<_>>();
            prop_assert_eq!(counts(&merged), counts(&single));
        }
    }

    #[test]
    fn published_cells_stay_as_they_were() {
        let mut cells = Cells::new(Timestamp::EPOCH, 1);
        cells.add(Slot(0), 1.0, Timestamp::EPOCH);
        let published = Rows::All(cells.clone());
        cells.add(Slot(0), 2.0, Timestamp::from_micros(1));
        assert_eq!(published.iter().map(|(_, row)| row.count).collect::<Vec<_>>(), [1]);
        assert_eq!((published.len(), cells.get(Slot(0)).unwrap().count), (1, 2));
    }
}
