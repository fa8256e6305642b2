//! Rules: every verdict worked out machine by machine and in order of arrival, with the bindings, the phases and the silences written
//! out as the documents say them (ADR 0008, 0015), none of it shared with the graph.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::rule::Input;
use model::{Cause, Change, MachineId, Output, Record, Rule, SeriesKey, Stamped, Timestamp};

use crate::common::{BASE, machine};
use crate::feed::Arrival;
use crate::machines::{IsEvent, MACHINES};

const LAG: u64 = 2_000_000;
const STEP: u64 = 100_000;

/// What is in force from a boundary on, for one machine.
struct Config {
    boundary: u64,
    rules: Vec<Arc<Rule>>,
    tags: BTreeMap<String, String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Calm,
    Pending(Timestamp),
    Firing(Timestamp, Cause),
}

struct Entry {
    rule: Arc<Rule>,
    newest: Option<Timestamp>,
    value: f64,
    phase: Phase,
    heard: Option<u64>,
    asked: u64,
    has_fallen: bool,
}

/// The rules of one kind on one machine.
struct Court<'a> {
    machine: MachineId,
    takes: fn(&Rule) -> bool,
    configs: Vec<Config>,
    /// Series with the boundary whose bindings they have.
    series: BTreeMap<SeriesKey, u64>,
    /// When each series came, as a boundary: before it no rule is bound to it.
    since: BTreeMap<SeriesKey, u64>,
    /// Of those, rules that keep their time because they change sides, each with the boundary that it has.
    held: BTreeMap<(SeriesKey, String), u64>,
    /// Boundaries at which a rule changes from samples to minutes or back.
    crossings: Vec<(u64, String)>,
    entries: BTreeMap<(SeriesKey, String), Entry>,
    /// Newest event time that any rule has judged.
    judged: BTreeMap<SeriesKey, Timestamp>,
    quiet_until: u64,
    changes: &'a mut BTreeSet<String>,
}

const fn boundary_after(t: u64) -> u64 {
    (t / STEP + 1) * STEP
}

pub(crate) fn is_of_samples(rule: &Rule) -> bool {
    rule.input == Input::Sample
}

pub(crate) fn is_of_minutes(rule: &Rule) -> bool {
    rule.input != Input::Sample
}

/// Every change of what falls in a boundary, seen from one machine.
fn configs(records: &[Stamped], machine: &MachineId) -> Vec<Config> {
    let mut all: Vec<Config> = vec![Config { boundary: 0, rules: Vec::new(), tags: BTreeMap::new() }];
    for Stamped { t, record } in records {
        let last = all.last().unwrap();
        let (rules, tags) = match record {
            Record::Rules(set) => (set.rules.clone(), last.tags.clone()),
            Record::Machine(info) if info.machine == *machine => (last.rules.clone(), info.tags.clone()),
            _ => continue,
        };
        let boundary = boundary_after(*t);
        all.retain(|config| config.boundary < boundary);
        all.push(Config { boundary, rules, tags });
    }
    all
}

/// The boundary from which on each series of a machine is there.
fn since(records: &[Stamped], machine: &MachineId) -> BTreeMap<SeriesKey, u64> {
    let mut since = BTreeMap::new();
    for Stamped { t, record } in records {
        let Record::Batch(batch) = record else { continue };
        if batch.machine() == machine && !batch.is_empty() {
            for series in &batch.layout.series {
                since.entry(series.clone()).or_insert(boundary_after(*t));
            }
        }
    }
    since
}

/// Who is told of on another side than before, and by which boundary.
fn crossings(records: &[Stamped]) -> Vec<(u64, String)> {
    let (mut sides, mut all) = (BTreeMap::new(), Vec::new());
    for Stamped { t, record } in records {
        let Record::Rules(set) = record else { continue };
        for rule in &set.rules {
            let before = sides.insert(rule.name.clone(), is_of_samples(rule));
            if before.is_some_and(|before| before != is_of_samples(rule)) {
                all.push((boundary_after(*t), rule.name.clone()));
            }
        }
    }
    all
}

/// Every transition of rules, of either kind of input, from what came to be judged.
pub(crate) fn transitions(
    records: &[Stamped],
    arrivals: &[Arrival],
    takes: fn(&Rule) -> bool,
    (live_from, end): (u64, u64),
) -> BTreeSet<String> {
    let mut changes = BTreeSet::new();
    for machine in MACHINES.map(machine) {
        let mut court = Court {
            configs: configs(records, &machine),
            takes,
            series: BTreeMap::new(),
            since: since(records, &machine),
            held: BTreeMap::new(),
            crossings: crossings(records),
            entries: BTreeMap::new(),
            judged: BTreeMap::new(),
            quiet_until: live_from + 30_000_000,
            changes: &mut changes,
            machine: machine.clone(),
        };
        arrivals.iter().filter(|arrival| arrival.machine == machine).for_each(|arrival| court.take(arrival));
        court.until(end);
    }
    changes
}

impl Court<'_> {
    /// Takes what arrived together.
    fn take(&mut self, Arrival { t, roster, judged, heard, .. }: &Arrival) {
        self.until(*t);
        for series in roster {
            if !self.series.contains_key(series) {
                self.meet(*t, series);
            }
        }
        for look in judged {
            for ((series, _), entry) in self.entries.iter_mut().filter(|((of, _), _)| *of == look.series) {
                let value = look.value(&entry.rule);
                // Of events that share a time each may fire, and none resolves what another fired; a minute is judged once.
                let may_fire = series.is_event() && is_of_samples(&entry.rule) && entry.rule.breaches(value);
                let is_repeat = |newest| look.at < newest || (look.at == newest && !may_fire);
                if entry.newest.is_some_and(is_repeat) {
                    continue;
                }
                let judged = self.judged.entry(series.clone()).or_insert(look.at);
                *judged = look.at.max(*judged);
                if let Some(text) = entry.judge(*t, look.at, value) {
                    self.changes.insert(format!("{} {series} {text}", self.machine));
                }
            }
        }
        for of_rule in heard {
            for (_, entry) in self.entries.iter_mut().filter(|((of, _), _)| of == of_rule) {
                (entry.heard, entry.has_fallen) = (Some(*t), false);
            }
        }
    }

    /// A new series has its bindings at once, but for rules that are about to change sides.
    fn meet(&mut self, t: u64, series: &SeriesKey) {
        let (now, open) = (t.saturating_sub(LAG), boundary_after(t));
        let crossers = self.crossings.iter().filter(|(boundary, _)| now < *boundary && *boundary <= open);
        let crossers: BTreeSet<String> = crossers.map(|(_, name)| name.clone()).collect();
        self.series.insert(series.clone(), open);
        self.rebind(t, series, open, |name| !crossers.contains(name));
        if self.since[series] <= now {
            self.rebind(t, series, now, |name| crossers.contains(name));
        }
        self.held.extend(crossers.into_iter().map(|name| ((series.clone(), name), now)));
    }

    /// What a boundary changes takes effect.
    fn edit(&mut self, t: u64, boundary: u64) {
        let late = self.series.iter().filter(|(_, has)| **has < boundary).map(|(series, _)| series.clone());
        for series in late.collect::<Vec<_>>() {
            self.series.insert(series.clone(), boundary);
            self.held.retain(|(of, _), _| *of != series);
            self.rebind(t, &series, boundary, |_| true);
        }
        let held = self.held.iter().filter(|(_, has)| **has < boundary).map(|(held, _)| held.clone());
        for (series, rule) in held.collect::<Vec<_>>() {
            self.held.insert((series.clone(), rule.clone()), boundary);
            if self.since[&series] <= boundary {
                self.rebind(t, &series, boundary, |name| name == rule);
            }
        }
    }

    /// Edits that take effect and silences that fall due, in order, an edit before a silence of its moment.
    fn until(&mut self, now: u64) {
        loop {
            let slowest = self.series.values().chain(self.held.values()).min().copied().unwrap_or(u64::MAX);
            // What is held takes effect with its series, too, where that came after the edit.
            let came = self.held.iter().map(|((series, _), has)| (self.since[series], *has));
            let came = came.filter(|(since, has)| has < since).map(|(since, _)| since);
            let edit =
                self.configs.iter().map(|config| config.boundary).chain(came).filter(|boundary| *boundary > slowest);
            let is_late = |b: &u64| self.series.values().chain(self.held.values()).any(|has| has < b);
            let edit = edit.filter(is_late).min().map(|b| b + LAG);
            let silence = self.entries.values().filter_map(|entry| entry.due(self.quiet_until)).min();
            match (edit.filter(|t| *t <= now), silence.filter(|t| *t <= now)) {
                (Some(edit), silence) if silence.is_none_or(|silence| edit <= silence) => {
                    self.edit(edit, edit - LAG);
                }
                (_, Some(silence)) => self.fall(silence),
                (_, None) => return,
            }
        }
    }

    /// Puts the bindings of a boundary in effect on a series, of the rules that are meant.
    fn rebind(&mut self, t: u64, series: &SeriesKey, boundary: u64, is_meant: impl Fn(&str) -> bool) {
        let config = self.configs.iter().rfind(|config| config.boundary <= boundary).unwrap();
        let applies = |rule: &Rule| {
            let is_of_series =
                rule.metric == series.metric.as_ref() && rule.matches(&self.machine, &config.tags, &series.labels);
            (self.takes)(rule) && rule.enabled && is_of_series && is_meant(&rule.name)
        };
        let rules: Vec<Arc<Rule>> = config.rules.iter().filter(|rule| applies(rule)).cloned().collect();
        // What any rule has judged is not judged again by a new one.
        let just_after = Duration::from_micros(u64::from(series.is_event()));
        let newest = self.judged.get(series).map(|judged| *judged + just_after);
        let machine = self.machine.clone();
        for rule in &rules {
            let key = (series.clone(), rule.name.clone());
            let entry = self.entries.entry(key).or_insert_with(|| Entry {
                rule: Arc::clone(rule),
                newest,
                value: 0.0,
                phase: Phase::Calm,
                heard: None,
                asked: t,
                has_fallen: false,
            });
            if rule.no_data_s.is_none() {
                (entry.heard, entry.has_fallen) = (None, false);
            }
            if entry.rule.no_data_s.is_none() {
                // Heard of only under a rule that asks.
                entry.heard = None;
            }
            let before = std::mem::replace(&mut entry.rule, Arc::clone(rule));
            entry.asked = t;
            if before.input != rule.input
                && let Phase::Firing(since, _) = std::mem::replace(&mut entry.phase, Phase::Calm)
            {
                let text = entry.text(Change::Resolved, Cause::RuleGone, (Timestamp::from_logical(t), since));
                self.changes.insert(format!("{machine} {series} {text}"));
            }
            if let (Phase::Firing(since, Cause::NoData), None) = (entry.phase, rule.no_data_s) {
                entry.phase = Phase::Calm;
                let text = entry.text(Change::Resolved, Cause::RuleGone, (Timestamp::from_logical(t), since));
                self.changes.insert(format!("{machine} {series} {text}"));
            }
        }
        let gone: Vec<(SeriesKey, String)> = self
            .entries
            .keys()
            .filter(|(of, name)| of == series && is_meant(name) && !rules.iter().any(|rule| rule.name == *name))
            .cloned()
            .collect();
        for key in gone {
            let entry = self.entries.remove(&key).unwrap();
            if let Phase::Firing(since, _) = entry.phase {
                let text = entry.text(Change::Resolved, Cause::RuleGone, (Timestamp::from_logical(t), since));
                self.changes.insert(format!("{machine} {series} {text}"));
            }
        }
    }

    fn fall(&mut self, due: u64) {
        for ((series, _), entry) in &mut self.entries {
            if entry.due(self.quiet_until).is_none_or(|at| due < at) {
                continue;
            }
            entry.has_fallen = true;
            if !matches!(entry.phase, Phase::Firing(..)) {
                let since = Timestamp::from_logical(due);
                entry.phase = Phase::Firing(since, Cause::NoData);
                let text = entry.text(Change::Fired, Cause::NoData, (since, since));
                self.changes.insert(format!("{} {series} {text}", self.machine));
            }
        }
    }
}

impl Entry {
    fn due(&self, quiet_until: u64) -> Option<u64> {
        let after = u64::from(self.rule.no_data_s?) * 1_000_000;
        let heard = self.heard.filter(|_| !self.has_fallen)?;
        Some((heard + after).max(quiet_until).max(self.asked))
    }

    /// The change of the verdict, if there is one.
    fn judge(&mut self, t: u64, at: Timestamp, value: f64) -> Option<String> {
        (self.newest, self.value) = (Some(at), value);
        let breaches = self.rule.breaches(value);
        match self.phase {
            Phase::Firing(since, cause) if !self.rule.still_holds(value) => {
                self.phase = Phase::Calm;
                let at = if cause == Cause::NoData { Timestamp::from_logical(t) } else { at };
                Some(self.text(Change::Resolved, cause, (at, since)))
            }
            Phase::Firing(..) => None,
            Phase::Calm | Phase::Pending(_) if !breaches => {
                self.phase = Phase::Calm;
                None
            }
            phase @ (Phase::Calm | Phase::Pending(_)) => {
                let since = if let Phase::Pending(since) = phase { since } else { at };
                let has_lasted = u64::from(self.rule.for_s) <= at.since(since).as_secs();
                self.phase = if has_lasted { Phase::Firing(at, Cause::Threshold) } else { Phase::Pending(since) };
                has_lasted.then(|| self.text(Change::Fired, Cause::Threshold, (at, at)))
            }
        }
    }

    fn text(&self, change: Change, cause: Cause, (at, since): (Timestamp, Timestamp)) -> String {
        text(&self.rule.name, (change, cause), (at, since), self.value)
    }
}

fn text(rule: &str, what: (Change, Cause), (at, since): (Timestamp, Timestamp), value: f64) -> String {
    let (change, cause) = what;
    format!("{rule} {change:?} {cause:?} at {} since {} value {value}", at.micros() - BASE, since.micros() - BASE)
}

/// The same of what left the graph; none may come twice.
pub(crate) fn published(outputs: &[(u64, Output)]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut firing: BTreeMap<(String, MachineId, SeriesKey), u64> = BTreeMap::new();
    for (t, output) in outputs {
        let Output::Transition(change) = output else { continue };
        let key = (change.rule.name.clone(), change.machine.clone(), change.series.as_ref().clone());
        let what = text(&change.rule.name, (change.change, change.cause), (change.at, change.since), change.value);
        let text = format!("{} {} {what}", change.machine, change.series);
        let alternates = match change.change {
            Change::Fired => firing.insert(key, *t).is_none(),
            Change::Resolved => firing.remove(&key).is_some_and(|fired| fired <= *t),
        };
        assert!(alternates, "A-1: {text}");
        if change.rule.name != pipeline::MACHINE_DOWN {
            assert!(all.insert(text.clone()), "A-1: {text} twice");
        }
    }
    all
}
