//! Coarsen: facts move to the next 100 ms boundary of logical time, so that differential works ten times a second at most.
//!
//! In: facts with their own times. Out: differential updates at boundaries, and a frontier that moves only at boundaries: the input
//! is declared disconnected, or its fine frontier would shine through.

use model::LogicalTime;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::control::facts::{Change, Fact};
use crate::introspect::{Counted, Meter};
use crate::stage::Records;

/// Boundaries are so far apart.
pub const STEP: LogicalTime = 100_000;

/// The first boundary after `t`: where a fact of time `t` takes effect in the control plane.
pub const fn boundary_after(t: LogicalTime) -> LogicalTime {
    (t / STEP + 1).saturating_mul(STEP)
}

/// Differential updates of facts.
pub type FactUpdates<'s> = StreamVec<'s, LogicalTime, (Fact, LogicalTime, isize)>;

pub fn coarsen<'s>(facts: Records<'s, Change>) -> FactUpdates<'s> {
    let scope = facts.scope();
    let mut builder = OperatorBuilder::new("coarsen".to_owned(), scope);
    let (meter, pact) = (Meter::of(scope.worker(), &builder.operator_info(), "coarsen"), Counted::on(&facts));
    let (output, stream) = builder.new_output();
    let mut output = OutputBuilder::<_, CapacityContainerBuilder<Vec<_>>>::from(output);
    let mut input = builder.new_input_connection(facts, pact, std::iter::empty());
    builder.build(move |mut capabilities| {
        let mut held = capabilities.pop();
        move |frontiers| {
            let _running = meter.run();
            let mut output = output.activate();
            input.for_each(|_, records| {
                let Some(held) = held.as_ref() else { return };
                meter.gave(records.len());
                for record in records.drain(..) {
                    let capability = held.delayed(&boundary_after(record.t).max(*held.time()));
                    let (fact, diff) = record.item;
                    output.session(&capability).give((fact, *capability.time(), diff));
                }
            });
            meter.reached(frontiers[0].frontier().first().copied());
            match frontiers[0].frontier().first() {
                Some(now) => {
                    if let Some(held) = held.as_mut() {
                        held.downgrade(&boundary_after(*now));
                    }
                }
                None => held = None,
            }
        }
    });
    stream
}
