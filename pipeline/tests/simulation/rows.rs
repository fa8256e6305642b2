//! Rows: each sample once, into its minute and its hour, in the plainest way; and what must hold of every revision on the way there.

use std::collections::{BTreeMap, BTreeSet};

use model::{Aggregate, MachineId, Output, Record, SeriesKey, Stamped, Timestamp, Width, Window};

use crate::common::BASE;
use crate::machines::IsEvent;

const HORIZON_US: i64 = 600_000_000;

/// One sample as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) t: u64,
    pub(crate) machine: MachineId,
    pub(crate) series: SeriesKey,
    pub(crate) at: Timestamp,
    pub(crate) value: f64,
    pub(crate) is_stale: bool,
}

/// What became of the samples.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    /// In order of arrival.
    pub(crate) aggregated: Vec<Sample>,
    pub(crate) duplicates: usize,
    pub(crate) beyond: Vec<Sample>,
    pub(crate) refused: usize,
}

/// Judges each sample by those before it.
pub(crate) fn sort(records: &[Stamped]) -> Sorted {
    let mut sorted = Sorted::default();
    let mut newest: BTreeMap<MachineId, i64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for sample in records.iter().flat_map(samples) {
        let newest = newest.entry(sample.machine.clone()).or_insert(i64::MIN);
        let at = sample.at.micros();
        if !sample.value.is_finite() {
            sorted.refused += 1;
        } else if at < newest.saturating_sub(HORIZON_US) {
            sorted.beyond.push(sample);
        } else if sample.series.is_event() || seen.insert((sample.machine.clone(), sample.series.clone(), at)) {
            *newest = at.max(*newest);
            sorted.aggregated.push(sample);
        } else {
            sorted.duplicates += 1;
        }
    }
    sorted
}

pub(crate) fn samples(stamped: &Stamped) -> Vec<Sample> {
    let Record::Batch(batch) = &stamped.record else { return Vec::new() };
    let sample = |n: usize| Sample {
        t: stamped.t,
        machine: batch.machine().clone(),
        series: batch.layout.series[batch.position(n)].clone(),
        at: batch.time(n),
        value: batch.values[n],
        is_stale: batch.age_ms > 120_000,
    };
    (0..batch.len()).map(sample).collect()
}

/// Machine, series, start of the window.
pub(crate) type RowKey = (MachineId, SeriesKey, Timestamp);

/// What the windows of a width come to.
pub(crate) fn rows(sorted: &Sorted, width: Width) -> BTreeMap<RowKey, Aggregate> {
    let mut windows: BTreeMap<RowKey, Aggregate> = BTreeMap::new();
    for Sample { machine, series, at, value, .. } in &sorted.aggregated {
        let key = (machine.clone(), series.clone(), Window::containing(*at, width).start);
        let row = windows.entry(key).or_insert(Aggregate { count: 0, ..Aggregate::of(*value, *at) });
        row.count += 1;
        row.sum = if row.count == 1 { *value } else { row.sum + *value };
        (row.min, row.max) = (row.min.min(*value), row.max.max(*value));
        // Of events that share a time the later arrival is the last.
        if *at >= row.last_time {
            (row.last, row.last_time) = (*value, *at);
        }
    }
    windows
}

/// The newest revision of each row that left the graph.
///
/// # Panics
/// When a revision is not the one before it with more samples (W-2), or holds something that the oracle does not.
pub(crate) fn newest(
    outputs: &[(u64, Output)],
    width: Width,
    oracle: &BTreeMap<RowKey, Aggregate>,
) -> BTreeMap<RowKey, Aggregate> {
    let mut newest: BTreeMap<RowKey, (u64, bool, Aggregate)> = BTreeMap::new();
    for (t, output) in outputs {
        let rows = match output {
            Output::Minute(rows) if width == Width::Minute => rows,
            Output::Hour(rows) if width == Width::Hour => rows,
            _ => continue,
        };
        assert!(rows.revision <= *t, "a revision is of its past");
        for (slot, new) in rows.rows.iter() {
            let new = &new;
            let key = (rows.roster.machine.clone(), rows.roster.key(slot).as_ref().clone(), rows.window.start);
            let text = text(&key, new);
            let whole = oracle.get(&key).unwrap_or_else(|| panic!("no sample is in it: {text}"));
            assert!(new.count <= whole.count && new.min >= whole.min && new.max <= whole.max, "W-2, too much: {text}");
            if let Some((revision, is_final, old)) = newest.get(&key) {
                assert!((*revision, *is_final) <= (rows.revision, rows.is_final), "W-2, a lower version: {text}");
                let is_more = old.count <= new.count && new.min <= old.min && old.max <= new.max;
                assert!(is_more && old.last_time <= new.last_time, "W-2, away from the oracle: {text}");
                assert!(*revision < rows.revision || old == new, "W-2, one revision, two rows: {text}");
            }
            newest.insert(key, (rows.revision, rows.is_final, *new));
        }
    }
    newest.into_iter().map(|(key, (_, _, row))| (key, row)).collect()
}

/// Rows as text: `db-1 m{n="0"} 1 n=2 sum=3 min=1 max=2 last=2`.
pub(crate) fn texts(rows: &BTreeMap<RowKey, Aggregate>) -> Vec<String> {
    rows.iter().map(|(key, row)| text(key, row)).collect()
}

fn text((machine, series, start): &RowKey, row: &Aggregate) -> String {
    let minute = (start.micros() - BASE) / 60_000_000;
    let Aggregate { count, sum, min, max, last, .. } = row;
    format!("{machine} {series} {minute} n={count} sum={sum} min={min} max={max} last={last}")
}

/// Minutes that are to be made again from raw.
pub(crate) fn repairs(sorted: &Sorted) -> BTreeSet<(MachineId, Timestamp)> {
    let minute = |sample: &Sample| Window::containing(sample.at, Width::Minute).start;
    sorted.beyond.iter().map(|sample| (sample.machine.clone(), minute(sample))).collect()
}

pub(crate) fn asked_repairs(outputs: &[(u64, Output)]) -> BTreeSet<(MachineId, Timestamp)> {
    let repair = |output: &Output| match output {
        Output::Repair(repair) => Some((repair.machine.clone(), repair.minute)),
        _ => None,
    };
    outputs.iter().filter_map(|(_, output)| repair(output)).collect()
}
