//! Tell: what differential has worked out leaves the graph, each change once.
//!
//! In: differences, which need not be consolidated. Out: what `told` makes of the differences of one boundary, on the worker that `home`
//! names, behind the transition that made them.
//! Time: a boundary is told when it is over, in order of time. The differences of one record come from several workers, so that those
//! of a later boundary may be here first. State: differences whose boundary is not over. Loss: none.

use std::collections::BTreeMap;

use differential_dataflow::ExchangeData;
use differential_dataflow::consolidation::consolidate;
use model::{LogicalTime, Output};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::Operator;

use super::Updates;
use crate::introspect::Meter;
use crate::stage::{At, Records};

/// `told` is given a boundary's differences, consolidated and in order, each boundary once and in order of time.
pub(super) fn tell<'s, D: ExchangeData>(
    owed: Updates<'s, D>,
    name: &'static str,
    home: impl Fn(&D) -> u64 + 'static,
    mut told: impl FnMut(&[(D, isize)]) -> Vec<Output> + 'static,
) -> Records<'s, Output> {
    let (home, scope) = (Exchange::new(move |(data, _, _): &(D, LogicalTime, isize)| home(data)), owed.scope());
    owed.unary_frontier::<CapacityContainerBuilder<Vec<At<Output>>>, _, _, _>(home, name, move |capability, info| {
        let (mut held, mut open, mut out) =
            (Some(capability), BTreeMap::<LogicalTime, Vec<(D, isize)>>::new(), Vec::new());
        let meter = Meter::of(scope.worker(), &info, name);
        move |(input, frontier), output| {
            let _running = meter.run();
            input.for_each(|_, changes| {
                changes.drain(..).for_each(|(data, t, diff)| open.entry(t).or_default().push((data, diff)));
            });
            let Some(capability) = held.as_mut() else { return };
            let now = frontier.frontier().first().copied();
            meter.reached(now);
            while open.first_key_value().is_some_and(|(t, _)| now.is_none_or(|now| *t < now)) {
                let Some((t, mut changes)) = open.pop_first() else { break };
                consolidate(&mut changes);
                out.extend(told(&changes).into_iter().map(|item| At { t, item }));
            }
            if !out.is_empty() {
                meter.gave(out.len());
                output.session(&*capability).give_container(&mut out);
            }
            match now {
                Some(now) => capability.downgrade(&now),
                None => held = None,
            }
        }
    })
}
