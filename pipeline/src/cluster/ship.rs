//! Ship: each record to the worker that owns its machine, wherever that is; what has no machine to the first worker of all.
//!
//! In: this worker's part of the process' journal, in order of T. Out: parcels, one per activation and worker.
//! State: the layouts that each worker of another process has. What concerns the journal alone (layouts, marks) stays here.
//! Loss: none.

use std::ops::Range;

use hashbrown::HashSet;
use model::dataflow::route;
use model::{LayoutId, LogicalTime, Record};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::generic::operator::Operator;

use super::parcel::{Load, Packed, Parcel};
use crate::introspect::{Counted, Meter};
use crate::settings::Settings;
use crate::stage::{At, Records};

/// Layouts that a worker is taken to remember; beyond it all are sent again.
const LAYOUTS_MAX: usize = 200_000;

pub(crate) struct Ship {
    from: u32,
    /// Workers of this process.
    near: Range<usize>,
    crates: Vec<Crate>,
}

/// What waits for one worker.
#[derive(Default)]
struct Crate {
    near: Vec<At<Record>>,
    far: Packed,
    layouts: HashSet<LayoutId>,
}

impl Ship {
    pub(crate) fn new(worker: usize, settings: &Settings) -> Self {
        let first = settings.first_worker();
        Self {
            from: u32::try_from(worker).unwrap_or(u32::MAX),
            near: first..first + settings.workers.max(1),
            crates: (0..settings.peers()).map(|_| Crate::default()).collect(),
        }
    }

    pub(crate) fn take(&mut self, at: At<Record>) {
        if matches!(at.item, Record::Layout(_) | Record::Mark(_)) {
            return;
        }
        let to = route(&at.item, self.crates.len());
        let one = &mut self.crates[to];
        if self.near.contains(&to) {
            one.near.push(at);
            return;
        }
        if let Record::Batch(batch) = &at.item
            && !one.layouts.contains(&batch.layout.id)
        {
            if one.layouts.len() == LAYOUTS_MAX {
                one.layouts.clear();
                one.far.forget_layouts();
            }
            one.layouts.insert(batch.layout.id);
            one.far.put_layout(at.t, &batch.layout);
        }
        one.far.put(at.t, &at.item);
    }

    pub(crate) fn flush(&mut self, out: &mut Vec<Parcel>) {
        for (to, one) in (0_u32..).zip(&mut self.crates) {
            if !one.near.is_empty() {
                out.push(Parcel { to, from: self.from, load: Load::Near(std::mem::take(&mut one.near)) });
            }
            if !one.far.is_empty() {
                out.push(Parcel { to, from: self.from, load: Load::Far(std::mem::take(&mut one.far)) });
            }
        }
    }
}

pub(crate) fn ship<'s>(records: Records<'s, Record>, settings: &Settings) -> StreamVec<'s, LogicalTime, Parcel> {
    let (scope, pact) = (records.scope(), Counted::on(&records));
    let mut ship = Ship::new(scope.index(), settings);
    records.unary::<CapacityContainerBuilder<Vec<Parcel>>, _, _, _>(pact, "ship", move |_, info| {
        let (mut out, meter) = (Vec::new(), Meter::of(scope.worker(), &info, "ship"));
        move |input, output| {
            let _running = meter.run();
            input.for_each(|time, records| {
                records.drain(..).for_each(|at| ship.take(at));
                ship.flush(&mut out);
                meter.gave(out.len());
                output.session(&time).give_container(&mut out);
            });
        }
    })
}
