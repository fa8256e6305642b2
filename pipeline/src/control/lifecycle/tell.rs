//! Tell: the difference between how alerts stand and how they are known to stand leaves the graph, each change once.
//!
//! In: consolidated differences of desired and persisted standings. Out: a `StandingChange` for each one that came, on the worker of its
//! machine, behind the transition that made it. One that only went has resolved, which its transition says.
//! Time: a change leaves when its boundary is over, in order of time. The standings of one alert come from several workers, so that those
//! of a later boundary may be here first. State: changes whose boundary is not over. Loss: none.

use std::sync::Arc;

use model::{LogicalTime, Output, Standing};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::Operator;

use super::Updates;
use super::breach::Breach;
use crate::introspect::Meter;
use crate::stage::{At, Records};

type Change = (LogicalTime, Breach, Standing);

pub(super) fn tell<'s>(owed: Updates<'s, (Breach, Standing)>) -> Records<'s, Output> {
    type Owed = ((Breach, Standing), LogicalTime, isize);
    let (home, scope) = (Exchange::new(|((breach, _), _, _): &Owed| breach.machine.mix()), owed.scope());
    owed.unary_frontier::<CapacityContainerBuilder<Vec<At<Output>>>, _, _, _>(home, "tell", move |capability, info| {
        let (mut held, mut open, mut out) = (Some(capability), Vec::<Change>::new(), Vec::new());
        let meter = Meter::of(scope.worker(), &info, "tell");
        move |(input, frontier), output| {
            let _running = meter.run();
            input.for_each(|_, changes| {
                let came = changes.drain(..).filter(|(_, _, diff)| 0 < *diff);
                open.extend(came.map(|((breach, standing), t, _)| (t, breach, standing)));
            });
            let Some(capability) = held.as_mut() else { return };
            let now = frontier.frontier().first().copied();
            meter.reached(now);
            let mut over: Vec<Change> = open.extract_if(.., |(t, ..)| now.is_none_or(|now| *t < now)).collect();
            over.sort_unstable();
            out.extend(over.into_iter().map(told));
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

fn told((t, breach, standing): Change) -> At<Output> {
    At { t, item: Output::Standing(Arc::new(breach.stands(standing))) }
}
