//! Truth: what the hub must have after a run: every acknowledged sample in the minute that it was measured in, and every change of an alert.
//!
//! Kept apart from the hub's own code on purpose: the same figures by other means. Sums are exact, because values are multiples of a power of two.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

const MINUTE_MS: i64 = 60_000;
/// A hub judges no sample that is older on arrival.
const STALE_MS: u32 = 120_000;

/// Numbers remembered, so that a frame sent twice is recognized; the second one follows within an interval.
const NUMBERS_MAX: usize = 65_536;

/// One series in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub count: u64,
    pub sum: f64,
    pub min: f64,
    pub max: f64,
}

/// An alert from firing to resolution, in milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Episode {
    pub since_ms: i64,
    pub resolved_ms: Option<i64>,
}

/// What one machine sent and the hub acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MachineTruth {
    pub name: String,
    /// Metric and labels of each series, as the hub spells them.
    pub series: Vec<(String, BTreeMap<String, String>)>,
    /// Minute's start, then by series.
    pub minutes: BTreeMap<i64, Vec<Option<Cell>>>,
    /// Of the series that breaches, under the run's rule.
    pub episodes: Vec<Episode>,
    /// Samples that the hub refused; then nothing can be said of the rest.
    pub refused: u64,
    /// Frames that were never acknowledged: the hub may have them or not.
    pub unacknowledged: u64,
    #[serde(skip)]
    newest_ms: Option<i64>,
    #[serde(skip)]
    numbers: BTreeSet<u64>,
}

/// What a whole run left behind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// The rule that judged the breaching series; none where there was none.
    pub rule: Option<String>,
    pub from_ms: i64,
    pub to_ms: i64,
    pub machines: Vec<MachineTruth>,
}

/// A frame that the hub has, as the expectation needs it.
pub(crate) struct Kept<'a> {
    pub(crate) number: u64,
    pub(crate) time_ms: i64,
    pub(crate) age_ms: u32,
    /// Position and value.
    pub(crate) values: &'a mut dyn Iterator<Item = (usize, f64)>,
    pub(crate) is_breach: Option<bool>,
}

impl Cell {
    fn of(value: f64) -> Self {
        Self { count: 1, sum: value, min: value, max: value }
    }

    fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }
}

impl MachineTruth {
    pub(crate) fn new(name: &str, series: Vec<(String, BTreeMap<String, String>)>) -> Self {
        Self { name: name.to_owned(), series, ..Self::default() }
    }

    /// Frames come in the order in which the hub took them.
    pub(crate) fn keep(&mut self, kept: Kept<'_>) {
        // A frame that was sent twice counts once.
        if !self.numbers.insert(kept.number) {
            return;
        }
        if NUMBERS_MAX < self.numbers.len() {
            self.numbers.pop_first();
        }
        let width = self.series.len();
        let minute = self.minutes.entry(kept.time_ms.div_euclid(MINUTE_MS) * MINUTE_MS);
        let cells = minute.or_insert_with(|| vec![None; width]);
        for (position, value) in kept.values {
            match &mut cells[position] {
                Some(cell) => cell.add(value),
                empty @ None => *empty = Some(Cell::of(value)),
            }
        }
        if let Some(is_breach) = kept.is_breach {
            self.judge(kept.time_ms, kept.age_ms, is_breach);
        }
    }

    /// A rule without `for` and hysteresis: the newest sample decides, and what comes out of order decides nothing.
    fn judge(&mut self, time_ms: i64, age_ms: u32, is_breach: bool) {
        if self.newest_ms.is_some_and(|newest| time_ms <= newest) || STALE_MS < age_ms {
            return;
        }
        self.newest_ms = Some(time_ms);
        let firing = self.episodes.last_mut().filter(|episode| episode.resolved_ms.is_none());
        match (firing, is_breach) {
            (None, true) => self.episodes.push(Episode { since_ms: time_ms, resolved_ms: None }),
            (Some(episode), false) => episode.resolved_ms = Some(time_ms),
            (None, false) | (Some(_), true) => {}
        }
    }

    #[must_use]
    pub fn samples(&self) -> u64 {
        self.minutes.values().flatten().flatten().map(|cell| cell.count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> MachineTruth {
        MachineTruth {
            series: vec![("a".into(), BTreeMap::new()), ("b".into(), BTreeMap::new())],
            ..MachineTruth::default()
        }
    }

    fn keep(truth: &mut MachineTruth, number: u64, time_ms: i64, value: f64, is_breach: bool) {
        let mut values = [(0, value), (1, 2.0 * value)].into_iter();
        truth.keep(Kept { number, time_ms, age_ms: 0, values: &mut values, is_breach: Some(is_breach) });
    }

    #[test]
    fn samples_are_counted_once_in_the_minute_they_were_measured_in() {
        let mut truth = machine();
        for (number, time_ms, value) in [(1, 59_999, 3.0), (2, 60_000, 5.0), (2, 60_000, 5.0), (3, 119_999, 1.0)] {
            keep(&mut truth, number, time_ms, value, false);
        }
        let told: Vec<_> = truth.minutes.iter().map(|(at, cells)| (*at, cells[1].unwrap())).collect();
        let cell = |count, sum, min, max| Cell { count, sum, min, max };
        assert_eq!(told, [(0, cell(1, 6.0, 6.0, 6.0)), (60_000, cell(2, 12.0, 2.0, 10.0))]);
        assert_eq!(truth.samples(), 6);
    }

    #[test]
    fn an_alert_fires_and_resolves_in_turn_and_what_is_out_of_order_changes_nothing() {
        let mut truth = machine();
        let levels = [
            (1, 1_000, false),
            (2, 2_000, true),
            (3, 1_500, false),
            (4, 4_000, true),
            (5, 5_000, false),
            (6, 6_000, true),
        ];
        for (number, time_ms, is_breach) in levels {
            keep(&mut truth, number, time_ms, 0.0, is_breach);
        }
        let episode = |since_ms, resolved_ms| Episode { since_ms, resolved_ms };
        assert_eq!(truth.episodes, [episode(2_000, Some(5_000)), episode(6_000, None)]);
    }
}
