//! Evaluate: samples and minutes against the rules that apply to them; out comes a transition when a verdict changes, once.
//!
//! In: normalized batches, minute updates, bindings. Out: transitions.
//! State: per bound series its newest event time, per rule and series the phase (calm, pending, firing); freed with the binding.
//! Time: a record of time T is judged by the bindings of `T - LAG`, and one that brings new series by the bindings of those series;
//! until they are known it waits. So a replay judges every sample by the same rules. `for` elapses in event time and fires on a sample.
//! Order: arrival, skipping what is not newer than its series' newest. Age over two minutes corrects history, never an alert.
//! Loss: none. Invariants: A-1 Fired and Resolved alternate per alert.

mod watched;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;
use std::sync::Arc;

use hashbrown::HashMap;
use model::{Bound, Change, LogicalTime, MachineId, Roster, Rule, SeriesKey, Timestamp, Transition};

use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::control::bindings::BindingUpdates;
use crate::control::coarsen::boundary_after;
use crate::control::facts::Binding;
use crate::counters::Counters;
use crate::introspect::{Counted, Meter};
use crate::operators::presence::MACHINE_DOWN;
use crate::operators::window::MinuteUpdate;
use crate::settings::Settings;
use crate::stage::{At, Records, SharedRecords, WARM};
use watched::Machine;

/// How long after its boundary a changed binding takes effect: longer than the frontier lags in a quiet hub, so that records
/// do not have to wait for it.
const LAG: LogicalTime = 2_000_000;
/// Older than this on arrival, by the collector's own clock: a spool that is replayed. It never changes an alert.
const AGE_MS_MAX: u32 = 120_000;

/// The verdicts of a worker.
pub struct Verdicts {
    machines: Vec<Option<Box<Machine>>>,
    /// Bindings that are not yet in effect, by their boundary.
    coming: BTreeMap<LogicalTime, Vec<(Binding, isize)>>,
    /// Bindings up to here are in effect.
    applied: LogicalTime,
    /// In order of arrival, each waiting for the bindings of a time.
    batches: Waiting<Bound>,
    minutes: Waiting<MinuteUpdate>,
    /// Alerts from before the restart that no binding has claimed yet, by machine.
    persisted: HashMap<MachineId, Vec<Persisted>>,
    live_from: LogicalTime,
    counters: Arc<Counters>,
}

/// A rule that was firing on a series, and since when.
struct Persisted {
    series: Arc<SeriesKey>,
    rule: Arc<Rule>,
    since: Timestamp,
    /// The value that fired: the last that is known.
    value: f64,
}

type Waiting<T> = VecDeque<(LogicalTime, At<T>)>;
type Transitions = Vec<At<Arc<Transition>>>;

impl Verdicts {
    pub fn new(settings: &Settings, counters: Arc<Counters>) -> Self {
        let mut persisted: HashMap<MachineId, Vec<Persisted>> = HashMap::new();
        for alert in settings.firing.iter().filter(|alert| alert.rule.name != MACHINE_DOWN) {
            let (series, rule, since) = (Arc::clone(&alert.series), Arc::clone(&alert.rule), alert.since);
            let value = alert.value;
            persisted.entry(alert.machine.clone()).or_default().push(Persisted { series, rule, since, value });
        }
        Self {
            machines: Vec::new(),
            coming: BTreeMap::new(),
            applied: 0,
            batches: VecDeque::new(),
            minutes: VecDeque::new(),
            persisted,
            live_from: settings.live_from,
            counters,
        }
    }

    /// Notes a change of a binding at its boundary.
    pub fn bind(&mut self, boundary: LogicalTime, binding: Binding, diff: isize) {
        self.coming.entry(boundary).or_default().push((binding, diff));
    }

    /// Takes a batch. `known` is the frontier of the bindings: those of earlier boundaries have all come.
    pub fn batch(&mut self, known: LogicalTime, t: LogicalTime, bound: &Bound, out: &mut Transitions) {
        let needs = self.needs(t, bound.roster());
        if self.batches.is_empty() && needs < known {
            self.judge_batch(needs, t, bound, out);
        } else {
            self.counters.stashed.add(1);
            self.batches.push_back((needs, At { t, item: bound.clone() }));
        }
    }

    /// See `Stage::warm`.
    fn warm(&self, records: &[At<Bound>]) {
        let machines = records.iter().filter_map(|at| self.machines.get(at.item.roster().index as usize)?.as_deref());
        black_box(machines.fold(0, |read, machine| read ^ machine.touch()));
    }

    /// Takes a minute, likewise.
    pub fn minute(&mut self, known: LogicalTime, t: LogicalTime, update: &MinuteUpdate, out: &mut Transitions) {
        let needs = self.needs(t, &update.rows.roster);
        if self.minutes.is_empty() && needs < known {
            self.judge_minute(needs, t, update, out);
        } else {
            self.counters.stashed.add(1);
            self.minutes.push_back((needs, At { t, item: update.clone() }));
        }
    }

    /// Judges what has waited, now that the bindings before `known` have come.
    pub fn release(&mut self, known: LogicalTime, out: &mut Transitions) {
        while let Some((needs, At { t, item })) = self.batches.pop_front_if(|(needs, _)| *needs < known) {
            self.judge_batch(needs, t, &item, out);
        }
        while let Some((needs, At { t, item })) = self.minutes.pop_front_if(|(needs, _)| *needs < known) {
            self.judge_minute(needs, t, &item, out);
        }
    }

    /// Puts bindings in effect that are due at `now`, where no record comes to do it.
    pub fn advance(&mut self, known: LogicalTime, now: LogicalTime, out: &mut Transitions) {
        let needs = now.saturating_sub(LAG);
        if self.batches.is_empty() && self.minutes.is_empty() && needs < known {
            self.apply_until(needs, out);
        }
    }

    /// The earliest logical time that anything may still be published at, where something waits.
    pub fn holds(&self, known: LogicalTime) -> LogicalTime {
        let batch = self.batches.front().map(|(_, record)| record.t);
        let waiting = batch.into_iter().chain(self.minutes.front().map(|(_, record)| record.t)).min();
        let unknown = known.saturating_add(LAG);
        let coming = self.coming.keys().next().map_or(u64::MAX, |boundary| boundary.saturating_add(LAG));
        waiting.unwrap_or(u64::MAX).min(unknown).min(coming)
    }

    pub fn is_idle(&self) -> bool {
        self.batches.is_empty() && self.minutes.is_empty()
    }

    /// The boundary whose bindings must be known before the record is judged.
    fn needs(&mut self, t: LogicalTime, roster: &Roster) -> LogicalTime {
        let lagged = t.saturating_sub(LAG);
        let machine = machine(&mut self.machines, roster.index);
        if machine.known < roster.series.len() {
            machine.known = roster.series.len();
            return boundary_after(t).max(lagged);
        }
        lagged
    }

    fn judge_batch(&mut self, needs: LogicalTime, t: LogicalTime, bound: &Bound, out: &mut Transitions) {
        let before = out.len();
        self.apply_until(needs, out);
        self.settle(t, bound.roster(), out);
        if bound.batch.age_ms <= AGE_MS_MAX
            && let Some(Some(machine)) = self.machines.get_mut(bound.roster().index as usize)
        {
            machine.batch(t, bound, out);
        }
        self.counters.transitions.add(out.len() - before);
    }

    fn judge_minute(&mut self, needs: LogicalTime, t: LogicalTime, update: &MinuteUpdate, out: &mut Transitions) {
        let before = out.len();
        self.apply_until(needs, out);
        self.settle(t, &update.rows.roster, out);
        if let Some(Some(machine)) = self.machines.get_mut(update.rows.roster.index as usize) {
            machine.minute(t, &update.rows, out);
        }
        self.counters.transitions.add(out.len() - before);
    }

    /// Puts the bindings of boundaries up to and including `through` in effect, boundary by boundary.
    fn apply_until(&mut self, through: LogicalTime, out: &mut Transitions) {
        if through <= self.applied {
            return;
        }
        self.applied = through;
        while self.coming.first_key_value().is_some_and(|(boundary, _)| *boundary <= through) {
            let Some((boundary, mut changes)) = self.coming.pop_first() else {
                return;
            };
            // Assertions first: an edited rule is then replaced and keeps its phase. Sorted, so that a replay does the same.
            changes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            for (binding, diff) in changes {
                if diff > 0 { self.assert(binding) } else { self.retract(boundary, &binding, out) }
            }
        }
    }

    fn assert(&mut self, binding: Binding) {
        let Binding { series, rule } = &binding;
        let (id, key, name) = (series.machine.clone(), Arc::clone(&series.key), rule.rule.name.clone());
        let persisted = &mut self.persisted;
        machine(&mut self.machines, series.index).assert(binding, || {
            let alerts = persisted.get_mut(&id)?;
            let at = alerts.iter().position(|alert| alert.rule.name == name && alert.series == key)?;
            Some(alerts.swap_remove(at).since)
        });
    }

    /// A rule that was removed while the hub was down has no binding, so nothing else would ever resolve its alerts: once the bindings
    /// of a machine's series are in effect, what none of them has claimed is resolved. Not in a replay, whose rules are those of then.
    fn settle(&mut self, t: LogicalTime, roster: &Roster, out: &mut Transitions) {
        if t < self.live_from || self.persisted.is_empty() {
            return;
        }
        let Some(alerts) = self.persisted.get_mut(&roster.machine) else { return };
        for Persisted { series, rule, since, value } in
            alerts.extract_if(.., |alert| roster.series.contains(&alert.series))
        {
            let (machine, at, change) = (roster.machine.clone(), Timestamp::from_logical(t), Change::Resolved);
            out.push(At { t, item: Arc::new(Transition { rule, machine, series, change, value, at, since, t }) });
        }
        if alerts.is_empty() {
            self.persisted.remove(&roster.machine);
        }
    }

    fn retract(&mut self, boundary: LogicalTime, binding: &Binding, out: &mut Transitions) {
        if let Some(Some(machine)) = self.machines.get_mut(binding.series.index as usize) {
            machine.retract(boundary.saturating_add(LAG), binding, out);
        }
    }
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
            verdicts.release(known, &mut out);
            batches.for_each(|_, records| {
                runtime::fault::strike("evaluate");
                for records in records.chunks(WARM) {
                    verdicts.warm(records);
                    records.iter().for_each(|At { t, item }| verdicts.batch(known, *t, item, &mut out));
                }
            });
            minutes.for_each(|_, records| {
                records.iter().for_each(|At { t, item }| verdicts.minute(known, *t, item, &mut out));
            });
            let now = frontiers[..2].iter().filter_map(|f| f.frontier().first().copied()).min();
            meter.reached(now.map(|now| now.min(known)));
            verdicts.advance(known, now.unwrap_or(LogicalTime::MAX), &mut out);
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

fn machine(machines: &mut Vec<Option<Box<Machine>>>, index: u32) -> &mut Machine {
    let index = index as usize;
    if machines.len() <= index {
        machines.resize_with(index + 1, || None);
    }
    machines[index].get_or_insert_with(Box::default)
}
