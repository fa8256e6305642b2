//! The whole hub from outside: what machines push over gRPC comes out of REST, is kept over a restart, and raises alerts once.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use common::{Machine, Program, SOON, now_ms};
use serde_json::Value;
use testkit::servers::private_dir;

const CPU: &str = "system.cpu.utilization";
const RULE: &str = "[[rule]]\nname = \"busy\"\nmetric = \"system.cpu.utilization\"\noperator = \"gt\"\nthreshold = 0.9\nclear = 0.8\nseverity = \"critical\"\n";

/// Frames every five seconds of five whole minutes, and one that moves the watermark past them. The values rise by 1/256 each.
/// Returns the end of the five minutes in seconds.
fn five_minutes(machine: &mut Machine) -> i64 {
    let end = now_ms() / 60_000 * 60_000 - 60_000;
    for tick in 0..60_u32 {
        let time = end - 300_000 + i64::from(tick) * 5_000;
        machine.measure(time, &[0.25 + f64::from(tick) / 256.0, 0.5]);
    }
    machine.measure(end + 15_000, &[0.25, 0.5]);
    end / 1_000
}

fn numbers(column: &Value) -> Vec<f64> {
    column.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn first<'a>(answer: &'a Value, list: &str) -> &'a Value {
    &answer[list][0]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_shows_up_with_raw_and_minute_history_and_a_restart_keeps_both() {
    let dir = private_dir().unwrap();
    let mut hub = Program::hub(dir.path());
    let mut machine = Machine::new("db-1", &[CPU, "system.memory.utilization"]);
    let end = five_minutes(&mut machine);
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();

    let is_up = |body: &Value| body["machines"][0]["status"] == "up";
    let machines = hub.eventually("/api/machines", is_up);
    assert_eq!(machines["machines"][0]["id"], "db-1");
    assert_eq!(machines["machines"][0]["tags"]["role"], "db");
    let from = end - 300;
    let path = format!("/api/machines/db-1/history?metric=CPU_PERCENT&from={from}&to={end}&max_points=1000");
    let has_all = |body: &Value| {
        first(body, "series")["t"].as_array().is_some_and(|t| t.len() == 60)
            && first(body, "minute")["t"].as_array().is_some_and(|t| t.len() == 5)
    };
    let before = hub.eventually(&path, has_all);
    let values: Vec<f64> = machine.frames[..60].iter().map(|(_, values)| values[0]).collect();
    assert_eq!(numbers(&first(&before, "series")["v"]), values);
    let sums: Vec<f64> = values.chunks(12).map(|minute| minute.iter().sum()).collect();
    assert_eq!(numbers(&first(&before, "minute")["sum"]), sums);
    assert_eq!(numbers(&first(&before, "minute")["count"]), [12.0; 5]);

    drop(push);
    assert_eq!(hub.terminate().code(), Some(0), "{:#?}", hub.errors());
    assert_eq!(hub.errors(), Vec::<Value>::new());
    let mut again = Program::hub(dir.path());
    let after = again.eventually(&path, has_all);
    assert_eq!((&after["series"], &after["minute"]), (&before["series"], &before["minute"]));
    assert_eq!(again.terminate().code(), Some(0));
    assert_eq!(again.errors(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breach_fires_once_and_resolves_once_also_over_a_restart() {
    let dir = private_dir().unwrap();
    std::fs::write(dir.path().join("rules.toml"), RULE).unwrap();
    let mut hub = Program::hub(dir.path());
    let mut machine = Machine::new("db-1", &[CPU]);
    let start = now_ms() - 100_000;
    for (second, value) in [(0, 0.5), (5, 0.95), (10, 0.97), (15, 0.85)] {
        machine.measure(start + second * 1_000, &[value]);
    }
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
    let fires = |body: &Value| body["alerts"].as_array().is_some_and(|alerts| alerts.len() == 1);
    let active = hub.eventually("/api/v1/alerts", fires);
    assert_eq!((&active["alerts"][0]["rule"], &active["alerts"][0]["machine"]), (&"busy".into(), &"db-1".into()));
    hub.eventually("/api/v1/alerts/history", fires);
    drop(push);
    assert_eq!(hub.terminate().code(), Some(0), "{:#?}", hub.errors());

    let mut hub = Program::hub(dir.path());
    let again = hub.json("/api/v1/alerts");
    assert_eq!(again["alerts"][0]["id"], active["alerts"][0]["id"], "the same alert, not another one: {again}");
    machine.measure(start + 20_000, &[0.95]);
    machine.measure(start + 25_000, &[0.7]);
    machine.measure(start + 30_000, &[0.6]);
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
    hub.eventually("/api/v1/alerts", |body| body["alerts"] == Value::Array(Vec::new()));
    let resolved = |body: &Value| body["alerts"][0]["state"] == "resolved";
    let past = hub.eventually("/api/v1/alerts/history", resolved);
    assert_eq!(past["alerts"].as_array().unwrap().len(), 1, "{past}");
    assert_eq!(past["alerts"][0]["id"], active["alerts"][0]["id"]);
    assert_eq!(hub.terminate().code(), Some(0));
    assert_eq!(hub.errors(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_without_history_is_live_alerts_and_remembers_what_a_start_must_know() {
    let dir = private_dir().unwrap();
    std::fs::write(dir.path().join("rules.toml"), RULE).unwrap();
    let settings =
        [("HUB_HISTORY_ENABLED", "false"), ("HUB_SYNTHETIC_ENABLED", "true"), ("HUB_SYNTHETIC_EVERY", "100ms")];
    let mut hub = Program::hub_with(dir.path(), &settings);
    let mut machine = Machine::new("db-1", &[CPU]);
    machine.measure(now_ms(), &[0.95]);
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
    let fires = |body: &Value| body["alerts"].as_array().is_some_and(|alerts| alerts.len() == 1);
    let active = hub.eventually("/api/v1/alerts", fires);
    hub.eventually("/api/v1/alerts/history", fires);
    let (status, refused) = hub.get("/api/machines/db-1/history?metric=CPU_PERCENT&from=now-1h");
    assert_eq!(status, 503, "{refused}");
    assert!(refused.to_string().contains("history.enabled"), "{refused}");
    let (status, _) = hub.get("/ready");
    assert_eq!(status, 200, "off is not away");
    let probe = hub.eventually("/api/v1/synthetic", |body| {
        body["stages"].as_array().unwrap().iter().all(|stage| stage["count"].as_u64() > Some(1))
    });
    assert!(probe["stages"].as_array().unwrap().iter().all(|stage| stage["name"] != "history"), "{probe}");
    drop(push);
    hub.kill();

    let mut hub = Program::hub_with(dir.path(), &settings);
    let again = hub.json("/api/v1/alerts");
    assert_eq!(again["alerts"][0]["id"], active["alerts"][0]["id"], "the same alert, not another one: {again}");
    hub.eventually("/api/v1/machines", |body| body["machines"][0]["id"] == "db-1");
    assert_eq!(hub.terminate().code(), Some(0));
    assert_eq!(hub.errors(), Vec::<Value>::new());
}

/// The client of docs/LIVE_PROTOCOL.md, and the lines that it prints.
struct Watching {
    client: Child,
    lines: mpsc::Receiver<String>,
}

impl Watching {
    fn start(url: &str) -> Self {
        let page = include_str!("../../docs/LIVE_PROTOCOL.md");
        let (_, program) = page.split_once("```js\n").unwrap();
        let (program, _) = program.split_once("```").unwrap();
        let mut node = Command::new("node");
        node.args(["--experimental-websocket", "--input-type=module", "-e", program, "--", "watch.mjs", url]);
        let mut client = node.stdout(Stdio::piped()).spawn().unwrap();
        let printed = BufReader::new(client.stdout.take().unwrap());
        let (lines, waiting) = mpsc::sync_channel(64);
        std::thread::spawn(move || printed.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        Self { client, lines: waiting }
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(SOON).unwrap()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.client.kill().unwrap();
        self.client.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_client_sees_the_fleet_change() {
    let dir = private_dir().unwrap();
    let mut hub = Program::hub(dir.path());
    let mut machine = Machine::new("db-1", &[CPU]);
    let start = now_ms() - 10_000;
    machine.measure(start, &[0.25]);
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
    hub.eventually("/api/machines", |body| body["machines"][0]["summary"]["cpu"] == 0.25);
    let watching = Watching::start(&format!("ws://{}/ws", hub.http().trim_start_matches("http://")));
    assert_eq!(watching.next(), "snapshot db-1 up 0.25");
    machine.measure(start + 5_000, &[0.5]);
    machine.deliver(&mut push).await.unwrap();
    assert_eq!(watching.next(), "delta db-1 up 0.5");
    drop((watching, push));
    assert_eq!(hub.terminate().code(), Some(0), "{:#?}", hub.errors());
}

#[test]
fn up_shows_this_machine_within_seconds() {
    let dir = private_dir().unwrap();
    let mut hub = Program::start("up", dir.path(), &[]);
    let is_up =
        |body: &Value| body["machines"][0]["status"] == "up" && body["machines"][0]["summary"]["cpu"].is_number();
    let machines = hub.eventually("/api/machines", is_up);
    assert_eq!(machines["machines"][0]["id"], "this-machine");
    assert_eq!(hub.json("/ready")["status"], "ready");
    assert_eq!(hub.ask("health"), Some(0));
    assert_eq!(hub.ask("dead-letters"), Some(0));
    assert_eq!(hub.terminate().code(), Some(0));
    assert_eq!(hub.errors(), Vec::<Value>::new());
}
