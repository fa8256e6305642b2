//! Evaluate: samples and minutes against the rules that apply to them; out comes a transition when a verdict changes, once.
//!
//! In: normalized batches, minute updates, bindings. Out: transitions.
//! State: per bound series its newest event time, per rule and series the phase (calm, pending, firing); freed with the binding.
//! Time: a record of time T is judged by the bindings of `T - LAG`, its new series by those of T; until they are known it waits. So a
//! replay judges every sample by the same rules. `for` elapses in event time and fires on a sample; silence elapses in logical time.
//! Order: arrival, skipping what is not newer than its series' newest. What is stale on arrival corrects history, never an alert.
//! Bounded: `bindings_max` rules on series; those beyond are refused and counted.
//! Loss: none. Invariants: A-1 Fired and Resolved alternate per alert.

mod side;
mod silence;
mod watched;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use model::rule::Input;
use model::{Bound, LogicalTime, Rule, Transition};

use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::control::bindings::BindingUpdates;
use crate::control::facts::Binding;
use crate::counters::Counters;
use crate::introspect::{Counted, Meter};
use crate::operators::presence::MACHINE_DOWN;
use crate::operators::window::MinuteUpdate;
use crate::settings::Settings;
use crate::stage::{At, Records, SharedRecords, WARM};
use side::{Side, Transitions};

/// The verdicts of a worker.
pub struct Verdicts {
    samples: Side<Bound>,
    minutes: Side<MinuteUpdate>,
}

impl Verdicts {
    pub fn new(settings: &Settings, counters: &Arc<Counters>) -> Self {
        let of_rules = settings.firing.iter().filter(|alert| alert.rule.name != MACHINE_DOWN).cloned();
        let (samples, minutes): (Vec<_>, Vec<_>) = of_rules.partition(|alert| is_of_samples(&alert.rule));
        // Machines spread over the workers evenly enough for each to have its part.
        let room = Rc::new(Cell::new(settings.bindings_max.div_ceil(settings.workers.max(1))));
        Self {
            samples: Side::new(settings, samples.into_iter(), &room, Arc::clone(counters)),
            minutes: Side::new(settings, minutes.into_iter(), &room, Arc::clone(counters)),
        }
    }

    /// Notes a change of a binding at its boundary.
    fn bind(&mut self, boundary: LogicalTime, binding: Binding, diff: isize) {
        if is_of_samples(&binding.rule.rule) {
            self.samples.bind(boundary, binding, diff);
        } else {
            self.minutes.bind(boundary, binding, diff);
        }
    }

    /// Runs what is due by `now`, the frontier of the input; none when it has ended.
    fn advance(&mut self, known: LogicalTime, now: Option<LogicalTime>, out: &mut Transitions) {
        match now {
            Some(now) => {
                self.samples.advance(known, now, out);
                self.minutes.advance(known, now, out);
            }
            None if known == LogicalTime::MAX => {
                self.samples.finish(out);
                self.minutes.finish(out);
            }
            None => {}
        }
    }

    fn holds(&self, known: LogicalTime) -> LogicalTime {
        self.samples.holds(known).min(self.minutes.holds(known))
    }

    fn is_idle(&self) -> bool {
        self.samples.is_idle() && self.minutes.is_idle()
    }
}

fn is_of_samples(rule: &Rule) -> bool {
    rule.input == Input::Sample
}

/// Runs the verdicts of a worker on its streams.
pub fn evaluate<'s>(
    batches: SharedRecords<'s, Bound>,
    minutes: Records<'s, MinuteUpdate>,
    bindings: BindingUpdates<'s>,
    mut verdicts: Verdicts,
) -> Records<'s, Arc<Transition>> {
    let scope = batches.scope();
    let mut builder = OperatorBuilder::new("evaluate".to_owned(), scope);
    let meter = Meter::of(scope.worker(), &builder.operator_info(), "evaluate");
    let (pact, minutes_pact) = (Counted::on(&batches), Counted::on(&minutes));
    let mut batches = builder.new_input(batches, pact);
    let mut minutes = builder.new_input(minutes, minutes_pact);
    let owner = Exchange::new(|(binding, _, _): &(Binding, LogicalTime, isize)| u64::from(binding.series.worker));
    let mut bindings = builder.new_input(bindings, owner);
    let (output, stream) = builder.new_output();
    let mut output = OutputBuilder::<_, CapacityContainerBuilder<Vec<_>>>::from(output);
    builder.build(move |mut capabilities| {
        let (mut held, mut out) = (capabilities.pop(), Vec::new());
        move |frontiers| {
            let _running = meter.run();
            bindings.for_each(|_, changes| {
                changes.drain(..).for_each(|(binding, boundary, diff)| verdicts.bind(boundary, binding, diff));
            });
            let known = frontiers[2].frontier().first().copied().unwrap_or(LogicalTime::MAX);
            verdicts.samples.release(known, &mut out);
            verdicts.minutes.release(known, &mut out);
            batches.for_each(|_, records| {
                runtime::fault::strike("evaluate");
                for records in records.chunks(WARM) {
                    verdicts.samples.warm(records);
                    records.iter().for_each(|At { t, item }| verdicts.samples.take(known, *t, item, &mut out));
                }
            });
            minutes.for_each(|_, records| {
                records.iter().for_each(|At { t, item }| verdicts.minutes.take(known, *t, item, &mut out));
            });
            let now = frontiers[..2].iter().filter_map(|f| f.frontier().first().copied()).min();
            meter.reached(now.map(|now| now.min(known)));
            verdicts.advance(known, now, &mut out);
            if let Some(capability) = held.as_mut() {
                if !out.is_empty() {
                    meter.gave(out.len());
                    output.activate().session(&*capability).give_container(&mut out);
                }
                let until = now.unwrap_or(LogicalTime::MAX).min(verdicts.holds(known));
                capability.downgrade(&until.max(*capability.time()));
            }
            if now.is_none() && verdicts.is_idle() {
                held = None;
            }
        }
    });
    stream
}
