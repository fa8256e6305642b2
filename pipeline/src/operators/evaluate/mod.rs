//! Evaluate: samples and minutes against the rules that apply to them; out comes a transition when a verdict changes, once.
//!
//! In: normalized batches, minute updates, bindings. Out: transitions.
//! State: per bound series its newest event time, per rule and series the phase (calm, pending, firing); freed with the binding.
//! Time: a record of time T is judged by the bindings of `T - LAG`, its new series by those of T; until they are known it waits. So a
//! replay judges every sample by the same rules. `for` elapses in event time and fires on a sample; silence elapses in logical time.
//! Order: arrival, skipping what is not newer than its series' newest. What is stale on arrival corrects history, never an alert.
//! Bounded: `bindings_max` rules on series (`control/admit.rs`), and as many alerts that wait to be claimed; beyond both together a rule on
//! a series is refused and counted.
//! Loss: none. Invariants: A-1 Fired and Resolved alternate per alert.

mod crossing;
mod side;
mod silence;
mod unclaimed;
mod watched;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use model::rule::Input;
use model::{Bound, LogicalTime, Rule, Transition};

use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::vec::{Broadcast, Filter};

use crate::control::bindings::BindingUpdates;
use crate::control::coarsen::FactUpdates;
use crate::control::facts::{Binding, Fact, RuleFact};
use crate::counters::Counters;
use crate::introspect::{Counted, Meter};
use crate::operators::presence::MACHINE_DOWN;
use crate::operators::window::MinuteUpdate;
use crate::settings::Settings;
use crate::stage::{Records, SharedRecords};
use crossing::Crossing;
use side::{Side, Transitions};

/// The verdicts of a worker.
pub struct Verdicts {
    samples: Side<Bound>,
    minutes: Side<MinuteUpdate>,
    crossing: Crossing,
}

impl Verdicts {
    pub fn new(settings: &Settings, worker: usize, counters: &Arc<Counters>) -> Self {
        let of_rules = settings.firing_of(worker).filter(|alert| alert.rule.name != MACHINE_DOWN).cloned();
        let (samples, minutes): (Vec<_>, Vec<_>) = of_rules.partition(|alert| is_of_samples(&alert.rule));
        // What comes is bounded before it is joined. As many places again are for alerts that no rule has claimed, and for the moment
        // in which an edited rule has replaced its predecessor on some machines only.
        let room = settings.bindings_of_worker().saturating_mul(2);
        let crossing = Crossing::new(settings.firing_of(worker));
        let room = Rc::new(Cell::new(room.saturating_sub(samples.len() + minutes.len())));
        Self {
            samples: Side::new((settings, worker), samples, (&room, crossing.crossers()), Arc::clone(counters)),
            minutes: Side::new((settings, worker), minutes, (&room, crossing.crossers()), Arc::clone(counters)),
            crossing,
        }
    }

    /// Notes a fact at its boundary: the rules in force, and machines of this worker that are forgotten.
    fn note(&mut self, boundary: LogicalTime, fact: &Fact, diff: isize) {
        match fact {
            Fact::Rule(RuleFact { rule, .. }) if 0 < diff => self.crossing.note(boundary, rule),
            Fact::RulesKnown => self.crossing.know(boundary),
            _ => {}
        }
        self.samples.note(boundary, fact.clone(), diff);
        self.minutes.note(boundary, fact.clone(), diff);
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
        let waits_at = self.samples.waits_at().min(self.minutes.waits_at());
        self.crossing.pass(now.unwrap_or(LogicalTime::MAX).min(known).min(waits_at), out);
    }

    fn holds(&self, known: LogicalTime) -> LogicalTime {
        let held = self.crossing.first().unwrap_or(LogicalTime::MAX);
        self.samples.holds(known).min(self.minutes.holds(known)).min(held)
    }

    fn is_idle(&self) -> bool {
        self.samples.is_idle() && self.minutes.is_idle() && self.crossing.first().is_none()
    }
}

fn is_of_samples(rule: &Rule) -> bool {
    rule.input == Input::Sample
}

/// What is judged, and by what.
pub struct Inputs<'s> {
    pub batches: SharedRecords<'s, Bound>,
    pub minutes: Records<'s, MinuteUpdate>,
    pub bindings: BindingUpdates<'s>,
    pub facts: FactUpdates<'s>,
}

/// Of all facts those that `evaluate` looks at itself, on every worker.
fn notices(facts: FactUpdates<'_>) -> FactUpdates<'_> {
    let is_looked_at = |fact: &Fact| match fact {
        Fact::Rule(_) | Fact::RulesKnown | Fact::Forgotten(_) => true,
        Fact::Series(_) | Fact::Machine(_) | Fact::Silence(_) => false,
    };
    facts.filter(move |(fact, _, _)| is_looked_at(fact)).broadcast()
}

/// Runs the verdicts of a worker on its streams.
pub fn evaluate<'s>(inputs: Inputs<'s>, mut verdicts: Verdicts) -> Records<'s, Arc<Transition>> {
    let Inputs { batches, minutes, bindings, facts } = inputs;
    let scope = batches.scope();
    let mut builder = OperatorBuilder::new("evaluate".to_owned(), scope);
    let meter = Meter::of(scope.worker(), &builder.operator_info(), "evaluate");
    let (pact, minutes_pact) = (Counted::on(&batches), Counted::on(&minutes));
    let mut batches = builder.new_input(batches, pact);
    let mut minutes = builder.new_input(minutes, minutes_pact);
    let owner = Exchange::new(|(binding, _, _): &(Binding, LogicalTime, isize)| u64::from(binding.series.worker));
    let mut bindings = builder.new_input(bindings, owner);
    let mut facts = builder.new_input(notices(facts), Pipeline);
    let (output, stream) = builder.new_output();
    let mut output = OutputBuilder::<_, CapacityContainerBuilder<Vec<_>>>::from(output);
    builder.build(move |mut capabilities| {
        let (mut held, mut out) = (capabilities.pop(), Vec::new());
        move |frontiers| {
            let _running = meter.run();
            bindings.for_each(|_, changes| {
                changes.drain(..).for_each(|(binding, boundary, diff)| verdicts.bind(boundary, binding, diff));
            });
            facts.for_each(|_, changes| {
                changes.drain(..).for_each(|(fact, boundary, diff)| verdicts.note(boundary, &fact, diff));
            });
            let known = frontiers[2..].iter().filter_map(|f| f.frontier().first().copied()).min();
            let known = known.unwrap_or(LogicalTime::MAX);
            verdicts.samples.release(known, &mut out);
            verdicts.minutes.release(known, &mut out);
            batches.for_each(|_, records| {
                runtime::fault::strike("evaluate");
                verdicts.samples.take(known, Rc::clone(records), &mut out);
            });
            minutes.for_each(|_, records| verdicts.minutes.take(known, Rc::new(std::mem::take(records)), &mut out));
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
