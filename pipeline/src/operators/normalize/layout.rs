//! Layout: how a machine's layout maps to its slots, and whether a batch under it is fit to go on.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::catalogue::Resolved;
use model::{
    Batch, Bound, BoundLayout, Kept, LogicalTime, Output, Positions, RejectReason, Rejected, Roster, Slots, Source,
    Times,
};

use super::Ports;
use crate::counters::Counters;
use crate::stage::At;

/// Marks a position whose series was refused.
pub(super) const REFUSED: u32 = u32::MAX;

/// How a layout maps to its machine's slots.
pub(super) struct Layout {
    pub(super) bound: Arc<BoundLayout>,
    limits: Arc<Limits>,
    pub(super) has_refused: bool,
}

/// What the values of a layout mean and may be, position by position.
#[derive(Debug, PartialEq)]
struct Limits {
    /// Factor to base units; none when all are 1.
    scale: Option<Box<[f64]>>,
    /// Least valid values.
    least: Box<[f64]>,
    /// Greatest valid values.
    greatest: Box<[f64]>,
}

impl Limits {
    /// NaN fits nowhere, infinity on neither end.
    fn fits(&self, position: usize, value: f64) -> bool {
        (value >= self.least[position]) & (value <= self.greatest[position])
    }

    /// Whether each of the values fits, from a position on. Those that do not are counted, for a count is made two or four at a time.
    fn fit(&self, position: usize, values: &[f64]) -> bool {
        let limits = self.least[position..].iter().zip(&self.greatest[position..]);
        let is_out = |(value, (least, greatest)): (&f64, (&f64, &f64))| !((value >= least) & (value <= greatest));
        values.iter().zip(limits).map(|pair| u64::from(is_out(pair))).sum::<u64>() == 0
    }
}

/// Limits that layouts share: machines with one kind of collector have the same, and the one copy stays in the cache.
#[derive(Default)]
pub(super) struct SharedLimits(Vec<Arc<Limits>>);

impl SharedLimits {
    /// Beyond it, limits are not looked for any more: they are shared to be fast, not to be right.
    const MAX: usize = 64;

    fn share(&mut self, limits: Limits) -> Arc<Limits> {
        if let Some(known) = self.0.iter().find(|known| ***known == limits) {
            return Arc::clone(known);
        }
        let limits = Arc::new(limits);
        if self.0.len() < Self::MAX {
            self.0.push(Arc::clone(&limits));
        }
        limits
    }
}

impl Layout {
    pub(super) fn new(roster: Arc<Roster>, slots: Vec<u32>, resolved: &[Resolved], shared: &mut SharedLimits) -> Self {
        let is_identity = (0_u32..).zip(&slots).all(|(position, slot)| position == *slot);
        let is_plain = resolved.iter().all(|r| (r.scale - 1.0).abs() < f64::EPSILON);
        let has_refused = slots.contains(&REFUSED);
        let slots = if is_identity { Slots::Identity } else { Slots::Map(slots.into()) };
        let limits = Limits {
            scale: (!is_plain).then(|| resolved.iter().map(|r| r.scale).collect()),
            least: resolved.iter().map(|r| r.min).collect(),
            greatest: resolved.iter().map(|r| r.max).collect(),
        };
        let bound = Arc::new(BoundLayout::new(roster, slots));
        Self { bound, limits: shared.share(limits), has_refused }
    }

    /// Whether every value is in base units and in range: then the batch goes on as it is.
    pub(super) fn takes_as_is(&self, bound: &Bound) -> bool {
        if self.limits.scale.is_some() || self.has_refused {
            return false;
        }
        if bound.is_in_order() {
            return bound.stretches().all(|stretch| self.limits.fit(stretch.slot, stretch.values));
        }
        let batch = &bound.batch;
        // Without early exit, so that nothing waits for a comparison.
        let fits = |all, (index, value)| all & self.limits.fits(batch.position(index), value);
        batch.values.iter().copied().enumerate().fold(true, fits)
    }

    /// The batch in base units, without what is refused; that leaves as dead letters.
    pub(super) fn mend(&self, t: LogicalTime, batch: &Arc<Batch>, counters: &Counters, out: &mut Ports) -> Arc<Batch> {
        let mut kept: (Vec<u16>, Vec<model::Timestamp>, Vec<f64>) = (Vec::new(), Vec::new(), Vec::new());
        let mut refused: BTreeMap<RejectReason, (u32, String, Kept)> = BTreeMap::new();
        for index in 0..batch.len() {
            // Positions lie in a layout, which has at most 4,096.
            let position = u16::try_from(batch.position(index)).unwrap_or(u16::MAX);
            let value =
                batch.values[index] * self.limits.scale.as_ref().map_or(1.0, |scale| scale[usize::from(position)]);
            let reason = if self.bound.slots_at(position) == REFUSED {
                RejectReason::TooManySeries
            } else if !value.is_finite() {
                RejectReason::NotFinite
            } else if self.limits.fits(usize::from(position), value) {
                kept.0.push(position);
                kept.1.push(batch.time(index));
                kept.2.push(value);
                continue;
            } else {
                RejectReason::OutOfRange
            };
            let key = &batch.layout.series[usize::from(position)];
            let first = || (0, format!("{key} = {}", batch.values[index]), Kept::default());
            let (count, _, kept) = refused.entry(reason).or_insert_with(first);
            *count += 1;
            kept.add(key, batch.time(index), batch.values[index]);
        }
        for (reason, (count, detail, kept)) in refused {
            counters.rejected.add(count as usize);
            let (machine, arrival, kept) = (batch.machine().clone(), batch.arrival, Some(Arc::new(kept)));
            let rejected = Rejected { machine, reason, count, arrival, detail, source: Source::Graph, kept };
            out.outputs.push(At { t, item: Output::Rejected(Arc::new(rejected)) });
        }
        let is_whole = kept.0.len() == batch.len();
        let (positions, times) = match (&batch.positions, &batch.times) {
            (positions, times) if is_whole => (positions.clone(), times.clone()),
            (_, Times::One(time)) => (Positions::List(kept.0.into()), Times::One(*time)),
            (_, Times::Each(_)) => (Positions::List(kept.0.into()), Times::Each(kept.1.into())),
        };
        let layout = Arc::clone(&batch.layout);
        Arc::new(Batch { layout, positions, times, values: kept.2.into(), ..**batch })
    }
}

/// Slot of a position, by number.
trait SlotNumber {
    fn slots_at(&self, position: u16) -> u32;
}

impl SlotNumber for BoundLayout {
    fn slots_at(&self, position: u16) -> u32 {
        match &self.slots {
            Slots::Identity => u32::from(position),
            Slots::Map(map) => map[usize::from(position)],
        }
    }
}
