//! Stage: the one glue between a plain state struct and timely, for operators with one input and one output.
//!
//! Each record carries its own logical time, because one activation may carry records of many times under one capability: a
//! message per time would cost more than the work. Timers due at or before a record's time run before the record is applied, then
//! those up to the frontier. So what a stage publishes is a function of its records and their times, the same in a replay.

use std::rc::Rc;

use model::LogicalTime;
use timely::Container;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::{Stream, StreamVec};

use crate::introspect::{Counted, Meter};

/// A record with its logical time.
#[derive(Debug, Clone)]
pub struct At<T> {
    pub t: LogicalTime,
    pub item: T,
}

/// A stream of records, each with its own logical time, rising within a worker.
pub type Records<'s, T> = StreamVec<'s, LogicalTime, At<T>>;

/// What one activation sends to several readers.
pub type Shared<T> = Rc<Vec<At<T>>>;

/// Records with several readers on the worker: they share them, where a plain stream would clone every record for each.
pub type SharedRecords<'s, T> = Stream<'s, LogicalTime, Shared<T>>;

/// Records that are warmed together: enough to hide the memory's latency, few enough that their state stays in the second cache.
pub const WARM: usize = 32;

/// A container of records, owned or shared.
pub trait Lot<T>: Container {
    fn records(&self) -> &[At<T>];
}

impl<T: Clone + 'static> Lot<T> for Vec<At<T>> {
    fn records(&self) -> &[At<T>] {
        self
    }
}

impl<T: Clone + 'static> Lot<T> for Shared<T> {
    fn records(&self) -> &[At<T>] {
        self
    }
}

/// The logic of an operator, free of timely: what its tests drive.
pub trait Stage: 'static {
    type In: Clone + 'static;
    type Out: Clone + 'static;

    /// Takes one record. Every timer due at or before `t` has run.
    fn apply(&mut self, t: LogicalTime, item: &Self::In, out: &mut Vec<At<Self::Out>>);

    /// Runs the timers due at or before `now`: no record of an earlier time follows.
    fn advance(&mut self, now: LogicalTime, out: &mut Vec<At<Self::Out>>);

    /// Reads a little of all that these records will need, before any of them is applied: the reads do not depend on each other, so
    /// the processor has many under way at once, where the work itself would wait for memory again with each record.
    fn warm(&self, _records: &[At<Self::In>]) {}

    /// The input has ended: publishes what is still open.
    fn finish(&mut self, _out: &mut Vec<At<Self::Out>>) {}
}

/// Runs a stage on a stream. Nothing is exchanged: all of a machine is on one worker already.
pub fn stage<'s, S, C>(input: Stream<'s, LogicalTime, C>, name: &'static str, mut state: S) -> Records<'s, S::Out>
where
    S: Stage,
    C: Lot<S::In>,
{
    type Built<T> = CapacityContainerBuilder<Vec<At<T>>>;
    let (scope, pact) = (input.scope(), Counted::on(&input));
    input.unary_frontier::<Built<S::Out>, _, _, _>(pact, name, move |capability, info| {
        let (mut held, mut out) = (Some(capability), Vec::new());
        let meter = Meter::of(scope.worker(), &info, name);
        move |(input, frontier), output| {
            let _running = meter.run();
            // In order of arrival: grouping by time may reorder messages of one time, hence samples of one machine.
            input.for_each(|time, records| {
                runtime::fault::strike(name);
                for records in records.records().chunks(WARM) {
                    state.warm(records);
                    for At { t, item } in records {
                        state.advance(*t, &mut out);
                        state.apply(*t, item, &mut out);
                    }
                }
                if !out.is_empty() {
                    meter.gave(out.len());
                    output.session(&time).give_container(&mut out);
                }
            });
            let Some(capability) = held.as_mut() else { return };
            let now = frontier.frontier().first().copied();
            meter.reached(now);
            match now {
                Some(now) => state.advance(now, &mut out),
                None => {
                    state.finish(&mut out);
                    // What ends with the input belongs to the end: everything below the frontier was promised to be complete.
                    out.iter_mut().for_each(|at| at.t = at.t.max(*capability.time()));
                }
            }
            if !out.is_empty() {
                meter.gave(out.len());
                output.session(&*capability).give_container(&mut out);
            }
            // After sending: what a timer published belongs to the time before the frontier moved.
            match now {
                Some(now) => capability.downgrade(&now),
                None => held = None,
            }
        }
    })
}
