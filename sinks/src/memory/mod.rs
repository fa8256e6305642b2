//! The hot store: latest values of every machine, in memory.
//!
//! In: the graph's live outputs, at once, before they are durable. Out: `model::query::HotState`, and a version to wait on.
//! One writer; readers never hold it up for longer than one machine's copy. State: bounded machines, alerts and change lists.
//! Loss: conflating by nature: of a series only the newest value stays. A restart begins from history (`seed`).

mod alerts;
mod config;
mod groups;
mod machine;
mod rate;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use hashbrown::HashMap;
use model::query::Health;
use model::{Alert, Hottest, LogicalTime, MachineId, MachineInfo, Status, Timestamp};
use runtime::clock::SharedClock;
use runtime::metrics::Registry;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use alerts::{AlertBook, Effect};
pub use config::HotSettings;
use groups::GroupBook;
use machine::Entry;
use rate::Rate;
pub use write::run;

/// What history knows of a machine when the hub starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KnownMachine {
    pub machine: MachineId,
    pub info: Option<Arc<MachineInfo>>,
    pub last_seen: Timestamp,
}

pub struct HotStore {
    settings: HotSettings,
    clock: SharedClock,
    started: Timestamp,
    /// Rises after the entries' own versions are written, so that a reader who sees a version sees all of its changes.
    version: AtomicU64,
    wake: watch::Sender<u64>,
    /// Outputs of times below this are shown.
    progress: watch::Sender<LogicalTime>,
    /// In id order, for readers.
    entries: RwLock<BTreeMap<MachineId, Arc<Entry>>>,
    alerts: Mutex<AlertBook>,
    hottest: Mutex<Option<Arc<Hottest>>>,
    groups: Mutex<GroupBook>,
    departures: Mutex<Departures>,
    rate: Mutex<Rate>,
    /// Held while outputs are applied: one writer at a time.
    writer: Mutex<Writer>,
}

/// The writer's own way to an entry, by hash.
#[derive(Default)]
struct Writer {
    entries: HashMap<MachineId, Arc<Entry>>,
    machines_refused: u64,
}

/// Machines that were removed, oldest first, with the version of their removal.
#[derive(Default)]
struct Departures {
    list: VecDeque<(u64, MachineId)>,
    /// Readers behind this version have missed a removal.
    forgotten: u64,
}

impl HotStore {
    pub fn new(settings: HotSettings, clock: SharedClock) -> Self {
        let (alerts, groups) = (AlertBook::new(settings.alerts_max), GroupBook::new(settings.alerts_max));
        Self {
            settings,
            started: Timestamp::from_micros(clock.now_us()),
            clock,
            version: AtomicU64::new(0),
            wake: watch::Sender::new(0),
            progress: watch::Sender::new(0),
            entries: RwLock::default(),
            alerts: Mutex::new(alerts),
            hottest: Mutex::default(),
            groups: Mutex::new(groups),
            departures: Mutex::default(),
            rate: Mutex::default(),
            writer: Mutex::default(),
        }
    }

    /// What was known before the start: machines are shown as stale or down until they are heard of, never as up.
    pub fn seed(&self, machines: Vec<KnownMachine>, alerts: Vec<Alert>) {
        let now = Timestamp::from_micros(self.clock.now_us());
        let mut writer = lock(&self.writer);
        let version = self.version.load(Ordering::Relaxed) + 1;
        for alert in alerts {
            let machine = alert.machine.clone();
            if let Effect::Counted(severity, _) = lock(&self.alerts).fire(alert, version)
                && let Some(entry) = writer.entries.get(&machine)
            {
                entry.change(version, |state| {
                    state.count_alert(severity, true);
                    true
                });
            }
        }
        for known in machines {
            let is_forgotten = self.settings.forget_after <= now.since(known.last_seen);
            if is_forgotten {
                continue;
            }
            let Some(entry) = self.entry(&mut writer, &known.machine) else {
                continue;
            };
            entry.change(version, |state| {
                let is_down = config::DOWN_AFTER <= now.since(known.last_seen);
                state.status = if is_down { Status::Down } else { Status::Stale };
                state.last_seen = known.last_seen;
                state.info = known.info;
                state.is_seeded = true;
                true
            });
        }
        self.publish(version);
    }

    /// Wakes with the newest version after every change; a slow receiver sees only the newest.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.wake.subscribe()
    }

    /// Samples shown per second, over the last ten seconds.
    pub fn samples_per_s(&self) -> f64 {
        lock(&self.rate).per_second(self.clock.monotonic_us())
    }

    /// Memory does not fail, so this is up from the start.
    pub fn health(&self) -> Health {
        Health {
            name: "hot",
            is_up: true,
            is_required: true,
            since_ms: self.started.millis(),
            latency_ms: None,
            last_error: None,
            circuit: None,
            detail: None,
        }
    }

    /// Exports sizes and counts at each scrape.
    pub fn watch(self: &Arc<Self>, registry: &Registry) {
        let store = Arc::clone(self);
        registry.collector(move |scrape| {
            #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
            let number = |count: u64| count as f64;
            let machines = read_lock(&store.entries).len();
            let total = lock(&store.rate).total;
            let refused = lock(&store.writer).machines_refused;
            let (firing, alerts_refused) = {
                let alerts = lock(&store.alerts);
                (alerts.firing_count(), alerts.refused)
            };
            scrape.gauge("sinks_hot_machines", "Machines in the hot store.", &[], number(machines as u64));
            scrape.gauge("sinks_hot_alerts", "Firing alerts in the hot store.", &[], number(firing as u64));
            scrape.counter("sinks_hot_samples_total", "Samples shown.", &[], number(total));
            let refusals = "What the hot store had no room for.";
            scrape.counter("sinks_hot_refused_total", refusals, &[("what", "machine")], number(refused));
            scrape.counter("sinks_hot_refused_total", refusals, &[("what", "alert")], number(alerts_refused));
            let groups_refused = lock(&store.groups).refused;
            scrape.counter("sinks_hot_refused_total", refusals, &[("what", "group")], number(groups_refused));
        });
    }

    fn publish(&self, version: u64) {
        self.version.store(version, Ordering::Release);
        self.wake.send_replace(version);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each critical section leaves a whole value behind, whatever happened in it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_lock<T>(guarded: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    guarded.read().unwrap_or_else(PoisonError::into_inner)
}
