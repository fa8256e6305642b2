//! Flight: what a source has sent, is sealed, and has not gone on at its owner yet. It is bounded, for channels between processes are not.
//! Invariants: Q-4 a process whose stores have no room makes the others wait, not its memory grow.

use std::collections::VecDeque;

use model::LogicalTime;
use timely::dataflow::operators::probe::Handle as Passed;

/// Records of one source. What is not sealed does not count, nor the newest time that was drawn: of both more may have to be drawn before
/// they can go on.
const RECORDS_MAX: usize = 65_536;

#[derive(Default)]
pub struct Flight {
    passed: Passed<LogicalTime>,
    /// Newest time and number of what was drawn at once.
    drawn: VecDeque<(LogicalTime, usize)>,
    newest: LogicalTime,
}

impl Flight {
    /// What follows the records that have gone on.
    pub(crate) fn passed(&self) -> Passed<LogicalTime> {
        self.passed.clone()
    }

    pub(crate) fn drew(&mut self, newest: LogicalTime, records: usize) {
        self.drawn.push_back((newest, records));
        self.newest = newest;
    }

    /// Whether nothing more should be drawn for now. `sealed`: times below it are.
    pub(crate) fn is_full(&mut self, sealed: LogicalTime) -> bool {
        let passed = self.passed.clone();
        self.is_full_behind(sealed, |t| !passed.less_equal(&t))
    }

    fn is_full_behind(&mut self, sealed: LogicalTime, has_passed: impl Fn(LogicalTime) -> bool) -> bool {
        while self.drawn.pop_front_if(|(t, _)| has_passed(*t)).is_some() {}
        let counted = sealed.min(self.newest);
        let records: usize = self.drawn.iter().take_while(|(t, _)| *t < counted).map(|(_, records)| records).sum();
        RECORDS_MAX <= records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_sealed_and_has_not_gone_on_counts() {
        let mut flight = Flight::default();
        flight.drew(5, RECORDS_MAX - 1);
        flight.drew(7, 1);
        flight.drew(8, 1);
        assert!(!flight.is_full_behind(7, |t| t < 5), "the second is not sealed");
        assert!(flight.is_full_behind(8, |t| t < 5));
        assert!(!flight.is_full_behind(8, |t| t < 6), "the oldest has gone on");
        flight.drew(9, RECORDS_MAX);
        assert!(!flight.is_full_behind(10, |t| t < 6), "more may come of the newest time");
        flight.drew(10, 1);
        assert!(flight.is_full_behind(10, |t| t < 6));
    }
}
