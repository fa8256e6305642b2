//! Machines with forty minutes of values, and what a hub that got them all must answer: a naive oracle, by the hub's own API.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::Value;

use super::{Machine, Program};

pub(crate) const MACHINES: usize = 6;
const METRICS: [&str; 3] = ["system.cpu.utilization", "system.memory.utilization", "app.queue"];
pub(crate) const FRAMES: usize = 2_400;
const STEP_MS: i64 = 1_000;
const THRESHOLD: f64 = 0.9;
pub(crate) const RULE: &str = "[[rule]]\nname = \"busy\"\nmetric = \"system.cpu.utilization\"\noperator = \"gt\"\nthreshold = 0.9\nseverity = \"warning\"\n";

/// Forty minutes of one machine at one frame a second; values are multiples of 1/64, so that sums are exact.
fn simulated_one(number: usize, end_ms: i64, rng: &mut Rng) -> Machine {
    let mut machine = Machine::new(&format!("m{number}"), &METRICS);
    let start = end_ms - i64::try_from(FRAMES).unwrap() * STEP_MS;
    for tick in 0..FRAMES {
        let mut value = || f64::from(rng.u8(..=64)) / 64.0;
        let values = [value(), value(), value()];
        machine.measure(start + i64::try_from(tick).unwrap() * STEP_MS, &values);
    }
    machine
}

/// A minute into an hour, so that the data holds an hour that closes and one that stays open.
pub(crate) fn end_of_data(now_ms: i64) -> i64 {
    (now_ms - 60_000).div_euclid(3_600_000) * 3_600_000 + 60_000
}

/// All of them.
pub(crate) fn simulated(end_ms: i64, rng: &mut Rng) -> Vec<Machine> {
    (0..MACHINES).map(|number| simulated_one(number, end_ms, rng)).collect()
}

/// Everything of this machine is there, once.
pub(crate) fn check(hub: &Program, machine: &Machine, end_ms: i64) {
    check_raw(hub, machine, end_ms);
    check_minutes(hub, machine, end_ms);
    check_closed_hours(hub, machine, end_ms);
    check_alerts(hub, machine);
}

fn range(machine: &Machine, metric: &str, end_ms: i64, rest: &str) -> String {
    let (name, end) = (&machine.name, end_ms / 1_000);
    let from = end - i64::try_from(FRAMES).unwrap() * STEP_MS / 1_000;
    format!("/api/machines/{name}/history?metric={metric}&from={from}&to={end}&max_points=10000{rest}")
}

fn len(column: &Value) -> usize {
    column.as_array().map_or(0, Vec::len)
}

fn check_raw(hub: &Program, machine: &Machine, end_ms: i64) {
    for (at, metric) in METRICS.into_iter().enumerate() {
        let path = range(machine, metric, end_ms, "&tier=raw");
        let answer = hub.eventually(&path, |body| len(&body["series"][0]["t"]) >= FRAMES);
        let series = &answer["series"][0];
        let expected: Vec<(i64, f64)> = machine.frames.iter().map(|(time, values)| (*time, values[at])).collect();
        let times = series["t"].as_array().unwrap().iter().map(|t| t.as_i64().unwrap());
        let values = series["v"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap());
        let found: Vec<(i64, f64)> = times.zip(values).collect();
        assert_eq!(found, expected, "{} {metric}", machine.name);
    }
}

/// Start of the minute to count, sum, min, max, last.
type Minutes = BTreeMap<i64, (u64, f64, f64, f64, f64)>;

fn oracle(machine: &Machine, at: usize) -> Minutes {
    let mut minutes = Minutes::new();
    for (time, values) in &machine.frames {
        let value = values[at];
        let start = time.div_euclid(60_000) * 60_000;
        let row = minutes.entry(start).or_insert((0, 0.0, value, value, value));
        *row = (row.0 + 1, row.1 + value, row.2.min(value), row.3.max(value), value);
    }
    minutes
}

fn minutes_of(series: &Value) -> Minutes {
    let column = |name: &str| series[name].as_array().cloned().unwrap_or_default();
    let number = |name: &str, at: usize| column(name)[at].as_f64().unwrap();
    let rows = column("t").into_iter().enumerate();
    rows.map(|(at, start)| {
        let count = column("count")[at].as_u64().unwrap();
        let row = (count, number("sum", at), number("min", at), number("max", at), number("last", at));
        (start.as_i64().unwrap(), row)
    })
    .collect()
}

fn check_minutes(hub: &Program, machine: &Machine, end_ms: i64) {
    for (at, metric) in METRICS.into_iter().enumerate() {
        let expected = oracle(machine, at);
        let path = range(machine, metric, end_ms, "&tier=raw");
        // The last minute is published when its machine has been silent for two intervals.
        hub.eventually(&path, |body| minutes_of(&body["minute"][0]) == expected);
    }
}

/// Start of the hour to mean, minimum and maximum.
type Hours = BTreeMap<i64, (f64, f64, f64)>;

fn check_closed_hours(hub: &Program, machine: &Machine, end_ms: i64) {
    for (at, metric) in METRICS.into_iter().enumerate() {
        let mut expected = Hours::new();
        let mut values: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        for (time, frame) in &machine.frames {
            let start = time.div_euclid(3_600_000) * 3_600_000;
            values.entry(start).or_default().push(frame[at]);
        }
        for (start, values) in values.into_iter().filter(|(start, _)| start + 3_600_000 < end_ms) {
            let (min, max) = (values.iter().copied().fold(1.0, f64::min), values.iter().copied().fold(0.0, f64::max));
            expected.insert(start, (values.iter().sum::<f64>() / values.len() as f64, min, max));
        }
        let path = format!("/api/machines/{}/history?metric={metric}&from=now-3h&tier=hour", machine.name);
        // The mean went through decimal text; one sample more or less would change it by far more than that does.
        let is_same = |a: &(f64, f64, f64), b: &(f64, f64, f64)| {
            (a.0 - b.0).abs() < 1e-12 && (a.1 - b.1).abs() < 1e-12 && (a.2 - b.2).abs() < 1e-12
        };
        let is_right = |found: &Hours, start: &i64, row| found.get(start).is_some_and(|found| is_same(found, row));
        let are_right = |found: &Hours| expected.iter().all(|(start, row)| is_right(found, start, row));
        assert_eq!(expected.len(), 1, "one hour closes");
        hub.eventually(&path, |body| are_right(&hours_of(&body["series"][0])));
    }
}

fn hours_of(series: &Value) -> Hours {
    let column = |name: &str| series[name].as_array().cloned().unwrap_or_default();
    let (mean, min, max) = (column("v"), column("min"), column("max"));
    let rows = column("t").into_iter().zip(mean).zip(min.into_iter().zip(max));
    let number = |value: Value| value.as_f64().unwrap();
    rows.map(|((t, mean), (min, max))| (t.as_i64().unwrap(), (number(mean), number(min), number(max)))).collect()
}

/// Fired and resolved alternate: as many alerts as breaches, and no two of one beginning.
pub(crate) fn check_alerts(hub: &Program, machine: &Machine) {
    let breaches = machine.frames.windows(2).filter(|pair| pair[0].1[0] <= THRESHOLD && THRESHOLD < pair[1].1[0]);
    let begins_in_breach = usize::from(THRESHOLD < machine.frames[0].1[0]);
    let expected = breaches.count() + begins_in_breach;
    let path = format!("/api/v1/alerts/history?machine={}&rule=busy&from=now-3h&limit=1000", machine.name);
    let alerts = hub.eventually(&path, |body| expected <= len(&body["alerts"]));
    let mut since: Vec<i64> =
        alerts["alerts"].as_array().unwrap().iter().map(|a| a["since"].as_i64().unwrap()).collect();
    assert_eq!(since.len(), expected, "{}", machine.name);
    since.sort_unstable();
    since.dedup();
    assert_eq!(since.len(), expected, "{}: an alert was repeated", machine.name);
}
