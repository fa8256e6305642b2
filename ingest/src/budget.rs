//! Budget: how many series the whole hub may have, over all machines, and what each has of it.
//!
//! Bounded: `series_max`. A machine that is forgotten gives back what it had. What a replay brings back is taken without asking: it
//! was admitted before.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use model::{SeriesKey, SharedKeys};
use runtime::metrics::Gauge;

/// What all machines share.
#[derive(Debug)]
pub(crate) struct SeriesBudget {
    series_max: usize,
    taken: AtomicUsize,
    gauge: Gauge,
    keys: Mutex<SharedKeys>,
}

/// What one machine has of it; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    of: Arc<SeriesBudget>,
    taken: usize,
}

impl SeriesBudget {
    pub(crate) fn new(series_max: usize, gauge: Gauge) -> Arc<Self> {
        Arc::new(Self { series_max, taken: AtomicUsize::new(0), gauge, keys: Mutex::default() })
    }

    /// A share that already holds so many series.
    pub(crate) fn share(self: &Arc<Self>, taken: usize) -> Share {
        self.change(self.taken.fetch_add(taken, Ordering::AcqRel) + taken);
        Share { of: Arc::clone(self), taken }
    }

    fn change(&self, taken: usize) {
        self.gauge.set(taken as f64);
    }
}

impl Share {
    pub(crate) fn series_max(&self) -> usize {
        self.of.series_max
    }

    /// The key, with the text of an equal one of any machine.
    pub(crate) fn key(&self, key: SeriesKey) -> SeriesKey {
        // A panic aborts the process, so a poisoned lock is only ever met in tests.
        self.of.keys.lock().unwrap_or_else(PoisonError::into_inner).share(key)
    }

    /// One series more, if the hub may have it.
    pub(crate) fn take(&mut self) -> bool {
        let one_more = |taken: usize| (taken < self.of.series_max).then_some(taken + 1);
        let Ok(before) = self.of.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more) else {
            return false;
        };
        self.of.change(before + 1);
        self.taken += 1;
        true
    }

    pub(crate) fn give(&mut self, series: usize) {
        let series = series.min(self.taken);
        self.taken -= series;
        self.of.change(self.of.taken.fetch_sub(series, Ordering::AcqRel) - series);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give(self.taken);
    }
}
