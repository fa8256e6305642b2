//! Fleet: the chosen machines as they are to be shown, kept up to date from the hot state, with an hour of minutes each.
//!
//! Only what passes `Choice` gets in, already without ids, tags and labels: whatever is composed from here cannot tell more. Bounded:
//! machines, metrics, minutes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use model::query::{Changes, MachineView, RangeAnswer};
use model::{MachineId, Status, Timestamp};

use super::choice::{Choice, rounded};
use super::memory::{Counts, Memory};
use crate::protocol::{CHART_POINTS, Machine, NAME_CHARS_MAX, Now};

pub(super) const MINUTE_MS: i64 = 60_000;
const CHART_MINUTES: i64 = 60;
const _: () = assert!(CHART_POINTS == 60, "a chart is an hour");

pub(super) struct Fleet {
    pub(super) choice: Arc<Choice>,
    pub(super) machines: BTreeMap<MachineId, Tracked>,
    /// Chosen, but more than there is room for.
    left_out: BTreeSet<MachineId>,
    next_key: u32,
    /// Rises with every change that is shown.
    pub(super) version: u64,
    /// Rises when machines come and go, and when charts change otherwise than by one minute.
    pub(super) structure: u64,
    /// The newest whole minute, since the epoch.
    pub(super) minute: i64,
    pub(super) counts: Counts,
}

pub(super) struct Tracked {
    rank: usize,
    number: u32,
    name: String,
    pub(super) now: Now,
    pub(super) last_seen: Timestamp,
    pub(super) memory: Memory,
    means: Vec<Mean>,
    charts: Vec<VecDeque<Option<f64>>>,
    is_seeded: bool,
}

#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Fleet {
    pub(super) fn new(choice: Arc<Choice>, now_ms: i64) -> Self {
        Self {
            choice,
            machines: BTreeMap::new(),
            left_out: BTreeSet::new(),
            next_key: 1,
            version: 1,
            structure: 0,
            minute: newest_minute(now_ms),
            counts: Counts::default(),
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn len(&self) -> usize {
        self.machines.len()
    }

    pub(super) fn left_out(&self) -> usize {
        self.left_out.len()
    }

    pub(super) fn take(&mut self, changes: &Changes) {
        for id in &changes.removed {
            self.forget(id);
        }
        for view in &changes.machines {
            self.look(view);
        }
        for alert in &changes.alerts {
            self.hear(alert);
        }
    }

    /// Compares with all machines that there are: finds what fell through, and fills what became free.
    pub(super) fn reconcile(&mut self, views: &[Arc<MachineView>]) {
        let known: BTreeSet<&MachineId> = views.iter().map(|view| &view.machine).collect();
        let gone: Vec<MachineId> = self.machines.keys().filter(|id| !known.contains(id)).cloned().collect();
        gone.iter().for_each(|id| self.forget(id));
        self.left_out.retain(|id| known.contains(id));
        views.iter().for_each(|view| self.look(view));
    }

    fn forget(&mut self, id: &MachineId) {
        self.left_out.remove(id);
        if self.machines.remove(id).is_some() {
            self.structure += 1;
            self.version += 1;
        }
    }

    fn look(&mut self, view: &MachineView) {
        let untagged = BTreeMap::new();
        let tags = view.info.as_deref().map_or(&untagged, |info| &info.tags);
        if !self.choice.allows(&view.machine, tags) {
            return self.forget(&view.machine);
        }
        if !self.machines.contains_key(&view.machine) {
            if self.choice.machines_max <= self.machines.len() {
                self.left_out.insert(view.machine.clone());
                return;
            }
            self.left_out.remove(&view.machine);
            let tracked = self.track(&view.machine);
            self.machines.insert(view.machine.clone(), tracked);
            self.structure += 1;
        }
        let tracked = self.machines.get_mut(&view.machine).expect("it was put there where it was missing");
        if tracked.show(view, &self.choice) {
            self.version += 1;
        }
    }

    fn track(&mut self, id: &MachineId) -> Tracked {
        let called = self.choice.called(id);
        let mut number = u32::from(called.is_numbered);
        // At most as many tries as there are machines.
        let name = loop {
            let name = numbered(&called.name, number);
            if !self.machines.values().any(|tracked| tracked.name == name) {
                break name;
            }
            number = (number + 1).max(2);
        };
        let key = self.next_key;
        self.next_key = self.next_key.wrapping_add(1);
        let width = self.choice.metrics.len();
        Tracked {
            rank: called.rank,
            number,
            name,
            now: Now { key, status: Status::Up, last_seen: None, values: vec![None; width] },
            last_seen: Timestamp::MIN,
            memory: Memory::default(),
            means: vec![Mean::default(); width],
            charts: vec![VecDeque::from(vec![None; CHART_POINTS]); width],
            is_seeded: false,
        }
    }

    /// Lets the charts go on to the newest whole minute; true when they did.
    pub(super) fn advance(&mut self, now_ms: i64) -> bool {
        let newest = newest_minute(now_ms);
        let ahead = newest - self.minute;
        if ahead == 0 || (-CHART_MINUTES..0).contains(&ahead) {
            // A clock that was set back a little waits for itself.
            return false;
        }
        if ahead != 1 {
            self.structure += 1;
        }
        let steps = if ahead < 0 { CHART_MINUTES } else { ahead.min(CHART_MINUTES) };
        for tracked in self.machines.values_mut() {
            tracked.step(steps);
        }
        self.minute = newest;
        self.version += 1;
        self.age(now_ms);
        true
    }

    /// Machines whose hour before is not known yet.
    pub(super) fn unseeded(&self) -> Vec<MachineId> {
        let unseeded = self.machines.iter().filter(|(_, tracked)| !tracked.is_seeded);
        unseeded.map(|(id, _)| id.clone()).collect()
    }

    /// The hour that the charts show, as a range `[from, to)`.
    pub(super) fn hour(&self) -> (Timestamp, Timestamp) {
        let end = (self.minute + 1) * MINUTE_MS;
        (Timestamp::from_millis(end - CHART_MINUTES * MINUTE_MS), Timestamp::from_millis(end))
    }

    /// Fills what the charts do not have from history.
    pub(super) fn seed(&mut self, id: &MachineId, answer: &RangeAnswer) {
        let Some(tracked) = self.machines.get_mut(id) else { return };
        tracked.is_seeded = true;
        let mut folded = vec![vec![None; CHART_POINTS]; self.choice.metrics.len()];
        for points in &answer.series {
            let Some(key) = &points.key else { continue };
            let Some(column) = self.choice.column_of(&key.metric, &key.labels) else { continue };
            for (time, value) in points.t.iter().zip(&points.v) {
                let at = time.millis().div_euclid(MINUTE_MS) - self.minute + CHART_MINUTES - 1;
                let slot: Option<&mut Option<f64>> = usize::try_from(at).ok().and_then(|at| folded[column].get_mut(at));
                if let Some(slot) = slot {
                    *slot = Some(self.choice.fold(column, *slot, *value));
                }
            }
        }
        for (chart, folded) in tracked.charts.iter_mut().zip(folded) {
            for (slot, value) in chart.iter_mut().zip(folded) {
                *slot = slot.or(value.and_then(rounded));
            }
        }
        self.structure += 1;
        self.version += 1;
    }

    /// In the order of the page.
    pub(super) fn ordered(&self) -> Vec<&Tracked> {
        let mut machines: Vec<&Tracked> = self.machines.values().collect();
        machines.sort_by_key(|machine| (machine.rank, machine.number, machine.now.key));
        machines
    }
}

impl Tracked {
    /// Takes a view in; false when nothing that is shown changed.
    fn show(&mut self, view: &MachineView, choice: &Choice) -> bool {
        let mut values = vec![None; self.now.values.len()];
        let keys = view.roster.iter().flat_map(|roster| roster.series.iter());
        for ((key, value), time) in keys.zip(&view.values).zip(&view.times) {
            let is_known = *time != Timestamp::MIN && value.is_finite();
            if is_known && let Some(at) = choice.column_of(&key.metric, &key.labels) {
                values[at] = Some(choice.fold(at, values[at], *value));
            }
        }
        self.memory.interval_ms = view.info.as_ref().map_or(0, |info| info.interval_ms);
        if self.last_seen < view.last_seen {
            self.last_seen = view.last_seen;
            for (mean, value) in self.means.iter_mut().zip(&values) {
                mean.add(*value);
            }
        }
        let is_away = view.status != Status::Up && view.last_seen != Timestamp::MIN;
        let now = Now {
            key: self.now.key,
            status: view.status,
            last_seen: is_away.then(|| view.last_seen.millis().max(0)),
            values: values.into_iter().map(|value| value.and_then(rounded)).collect(),
        };
        let did_change = now != self.now;
        self.now = now;
        did_change
    }

    /// The minute that was under way is the first of these.
    fn step(&mut self, steps: i64) {
        for (chart, mean) in self.charts.iter_mut().zip(&mut self.means) {
            let mut point = std::mem::take(mean).value();
            for _ in 0..steps {
                chart.pop_front();
                chart.push_back(point.take());
            }
        }
    }

    pub(super) fn newest(&self) -> Vec<Option<f64>> {
        self.charts.iter().map(|chart| chart.back().copied().flatten()).collect()
    }

    pub(super) fn shape(&self) -> Machine {
        let charts = self.charts.iter().map(|chart| chart.iter().copied().collect()).collect();
        Machine { name: self.name.clone(), now: self.now.clone(), charts, days: self.memory.days() }
    }
}

impl Mean {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.sum += value;
            self.count += 1;
        }
    }

    fn value(self) -> Option<f64> {
        if self.count == 0 { None } else { rounded(self.sum / f64::from(self.count)) }
    }
}

fn newest_minute(now_ms: i64) -> i64 {
    now_ms.div_euclid(MINUTE_MS) - 1
}

/// Within the length that a name may have.
fn numbered(name: &str, number: u32) -> String {
    let end = if number == 0 { String::new() } else { format!(" {number}") };
    let kept = NAME_CHARS_MAX - end.chars().count();
    name.chars().take(kept).chain(end.chars()).collect()
}
