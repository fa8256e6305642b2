//! Past: how much of each day a machine was heard from, out of the history's hours, and when it was down, out of its alerts. Pure.

use std::collections::BTreeMap;

use model::query::RangeAnswer;
use model::rule::MACHINE_DOWN;
use model::{Alert, AlertState, Timestamp};

use crate::protocol::{DAY_MS, DAYS_MAX, Days, WHOLE_DAY};

pub(super) const HOUR_MS: i64 = 3_600_000;
const DAY_HOURS: i64 = 24;
/// Days of the past, as hours.
pub(super) const HOURS: i64 = DAY_HOURS * DAYS_MAX_I64;
const DAYS_MAX_I64: i64 = 90;
const _: () = assert!(DAYS_MAX == 90, "the past is ninety days");
/// Of one machine; the edge shows the newest of all machines.
pub(super) const OUTAGES_MAX: usize = 5;

/// How a machine stands as its days are told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// Between two of its samples; 0 where it did not say.
    pub(super) interval_ms: u32,
    /// Of its newest frame.
    pub(super) last_seen: Timestamp,
    pub(super) now_ms: i64,
}

/// The newest times that a machine was down: from when, until when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outages(BTreeMap<i64, Option<i64>>);

impl Outages {
    /// True when that is news. What is over stays over: history may be behind.
    pub(super) fn take(&mut self, alert: &Alert) -> bool {
        if alert.rule.name != MACHINE_DOWN {
            return false;
        }
        let from = alert.since.millis().max(0);
        let to = match alert.state {
            AlertState::Firing => None,
            AlertState::Resolved => Some(alert.resolved.map_or(from, |at| at.millis().max(from))),
        };
        let before = self.0.clone();
        let known = self.0.entry(from).or_insert(None);
        *known = known.or(to);
        while OUTAGES_MAX < self.0.len() {
            self.0.pop_first();
        }
        before != self.0
    }

    /// Without what ended before the days that are shown; true when there was such.
    pub(super) fn forget_before(&mut self, oldest_ms: i64) -> bool {
        let before = self.0.len();
        self.0.retain(|_, to| to.is_none_or(|to| oldest_ms <= to));
        before != self.0.len()
    }

    pub(super) fn each(&self) -> impl Iterator<Item = (i64, Option<i64>)> + '_ {
        self.0.iter().map(|(from, to)| (*from, *to))
    }
}

/// The range `[from, to)` that the days need.
pub(super) fn range(now_ms: i64) -> (Timestamp, Timestamp) {
    let end = (now_ms.div_euclid(DAY_MS) + 1) * DAY_MS;
    (Timestamp::from_millis(end - HOURS * HOUR_MS), Timestamp::from_millis(now_ms))
}

/// The last days, from how many samples each whole hour has. None where the answer has nothing at all.
pub(super) fn days(answer: &RangeAnswer, standing: Standing) -> Option<Days> {
    let counts = counts(answer);
    let (first, newest) = (*counts.first_key_value()?.0, *counts.last_key_value()?.0);
    let expected = match standing.interval_ms {
        // What never said how often it sends is heard as often as in its best hour.
        0 => counts.values().max().copied().unwrap_or(1),
        interval_ms => HOUR_MS.unsigned_abs() / u64::from(interval_ms),
    };
    let running = standing.now_ms.div_euclid(HOUR_MS);
    let heard = |hour: i64| {
        // Stored late is not unheard: hours that history does not have yet say nothing, while the machine was heard of since.
        let is_to_come = newest < hour && hour * HOUR_MS <= standing.last_seen.millis();
        if hour < first || running <= hour || is_to_come {
            return None;
        }
        Some(match counts.get(&hour) {
            // It may have come in the middle of its first hour.
            Some(_) if hour == first => expected,
            // A sample on the boundary may be in either hour.
            Some(count) => count.saturating_add(1).min(expected),
            None => 0,
        })
    };
    let last = standing.now_ms.div_euclid(DAY_MS);
    let share = |day: i64| {
        let hours: Vec<u64> = (day * DAY_HOURS..(day + 1) * DAY_HOURS).filter_map(heard).collect();
        let all = expected.saturating_mul(hours.len() as u64);
        let share = (hours.iter().sum::<u64>() * u64::from(WHOLE_DAY) + all / 2).checked_div(all)?;
        u16::try_from(share).ok()
    };
    Some(Days { last, shares: (last - DAYS_MAX_I64 + 1..=last).map(share).collect() })
}

/// Samples per hour since the epoch: of the series that has most.
fn counts(answer: &RangeAnswer) -> BTreeMap<i64, u64> {
    let mut counts = BTreeMap::new();
    for points in &answer.series {
        for (time, count) in points.t.iter().zip(&points.count) {
            let known = counts.entry(time.millis().div_euclid(HOUR_MS)).or_insert(0);
            *known = (*count).max(*known);
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use model::query::SeriesPoints;

    use super::*;
    use crate::publish::tests::alert;

    const TODAY: i64 = 20_000;
    const NOON_MS: i64 = TODAY * DAY_MS + 12 * HOUR_MS;

    /// Hours before today's noon, each with its samples.
    fn answer(hours: impl IntoIterator<Item = (i64, u64)>) -> RangeAnswer {
        let (ages, count): (Vec<i64>, Vec<u64>) = hours.into_iter().unzip();
        let t = ages.iter().map(|age| Timestamp::from_millis(NOON_MS - age * HOUR_MS)).collect();
        RangeAnswer { series: vec![SeriesPoints { t, count, ..SeriesPoints::default() }], ..RangeAnswer::default() }
    }

    fn standing() -> Standing {
        Standing { interval_ms: 5_000, last_seen: Timestamp::from_millis(NOON_MS), now_ms: NOON_MS + 60_000 }
    }

    /// The newest days, newest last.
    fn newest(answer: &RangeAnswer, standing: Standing) -> Vec<Option<u16>> {
        let days = days(answer, standing).unwrap();
        assert_eq!((days.last, days.shares.len()), (standing.now_ms.div_euclid(DAY_MS), DAYS_MAX));
        days.shares[DAYS_MAX - 4..].to_vec()
    }

    #[test]
    fn a_day_is_the_share_of_its_whole_hours_that_was_heard() {
        let all = answer((1..=60).map(|age| (age, 720)));
        assert_eq!(newest(&all, standing()), [None, Some(1_000), Some(1_000), Some(1_000)]);
        // Half of an hour of today, six hours of yesterday; and the first hour counts as whole.
        let gaps =
            answer((1..=37).filter(|age| !(13..19).contains(age)).map(|age| (age, if age == 2 { 360 } else { 719 })));
        expect!["[None, Some(1000), Some(750), Some(958)]"].assert_eq(&format!("{:?}", newest(&gaps, standing())));
    }

    #[test]
    fn before_a_machine_came_and_before_the_first_whole_hour_nothing_is_known() {
        assert_eq!(days(&RangeAnswer::default(), standing()), None);
        assert_eq!(newest(&answer([(0, 12)]), standing()), [None; 4]);
        let now_ms = (TODAY + 1) * DAY_MS;
        let midnight = Standing { now_ms, last_seen: Timestamp::from_millis(now_ms), ..standing() };
        assert_eq!(newest(&answer((1..=12).map(|age| (age, 720))), midnight)[2..], [Some(1_000), None]);
    }

    #[test]
    fn what_history_does_not_have_yet_is_not_known_and_what_was_not_sent_is_not_heard() {
        let late = answer((7..=24).map(|age| (age, 720)));
        assert_eq!(newest(&late, standing())[3], Some(1_000), "six hours are still to be written");
        let silent = Standing { last_seen: Timestamp::from_millis(NOON_MS - 6 * HOUR_MS - 1), ..standing() };
        assert_eq!(newest(&late, silent)[3], Some(500), "half of the twelve hours of today");
    }

    #[test]
    fn who_does_not_say_how_often_it_sends_is_measured_by_its_best_hour() {
        let unsaid = Standing { interval_ms: 0, ..standing() };
        assert_eq!(newest(&answer((1..=12).map(|age| (age, if age == 1 { 29 } else { 60 }))), unsaid)[3], Some(958));
    }

    fn outage(from_ms: i64, to_ms: Option<i64>, rule: &str) -> Alert {
        alert("web-1", rule, (from_ms, to_ms))
    }

    #[test]
    fn outages_are_known_once_and_end_once() {
        let mut outages = Outages::default();
        assert!(!outages.take(&outage(5, None, "cpu-busy")), "another rule's is nobody's business");
        assert!(outages.take(&outage(5, None, MACHINE_DOWN)) && !outages.take(&outage(5, None, MACHINE_DOWN)));
        assert!(outages.take(&outage(5, Some(9), MACHINE_DOWN)));
        assert!(!outages.take(&outage(5, None, MACHINE_DOWN)), "history is behind");
        assert_eq!(outages.each().collect::<Vec<_>>(), [(5, Some(9))]);
        for from in 10..20 {
            outages.take(&outage(from, None, MACHINE_DOWN));
        }
        assert_eq!(outages.each().map(|(from, _)| from).collect::<Vec<_>>(), [15, 16, 17, 18, 19]);
        assert!(!outages.take(&outage(5, Some(9), MACHINE_DOWN)), "older than the newest few");
        outages.take(&outage(15, Some(21), MACHINE_DOWN));
        assert!(outages.forget_before(22) && !outages.forget_before(22));
        assert_eq!(outages.each().count(), 4);
    }
}
