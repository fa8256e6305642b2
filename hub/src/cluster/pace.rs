//! Pace: whether this process itself was awake, so that it does not blame others for its own absence.
//!
//! In: a look every [`LOOK_EVERY`](super::link::LOOK_EVERY). Out: the time, and the newest gap between two looks, which
//! is a SIGSTOP, a suspended machine, or no CPU for longer than can be.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use runtime::clock::{SharedClock, micros};

pub(super) struct Pace {
    clock: SharedClock,
    /// A shorter one is no gap.
    gap_us_min: u64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    looked_us: u64,
    gap: Option<Gap>,
}

#[derive(Debug, Clone, Copy)]
struct Gap {
    length_us: u64,
    ended_us: u64,
}

impl Pace {
    pub(super) fn new(clock: SharedClock, gap_min: Duration) -> Self {
        let looked_us = clock.monotonic_us();
        Self { clock, gap_us_min: micros(gap_min), seen: Mutex::new(Seen { looked_us, gap: None }) }
    }

    /// Monotonic time. Call it before judging anybody else's.
    pub(super) fn look(&self) -> u64 {
        let now_us = self.clock.monotonic_us();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let length_us = now_us.saturating_sub(seen.looked_us);
        if self.gap_us_min <= length_us {
            seen.gap = Some(Gap { length_us, ended_us: now_us });
        }
        seen.looked_us = now_us.max(seen.looked_us);
        now_us
    }

    /// Since when this process is awake, as far back as it matters.
    pub(super) fn awake_since_us(&self) -> u64 {
        self.gap().map_or(0, |gap| gap.ended_us)
    }

    /// How long this process stood still, if that ended no longer ago than `within`.
    pub(super) fn stood_still(&self, within: Duration) -> Option<Duration> {
        let now_us = self.look();
        let gap = self.gap().filter(|gap| now_us.saturating_sub(gap.ended_us) <= micros(within))?;
        Some(Duration::from_micros(gap.length_us))
    }

    fn gap(&self) -> Option<Gap> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).gap
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::clock::ManualClock;

    #[test]
    fn a_gap_between_two_looks_is_remembered_for_a_while() {
        const SECOND: Duration = Duration::from_secs(1);
        let clock = ManualClock::at(0);
        let pace = Pace::new(clock.shared(), 2 * SECOND);
        for _ in 0..10 {
            clock.advance(SECOND);
            pace.look();
        }
        assert_eq!((pace.stood_still(SECOND), pace.awake_since_us()), (None, 0));
        clock.advance(12 * SECOND);
        assert_eq!((pace.stood_still(SECOND), pace.awake_since_us()), (Some(12 * SECOND), 22_000_000));
        for _ in 0..2 {
            clock.advance(SECOND);
            pace.look();
        }
        assert_eq!((pace.stood_still(SECOND), pace.stood_still(2 * SECOND)), (None, Some(12 * SECOND)));
    }
}
