//! Enter: transitions become breaches that differential counts: +1 where an alert fires, -1 where it resolves.
//!
//! In: the transitions of evaluate and presence, and the alerts that fired before the restart. Out: updates at coarse boundaries, none
//! before `live_from`: a replay consolidates to its net effect there. The inputs are declared disconnected, as in `coarsen`.
//! State: none. Loss: none.

use std::sync::Arc;

use model::{Change, LogicalTime, Transition};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Scope;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::Updates;
use super::breach::Breach;
use crate::control::coarsen::boundary_after;
use crate::introspect::Meter;
use crate::operators::presence::PresenceOutput;
use crate::stage::{At, Records};

/// `floor` is the boundary of `live_from`.
pub(super) fn breaches<'s>(
    transitions: Records<'s, Arc<Transition>>,
    presence: Records<'s, PresenceOutput>,
    persisted: Vec<Breach>,
    floor: LogicalTime,
) -> Updates<'s, Breach> {
    let scope = transitions.scope();
    let mut builder = OperatorBuilder::new("breaches".to_owned(), scope);
    let meter = Meter::of(scope.worker(), &builder.operator_info(), "breaches");
    let (output, stream) = builder.new_output();
    let mut output = OutputBuilder::<_, CapacityContainerBuilder<Vec<_>>>::from(output);
    let mut transitions = builder.new_input_connection(transitions, Pipeline, std::iter::empty());
    let mut presence = builder.new_input_connection(presence, Pipeline, std::iter::empty());
    builder.build(move |mut capabilities| {
        let (mut held, mut changes) = (capabilities.pop(), known(persisted, floor));
        move |frontiers| {
            let _running = meter.run();
            transitions.for_each(|_, records| {
                changes.extend(records.drain(..).map(|record| change(record.t, &record.item, floor)));
            });
            presence.for_each(|_, records| {
                changes.extend(records.drain(..).filter_map(|At { t, item }| match item {
                    PresenceOutput::Transition(transition) => Some(change(t, &transition, floor)),
                    PresenceOutput::Presence(_) => None,
                }));
            });
            let Some(capability) = held.as_mut() else { return };
            let now = frontiers.iter().filter_map(|input| input.frontier().first().copied()).min();
            meter.reached(now);
            if !changes.is_empty() {
                meter.gave(changes.len());
                changes.iter_mut().for_each(|(_, t, _)| *t = (*t).max(*capability.time()));
                output.activate().session(&*capability).give_container(&mut changes);
            }
            match now {
                Some(now) => capability.downgrade(&boundary_after(now).max(*capability.time())),
                None => held = None,
            }
        }
    });
    stream
}

/// Records that are there from the beginning, on the worker that is asked.
pub(super) fn given<'s, D: Clone + 'static>(
    scope: Scope<'s, LogicalTime>,
    data: Vec<D>,
    floor: LogicalTime,
) -> Updates<'s, D> {
    timely::dataflow::operators::vec::ToStream::to_stream(known(data, floor), scope)
}

fn known<D>(data: Vec<D>, floor: LogicalTime) -> Vec<(D, LogicalTime, isize)> {
    data.into_iter().map(|record| (record, floor, 1)).collect()
}

fn change(t: LogicalTime, transition: &Transition, floor: LogicalTime) -> (Breach, LogicalTime, isize) {
    let diff = if transition.change == Change::Fired { 1 } else { -1 };
    (Breach::of(transition), boundary_after(t).max(floor), diff)
}
