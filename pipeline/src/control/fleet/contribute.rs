//! Contribute: a machine's minutes become what it adds to the fleet, told to differential once the minute is complete and again when it changes.
//!
//! In: minute updates, all of a machine on one worker. Out: contributions with +1 or -1, at multiples of `TICK` of logical time.
//! State: the contributions to the newest minutes of the fleet; a minute leaves, retracted, some minutes after its end.
//! Time: the graph's, so that a dead machine, or one with a wrong clock, holds no minute up: complete half a minute after its end, held until
//! three minutes after. Changes in between are told every ten seconds.
//! Loss: an update of a minute that has left changes the machine's own rows only, and is counted; so is a series beyond the limit.
//! Invariants: F-2 a contribution is told once more than it is taken back, or as often.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Aggregates, Catalogue, LogicalTime, Roster, Timestamp, Width};

use super::contribution::{Cell, Column, Columns, Contribution, Real, Shared, Sum};
use super::roll::SharedColumns;
use super::{tick_after, tick_at};
use crate::counters::Counters;
use crate::operators::window::MinuteUpdate;
use crate::settings::{FleetSettings, ticks};
use crate::stage::{At, Stage};

/// A change of what differential knows.
pub(super) type Told = (Shared, isize);

/// A slot that adds to no metric of the fleet.
const NONE: u16 = u16::MAX;
/// Silence after which a machine's columns are worked out anew.
const FORGET_AFTER: LogicalTime = 3_600_000_000;

/// The contributions of a worker's machines.
pub(super) struct Contributions {
    settings: FleetSettings,
    catalogue: Catalogue,
    /// By machine index.
    machines: Vec<Option<Machine>>,
    /// By start, in microseconds.
    minutes: BTreeMap<i64, Minute>,
    /// When the first of the minutes is due.
    due: LogicalTime,
    columns: SharedColumns,
    counters: Arc<Counters>,
}

/// Where a machine's series belong.
struct Machine {
    roster: Arc<Roster>,
    columns: Columns,
    /// Column of each slot.
    column_of: Vec<u16>,
    last_t: LogicalTime,
}

struct Minute {
    /// By machine index.
    rows: BTreeMap<u32, Row>,
    /// Machines with news that differential does not know.
    changed: Vec<u32>,
    due: LogicalTime,
    leaves: LogicalTime,
}

/// One machine's contribution to one minute.
struct Row {
    now: Arc<Contribution>,
    told: Option<Shared>,
    /// Mean of each slot's series; NaN where it has no samples.
    means: Vec<f64>,
    is_changed: bool,
}

impl Contributions {
    pub(super) fn new(settings: FleetSettings, catalogue: Catalogue, counters: Arc<Counters>) -> Self {
        Self {
            settings,
            catalogue,
            machines: Vec::new(),
            minutes: BTreeMap::new(),
            due: LogicalTime::MAX,
            columns: SharedColumns::default(),
            counters,
        }
    }

    /// Makes the machine's columns known, with all the series of its roster.
    fn meet(&mut self, roster: &Arc<Roster>, t: LogicalTime) {
        let index = roster.index as usize;
        if self.machines.len() <= index {
            self.machines.resize_with(index + 1, || None);
        }
        let mut met = 0;
        if let Some(machine) = &mut self.machines[index] {
            machine.last_t = t;
            met = machine.column_of.len();
            if met >= roster.series.len() {
                return;
            }
        }
        let mut columns: Vec<Column> = Vec::new();
        let (mut own, mut refused) = (0, 0);
        let mut column_of = Vec::with_capacity(roster.series.len());
        for key in &roster.series {
            let known = columns.iter().position(|column| column.metric == key.metric);
            let listed = self.catalogue.find(&key.metric);
            let is_wanted = listed.is_none_or(|metric| metric.is_compared);
            let column = match known {
                Some(column) => Some(column),
                None if !is_wanted => None,
                None if listed.is_none() && own == self.settings.metrics_max => {
                    refused += usize::from(column_of.len() >= met);
                    None
                }
                None => {
                    own += usize::from(listed.is_none());
                    columns.push(Column { metric: Arc::clone(&key.metric), is_listed: listed.is_some() });
                    Some(columns.len() - 1)
                }
            };
            column_of.push(column.and_then(|column| u16::try_from(column).ok()).unwrap_or(NONE));
        }
        self.counters.fleet_refused.add(refused);
        let (roster, columns) = (Arc::clone(roster), self.columns.share(&columns));
        self.machines[index] = Some(Machine { roster, columns, column_of, last_t: t });
    }

    /// When a minute is complete, and when it leaves.
    fn times_of(&self, start: i64) -> (LogicalTime, LogicalTime) {
        let end = Timestamp::from_micros(start.saturating_add(Width::Minute.micros()));
        let end = u64::try_from(end.micros()).unwrap_or(0);
        let after = |duration| tick_at(end.saturating_add(ticks(duration)));
        (after(self.settings.complete_after), after(self.settings.held_for))
    }

    /// Tells what is due of a minute.
    fn tell(&mut self, start: i64, out: &mut Vec<At<Told>>) {
        let Some(minute) = self.minutes.get_mut(&start) else { return };
        let t = minute.due;
        if minute.leaves <= t {
            let told = minute.rows.values_mut().filter_map(|row| row.told.take());
            out.extend(told.map(|told| At { t, item: (told, -1) }));
            self.minutes.remove(&start);
            self.forget(t);
            return;
        }
        for index in std::mem::take(&mut minute.changed) {
            let Some(row) = minute.rows.get_mut(&index) else { continue };
            row.is_changed = false;
            let now = Shared(Arc::clone(&row.now));
            let before = row.told.replace(now.clone());
            out.extend(before.map(|before| At { t, item: (before, -1) }));
            out.push(At { t, item: (now, 1) });
        }
        minute.due = minute.leaves;
    }

    fn forget(&mut self, now: LogicalTime) {
        for slot in &mut self.machines {
            if slot.as_ref().is_some_and(|machine| machine.last_t.saturating_add(FORGET_AFTER) < now) {
                *slot = None;
            }
        }
    }
}

impl Machine {
    fn empty_row(&self, minute: i64) -> Row {
        let cells = vec![Cell::EMPTY; self.columns.len()];
        let machine = self.roster.machine.clone();
        let now = Arc::new(Contribution { machine, minute, columns: Arc::clone(&self.columns), cells });
        Row { now, told: None, means: vec![f64::NAN; self.column_of.len()], is_changed: false }
    }

    /// Adds what is new in a minute. The only place that reads aggregates.
    fn add(&self, row: &mut Row, update: &MinuteUpdate) {
        // Copied if differential holds it.
        let now = Arc::make_mut(&mut row.now);
        // Slots and columns are only ever added.
        now.columns = Arc::clone(&self.columns);
        now.cells.resize(self.columns.len(), Cell::EMPTY);
        row.means.resize(self.column_of.len(), f64::NAN);
        let news: &Aggregates = update.news();
        for (slot, new) in news.rows.iter() {
            if let Some(cell) =
                self.column_of.get(slot.index()).and_then(|column| now.cells.get_mut(usize::from(*column)))
            {
                cell.count += new.count;
                cell.sum.add(Sum::of(new.sum));
                cell.min = cell.min.min(Real(new.min));
                cell.max = cell.max.max(Real(new.max));
            }
        }
        for (slot, whole) in update.rows.rows.iter() {
            if let Some(mean) = row.means.get_mut(slot.index()) {
                *mean = whole.mean();
            }
        }
        now.cells.iter_mut().for_each(|cell| {
            cell.sum = cell.sum.bounded();
            cell.value = Cell::EMPTY.value;
        });
        for (column, mean) in self.column_of.iter().zip(&row.means) {
            if let Some(cell) = now.cells.get_mut(usize::from(*column)).filter(|_| !mean.is_nan()) {
                cell.value = cell.value.max(Real(*mean));
            }
        }
    }
}

impl Stage for Contributions {
    type In = MinuteUpdate;
    type Out = Told;

    fn apply(&mut self, t: LogicalTime, update: &MinuteUpdate, _out: &mut Vec<At<Told>>) {
        // Made-up machines are nobody's fleet.
        if update.rows.roster.machine.is_synthetic() {
            return;
        }
        let start = update.rows.window.start;
        let (complete, leaves) = self.times_of(start.micros());
        let is_ahead = Timestamp::from_logical(t) + self.settings.ahead_max < start;
        if leaves <= t || is_ahead {
            self.counters.fleet_outside.add(1);
            return;
        }
        let roster = &update.rows.roster;
        self.meet(roster, t);
        let Some(machine) = self.machines.get(roster.index as usize).and_then(Option::as_ref) else { return };
        let minute = self.minutes.entry(start.micros()).or_insert_with(|| Minute {
            rows: BTreeMap::new(),
            changed: Vec::new(),
            due: leaves,
            leaves,
        });
        let row = minute.rows.entry(roster.index).or_insert_with(|| machine.empty_row(start.micros()));
        machine.add(row, update);
        if !row.is_changed {
            row.is_changed = true;
            minute.changed.push(roster.index);
        }
        // After this time in any case: others of it may follow.
        minute.due = minute.due.min(complete.max(tick_after(t)));
        self.due = self.due.min(minute.due);
    }

    fn advance(&mut self, now: LogicalTime, out: &mut Vec<At<Told>>) {
        while self.due <= now {
            let first = self.minutes.iter().min_by_key(|(start, minute)| (minute.due, **start));
            if let Some(start) = first.map(|(start, _)| *start) {
                self.tell(start, out);
            }
            self.due = self.minutes.values().map(|minute| minute.due).min().unwrap_or(LogicalTime::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operators::fixtures::{SECOND, outputs, settings};
    use expect_test::{Expect, expect};
    use model::{Aggregate, Labels, MachineId, SeriesKey, Slot, Window};

    /// An update of a machine's minute at a second of T: (series, samples, sum) of each row, and the same of what is new in it.
    struct Given<'a>(u64, &'a str, i64, &'a [(&'a str, u64, f64)], Option<&'a [(&'a str, u64, f64)]>);

    /// `cpu`, or `disk/sda` for a label.
    fn key(series: &str) -> Arc<SeriesKey> {
        let (metric, device) = series.split_once('/').map_or((series, None), |(metric, device)| (metric, Some(device)));
        let metric = match metric {
            "cpu" => "system.cpu.utilization",
            "core" => "system.cpu.core.utilization",
            "disk" => "system.disk.busy",
            own => own,
        };
        let labels = Labels::parse(device.map(|device| ("device", device))).unwrap();
        Arc::new(SeriesKey::parse(metric, labels).unwrap())
    }

    fn update(Given(t, machine, minute, whole, news): &Given<'_>) -> (LogicalTime, MinuteUpdate) {
        let window = Window { start: Timestamp::from_secs(minute * 60), width: Width::Minute };
        let series: Box<[Arc<SeriesKey>]> = whole.iter().map(|(series, ..)| key(series)).collect();
        let index = u32::from(machine.as_bytes()[0] - b'a');
        let roster = Arc::new(Roster { machine: MachineId::parse(machine).unwrap(), index, series });
        let rows = |rows: &[(&str, u64, f64)]| {
            let slot =
                |name: &str| Slot(u32::try_from(whole.iter().position(|(other, ..)| *other == name).unwrap()).unwrap());
            #[expect(clippy::cast_precision_loss, reason = "a test's counts are small")]
            let row =
                |count: u64, sum: f64| Aggregate { count, sum, ..Aggregate::of(sum / count as f64, window.start) };
            let rows = rows.iter().filter(|(_, count, _)| *count > 0);
            let rows = rows.map(|(series, count, sum)| (slot(series), row(*count, *sum))).collect();
            Arc::new(Aggregates { roster: Arc::clone(&roster), window, revision: *t, is_final: true, rows })
        };
        let update =
            MinuteUpdate { rows: rows(whole), delta: news.map(rows), is_current: true, watermark: window.start };
        (t * SECOND, update)
    }

    fn check(given: &[Given<'_>], until: u64, expect: &Expect) -> Arc<Counters> {
        let (settings, counters) = (settings(), Arc::new(Counters::default()));
        let fleet = FleetSettings { metrics_max: 2, ..settings.fleet };
        let stage = Contributions::new(fleet, settings.catalogue, Arc::clone(&counters));
        let text = outputs(stage, given.iter().map(update), until * SECOND, |(told, diff): &Told| {
            let cells = told.columns.iter().zip(&told.cells).filter(|(_, cell)| cell.count > 0);
            let cells = cells.map(|(column, cell)| {
                let (name, value) = (column.metric.rsplit('.').next().unwrap(), cell.value.0);
                format!(" {name} n={} sum={} top={value}", cell.count, cell.sum.value())
            });
            format!("{diff:+} {} {}{}", told.machine, told.minute / 60_000_000, cells.collect::<String>())
        });
        expect.assert_eq(&text);
        counters
    }

    #[test]
    fn a_minute_is_told_when_it_is_complete_and_taken_back_when_it_leaves() {
        check(
            &[
                Given(71, "a", 0, &[("cpu", 2, 1.0), ("core/0", 2, 9.0)], None),
                Given(75, "b", 0, &[("cpu", 2, 3.0)], None),
            ],
            250,
            &expect![[r"
                90: +1 a 0 utilization n=2 sum=1 top=0.5
                90: +1 b 0 utilization n=2 sum=3 top=1.5
                240: -1 a 0 utilization n=2 sum=1 top=0.5
                240: -1 b 0 utilization n=2 sum=3 top=1.5
            "]],
        );
    }

    #[test]
    fn a_correction_replaces_what_was_told_at_the_next_tick_and_not_before_the_minute_is_complete() {
        check(
            &[
                Given(71, "a", 0, &[("cpu", 2, 1.0)], None),
                Given(80, "a", 0, &[("cpu", 3, 3.0)], Some(&[("cpu", 1, 2.0)])),
                Given(100, "a", 0, &[("cpu", 4, 4.0)], Some(&[("cpu", 1, 1.0)])),
                Given(101, "a", 0, &[("cpu", 5, 4.0)], Some(&[("cpu", 1, 0.0)])),
            ],
            200,
            &expect![[r"
                90: +1 a 0 utilization n=3 sum=3 top=1
                110: -1 a 0 utilization n=3 sum=3 top=1
                110: +1 a 0 utilization n=5 sum=4 top=0.8
            "]],
        );
    }

    #[test]
    fn of_several_series_the_one_with_the_highest_mean_is_the_machines_value() {
        let disks: &[(&str, u64, f64)] = &[("disk/a", 2, 1.0), ("disk/b", 2, 0.5), ("new", 0, 0.0)];
        // Only what changed is in a correction of a final minute; the other disk's mean is remembered.
        let calmer: &[(&str, u64, f64)] = &[("disk/a", 8, 1.5), ("disk/b", 0, 0.0), ("new", 1, 5.0)];
        check(
            &[Given(71, "a", 0, disks, None), Given(95, "a", 0, calmer, Some(&[("disk/a", 6, 0.5), ("new", 1, 5.0)]))],
            110,
            &expect![[r"
                90: +1 a 0 busy n=4 sum=1.5 top=0.5
                100: -1 a 0 busy n=4 sum=1.5 top=0.5
                100: +1 a 0 busy n=10 sum=2 top=0.25 new n=1 sum=5 top=5
            "]],
        );
    }

    #[test]
    fn what_comes_too_late_from_too_far_ahead_or_beyond_the_limit_is_counted_and_left_out() {
        let counters = check(
            &[
                Given(230, "a", 0, &[("cpu", 1, 1.0)], None),
                Given(235, "b", 0, &[("cpu", 1, 2.0)], None),
                Given(240, "c", 0, &[("cpu", 1, 1.0)], None),
                Given(241, "a", 15, &[("cpu", 1, 1.0)], None),
                Given(242, "a", 3, &[("cpu", 1, 1.0)], None),
                Given(
                    243,
                    "d",
                    3,
                    &[("x", 1, 1.0), ("y", 1, 1.0), ("z/0", 1, 1.0), ("z/1", 1, 1.0), ("x/0", 1, 3.0)],
                    None,
                ),
            ],
            280,
            &expect![[r"
                270: +1 a 3 utilization n=1 sum=1 top=1
                270: +1 d 3 x n=2 sum=4 top=3 y n=1 sum=1 top=1
            "]],
        );
        assert_eq!((counters.fleet_outside.get(), counters.fleet_refused.get()), (2, 2));
    }
}
