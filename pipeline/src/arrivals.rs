//! Arrivals: how the samples of each machine come: up to when, and how many late, repeated, or from too far ahead. One set per worker: only
//! the worker that owns a machine raises its counts, anybody reads them. They begin with the process, what it replays included.
//!
//! Bounded: a machine's entry goes with its windows, and beyond `MACHINES_MAX` no more are taken.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use model::{MachineId, RejectReason, Rejected, Timestamp};

use crate::counters::Count;

/// More than a worker has; an entry takes some 200 bytes.
const MACHINES_MAX: usize = 65_536;
/// Upper bounds of the buckets for how late a late sample is, in seconds.
pub const LATE_SECONDS: &[f64] = &[15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 21_600.0, 86_400.0];
const LATE_BUCKETS: usize = LATE_SECONDS.len() + 1;

/// Of one machine.
#[derive(Debug)]
pub struct Arrivals {
    /// Event time in microseconds; `Timestamp::MIN` before the first sample.
    newest: AtomicI64,
    pub late: Count,
    pub duplicate: Count,
    pub beyond_horizon: Count,
    future: Count,
}

/// The same at one moment, in samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ArrivalCounts {
    /// Newest event time that was accepted; none before the first sample.
    pub newest: Option<Timestamp>,
    pub late: u64,
    pub duplicate: u64,
    pub beyond_horizon: u64,
    pub future: u64,
}

/// All machines of a worker.
#[derive(Debug, Default)]
pub struct ArrivalTable(Mutex<HashMap<MachineId, Arc<Arrivals>>>);

/// How far behind their machine's newest event time late samples were.
#[derive(Debug, Default)]
pub struct Lateness {
    buckets: [Count; LATE_BUCKETS],
    sum_us: Count,
}

impl Default for Arrivals {
    fn default() -> Self {
        let newest = AtomicI64::new(Timestamp::MIN.micros());
        Self {
            newest,
            late: Count::default(),
            duplicate: Count::default(),
            beyond_horizon: Count::default(),
            future: Count::default(),
        }
    }
}

impl Arrivals {
    pub fn set_newest(&self, newest: Timestamp) {
        self.newest.store(newest.micros(), Relaxed);
    }

    pub fn counts(&self) -> ArrivalCounts {
        let newest = Timestamp::from_micros(self.newest.load(Relaxed));
        ArrivalCounts {
            newest: (newest != Timestamp::MIN).then_some(newest),
            late: self.late.get(),
            duplicate: self.duplicate.get(),
            beyond_horizon: self.beyond_horizon.get(),
            future: self.future.get(),
        }
    }
}

impl ArrivalTable {
    /// Of a machine, from now on listed while there is room.
    pub fn of(&self, machine: &MachineId) -> Arc<Arrivals> {
        let mut machines = self.machines();
        if let Some(known) = machines.get(machine) {
            return Arc::clone(known);
        }
        let new = Arc::<Arrivals>::default();
        if machines.len() < MACHINES_MAX {
            machines.insert(machine.clone(), Arc::clone(&new));
        }
        new
    }

    /// What the door refused of a machine.
    pub fn refused(&self, rejected: &Rejected) {
        if rejected.reason == RejectReason::Future {
            self.of(&rejected.machine).future.add(rejected.count as usize);
        }
    }

    pub fn forget(&self, machine: &MachineId) {
        self.machines().remove(machine);
    }

    /// None of a machine that this worker does not know.
    pub fn counts(&self, machine: &MachineId) -> Option<ArrivalCounts> {
        self.machines().get(machine).map(|arrivals| arrivals.counts())
    }

    fn machines(&self) -> MutexGuard<'_, HashMap<MachineId, Arc<Arrivals>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lateness {
    /// So many samples were this far behind.
    pub fn add(&self, samples: usize, behind_us: i64) {
        let behind_us = u64::try_from(behind_us).unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "a bucket is seconds wide")]
        let seconds = behind_us as f64 / 1e6;
        self.buckets[LATE_SECONDS.partition_point(|bound| *bound < seconds)].add(samples);
        // Samples of years ago, a million of them, are still far below 2^64 microseconds.
        self.sum_us.add(usize::try_from(behind_us).unwrap_or(usize::MAX).saturating_mul(samples));
    }

    /// Samples of each bucket, of which the last one has no bound.
    pub fn buckets(&self) -> [u64; LATE_BUCKETS] {
        std::array::from_fn(|bucket| self.buckets[bucket].get())
    }

    /// Of all of them.
    pub fn sum_us(&self) -> u64 {
        self.sum_us.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_at_most_its_bound() {
        let lateness = Lateness::default();
        for (samples, seconds) in [(2, 10), (1, 15), (3, 16), (1, 1_000_000)] {
            lateness.add(samples, seconds * 1_000_000);
        }
        assert_eq!(lateness.buckets(), [3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(lateness.sum_us(), (20 + 15 + 48 + 1_000_000) * 1_000_000);
    }
}
