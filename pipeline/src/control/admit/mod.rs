//! Admit: which series and which rules are joined, so that the join never makes more bindings than there are places for.
//!
//! In: facts of series, on the worker that has their machine, and of rules, on every worker. Out: those that are joined.
//! Each worker counts what its rules and series come to before differential makes it: a rule that needs more places than are left is
//! refused whole, and so is a series; who has places keeps them. When some come free, what was refused is asked again.
//! State: the worker's series and rules by metric, some 40 bytes a series. Time: boundary by boundary, each once it is complete, and within
//! one in order of the facts, so that a replay refuses the same. Loss: none but what is refused, which is counted, and told rule by rule
//! (`unjudged.rs`).
//! Invariants: Q-3 no boundary makes more bindings than `bindings_max`, and who has places keeps them.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use differential_dataflow::consolidation::consolidate;
use model::{LogicalTime, MachineId, SeriesKey};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::vec::{Broadcast, Filter};

use crate::control::coarsen::FactUpdates;
use crate::control::facts::{Change, Fact, RuleFact, SeriesFact};
use crate::counters::Counters;
use crate::introspect::Meter;
use crate::settings::Settings;

/// A worker's series and rules, and the places that are left.
pub struct Admission {
    worker: u32,
    metrics: BTreeMap<Arc<str>, Metric>,
    machines: Machines,
    room: usize,
    counters: Arc<Counters>,
}

/// Series and rules of one metric: only they can meet.
#[derive(Default)]
struct Metric {
    series: BTreeMap<Place, Arc<SeriesKey>>,
    series_refused: BTreeMap<Place, Arc<SeriesKey>>,
    rules: BTreeSet<RuleFact>,
    /// With the places that each needs.
    rules_refused: BTreeMap<RuleFact, usize>,
}

/// Index of the machine, slot of the series.
type Place = (u32, u32);

/// By index: those that have series.
type Machines = BTreeMap<u32, Machine>;

struct Machine {
    id: MachineId,
    tags: Arc<BTreeMap<String, String>>,
    series: usize,
}

impl Admission {
    pub fn new(settings: &Settings, worker: usize, counters: Arc<Counters>) -> Self {
        Self {
            // Workers are threads: there are few.
            worker: u32::try_from(worker).unwrap_or(0),
            metrics: BTreeMap::new(),
            machines: Machines::new(),
            room: settings.bindings_of_worker(),
            counters,
        }
    }

    /// Takes all changes of one boundary; gives those of what is joined.
    pub fn take(&mut self, mut changes: Vec<Change>) -> Vec<Change> {
        consolidate(&mut changes);
        let mut out = Vec::with_capacity(changes.len());
        let series = |sign| changes.iter().filter_map(move |(fact, diff)| fact.series().filter(|_| *diff == sign));
        let rules = |sign| changes.iter().filter_map(move |(fact, diff)| fact.rule().filter(|_| *diff == sign));
        // Series go first and come last: a rule is held against those that stay, and an edited one finds the places that it had.
        series(-1).for_each(|fact| self.remove_series(fact, &mut out));
        rules(-1).for_each(|fact| self.remove_rule(fact, &mut out));
        rules(1).for_each(|fact| self.add_rule(fact, &mut out));
        series(1).for_each(|fact| self.add_series(fact, &mut out));
        if changes.iter().any(|(_, diff)| *diff < 0) {
            self.ask_again(&mut out);
        }
        out
    }

    fn remove_series(&mut self, fact: &SeriesFact, out: &mut Vec<Change>) {
        let place = (fact.index, fact.slot);
        if let Some(metric) = self.metrics.get_mut(&fact.key.metric)
            && let Some(was_in) = metric.take_out(place)
        {
            let applies = |rule: &&RuleFact| applies(rule, &self.machines, fact.index, &fact.key);
            let waits_for = |rule: &RuleFact| self.counters.unjudged.sub(&rule.rule.name, 1);
            metric.rules_refused.keys().filter(applies).for_each(waits_for);
            if was_in {
                self.room += metric.needs_series(&self.machines, place, &fact.key);
                let refused = metric.rules_refused.iter_mut();
                refused.filter(|(rule, _)| applies(rule)).for_each(|(_, needs)| *needs -= 1);
                out.push((Fact::Series(fact.clone()), -1));
            } else {
                metric.rules.iter().filter(applies).for_each(waits_for);
            }
        }
        if let Some(machine) = self.machines.get_mut(&fact.index) {
            machine.series -= 1;
            if machine.series == 0 {
                self.machines.remove(&fact.index);
            }
        }
    }

    fn remove_rule(&mut self, fact: &RuleFact, out: &mut Vec<Change>) {
        let Some(metric) = self.metrics.get_mut(fact.rule.metric.as_str()) else { return };
        self.counters.unjudged.forget(&fact.rule.name);
        if metric.rules_refused.remove(fact).is_none() && metric.rules.remove(fact) {
            self.room += metric.needs_rule(&self.machines, fact);
            out.push((Fact::Rule(fact.clone()), -1));
        }
    }

    fn add_rule(&mut self, fact: &RuleFact, out: &mut Vec<Change>) {
        let metric = self.metrics.entry(fact.rule.metric.as_str().into()).or_default();
        let needs = metric.needs_rule(&self.machines, fact);
        let waiting = places_of(&metric.series_refused, &self.machines, fact);
        self.counters.unjudged.add(&fact.rule.name, waiting);
        if needs <= self.room {
            self.room -= needs;
            metric.rules.insert(fact.clone());
            out.push((Fact::Rule(fact.clone()), 1));
        } else {
            metric.rules_refused.insert(fact.clone(), needs);
            self.counters.bindings_refused.add(needs);
            self.counters.unjudged.add(&fact.rule.name, needs);
        }
    }

    fn add_series(&mut self, fact: &SeriesFact, out: &mut Vec<Change>) {
        let SeriesFact { index, slot, machine, tags, key, .. } = fact;
        let (id, tags) = (machine.clone(), Arc::clone(tags));
        self.machines.entry(*index).or_insert(Machine { id, tags, series: 0 }).series += 1;
        let metric = self.metrics.entry(Arc::clone(&key.metric)).or_default();
        let waits_for = |rule: &RuleFact| self.counters.unjudged.add(&rule.rule.name, 1);
        let applies = |rule: &&RuleFact| applies(rule, &self.machines, *index, key);
        metric.rules_refused.keys().filter(applies).for_each(waits_for);
        let refused = match metric.let_in(&self.machines, &mut self.room, (*index, *slot), key) {
            Ok(refused) => {
                out.push((Fact::Series(fact.clone()), 1));
                refused
            }
            Err(needs) => {
                metric.rules.iter().filter(applies).for_each(waits_for);
                metric.series_refused.insert((*index, *slot), Arc::clone(key));
                needs
            }
        };
        self.counters.bindings_refused.add(refused);
    }

    /// Lets in what was refused and has room now: of each metric the rules, then the series, one by one in their order, up to the first
    /// that has none: somebody whose series come and go would otherwise have all that wait be looked at each time.
    fn ask_again(&mut self, out: &mut Vec<Change>) {
        let (machines, room, worker, unjudged) = (&self.machines, &mut self.room, self.worker, &self.counters.unjudged);
        for metric in self.metrics.values_mut() {
            let fits = |_: &RuleFact, needs: &mut usize| room.checked_sub(*needs).map(|left| *room = left).is_some();
            for (rule, needs) in metric.rules_refused.extract_if(.., fits) {
                unjudged.sub(&rule.rule.name, needs);
                metric.rules.insert(rule.clone());
                out.push((Fact::Rule(rule), 1));
            }
            while let Some(((index, slot), key)) = metric.series_refused.pop_first() {
                if metric.let_in(machines, room, (index, slot), &key).is_err() {
                    metric.series_refused.insert((index, slot), key);
                    break;
                }
                let has_it = metric.rules.iter().filter(|rule| applies(rule, machines, index, &key));
                has_it.for_each(|rule| unjudged.sub(&rule.rule.name, 1));
                let Some(Machine { id, tags, .. }) = machines.get(&index) else { continue };
                let (machine, tags) = (id.clone(), Arc::clone(tags));
                out.push((Fact::Series(SeriesFact { worker, index, slot, machine, tags, key }), 1));
            }
        }
        self.metrics.retain(|_, metric| !metric.is_empty());
    }
}

impl Metric {
    /// Places that a series needs under the rules that have theirs.
    fn needs_series(&self, machines: &Machines, (index, _): Place, key: &SeriesKey) -> usize {
        self.rules.iter().filter(|rule| applies(rule, machines, index, key)).count()
    }

    /// Places that a rule needs on the series that have theirs.
    fn needs_rule(&self, machines: &Machines, rule: &RuleFact) -> usize {
        places_of(&self.series, machines, rule)
    }

    /// Whether the series that goes had its places; none when it is not known.
    fn take_out(&mut self, place: Place) -> Option<bool> {
        let was_refused = self.series_refused.remove(&place).is_some();
        (was_refused || self.series.remove(&place).is_some()).then_some(!was_refused)
    }

    /// Gives a series its places and says how many rules that have none would apply to it.
    ///
    /// # Errors
    /// How many places it needs, when there are fewer.
    fn let_in(
        &mut self,
        machines: &Machines,
        room: &mut usize,
        place: Place,
        key: &Arc<SeriesKey>,
    ) -> Result<usize, usize> {
        let needs = self.needs_series(machines, place, key);
        *room = room.checked_sub(needs).ok_or(needs)?;
        self.series.insert(place, Arc::clone(key));
        let mut refused = 0;
        for (_, needs) in self.rules_refused.iter_mut().filter(|(rule, _)| applies(rule, machines, place.0, key)) {
            *needs += 1;
            refused += 1;
        }
        Ok(refused)
    }

    fn is_empty(&self) -> bool {
        let has_series = !self.series.is_empty() || !self.series_refused.is_empty();
        !has_series && self.rules.is_empty() && self.rules_refused.is_empty()
    }
}

/// Places that a rule needs on these series.
fn places_of(series: &BTreeMap<Place, Arc<SeriesKey>>, machines: &Machines, rule: &RuleFact) -> usize {
    series.iter().filter(|((index, _), key)| applies(rule, machines, *index, key)).count()
}

fn applies(rule: &RuleFact, machines: &Machines, index: u32, key: &SeriesKey) -> bool {
    machines.get(&index).is_some_and(|machine| rule.applies(&machine.id, &machine.tags, key))
}

/// Runs the admission of a worker on the facts.
pub fn admit<'s>(facts: FactUpdates<'s>, mut admission: Admission) -> FactUpdates<'s> {
    let scope = facts.scope();
    let mut builder = OperatorBuilder::new("admit".to_owned(), scope);
    let meter = Meter::of(scope.worker(), &builder.operator_info(), "admit");
    let rules = facts.clone().filter(|(fact, _, _)| fact.rule().is_some()).broadcast();
    let mut series = builder.new_input(facts.filter(|(fact, _, _)| fact.series().is_some()), Pipeline);
    let mut rules = builder.new_input(rules, Pipeline);
    let (output, stream) = builder.new_output();
    let mut output = OutputBuilder::<_, CapacityContainerBuilder<Vec<_>>>::from(output);
    builder.build(move |_capabilities| {
        let mut open: BTreeMap<LogicalTime, (Capability<LogicalTime>, Vec<Change>)> = BTreeMap::new();
        move |frontiers| {
            let _running = meter.run();
            for input in [&mut series, &mut rules] {
                input.for_each(|time, changes| {
                    for (fact, boundary, diff) in changes.drain(..) {
                        let begin = || (time.delayed(&boundary, 0), Vec::new());
                        open.entry(boundary).or_insert_with(begin).1.push((fact, diff));
                    }
                });
            }
            let now = frontiers.iter().filter_map(|input| input.frontier().first().copied()).min();
            meter.reached(now);
            while let Some(first) = open.first_entry().filter(|first| now.is_none_or(|now| *first.key() < now)) {
                let (boundary, (capability, changes)) = first.remove_entry();
                let mut admitted: Vec<_> =
                    admission.take(changes).into_iter().map(|(fact, diff)| (fact, boundary, diff)).collect();
                meter.gave(admitted.len());
                output.activate().session(&capability).give_container(&mut admitted);
            }
        }
    });
    stream
}
