//! Normalize: what was sent becomes what it means. Catalogue names, base units, valid values, dense slots.
//!
//! In: journal records. Out, on four ports: normalized batches; refused samples and descriptions of machines, for the sinks;
//! facts of series and rules, for the control plane; introductions of machines, for presence.
//! State: per machine its series by slot and its tags, per layout how it maps; freed when the machine is silent for a day.
//! Time: none but forgetting; each sample is judged by itself. Loss: none; what is refused leaves as a dead letter with its reason.

mod layout;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::BuildHasher;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use model::{
    Batch, Bound, LayoutId, LogicalTime, MachineId, MachineInfo, Output, Record, Roster, RuleSet, SeriesKey, Silence,
    SilenceSet,
};

use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::InputCapability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::control::facts::{Change, Fact, ForgottenFact, MachineFact, RuleFact, SeriesFact};
use crate::counters::Counters;
use crate::introspect::{Counted, Meter};
use crate::operators::presence::Introduction;
use crate::settings::{Settings, ticks};
use crate::stage::{At, Records, Shared, SharedRecords, WARM};
use layout::{Layout, REFUSED, SharedLimits};

/// Layouts remembered per worker; beyond it the memory starts anew, which costs a rebuild each.
const LAYOUTS_MAX: usize = 200_000;

/// Layouts remembered of one machine, as many as one of its streams may use: whoever sends ever new ones pushes out only his own.
const LAYOUTS_PER_MACHINE_MAX: usize = 32;

/// What leaves the operator, by port.
#[derive(Debug, Default)]
pub struct Ports {
    pub batches: Vec<At<Bound>>,
    pub outputs: Vec<At<Output>>,
    pub facts: Vec<At<Change>>,
    pub introductions: Vec<At<Introduction>>,
}

impl Ports {
    fn len(&self) -> usize {
        self.batches.len() + self.outputs.len() + self.facts.len() + self.introductions.len()
    }
}

/// The names of a worker's machines and series.
pub struct Names {
    settings: Settings,
    worker: u32,
    machines: HashMap<MachineId, Machine>,
    /// Of series.
    hasher: DefaultHashBuilder,
    layouts: HashMap<LayoutId, Layout>,
    limits: SharedLimits,
    /// T of each machine's newest record, by index; its length is the next index.
    last_t: Vec<LogicalTime>,
    rules: BTreeMap<String, RuleFact>,
    are_rules_known: bool,
    silences: BTreeSet<Arc<Silence>>,
    swept: LogicalTime,
    counters: Arc<Counters>,
}

struct Machine {
    roster: Arc<Roster>,
    /// By the hash of the series; the names themselves are in the roster.
    slots: HashTable<u32>,
    tags: Arc<BTreeMap<String, String>>,
    /// Its layouts, the one bound last at the back.
    layouts: VecDeque<LayoutId>,
}

impl Names {
    pub fn new(settings: &Settings, worker: usize, counters: Arc<Counters>) -> Self {
        Self {
            settings: settings.clone(),
            // Workers are threads: there are few.
            worker: u32::try_from(worker).unwrap_or(0),
            machines: HashMap::new(),
            hasher: DefaultHashBuilder::default(),
            layouts: HashMap::new(),
            limits: SharedLimits::default(),
            last_t: Vec::new(),
            rules: BTreeMap::new(),
            are_rules_known: false,
            silences: BTreeSet::new(),
            swept: 0,
            counters,
        }
    }

    pub fn apply(&mut self, t: LogicalTime, record: Record, out: &mut Ports) {
        match record {
            Record::Batch(batch) => self.batch(t, batch, out),
            Record::Machine(info) => self.machine(t, info, out),
            Record::Processes(table) => out.outputs.push(At { t, item: Output::Processes(table) }),
            Record::Rejected(rejected) => {
                self.counters.arrivals.refused(&rejected);
                out.outputs.push(At { t, item: Output::Rejected(rejected) });
            }
            Record::Resent(resent) => out.outputs.push(At { t, item: Output::Resent(resent) }),
            Record::Rules(rules) => self.rules(t, &rules, out),
            Record::Silences(set) => self.silences(t, &set, out),
            // Batches carry their layout; marks are the door's memory.
            Record::Layout(_) | Record::Mark(_) => {}
        }
    }

    fn batch(&mut self, t: LogicalTime, batch: Arc<Batch>, out: &mut Ports) {
        self.counters.accepted.add(batch.len());
        if batch.is_empty() {
            return;
        }
        let id = batch.layout.id;
        let layout = match self.layouts.get(&id) {
            Some(layout) => layout,
            None => {
                self.bind(t, &batch.layout, out);
                let Some(layout) = self.layouts.get(&id) else { return };
                layout
            }
        };
        self.last_t[layout.bound.index() as usize] = t;
        let mut bound = Bound::new(batch, Arc::clone(&layout.bound));
        if !layout.takes_as_is(&bound) {
            bound = Bound::new(layout.mend(t, &bound.batch, &self.counters, out), bound.layout);
        }
        // One without a valid value goes on too: its machine has been heard of.
        out.batches.push(At { t, item: bound });
    }

    /// See `Stage::warm`. What ingest has written comes from far, and is needed by every operator behind this one. Step by step, for
    /// each record's next read depends on the one before it.
    fn warm(&self, records: &[At<Record>]) {
        const LINE: usize = 8;
        let batches = || {
            records.iter().filter_map(|at| match &at.item {
                Record::Batch(batch) => Some(batch),
                _ => None,
            })
        };
        black_box(batches().fold(0, |read, batch| read ^ batch.values.len()));
        let values = |batch: &Batch| batch.values.iter().step_by(LINE).fold(0, |read, value| read ^ value.to_bits());
        black_box(batches().fold(0, |read, batch| read ^ batch.layout.id.0 ^ values(batch)));
        let mut layouts = [None; WARM];
        batches().zip(&mut layouts).for_each(|(batch, layout)| *layout = self.layouts.get(&batch.layout.id));
        let layouts = || layouts.iter().flatten();
        black_box(layouts().fold(false, |read, layout| read ^ layout.has_refused));
        black_box(layouts().fold(0, |read, layout| read ^ layout.bound.index()));
    }

    /// Maps a layout that is new here, extending its machine's roster by the series that are new.
    fn bind(&mut self, t: LogicalTime, sent: &model::Layout, out: &mut Ports) {
        if self.layouts.len() >= LAYOUTS_MAX {
            self.layouts.clear();
        }
        let (catalogue, series_max) = (self.settings.catalogue, self.settings.series_per_machine_max);
        let resolved: Vec<_> = sent.series.iter().map(|key| catalogue.resolve(key)).collect();
        let hasher = self.hasher.clone();
        let machine = self.known(&sent.machine, t);
        let mut series: Vec<Arc<SeriesKey>> = machine.roster.series.to_vec();
        let mut slots = Vec::with_capacity(resolved.len());
        let mut added = Vec::new();
        for item in &resolved {
            let hash = hasher.hash_one(&item.key);
            let slot = match machine.slots.find(hash, |slot| *series[*slot as usize] == item.key) {
                Some(slot) => *slot,
                None if series.len() >= series_max => REFUSED,
                None => {
                    // Bounded by series_per_machine_max.
                    let slot = u32::try_from(series.len()).unwrap_or(REFUSED);
                    let key = Arc::new(item.key.clone());
                    series.push(Arc::clone(&key));
                    machine.slots.insert_unique(hash, slot, |slot| hasher.hash_one(&series[*slot as usize]));
                    added.push((slot, key));
                    slot
                }
            };
            slots.push(slot);
        }
        if !added.is_empty() {
            let Roster { machine: id, index, .. } = machine.roster.as_ref();
            machine.roster = Arc::new(Roster { machine: id.clone(), index: *index, series: series.into() });
        }
        let (roster, tags) = (Arc::clone(&machine.roster), Arc::clone(&machine.tags));
        machine.layouts.push_back(sent.id);
        let oldest = if machine.layouts.len() > LAYOUTS_PER_MACHINE_MAX { machine.layouts.pop_front() } else { None };
        if let Some(oldest) = oldest {
            self.layouts.remove(&oldest);
        }
        for (slot, key) in added {
            let fact = Fact::Series(self.series_fact(&roster, slot, &tags, key));
            out.facts.push(At { t, item: (fact, 1) });
        }
        self.layouts.insert(sent.id, Layout::new(roster, slots, &resolved, &mut self.limits));
    }

    fn series_fact(
        &self,
        roster: &Roster,
        slot: u32,
        tags: &Arc<BTreeMap<String, String>>,
        key: Arc<SeriesKey>,
    ) -> SeriesFact {
        let (machine, tags) = (roster.machine.clone(), Arc::clone(tags));
        SeriesFact { worker: self.worker, index: roster.index, slot, machine, tags, key }
    }

    fn known(&mut self, id: &MachineId, t: LogicalTime) -> &mut Machine {
        let last_t = &mut self.last_t;
        let machine = self.machines.entry(id.clone()).or_insert_with(|| {
            // Bounded by memory long before: an index costs 8 bytes.
            let index = u32::try_from(last_t.len()).expect("fewer than 2^32 machines in one run");
            last_t.push(t);
            let roster = Arc::new(Roster { machine: id.clone(), index, series: Box::new([]) });
            Machine { roster, slots: HashTable::new(), tags: Arc::default(), layouts: VecDeque::new() }
        });
        last_t[machine.roster.index as usize] = t;
        machine
    }

    fn machine(&mut self, t: LogicalTime, info: Arc<MachineInfo>, out: &mut Ports) {
        let machine = self.known(&info.machine, t);
        let index = machine.roster.index;
        if *machine.tags != info.tags {
            let before = std::mem::replace(&mut machine.tags, Arc::new(info.tags.clone()));
            let (roster, after) = (Arc::clone(&machine.roster), Arc::clone(&machine.tags));
            for (slot, key) in (0_u32..).zip(&roster.series) {
                for (tags, diff) in [(&before, -1), (&after, 1)] {
                    let fact = Fact::Series(self.series_fact(&roster, slot, tags, Arc::clone(key)));
                    out.facts.push(At { t, item: (fact, diff) });
                }
            }
            // Only machines with tags are facts of their own.
            for (tags, diff) in [(before, -1), (after, 1)] {
                out.facts.extend(machine_fact(&roster.machine, &tags).map(|fact| At { t, item: (fact, diff) }));
            }
        }
        let machine = info.machine.clone();
        let introduction = Introduction { machine, index, interval_ms: info.interval_ms, arrival: info.arrival };
        out.introductions.push(At { t, item: introduction });
        out.outputs.push(At { t, item: Output::Machine(info) });
    }

    /// Replaces the rules in force; what stays the same says nothing.
    fn rules(&mut self, t: LogicalTime, set: &RuleSet, out: &mut Ports) {
        let canonical = |rule: &Arc<model::Rule>| match self.settings.catalogue.find(&rule.metric) {
            Some(metric) if metric.name != rule.metric => {
                Arc::new(model::Rule { metric: metric.name.to_owned(), ..rule.as_ref().clone() })
            }
            _ => Arc::clone(rule),
        };
        let next: BTreeMap<String, RuleFact> =
            set.rules.iter().map(|rule| (rule.name.clone(), RuleFact::new(canonical(rule)))).collect();
        let gone = self.rules.iter().filter(|(name, rule)| next.get(*name) != Some(*rule)).map(|(_, rule)| (rule, -1));
        let come = next.iter().filter(|(name, rule)| self.rules.get(*name) != Some(*rule)).map(|(_, rule)| (rule, 1));
        for (rule, diff) in gone.chain(come) {
            out.facts.push(At { t, item: (Fact::Rule(rule.clone()), diff) });
        }
        self.rules = next;
        // A replay tells of the rules of then; each start tells those of now.
        if self.settings.live_from <= t && !std::mem::replace(&mut self.are_rules_known, true) {
            out.facts.push(At { t, item: (Fact::RulesKnown, 1) });
        }
    }

    /// Replaces the silences; what stays the same says nothing.
    fn silences(&mut self, t: LogicalTime, set: &SilenceSet, out: &mut Ports) {
        let next: BTreeSet<Arc<Silence>> = set.silences.iter().cloned().collect();
        let gone = self.silences.difference(&next).map(|silence| (silence, -1));
        let come = next.difference(&self.silences).map(|silence| (silence, 1));
        for (silence, diff) in gone.chain(come) {
            out.facts.push(At { t, item: (Fact::Silence(Arc::clone(silence)), diff) });
        }
        self.silences = next;
    }

    /// Forgets machines that have been silent for a day, once an hour.
    pub fn advance(&mut self, now: LogicalTime, out: &mut Ports) {
        const HOUR: LogicalTime = 3_600_000_000;
        if now < self.swept.saturating_add(HOUR) {
            return;
        }
        self.swept = now;
        let forget_after = ticks(self.settings.window.forget_after);
        let is_old = |machine: &Machine| self.last_t[machine.roster.index as usize].saturating_add(forget_after) < now;
        let mut old: Vec<MachineId> =
            self.machines.values().filter(|m| is_old(m)).map(|m| m.roster.machine.clone()).collect();
        // In id order, so that a replay retracts in the same order.
        old.sort();
        for id in old {
            let Some(machine) = self.machines.remove(&id) else {
                continue;
            };
            let (worker, index) = (self.worker, machine.roster.index);
            let forgotten = ForgottenFact { worker, index, machine: id.clone() };
            out.facts.push(At { t: now, item: (Fact::Forgotten(forgotten), 1) });
            for (slot, key) in (0_u32..).zip(&machine.roster.series) {
                let fact = Fact::Series(self.series_fact(&machine.roster, slot, &machine.tags, Arc::clone(key)));
                out.facts.push(At { t: now, item: (fact, -1) });
            }
            out.facts.extend(machine_fact(&id, &machine.tags).map(|fact| At { t: now, item: (fact, -1) }));
            self.layouts.retain(|_, layout| layout.bound.roster.machine != id);
        }
    }
}

fn machine_fact(machine: &MachineId, tags: &Arc<BTreeMap<String, String>>) -> Option<Fact> {
    let fact = MachineFact { machine: machine.clone(), tags: Arc::clone(tags) };
    (!tags.is_empty()).then_some(Fact::Machine(fact))
}

/// Runs the names of a worker on its records: batches, outputs, facts, introductions.
pub fn normalize<'s>(records: Records<'s, Record>, mut names: Names) -> Normalized<'s> {
    let scope = records.scope();
    let mut builder = OperatorBuilder::new("normalize".to_owned(), scope);
    let (meter, pact) = (Meter::of(scope.worker(), &builder.operator_info(), "normalize"), Counted::on(&records));
    let mut input = builder.new_input(records, pact);
    let (batches, batch_stream) = builder.new_output();
    let (outputs, output_stream) = builder.new_output();
    let (facts, fact_stream) = builder.new_output();
    let (introductions, introduction_stream) = builder.new_output();
    let mut batches = OutputBuilder::<_, CapacityContainerBuilder<Shared<_>>>::from(batches);
    let mut outputs = OutputBuilder::<_, CapacityContainerBuilder<Vec<_>>>::from(outputs);
    let mut facts = OutputBuilder::<_, CapacityContainerBuilder<Vec<_>>>::from(facts);
    let mut introductions = OutputBuilder::<_, CapacityContainerBuilder<Vec<_>>>::from(introductions);
    builder.build(move |_capabilities| {
        let mut out = Ports::default();
        move |_frontiers| {
            let _running = meter.run();
            input.for_each(|time, records| {
                runtime::fault::strike("normalize");
                out.batches.reserve(records.len());
                let mut records = records.drain(..);
                while let Some(next) = records.as_slice().chunks(WARM).next() {
                    names.warm(next);
                    for At { t, item } in records.by_ref().take(WARM) {
                        names.advance(t, &mut out);
                        names.apply(t, item, &mut out);
                    }
                }
                meter.gave(out.len());
                if !out.batches.is_empty() {
                    let mut shared = Rc::new(std::mem::take(&mut out.batches));
                    batches.activate().session(&time).give_container(&mut shared);
                }
                send(&mut outputs, &time, &mut out.outputs);
                send(&mut facts, &time, &mut out.facts);
                send(&mut introductions, &time, &mut out.introductions);
            });
        }
    });
    Normalized { batches: batch_stream, outputs: output_stream, facts: fact_stream, introductions: introduction_stream }
}

/// The four streams that `normalize` makes of one.
pub struct Normalized<'s> {
    pub batches: SharedRecords<'s, Bound>,
    pub outputs: Records<'s, Output>,
    pub facts: Records<'s, Change>,
    pub introductions: Records<'s, Introduction>,
}

type Port<T> = OutputBuilder<LogicalTime, CapacityContainerBuilder<Vec<At<T>>>>;

fn send<T: Clone + 'static>(port: &mut Port<T>, time: &InputCapability<LogicalTime>, records: &mut Vec<At<T>>) {
    if !records.is_empty() {
        port.activate().session(time).give_container(records);
    }
}
