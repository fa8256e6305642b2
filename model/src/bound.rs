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
}

/// A normalized batch (base units, values in range) with its slots.
#[derive(Debug, Clone)]
pub struct Bound {
    pub batch: Arc<Batch>,
    pub layout: Arc<BoundLayout>,
    /// One time, slots equal to positions, and rising strictly: the frame with gaps.
    is_rising: bool,
}

impl Bound {
    pub fn new(batch: Arc<Batch>, layout: Arc<BoundLayout>) -> Self {
        let is_rising = match (&batch.positions, &batch.times, &layout.slots) {
            // Without early exit, so that it vectorizes.
            (Positions::List(list), Times::One(_), Slots::Identity) => {
                list.iter().zip(list.iter().skip(1)).fold(true, |rises, (a, b)| rises & (a < b))
            }
            _ => false,
        };
        Self { batch, layout, is_rising }
    }

    /// The slots, where they rise strictly and lie in one list: then the frame has one time and no series twice.
    pub fn rising(&self) -> Option<&[u16]> {
        match &self.batch.positions {
            Positions::List(list) if self.is_rising => Some(list),
            _ => None,
        }
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
        self.batch.positions == Positions::All && self.layout.slots == Slots::Identity
    }
}
