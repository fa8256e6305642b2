//! Handles: what the code holds to count. Clones share one value; all are lock free.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Only grows.
#[derive(Debug, Clone, Default)]
pub struct Counter {
    value: Arc<AtomicU64>,
}

/// Goes up and down.
#[derive(Debug, Clone, Default)]
pub struct Gauge {
    value: Arc<FloatCell>,
}

/// Counts values into buckets.
#[derive(Debug, Clone)]
pub struct Histogram {
    cells: Arc<HistogramCells>,
}

#[derive(Debug)]
struct HistogramCells {
    bounds: &'static [f64],
    /// One per bound and one for what lies above them all.
    counts: Vec<AtomicU64>,
    sum: FloatCell,
}

/// An `f64` by its bits.
#[derive(Debug, Default)]
struct FloatCell(AtomicU64);

impl Counter {
    pub fn increment(&self) {
        self.add(1);
    }

    pub fn add(&self, count: u64) {
        self.value.fetch_add(count, Ordering::Relaxed);
    }

    #[must_use]
    pub fn value(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }
}

impl Gauge {
    pub fn set(&self, value: f64) {
        self.value.0.store(value.to_bits(), Ordering::Relaxed);
    }

    pub fn add(&self, change: f64) {
        self.value.add(change);
    }

    #[must_use]
    pub fn value(&self) -> f64 {
        self.value.get()
    }
}

impl Histogram {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        debug_assert!(bounds.is_sorted(), "histogram bounds ascend");
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { cells: Arc::new(HistogramCells { bounds, counts, sum: FloatCell::default() }) }
    }

    pub fn observe(&self, value: f64) {
        let bucket = self.cells.bounds.partition_point(|bound| *bound < value);
        self.cells.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.cells.sum.add(value);
    }

    /// How many values were observed.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.cells.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Per bound, how many values were at most it; the bound above all is infinity.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.cells.bounds.iter().copied().chain(std::iter::once(f64::INFINITY));
        let counts = self.cells.counts.iter().scan(0, |below, count| {
            *below += count.load(Ordering::Relaxed);
            Some(*below)
        });
        bounds.zip(counts)
    }

    pub(super) fn sum(&self) -> f64 {
        self.cells.sum.get()
    }
}

impl FloatCell {
    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    fn add(&self, change: f64) {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let sum = (f64::from_bits(seen) + change).to_bits();
            match self.0.compare_exchange_weak(seen, sum, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(newer) => seen = newer,
            }
        }
    }
}
