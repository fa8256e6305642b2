//! Stats: what a queue tells about itself, readable from anywhere without its lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A cheap handle; clones read the same queue.
#[derive(Debug, Clone)]
pub struct QueueStats {
    counters: Arc<Counters>,
}

#[derive(Debug)]
pub(super) struct Counters {
    name: &'static str,
    capacity: usize,
    depth: AtomicUsize,
    depth_max: AtomicUsize,
    sent: AtomicU64,
    shed: AtomicU64,
}

impl QueueStats {
    pub(super) fn new(counters: Counters) -> Self {
        Self { counters: Arc::new(counters) }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    #[must_use]
    pub fn name(&self) -> &'static str {
        self.counters.name
    }

    #[must_use]
    pub fn capacity(&self) -> usize {
        self.counters.capacity
    }

    /// Items waiting now.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.counters.depth.load(Ordering::Acquire)
    }

    /// The most items that ever waited at once.
    #[must_use]
    pub fn depth_max(&self) -> usize {
        self.counters.depth_max.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn is_full(&self) -> bool {
        self.capacity() <= self.depth()
    }

    /// Items accepted so far.
    #[must_use]
    pub fn sent_total(&self) -> u64 {
        self.counters.sent.load(Ordering::Relaxed)
    }

    /// Items refused so far because the queue was full and sheds.
    #[must_use]
    pub fn shed_total(&self) -> u64 {
        self.counters.shed.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(super) fn new(name: &'static str, capacity: usize) -> Self {
        Self {
            name,
            capacity,
            depth: AtomicUsize::new(0),
            depth_max: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            shed: AtomicU64::new(0),
        }
    }

    /// Writers hold the queue's lock, so plain stores are enough here and below.
    pub(super) fn set_depth(&self, depth: usize) {
        self.depth.store(depth, Ordering::Release);
    }

    pub(super) fn accepted(&self, count: u64, depth: usize) {
        self.set_depth(depth);
        self.sent.store(self.sent.load(Ordering::Relaxed) + count, Ordering::Relaxed);
        if self.depth_max.load(Ordering::Relaxed) < depth {
            self.depth_max.store(depth, Ordering::Relaxed);
        }
    }

    pub(super) fn shed(&self) {
        self.shed.store(self.shed.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}
