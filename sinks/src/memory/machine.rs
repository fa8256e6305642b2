//! One machine's latest values, slot by slot.
//!
//! In: bound batches, newest event time wins per slot. Out: a view, made when somebody asks and shared until the next change.
//! Cost: a frame that is newer than all before it is two copies (60 values with the store around it: 80 ns); anything else is a
//! comparison per value.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::batch::Times;
use model::query::MachineView;
use model::{Bound, MachineId, MachineInfo, Processes, Roster, Severity, Status, Timestamp};

use crate::roster::is_prefix;

pub(super) struct Entry {
    pub(super) machine: MachineId,
    /// Version of the newest change; beside the lock, so that looking for changes takes none.
    changed: AtomicU64,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) status: Status,
    pub(super) last_seen: Timestamp,
    pub(super) info: Option<Arc<MachineInfo>>,
    pub(super) processes: Option<Arc<Processes>>,
    pub(super) alerts: [u32; 3],
    /// Known from history only: nothing was heard of it since the start, so the graph's presence does not know it.
    pub(super) is_seeded: bool,
    roster: Option<Arc<Roster>>,
    values: Vec<f64>,
    times: Vec<Timestamp>,
    /// The newest of `times`.
    newest: Timestamp,
    view: Option<Arc<MachineView>>,
}

impl Entry {
    pub(super) fn new(machine: MachineId) -> Self {
        let state = State {
            status: Status::Up,
            last_seen: Timestamp::MIN,
            info: None,
            processes: None,
            alerts: [0; 3],
            is_seeded: false,
            roster: None,
            values: Vec::new(),
            times: Vec::new(),
            newest: Timestamp::MIN,
            view: None,
        };
        Self { machine, changed: AtomicU64::new(0), state: Mutex::new(state) }
    }

    pub(super) fn changed(&self) -> u64 {
        self.changed.load(Ordering::Acquire)
    }

    /// Changes the state under a version; `change` says whether it did change.
    pub(super) fn change(&self, version: u64, change: impl FnOnce(&mut State) -> bool) -> bool {
        let mut state = self.lock();
        let did = change(&mut state);
        if did {
            state.view = None;
            self.changed.store(version, Ordering::Release);
        }
        did
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    pub(super) fn view(&self) -> Arc<MachineView> {
        let mut state = self.lock();
        if let Some(view) = &state.view {
            return Arc::clone(view);
        }
        let view = Arc::new(MachineView {
            machine: self.machine.clone(),
            status: state.status,
            last_seen: state.last_seen,
            info: state.info.clone(),
            roster: state.roster.clone(),
            values: state.values.as_slice().into(),
            times: state.times.as_slice().into(),
            processes: state.processes.clone(),
            alerts: state.alerts,
        });
        state.view = Some(Arc::clone(&view));
        view
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change leaves a whole state behind at each step, so a poisoned lock guards nothing broken.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a batch in; false when it holds nothing newer.
    pub(super) fn show(&mut self, bound: &Bound) -> bool {
        let batch = &bound.batch;
        self.adopt(bound.roster());
        self.is_seeded = false;
        let is_news = self.last_seen < batch.arrival;
        self.last_seen = self.last_seen.max(batch.arrival);
        if let Times::One(time) = batch.times
            && self.newest < time
            && bound.is_dense()
            && let Some(values) = self.values.get_mut(..batch.len())
        {
            values.copy_from_slice(&batch.values);
            self.times[..batch.len()].fill(time);
            self.newest = time;
            return true;
        }
        self.show_each(bound) || is_news
    }

    fn show_each(&mut self, bound: &Bound) -> bool {
        let mut did_change = false;
        for (index, value) in bound.batch.values.iter().enumerate() {
            let (slot, time) = (bound.slot(index).index(), bound.batch.time(index));
            // Strictly newer: of two values at one time the first one stands, as it does in history.
            let is_newer = self.times.get(slot).is_some_and(|shown| *shown < time);
            if is_newer {
                (self.values[slot], self.times[slot]) = (*value, time);
                self.newest = self.newest.max(time);
                did_change = true;
            }
        }
        did_change
    }

    /// Makes room for a roster's slots. A machine that the graph forgot and met again may have its slots in another order.
    fn adopt(&mut self, roster: &Arc<Roster>) {
        if let Some(known) = &self.roster {
            if Arc::ptr_eq(known, roster) || is_prefix(&roster.series, &known.series) {
                return;
            }
            if !is_prefix(&known.series, &roster.series) {
                self.values.clear();
                self.times.clear();
                self.newest = Timestamp::MIN;
            }
        }
        self.values.resize(roster.series.len(), 0.0);
        self.times.resize(roster.series.len(), Timestamp::MIN);
        self.roster = Some(Arc::clone(roster));
    }

    pub(super) fn count_alert(&mut self, severity: Severity, is_firing: bool) {
        let count = &mut self.alerts[severity as usize];
        *count = if is_firing { count.saturating_add(1) } else { count.saturating_sub(1) };
    }
}
