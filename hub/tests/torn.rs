//! SIGKILL at moments nobody chose, in the replay and in the roll of a segment too, with the journal's tail torn, cut and flipped in
//! between: every table equals the table of a hub that was left in peace, and a naive oracle's.
//!
//! What is damaged is what nobody was told is safe: behind the newest acknowledgement that a machine heard, and the newest time the history holds.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{Damage, Framed, Machine, Program, SOON, Segment, now_ms};
use fastrand::Rng;
use model::Record;
use proto::pb::push_request::Message;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use testkit::eventually_blocking;
use testkit::servers::private_dir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

const MACHINES: usize = 4;
const METRICS: [&str; 3] = ["system.cpu.utilization", "system.memory.utilization", "app.queue"];
/// Of each machine, half before the rules are edited and half after.
const FRAMES: usize = 1_200;
const STEP_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
/// The smallest there is, so that it is rolled many times.
const SETTINGS: [(&str, &str); 2] = [("HUB_PIPELINE_WORKERS", "2"), ("HUB_JOURNAL_SEGMENT", "64KiB")];
const BEFORE: &str = "
[[rule]]
name = \"busy\"
metric = \"system.cpu.utilization\"
operator = \"gt\"
threshold = 0.9
severity = \"warning\"
[[rule]]
name = \"held\"
metric = \"app.queue\"
operator = \"gt\"
threshold = 0.5
clear = 0.4
for = \"3s\"
severity = \"critical\"
";

fn after() -> String {
    BEFORE.replace("threshold = 0.9", "threshold = 0.8")
}

/// Twenty minutes at one frame a second, one in twenty late by up to a minute; values are multiples of 1/64, so that sums are exact.
fn simulated(number: usize, end_ms: i64, rng: &mut Rng) -> Machine {
    let mut machine = Machine::new(&format!("m{number}"), &METRICS);
    let start = end_ms - i64::try_from(FRAMES).unwrap() * STEP_MS;
    for tick in 0..FRAMES {
        let on_time = start + i64::try_from(tick).unwrap() * STEP_MS;
        // A millisecond of its own, so that no two frames have one time.
        let late = i64::from(rng.u32(1..60)) * STEP_MS - i64::try_from(tick % 900).unwrap() - 1;
        let time = if rng.u8(0..20) == 0 { on_time - late } else { on_time };
        let mut value = || f64::from(rng.u8(..=64)) / 64.0;
        let values = [value(), value(), value()];
        machine.measure(time, &values);
    }
    machine
}

/// Delivers the first `frames` of each machine, until that is done or the hub is killed.
async fn push_under(
    hub: &mut Program,
    machines: Vec<Machine>,
    frames: usize,
    kill_after: Option<Duration>,
) -> Vec<Machine> {
    let mut pushing = JoinSet::new();
    for mut machine in machines {
        let grpc = hub.grpc.clone();
        pushing.spawn(async move {
            let rest = machine.frames.split_off(frames);
            if let Ok(mut push) = machine.connect(&grpc).await {
                drop(machine.deliver(&mut push).await);
            }
            machine.frames.extend(rest);
            machine
        });
    }
    if let Some(kill_after) = kill_after {
        sleep_until(Instant::now() + kill_after).await;
        hub.kill();
    }
    let mut machines = pushing.join_all().await;
    machines.sort_by(|a, b| a.name.cmp(&b.name));
    machines
}

fn open(dir: &Path) -> Connection {
    Connection::open_with_flags(dir.join("history.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// Every row of a query as text.
fn rows(database: &Connection, query: &str) -> Vec<String> {
    let mut statement = database.prepare(query).unwrap();
    let columns = statement.column_count();
    let text = |row: &rusqlite::Row<'_>| -> rusqlite::Result<String> {
        let cells = (0..columns).map(|at| row.get::<_, rusqlite::types::Value>(at).map(|value| format!("{value:?}")));
        Ok(cells.collect::<Result<Vec<_>, _>>()?.join(" "))
    };
    statement.query_map([], text).unwrap().collect::<Result<_, _>>().unwrap()
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Tables {
    minutes: Vec<String>,
    hours: Vec<String>,
    alerts: Vec<String>,
}

/// Without what a run of its own decides: logical times, and the hour that is still open.
fn tables(dir: &Path, end_ms: i64) -> Tables {
    let database = open(dir);
    let aggregates = |table: &str, until_us: i64| {
        let query = format!(
            "SELECT machine, metric, start_time, count, sum, min, max, last, last_time FROM {table} \
             JOIN machines ON machines.id = {table}.machine_id JOIN series ON series.id = series_id \
             WHERE start_time < {until_us} ORDER BY machine, metric, start_time"
        );
        rows(&database, &query)
    };
    let alerts = "SELECT rule_name, machine, metric, state, value, since, resolved, severity FROM alerts \
                  WHERE rule_name IN ('busy', 'held') ORDER BY rule_name, machine, since, resolved";
    Tables {
        minutes: aggregates("minute_aggregates", i64::MAX),
        hours: aggregates("hour_aggregates", end_ms.div_euclid(HOUR_MS) * HOUR_MS * 1_000),
        alerts: rows(&database, alerts),
    }
}

/// Count, sum, min, max, last and its time in microseconds.
type Row = (i64, f64, f64, f64, f64, i64);
/// Machine, metric, start in microseconds.
type Key<'a> = (&'a str, &'a str, i64);

/// Machine, metric, start, count, sum, min, max, last and its time, of all that was measured, in windows of this width.
fn oracle(machines: &[Machine], width_ms: i64, until_ms: i64) -> Vec<String> {
    let mut windows: BTreeMap<Key<'_>, Row> = BTreeMap::new();
    for machine in machines {
        for (time_ms, values) in machine.frames.iter().filter(|(time_ms, _)| *time_ms < until_ms) {
            for (metric, value) in METRICS.into_iter().zip(values.iter().copied()) {
                let (time, start) = (time_ms * 1_000, time_ms.div_euclid(width_ms) * width_ms * 1_000);
                let row = windows.entry((&machine.name, metric, start)).or_insert((0, 0.0, value, value, value, time));
                let last = if row.5 <= time { (value, time) } else { (row.4, row.5) };
                *row = (row.0 + 1, row.1 + value, row.2.min(value), row.3.max(value), last.0, last.1);
            }
        }
    }
    let text = |((machine, metric, start), row): (Key<'_>, Row)| {
        let (count, sum, min, max, last, time) = row;
        format!(
            "Text({machine:?}) Text({metric:?}) Integer({start}) Integer({count}) Real({sum:?}) Real({min:?}) Real({max:?}) \
             Real({last:?}) Integer({time})"
        )
    };
    windows.into_iter().map(text).collect()
}

/// Raw samples of each series through the API: time and value, in order.
fn check_raw(hub: &Program, machines: &[Machine], end_ms: i64) {
    for machine in machines {
        for (at, metric) in METRICS.into_iter().enumerate() {
            let from = end_ms / 1_000 - 3_600;
            let path = format!(
                "/api/machines/{}/history?metric={metric}&from={from}&to={}&tier=raw&max_points=10000",
                machine.name,
                end_ms / 1_000 + 1
            );
            let mut expected: Vec<(i64, f64)> = machine.frames.iter().map(|(t, values)| (*t, values[at])).collect();
            expected.sort_by_key(|(t, _)| *t);
            let body =
                hub.eventually(&path, |body| body["series"][0]["t"].as_array().is_some_and(|t| t.len() >= FRAMES));
            let column = |name: &str| body["series"][0][name].as_array().unwrap().clone();
            let times = column("t").into_iter().map(|t| t.as_i64().unwrap());
            let values = column("v").into_iter().map(|v| v.as_f64().unwrap());
            let found: Vec<(i64, f64)> = times.zip(values).collect();
            assert_eq!(found, expected, "{} {metric}", machine.name);
        }
    }
}

/// Puts the edited rules in place, and ends when they are what every later sample is judged by.
fn edit_rules(hub: &Program, dir: &Path) {
    std::fs::write(dir.join("rules.toml"), after()).unwrap();
    hub.eventually("/api/v1/rules", |body| body.to_string().contains("0.8"));
    in_force(hub);
}

/// Ends when rules that the hub has told of are in force: two seconds of logical time later, and a boundary (ADR 0008). Logical time is the
/// wall clock's, or the journal's own where that is ahead.
fn in_force(hub: &Program) {
    const LAG_MS: u64 = 2_100;
    const PIPELINE: &str = "/api/v1/pipeline";
    let complete = |body: &Value| body["complete_until"].as_u64().unwrap();
    let now = u64::try_from(now_ms()).unwrap();
    let until = complete(&hub.eventually(PIPELINE, |_| true)).max(now) + LAG_MS;
    hub.eventually(PIPELINE, |body| until <= complete(body));
}

/// Where in the newest segment that begins of which nobody was told that it is kept.
fn safe_until(dir: &Path, segment: &Segment, machines: &[Machine]) -> usize {
    let stored = match Connection::open_with_flags(dir.join("history.db"), OpenFlags::SQLITE_OPEN_READ_ONLY) {
        Ok(database) => database
            .query_row("SELECT max(coalesce((SELECT max(t) FROM sink_cursor), 0), coalesce((SELECT max(raw_t) FROM machines), 0))", [], |row| row.get(0))
            .unwrap_or(i64::MAX),
        // Killed before it was made.
        Err(_) => i64::MAX,
    };
    let stored = u64::try_from(stored).unwrap();
    let is_told = |record: &Option<Record>| match record {
        Some(Record::Batch(batch)) => {
            let machine = machines.iter().find(|machine| machine.name == batch.machine().as_str());
            machine.is_none_or(|machine| batch.sequence <= machine.acknowledged)
        }
        // Rules are told over HTTP; what else there is comes once and would not be sent again.
        Some(_) | None => true,
    };
    let told = segment.records().into_iter().filter(|framed| framed.t <= stored || is_told(&framed.record));
    told.map(|framed| framed.end).max().unwrap_or(0)
}

fn damage(dir: &Path, machines: &[Machine], rng: &mut Rng) -> Damage {
    let damage = *rng.choice(&Damage::ALL).unwrap();
    if let Some(segment) = Segment::newest(dir) {
        let safe = safe_until(dir, &segment, machines);
        segment.damage(damage, safe, rng);
    }
    damage
}

/// What an undisturbed hub makes of it.
async fn in_peace(machines: Vec<Machine>, end_ms: i64) -> Tables {
    let dir = private_dir().unwrap();
    std::fs::write(dir.path().join("rules.toml"), BEFORE).unwrap();
    let mut hub = Program::hub_with(dir.path(), &SETTINGS);
    in_force(&hub);
    let machines = push_under(&mut hub, machines, FRAMES / 2, None).await;
    edit_rules(&hub, dir.path());
    let machines = push_under(&mut hub, machines, FRAMES, None).await;
    let minutes = oracle(&machines, MINUTE_MS, i64::MAX);
    let hours = oracle(&machines, HOUR_MS, end_ms.div_euclid(HOUR_MS) * HOUR_MS);
    let is_settled = |tables: &Tables| tables.minutes == minutes && tables.hours == hours;
    let settled = eventually_blocking(SOON, || tables(dir.path(), end_ms), is_settled);
    check_raw(&hub, &machines, end_ms);
    let settled = settled.unwrap_or_else(|_| panic!("the undisturbed hub has the oracle's rows"));
    assert!(settled.alerts.len() > MACHINES && !settled.hours.is_empty(), "{settled:?}");
    assert_eq!(hub.terminate().code(), Some(0));
    settled
}

/// Kills a hub that is starting at a random moment: mostly in its replay.
async fn kill_while_it_starts(dir: &Path, rng: &mut Rng) {
    let mut hub = Program::spawn_with(dir, &SETTINGS);
    sleep_until(Instant::now() + Duration::from_millis(rng.u64(1..600))).await;
    hub.kill();
}

#[expect(clippy::print_stdout, reason = "what a run that failed was")]
async fn rounds(kills: u64, seed: u64) {
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let end_ms = (now_ms() - 60_000).div_euclid(3_600_000) * 3_600_000 + 60_000;
    let simulate = |rng: &mut Rng| (0..MACHINES).map(|number| simulated(number, end_ms, rng)).collect::<Vec<_>>();
    let (peace, machines) = (simulate(&mut rng.clone()), simulate(&mut rng));
    let expected = in_peace(peace, end_ms).await;
    let dir = private_dir().unwrap();
    std::fs::write(dir.path().join("rules.toml"), BEFORE).unwrap();
    let mut machines = machines;
    // The journal has the rules from here on, and a restart takes them from there.
    let mut first = Program::hub_with(dir.path(), &SETTINGS);
    in_force(&first);
    first.kill();
    for (frames, kills) in [(FRAMES / 2, kills.div_ceil(2)), (FRAMES, kills / 2)] {
        for _ in 0..kills {
            let mut hub = Program::hub_with(dir.path(), &SETTINGS);
            let after = Duration::from_millis(rng.u64(1..400));
            machines = push_under(&mut hub, machines, frames, Some(after)).await;
            let done = damage(dir.path(), &machines, &mut rng);
            let heard: Vec<u64> = machines.iter().map(|machine| machine.acknowledged).collect();
            println!("killed after {after:?}, then {done:?}; acknowledged {heard:?}");
            if rng.bool() {
                kill_while_it_starts(dir.path(), &mut rng).await;
            }
        }
        let mut hub = Program::hub_with(dir.path(), &SETTINGS);
        machines = push_under(&mut hub, machines, frames, None).await;
        assert!(machines.iter().all(|machine| machine.acknowledged == frames as u64));
        if frames < FRAMES {
            edit_rules(&hub, dir.path());
            hub.kill();
        } else {
            check_raw(&hub, &machines, end_ms);
            let found = eventually_blocking(SOON, || tables(dir.path(), end_ms), |tables| *tables == expected);
            let found = found.unwrap_or_else(|_| tables(dir.path(), end_ms));
            assert_eq!(found.alerts, expected.alerts, "alerts");
            assert_eq!(found.minutes, expected.minutes, "minutes");
            assert_eq!(found.hours, expected.hours, "hours");
            assert_eq!(hub.terminate().code(), Some(0));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_killed_with_a_torn_journal_ends_with_the_tables_of_one_left_in_peace() {
    rounds(6, fastrand::u64(..)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "hundreds of kills: make test-long; CRASH_KILLS and CRASH_SEED choose how many and which"]
async fn so_does_one_killed_hundreds_of_times() {
    let (kills, seed) = common::kills::asked(200);
    // Twenty to a run: later kills would find little left to send.
    for run in 0..kills.div_ceil(20) {
        rounds(20.min(kills), seed.wrapping_add(run)).await;
    }
}

/// Machine, metric and start of a minute to its count.
fn counts(tables: &Tables) -> BTreeMap<String, i64> {
    let split = |row: &String| {
        let mut cells = row.split(' ');
        let key: Vec<&str> = cells.by_ref().take(3).collect();
        let count = cells.next().unwrap().trim_start_matches("Integer(").trim_end_matches(')').parse().unwrap();
        (key.join(" "), count)
    };
    tables.minutes.iter().map(split).collect()
}

/// Damages what was acknowledged and is in the history, restarts, and has a late sample fall into a minute that the journal lost part of.
async fn check_flipped(newer: usize, event: &str) {
    let dir = private_dir().unwrap();
    std::fs::write(dir.path().join("rules.toml"), BEFORE).unwrap();
    let end_ms = now_ms();
    let mut hub = Program::hub_with(dir.path(), &SETTINGS);
    let machine = simulated(0, end_ms, &mut Rng::with_seed(7));
    let mut machines = push_under(&mut hub, vec![machine], FRAMES, None).await;
    let expected = oracle(&machines, MINUTE_MS, i64::MAX);
    let settled =
        eventually_blocking(SOON, || tables(dir.path(), end_ms), |tables| tables.minutes == expected).unwrap();
    hub.kill();
    let segment = Segment::newest_but(dir.path(), newer).unwrap();
    let records = segment.records();
    let (kept, lost) = records.split_at(records.len() * 3 / 4);
    let batch =
        |framed: &Framed| if let Some(Record::Batch(batch)) = &framed.record { Some(Arc::clone(batch)) } else { None };
    let newest_kept = kept.iter().rev().find_map(batch).unwrap();
    let (path, mut bytes) = (segment.path, segment.bytes);
    bytes[lost[0].end - 5] ^= 0x10;
    std::fs::write(path, bytes).unwrap();

    let mut hub = Program::hub_with(dir.path(), &SETTINGS);
    assert_eq!(hub.events(event).len(), 1, "{:?}", hub.errors());
    let from = end_ms / 1_000 - 3_600;
    let path = format!("/api/machines/m0/history?metric=app.queue&from={from}&tier=raw&max_points=10000");
    let times = |body: &Value| body["series"][0]["t"].as_array().map_or(0, Vec::len) as u64;
    hub.eventually(&path, |body| newest_kept.sequence <= times(body));
    let mut machine = machines.remove(0);
    machine.measure(newest_kept.newest().millis() + 500, &[0.5, 0.5, 0.5]);
    // The hub may no longer know of frames that the collector was told are safe, and that nobody has any more.
    machine.acknowledged = newest_kept.sequence;
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    let newest = machine.frames.len() as u64;
    push.send(Message::Frame(machine.frame(newest))).await.unwrap();
    while push.answer().await.unwrap().acknowledged < newest {}
    assert_eq!(hub.terminate().code(), Some(0));
    let (before, after) = (counts(&settled), counts(&tables(dir.path(), end_ms)));
    let worse: Vec<_> = before.iter().filter(|(key, count)| after.get(*key).is_none_or(|now| now < count)).collect();
    assert!(worse.is_empty(), "{worse:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_what_was_acknowledged_is_said_and_no_row_of_the_history_gets_worse() {
    check_flipped(0, "journal_is_damaged_good_records_behind_it_are_set_aside").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_by_one_in_an_older_segment() {
    check_flipped(1, "journal_segment_is_damaged_the_rest_of_it_is_lost_later_segmen").await;
}
