//! Minutes: the open and the correctable minutes of one machine, and which samples they hold.
//!
//! Invariants: T-1 a machine's watermark never goes back and only its own data moves it, W-1 a sample falls in one window,
//! W-2 revisions of a window only grow, W-4 arrival order does not matter.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use model::{Aggregates, Bound, Cells, LogicalTime, Roster, Rows, Slot, Stretch, Timestamp, Width, Window};

use crate::settings::{WindowSettings, micros};
use crate::state::news::News;
use crate::state::seen::Seen;

/// Bounds of what two frames in a row say about a machine's interval, in microseconds.
const INTERVAL: (i64, i64) = (1_000_000, 300_000_000);
const INTERVAL_DEFAULT: i64 = 5_000_000;

/// A published revision of a minute.
#[derive(Debug, Clone)]
pub struct MinuteUpdate {
    /// Whole rows, for the minute tier.
    pub rows: Arc<Aggregates>,
    /// What the rows hold that no earlier update held, for the hour; the rows themselves when this is their first.
    pub delta: Option<Arc<Aggregates>>,
    /// Some of its samples were of their moment when they came: it says something about now, not only about the past.
    pub is_current: bool,
    /// The machine's watermark: no window that ends at or before it is open.
    pub watermark: Timestamp,
}

impl MinuteUpdate {
    pub fn news(&self) -> &Arc<Aggregates> {
        self.delta.as_ref().unwrap_or(&self.rows)
    }
}

/// What became of the samples of one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Added {
    pub aggregated: usize,
    pub duplicate: usize,
    /// Of the aggregated: behind the watermark.
    pub late: usize,
    pub beyond_horizon: usize,
}

/// The minutes of one machine.
pub struct Minutes {
    roster: Arc<Roster>,
    /// Slots of event metrics: several samples may share a time.
    events: Vec<u32>,
    newest: i64,
    interval: i64,
    /// In start order; the closed ones in front.
    minutes: VecDeque<Minute>,
    closed: usize,
    /// A closed minute has news.
    needs_correction: bool,
    seen: Seen,
}

struct Minute {
    /// Shared with what was published of it.
    cells: Cells,
    /// T of the newest batch merged.
    revision: LogicalTime,
    /// Revision that went out last; 0 when none did.
    published: LogicalTime,
    /// Every row went out as final; from here on only corrected rows do.
    went_final: bool,
    /// A batch that was not stale is in it.
    is_current: bool,
    /// Samples merged since, kept once the window has been published.
    news: News,
}

impl Minutes {
    pub fn new(roster: &Arc<Roster>, events: Vec<u32>) -> Self {
        Self {
            roster: Arc::clone(roster),
            events,
            newest: i64::MIN,
            interval: INTERVAL_DEFAULT,
            minutes: VecDeque::new(),
            closed: 0,
            needs_correction: false,
            seen: Seen::default(),
        }
    }

    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// The machine has more series now.
    pub fn extend(&mut self, roster: &Arc<Roster>, events: Vec<u32>) {
        (self.roster, self.events) = (Arc::clone(roster), events);
    }

    /// The newest event time that was accepted; `Timestamp::MIN` before the first.
    pub fn newest(&self) -> Timestamp {
        Timestamp::from_micros(self.newest)
    }

    /// Time between frames, as the last two in order show it.
    pub fn interval_us(&self) -> u64 {
        u64::try_from(self.interval).unwrap_or(0)
    }

    /// Reads where the next frame's place is told.
    pub fn touch(&self) -> i64 {
        self.newest ^ self.seen.touch_place()
    }

    /// Reads what leads to the memory that the next frame will change.
    pub fn touch_last(&self) -> i64 {
        self.seen.touch() ^ self.minutes.back().map_or(0, Minute::start)
    }

    /// Reads the memory that a batch of so many samples will change.
    pub fn touch_cells(&self, samples: usize) -> u64 {
        // What comes alone is late, and mostly belongs elsewhere.
        if samples == 1 { 0 } else { self.minutes.back().map_or(0, |minute| minute.cells.touch()) }
    }

    pub fn needs_correction(&self) -> bool {
        self.needs_correction
    }

    pub fn is_due_to_close(&self, settings: &WindowSettings) -> bool {
        let watermark = self.watermark(settings);
        self.minutes.get(self.closed).is_some_and(|m| m.end() <= watermark)
    }

    fn watermark(&self, settings: &WindowSettings) -> i64 {
        self.newest.saturating_sub(micros(settings.lateness))
    }

    fn horizon(&self, settings: &WindowSettings) -> i64 {
        self.newest.saturating_sub(micros(settings.horizon))
    }

    /// Adds the values `range` of a batch, which share a time.
    pub fn add(&mut self, t: LogicalTime, (bound, range): (&Bound, Range<usize>), settings: &WindowSettings) -> Added {
        let (time, given) = (bound.batch.time(range.start), range.len());
        let at = time.micros();
        if at < self.horizon(settings) {
            return Added { beyond_horizon: given, ..Added::default() };
        }
        if self.seen.is_full() {
            self.seen.forget_before(self.horizon(settings));
        }
        let is_late = at <= self.watermark(settings);
        let position = self.minute_of(time);
        let minute = &mut self.minutes[position];
        minute.cells.widen(bound.width());
        let is_frame = given == bound.batch.len() && self.events.is_empty();
        let values = &bound.batch.values;
        let width = u32::try_from(given).unwrap_or(u32::MAX);
        let seen = &mut self.seen;
        let is_new = is_frame
            && match (bound.mask(), bound.rising()) {
                (Some(mask), _) => seen.insert_mask(at, mask),
                (None, Some(list)) => seen.insert_rising(at, list),
                (None, None) if bound.is_dense() => seen.insert_dense(at, width),
                (None, None) => seen.insert_newest(at, (0..given).map(|index| bound.slot(index))),
            };
        let added = if is_new && given == 1 {
            minute.add(bound.slot(0), values[0], time);
            1
        } else if is_new {
            minute.add_frame(bound.stretches(), time);
            given
        } else {
            let mut added = 0;
            for index in range {
                let (slot, value) = (bound.slot(index), values[index]);
                if self.events.contains(&slot.0) || self.seen.insert(at, slot) {
                    minute.add(slot, value, time);
                    added += 1;
                }
            }
            added
        };
        if added > 0 {
            minute.revision = t;
            minute.is_current |= !bound.batch.is_stale();
            self.needs_correction |= position < self.closed;
            let step = at.saturating_sub(self.newest);
            if self.newest != i64::MIN && step > 0 {
                self.interval = step.clamp(INTERVAL.0, INTERVAL.1);
            }
            self.newest = self.newest.max(at);
        }
        Added { aggregated: added, duplicate: given - added, late: if is_late { added } else { 0 }, beyond_horizon: 0 }
    }

    /// Index of the minute that `time` falls into, made where it is missing. Nearly always the last one.
    fn minute_of(&mut self, time: Timestamp) -> usize {
        // The last minute, or for a late sample mostly the one before it.
        let holds = |minute: &Minute| minute.start() <= time.micros() && time.micros() < minute.end();
        if let Some(behind) = self.minutes.iter().rev().take(2).position(holds) {
            return self.minutes.len() - 1 - behind;
        }
        let start = Window::containing(time, Width::Minute).start;
        let at = self.minutes.partition_point(|m| m.start() < start.micros());
        if self.minutes.get(at).is_none_or(|m| m.start() != start.micros()) {
            let cells = Cells::new(start, self.roster.series.len());
            let (news, is_current) = (News::default(), false);
            let minute = Minute { cells, revision: 0, published: 0, went_final: false, is_current, news };
            self.minutes.insert(at, minute);
            // A minute that begins behind a closed one is born closed: its rows go out as a correction.
            if at < self.closed {
                self.closed += 1;
            }
        }
        at
    }

    /// Closes what the watermark has passed and forgets what the horizon has passed; gives what that publishes.
    pub fn close(&mut self, settings: &WindowSettings, mut publish: impl FnMut(MinuteUpdate)) {
        while self.is_due_to_close(settings) {
            self.closed += 1;
            publish(self.publish(self.closed - 1, settings));
        }
        let horizon = self.horizon(settings);
        self.seen.forget_before(horizon);
        while self.closed > 0 && self.minutes.front().is_some_and(|m| m.end() <= horizon) {
            if self.minutes[0].has_news() {
                publish(self.publish(0, settings));
            }
            self.closed -= 1;
            self.minutes.pop_front();
        }
    }

    /// Gives the corrections of closed minutes.
    pub fn correct(&mut self, settings: &WindowSettings, publish: impl FnMut(MinuteUpdate)) {
        self.needs_correction = false;
        self.publish_news(0..self.closed, settings, publish);
    }

    /// Gives everything that has news, open minutes too: provisional revisions.
    pub fn publish_all(&mut self, settings: &WindowSettings, publish: impl FnMut(MinuteUpdate)) {
        self.publish_news(0..self.minutes.len(), settings, publish);
    }

    fn publish_news(&mut self, which: Range<usize>, settings: &WindowSettings, mut publish: impl FnMut(MinuteUpdate)) {
        for at in which {
            if self.minutes[at].has_news() {
                publish(self.publish(at, settings));
            }
        }
    }

    fn publish(&mut self, at: usize, settings: &WindowSettings) -> MinuteUpdate {
        let watermark = Timestamp::from_micros(self.watermark(settings));
        let is_final = at < self.closed;
        let (roster, minute) = (&self.roster, &mut self.minutes[at]);
        let window = Window { start: Timestamp::from_micros(minute.start()), width: Width::Minute };
        let (revision, is_current) = (minute.revision, minute.is_current);
        let aggregates = |rows| Arc::new(Aggregates { roster: Arc::clone(roster), window, revision, is_final, rows });
        let news = minute.news.take();
        // Rows that went out as final go out again only when they changed.
        let rows = if minute.went_final {
            news.iter().filter_map(|(slot, _)| Some((*slot, minute.cells.get(*slot)?))).collect()
        } else {
            Rows::All(minute.cells.clone())
        };
        let is_first = minute.published == 0;
        minute.published = revision;
        // Who is closed stays closed.
        minute.went_final = is_final;
        let delta = (!is_first).then(|| aggregates(Rows::Some(news)));
        MinuteUpdate { rows: aggregates(rows), delta, is_current, watermark }
    }
}

impl Minute {
    fn start(&self) -> i64 {
        self.cells.start()
    }

    fn end(&self) -> i64 {
        self.start().saturating_add(Width::Minute.micros())
    }

    fn has_news(&self) -> bool {
        self.revision > self.published
    }

    fn add(&mut self, slot: Slot, value: f64, time: Timestamp) {
        self.cells.add(slot, value, time);
        if self.published > 0 {
            self.news.add(slot, value, time);
        }
    }

    /// Adds samples of one time.
    fn add_frame<'a>(&mut self, stretches: impl Iterator<Item = Stretch<'a>> + Clone, time: Timestamp) {
        if self.published > 0 {
            self.news.add_frame(stretches.clone(), time);
        }
        self.cells.add_frame(stretches, time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operators::fixtures::{Feed, settings};
    use model::{Positions, Times};

    /// Adds a sample of each time, and closes what that closes.
    fn added(minutes: &mut Minutes, feed: &mut Feed, times: &[f64]) -> Vec<Added> {
        let settings = settings().window;
        let mut add = |(t, at): (LogicalTime, &f64)| {
            let bound =
                feed.bound(Positions::List([0].into()), Times::One(crate::operators::fixtures::at(*at)), &[1.0]);
            let added = minutes.add(t, (&bound, 0..1), &settings);
            minutes.close(&settings, |_| {});
            added
        };
        (1..).zip(times).map(|(t, at)| add((t, at))).collect()
    }

    #[test]
    fn a_sample_at_the_watermark_is_late_and_one_at_the_horizon_counts_once() {
        let mut feed = Feed::new("db-1", 2);
        let mut minutes = Minutes::new(&feed.layout.roster, Vec::new());
        let times = [400.0, 1_000.0, 990.0, 990.000_001, 400.0, 400.000_001, 399.999_999];
        let one = Added { aggregated: 1, ..Added::default() };
        let late = Added { late: 1, ..one };
        let duplicate = Added { duplicate: 1, ..Added::default() };
        let beyond = Added { beyond_horizon: 1, ..Added::default() };
        assert_eq!(added(&mut minutes, &mut feed, &times), [one, one, late, one, duplicate, late, beyond]);
    }

    #[test]
    fn two_frames_of_one_time_say_nothing_about_the_interval() {
        let mut feed = Feed::new("db-1", 2);
        let mut minutes = Minutes::new(&feed.layout.roster, Vec::new());
        added(&mut minutes, &mut feed, &[0.0, 20.0]);
        let other = feed.bound(Positions::List([1].into()), Times::One(crate::operators::fixtures::at(20.0)), &[1.0]);
        assert_eq!(minutes.add(3, (&other, 0..1), &settings().window).aggregated, 1);
        assert_eq!(minutes.interval_us(), 20_000_000);
        added(&mut minutes, &mut feed, &[20.1]);
        assert_eq!(minutes.interval_us(), 1_000_000, "no less than a second");
    }
}
