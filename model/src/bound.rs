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

/// Whether the slots rise strictly, and their mask. Without early exit: nearly all do.
fn rise(list: &[u16]) -> (Shape, u64) {
    let Some((first, rest)) = list.split_first() else { return (Shape::Other, 0) };
    let step = |(rises, before, mask): (bool, u16, u64), slot: &u16| {
        (rises & (before < *slot), *slot, mask | 1 << (*slot & 63))
    };
    match rest.iter().fold((true, *first, 1 << (*first & 63)), step) {
        (false, ..) => (Shape::Other, 0),
        (true, last, mask) => (Shape::Rising, if last < 64 { mask } else { 0 }),
    }
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

    #[test]
    fn a_dense_frame_has_the_lowest_bits() {
        assert_eq!([0, 1, 63, 64, 65].map(below), [0, 1, u64::MAX >> 1, u64::MAX, 0]);
    }
}
