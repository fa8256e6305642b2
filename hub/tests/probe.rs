//! The hub's own synthetic transactions: they reach every exit, hide from everybody's views, and a slow exit shows where it is slow.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use common::{Machine, Program, hold_history, hold_history_for, now_ms};
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

#[test]
fn a_slow_store_shows_at_its_own_exit_and_at_no_other() {
    let dir = private_dir().unwrap();
    let mut hub = Program::hub_with(dir.path(), &QUICK);
    hub.eventually("/api/v1/synthetic", |body| stage(body, "history")["count"].as_u64() > Some(5));
    hold_history_for(dir.path(), Duration::from_secs(3));
    let is_slow = |body: &Value| stage(body, "history")["max_ms"].as_f64() > Some(2_000.0);
    let found = hub.eventually("/api/v1/synthetic", is_slow);
    for exit in ["acknowledged", "hot", "live"] {
        let (here, history) = (&stage(&found, exit)["p50_ms"], &stage(&found, "history")["max_ms"]);
        assert!(here.as_f64().unwrap() * 4.0 < history.as_f64().unwrap(), "{exit}: {found}");
    }
    assert_eq!(hub.terminate().code(), Some(0));
}

/// The built-in rules on the transactions, with a short `for`: what they look at and from where on they fire is theirs.
fn rules_on_transactions() -> String {
    let built_in = include_str!("../default_rules.toml").split("[[rule]]").skip(1);
    let ours = built_in.filter(|rule| rule.contains("name = \"synthetic-"));
    let short = ours.map(|rule| rule.replace("for = \"1m\"", "for = \"1s\"").replace("for = \"20s\"", "for = \"1s\""));
    short.map(|rule| format!("[[rule]]{rule}")).collect()
}

#[test]
fn a_store_that_is_slow_and_then_away_fires_its_rules_and_its_return_resolves_them() {
    const SLOW: u8 = 0;
    const AWAY: u8 = 1;
    let dir = private_dir().unwrap();
    let rules = rules_on_transactions();
    assert_eq!(rules.matches("[[rule]]").count(), 2, "{rules}");
    std::fs::write(dir.path().join("rules.toml"), rules).unwrap();
    let mut hub = Program::hub_with(dir.path(), &QUICK);
    hub.eventually("/api/v1/synthetic", |body| stage(body, "history")["count"].as_u64() > Some(5));
    let phase = AtomicU8::new(SLOW);
    let is_firing = |body: &Value, rule: &str| {
        body["alerts"]
            .as_array()
            .unwrap()
            .iter()
            .any(|alert| alert["rule"] == rule && alert["machine"] == "synthetic-hub")
    };
    let wait_for = |rule: &str| hub.eventually_slowly("/api/v1/alerts", |body| is_firing(body, rule));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while phase.load(Ordering::Acquire) == SLOW {
                hold_history_for(dir.path(), Duration::from_millis(2_500));
                std::thread::park_timeout(Duration::from_millis(100));
            }
            hold_history(dir.path(), || phase.load(Ordering::Acquire) == AWAY);
        });
        wait_for("synthetic-slow");
        phase.store(AWAY, Ordering::Release);
        wait_for("synthetic-lost");
        phase.store(AWAY + 1, Ordering::Release);
    });
    hub.eventually_slowly("/api/v1/alerts", |body| {
        ["synthetic-slow", "synthetic-lost"].iter().all(|rule| !is_firing(body, rule))
    });
    // That history was held back, too.
    hub.eventually_slowly("/api/v1/alerts/history?machine=synthetic-hub", |body| {
        let told = body["alerts"].as_array().unwrap();
        let is_over = |rule: &str| told.iter().any(|alert| alert["rule"] == rule && alert["state"] == "resolved");
        is_over("synthetic-slow") && is_over("synthetic-lost")
    });
    assert_eq!(hub.terminate().code(), Some(0));
}

#[cfg(feature = "integration")]
#[test]
fn with_a_bus_transactions_are_followed_to_a_listener_of_it_and_a_bus_that_is_away_loses_them_there_alone() {
    let (dir, mut redis) = (private_dir().unwrap(), testkit::redis::RedisServer::start(&[]).unwrap());
    let url = redis.url();
    let mut hub = Program::hub_with(dir.path(), &[&QUICK[..], &[("REDIS_URL", url.as_str())]].concat());
    let told = hub.eventually("/api/v1/synthetic", |body| {
        body["stages"]
            .as_array()
            .unwrap()
            .iter()
            .any(|stage| stage["name"] == "bus" && stage["count"].as_u64() > Some(2))
    });
    assert_eq!((stage(&told, "bus")["lost"].as_u64(), stage(&told, "alert")["lost"].as_u64()), (Some(0), Some(0)));
    // A listener cannot know of it before the rule has spoken.
    let p50 = |name: &str| stage(&told, name)["p50_ms"].as_f64().unwrap();
    assert!(p50("hot") <= p50("bus"), "{told}");
    redis.kill();
    let lost = hub.eventually_slowly("/api/v1/synthetic", |body| stage(body, "bus")["lost"].as_u64() > Some(0));
    for other in ["acknowledged", "hot", "live", "history"] {
        assert_eq!(stage(&lost, other)["lost"], 0, "{other}: {lost}");
    }
    assert_eq!(hub.terminate().code(), Some(0));
}
