//! Cells: the aggregates of one machine over one window, one per slot, in 40 bytes each; and rows, what is published of them.
//!
//! Four cells lie together column by column: a late sample touches three cache lines at most, a frame walks straight through memory and
//! adds two or four values with one instruction. Publishing shares the cells instead of copying them: whoever changes them afterwards makes a copy first.

use std::iter::repeat_n;
use std::sync::Arc;

use crate::aggregate::Aggregate;
use crate::bound::Stretch;
use crate::ids::Slot;
use crate::time::Timestamp;

/// Cells of a block.
const BLOCK: usize = 4;

/// Accumulators of four slots; without samples a count is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Block {
    sum: [f64; BLOCK],
    min: [f64; BLOCK],
    max: [f64; BLOCK],
    last: [f64; BLOCK],
    count: [u32; BLOCK],
    /// Event time of `last`, in microseconds since the window's start: an hour has fewer than 2^32.
    last_us: [u32; BLOCK],
}

/// Without samples.
const EMPTY: Block = Block {
    sum: [0.0; BLOCK],
    min: [f64::INFINITY; BLOCK],
    max: [f64::NEG_INFINITY; BLOCK],
    last: [0.0; BLOCK],
    count: [0; BLOCK],
    last_us: [0; BLOCK],
};

impl Block {
    /// Adds a sample to each cell that is newer than all before it.
    #[inline]
    fn add_all(&mut self, values: &[f64; BLOCK], us: u32) {
        for (at, value) in values.iter().enumerate() {
            self.add_newest(at, *value, us);
        }
    }

    /// Adds a sample that is newer than all before it.
    #[inline]
    fn add_newest(&mut self, at: usize, value: f64, us: u32) {
        let at = at % BLOCK;
        // A series has one sample a microsecond at most, so an hour of them fits.
        self.count[at] = self.count[at].wrapping_add(1);
        self.take(at, (value, value, value));
        (self.last[at], self.last_us[at]) = (value, us);
    }

    /// Adds to the sum, and widens the range.
    #[inline]
    fn take(&mut self, at: usize, (sum, min, max): (f64, f64, f64)) {
        self.sum[at] += sum;
        self.min[at] = if min < self.min[at] { min } else { self.min[at] };
        self.max[at] = if max > self.max[at] { max } else { self.max[at] };
    }

    fn add(&mut self, at: usize, value: f64, us: u32) {
        let at = at % BLOCK;
        // Events may share a time, so there is no end to them.
        self.count[at] = self.count[at].saturating_add(1);
        self.take(at, (value, value, value));
        // Of events that share a time, the later arrival is the last. Without samples the time is 0.
        if us >= self.last_us[at] {
            (self.last[at], self.last_us[at]) = (value, us);
        }
    }

    /// Adds the samples of another block, whose times count from `later_us` after this one's.
    #[inline]
    fn merge(&mut self, other: &Self, later_us: u32) {
        for at in 0..BLOCK {
            let us = other.last_us[at].wrapping_add(later_us);
            // `>=`, as in `add`: what is merged later arrived later.
            let is_last = (other.count[at] > 0) & (us >= self.last_us[at]);
            self.count[at] = self.count[at].saturating_add(other.count[at]);
            self.take(at, (other.sum[at], other.min[at], other.max[at]));
            self.last[at] = if is_last { other.last[at] } else { self.last[at] };
            self.last_us[at] = if is_last { us } else { self.last_us[at] };
        }
    }
}

/// The cells of one window by slot. Times given must lie in the window. A clone shares the memory until one of the two changes.
#[derive(Debug, Clone)]
pub struct Cells {
    start: i64,
    /// Newest event time in any cell.
    newest: i64,
    width: usize,
    blocks: Arc<[Block]>,
}

impl Cells {
    /// Cells of a window that starts at `start`.
    pub fn new(start: Timestamp, width: usize) -> Self {
        let blocks = repeat_n(EMPTY, width.div_ceil(BLOCK)).collect();
        Self { start: start.micros(), newest: i64::MIN, width, blocks }
    }

    /// Start of the window, in microseconds since the epoch.
    pub fn start(&self) -> i64 {
        self.start
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Makes room for slots below `width`.
    #[inline]
    pub fn widen(&mut self, width: usize) {
        if self.width < width {
            self.make_room(width);
        }
    }

    fn make_room(&mut self, width: usize) {
        self.width = width;
        let more = self.width.div_ceil(BLOCK) - self.blocks.len();
        if more > 0 {
            self.blocks = self.blocks.iter().copied().chain(repeat_n(EMPTY, more)).collect();
        }
    }

    /// Reads a word of every cache line, so that the memory is near when the cells are changed.
    pub fn touch(&self) -> u64 {
        let lines = |block: &Block| block.sum[0].to_bits() ^ block.max[0].to_bits() ^ u64::from(block.count[0]);
        self.blocks.iter().fold(0, |read, block| read ^ lines(block))
    }

    fn offset(&self, micros: i64) -> u32 {
        u32::try_from(micros - self.start).unwrap_or(0)
    }

    /// Adds one sample. The slot must be below the width, the sample not added before.
    pub fn add(&mut self, slot: Slot, value: f64, time: Timestamp) {
        let (us, slot) = (self.offset(time.micros()), slot.index());
        Arc::make_mut(&mut self.blocks)[slot / BLOCK].add(slot, value, us);
        self.newest = self.newest.max(time.micros());
    }

    /// Adds samples of one time, each of its own slot. Faster where that time is the newest, since then each is its series' last.
    pub fn add_frame<'a>(&mut self, stretches: impl Iterator<Item = Stretch<'a>>, time: Timestamp) {
        let is_newest = time.micros() > self.newest;
        self.newest = self.newest.max(time.micros());
        let us = self.offset(time.micros());
        let blocks = Arc::make_mut(&mut self.blocks);
        for Stretch { slot, values, .. } in stretches {
            if is_newest {
                add_newest(blocks, slot, values, us);
            } else {
                (slot..).zip(values).for_each(|(slot, value)| blocks[slot / BLOCK].add(slot, *value, us));
            }
        }
    }

    /// Merges aggregates of other samples, whose slots are below the width.
    pub fn merge(&mut self, rows: &Rows) {
        let start = self.start;
        let offset = |micros: i64| u32::try_from(micros - start).unwrap_or(0);
        let blocks = Arc::make_mut(&mut self.blocks);
        match rows {
            Rows::All(other) => {
                let later_us = offset(other.start);
                let pairs = blocks.iter_mut().zip(other.blocks.iter());
                pairs.for_each(|(block, other)| block.merge(other, later_us));
                self.newest = self.newest.max(other.newest);
            }
            Rows::Some(list) => {
                for (slot, row) in list {
                    let at = slot.index() % BLOCK;
                    let mut other = EMPTY;
                    other.count[at] = u32::try_from(row.count).unwrap_or(u32::MAX);
                    other.last_us[at] = offset(row.last_time.micros());
                    (other.sum[at], other.min[at], other.max[at], other.last[at]) =
                        (row.sum, row.min, row.max, row.last);
                    blocks[slot.index() / BLOCK].merge(&other, 0);
                    self.newest = self.newest.max(row.last_time.micros());
                }
            }
        }
    }

    pub fn get(&self, slot: Slot) -> Option<Aggregate> {
        let block = self.blocks.get(slot.index() / BLOCK)?;
        self.aggregate(block, slot.index() % BLOCK)
    }

    #[inline]
    fn aggregate(&self, block: &Block, at: usize) -> Option<Aggregate> {
        (block.count[at] > 0).then(|| Aggregate {
            count: u64::from(block.count[at]),
            sum: block.sum[at],
            min: block.min[at],
            max: block.max[at],
            last: block.last[at],
            last_time: Timestamp::from_micros(self.start + i64::from(block.last_us[at])),
        })
    }

    /// Every cell that has samples, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, Aggregate)> {
        let cells = self.blocks.iter().flat_map(move |block| (0..BLOCK).map(move |at| self.aggregate(block, at)));
        (0_u32..).zip(cells).filter_map(|(slot, cell)| Some((Slot(slot), cell?)))
    }

    /// Cells that have samples.
    fn filled(&self) -> usize {
        self.blocks.iter().map(|block| block.count.iter().filter(|count| **count > 0).count()).sum()
    }
}

/// Adds samples of slots that follow each other, newer than all before them: one by one up to the first block, then block by block.
#[inline]
fn add_newest(blocks: &mut [Block], slot: usize, values: &[f64], us: u32) {
    let (head, body) = values.split_at(values.len().min(slot.wrapping_neg() % BLOCK));
    for (slot, value) in (slot..).zip(head) {
        blocks[slot / BLOCK].add_newest(slot, *value, us);
    }
    let (fours, tail) = body.as_chunks::<BLOCK>();
    let blocks = &mut blocks[(slot + head.len()) / BLOCK..];
    blocks.iter_mut().zip(fours).for_each(|(block, four)| block.add_all(four, us));
    for (at, value) in tail.iter().enumerate() {
        blocks[fours.len()].add_newest(at, *value, us);
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

    /// The row of a slot.
    pub fn get(&self, slot: Slot) -> Option<Aggregate> {
        match self {
            Self::All(cells) => cells.get(slot),
            Self::Some(rows) => rows.binary_search_by_key(&slot, |(slot, _)| *slot).ok().map(|at| rows[at].1),
        }
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
            Self::All(cells) => cells.filled(),
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

    fn stretch(slot: usize, values: &[f64]) -> Stretch<'_> {
        Stretch { at: 0, slot, values }
    }

    proptest! {
        /// The fast ways give what adding one by one gives, and merging gives what adding gives.
        #[test]
        fn frames_equal_single_samples(frames in prop::collection::vec((0i64..50, 0..11usize, prop::collection::vec(-1e3f64..1e3, 11)), 1..20)) {
            let new = || Cells::new(Timestamp::EPOCH, 11);
            let (mut whole, mut cut, mut single, mut merged) = (new(), new(), new(), new());
            for (time, gap, values) in frames {
                let time = Timestamp::from_micros(time);
                whole.add_frame([stretch(0, &values)].into_iter(), time);
                cut.add_frame([stretch(0, &values[..gap]), stretch(gap, &values[gap..])].into_iter(), time);
                let mut one = new();
                for (slot, value) in (0..).map(Slot).zip(&values) {
                    single.add(slot, *value, time);
                    one.add(slot, *value, time);
                }
                // Both kinds of rows.
                let is_even = time.micros() % 2 == 0;
                merged.merge(&if is_even { Rows::All(one) } else { one.iter().collect() });
            }
            prop_assert_eq!(rows(&whole), rows(&single));
            prop_assert_eq!(rows(&cut), rows(&single));
            let counts = |cells: &Cells| cells.iter().map(|(slot, row)| (slot, row.count, row.min.to_bits(), row.max.to_bits(), row.last_time)).collect::<Vec<_>>();
            prop_assert_eq!(counts(&merged), counts(&single));
        }

        /// Slots that a frame leaves out stay as they were.
        #[test]
        fn a_stretch_touches_its_slots_alone(from in 0usize..13, length in 0usize..13) {
            let mut cells = Cells::new(Timestamp::EPOCH, 13);
            let values: Vec<f64> = (0..13_u32).map(f64::from).skip(from).take(length).collect();
            cells.add_frame([stretch(from, &values)].into_iter(), Timestamp::EPOCH);
            let found: Vec<(usize, f64)> = cells.iter().map(|(slot, row)| (slot.index(), row.sum)).collect();
            prop_assert_eq!(found, (from..).zip(values).collect::<Vec<_>>());
        }
    }

    #[test]
    fn wider_cells_keep_what_they_had() {
        let mut cells = Cells::new(Timestamp::EPOCH, 3);
        cells.add(Slot(2), 1.0, Timestamp::EPOCH);
        for width in [4, 2, 9] {
            cells.widen(width);
        }
        cells.add(Slot(8), 2.0, Timestamp::EPOCH);
        assert_eq!((cells.width(), rows(&cells).len(), cells.get(Slot(2)).unwrap().count), (9, 2, 1));
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
