//! A batch whose series are known: bound by `normalize` to the dense slots of its machine.

use std::sync::Arc;

use crate::batch::{Batch, Positions, Times};
use crate::ids::{MachineId, Slot};
use crate::series::SeriesKey;

/// A machine's series by slot, as known at one moment. A later roster of the machine extends it, never reorders it.
#[derive(Debug)]
pub struct Roster {
    pub machine: MachineId,
    /// Dense index of the machine on the worker that owns it: an array index, not an identity.
    pub index: u32,
    pub series: Box<[Arc<SeriesKey>]>,
}

impl Roster {
    pub fn key(&self, slot: Slot) -> &Arc<SeriesKey> {
        &self.series[slot.index()]
    }
}

/// From layout position to slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slots {
    /// Position i is slot i: the normal machine with one layout.
    Identity,
    Map(Box<[u32]>),
}

/// A layout's place in its machine's roster.
#[derive(Debug)]
pub struct BoundLayout {
    pub roster: Arc<Roster>,
    pub slots: Slots,
    /// The roster's, so that binding a batch does not wait for the roster's memory.
    index: u32,
    width: u32,
}

impl BoundLayout {
    pub fn new(roster: Arc<Roster>, slots: Slots) -> Self {
        // Slots are u32, so a roster has fewer series.
        let (index, width) = (roster.index, u32::try_from(roster.series.len()).unwrap_or(u32::MAX));
        Self { roster, slots, index, width }
    }

    /// Dense index of the machine on its worker.
    pub fn index(&self) -> u32 {
        self.index
    }
}

/// A normalized batch (base units, values in range) with its slots.
#[derive(Debug, Clone)]
pub struct Bound {
    pub batch: Arc<Batch>,
    pub layout: Arc<BoundLayout>,
    /// The layout's: every operator asks for them.
    index: u32,
    width: u32,
    shape: Shape,
    /// Bit i: slot i has a value; 0 unless all slots are below 64, of one time, and each is there once.
    mask: u64,
}

/// How values lie to slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Value i belongs to slot i.
    Dense,
    /// One time, slots equal to positions, and rising strictly: the frame with gaps.
    Rising,
    Other,
}

impl Bound {
    pub fn new(batch: Arc<Batch>, layout: Arc<BoundLayout>) -> Self {
        let (shape, mask) = match (&batch.positions, &batch.times, &layout.slots) {
            (Positions::All, Times::One(_), Slots::Identity) => (Shape::Dense, below(batch.len())),
            (Positions::All, Times::Each(_), Slots::Identity) => (Shape::Dense, 0),
            (Positions::List(list), Times::One(_), Slots::Identity) => rise(list),
            _ => (Shape::Other, 0),
        };
        let (index, width) = (layout.index, layout.width);
        Self { batch, layout, index, width, shape, mask }
    }

    /// The slots as bits, where all are below 64, of one time, and each is there once.
    pub fn mask(&self) -> Option<u64> {
        (self.mask != 0).then_some(self.mask)
    }

    /// The slots, where they rise strictly and lie in one list: then the frame has one time and no series twice.
    pub fn rising(&self) -> Option<&[u16]> {
        match &self.batch.positions {
            Positions::List(list) if self.shape == Shape::Rising => Some(list),
            _ => None,
        }
    }

    /// Whether positions are slots and rise strictly, so that what is known of a layout position by position can be laid beside the values.
    pub fn is_in_order(&self) -> bool {
        self.shape != Shape::Other
    }

    /// The values in their order, cut where slots do not follow each other: one piece for a dense frame, one more for each gap.
    #[inline]
    pub fn stretches(&self) -> Stretches<'_> {
        let values = &*self.batch.values;
        let rest = match (self.shape, &self.batch.positions) {
            (Shape::Dense, _) => Rest::All,
            (Shape::Rising, _) if self.mask != 0 => Rest::Mask(self.mask),
            (Shape::Rising, Positions::List(list)) => Rest::List(list),
            _ => Rest::Any,
        };
        Stretches { bound: self, rest, values, at: 0 }
    }

    /// Dense index of the machine on its worker.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Series that the machine has, as far as was known when the batch was bound: every slot is below it.
    pub fn width(&self) -> usize {
        self.width as usize
    }

    pub fn roster(&self) -> &Arc<Roster> {
        &self.layout.roster
    }

    /// Slot of value `index`.
    pub fn slot(&self, index: usize) -> Slot {
        self.slot_at(self.batch.position(index))
    }

    /// Slot of a layout position.
    pub fn slot_at(&self, position: usize) -> Slot {
        match &self.layout.slots {
            // A layout has at most LAYOUT_SERIES_MAX positions.
            Slots::Identity => Slot(u32::try_from(position).unwrap_or(u32::MAX)),
            Slots::Map(map) => Slot(map[position]),
        }
    }

    /// True when value i belongs to slot i, for all values: the case that vectorizes.
    pub fn is_dense(&self) -> bool {
        self.shape == Shape::Dense
    }
}

/// The lowest bits, or none where they do not fit.
fn below(width: usize) -> u64 {
    match width {
        0..64 => (1 << width) - 1,
        64 => u64::MAX,
        _ => 0,
    }
}

/// Values of slots that follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch<'a> {
    /// Which value of the batch is the first.
    pub at: usize,
    /// Its slot.
    pub slot: usize,
    pub values: &'a [f64],
}

/// See `Bound::stretches`.
#[derive(Debug, Clone)]
pub struct Stretches<'a> {
    bound: &'a Bound,
    /// Where the values that are left belong.
    rest: Rest<'a>,
    values: &'a [f64],
    at: usize,
}

#[derive(Debug, Clone, Copy)]
enum Rest<'a> {
    /// To slots that follow each other, from `at` on.
    All,
    /// To these slots, a bit each: neither the batch nor its list is read again.
    Mask(u64),
    /// To these slots, which rise.
    List(&'a [u16]),
    /// Each to a slot of its own.
    Any,
}

impl<'a> Iterator for Stretches<'a> {
    type Item = Stretch<'a>;

    #[inline]
    fn next(&mut self) -> Option<Stretch<'a>> {
        if self.values.is_empty() {
            return None;
        }
        let (slot, length) = match &mut self.rest {
            Rest::All => (self.at, self.values.len()),
            Rest::Mask(mask) => {
                let first = mask.trailing_zeros();
                let run = *mask >> first;
                let length = run.trailing_ones();
                // The bits that are left, without those of this run: adding to the lowest one carries through all of them.
                *mask &= mask.wrapping_add(1 << first);
                (first as usize, length as usize)
            }
            Rest::List(list) => {
                let (first, length) = (usize::from(list[0]), follow(list));
                *list = &list[length..];
                (first, length)
            }
            Rest::Any => (self.bound.slot(self.at).index(), 1),
        };
        let (at, (values, rest)) = (self.at, self.values.split_at(length));
        self.at += length;
        self.values = rest;
        Some(Stretch { at, slot, values })
    }
}

/// How many of the first numbers of a list follow each other, the list rising strictly: then its numbers run away from their places and
/// never come back, so the end is found by halves. Mostly it is the list's own.
#[inline]
fn follow(list: &[u16]) -> usize {
    let runs = |length: usize| usize::from(list[length - 1] - list[0]) == length - 1;
    if runs(list.len()) {
        return list.len();
    }
    let (mut runs_to, mut breaks_at) = (1, list.len());
    while breaks_at - runs_to > 1 {
        let middle = usize::midpoint(runs_to, breaks_at);
        if runs(middle) { runs_to = middle } else { breaks_at = middle }
    }
    runs_to
}

/// Whether the slots rise strictly, and their mask.
fn rise(list: &[u16]) -> (Shape, u64) {
    let (Some((_, rest)), Some(last)) = (list.split_first(), list.last()) else { return (Shape::Other, 0) };
    // Without early exit: nearly all do.
    if !list.iter().zip(rest).fold(true, |rises, (before, slot)| rises & (before < slot)) {
        return (Shape::Other, 0);
    }
    // Bit by bit: where the gaps are is nobody's guess, so to look for them costs more.
    let mask = if *last < 64 { list.iter().fold(0, |mask, slot| mask | 1 << (slot % 64)) } else { 0 };
    (Shape::Rising, mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_list_has_a_mask_exactly_where_it_rises_below_64(list in prop::collection::vec(0u16..70, 0..6)) {
            let is_rising = !list.is_empty() && list.is_sorted_by(|a, b| a < b);
            let (shape, mask) = rise(&list);
            prop_assert_eq!(shape == Shape::Rising, is_rising);
            let fits = is_rising && list.iter().all(|slot| *slot < 64);
            prop_assert_eq!(mask, if fits { list.iter().fold(0, |mask, slot| mask | 1 << slot) } else { 0 });
        }
    }

    proptest! {
        #[test]
        fn what_follows_is_counted_up_to_the_first_gap(list in prop::collection::btree_set(0u16..40, 1..30)) {
            let list: Vec<u16> = list.into_iter().collect();
            let expected = list.iter().zip(list[0]..).take_while(|(number, expected)| **number == *expected).count();
            prop_assert_eq!(follow(&list), expected);
        }
    }

    proptest! {
        #[test]
        fn stretches_give_each_value_its_slot(list in prop::collection::vec(0u16..70, 1..9), is_frame: bool) {
            let mut list = list;
            if is_frame {
                list.sort_unstable();
                list.dedup();
            }
            let bound = bound(&list);
            let cut: Vec<usize> = bound.stretches().flat_map(|s| s.slot..s.slot + s.values.len()).collect();
            prop_assert_eq!(cut, list.iter().map(|slot| usize::from(*slot)).collect::<Vec<_>>());
            let values: Vec<f64> = bound.stretches().flat_map(|s| s.values.to_vec()).collect();
            prop_assert_eq!(&values[..], &bound.batch.values[..]);
            for Stretch { at, slot, .. } in bound.stretches() {
                prop_assert_eq!(bound.slot(at).index(), slot);
            }
            let gaps = list.windows(2).filter(|pair| pair[0] + 1 != pair[1]).count();
            prop_assert!(!is_frame || bound.stretches().count() == gaps + 1);
        }
    }

    fn bound(list: &[u16]) -> Bound {
        let machine = MachineId::parse("a").unwrap();
        let layout = Arc::new(crate::batch::Layout::new(machine.clone(), Vec::new()));
        let batch = Batch {
            layout,
            session: crate::ids::SessionId(1),
            sequence: 0,
            arrival: crate::time::Timestamp::EPOCH,
            age_ms: 0,
            positions: Positions::List(list.into()),
            times: Times::One(crate::time::Timestamp::EPOCH),
            values: list.iter().map(|slot| f64::from(*slot)).collect(),
        };
        let roster = Arc::new(Roster { machine, index: 0, series: Box::new([]) });
        Bound::new(Arc::new(batch), Arc::new(BoundLayout::new(roster, Slots::Identity)))
    }

    #[test]
    fn a_dense_frame_has_the_lowest_bits() {
        assert_eq!([0, 1, 63, 64, 65].map(below), [0, 1, u64::MAX >> 1, u64::MAX, 0]);
    }
}
