//! Rollup: minutes in, hours out: at close, again when a late sample corrects one, and every five minutes while it is open.
//!
//! In: what is new in each minute, all of a machine on one worker. Out: hour aggregates.
//! State: per machine the open hour, and the closed ones inside the horizon; freed when the machine is silent for a day.
//! Time: an hour closes when its machine's watermark reaches its end.
//! Loss: none. Invariants: W-2 revisions of a window only grow, W-3 an hour is the merge of its minutes.

use std::collections::VecDeque;
use std::sync::Arc;

use model::{Aggregates, Cells, LogicalTime, Roster, Rows, Slot, Timestamp, Width, Window};

use crate::counters::Counters;
use crate::operators::window::MinuteUpdate;
use crate::settings::{WindowSettings, micros, ticks};
use crate::stage::{At, Stage};
use crate::state::timers::Timers;

/// The hours of all machines of a worker, by machine index.
pub struct Hours {
    settings: WindowSettings,
    machines: Vec<Option<Machine>>,
    timers: Timers<u32>,
    /// Machines whose watermark passed an hour's end at T `closing_t`. They close once that time is over, so that every minute of
    /// one T is in one revision.
    closing: Vec<u32>,
    closing_t: LogicalTime,
    counters: Arc<Counters>,
}

struct Machine {
    roster: Arc<Roster>,
    /// In start order.
    hours: VecDeque<Hour>,
    watermark: i64,
    last_t: LogicalTime,
    /// When the timer fires; 0 when none is set.
    due: LogicalTime,
}

struct Hour {
    start: i64,
    /// Shared with what was published of it.
    cells: Cells,
    /// T of the newest update merged. Not the newest batch's: a correction of an old minute must raise it too.
    revision: LogicalTime,
    published: LogicalTime,
    /// Slots that changed since the last publication; empty before the first, when all go out.
    changed: Vec<Slot>,
    is_closed: bool,
    went_final: bool,
}

impl Hour {
    fn new(start: i64, width: usize) -> Self {
        Self {
            start,
            cells: Cells::new(Timestamp::from_micros(start), width),
            revision: 0,
            published: 0,
            changed: Vec::new(),
            is_closed: false,
            went_final: false,
        }
    }

    fn end(&self) -> i64 {
        self.start.saturating_add(Width::Hour.micros())
    }
}

impl Hours {
    pub fn new(settings: WindowSettings, counters: Arc<Counters>) -> Self {
        Self { settings, machines: Vec::new(), timers: Timers::default(), closing: Vec::new(), closing_t: 0, counters }
    }

    fn publish(
        &mut self,
        index: usize,
        t: LogicalTime,
        which: impl Fn(&Hour) -> bool,
        out: &mut Vec<At<Arc<Aggregates>>>,
    ) {
        let Some(machine) = self.machines[index].as_mut() else {
            return;
        };
        for hour in machine.hours.iter_mut().filter(|h| which(h)) {
            let start = Timestamp::from_micros(hour.start);
            let rows = if hour.went_final {
                hour.changed.sort_unstable();
                hour.changed.dedup();
                hour.changed.iter().filter_map(|slot| Some((*slot, hour.cells.get(*slot)?))).collect()
            } else {
                Rows::All(hour.cells.clone())
            };
            hour.changed.clear();
            hour.published = hour.revision;
            hour.went_final |= hour.is_closed;
            if start < self.settings.covered_from {
                self.counters.partial_rows.add(rows.len());
                continue;
            }
            self.counters.hour_rows.add(rows.len());
            let window = Window { start, width: Width::Hour };
            let (roster, revision) = (Arc::clone(&machine.roster), hour.revision);
            out.push(At { t, item: Arc::new(Aggregates { roster, window, revision, is_final: hour.is_closed, rows }) });
        }
    }

    /// Closes hours that the watermark has passed, and forgets those that nothing can correct any more.
    fn close(&mut self, index: usize, t: LogicalTime, out: &mut Vec<At<Arc<Aggregates>>>) {
        let Some(machine) = self.machines[index].as_mut() else {
            return;
        };
        let (watermark, mut has_closed) = (machine.watermark, false);
        for hour in machine.hours.iter_mut().filter(|h| !h.is_closed && h.end() <= watermark) {
            (hour.is_closed, has_closed) = (true, true);
        }
        if has_closed {
            self.publish(index, t, |hour| hour.is_closed && !hour.went_final, out);
        }
        let forgotten = watermark.saturating_sub(micros(self.settings.horizon));
        let Some(machine) = self.machines[index].as_mut() else {
            return;
        };
        // Published above or by the timer: a correction waits five seconds, the horizon ten minutes.
        machine.hours.retain(|hour| hour.end() > forgotten || hour.revision > hour.published);
    }

    fn fire(&mut self, due: LogicalTime, index: usize, out: &mut Vec<At<Arc<Aggregates>>>) {
        let Some(machine) = self.machines[index].as_mut() else {
            return;
        };
        if machine.due != due {
            return;
        }
        machine.due = 0;
        let forget = machine.last_t + ticks(self.settings.forget_after);
        self.publish(index, due, |hour| hour.revision > hour.published, out);
        if due >= forget {
            self.machines[index] = None;
        } else {
            self.set_timer(index, forget);
        }
    }

    fn set_timer(&mut self, index: usize, due: LogicalTime) {
        let Some(machine) = self.machines[index].as_mut() else {
            return;
        };
        if machine.due == 0 || due < machine.due {
            machine.due = due;
            // Indices are u32 where they are made.
            self.timers.set(due, u32::try_from(index).unwrap_or(u32::MAX));
        }
    }
}

impl Stage for Hours {
    type In = MinuteUpdate;
    type Out = Arc<Aggregates>;

    fn apply(&mut self, t: LogicalTime, update: &MinuteUpdate, _out: &mut Vec<At<Arc<Aggregates>>>) {
        let news = update.news();
        let index = news.roster.index as usize;
        if self.machines.len() <= index {
            self.machines.resize_with(index + 1, || None);
        }
        let machine = self.machines[index].get_or_insert_with(|| Machine {
            roster: Arc::clone(&news.roster),
            hours: VecDeque::new(),
            watermark: i64::MIN,
            last_t: t,
            due: 0,
        });
        machine.last_t = t;
        machine.watermark = machine.watermark.max(update.watermark.micros());
        if machine.roster.series.len() < news.roster.series.len() {
            machine.roster = Arc::clone(&news.roster);
        }
        let mut due = t + ticks(self.settings.hour_interval);
        if !news.rows.is_empty() {
            let hour = machine.hour(Window::containing(news.window.start, Width::Hour).start.micros());
            hour.cells.widen(news.roster.series.len());
            hour.cells.merge(&news.rows);
            hour.revision = t;
            if hour.went_final {
                hour.changed.extend(news.rows.iter().map(|(slot, _)| slot));
                due = t + ticks(self.settings.correction_interval);
            }
        }
        if machine.hours.iter().any(|hour| !hour.is_closed && hour.end() <= machine.watermark) {
            self.closing.push(news.roster.index);
            self.closing_t = t;
        }
        self.set_timer(index, due);
    }

    fn advance(&mut self, now: LogicalTime, out: &mut Vec<At<Arc<Aggregates>>>) {
        if now > self.closing_t && !self.closing.is_empty() {
            for index in std::mem::take(&mut self.closing) {
                self.close(index as usize, self.closing_t, out);
            }
        }
        while let Some((due, index)) = self.timers.pop_due(now) {
            self.fire(due, index as usize, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<At<Arc<Aggregates>>>) {
        for index in std::mem::take(&mut self.closing) {
            self.close(index as usize, self.closing_t, out);
        }
        for index in 0..self.machines.len() {
            let t = self.machines[index].as_ref().map_or(0, |m| m.last_t);
            self.publish(index, t, |hour| hour.revision > hour.published, out);
        }
    }
}

impl Machine {
    fn hour(&mut self, start: i64) -> &mut Hour {
        let at = self.hours.partition_point(|h| h.start < start);
        if self.hours.get(at).is_none_or(|h| h.start != start) {
            self.hours.insert(at, Hour::new(start, self.roster.series.len()));
        }
        &mut self.hours[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operators::fixtures::{Feed, SECOND, outputs, settings};
    use expect_test::{Expect, expect};
    use model::Aggregate;

    /// Minutes `(T, number, what is new in it, watermark in minutes)` of one series.
    fn check(minutes: &[(u64, i64, f64, i64)], until: u64, expect: &Expect) {
        let feed = Feed::new("db-1", 1);
        let minute = |number: i64| Timestamp::from_secs(number * 60);
        let updates = minutes.iter().map(|(t, number, value, watermark)| {
            let rows = vec![(Slot(0), Aggregate::of(*value, minute(*number)))];
            let window = Window { start: minute(*number), width: Width::Minute };
            let (roster, revision) = (Arc::clone(&feed.layout.roster), *t);
            let rows = rows.into_iter().collect();
            let rows = Arc::new(Aggregates { roster, window, revision, is_final: true, rows });
            (t * SECOND, MinuteUpdate { rows, delta: None, is_current: true, watermark: minute(*watermark) })
        });
        let stage = Hours::new(settings().window, Arc::default());
        let text = outputs(stage, updates, until * SECOND, |hour| {
            let rows: Vec<_> = hour.rows.iter().map(|(_, r)| format!("n={} sum={}", r.count, r.sum)).collect();
            format!("hour {} {rows:?} final={}", hour.window.start.secs() / 3600, hour.is_final)
        });
        expect.assert_eq(&text);
    }

    #[test]
    fn a_correction_that_waits_is_published_though_the_clock_jumps_past_the_horizon() {
        check(
            &[(100, 59, 1.0, 60), (102, 59, 2.0, 60), (103, 61, 3.0, 140)],
            200,
            &expect![[r#"
            100: hour 0 ["n=1 sum=1"] final=true
            103: hour 1 ["n=1 sum=3"] final=true
            107: hour 0 ["n=2 sum=3"] final=true
        "#]],
        );
    }

    #[test]
    fn an_hour_closes_with_its_last_minute() {
        check(
            &[(1, 0, 1.0, 1), (2, 58, 2.0, 59), (3, 59, 4.0, 60), (4, 60, 8.0, 61)],
            5,
            &expect![[r#"
            3: hour 0 ["n=3 sum=7"] final=true
        "#]],
        );
    }

    #[test]
    fn all_minutes_of_the_closing_time_are_in_the_hour() {
        check(
            &[(3, 58, 2.0, 61), (3, 59, 4.0, 61), (3, 60, 8.0, 61)],
            5,
            &expect![[r#"
            3: hour 0 ["n=2 sum=6"] final=true
        "#]],
        );
    }

    #[test]
    fn an_open_hour_goes_out_every_five_minutes() {
        check(
            &[(1, 0, 1.0, 1), (61, 1, 2.0, 2)],
            400,
            &expect![[r#"
            301: hour 0 ["n=2 sum=3"] final=false
        "#]],
        );
    }

    #[test]
    fn a_corrected_minute_corrects_its_hour() {
        check(
            &[(1, 59, 1.0, 60), (2, 60, 2.0, 61), (3, 59, 4.0, 61)],
            8,
            &expect![[r#"
            1: hour 0 ["n=1 sum=1"] final=true
            8: hour 0 ["n=2 sum=5"] final=true
            8: hour 1 ["n=1 sum=2"] final=false
        "#]],
        );
    }

    #[test]
    fn an_hour_that_began_before_the_journal_is_not_published_and_the_next_one_is() {
        let feed = Feed::new("db-1", 1);
        let window = WindowSettings { covered_from: Timestamp::from_secs(3_600), ..settings().window };
        let minute = |number: i64| {
            let start = Timestamp::from_secs(number * 60);
            let rows = [(Slot(0), Aggregate::of(1.0, start))].into_iter().collect();
            let (roster, window) = (Arc::clone(&feed.layout.roster), Window { start, width: Width::Minute });
            let rows = Arc::new(Aggregates { roster, window, revision: 1, is_final: true, rows });
            MinuteUpdate { rows, delta: None, is_current: true, watermark: window.end() }
        };
        let minutes = [(1, 59), (2, 60), (3, 119)].map(|(t, number)| (t * SECOND, minute(number)));
        let text = outputs(Hours::new(window, Arc::default()), minutes, 4 * SECOND, |hour| {
            format!("hour {}", hour.window.start.secs() / 3_600)
        });
        assert_eq!(text, "3: hour 1\n");
    }
}
