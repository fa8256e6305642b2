//! Timers: what is due when, on the logical clock. Entries are never removed early: whoever set one ignores it when it no longer counts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use model::LogicalTime;

/// A queue of keys by due time; equal times come out in key order, so that a replay runs them the same way.
#[derive(Debug)]
pub struct Timers<K> {
    heap: BinaryHeap<Reverse<(LogicalTime, K)>>,
}

impl<K: Ord> Default for Timers<K> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new() }
    }
}

impl<K: Ord> Timers<K> {
    pub fn set(&mut self, due: LogicalTime, key: K) {
        self.heap.push(Reverse((due, key)));
    }

    /// When the next timer is due.
    pub fn next_due(&self) -> Option<LogicalTime> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }

    /// The next timer due at or before `now`.
    pub fn pop_due(&mut self, now: LogicalTime) -> Option<(LogicalTime, K)> {
        let is_due = self.heap.peek().is_some_and(|Reverse((due, _))| *due <= now);
        if is_due { self.heap.pop().map(|Reverse(entry)| entry) } else { None }
    }
}
