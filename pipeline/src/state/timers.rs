//! Timers: what is due when, on the logical clock. Entries are never removed early: whoever set one ignores it when it no longer counts.
//!
//! Most are set some seconds ahead and are put off again before they are due, for what they watch was heard of meanwhile. So they wait
//! unsorted, a list for each second, and only what is left of a second when it comes is put in order: a heap of all of them costs ten
//! steps for each that it gives, none of which the processor can guess.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use model::LogicalTime;

/// Of a list: about a second.
const STEP: LogicalTime = 1 << 20;

/// A queue of keys by due time; equal times come out in key order, so that a replay runs them the same way.
#[derive(Debug)]
pub struct Timers<K> {
    /// Due before `sorted_until`, the next one last. Empty only where all is.
    sorted: Vec<(LogicalTime, K)>,
    sorted_until: LogicalTime,
    /// Due before `sorted_until`, too, but set after the others were sorted.
    soon: BinaryHeap<Reverse<(LogicalTime, K)>>,
    /// By due time, in steps.
    later: BTreeMap<LogicalTime, Vec<(LogicalTime, K)>>,
}

impl<K: Ord> Default for Timers<K> {
    fn default() -> Self {
        Self { sorted: Vec::new(), sorted_until: 0, soon: BinaryHeap::new(), later: BTreeMap::new() }
    }
}

impl<K: Ord + Copy> Timers<K> {
    pub fn set(&mut self, due: LogicalTime, key: K) {
        if due < self.sorted_until {
            self.soon.push(Reverse((due, key)));
        } else {
            self.later.entry(due / STEP).or_default().push((due, key));
            self.sort(&mut |due, _| due);
        }
    }

    /// When the next timer is due.
    #[inline]
    pub fn next_due(&self) -> Option<LogicalTime> {
        self.first().map(|(due, _)| due)
    }

    /// The next timer due at or before `now`.
    #[inline]
    pub fn pop_due(&mut self, now: LogicalTime) -> Option<(LogicalTime, K)> {
        self.pop_due_unless(now, |due, _| due)
    }

    /// As `pop_due`, but `put_off` is asked of some timers before they are due, and may give a later time.
    #[inline]
    pub fn pop_due_unless(
        &mut self,
        now: LogicalTime,
        mut put_off: impl FnMut(LogicalTime, K) -> LogicalTime,
    ) -> Option<(LogicalTime, K)> {
        let first = self.first().filter(|(due, _)| *due <= now)?;
        if self.sorted.last() == Some(&first) {
            self.sorted.pop();
        } else {
            self.soon.pop();
        }
        self.sort(&mut put_off);
        Some(first)
    }

    #[inline]
    fn first(&self) -> Option<(LogicalTime, K)> {
        match (self.sorted.last(), self.soon.peek()) {
            (Some(sorted), Some(Reverse(soon))) => Some(*sorted.min(soon)),
            (Some(sorted), None) => Some(*sorted),
            (None, soon) => soon.map(|Reverse(soon)| *soon),
        }
    }

    /// Goes on to the next list, where nothing is left that is due before it.
    fn sort(&mut self, put_off: &mut impl FnMut(LogicalTime, K) -> LogicalTime) {
        while self.sorted.is_empty()
            && self.soon.is_empty()
            && let Some((step, list)) = self.later.pop_first()
        {
            self.sorted_until = (step + 1).saturating_mul(STEP);
            for (due, key) in list {
                let due = put_off(due, key).max(due);
                if due < self.sorted_until {
                    self.sorted.push((due, key));
                } else {
                    self.later.entry(due / STEP).or_default().push((due, key));
                }
            }
            self.sorted.sort_unstable_by(|a, b| b.cmp(a));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is set and taken in between, times and keys come out as from one heap, those that are put off at their later time.
        #[test]
        fn timers_come_in_order_of_time_then_key(
            steps in prop::collection::vec((0u64..5_000_000, 0u32..4, 0u64..2_000_000), 1..60),
            put_off_us in prop::sample::select(vec![0, 700_000, 3_000_000]),
        ) {
            let (mut timers, mut heap, mut now) = (Timers::default(), BinaryHeap::new(), 0);
            // Each odd key once, by raising it.
            let put_off = |heap: &mut BinaryHeap<_>, due: u64, key: (u32, u64)| {
                if put_off_us == 0 || key.0.is_multiple_of(2) || key.1 != due {
                    return due;
                }
                heap.retain(|Reverse(timer)| *timer != (due, key));
                heap.push(Reverse((due + put_off_us, key)));
                due + put_off_us
            };
            for (due, key, pass) in steps {
                let key = (key, due);
                let is_there = heap.iter().any(|Reverse((_, other))| *other == key);
                if !is_there {
                    timers.set(due, key);
                    heap.push(Reverse((due, key)));
                }
                now += pass;
                while let Some(timer) = timers.pop_due_unless(now, |due, key| put_off(&mut heap, due, key)) {
                    prop_assert!(heap.iter().all(|Reverse(other)| timer <= *other));
                    heap.retain(|Reverse(other)| *other != timer);
                }
                prop_assert!(heap.peek().is_none_or(|Reverse((due, _))| now < *due));
                prop_assert_eq!(timers.next_due(), heap.peek().map(|Reverse((due, _))| *due));
            }
        }
    }
}
