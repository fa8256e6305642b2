//! The 23 figures of `sysmon-1`, counted from what leaves the graph.
//!
//! Of a row's revisions the newest counts, so windows are held back until nothing can correct them, then added up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use hashbrown::HashMap;
use model::{Aggregate, Aggregates, Bound, Change, LogicalTime, Output, Stretch, Times, Timestamp, Transition};
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
        for (mine, theirs) in [(&mut self.m1, &other.m1), (&mut self.h1, &other.h1)] {
            mine.windows += theirs.windows;
            mine.count += theirs.count;
            mine.sum += theirs.sum;
            mine.min += theirs.min;
            mine.max += theirs.max;
            mine.last += theirs.last;
            mine.wsum += theirs.wsum;
        }
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
    fn add(&mut self, series: u32, window: i64, row: &Aggregate) {
        self.windows += 1;
        self.count += row.count;
        self.sum += row.sum;
        self.min += row.min;
        self.max += row.max;
        self.last += row.last;
        // Both are far below 2^31.
        let weight = (series + 7 * u32::try_from(window).unwrap_or(0)) % 97;
        self.wsum += row.sum * f64::from(weight);
    }
}

/// Windows of one machine and width that may still be corrected, each with its revisions in order.
#[derive(Default)]
struct Pending(BTreeMap<Timestamp, Vec<Arc<Aggregates>>>);

/// Minutes behind the newest that nothing corrects any more: the horizon and one.
const PENDING_MAX: usize = 13;

impl Pending {
    fn take(&mut self, rows: Arc<Aggregates>, figures: &mut Windows) {
        self.0.entry(rows.window.start).or_default().push(rows);
        while self.0.len() > PENDING_MAX {
            if let Some((_, revisions)) = self.0.pop_first() {
                fold(&revisions, figures);
            }
        }
    }
}

/// Adds the newest row of each series.
fn fold(revisions: &[Arc<Aggregates>], figures: &mut Windows) {
    let mut counted = 0_u64;
    for rows in revisions.iter().rev() {
        let machine = machine_number(&rows.roster.machine);
        let window = ms(rows.window.start) * 1_000 / rows.window.width.micros();
        rows.rows.each(|slot, row| {
            // Series of a machine fit 64 bits.
            if counted & (1 << slot.0) == 0 {
                counted |= 1 << slot.0;
                figures.add(machine * SERIES_PER_MACHINE + slot.0, window, row);
            }
        });
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
        for (pending, figures) in [(&self.minutes, &mut self.figures.m1), (&self.hours, &mut self.figures.h1)] {
            for machine in pending.values() {
                machine.0.values().for_each(|revisions| fold(revisions, figures));
            }
        }
        self.done.send(self.figures).expect("the replay waits for every worker's figures");
    }
}

/// Keeps the latest value of each series of one worker.
pub struct LatestFigures {
    done: SyncSender<Figures>,
    /// Newest event time of each machine, by its index.
    newest: Vec<i64>,
    /// By machine index, then slot.
    times: Vec<i64>,
    values: Vec<f64>,
    is_complete: bool,
}

impl LatestFigures {
    pub fn new(done: SyncSender<Figures>) -> Self {
        Self { done, newest: Vec::new(), times: Vec::new(), values: Vec::new(), is_complete: false }
    }

    fn latest(&mut self, bound: &Bound) {
        let (index, batch) = (bound.index() as usize, &bound.batch);
        let first = index * WIDTH;
        if self.newest.len() <= index {
            self.newest.resize(index + 1, i64::MIN);
            self.times.resize(first + WIDTH, i64::MIN);
            self.values.resize(first + WIDTH, 0.0);
        }
        let newest = self.newest[index];
        self.newest[index] = newest.max(batch.newest().micros());
        for Stretch { at, slot, values } in bound.stretches() {
            let cells = first + slot..first + slot + values.len();
            let (times, latest) = (&mut self.times[cells.clone()], &mut self.values[cells]);
            match &batch.times {
                // Newer than everything of the machine: nothing has to be compared.
                Times::One(time) if newest < time.micros() => {
                    times.fill(time.micros());
                    latest.copy_from_slice(values);
                }
                _ => {
                    let cells = times.iter_mut().zip(latest).zip((at..).zip(values));
                    for ((time, latest), (at, value)) in
                        cells.filter(|((time, _), (at, _))| **time < batch.time(*at).micros())
                    {
                        (*time, *latest) = (batch.time(at).micros(), *value);
                    }
                }
            }
        }
    }
}

impl SinkPort for LatestFigures {
    fn samples(&mut self, _t: LogicalTime, samples: &Bound) {
        self.latest(samples);
    }

    fn output(&mut self, _t: LogicalTime, _output: Output) {}

    fn flush(&mut self) {}

    fn progress(&mut self, _before: LogicalTime) {}

    fn complete(&mut self) {
        if std::mem::replace(&mut self.is_complete, true) {
            return;
        }
        let mut figures = Figures::default();
        for (at, value) in self.times.iter().zip(&self.values).filter(|(at, _)| **at != i64::MIN) {
            figures.latest.series += 1;
            figures.latest.value += value;
            figures.latest.ts += ms(Timestamp::from_micros(*at));
        }
        self.done.send(figures).expect("the replay waits for every worker's figures");
    }
}
