//! Picture: what a hub said to show, checked as it comes in. A message that breaks the protocol changes nothing.

use std::sync::Arc;

use hashbrown::HashMap;

use super::past::Past;
use crate::protocol::{
    CELLS_MAX, CHART_POINTS, Column, MACHINES_MAX, METRICS_MAX, NAME_CHARS_MAX, Now, PROTOCOL, Snapshot, Step, Update,
    is_name,
};

/// What is wrong with a message, for the log on both sides.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the message is not of the protocol: {0}")]
    Shape(String),
    #[error("the hub speaks protocol {0}, this edge {PROTOCOL}; run the same version of both")]
    Protocol(u32),
    #[error("the first message is not a snapshot")]
    NoSnapshot,
    #[error("message {got} came where {expected} was due")]
    Sequence { expected: u64, got: u64 },
    #[error("there are more than {most} {what}")]
    TooMany { what: &'static str, most: usize },
    #[error("a {0} is empty, longer than {NAME_CHARS_MAX} characters, or has control characters")]
    Name(&'static str),
    #[error("a machine has {got} {what} where there are {expected} metrics")]
    Width { what: &'static str, expected: usize, got: usize },
    #[error("machine key {0} is used twice or is not known")]
    Key(u32),
    #[error("minute {got} came after minute {newest}, or is not for all machines")]
    Minute { newest: i64, got: i64 },
    #[error("a time is outside of what clocks show, or an end is before its beginning")]
    Time,
    #[error("{0} thousandths of a day are more than all of it")]
    Share(u16),
}

/// Charts of every machine, metric by metric.
type Charts = Vec<Vec<Vec<Option<f64>>>>;

/// Cheap to clone: what is large is shared until it changes.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    pub(crate) head: Arc<Head>,
    /// In the order of the names.
    pub(crate) now: Vec<Now>,
    pub(crate) charts: Arc<Charts>,
    pub(crate) minute: i64,
    pub(crate) past: Arc<Past>,
    /// Rises when the past changes.
    pub(crate) past_version: u64,
    /// The hub's clock.
    pub(crate) time: i64,
    seq: u64,
}

/// What stays the same until the next snapshot.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) title: String,
    pub(crate) interval_ms: u32,
    pub(crate) metrics: Vec<Column>,
    pub(crate) names: Vec<String>,
    positions: HashMap<u32, usize>,
}

impl Picture {
    pub(crate) fn new(snapshot: Snapshot) -> Result<Self, Malformed> {
        let Snapshot { protocol, seq, time, title, interval_ms, minute, metrics, machines, incidents } = snapshot;
        if protocol != PROTOCOL {
            return Err(Malformed::Protocol(protocol));
        }
        check_count("machines", machines.len(), MACHINES_MAX)?;
        check_count("metrics", metrics.len(), METRICS_MAX)?;
        check_count("machines times metrics", machines.len() * metrics.len(), CELLS_MAX)?;
        check_name("title", &title)?;
        check_time(time)?;
        metrics.iter().try_for_each(|column| check_name("metric's label", &column.label))?;
        let mut positions = HashMap::with_capacity(machines.len());
        let (mut names, mut now, mut charts, mut days) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (at, machine) in machines.into_iter().enumerate() {
            check_name("machine's name", &machine.name)?;
            check_now(&machine.now, metrics.len())?;
            check_width("charts", machine.charts.len(), metrics.len())?;
            machine.charts.iter().try_for_each(|chart| check_count("points", chart.len(), CHART_POINTS))?;
            if positions.insert(machine.now.key, at).is_some() {
                return Err(Malformed::Key(machine.now.key));
            }
            names.push(machine.name);
            now.push(machine.now);
            charts.push(machine.charts);
            days.push(machine.days);
        }
        let past = Arc::new(Past::new(days, &incidents, &positions)?);
        let head = Arc::new(Head { title, interval_ms, metrics, names, positions });
        Ok(Self { head, now, charts: Arc::new(charts), minute, past, past_version: 0, time, seq })
    }

    /// True when the charts went on by a minute.
    pub(crate) fn update(&mut self, update: Update) -> Result<bool, Malformed> {
        let expected = self.seq + 1;
        if update.seq != expected {
            return Err(Malformed::Sequence { expected, got: update.seq });
        }
        check_time(update.time)?;
        check_count("machines", update.machines.len(), self.now.len())?;
        for now in &update.machines {
            check_now(now, self.head.metrics.len())?;
            if !self.head.positions.contains_key(&now.key) {
                return Err(Malformed::Key(now.key));
            }
        }
        if let Some(step) = &update.step {
            self.check_step(step)?;
        }
        let past = self.past.updated(update.days, update.incidents.as_ref(), &self.head.positions)?;
        // Nothing is refused from here on.
        (self.seq, self.time) = (update.seq, update.time);
        for now in update.machines {
            let at = self.head.positions[&now.key];
            self.now[at] = now;
        }
        if let Some(past) = past {
            self.past = Arc::new(past);
            self.past_version += 1;
        }
        let did_step = update.step.is_some();
        if let Some(step) = update.step {
            self.step(&step);
        }
        Ok(did_step)
    }

    fn check_step(&self, step: &Step) -> Result<(), Malformed> {
        if Some(step.minute) != self.minute.checked_add(1) || step.points.len() != self.now.len() {
            return Err(Malformed::Minute { newest: self.minute, got: step.minute });
        }
        step.points.iter().try_for_each(|values| check_width("points", values.len(), self.head.metrics.len()))
    }

    fn step(&mut self, step: &Step) {
        self.minute = step.minute;
        for (charts, points) in Arc::make_mut(&mut self.charts).iter_mut().zip(&step.points) {
            for (chart, point) in charts.iter_mut().zip(points) {
                if chart.len() == CHART_POINTS {
                    chart.remove(0);
                }
                chart.push(*point);
            }
        }
    }

    /// The newest point of a chart.
    pub(crate) fn newest_points(&self, at: usize) -> impl Iterator<Item = Option<f64>> + '_ {
        self.charts[at].iter().map(|chart| chart.last().copied().flatten())
    }
}

/// Far beyond any clock, and far from overflow.
const TIME_MS_MAX: i64 = 1 << 53;

pub(super) fn check_time(time: i64) -> Result<(), Malformed> {
    if (0..TIME_MS_MAX).contains(&time) { Ok(()) } else { Err(Malformed::Time) }
}

pub(super) fn check_count(what: &'static str, count: usize, most: usize) -> Result<(), Malformed> {
    if count <= most { Ok(()) } else { Err(Malformed::TooMany { what, most }) }
}

fn check_width(what: &'static str, got: usize, expected: usize) -> Result<(), Malformed> {
    if got == expected { Ok(()) } else { Err(Malformed::Width { what, expected, got }) }
}

fn check_now(now: &Now, width: usize) -> Result<(), Malformed> {
    now.last_seen.map_or(Ok(()), check_time)?;
    check_width("values", now.values.len(), width)
}

fn check_name(what: &'static str, text: &str) -> Result<(), Malformed> {
    if is_name(text) { Ok(()) } else { Err(Malformed::Name(what)) }
}

#[cfg(test)]
mod tests {
    use model::Status;

    use super::*;
    use crate::protocol::{Days, DaysOf, Incident, Incidents, Kind, Machine};

    fn now(key: u32, value: f64) -> Now {
        Now { key, status: Status::Up, last_seen: None, values: vec![Some(value)] }
    }

    fn snapshot() -> Snapshot {
        let machine = |key, name: &str| Machine {
            name: name.to_owned(),
            now: now(key, 0.5),
            charts: vec![vec![Some(0.5); CHART_POINTS]],
            days: Some(Days { last: 20_000, shares: vec![Some(1_000)] }),
        };
        Snapshot {
            protocol: PROTOCOL,
            seq: 7,
            time: 1_000,
            title: String::from("Status"),
            interval_ms: 1_000,
            minute: 10,
            metrics: vec![Column { label: String::from("CPU"), kind: Kind::Ratio }],
            machines: vec![machine(1, "one"), machine(2, "two")],
            incidents: Incidents::default(),
        }
    }

    fn update(seq: u64) -> Update {
        Update { seq, time: 2_000, machines: vec![now(2, 0.75)], step: None, days: Vec::new(), incidents: None }
    }

    #[test]
    fn updates_change_what_they_name_and_a_step_moves_every_chart() {
        let mut picture = Picture::new(snapshot()).unwrap();
        assert!(!picture.update(update(8)).unwrap());
        let step = Step { minute: 11, points: vec![vec![None], vec![Some(1.0)]] };
        assert!(picture.update(Update { step: Some(step), machines: Vec::new(), ..update(9) }).unwrap());
        assert_eq!((picture.now[0].values[0], picture.now[1].values[0]), (Some(0.5), Some(0.75)));
        assert_eq!((picture.charts[0][0].len(), picture.minute), (CHART_POINTS, 11));
        assert_eq!((picture.charts[0][0][CHART_POINTS - 1], picture.charts[1][0][CHART_POINTS - 1]), (None, Some(1.0)));
    }

    #[test]
    fn a_snapshot_that_breaks_a_limit_is_refused() {
        let spoilt: [fn(&mut Snapshot); 14] = [
            |s| s.protocol = 2,
            |s| s.time = -1,
            |s| s.title = String::new(),
            |s| s.title = String::from("a\u{7}"),
            |s| s.machines[0].name = "x".repeat(NAME_CHARS_MAX + 1),
            |s| s.metrics[0].label = String::from("  "),
            |s| s.machines[1].now.key = 1,
            |s| s.machines[1].now.values.push(None),
            |s| s.machines[1].now.last_seen = Some(i64::MIN),
            |s| s.machines[1].charts.clear(),
            |s| s.machines[1].charts[0].push(None),
            |s| s.machines[0].days = Some(Days { last: 20_000, shares: vec![Some(1_001)] }),
            |s| s.incidents.newest = vec![Incident { key: 3, from: 1, to: None }],
            |s| s.machines = vec![s.machines[0].clone(); MACHINES_MAX + 1],
        ];
        for (index, spoil) in spoilt.into_iter().enumerate() {
            let mut snapshot = snapshot();
            spoil(&mut snapshot);
            assert!(Picture::new(snapshot).is_err(), "case {index}");
        }
    }

    #[test]
    fn an_update_that_does_not_fit_changes_nothing() {
        let step = |minute, points| Some(Step { minute, points });
        let unknown = Incidents { is_complete: true, newest: vec![Incident { key: 3, from: 1, to: None }] };
        let misfits = [
            update(7),
            update(9),
            Update { machines: vec![now(3, 0.0)], ..update(8) },
            Update { machines: vec![Now { values: Vec::new(), ..now(1, 0.0) }], ..update(8) },
            Update { machines: vec![now(1, 0.0); 3], ..update(8) },
            Update { days: vec![DaysOf { key: 3, days: None }], ..update(8) },
            Update { days: vec![DaysOf { key: 1, days: None }], step: step(12, Vec::new()), ..update(8) },
            Update { incidents: Some(unknown), ..update(8) },
            Update { step: step(12, vec![vec![None]; 2]), ..update(8) },
            Update { step: step(11, vec![vec![None]]), ..update(8) },
            Update { step: step(11, vec![vec![], vec![None]]), ..update(8) },
        ];
        for misfit in misfits {
            let mut picture = Picture::new(snapshot()).unwrap();
            assert!(picture.update(misfit.clone()).is_err(), "{misfit:?}");
            assert_eq!((&picture.past, picture.past_version), (&Picture::new(snapshot()).unwrap().past, 0));
            assert_eq!((picture.seq, picture.time, picture.now[1].values[0]), (7, 1_000, Some(0.5)));
        }
    }
}
