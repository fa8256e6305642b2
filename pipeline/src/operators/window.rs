//! Window: samples in, one aggregate per series and minute out, again with a higher revision when a late sample corrects it.
//!
//! In: normalized batches, all of a machine on one worker. Out: aggregates, a machine's oldest window first, with what is new in them
//! for the hour; and minutes to be repaired.
//! State: per machine the open minutes and the closed ones inside the horizon, and which samples were counted; freed when the machine is silent for a day.
//! Time: a window closes when its machine's watermark reaches its end; silence publishes a provisional revision after two intervals;
//! corrections go out at most every five seconds. All of one T is in one revision: what T closes goes out when T is over.
//! Loss: none; what is older than the horizon is counted and its minute goes on the repair list (the raw tier has it); a sample seen before is counted as a duplicate.
//! Invariants: T-1, W-1, W-2, W-4, kept by `state/minutes.rs`.

use std::hint::black_box;
use std::sync::Arc;

use model::catalogue::Kind;
use model::{Bound, Catalogue, LogicalTime, Repair, Roster, Times, Timestamp, Width, Window};

use crate::arrivals::Arrivals;
use crate::counters::Counters;
use crate::settings::{WindowSettings, ticks};
use crate::stage::{At, Stage};
pub use crate::state::minutes::MinuteUpdate;
use crate::state::minutes::{Added, Minutes};
use crate::state::timers::Timers;

/// What leaves the operator.
#[derive(Debug, Clone)]
pub enum Windowed {
    Update(MinuteUpdate),
    Repair(Arc<Repair>),
}

/// Why a machine is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Correct,
    Silence,
}

/// The windows of all machines of a worker, by machine index.
pub struct Windows {
    settings: WindowSettings,
    catalogue: Catalogue,
    machines: Vec<Option<Machine>>,
    timers: Timers<(u32, Timer)>,
    /// Machines whose watermark passed a window's end at T `closing_t`.
    closing: Vec<u32>,
    closing_t: LogicalTime,
    counters: Arc<Counters>,
}

struct Machine {
    minutes: Minutes,
    arrivals: Arc<Arrivals>,
    /// Series of its roster.
    width: usize,
    /// T of the newest batch.
    last_t: LogicalTime,
    /// The silence timer that counts; an earlier one is ignored.
    silence_due: LogicalTime,
    is_correcting: bool,
    is_closing: bool,
    /// What was last put on the repair list, and when: samples of one T ask once. Those of a later T ask again, for the minute may have been
    /// made again in between.
    repair: (Timestamp, LogicalTime),
}

impl Windows {
    pub fn new(settings: WindowSettings, catalogue: Catalogue, counters: Arc<Counters>) -> Self {
        Self {
            settings,
            catalogue,
            machines: Vec::new(),
            timers: Timers::default(),
            closing: Vec::new(),
            closing_t: 0,
            counters,
        }
    }

    /// Makes the machine known, with all the series of its roster.
    fn meet(&mut self, bound: &Bound) {
        let index = bound.index() as usize;
        if self.machines.len() <= index {
            self.machines.resize_with(index + 1, || None);
        }
        if self.machines[index].as_ref().is_some_and(|machine| machine.width >= bound.width()) {
            return;
        }
        let (roster, width) = (bound.roster(), bound.width());
        let is_event = |metric: &str| self.catalogue.find(metric).is_some_and(|m| m.kind == Kind::Event);
        let slots = (0_u32..).zip(&roster.series);
        let events: Vec<u32> = slots.filter(|(_, key)| is_event(&key.metric)).map(|(slot, _)| slot).collect();
        match &mut self.machines[index] {
            Some(machine) => {
                machine.width = width;
                machine.minutes.extend(roster, events);
            }
            unknown => {
                let minutes = Minutes::new(roster, events);
                let machine = Machine {
                    minutes,
                    arrivals: self.counters.arrivals.of(&roster.machine),
                    width,
                    last_t: 0,
                    silence_due: 0,
                    is_correcting: false,
                    is_closing: false,
                    repair: (Timestamp::MIN, 0),
                };
                *unknown = Some(machine);
            }
        }
    }

    /// Sets the timers that a batch calls for.
    fn arm(&mut self, t: LogicalTime, index: u32) {
        let Some(machine) = self.machines[index as usize].as_mut() else {
            return;
        };
        machine.last_t = t;
        let silence = machine.silence();
        if machine.silence_due == 0 || silence < machine.silence_due {
            machine.silence_due = silence;
            self.timers.set(silence, (index, Timer::Silence));
        }
        if machine.minutes.needs_correction() && !machine.is_correcting {
            machine.is_correcting = true;
            self.timers.set(t + ticks(self.settings.correction_interval), (index, Timer::Correct));
        }
        if !machine.is_closing && machine.minutes.is_due_to_close(&self.settings) {
            machine.is_closing = true;
            self.closing.push(index);
            self.closing_t = t;
        }
    }

    /// Closes what the newest T has closed.
    fn close(&mut self, out: &mut Vec<At<Windowed>>) {
        let (t, mut closing) = (self.closing_t, std::mem::take(&mut self.closing));
        for index in closing.drain(..) {
            if let Some(machine) = self.machines[index as usize].as_mut() {
                machine.is_closing = false;
                let publish = sender(t, &self.settings, &self.counters, out);
                machine.minutes.close(&self.settings, publish);
            }
        }
        self.closing = closing;
    }

    fn fire(&mut self, due: LogicalTime, (index, timer): (u32, Timer), out: &mut Vec<At<Windowed>>) {
        let slot = &mut self.machines[index as usize];
        let Some(machine) = slot.as_mut() else { return };
        let publish = sender(due, &self.settings, &self.counters, out);
        if timer == Timer::Correct {
            machine.is_correcting = false;
            machine.minutes.correct(&self.settings, publish);
            return;
        }
        if machine.silence_due != due {
            return;
        }
        let (silence, forget) = (machine.silence(), machine.last_t + ticks(self.settings.forget_after));
        if due >= silence {
            machine.minutes.publish_all(&self.settings, publish);
        }
        if due >= forget {
            self.counters.arrivals.forget(&machine.minutes.roster().machine);
            *slot = None;
            return;
        }
        machine.silence_due = if due < silence { silence } else { forget };
        self.timers.set(machine.silence_due, (index, Timer::Silence));
    }
}

impl Machine {
    /// Counts what was not in order.
    fn note(&self, added: Added, time: Timestamp, counters: &Counters) {
        let Added { aggregated: _, duplicate, late, beyond_horizon } = added;
        counters.duplicate.add(duplicate);
        counters.late.add(late);
        counters.beyond_horizon.add(beyond_horizon);
        self.arrivals.duplicate.add(duplicate);
        self.arrivals.late.add(late);
        self.arrivals.beyond_horizon.add(beyond_horizon);
        let behind = self.minutes.newest().micros().saturating_sub(time.micros());
        counters.lateness.add(late + beyond_horizon, behind);
    }

    /// When two intervals without a batch are over.
    fn silence(&self) -> LogicalTime {
        self.last_t.saturating_add(self.minutes.interval_us().saturating_mul(2))
    }
}

/// The next timer that is due by `now`. A machine that was heard of since its silence was foreseen is silent later.
#[inline]
fn next_timer(
    timers: &mut Timers<(u32, Timer)>,
    machines: &mut [Option<Machine>],
    now: LogicalTime,
) -> Option<(LogicalTime, (u32, Timer))> {
    timers.pop_due_unless(now, |due, (index, timer)| match machines.get_mut(index as usize) {
        Some(Some(machine)) if timer == Timer::Silence && machine.silence_due == due => {
            machine.silence_due = machine.silence().max(due);
            machine.silence_due
        }
        _ => due,
    })
}

/// Sends updates at a time, but for windows that the replayed journal does not wholly cover: those must not replace whole ones.
fn sender<'a>(
    t: LogicalTime,
    settings: &'a WindowSettings,
    counters: &'a Counters,
    out: &'a mut Vec<At<Windowed>>,
) -> impl FnMut(MinuteUpdate) + 'a {
    move |update| {
        let (rows, start) = (update.rows.rows.len(), update.rows.window.start);
        if start >= settings.covered_from {
            counters.minute_rows.add(rows);
            out.push(At { t, item: Windowed::Update(update) });
            return;
        }
        counters.partial_rows.add(rows);
        request_repair(t, &update.rows.roster, start, counters, out);
    }
}

fn request_repair(
    t: LogicalTime,
    roster: &Roster,
    minute: Timestamp,
    counters: &Counters,
    out: &mut Vec<At<Windowed>>,
) {
    counters.repairs.add(1);
    let machine = roster.machine.clone();
    out.push(At { t, item: Windowed::Repair(Arc::new(Repair { machine, minute })) });
}

impl Stage for Windows {
    type In = Bound;
    type Out = Windowed;

    fn apply(&mut self, t: LogicalTime, bound: &Bound, out: &mut Vec<At<Windowed>>) {
        let batch = &bound.batch;
        if batch.is_empty() {
            return;
        }
        let index = bound.index();
        self.meet(bound);
        let Some(machine) = self.machines[index as usize].as_mut() else {
            return;
        };
        let mut start = 0;
        while start < batch.len() {
            let end = match &batch.times {
                Times::One(_) => batch.len(),
                Times::Each(times) => start + times[start..].iter().take_while(|at| **at == times[start]).count(),
            };
            let added = machine.minutes.add(t, (bound, start..end), &self.settings);
            self.counters.aggregated.add(added.aggregated);
            if added.aggregated < end - start || 0 < added.late {
                machine.note(added, batch.time(start), &self.counters);
            }
            if added.beyond_horizon > 0 {
                let minute = Window::containing(batch.time(start), Width::Minute).start;
                if machine.repair != (minute, t) {
                    machine.repair = (minute, t);
                    request_repair(t, machine.minutes.roster(), minute, &self.counters, out);
                }
            }
            start = end;
        }
        machine.arrivals.set_newest(machine.minutes.newest());
        self.arm(t, index);
    }

    // Step by step, for each machine's next read depends on the one before it.
    fn warm(&self, records: &[At<Bound>]) {
        let minutes =
            |bound: &Bound| self.machines.get(bound.index() as usize)?.as_ref().map(|machine| &machine.minutes);
        let machines = || records.iter().filter_map(|at| Some((minutes(&at.item)?, at.item.batch.len())));
        black_box(machines().fold(0, |read, (minutes, _)| read ^ minutes.touch()));
        black_box(machines().fold(0, |read, (minutes, _)| read ^ minutes.touch_last()));
        black_box(machines().fold(0, |read, (minutes, samples)| read ^ minutes.touch_cells(samples)));
    }

    fn advance(&mut self, now: LogicalTime, out: &mut Vec<At<Windowed>>) {
        if now > self.closing_t && !self.closing.is_empty() {
            self.close(out);
        }
        while let Some((due, timer)) = next_timer(&mut self.timers, &mut self.machines, now) {
            self.fire(due, timer, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<At<Windowed>>) {
        self.close(out);
        for machine in self.machines.iter_mut().flatten() {
            let publish = sender(machine.last_t, &self.settings, &self.counters, out);
            machine.minutes.publish_all(&self.settings, publish);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrivals::ArrivalCounts;
    use crate::operators::fixtures::{Feed, SECOND, outputs, settings};
    use expect_test::{Expect, expect};

    /// What the operator publishes for samples of one series `(T, event second, value)`, then at T 1,000.
    fn check(samples: &[(u64, f64, f64)], until: u64, expect: &Expect) {
        let mut feed = Feed::new("db-1", 1);
        let settings = settings();
        let stage = Windows::new(settings.window.clone(), settings.catalogue, Arc::default());
        let frames = samples.iter().map(|(t, at, value)| (t * SECOND, feed.frame(*at, &[*value])));
        let text = outputs(stage, frames, until * SECOND, |windowed: &Windowed| {
            let update = match windowed {
                Windowed::Update(update) => update,
                Windowed::Repair(repair) => return format!("repair minute {}", repair.minute.secs() / 60),
            };
            let of = |rows: &model::Aggregates| {
                rows.rows
                    .iter()
                    .map(|(_, r)| format!("n={} sum={} last={}", r.count, r.sum, r.last))
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            let (rows, delta) =
                (&update.rows, update.delta.as_ref().map_or(String::new(), |d| format!(" new: {}", of(d))));
            let minute = rows.window.start.secs() / 60;
            format!("minute {minute} {} final={} revision={}{delta}", of(rows), rows.is_final, rows.revision / SECOND)
        });
        expect.assert_eq(&text);
    }

    #[test]
    fn a_sample_on_the_boundary_opens_the_next_window() {
        check(&[(1, 59.999, 1.0), (2, 60.0, 2.0), (3, 130.0, 4.0)], 3, &expect![""]);
    }

    #[test]
    fn a_window_closes_when_the_watermark_reaches_its_end_and_not_before() {
        check(&[(1, 30.0, 1.0), (2, 69.9, 2.0)], 2, &expect![[""]]);
        check(
            &[(1, 30.0, 1.0), (2, 70.0, 2.0)],
            3,
            &expect![[r"
            2: minute 0 n=1 sum=1 last=1 final=true revision=1
        "]],
        );
    }

    #[test]
    fn how_a_machines_samples_come_is_counted_until_it_is_forgotten() {
        let (mut feed, settings, counters) = (Feed::new("db-1", 1), settings(), Arc::new(Counters::default()));
        let machine = feed.frame(0.0, &[0.0]).batch.machine().clone();
        let samples = [(1, 300.0), (2, 1_000.0), (3, 960.0), (4, 960.0), (5, 300.0), (6, 1_000.0)];
        let frames: Vec<_> = samples.iter().map(|(t, at)| (t * SECOND, feed.frame(*at, &[1.0]))).collect();
        let until = |until: u64| {
            let stage = Windows::new(settings.window.clone(), settings.catalogue, Arc::clone(&counters));
            outputs(stage, frames.clone(), until, |_: &Windowed| String::new());
            counters.arrivals.counts(&machine)
        };
        let newest = Some(Timestamp::from_secs(1_000));
        let expected = ArrivalCounts { newest, late: 1, duplicate: 2, beyond_horizon: 1, future: 0 };
        assert_eq!(until(7 * SECOND), Some(expected));
        assert_eq!(counters.lateness.buckets()[..6], [0, 0, 1, 0, 0, 0]);
        assert_eq!((counters.lateness.buckets()[6], counters.lateness.sum_us()), (1, 740_000_000));
        assert_eq!(until(3 * 86_400 * SECOND), None, "it was silent for a day");
    }

    #[test]
    fn a_late_sample_corrects_the_window_after_five_seconds() {
        check(
            &[(1, 30.0, 1.0), (2, 80.0, 2.0), (3, 40.0, 5.0), (4, 20.0, 7.0)],
            8,
            &expect![[r"
            2: minute 0 n=1 sum=1 last=1 final=true revision=1
            8: minute 0 n=3 sum=13 last=5 final=true revision=4 new: n=2 sum=12 last=5
        "]],
        );
    }

    #[test]
    fn a_sample_that_comes_twice_counts_once_and_the_first_wins() {
        check(
            &[(1, 30.0, 1.0), (2, 30.0, 9.0), (3, 80.0, 2.0)],
            4,
            &expect![[r"
            3: minute 0 n=1 sum=1 last=1 final=true revision=1
        "]],
        );
    }

    #[test]
    fn silence_publishes_the_open_window_and_does_not_close_it() {
        check(
            &[(1, 10.0, 1.0), (6, 15.0, 2.0), (40, 49.0, 3.0), (41, 90.0, 4.0)],
            42,
            &expect![[r"
            16: minute 0 n=2 sum=3 last=2 final=false revision=6
            41: minute 0 n=3 sum=6 last=3 final=true revision=40 new: n=1 sum=3 last=3
        "]],
        );
    }

    #[test]
    fn a_minute_behind_the_horizon_is_put_on_the_repair_list_by_each_time_that_finds_it() {
        check(
            &[(1, 30.0, 1.0), (2, 700.0, 2.0), (3, 99.0, 5.0), (3, 98.0, 5.0), (4, 95.0, 5.0)],
            9,
            &expect![[r"
            2: minute 0 n=1 sum=1 last=1 final=true revision=1
            3: repair minute 1
            4: repair minute 1
        "]],
        );
    }

    #[test]
    fn a_minute_that_began_before_the_journal_is_left_to_repair_and_the_next_one_is_whole() {
        let (mut feed, settings) = (Feed::new("db-1", 1), settings());
        let window = WindowSettings { covered_from: Timestamp::from_secs(60), ..settings.window };
        let stage = Windows::new(window, settings.catalogue, Arc::default());
        let frames = [(1, 59.0), (2, 60.0), (3, 130.0)].map(|(t, at)| (t * SECOND, feed.frame(at, &[1.0])));
        let text = outputs(stage, frames, 4 * SECOND, |windowed: &Windowed| match windowed {
            Windowed::Update(update) => format!("minute {}", update.rows.window.start.secs() / 60),
            Windowed::Repair(repair) => format!("repair {}", repair.minute.secs() / 60),
        });
        assert_eq!(text, "3: repair 0\n3: minute 1\n");
    }
}
