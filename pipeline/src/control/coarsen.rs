//! Coarsen: changes move to boundaries of logical time, so that differential works ten times a second at most, or more seldom.
//!
//! In: changes with their own times. Out: differential updates at boundaries, and a frontier that moves only at boundaries: the input
//! is declared disconnected, or its fine frontier would shine through.

use model::LogicalTime;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::control::facts::Fact;
use crate::introspect::{Counted, Meter};
use crate::stage::{At, Records};

/// Boundaries are so far apart.
pub const STEP: LogicalTime = 100_000;

/// The first boundary after `t`: where a fact of time `t` takes effect in the control plane.
pub const fn boundary_after(t: LogicalTime) -> LogicalTime {
    (t / STEP + 1).saturating_mul(STEP)
}

/// Differential updates.
pub type Updates<'s, D> = StreamVec<'s, LogicalTime, (D, LogicalTime, isize)>;

/// Differential updates of facts.
pub type FactUpdates<'s> = Updates<'s, Fact>;

/// `up` gives the boundary of a time, at or after it; a later time never has an earlier one.
pub fn coarsen<'s, D: Clone + 'static>(
    changes: Records<'s, (D, isize)>,
    name: &'static str,
    up: fn(LogicalTime) -> LogicalTime,
) -> Updates<'s, D> {
    let scope = changes.scope();
    let mut builder = OperatorBuilder::new(name.to_owned(), scope);
    let (meter, pact) = (Meter::of(scope.worker(), &builder.operator_info(), name), Counted::on(&changes));
    let (output, stream) = builder.new_output();
    let mut output = OutputBuilder::<_, CapacityContainerBuilder<Vec<_>>>::from(output);
    let mut input = builder.new_input_connection(changes, pact, std::iter::empty());
    builder.build(move |mut capabilities| {
        let (mut held, mut run) = (capabilities.pop(), Vec::new());
        move |frontiers| {
            let _running = meter.run();
            let mut output = output.activate();
            // One message a boundary: a message for each record would cost more than the record, and leave its queue as long.
            let mut send = |boundary: LogicalTime, run: &mut Vec<(D, LogicalTime, isize)>| {
                if let Some(held) = held.as_ref().filter(|_| !run.is_empty()) {
                    meter.gave(run.len());
                    output.session(&held.delayed(&boundary)).give_container(run);
                }
            };
            let (first, mut boundary) = (held.as_ref().map_or(0, |held| *held.time()), 0);
            input.for_each(|_, records| {
                for At { t, item: (item, diff) } in records.drain(..) {
                    let next = up(t).max(first);
                    if next != boundary {
                        send(boundary, &mut run);
                        boundary = next;
                    }
                    run.push((item, boundary, diff));
                }
            });
            send(boundary, &mut run);
            meter.reached(frontiers[0].frontier().first().copied());
            match frontiers[0].frontier().first() {
                Some(now) => {
                    if let Some(held) = held.as_mut() {
                        held.downgrade(&up(*now));
                    }
                }
                None => held = None,
            }
        }
    });
    stream
}
