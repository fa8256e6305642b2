//! Staging: from a queue's messages to whole, durable times in order.
//!
//! In: outputs of any time from several workers, and progress. Out: batches that end at a whole time.
//! State: what is not yet sealed (bounded by the time between two seals), and what is sealed and not yet taken.
//! Invariants: S-2 nothing above the newest progress is ever given out.

use std::collections::{BTreeMap, VecDeque};

use model::dead_letter::KEPT_BYTES_MAX;
use model::{LogicalTime, Output};

use crate::sink::{Group, WriteBatch};

#[derive(Debug, Default)]
pub(crate) struct Staging {
    open: BTreeMap<LogicalTime, Vec<Output>>,
    sealed: VecDeque<(Group, usize)>,
    sealed_bytes: usize,
    /// Every time up to this one is whole and durable.
    upto: LogicalTime,
    /// Every time up to this one is stored, or waits in the spill: a replay's repetitions of it are dropped.
    floor: LogicalTime,
    /// Outputs dropped because an earlier run has them.
    pub(crate) repeated: u64,
    /// Outputs that came after their time was sealed: a fault of the graph.
    pub(crate) overdue: u64,
}

impl Staging {
    pub(crate) fn add(&mut self, t: LogicalTime, outputs: Vec<Output>) {
        if t <= self.floor {
            self.repeated += outputs.len() as u64;
        } else if t <= self.upto {
            self.overdue += outputs.len() as u64;
        } else {
            self.open.entry(t).or_default().extend(outputs);
        }
    }

    /// Every time below `before` is whole.
    pub(crate) fn seal(&mut self, before: LogicalTime) {
        if before <= self.upto.saturating_add(1) {
            return;
        }
        let later = self.open.split_off(&before);
        for (t, outputs) in std::mem::replace(&mut self.open, later) {
            let bytes = outputs.iter().map(weight).sum();
            self.sealed_bytes += bytes;
            self.sealed.push_back((Group { t, outputs }, bytes));
        }
        self.upto = before - 1;
    }

    /// Everything up to `t` is stored or spilled.
    pub(crate) fn raise_floor(&mut self, t: LogicalTime) {
        self.floor = self.floor.max(t);
        while self.sealed.front().is_some_and(|(group, _)| group.t <= self.floor) {
            if let Some((group, bytes)) = self.sealed.pop_front() {
                self.sealed_bytes -= bytes;
                self.repeated += group.outputs.len() as u64;
            }
        }
    }

    /// Whole times up to about this size, at least one; their end alone when there are none.
    pub(crate) fn take(&mut self, bytes_max: usize) -> WriteBatch {
        let mut batch = WriteBatch::default();
        let mut taken = 0;
        while let Some((group, bytes)) = self.sealed.pop_front() {
            taken += bytes;
            self.sealed_bytes -= bytes;
            batch.upto = group.t;
            batch.groups.push(group);
            if bytes_max <= taken {
                break;
            }
        }
        if self.sealed.is_empty() {
            batch.upto = self.upto;
        }
        batch
    }

    /// Gives back what was taken and could not be handed on; oldest first, all of it before what is here.
    pub(crate) fn put_back(&mut self, groups: Vec<Group>) {
        for group in groups.into_iter().rev() {
            let bytes = group.outputs.iter().map(weight).sum();
            self.sealed_bytes += bytes;
            self.sealed.push_front((group, bytes));
        }
    }

    /// Drops the oldest until about this size is left, and says how many outputs went: only when memory and disk are both full.
    pub(crate) fn drop_oldest(&mut self, bytes_max: usize) -> u64 {
        let mut dropped = 0;
        while bytes_max < self.sealed_bytes
            && let Some((group, bytes)) = self.sealed.pop_front()
        {
            self.sealed_bytes -= bytes;
            dropped += group.outputs.len() as u64;
        }
        dropped
    }

    pub(crate) fn has_sealed(&self) -> bool {
        !self.sealed.is_empty()
    }

    pub(crate) fn sealed_bytes(&self) -> usize {
        self.sealed_bytes
    }

    pub(crate) fn upto(&self) -> LogicalTime {
        self.upto
    }
}

/// About how much memory an output holds.
pub(crate) fn weight(output: &Output) -> usize {
    // Struct, allocation and shared parts of a batch, beside its columns.
    const FIXED: usize = 160;
    match output {
        Output::Samples(bound) => FIXED + bound.batch.len() * 10,
        Output::Minute(rows) | Output::Hour(rows) => FIXED + rows.rows.len() * 64,
        Output::Transition(_) | Output::Machine(_) | Output::Repair(_) | Output::Resent(_) => 1_024,
        Output::Rejected(rejected) if rejected.kept.is_some() => 1_024 + KEPT_BYTES_MAX,
        Output::Rejected(_) => 1_024,
        Output::Presence(_) | Output::Standing(_) => FIXED,
        Output::Group(_) => 4_096,
        Output::Fleet(fleet) => FIXED + fleet.rows.len() * 80,
        Output::Hottest(hottest) => FIXED + hottest.metrics.len() * 400,
        Output::Processes(_) => 2_048,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, rejected};

    fn one() -> Vec<Output> {
        vec![Output::Rejected(rejected("a", at(1)))]
    }

    fn times(batch: &WriteBatch) -> (Vec<LogicalTime>, LogicalTime) {
        (batch.groups.iter().map(|group| group.t).collect(), batch.upto)
    }

    #[test]
    fn only_whole_times_are_given_out_and_in_order() {
        let mut staging = Staging::default();
        staging.add(7, one());
        staging.add(5, one());
        staging.add(5, one());
        assert!(!staging.has_sealed());
        staging.seal(7);
        let batch = staging.take(usize::MAX);
        assert_eq!((times(&batch), batch.groups[0].outputs.len()), ((vec![5], 6), 2));
        staging.seal(6);
        assert_eq!(staging.upto(), 6, "progress never goes back");
        staging.seal(9);
        assert_eq!(times(&staging.take(usize::MAX)), (vec![7], 8));
        assert_eq!(times(&staging.take(usize::MAX)), (vec![], 8));
        assert_eq!(staging.sealed_bytes(), 0);
    }

    #[test]
    fn a_batch_ends_at_a_whole_time() {
        let mut staging = Staging::default();
        (1..=3).for_each(|t| staging.add(t, one()));
        staging.seal(10);
        assert_eq!(times(&staging.take(1)), (vec![1], 1));
        assert_eq!(times(&staging.take(usize::MAX)), (vec![2, 3], 9));
    }

    #[test]
    fn what_an_earlier_run_has_is_dropped_and_counted() {
        let mut staging = Staging::default();
        staging.add(3, one());
        staging.seal(4);
        staging.raise_floor(5);
        staging.add(5, one());
        staging.add(6, one());
        staging.seal(7);
        assert_eq!(times(&staging.take(usize::MAX)), (vec![6], 6));
        assert_eq!(staging.repeated, 2);
    }

    #[test]
    fn an_output_after_its_seal_is_counted_as_a_fault() {
        let mut staging = Staging::default();
        staging.seal(4);
        staging.add(3, one());
        assert_eq!((staging.overdue, staging.has_sealed()), (1, false));
    }
}
