//! Roll: the contributions to one minute of one group of machines become one row per metric, and the hottest machines of each.
//!
//! Invariants: F-1 the result does not depend on the order of the contributions nor on which worker had them.

use std::sync::Arc;

use hashbrown::HashMap;
use model::MachineId;
use serde::{Deserialize, Serialize};

use super::contribution::{Cell, Column, Columns, Contribution, Real, Sum};

/// One metric of a group's minute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) metric: Arc<str>,
    pub(super) machines: u32,
    pub(super) count: u64,
    pub(super) sum: Sum,
    pub(super) min: Real,
    pub(super) max: Real,
    /// Highest first, equal ones in id order.
    pub(super) hottest: Vec<(Real, MachineId)>,
}

/// A group's minute: its rows in the order of their metrics' names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Rolled {
    pub(super) rows: Vec<Row>,
    /// Metrics beyond the limit.
    pub(super) left_out: u32,
}

/// Rolls contributions up, given in the order of their machines. Of metrics that the catalogue does not list, the `own_max` that most machines have
/// are kept, equal ones by name.
pub(super) fn roll<'a>(
    contributions: impl Iterator<Item = &'a Contribution>,
    hottest_max: usize,
    own_max: usize,
) -> Rolled {
    let mut rolling = Rolling::default();
    for contribution in contributions {
        rolling.add(contribution, hottest_max);
    }
    rolling.finish(own_max)
}

#[derive(Default)]
struct Rolling {
    rows: Vec<(Row, bool)>,
    by_metric: HashMap<Arc<str>, usize>,
    /// Row of each column, by the columns' address: machines of a kind share theirs.
    known: HashMap<usize, Vec<usize>>,
}

impl Rolling {
    fn add(&mut self, contribution: &Contribution, hottest_max: usize) {
        let columns = &contribution.columns;
        let address = Arc::as_ptr(columns).addr();
        if !self.known.contains_key(&address) {
            let rows = columns.iter().map(|column| self.row(column)).collect();
            self.known.insert(address, rows);
        }
        let places = &self.known[&address];
        for (place, cell) in places.iter().zip(&contribution.cells) {
            if cell.count > 0 {
                self.rows[*place].0.add(cell, &contribution.machine, hottest_max);
            }
        }
    }

    /// Place of a metric's row, made where it is missing.
    fn row(&mut self, column: &Column) -> usize {
        if let Some(place) = self.by_metric.get(&column.metric) {
            return *place;
        }
        let Cell { count, sum, min, max, .. } = Cell::EMPTY;
        let metric = Arc::clone(&column.metric);
        let row = Row { metric, machines: 0, count, sum, min, max, hottest: Vec::new() };
        self.rows.push((row, column.is_listed));
        self.by_metric.insert(Arc::clone(&column.metric), self.rows.len() - 1);
        self.rows.len() - 1
    }

    fn finish(self, own_max: usize) -> Rolled {
        let seen = self.rows.into_iter().filter(|(row, _)| row.machines > 0);
        let (listed, mut own): (Vec<_>, Vec<_>) = seen.partition(|(_, is_listed)| *is_listed);
        own.sort_by(|(a, _), (b, _)| b.machines.cmp(&a.machines).then_with(|| a.metric.cmp(&b.metric)));
        let left_out = u32::try_from(own.len().saturating_sub(own_max)).unwrap_or(u32::MAX);
        own.truncate(own_max);
        let mut rows: Vec<Row> = listed.into_iter().chain(own).map(|(row, _)| row).collect();
        rows.sort_by(|a, b| a.metric.cmp(&b.metric));
        Rolled { rows, left_out }
    }
}

impl Row {
    fn add(&mut self, cell: &Cell, machine: &MachineId, hottest_max: usize) {
        self.machines += 1;
        self.count += cell.count;
        self.sum.add(cell.sum);
        self.min = self.min.min(cell.min);
        self.max = self.max.max(cell.max);
        let is_full = self.hottest.len() == hottest_max;
        if is_full && self.hottest.last().is_none_or(|(least, _)| cell.value <= *least) {
            return;
        }
        // Behind its equals, which have the smaller ids.
        let at = self.hottest.partition_point(|(value, _)| cell.value <= *value);
        if is_full {
            self.hottest.pop();
        }
        self.hottest.insert(at, (cell.value, machine.clone()));
    }
}

/// Columns that machines share, so that a roll looks each of them up once.
#[derive(Debug, Default)]
pub(super) struct SharedColumns(hashbrown::HashSet<Columns>);

impl SharedColumns {
    /// Kept beyond what machines use, before they are looked through.
    const SPARE: usize = 256;

    pub(super) fn share(&mut self, columns: &[Column]) -> Columns {
        if let Some(known) = self.0.get(columns) {
            return Arc::clone(known);
        }
        if self.0.len() >= Self::SPARE && self.0.len() == self.0.capacity() {
            self.0.retain(|columns| Arc::strong_count(columns) > 1);
        }
        let shared: Columns = columns.into();
        self.0.insert(Arc::clone(&shared));
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use std::fmt::Write;

    /// Machines with (metric, values of one sample each); `own.` metrics are not listed.
    fn check(machines: &[(&str, &[(&str, f64)])], (hottest_max, own_max): (usize, usize), expect: &Expect) {
        let mut shared = SharedColumns::default();
        let contributions: Vec<Contribution> = machines
            .iter()
            .map(|(machine, metrics)| {
                let column = |metric: &str| Column { metric: metric.into(), is_listed: !metric.starts_with("own.") };
                let columns: Vec<Column> = metrics.iter().map(|(metric, _)| column(metric)).collect();
                let cell = |value: f64| {
                    let real = Real(value);
                    Cell { count: 1, sum: Sum::of(value), min: real, max: real, value: real }
                };
                Contribution {
                    machine: MachineId::parse(machine).unwrap(),
                    minute: 0,
                    columns: shared.share(&columns),
                    cells: metrics.iter().map(|(_, value)| cell(*value)).collect(),
                }
            })
            .collect();
        let rolled = roll(contributions.iter(), hottest_max, own_max);
        let text = rolled.rows.iter().fold(format!("left out: {}\n", rolled.left_out), |mut text, row| {
            let Row { metric, machines, count, sum, min, max, hottest } = row;
            let hottest: Vec<String> = hottest.iter().map(|(value, id)| format!("{id} {}", value.0)).collect();
            let (sum, min, max) = (sum.value(), min.0, max.0);
            writeln!(text, "{metric} machines={machines} n={count} sum={sum} min={min} max={max} {hottest:?}").unwrap();
            text
        });
        expect.assert_eq(&text);
    }

    #[test]
    fn machines_with_different_metrics_add_up_metric_by_metric() {
        check(
            &[("a", &[("cpu", 1.0), ("disk", 2.0)]), ("b", &[("disk", 5.0)]), ("c", &[("cpu", -3.0), ("disk", 1.0)])],
            (2, 0),
            &expect![[r#"
                left out: 0
                cpu machines=2 n=2 sum=-2 min=-3 max=1 ["a 1", "c -3"]
                disk machines=3 n=3 sum=8 min=1 max=5 ["b 5", "a 2"]
            "#]],
        );
    }

    #[test]
    fn equal_values_are_listed_in_id_order() {
        check(
            &[("a", &[("cpu", 2.0)]), ("b", &[("cpu", 2.0)]), ("c", &[("cpu", 9.0)]), ("d", &[("cpu", 2.0)])],
            (3, 0),
            &expect![[r#"
                left out: 0
                cpu machines=4 n=4 sum=15 min=2 max=9 ["c 9", "a 2", "b 2"]
            "#]],
        );
    }

    #[test]
    fn of_unlisted_metrics_those_that_most_machines_have_are_kept() {
        check(
            &[("a", &[("own.z", 1.0), ("own.b", 1.0), ("own.a", 1.0)]), ("b", &[("own.z", 1.0), ("cpu", 1.0)])],
            (0, 2),
            &expect![[r#"
                left out: 1
                cpu machines=1 n=1 sum=1 min=1 max=1 []
                own.a machines=1 n=1 sum=1 min=1 max=1 []
                own.z machines=2 n=2 sum=2 min=1 max=1 []
            "#]],
        );
    }
}
