//! Machines: everyone known at the door, and who sits there to push.
//!
//! A machine has one seat: its newest Push stream. The stream before it is told, and the newer one waits until it has left, so that
//! two streams never admit frames of one session at once. Bounded: a machine that nobody is connected for and that was silent for a day
//! makes room when the hub is full.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use model::MachineId;
use runtime::clock::SharedClock;
use tokio::sync::{OwnedMutexGuard, watch};

use crate::budget::SeriesBudget;
use crate::door::Door;
use crate::meters::Meters;
use crate::preamble::Preamble;
use crate::settings::Limits;

/// A machine silent for longer has nothing left that admission would let in again.
const IDLE_US_MAX: u64 = 24 * 3_600 * 1_000_000;
/// Looking for idle machines costs a pass over all of them.
const SWEEP_EVERY_US: u64 = 60 * 1_000_000;

pub(crate) struct Machines {
    known: Mutex<Known>,
    machines_max: usize,
    budget: Arc<SeriesBudget>,
    clock: SharedClock,
    meters: Meters,
}

#[derive(Default)]
struct Known {
    machines: HashMap<MachineId, Arc<Machine>, foldhash::fast::RandomState>,
    swept_us: Option<u64>,
}

pub(crate) struct Machine {
    pub(crate) id: MachineId,
    state: Mutex<State>,
    seat: Arc<tokio::sync::Mutex<()>>,
    /// How many streams have asked for the seat.
    claims: watch::Sender<u64>,
}

struct State {
    door: Door,
    entered_us: u64,
}

/// The right to push for a machine, until dropped.
pub(crate) struct Seat {
    claims: watch::Receiver<u64>,
    number: u64,
    _guard: OwnedMutexGuard<()>,
}

/// The hub has as many machines as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hub knows {machines_max} machines already, which is its limit; raise it or remove machines")]
pub(crate) struct HubIsFull {
    machines_max: usize,
}

/// The stream before did not leave in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an earlier stream of this machine is still being closed; connect again")]
pub(crate) struct SeatIsTaken;

impl Machines {
    pub(crate) fn new(limits: &Limits, restored: &Preamble, clock: SharedClock, meters: Meters) -> Self {
        let budget = SeriesBudget::new(limits.series_max, meters.series.clone());
        let entered_us = clock.monotonic_us();
        let mut known = Known::default();
        for (id, carried) in restored.machines() {
            let door = Door::restore(&budget, carried.info.clone(), &carried.layouts, &carried.marks);
            let state = State { door, entered_us };
            known.machines.insert(id.clone(), Arc::new(Machine::new(id.clone(), state)));
        }
        meters.machines.set(known.machines.len() as f64);
        Self { known: Mutex::new(known), machines_max: limits.machines_max, budget, clock, meters }
    }

    /// The machine of this id, if it was ever here.
    pub(crate) fn known(&self, id: &MachineId) -> Option<Arc<Machine>> {
        lock(&self.known).machines.get(id).cloned()
    }

    /// The machine of this id, known from now on.
    pub(crate) fn enter(&self, id: &MachineId) -> Result<Arc<Machine>, HubIsFull> {
        let now_us = self.clock.monotonic_us();
        let mut known = lock(&self.known);
        if let Some(machine) = known.machines.get(id) {
            lock(&machine.state).entered_us = now_us;
            return Ok(Arc::clone(machine));
        }
        if self.machines_max <= known.machines.len() {
            known.sweep(now_us);
        }
        if self.machines_max <= known.machines.len() {
            return Err(HubIsFull { machines_max: self.machines_max });
        }
        let state = State { entered_us: now_us, door: Door::new(self.budget.share(0)) };
        let machine = Arc::new(Machine::new(id.clone(), state));
        known.machines.insert(id.clone(), Arc::clone(&machine));
        self.meters.machines.set(known.machines.len() as f64);
        Ok(machine)
    }
}

impl Known {
    fn sweep(&mut self, now_us: u64) {
        if self.swept_us.is_some_and(|at| now_us < at + SWEEP_EVERY_US) {
            return;
        }
        self.swept_us = Some(now_us);
        self.machines.retain(|_, machine| {
            let is_connected = 1 < Arc::strong_count(machine);
            is_connected || now_us < lock(&machine.state).entered_us.saturating_add(IDLE_US_MAX)
        });
    }
}

impl Machine {
    fn new(id: MachineId, state: State) -> Self {
        Self { id, state: Mutex::new(state), seat: Arc::default(), claims: watch::Sender::new(0) }
    }

    /// The machine's state at the door; hold it only between two waits.
    pub(crate) fn with_door<R>(&self, look: impl FnOnce(&mut Door) -> R) -> R {
        look(&mut lock(&self.state).door)
    }

    /// Tells the stream that sits there to leave, and sits down.
    pub(crate) async fn sit(&self, within: Duration) -> Result<Seat, SeatIsTaken> {
        let claims = self.claims.subscribe();
        let mut number = 0;
        self.claims.send_modify(|newest| {
            *newest += 1;
            number = *newest;
        });
        let waiting = tokio::time::timeout(within, Arc::clone(&self.seat).lock_owned());
        let guard = waiting.await.map_err(|_elapsed| SeatIsTaken)?;
        Ok(Seat { claims, number, _guard: guard })
    }
}

impl Seat {
    /// Ends when a newer stream of the machine wants the seat. Cancel safe.
    pub(crate) async fn superseded(&mut self) {
        let number = self.number;
        // The sender lives in the machine, which the stream holds: an error cannot be.
        drop(self.claims.wait_for(|newest| number < *newest).await);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic aborts the process in production; in tests the state is still whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::clock::ManualClock;
    use runtime::metrics::Registry;

    fn machines(max: usize, clock: &ManualClock) -> Machines {
        let limits = Limits { machines_max: max, ..Limits::default() };
        Machines::new(&limits, &Preamble::default(), clock.shared(), Meters::new(&Registry::new()))
    }

    fn id(name: &str) -> MachineId {
        MachineId::parse(name).expect("a valid id")
    }

    #[test]
    fn a_full_hub_takes_no_new_machine_until_one_was_silent_for_a_day() {
        let clock = ManualClock::at(0);
        let machines = machines(2, &clock);
        let connected = machines.enter(&id("a")).unwrap();
        machines.enter(&id("b")).unwrap();
        assert_eq!(machines.enter(&id("c")).err(), Some(HubIsFull { machines_max: 2 }));
        clock.advance(Duration::from_secs(25 * 3_600));
        machines.enter(&id("c")).unwrap();
        assert!(Arc::ptr_eq(&connected, &machines.enter(&id("a")).unwrap()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_stream_waits_until_the_one_before_has_left() {
        let machines = machines(2, &ManualClock::at(0));
        let machine = machines.enter(&id("a")).unwrap();
        let mut first = machine.sit(Duration::from_secs(1)).await.unwrap();
        let second = {
            let machine = Arc::clone(&machine);
            tokio::spawn(async move { machine.sit(Duration::from_secs(1)).await.is_ok() })
        };
        first.superseded().await;
        assert!(!second.is_finished());
        drop(first);
        assert!(second.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_the_seat_has_an_end() {
        let machines = machines(2, &ManualClock::at(0));
        let machine = machines.enter(&id("a")).unwrap();
        let _first = machine.sit(Duration::from_secs(1)).await.unwrap();
        assert_eq!(machine.sit(Duration::from_secs(1)).await.err(), Some(SeatIsTaken));
    }
}
