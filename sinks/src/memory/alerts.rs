//! The firing alerts, and the newest resolved ones for readers that follow the changes.
//!
//! Invariants: A-1 at most one alert fires per rule and series: a Fired for one that fires already and a Resolved for none change nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use model::{Alert, AlertState, Change, MachineId, SeriesKey, Severity, StandingChange, Transition};

use super::config::CHANGES_KEPT;

type Key = (String, MachineId, Arc<SeriesKey>);

pub(super) struct AlertBook {
    firing: BTreeMap<Key, (u64, Arc<Alert>)>,
    /// Version of the resolution, oldest first.
    resolved: VecDeque<(u64, Arc<Alert>)>,
    /// Readers behind this version have missed a resolution.
    forgotten: u64,
    firing_max: usize,
    pub(super) refused: u64,
}

/// What an output did to the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    /// An alert changed that nobody is to hear of.
    Shown,
    /// One more active alert of this severity on its machine, or one less.
    Counted(Severity, bool),
}

impl AlertBook {
    pub(super) fn new(firing_max: usize) -> Self {
        Self { firing: BTreeMap::new(), resolved: VecDeque::new(), forgotten: 0, firing_max, refused: 0 }
    }

    pub(super) fn apply(&mut self, transition: &Transition, version: u64) -> Effect {
        let alert = Alert::after(transition);
        match transition.change {
            Change::Fired => self.fire(alert, version),
            Change::Resolved => self.resolve(&alert, version),
        }
    }

    pub(super) fn fire(&mut self, alert: Alert, version: u64) -> Effect {
        let key = key_of(&alert);
        if self.firing.contains_key(&key) {
            return Effect::Nothing;
        }
        if self.firing.len() >= self.firing_max {
            self.refused += 1;
            return Effect::Nothing;
        }
        let effect = if alert.is_active() { Effect::Counted(alert.rule.severity, true) } else { Effect::Shown };
        self.firing.insert(key, (version, Arc::new(alert)));
        effect
    }

    fn resolve(&mut self, resolution: &Alert, version: u64) -> Effect {
        let Some((_, firing)) = self.firing.remove(&key_of(resolution)) else { return Effect::Nothing };
        let resolved = Alert {
            state: AlertState::Resolved,
            resolved: resolution.resolved,
            resolution: resolution.resolution,
            value: resolution.value,
            t: resolution.t,
            ..firing.as_ref().clone()
        };
        if self.resolved.len() == CHANGES_KEPT
            && let Some((version, _)) = self.resolved.pop_front()
        {
            self.forgotten = version;
        }
        self.resolved.push_back((version, Arc::new(resolved)));
        if firing.is_active() { Effect::Counted(firing.rule.severity, false) } else { Effect::Shown }
    }

    /// A firing alert stands otherwise. Of another firing of its rule and series it says nothing.
    pub(super) fn stand(&mut self, change: &StandingChange, version: u64) -> Effect {
        let StandingChange { rule, machine, series, since, standing } = change;
        let key = (rule.as_ref().to_owned(), machine.clone(), Arc::clone(series));
        let Some((at, alert)) = self.firing.get_mut(&key).filter(|(_, alert)| alert.since == *since) else {
            return Effect::Nothing;
        };
        if alert.standing.as_ref() == Some(standing) {
            return Effect::Nothing;
        }
        let was_active = alert.is_active();
        let next = Alert { standing: Some(standing.clone()), ..alert.as_ref().clone() };
        let (is_active, severity) = (next.is_active(), next.rule.severity);
        (*at, *alert) = (version, Arc::new(next));
        if was_active == is_active { Effect::Shown } else { Effect::Counted(severity, is_active) }
    }

    /// Whether a reader at this version can be told each change.
    pub(super) fn covers(&self, since: u64) -> bool {
        self.forgotten <= since
    }

    /// Newest state of each alert that changed after `since`; 0 gives the firing ones.
    pub(super) fn changes(&self, since: u64) -> Vec<Arc<Alert>> {
        let resolved = self.resolved.iter().filter(|(version, _)| 0 < since && since < *version);
        // A resolved alert that fires again is listed resolved first, then firing: another alert with another id.
        let firing = self.firing.values().filter(|(version, _)| since < *version);
        resolved.chain(firing).map(|(_, alert)| Arc::clone(alert)).collect()
    }

    /// Worst first, then newest.
    pub(super) fn firing(&self) -> Vec<Arc<Alert>> {
        let mut alerts: Vec<_> = self.firing.values().map(|(_, alert)| Arc::clone(alert)).collect();
        alerts.sort_by(|a, b| (b.rule.severity, b.since, &a.id).cmp(&(a.rule.severity, a.since, &b.id)));
        alerts
    }

    pub(super) fn firing_count(&self) -> usize {
        self.firing.len()
    }

    /// Active alerts of one machine by severity: silenced and inhibited ones do not count.
    pub(super) fn counts(&self, machine: &MachineId) -> [u32; 3] {
        let mut counts = [0; 3];
        let is_counted = |alert: &Alert| alert.machine == *machine && alert.is_active();
        for (_, alert) in self.firing.values().filter(|(_, alert)| is_counted(alert)) {
            counts[alert.rule.severity as usize] += 1;
        }
        counts
    }
}

fn key_of(alert: &Alert) -> Key {
    (alert.rule.name.clone(), alert.machine.clone(), Arc::clone(&alert.series))
}
