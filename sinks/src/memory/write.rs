//! Writing the hot store: the conflating driver, which applies outputs as they come and does not wait for progress.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::machine::Presence;
use model::{Bound, Egress, LogicalTime, MachineId, Output, Status, Timestamp};
use runtime::BoxError;
use runtime::queue::Receiver;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::alerts::Effect;
use super::config::{CHANGES_KEPT, DOWN_AFTER};
use super::machine::{Entry, State};
use super::{HotStore, Writer, lock};

/// Messages applied under one version: enough to conflate a burst, few enough to stay far below a millisecond.
const MESSAGES_MAX: usize = 256;

/// Applies a queue's outputs until the graph is complete or the queue is closed.
///
/// # Errors
/// None at present; the type is that of every task.
pub async fn run(store: Arc<HotStore>, mut queue: Receiver<Egress>) -> Result<(), BoxError> {
    let mut messages = Vec::with_capacity(MESSAGES_MAX);
    let mut sweep = tokio::time::interval(store.settings.sweep_every);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let count = tokio::select! {
            count = queue.recv_many(&mut messages, MESSAGES_MAX) => count,
            _ = sweep.tick() => {
                store.sweep();
                continue;
            }
        };
        runtime::fault::strike("hot");
        store.apply(&messages);
        store.note_progress(&messages);
        let is_over = count == 0 || messages.iter().any(|message| matches!(message, Egress::Complete));
        messages.clear();
        if is_over {
            return Ok(());
        }
        // Under full load the queue is never empty, and nothing else here would let other tasks of this thread run.
        tokio::task::yield_now().await;
    }
}

impl HotStore {
    /// Ends when every output of a time up to `t` is shown. Waits for as long as the graph and the queue in between take.
    pub async fn caught_up(&self, t: LogicalTime) {
        let mut progress = self.progress.subscribe();
        // The sender is this store, so it cannot be closed meanwhile.
        drop(progress.wait_for(|before| t < *before).await);
    }

    /// Behind `apply`: what was given before a progress message is shown.
    fn note_progress(&self, messages: &[Egress]) {
        let newest = messages.iter().filter_map(|message| match message {
            Egress::Data { .. } => None,
            Egress::Progress(before) => Some(*before),
            Egress::Complete => Some(LogicalTime::MAX),
        });
        if let Some(newest) = newest.max() {
            self.progress.send_if_modified(|before| std::mem::replace(before, newest.max(*before)) < newest);
        }
    }

    /// Applies outputs, all under one version.
    pub fn apply(&self, messages: &[Egress]) {
        let mut writer = lock(&self.writer);
        let version = self.version.load(Ordering::Relaxed) + 1;
        let (mut samples, mut did_change) = (0, false);
        for message in messages {
            let Egress::Data { outputs, .. } = message else {
                continue;
            };
            for output in outputs {
                if let Output::Samples(bound) = output {
                    samples += bound.batch.len() as u64;
                }
                did_change |= self.apply_one(&mut writer, version, output);
            }
        }
        if samples > 0 {
            lock(&self.rate).add(samples, self.clock.monotonic_us());
        }
        if did_change {
            self.publish(version);
        }
    }

    fn apply_one(&self, writer: &mut Writer, version: u64, output: &Output) -> bool {
        match output {
            Output::Samples(bound) => self.show(writer, version, bound),
            Output::Presence(presence) => {
                self.change(writer, version, &presence.machine, |state| set_presence(state, presence))
            }
            Output::Machine(info) => self.change(writer, version, &info.machine, |state| {
                state.last_seen = state.last_seen.max(info.arrival);
                state.info = Some(Arc::clone(info));
                true
            }),
            Output::Processes(table) => self.change(writer, version, &table.machine, |state| {
                let is_older = state.processes.as_ref().is_some_and(|shown| table.time < shown.time);
                if !is_older {
                    state.processes = Some(Arc::clone(table));
                }
                !is_older
            }),
            Output::Transition(transition) => {
                let effect = lock(&self.alerts).apply(transition, version);
                Self::effect(writer, version, &transition.machine, effect)
            }
            Output::Standing(change) => {
                let effect = lock(&self.alerts).stand(change, version);
                Self::effect(writer, version, &change.machine, effect)
            }
            Output::Group(change) => {
                lock(&self.groups).apply(change);
                // Asked for by a path of its own, as the hottest machines are.
                false
            }
            // Windows and dead letters are history's.
            Output::Hottest(hottest) => {
                let mut shown = lock(&self.hottest);
                if shown.as_ref().is_none_or(|shown| hottest.is_newer(shown)) {
                    *shown = Some(Arc::clone(hottest));
                }
                // Asked for by a path of its own: no change of any machine.
                false
            }
            Output::Minute(_)
            | Output::Hour(_)
            | Output::Rejected(_)
            | Output::Resent(_)
            | Output::Repair(_)
            | Output::Fleet(_) => false,
        }
    }

    fn show(&self, writer: &mut Writer, version: u64, bound: &Bound) -> bool {
        self.change(writer, version, &bound.roster().machine, |state| state.show(bound))
    }

    fn change(
        &self,
        writer: &mut Writer,
        version: u64,
        machine: &MachineId,
        change: impl FnOnce(&mut State) -> bool,
    ) -> bool {
        self.entry(writer, machine).is_some_and(|entry| entry.change(version, change))
    }

    /// Takes what became of an alert over to its machine; whether anything did.
    fn effect(writer: &Writer, version: u64, machine: &MachineId, effect: Effect) -> bool {
        // An alert outlives its machine's entry: missing data never resolves it.
        if let (Effect::Counted(severity, is_more), Some(entry)) = (effect, writer.entries.get(machine)) {
            entry.change(version, |state| {
                state.count_alert(severity, is_more);
                true
            });
        }
        effect != Effect::Nothing
    }

    /// The machine's entry, made if there is room.
    pub(super) fn entry<'w>(&self, writer: &'w mut Writer, machine: &MachineId) -> Option<&'w Arc<Entry>> {
        if !writer.entries.contains_key(machine) {
            if self.settings.machines_max <= writer.entries.len() {
                writer.machines_refused += 1;
                if writer.machines_refused == 1 {
                    warn!(machine = %machine, machines_max = self.settings.machines_max, "hot store is full");
                }
                return None;
            }
            let entry = Arc::new(Entry::new(machine.clone()));
            let counts = lock(&self.alerts).counts(machine);
            entry.change(0, |state| {
                state.alerts = counts;
                false
            });
            lock(&self.departures).list.retain(|(_, gone)| gone != machine);
            let mut entries = self.entries.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            entries.insert(machine.clone(), Arc::clone(&entry));
            writer.entries.insert(machine.clone(), entry);
        }
        writer.entries.get(machine)
    }

    /// Marks seeded machines that stay silent as down, and removes machines that have been down for long.
    pub fn sweep(&self) {
        let now = Timestamp::from_micros(self.clock.now_us());
        let mut writer = lock(&self.writer);
        let version = self.version.load(Ordering::Relaxed) + 1;
        let mut did_change = false;
        let mut gone = Vec::new();
        // In any order: each entry is judged for itself, and the list is sorted below.
        for (machine, entry) in &writer.entries {
            did_change |= entry.change(version, |state| {
                let is_down =
                    state.is_seeded && state.status != Status::Down && DOWN_AFTER <= now.since(state.last_seen);
                if is_down {
                    state.status = Status::Down;
                }
                is_down
            });
            let (status, last_seen) = entry.look(|state| (state.status, state.last_seen));
            if status == Status::Down && self.settings.forget_after <= now.since(last_seen) {
                gone.push(machine.clone());
            }
        }
        gone.sort();
        did_change |= !gone.is_empty();
        for machine in gone {
            self.remove(&mut writer, machine, version);
        }
        if did_change {
            self.publish(version);
        }
    }

    fn remove(&self, writer: &mut Writer, machine: MachineId, version: u64) {
        info!(machine = %machine, "machine forgotten by the hot store");
        writer.entries.remove(&machine);
        let mut entries = self.entries.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        entries.remove(&machine);
        drop(entries);
        let mut departures = lock(&self.departures);
        if departures.list.len() == CHANGES_KEPT
            && let Some((version, _)) = departures.list.pop_front()
        {
            departures.forgotten = version;
        }
        departures.list.push_back((version, machine));
    }
}

fn set_presence(state: &mut State, presence: &Presence) -> bool {
    state.is_seeded = false;
    let last_seen = state.last_seen.max(presence.last_seen);
    let did_change = (state.status, state.last_seen) != (presence.status, last_seen);
    (state.status, state.last_seen) = (presence.status, last_seen);
    did_change
}
