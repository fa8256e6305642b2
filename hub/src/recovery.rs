//! Recovery: which part of the journal a restart replays, which windows that covers wholly, and so how long the journal is kept.
//!
//! A sample of event time E arrives at T >= E - `ahead_max`, or it is refused. So what replays from `start - ahead_max` has every sample
//! of the windows that begin at `start` or later; those of an earlier window may be missing, and it is never published as if whole.

use std::time::Duration;

use model::{LogicalTime, Timestamp, Width, Window};

/// The journal's own word for when it began, as a cursor.
pub(crate) const GENESIS: &str = "genesis";

/// The first record is written within moments of the journal's beginning; a second segment comes after tens of megabytes.
const GENESIS_SLACK_US: u64 = 5_000_000;

/// What decides how far back a record still matters to the graph.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach {
    /// How far behind its machine's newest sample one may still correct a window.
    pub horizon: Duration,
    pub lateness: Duration,
    /// How far ahead of its arrival a sample may be.
    pub ahead_max: Duration,
}

/// How the journal was found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub oldest_t: Option<LogicalTime>,
    pub newest_t: Option<LogicalTime>,
    pub genesis: Option<LogicalTime>,
}

/// What a restart does with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// Records of this T and later go through the graph again.
    pub from_t: LogicalTime,
    pub covered_from: Timestamp,
}

impl Reach {
    /// The oldest T that the graph needs when `newest` is the newest: from it on, every hour that is still open can be rebuilt.
    #[must_use]
    pub(crate) fn needed_from(self, newest: LogicalTime) -> LogicalTime {
        let still_open = Timestamp::from_logical(newest) - self.horizon - self.lateness;
        let hour = Window::containing(still_open, Width::Hour).start;
        u64::try_from((hour - self.ahead_max).micros()).unwrap_or(0)
    }

    /// The oldest T that must replay; `stored` is the T up to which the stores have everything.
    #[must_use]
    pub(crate) fn replays_from(self, found: Found, stored: LogicalTime) -> LogicalTime {
        found.newest_t.map_or(0, |newest| self.needed_from(newest).min(stored.saturating_add(1)))
    }

    /// The first windows that have all of their samples when what is of `from_t` and later replays.
    #[must_use]
    pub(crate) fn covered_from(self, found: Found, from_t: LogicalTime) -> Timestamp {
        let Some(oldest) = found.oldest_t else { return Timestamp::MIN };
        let is_first_segment = found.genesis.is_some_and(|genesis| oldest <= genesis.saturating_add(GENESIS_SLACK_US));
        if from_t <= oldest && is_first_segment {
            Timestamp::MIN
        } else {
            Timestamp::from_logical(from_t.max(oldest)) + self.ahead_max
        }
    }

    /// When damage cost the journal records that the store has, up to the T `stored`: a window that may have had one of them is not
    /// published from what is left, which would replace a better row. The history makes it again from its raw tier.
    #[must_use]
    pub(crate) fn without_what_is_lost(self, covered_from: Timestamp, stored: LogicalTime) -> Timestamp {
        covered_from.max(Timestamp::from_logical(stored) + self.ahead_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_US: u64 = 60_000_000;
    const REACH: Reach = Reach {
        horizon: Duration::from_secs(600),
        lateness: Duration::from_secs(10),
        ahead_max: Duration::from_secs(600),
    };

    /// T of an hour and a minute of some day.
    fn at(hour: u64, minute: u64) -> LogicalTime {
        1_763_683_200_000_000 + (hour * 60 + minute) * MINUTE_US
    }

    fn recover(oldest: LogicalTime, newest: LogicalTime, genesis: LogicalTime, stored: LogicalTime) -> Recovery {
        let found = Found { oldest_t: Some(oldest), newest_t: Some(newest), genesis: Some(genesis) };
        let from_t = REACH.replays_from(found, stored);
        Recovery { from_t, covered_from: REACH.covered_from(found, from_t) }
    }

    #[test]
    fn a_replay_begins_where_the_oldest_open_hour_can_have_begun() {
        assert_eq!(REACH.needed_from(at(11, 30)), at(10, 50));
        // Until the horizon has passed, late samples may still correct the hour before.
        assert_eq!(REACH.needed_from(at(11, 5)), at(9, 50));
        assert_eq!(REACH.needed_from(0), 0);
    }

    #[test]
    fn a_replay_covers_the_windows_of_that_hour_and_later() {
        let recovery = recover(at(3, 0), at(11, 30), at(1, 0), at(11, 30));
        assert_eq!(recovery.from_t, at(10, 50));
        assert_eq!(recovery.covered_from, Timestamp::from_logical(at(11, 0)));
    }

    #[test]
    fn a_store_that_is_behind_is_caught_up_with() {
        assert_eq!(recover(at(3, 0), at(11, 30), at(1, 0), at(9, 0)).from_t, at(9, 0) + 1);
        let lost = recover(at(3, 0), at(11, 30), at(1, 0), 0);
        assert_eq!((lost.from_t, lost.covered_from), (1, Timestamp::from_logical(at(3, 10))));
    }

    #[test]
    fn a_journal_that_has_dropped_nothing_covers_everything() {
        let young = recover(at(11, 20), at(11, 30), at(11, 20), at(11, 30));
        assert_eq!(young.covered_from, Timestamp::MIN);
        let dropped = recover(at(11, 20), at(11, 30), at(10, 0), at(11, 30));
        assert_eq!(dropped.covered_from, Timestamp::from_logical(at(11, 30)));
    }

    #[test]
    fn after_damage_no_window_that_may_miss_something_counts_as_covered() {
        let recovery = recover(at(11, 20), at(11, 30), at(11, 20), at(11, 30));
        let damaged = REACH.without_what_is_lost(recovery.covered_from, at(11, 31));
        assert_eq!(damaged, Timestamp::from_logical(at(11, 41)));
    }

    #[test]
    fn an_empty_journal_has_nothing_to_replay() {
        let found = Found { oldest_t: None, newest_t: None, genesis: None };
        let from_t = REACH.replays_from(found, 77);
        assert_eq!((from_t, REACH.covered_from(found, from_t)), (0, Timestamp::MIN));
    }
}
