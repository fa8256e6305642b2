//! Board: what all live clients look at. One task writes (`fanout`), any number of clients read what changed since their cursor.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use model::query::Changes;
use model::{AlertState, MachineId, Status};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::change_log::ChangeLog;
use super::piece::{AlertPiece, MachinePiece};

/// Ends (removed machines; resolved alerts) that are remembered for clients that lag; one that lags more gets a snapshot.
const ENDED_MAX: usize = 1_024;

/// What a client wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    All,
    Only(BTreeSet<MachineId>),
}

/// What a client has not seen yet.
#[derive(Debug)]
pub(crate) struct Update {
    /// The client's next cursor.
    pub(crate) version: u64,
    /// The cursor that it follows; 0 when it is whole.
    pub(crate) since: u64,
    /// It replaces all that the client has.
    pub(crate) is_whole: bool,
    /// In id order when whole, else in the order of change.
    pub(crate) machines: Vec<Arc<MachinePiece>>,
    pub(crate) removed: Vec<MachineId>,
    /// Of the whole fleet, whatever the scope.
    pub(crate) alerts: Vec<Arc<AlertPiece>>,
    pub(crate) hub: Utf8Bytes,
    pub(crate) hub_changed: bool,
}

/// Counts over all machines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FleetCounts {
    pub(crate) up: usize,
    pub(crate) stale: usize,
    pub(crate) down: usize,
    pub(crate) series: usize,
}

#[derive(Debug)]
pub(crate) struct Board {
    state: RwLock<State>,
    versions: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    version: u64,
    /// `None`: removed. Made-up machines are here too, for who names them, and in nothing that covers the whole fleet.
    machines: ChangeLog<MachineId, Option<Arc<MachinePiece>>>,
    alerts: ChangeLog<String, Arc<AlertPiece>>,
    hub: Utf8Bytes,
    hub_version: u64,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self {
            state: RwLock::new(State {
                version: 0,
                machines: ChangeLog::new(ENDED_MAX),
                alerts: ChangeLog::new(ENDED_MAX),
                hub: Utf8Bytes::from_static("null"),
                hub_version: 0,
            }),
            versions: watch::Sender::new(0),
        }
    }

    /// Wakes at each version; the newest counts.
    pub(crate) fn versions(&self) -> watch::Receiver<u64> {
        self.versions.subscribe()
    }

    pub(crate) fn version(&self) -> u64 {
        *self.versions.borrow()
    }

    pub(crate) fn apply(&self, changes: Changes) {
        let mut state = self.write();
        let version = state.version + 1;
        state.version = version;
        for id in changes.removed {
            state.machines.end(version, id, None);
        }
        for view in changes.machines {
            let id = view.machine.clone();
            state.machines.put(version, id, Some(Arc::new(MachinePiece::new(view))));
        }
        for alert in changes.alerts.into_iter().filter(|alert| !alert.is_synthetic()) {
            let (id, alert_state) = (alert.id.clone(), alert.state);
            let piece = Arc::new(AlertPiece::new(alert));
            match alert_state {
                AlertState::Firing => state.alerts.put(version, id, piece),
                AlertState::Resolved => state.alerts.end(version, id, piece),
            }
        }
        drop(state);
        self.versions.send_replace(version);
    }

    /// Replaces the hub's own figures; nothing happens when they are what they were.
    pub(crate) fn set_hub(&self, json: String) {
        let mut state = self.write();
        if state.hub.as_str() == json {
            return;
        }
        state.version += 1;
        let version = state.version;
        state.hub = json.into();
        state.hub_version = version;
        drop(state);
        self.versions.send_replace(version);
    }

    /// What changed after `cursor`; 0 gives everything.
    pub(crate) fn since(&self, cursor: u64, scope: &Scope) -> Update {
        let state = self.read();
        let floor = state.machines.floor().max(state.alerts.floor());
        let is_whole = cursor == 0 || cursor < floor;
        let mut update = Update {
            version: state.version,
            since: if is_whole { 0 } else { cursor },
            is_whole,
            machines: Vec::new(),
            removed: Vec::new(),
            alerts: Vec::new(),
            hub: state.hub.clone(),
            hub_changed: cursor < state.hub_version,
        };
        if is_whole {
            state.fill_whole(&mut update, scope);
        } else {
            state.fill_changed(&mut update, cursor, scope);
        }
        update
    }

    pub(crate) fn counts(&self) -> FleetCounts {
        let state = self.read();
        let mut counts = FleetCounts::default();
        let real = state.machines.present().filter(|(id, _)| !id.is_synthetic());
        for piece in real.filter_map(|(_, piece)| piece.as_ref()) {
            match piece.view.status {
                Status::Up => counts.up += 1,
                Status::Stale => counts.stale += 1,
                Status::Down => counts.down += 1,
            }
            counts.series += piece.view.values.len();
        }
        counts
    }

    /// Ids on the board that `is_known` does not know.
    pub(crate) fn strangers(&self, is_known: impl Fn(&MachineId) -> bool) -> Vec<MachineId> {
        let state = self.read();
        let ids = state.machines.present().map(|(id, _)| id);
        ids.filter(|id| !is_known(id)).cloned().collect()
    }

    // A panic aborts the process, so a poisoned lock is only ever met in tests.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fill_whole(&self, update: &mut Update, scope: &Scope) {
        match scope {
            Scope::All => {
                let present = self.machines.present().filter(|(id, _)| !id.is_synthetic());
                update.machines = present.filter_map(|(_, piece)| piece.clone()).collect();
                update.machines.sort_by(|a, b| a.view.machine.cmp(&b.view.machine));
            }
            Scope::Only(ids) => {
                let present = ids.iter().filter_map(|id| self.machines.get(id));
                update.machines = present.flatten().cloned().collect();
            }
        }
        update.alerts = self.alerts.present().map(|(_, piece)| Arc::clone(piece)).collect();
        let worst_then_newest = |piece: &Arc<AlertPiece>| {
            let alert = &piece.alert;
            (std::cmp::Reverse((alert.rule.severity, alert.since)), alert.id.clone())
        };
        update.alerts.sort_by_cached_key(worst_then_newest);
    }

    fn fill_changed(&self, update: &mut Update, cursor: u64, scope: &Scope) {
        let mut take = |id: &MachineId, piece: &Option<Arc<MachinePiece>>| match piece {
            Some(piece) => update.machines.push(Arc::clone(piece)),
            None => update.removed.push(id.clone()),
        };
        match scope {
            Scope::All => {
                let real = self.machines.since(cursor).filter(|(id, _)| !id.is_synthetic());
                real.for_each(|(id, piece)| take(id, piece));
            }
            Scope::Only(ids) => {
                for id in ids {
                    if let Some(piece) = self.machines.get_since(cursor, id) {
                        take(id, piece);
                    }
                }
            }
        }
        update.alerts = self.alerts.since(cursor).map(|(_, piece)| Arc::clone(piece)).collect();
    }
}

impl Update {
    pub(crate) fn is_empty(&self) -> bool {
        let is_quiet = self.machines.is_empty() && self.removed.is_empty() && self.alerts.is_empty();
        !self.is_whole && is_quiet && !self.hub_changed
    }
}
