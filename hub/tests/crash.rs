//! SIGKILL under load: what was acknowledged is in the history once, aggregates equal a naive oracle's, alerts alternate.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{Machine, Program, now_ms};
use fastrand::Rng;
use serde_json::Value;
use testkit::servers::private_dir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

const MACHINES: usize = 6;
const METRICS: [&str; 3] = ["system.cpu.utilization", "system.memory.utilization", "app.queue"];
const FRAMES: usize = 2_400;
const STEP_MS: i64 = 1_000;
const THRESHOLD: f64 = 0.9;
const RULE: &str = "[[rule]]\nname = \"busy\"\nmetric = \"system.cpu.utilization\"\noperator = \"gt\"\nthreshold = 0.9\nseverity = \"warning\"\n";

/// Forty minutes of one machine at one frame a second; values are multiples of 1/64, so that sums are exact.
fn simulated(number: usize, end_ms: i64, rng: &mut Rng) -> Machine {
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
fn end_of_data(now_ms: i64) -> i64 {
    (now_ms - 60_000).div_euclid(3_600_000) * 3_600_000 + 60_000
}

/// Delivers until the hub dies or everything is acknowledged.
async fn push_all(mut machine: Machine, grpc: String) -> Machine {
    if let Ok(mut push) = machine.connect(&grpc).await {
        // The hub is killed in the middle of this.
        drop(machine.deliver(&mut push).await);
    }
    machine
}

/// Every machine pushes at once; `kill_after` ends the hub.
async fn push_under(hub: &mut Program, machines: Vec<Machine>, kill_after: Option<Duration>) -> Vec<Machine> {
    let mut pushing = JoinSet::new();
    for machine in machines {
        pushing.spawn(push_all(machine, hub.grpc.clone()));
    }
    if let Some(kill_after) = kill_after {
        sleep_until(Instant::now() + kill_after).await;
        hub.kill();
    }
    let mut machines = pushing.join_all().await;
    machines.sort_by(|a, b| a.name.cmp(&b.name));
    machines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_hub_loses_nothing_it_acknowledged_and_repeats_nothing() {
    check(&[("HUB_PIPELINE_WORKERS", "1")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_one_with_two_workers() {
    check(&[("HUB_PIPELINE_WORKERS", "2")]).await;
}

/// J-1, S-2 with the history on a server: rows there and state in the data folder end as if nothing had happened.
#[cfg(feature = "integration")]
#[tokio::test(flavor = "multi_thread")]
async fn nor_does_one_whose_history_is_on_postgresql() {
    let database = testkit::postgres::Database::of_the_run().await.unwrap();
    check(&[("TIMESCALE_URL", database.url())]).await;
}

/// The same at moments of all kinds: CRASH_KILLS says how many at the least, CRASH_SEED which.
#[cfg(feature = "integration")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "hundreds of kills: make test-long; CRASH_KILLS and CRASH_SEED choose how many and which"]
async fn nor_does_one_on_postgresql_killed_hundreds_of_times() {
    let variables = hub::config::environment();
    let number = |name: &str| {
        let found = variables.iter().find(|(variable, _)| variable == name);
        found.map(|(_, text)| text.parse::<u64>().unwrap())
    };
    let kills = usize::try_from(number("CRASH_KILLS").unwrap_or(100)).unwrap();
    let seed = number("CRASH_SEED").unwrap_or_else(|| fastrand::u64(..));
    // Ten to a run: later kills would find little left to send.
    for run in 0..kills.div_ceil(10) as u64 {
        let database = testkit::postgres::Database::of_the_run().await.unwrap();
        rounds(&[("TIMESCALE_URL", database.url())], seed.wrapping_add(run), 10.min(kills)).await;
    }
}

async fn check(variables: &[(&str, &str)]) {
    rounds(variables, fastrand::u64(..), 6).await;
}

#[expect(clippy::print_stdout, reason = "the seed of a run that failed")]
async fn rounds(variables: &[(&str, &str)], seed: u64, rounds: usize) {
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let dir = private_dir().unwrap();
    std::fs::write(dir.path().join("rules.toml"), RULE).unwrap();
    let end_ms = end_of_data(now_ms());
    let mut machines: Vec<Machine> = (0..MACHINES).map(|number| simulated(number, end_ms, &mut rng)).collect();
    let mut kills = 0;
    // Killed at moments that nobody chose, until enough was delivered.
    while kills < rounds {
        let mut hub = Program::hub_with(dir.path(), variables);
        let after = Duration::from_millis(rng.u64(5..150));
        machines = push_under(&mut hub, machines, Some(after)).await;
        kills += 1;
    }
    let mut hub = Program::hub_with(dir.path(), variables);
    let before: Vec<u64> = machines.iter().map(|machine| machine.acknowledged).collect();
    println!("acknowledged before the last start: {before:?}");
    machines = push_under(&mut hub, machines, None).await;
    for machine in &machines {
        assert_eq!(machine.acknowledged, FRAMES as u64, "{}", machine.name);
        check_raw(&hub, machine, end_ms);
        check_minutes(&hub, machine, end_ms);
        check_closed_hours(&hub, machine, end_ms);
        check_alerts(&hub, machine);
    }
    assert_eq!(hub.errors(), Vec::<Value>::new());
    assert_eq!(hub.terminate().code(), Some(0));
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
fn check_alerts(hub: &Program, machine: &Machine) {
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
