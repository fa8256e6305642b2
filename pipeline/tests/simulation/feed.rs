//! Feed: what `evaluate` gets to see, in order and with its times: frames as `batch` puts them together, minutes as they were published.

use std::collections::BTreeMap;

use model::batch::LayoutId;
use model::rule::Input;
use model::{
    Aggregate, Batch, MachineId, Output, Record, Rule, SeriesKey, SessionId, Stamped, Timestamp, Width, Window,
};

use crate::rows::{Sorted, samples};

/// The one-sample wire's samples of one time wait so long for each other.
const WAIT: u64 = 50_000;
const FRAME_SAMPLES_MAX: usize = 200;

/// A value to be judged.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) series: SeriesKey,
    pub(crate) at: Timestamp,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    Sample(f64),
    Row(Aggregate),
}

impl Look {
    pub(crate) fn value(&self, rule: &Rule) -> f64 {
        match (&self.value, rule.input) {
            (Value::Sample(value), _) => *value,
            (Value::Row(row), Input::MinuteMean) => row.sum / row.count as f64,
            (Value::Row(row), Input::MinuteSum) => row.sum,
            (Value::Row(row), Input::MinuteCount) => row.count as f64,
            (Value::Row(row), Input::MinuteMax) => row.max,
            (Value::Row(_), Input::Sample) => panic!("a rule on samples is not shown minutes"),
        }
    }
}

/// What comes to be judged together.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) t: u64,
    pub(crate) machine: MachineId,
    /// Every series that the machine has by then.
    pub(crate) roster: Vec<SeriesKey>,
    pub(crate) judged: Vec<Look>,
    pub(crate) heard: Vec<SeriesKey>,
}

/// A machine's frame that is being put together.
#[derive(Default)]
struct Desk {
    roster: Vec<SeriesKey>,
    widths: BTreeMap<LayoutId, usize>,
    open: Option<(u64, LayoutId, Arrival)>,
    done: Vec<Arrival>,
}

impl Desk {
    fn flush(&mut self, t: u64) {
        if let Some((since, _, arrival)) = self.open.take() {
            self.done.push(Arrival { t: t.min(since + WAIT), ..arrival });
        }
    }

    fn meet(&mut self, batch: &Batch) {
        for series in &batch.layout.series {
            if !self.roster.contains(series) {
                self.roster.push(series.clone());
            }
        }
        self.widths.entry(batch.layout.id).or_insert(self.roster.len());
    }

    fn take(&mut self, stamped: &Stamped, batch: &Batch) {
        if self.open.as_ref().is_some_and(|(since, ..)| since + WAIT <= stamped.t) {
            self.flush(stamped.t);
        }
        if batch.is_empty() {
            return;
        }
        self.meet(batch);
        let roster = self.roster[..self.widths[&batch.layout.id]].to_vec();
        let empty =
            Arrival { t: stamped.t, machine: batch.machine().clone(), roster, judged: Vec::new(), heard: Vec::new() };
        let good: Vec<_> = samples(stamped).into_iter().filter(|sample| sample.value.is_finite()).collect();
        if batch.session != SessionId::NONE {
            self.flush(stamped.t);
            let heard = good.iter().map(|sample| sample.series.clone()).collect();
            let fresh = good.into_iter().filter(|sample| !sample.is_stale);
            let judged = fresh.map(|s| Look { series: s.series, at: s.at, value: Value::Sample(s.value) }).collect();
            let arrival = Arrival { judged, heard, ..empty };
            if !arrival.heard.is_empty() {
                self.done.push(arrival);
            }
            return;
        }
        for sample in good {
            let fits = self.open.as_ref().is_some_and(|(_, layout, open)| {
                let is_together = *layout == batch.layout.id && open.judged[0].at == sample.at;
                is_together && open.judged.len() < FRAME_SAMPLES_MAX
            });
            if !fits {
                self.flush(stamped.t);
            }
            let (_, _, open) = self.open.get_or_insert_with(|| (stamped.t, batch.layout.id, empty.clone()));
            open.heard.push(sample.series.clone());
            open.judged.push(Look { series: sample.series, at: sample.at, value: Value::Sample(sample.value) });
        }
    }
}

/// Samples as they come to be judged, machine by machine.
pub(crate) fn frames(records: &[Stamped]) -> Vec<Arrival> {
    let mut desks: BTreeMap<MachineId, Desk> = BTreeMap::new();
    for stamped in records {
        if let Record::Batch(batch) = &stamped.record {
            desks.entry(batch.machine().clone()).or_default().take(stamped, batch);
        }
    }
    let close = |mut desk: Desk| {
        desk.flush(u64::MAX);
        desk.done
    };
    desks.into_values().flat_map(close).collect()
}

/// Minutes as they come to be judged: final ones that are not wholly out of a spool. Each revision is heard of where it brings samples.
pub(crate) fn minutes(outputs: &[(u64, Output)], sorted: &Sorted) -> Vec<Arrival> {
    let mut current: BTreeMap<(MachineId, Timestamp), u64> = BTreeMap::new();
    for sample in sorted.aggregated.iter().filter(|sample| !sample.is_stale) {
        let start = Window::containing(sample.at, Width::Minute).start;
        current.entry((sample.machine.clone(), start)).or_insert(sample.t);
    }
    let mut counts: BTreeMap<(MachineId, SeriesKey, Timestamp), u64> = BTreeMap::new();
    let mut arrivals = Vec::new();
    for (t, output) in outputs {
        let Output::Minute(rows) = output else { continue };
        let machine = rows.roster.machine.clone();
        let is_current = current.get(&(machine.clone(), rows.window.start)).is_some_and(|since| since <= t);
        let mut arrival = Arrival {
            t: *t,
            machine: machine.clone(),
            roster: rows.roster.series.iter().map(|key| key.as_ref().clone()).collect(),
            judged: Vec::new(),
            heard: Vec::new(),
        };
        for (slot, row) in rows.rows.iter() {
            let series = rows.roster.key(slot).as_ref().clone();
            let before = counts.insert((machine.clone(), series.clone(), rows.window.start), row.count);
            if before.is_none_or(|before| before < row.count) {
                arrival.heard.push(series.clone());
            }
            if rows.is_final && is_current {
                arrival.judged.push(Look { series, at: rows.window.end(), value: Value::Row(row) });
            }
        }
        arrivals.push(arrival);
    }
    arrivals
}
