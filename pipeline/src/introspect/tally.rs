//! Tally: a count that one thread raises and anybody reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Debug, Default)]
pub(super) struct Tally(AtomicU64);

impl Tally {
    /// Only by the thread that owns the tally: a plain load and store, cheaper than a locked addition.
    pub(super) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Likewise, not below zero.
    pub(super) fn change(&self, by: i64) {
        self.0.store(self.0.load(Relaxed).saturating_add_signed(by), Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
