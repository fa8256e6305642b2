//! The hub's own synthetic transactions: they reach every exit, hide from everybody's views, and a slow exit shows where it is slow.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{Machine, Program, SOON, now_ms};
use serde_json::Value;
use testkit::servers::private_dir;

const QUICK: [(&str, &str); 2] = [("HUB_SYNTHETIC_ENABLED", "true"), ("HUB_SYNTHETIC_EVERY", "100ms")];

fn stage<'v>(body: &'v Value, name: &str) -> &'v Value {
    body["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_reach_every_exit_and_hide_among_real_machines() {
    let dir = private_dir().unwrap();
    let mut hub = Program::hub_with(dir.path(), &QUICK);
    let mut machine = Machine::new("db-1", &["system.cpu.utilization"]);
    machine.measure(now_ms(), &[0.5]);
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();

    let all_exits = |body: &Value| {
        let stages = body["stages"].as_array().unwrap();
        stages.len() == 5 && stages.iter().all(|stage| stage["count"].as_u64() > Some(1) && stage["p99_ms"].is_number())
    };
    let found = hub.eventually("/api/v1/synthetic", all_exits);
    assert_eq!((&found["enabled"], &found["duplicates"]), (&true.into(), &0.into()), "{found}");
    // What shows in memory cannot be committed sooner.
    assert!(stage(&found, "history")["p50_ms"].as_f64() >= stage(&found, "hot")["p50_ms"].as_f64(), "{found}");

    let ids = |path: &str| -> Vec<String> {
        let body = hub.json(path);
        body["machines"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("/api/v1/machines"), ["db-1"]);
    assert!(ids("/api/v1/machines?synthetic=show").contains(&"synthetic-probe".to_owned()));
    let is_firing = |body: &Value| body["alerts"].as_array().unwrap().iter().any(|a| a["rule"] == "synthetic-probe");
    hub.eventually("/api/v1/alerts?synthetic=show", is_firing);
    assert!(!is_firing(&hub.json("/api/v1/alerts")));
    assert!(!is_firing(&hub.json("/api/v1/alerts/history")));
    hub.eventually("/api/v1/alerts/history?machine=synthetic-probe", is_firing);
    let (_, metrics) = hub.get("/metrics");
    let metrics = metrics.as_str().unwrap();
    for line in ["synthetic_latency_seconds_bucket{stage=\"live\",le=\"+Inf\"}", "synthetic_sent_total "] {
        assert!(metrics.contains(line), "{line}");
    }
    assert_eq!(hub.terminate().code(), Some(0));
    assert_eq!(hub.errors(), Vec::<Value>::new());

    // Turned off, it takes its rule along.
    let mut hub = Program::hub(dir.path());
    hub.eventually("/api/v1/rules", |body| {
        body["rules"].as_array().unwrap().iter().all(|rule| rule["name"] != "synthetic-probe")
    });
    assert_eq!(hub.json("/api/v1/synthetic")["enabled"], false);
    assert_eq!(hub.terminate().code(), Some(0));
}

/// Keeps everybody from writing to the history for this time.
fn hold_history(dir: &Path, time: Duration) {
    let sql = rusqlite::Connection::open(dir.join("history.db")).unwrap();
    sql.busy_timeout(SOON).unwrap();
    sql.execute_batch("BEGIN IMMEDIATE").unwrap();
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
    sql.execute_batch("ROLLBACK").unwrap();
}

#[test]
fn a_slow_store_shows_at_its_own_exit_and_at_no_other() {
    let dir = private_dir().unwrap();
    let mut hub = Program::hub_with(dir.path(), &QUICK);
    hub.eventually("/api/v1/synthetic", |body| stage(body, "history")["count"].as_u64() > Some(5));
    hold_history(dir.path(), Duration::from_secs(3));
    let is_slow = |body: &Value| stage(body, "history")["max_ms"].as_f64() > Some(2_000.0);
    let found = hub.eventually("/api/v1/synthetic", is_slow);
    for exit in ["acknowledged", "hot", "live"] {
        let (here, history) = (&stage(&found, exit)["p50_ms"], &stage(&found, "history")["max_ms"]);
        assert!(here.as_f64().unwrap() * 4.0 < history.as_f64().unwrap(), "{exit}: {found}");
    }
    assert_eq!(hub.terminate().code(), Some(0));
}
