//! The 23 figures of `sysmon-1`, counted from what leaves the graph.
//!
//! Of a row's revisions the newest counts: it is added when it comes, and what it corrects is taken back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use hashbrown::HashMap;
use model::{Aggregate, Aggregates, Bound, Change, LogicalTime, Output, Rows, Slot, Stretch, Timestamp, Transition};
use pipeline::SinkPort;
use serde::Serialize;

use crate::workload::{BASE_MS, SERIES_PER_MACHINE};

/// Figures of one window width.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Windows {
    pub windows: u64,
    pub count: u64,
    pub sum: f64,
    pub min: f64,
    pub max: f64,
    pub last: f64,
    pub wsum: f64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Alerts {
    pub fired: u64,
    pub fired_value: f64,
    pub fired_ts: i64,
    pub resolved: u64,
    pub resolved_value: f64,
    pub resolved_ts: i64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latest {
    pub series: u64,
    pub value: f64,
    pub ts: i64,
}

/// All figures; those of several workers add up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Figures {
    pub m1: Windows,
    pub h1: Windows,
    pub alerts: Alerts,
    pub latest: Latest,
}

impl Figures {
    pub fn add(&mut self, other: &Self) {
        self.m1.merge(&other.m1);
        self.h1.merge(&other.h1);
        let (mine, theirs) = (&mut self.alerts, &other.alerts);
        mine.fired += theirs.fired;
        mine.fired_value += theirs.fired_value;
        mine.fired_ts += theirs.fired_ts;
        mine.resolved += theirs.resolved;
        mine.resolved_value += theirs.resolved_value;
        mine.resolved_ts += theirs.resolved_ts;
        self.latest.series += other.latest.series;
        self.latest.value += other.latest.value;
        self.latest.ts += other.latest.ts;
    }
}

fn ms(at: Timestamp) -> i64 {
    at.millis() - BASE_MS
}

/// Number of a machine of the workload: its id is `m` and the number.
fn machine_number(id: &model::MachineId) -> u32 {
    id.as_str().get(1..).and_then(|number| number.parse().ok()).unwrap_or(0)
}

impl Windows {
    fn merge(&mut self, other: &Self) {
        self.windows = self.windows.wrapping_add(other.windows);
        self.count = self.count.wrapping_add(other.count);
        self.sum += other.sum;
        self.min += other.min;
        self.max += other.max;
        self.last += other.last;
        self.wsum += other.wsum;
    }

    /// Adds a row, or with -1 takes back one that was added: the workload's values make every sum exact.
    fn add(&mut self, weight: u32, row: &Aggregate, sign: i64) {
        #[expect(clippy::cast_precision_loss, reason = "1 or -1")]
        let factor = sign as f64;
        self.windows = self.windows.wrapping_add_signed(sign);
        self.count = self.count.wrapping_add_signed(sign * i64::try_from(row.count).unwrap_or(0));
        self.sum += factor * row.sum;
        self.min += factor * row.min;
        self.max += factor * row.max;
        self.last += factor * row.last;
        self.wsum += factor * (row.sum * f64::from(weight));
    }
}

/// Windows of one machine and width that may still be corrected, in start order, each with its revisions in theirs.
#[derive(Default)]
struct Pending(VecDeque<(Timestamp, Vec<Arc<Aggregates>>)>);

/// Minutes behind the newest that nothing corrects any more: the horizon and one.
const PENDING_MAX: usize = 13;

impl Pending {
    /// Counts the rows, in place of those that they correct.
    fn take(&mut self, rows: Arc<Aggregates>, figures: &mut Windows) {
        let start = rows.window.start;
        let at = self.0.iter().rposition(|(other, _)| *other <= start);
        let at = match at {
            Some(at) if self.0[at].0 == start => at,
            before => {
                let at = before.map_or(0, |before| before + 1);
                self.0.insert(at, (start, Vec::with_capacity(1)));
                at
            }
        };
        let revisions = &mut self.0[at].1;
        let number = ms(start) * 1_000 / rows.window.width.micros();
        let first = machine_number(&rows.roster.machine) * SERIES_PER_MACHINE;
        // Both are far below 2^31.
        let first = (first + 7 * u32::try_from(number).unwrap_or(0)) % 97;
        // Both are below 97.
        let weight = |slot: Slot| if first + slot.0 < 97 { first + slot.0 } else { first + slot.0 - 97 };
        match &rows.rows {
            // Apart, so that the sums stay in registers.
            Rows::All(cells) if revisions.is_empty() => {
                let mut sums = Windows::default();
                cells.iter().for_each(|(slot, row)| sums.add(weight(slot), &row, 1));
                figures.merge(&sums);
            }
            others => others.each(|slot, row| {
                let before = revisions.iter().rev().find_map(|older| older.rows.get(slot));
                before.iter().for_each(|before| figures.add(weight(slot), before, -1));
                figures.add(weight(slot), row, 1);
            }),
        }
        revisions.push(rows);
        if self.0.len() > PENDING_MAX {
            self.0.pop_front();
        }
    }
}

const WIDTH: usize = SERIES_PER_MACHINE as usize;

/// Counts windows and alerts of one worker.
pub struct HistoryFigures {
    done: SyncSender<Figures>,
    figures: Figures,
    minutes: HashMap<u32, Pending>,
    hours: HashMap<u32, Pending>,
    is_complete: bool,
}

impl HistoryFigures {
    pub fn new(done: SyncSender<Figures>) -> Self {
        Self { done, figures: Figures::default(), minutes: HashMap::new(), hours: HashMap::new(), is_complete: false }
    }

    fn transition(&mut self, transition: &Transition) {
        let (alerts, at) = (&mut self.figures.alerts, ms(transition.at));
        match transition.change {
            Change::Fired => {
                alerts.fired += 1;
                alerts.fired_value += transition.value;
                alerts.fired_ts += at;
            }
            Change::Resolved => {
                alerts.resolved += 1;
                alerts.resolved_value += transition.value;
                alerts.resolved_ts += at;
            }
        }
    }
}

impl SinkPort for HistoryFigures {
    fn samples(&mut self, _t: LogicalTime, _samples: &Bound) {}

    fn output(&mut self, _t: LogicalTime, output: Output) {
        match output {
            Output::Minute(rows) => {
                self.minutes.entry(rows.roster.index).or_default().take(rows, &mut self.figures.m1);
            }
            Output::Hour(rows) => self.hours.entry(rows.roster.index).or_default().take(rows, &mut self.figures.h1),
            // The end of the file is no machine's fault: presence is not a figure of the workload.
            Output::Transition(transition) if transition.rule.name != pipeline::MACHINE_DOWN => {
                self.transition(&transition)
            }
            Output::Transition(_)
            | Output::Samples(_)
            | Output::Standing(_)
            | Output::Group(_)
            | Output::Presence(_)
            | Output::Machine(_)
            | Output::Processes(_)
            | Output::Rejected(_)
            | Output::Resent(_)
            | Output::Repair(_)
            | Output::Fleet(_)
            | Output::Hottest(_) => {}
        }
    }

    fn flush(&mut self) {}

    fn progress(&mut self, _before: LogicalTime) {}

    fn complete(&mut self) {
        if std::mem::replace(&mut self.is_complete, true) {
            return;
        }
        self.done.send(self.figures).expect("the replay waits for every worker's figures");
    }
}

/// Keeps the latest value of each series of one worker.
pub struct LatestFigures {
    done: SyncSender<Figures>,
    /// By machine index.
    machines: Vec<LatestOfMachine>,
    is_complete: bool,
}

/// The values of a machine's newest frame share its time, which is kept once: the next one mostly has all of them again.
struct LatestOfMachine {
    /// Event time of the newest sample.
    newest: i64,
    /// Slots of the newest frame, a bit each, and its time.
    front: (u64, i64),
    values: [f64; WIDTH],
    /// Of slots that are not in the newest frame.
    times: [i64; WIDTH],
}

const UNKNOWN: LatestOfMachine =
    LatestOfMachine { newest: i64::MIN, front: (0, i64::MIN), values: [0.0; WIDTH], times: [i64::MIN; WIDTH] };

impl LatestOfMachine {
    fn take(&mut self, bound: &Bound) {
        let newest = bound.batch.newest().micros();
        let is_newer = self.newest < newest;
        self.newest = self.newest.max(newest);
        if let (Some(mask), true) = (bound.mask(), is_newer) {
            self.leave(mask);
            self.front = (mask, newest);
            match <&[f64; WIDTH]>::try_from(&*bound.batch.values) {
                // Of a length that is known, without a call.
                Ok(all) => self.values = *all,
                Err(_) => {
                    for Stretch { slot, values, .. } in bound.stretches() {
                        self.values[slot..slot + values.len()].copy_from_slice(values);
                    }
                }
            }
            return;
        }
        for (index, value) in bound.batch.values.iter().enumerate() {
            let (slot, time) = (bound.slot(index).index(), bound.batch.time(index).micros());
            if self.time(slot) < time {
                self.front.0 &= !(1 << slot);
                (self.times[slot], self.values[slot]) = (time, *value);
            }
        }
    }

    fn time(&self, slot: usize) -> i64 {
        if self.front.0 >> slot & 1 == 1 { self.front.1 } else { self.times[slot] }
    }

    /// The newest frame is not the newest any more: notes its time at the slots that the next one does not have.
    fn leave(&mut self, next: u64) {
        let (mask, time) = self.front;
        let mut left = mask & !next;
        while left != 0 {
            self.times[left.trailing_zeros() as usize] = time;
            left &= left - 1;
        }
    }
}

impl LatestFigures {
    pub fn new(done: SyncSender<Figures>) -> Self {
        Self { done, machines: Vec::new(), is_complete: false }
    }
}

impl SinkPort for LatestFigures {
    fn samples(&mut self, _t: LogicalTime, samples: &Bound) {
        let index = samples.index() as usize;
        if self.machines.len() <= index {
            self.machines.resize_with(index + 1, || UNKNOWN);
        }
        self.machines[index].take(samples);
    }

    fn output(&mut self, _t: LogicalTime, _output: Output) {}

    fn flush(&mut self) {}

    fn progress(&mut self, _before: LogicalTime) {}

    fn complete(&mut self) {
        if std::mem::replace(&mut self.is_complete, true) {
            return;
        }
        let mut figures = Figures::default();
        for machine in &self.machines {
            for slot in (0..WIDTH).filter(|slot| machine.time(*slot) != i64::MIN) {
                figures.latest.series += 1;
                figures.latest.value += machine.values[slot];
                figures.latest.ts += ms(Timestamp::from_micros(machine.time(slot)));
            }
        }
        self.done.send(figures).expect("the replay waits for every worker's figures");
    }
}
