//! Reading the hot store: views are made here, by whoever asks first after a change.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::query::{Changes, HotState, MachineView};
use model::{Alert, AlertGroup, GroupKey, Hottest, MachineId};

use super::machine::Entry;
use super::{HotStore, lock, read_lock};

impl HotState for HotStore {
    fn machines(&self) -> Vec<Arc<MachineView>> {
        views(&self.changed_after(0))
    }

    fn machine(&self, id: &MachineId) -> Option<Arc<MachineView>> {
        let entry = read_lock(&self.entries).get(id).map(Arc::clone)?;
        Some(entry.view())
    }

    fn alerts(&self) -> Vec<Arc<Alert>> {
        lock(&self.alerts).firing()
    }

    fn hottest(&self) -> Option<Arc<Hottest>> {
        lock(&self.hottest).clone()
    }

    fn groups(&self) -> Vec<(GroupKey, Arc<AlertGroup>)> {
        lock(&self.groups).list()
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn changes(&self, since: u64) -> Changes {
        // Before anything else: what changes from here on may be told twice, but is never missed.
        let version = self.version();
        let is_covered = lock(&self.departures).forgotten <= since && lock(&self.alerts).covers(since);
        let since = if is_covered { since } else { 0 };
        let machines = views(&self.changed_after(since));
        let departures = lock(&self.departures);
        let removed = departures.list.iter().filter(|(at, _)| since < *at);
        let removed = removed.map(|(_, machine)| machine.clone()).collect();
        drop(departures);
        Changes { version, machines, removed, alerts: lock(&self.alerts).changes(since) }
    }
}

impl HotStore {
    /// Entries first, views after: the list's lock is not held while views are made.
    fn changed_after(&self, since: u64) -> Vec<Arc<Entry>> {
        let entries = read_lock(&self.entries);
        let changed = entries.values().filter(|entry| since == 0 || since < entry.changed());
        changed.map(Arc::clone).collect()
    }
}

fn views(entries: &[Arc<Entry>]) -> Vec<Arc<MachineView>> {
    entries.iter().map(|entry| entry.view()).collect()
}
