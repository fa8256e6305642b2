//! Timeline: logical time from the clock, strictly rising whatever the clock does.
//!
//! T = max(clock, last + 1). When the last T is more than a second ahead of the clock (somebody set it back), T goes on with
//! monotonic time instead, so that it neither stands still nor runs away; that is an ERROR, once. In a cluster the clock is the furthest of
//! those that were heard of (`Lamport`).
//! Invariants: J-2 the sequence grows strictly.

use std::sync::Arc;

use model::LogicalTime;
use runtime::clock::SharedClock;
use tracing::{error, info};

use crate::peers::Lamport;

/// A clock may step back this far (NTP, leap smearing) without anybody having to know.
const AHEAD_US_MAX: u64 = 1_000_000;

pub(crate) struct Timeline {
    clock: SharedClock,
    lamport: Arc<Lamport>,
    /// The newest T given out, or the newest promise that none below will be.
    last: LogicalTime,
    /// T and monotonic time when the clock was found behind.
    ahead: Option<(LogicalTime, u64)>,
}

impl Timeline {
    /// Goes on after the newest T of an earlier run; 0 where there was none.
    pub(crate) fn after(newest: LogicalTime, clock: SharedClock, lamport: Arc<Lamport>) -> Self {
        Self { clock, lamport, last: newest, ahead: None }
    }

    /// The next group's T.
    pub(crate) fn next(&mut self) -> LogicalTime {
        self.last = self.now().max(self.last + 1);
        self.lamport.gave(self.last);
        self.last
    }

    /// The time that the next T would be if it were free to choose: what the graph's clock may rise to.
    pub(crate) fn now(&mut self) -> LogicalTime {
        let wall = u64::try_from(self.clock.now_us()).unwrap_or(0).max(self.lamport.floor());
        if self.last <= wall.saturating_add(AHEAD_US_MAX) {
            if self.ahead.take().is_some() {
                info!("clock has caught up with the journal");
            }
            return wall;
        }
        let monotonic = self.clock.monotonic_us();
        let (t, since) = *self.ahead.get_or_insert_with(|| {
            let ahead_s = (self.last - wall) / 1_000_000;
            error!(ahead_s, "clock is behind the journal: set it right; logical time goes on without it");
            (self.last, monotonic)
        });
        t.saturating_add(monotonic.saturating_sub(since))
    }

    /// Promises that no T below `sealed` will be given out.
    pub(crate) fn seal(&mut self, sealed: LogicalTime) {
        self.last = self.last.max(sealed.saturating_sub(1));
        self.lamport.gave(self.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::clock::ManualClock;
    use std::time::Duration;

    const START: i64 = 1_763_700_000_000_000;

    #[test]
    fn t_follows_the_clock_and_rises_strictly_when_it_stands() {
        let clock = ManualClock::at(START);
        let mut timeline = Timeline::after(0, clock.shared(), Arc::default());
        let start = u64::try_from(START).unwrap();
        assert_eq!([timeline.next(), timeline.next()], [start, start + 1]);
        clock.advance(Duration::from_millis(5));
        assert_eq!(timeline.next(), start + 5_000);
    }

    #[test]
    fn a_small_step_back_counts_up_by_one() {
        let clock = ManualClock::at(START);
        let mut timeline = Timeline::after(0, clock.shared(), Arc::default());
        let first = timeline.next();
        clock.set(START - 500_000);
        assert_eq!([timeline.next(), timeline.next()], [first + 1, first + 2]);
    }

    #[test]
    fn a_clock_set_back_far_is_replaced_by_monotonic_time_until_it_catches_up() {
        let clock = ManualClock::at(START);
        let mut timeline = Timeline::after(u64::try_from(START).unwrap(), clock.shared(), Arc::default());
        clock.set(START - 3_600_000_000);
        let first = timeline.next();
        clock.advance(Duration::from_secs(2));
        assert_eq!(timeline.next(), first - 1 + 2_000_000);
        clock.set(START + 10_000_000);
        assert_eq!(timeline.next(), u64::try_from(START).unwrap() + 10_000_000);
    }

    #[test]
    fn nothing_comes_below_a_seal() {
        let clock = ManualClock::at(START);
        let mut timeline = Timeline::after(0, clock.shared(), Arc::default());
        let sealed = timeline.now() + 100;
        timeline.seal(sealed);
        assert_eq!(timeline.next(), sealed);
    }
}
