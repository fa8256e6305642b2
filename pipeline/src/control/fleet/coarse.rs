//! Coarse: changes move to the next tick of logical time, so that differential works once in ten seconds at most.
//!
//! In: changes with their own times. Out: differential updates at ticks, and a frontier that moves only at ticks: the input is declared
//! disconnected, or its fine frontier would shine through.

use model::LogicalTime;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::tick_at;
use crate::stage::Records;

/// Differential updates.
pub(super) type Updates<'s, D> = StreamVec<'s, LogicalTime, (D, LogicalTime, isize)>;

pub(super) fn coarse<'s, D: Clone + 'static>(changes: Records<'s, (D, isize)>, name: &str) -> Updates<'s, D> {
    let mut builder = OperatorBuilder::new(name.to_owned(), changes.scope());
    let (output, stream) = builder.new_output();
    let mut output = OutputBuilder::<_, CapacityContainerBuilder<Vec<_>>>::from(output);
    let mut input = builder.new_input_connection(changes, Pipeline, std::iter::empty());
    builder.build(move |mut capabilities| {
        let mut held = capabilities.pop();
        move |frontiers| {
            let mut output = output.activate();
            input.for_each(|_, records| {
                let Some(held) = held.as_ref() else { return };
                for record in records.drain(..) {
                    let capability = held.delayed(&tick_at(record.t).max(*held.time()));
                    let (item, diff) = record.item;
                    output.session(&capability).give((item, *capability.time(), diff));
                }
            });
            match frontiers[0].frontier().first() {
                Some(now) => {
                    if let Some(held) = held.as_mut() {
                        held.downgrade(&tick_at(*now));
                    }
                }
                None => held = None,
            }
        }
    });
    stream
}
