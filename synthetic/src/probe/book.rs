//! Book: the transactions that are under way, and how long those before them took to each exit.
//!
//! Bounds: a transaction leaves the book when it has reached every exit, or after [`LOST_AFTER`] as lost for those that it has not; so the book holds
//! at most as many as are sent in that time. The last [`RECENT_MAX`] latencies of a stage are kept as they are, all of them as a histogram.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime::metrics::{Counter, Histogram, LATENCY_SECONDS, Registry};
use serde::Serialize;

use crate::latency::Latencies;

/// What has not shown by then is lost to whoever waits for it.
pub const LOST_AFTER: Duration = Duration::from_secs(30);
/// What takes longer is late.
pub const LATE_AFTER: Duration = Duration::from_secs(5);
/// Latencies of a stage that "the last minutes" are: five minutes at one a second.
const RECENT_MAX: usize = 300;
/// Losses in so many of the newest transactions make an alert.
const LOSSES_OVER: usize = 60;

/// Where a transaction is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// On the journal's disk, and its sender knows.
    Acknowledged,
    /// In the hot state, for REST.
    Hot,
    /// A rule's verdict on it changed; of every tenth only.
    Alert,
    /// On a WebSocket, as browsers have it.
    Live,
    /// Committed to the history.
    History,
    /// A listener on the event bus was told of the verdict; where there is a bus.
    Bus,
}

impl Stage {
    pub const ALL: [Self; 6] = [Self::Acknowledged, Self::Hot, Self::Alert, Self::Live, Self::History, Self::Bus];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Hot => "hot",
            Self::Alert => "alert",
            Self::Bus => "bus",
            Self::Live => "live",
            Self::History => "history",
        }
    }

    fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

/// One transaction on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Open {
    /// Its event time in milliseconds, which is also its value: how it is recognized everywhere.
    pub(crate) stamp_ms: i64,
    pub(crate) due_us: u64,
    /// Whether the rule must fire on it, or resolve; none where nothing changes.
    pub(crate) breach: Option<bool>,
    missing: u8,
}

/// One stage as `GET /api/v1/synthetic` tells it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct StageView {
    pub stage: &'static str,
    pub count: u64,
    /// Of the last five minutes; `None` before the first.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub max_ms: Option<f64>,
    pub late: u64,
    pub lost: u64,
    /// Percent and milliseconds, since the start.
    pub curve: Vec<(f64, f64)>,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct View {
    pub every_ms: u64,
    pub sent: u64,
    pub under_way: usize,
    /// Stored more than once.
    pub duplicates: u64,
    pub stages: Vec<StageView>,
}

/// Shared by the tasks of the probe and the web.
pub struct Book {
    state: Mutex<State>,
    every: Duration,
}

struct State {
    open: VecDeque<Open>,
    sent: u64,
    /// Those that this hub has, in the order of `Stage::ALL`.
    stages: Vec<StageState>,
    duplicates: u64,
    sent_total: Counter,
    duplicates_total: Counter,
}

struct StageState {
    stage: Stage,
    recent: VecDeque<u64>,
    /// Of the newest transactions: whether each was lost here.
    losses: VecDeque<bool>,
    all: Latencies,
    late: u64,
    lost: u64,
    seconds: Histogram,
    lost_total: Counter,
    late_total: Counter,
}

impl Book {
    /// Of the stages that this hub has.
    pub fn new(every: Duration, has: impl Fn(Stage) -> bool, registry: &Registry) -> Self {
        let transactions = "Synthetic transactions by what became of them at a stage.";
        let stage = |stage: Stage| {
            let outcome = |outcome| [("stage", stage.as_str()), ("outcome", outcome)];
            StageState {
                stage,
                recent: VecDeque::with_capacity(RECENT_MAX),
                losses: VecDeque::with_capacity(LOSSES_OVER),
                all: Latencies::default(),
                late: 0,
                lost: 0,
                seconds: registry.histogram(
                    "synthetic_latency_seconds",
                    "From when a synthetic transaction was due until the stage had it.",
                    &[("stage", stage.as_str())],
                    LATENCY_SECONDS,
                ),
                lost_total: registry.counter("synthetic_transactions_total", transactions, &outcome("lost")),
                late_total: registry.counter("synthetic_transactions_total", transactions, &outcome("late")),
            }
        };
        let counter = |name, help| registry.counter(name, help, &[]);
        let state = State {
            open: VecDeque::new(),
            sent: 0,
            stages: Stage::ALL.into_iter().filter(|stage| has(*stage)).map(stage).collect(),
            duplicates: 0,
            sent_total: counter("synthetic_sent_total", "Synthetic transactions sent."),
            duplicates_total: counter("synthetic_duplicates_total", "Synthetic transactions stored more than once."),
        };
        Self { state: Mutex::new(state), every }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A transaction that was due at `due_us` is on its way.
    pub(crate) fn open(&self, stamp_ms: i64, due_us: u64, breach: Option<bool>) {
        let mut state = self.lock();
        state.sent += 1;
        state.sent_total.increment();
        let all = state.stages.iter().fold(0, |bits, state| bits | state.stage.bit());
        let missing = if breach.is_some() { all } else { all & !(Stage::Alert.bit() | Stage::Bus.bit()) };
        state.open.push_back(Open { stamp_ms, due_us, breach, missing });
    }

    /// A stage has everything up to this stamp.
    pub(crate) fn reached(&self, stage: Stage, stamp_ms: i64, now_us: u64) {
        self.settle(stage, now_us, |open| open.stamp_ms <= stamp_ms);
    }

    /// A stage has exactly this one.
    pub(crate) fn found(&self, stage: Stage, stamp_ms: i64, now_us: u64) {
        self.settle(stage, now_us, |open| open.stamp_ms == stamp_ms);
    }

    /// A stage knows that the rule fires, or does not: what had to lead there did.
    pub(crate) fn judged(&self, stage: Stage, fires: bool, now_us: u64) {
        self.settle(stage, now_us, |open| open.breach == Some(fires));
    }

    pub(crate) fn note_duplicate(&self) {
        let mut state = self.lock();
        state.duplicates += 1;
        state.duplicates_total.increment();
    }

    fn settle(&self, stage: Stage, now_us: u64, is_there: impl Fn(&Open) -> bool) {
        let mut state = self.lock();
        let State { open, stages, .. } = &mut *state;
        let Some(state) = stages.iter_mut().find(|state| state.stage == stage) else { return };
        for one in open.iter_mut().filter(|one| one.missing & stage.bit() != 0 && is_there(one)) {
            one.missing &= !stage.bit();
            state.note(now_us.saturating_sub(one.due_us));
        }
        open.retain(|one| one.missing != 0);
    }

    /// Gives up on what has been under way for too long.
    pub(crate) fn expire(&self, now_us: u64) {
        let mut state = self.lock();
        let State { open, stages, .. } = &mut *state;
        let limit_us = u64::try_from(LOST_AFTER.as_micros()).unwrap_or(u64::MAX);
        while let Some(old) = open.pop_front_if(|one| one.due_us.saturating_add(limit_us) <= now_us) {
            stages.iter_mut().filter(|state| old.missing & state.stage.bit() != 0).for_each(StageState::lose);
        }
    }

    /// The oldest and the newest stamp that a stage has not shown yet.
    pub(crate) fn awaited(&self, stage: Stage) -> Option<(i64, i64)> {
        let state = self.lock();
        let stamps = || state.open.iter().filter(|one| one.missing & stage.bit() != 0).map(|one| one.stamp_ms);
        stamps().min().zip(stamps().max())
    }

    /// p99 of the newest minute of each stage in seconds, and how many of its transactions were lost anywhere.
    pub(crate) fn newest_minute(&self) -> (Vec<(Stage, Option<f64>)>, u64) {
        let state = self.lock();
        let p99 = |stage: &StageState| {
            let newest: Vec<u64> = stage.recent.iter().rev().take(LOSSES_OVER).copied().collect();
            (stage.stage, percentile(newest, 99).map(|us| us as f64 / 1e6))
        };
        let lost = |stage: &StageState| stage.losses.iter().filter(|lost| **lost).count() as u64;
        (state.stages.iter().map(p99).collect(), state.stages.iter().map(lost).max().unwrap_or(0))
    }

    /// p50, p99 and max in milliseconds of the last minutes at a stage; `None` before the first.
    #[must_use]
    pub fn recent_ms(&self, stage: Stage) -> Option<(f64, f64, f64)> {
        self.lock().stages.iter().find(|state| state.stage == stage)?.recent_ms()
    }

    /// What this hub has.
    pub(crate) fn stages(&self) -> Vec<Stage> {
        self.lock().stages.iter().map(|state| state.stage).collect()
    }

    #[must_use]
    pub fn view(&self) -> View {
        let state = self.lock();
        let stage = |stage: &StageState| {
            let recent = stage.recent_ms();
            StageView {
                stage: stage.stage.as_str(),
                count: stage.all.count(),
                p50_ms: recent.map(|(p50, _, _)| p50),
                p99_ms: recent.map(|(_, p99, _)| p99),
                max_ms: recent.map(|(_, _, max)| max),
                late: stage.late,
                lost: stage.lost,
                curve: stage.all.curve().into_iter().map(|(percent, us)| (percent, us as f64 / 1e3)).collect(),
            }
        };
        View {
            every_ms: u64::try_from(self.every.as_millis()).unwrap_or(u64::MAX),
            sent: state.sent,
            under_way: state.open.len(),
            duplicates: state.duplicates,
            stages: state.stages.iter().map(stage).collect(),
        }
    }
}

impl StageState {
    fn note(&mut self, us: u64) {
        self.all.record(us);
        self.seconds.observe(us as f64 / 1e6);
        push(&mut self.recent, us, RECENT_MAX);
        push(&mut self.losses, false, LOSSES_OVER);
        if LATE_AFTER.as_micros() < u128::from(us) {
            self.late += 1;
            self.late_total.increment();
        }
    }

    fn lose(&mut self) {
        push(&mut self.losses, true, LOSSES_OVER);
        self.lost += 1;
        self.lost_total.increment();
    }

    fn recent_ms(&self) -> Option<(f64, f64, f64)> {
        let of = |percent| percentile(self.recent.iter().copied().collect(), percent).map(|us| us as f64 / 1e3);
        Some((of(50)?, of(99)?, of(100)?))
    }
}

fn push<T>(list: &mut VecDeque<T>, item: T, most: usize) {
    if list.len() == most {
        list.pop_front();
    }
    list.push_back(item);
}

/// By nearest rank.
fn percentile(mut values: Vec<u64>, percent: usize) -> Option<u64> {
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100);
    values.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn book() -> Book {
        Book::new(Duration::from_secs(1), |stage| stage != Stage::Bus, &Registry::new())
    }

    fn stage(view: &View, stage: Stage) -> &StageView {
        view.stages.iter().find(|one| one.stage == stage.as_str()).unwrap()
    }

    #[test]
    fn a_transaction_leaves_when_every_exit_had_it() {
        let book = book();
        book.open(1_000, SECOND, None);
        book.open(2_000, 2 * SECOND, Some(true));
        book.reached(Stage::Acknowledged, 2_000, 2 * SECOND + 1_500);
        book.reached(Stage::Hot, 1_000, SECOND + 200);
        book.reached(Stage::Live, 2_000, 2 * SECOND + 900);
        book.found(Stage::History, 1_000, SECOND + 250_000);
        assert_eq!(book.view().under_way, 1);
        assert_eq!(book.awaited(Stage::History), Some((2_000, 2_000)));
        book.judged(Stage::Alert, false, 3 * SECOND);
        assert_eq!(stage(&book.view(), Stage::Alert).count, 0, "it fires for this one");
        book.judged(Stage::Alert, true, 2 * SECOND + 700);
        book.found(Stage::History, 2_000, 2 * SECOND + 250_000);
        book.reached(Stage::Hot, 2_000, 2 * SECOND + 400);
        let view = book.view();
        assert_eq!((view.under_way, view.sent), (0, 2));
        assert_eq!(stage(&view, Stage::Hot).max_ms, Some(0.4));
        assert_eq!(stage(&view, Stage::Alert).p50_ms, Some(0.7));
        // The first was acknowledged with the second, a second after it was due.
        assert_eq!(stage(&view, Stage::Acknowledged).max_ms, Some(1_001.5));
    }

    #[test]
    fn a_bus_is_waited_for_where_there_is_one_and_only_by_what_changes_the_verdict() {
        let book = Book::new(Duration::from_secs(1), |_| true, &Registry::new());
        book.open(1_000, SECOND, None);
        book.open(2_000, 2 * SECOND, Some(true));
        for stage in [Stage::Acknowledged, Stage::Hot, Stage::Live, Stage::History] {
            book.reached(stage, 2_000, 2 * SECOND + 500);
        }
        book.judged(Stage::Alert, true, 2 * SECOND + 500);
        assert_eq!(book.view().under_way, 1);
        book.judged(Stage::Bus, true, 2 * SECOND + 800);
        assert_eq!((book.view().under_way, stage(&book.view(), Stage::Bus).p50_ms), (0, Some(0.8)));
        assert!(self::book().view().stages.iter().all(|stage| stage.stage != "bus"));
    }

    #[test]
    fn a_stage_that_a_hub_has_not_is_not_waited_for() {
        let book = Book::new(Duration::from_secs(1), |stage| stage != Stage::History, &Registry::new());
        book.open(1_000, SECOND, None);
        for stage in [Stage::Acknowledged, Stage::Hot, Stage::Live, Stage::History] {
            book.reached(stage, 1_000, 2 * SECOND);
        }
        let view = book.view();
        assert_eq!((view.under_way, book.recent_ms(Stage::History)), (0, None));
        assert_eq!(book.recent_ms(Stage::Live).map(|(p50, ..)| p50), Some(1_000.0));
        let names: Vec<_> = view.stages.iter().map(|stage| stage.stage).collect();
        assert_eq!(names, ["acknowledged", "hot", "alert", "live", "bus"]);
    }

    #[test]
    fn what_never_shows_is_lost_there_and_counted_nowhere_else() {
        let book = book();
        book.open(1_000, 0, None);
        book.reached(Stage::Acknowledged, 1_000, 6 * SECOND);
        book.expire(29 * SECOND);
        assert_eq!(book.view().under_way, 1);
        book.expire(30 * SECOND);
        let view = book.view();
        assert_eq!(view.under_way, 0);
        let lost: Vec<u64> = view.stages.iter().map(|stage| stage.lost).collect();
        assert_eq!(lost, [0, 1, 0, 1, 1], "{view:?}");
        assert_eq!(stage(&view, Stage::Acknowledged).late, 1);
        let (p99, losses) = book.newest_minute();
        assert_eq!((p99[0], p99[1], losses), ((Stage::Acknowledged, Some(6.0)), (Stage::Hot, None), 1));
    }

    #[test]
    fn the_last_minutes_forget_what_is_older_and_the_histogram_does_not() {
        let book = book();
        for n in 0..(RECENT_MAX as u64 + 10) {
            let stamp = i64::try_from(n).unwrap();
            book.open(stamp, n * SECOND, None);
            let took = if n < 10 { 4 * SECOND } else { 1_000 };
            book.stages().iter().for_each(|stage| book.reached(*stage, stamp, n * SECOND + took));
        }
        let view = book.view();
        let hot = stage(&view, Stage::Hot);
        assert_eq!((hot.count, hot.max_ms), (RECENT_MAX as u64 + 10, Some(1.0)));
        assert!(hot.curve.last().unwrap().1 >= 4_000.0);
    }
}
