//! A hub with a Redis that goes away, and a hub that is killed meanwhile: nothing else stops, and afterwards keys and alerts are right.

#![cfg(feature = "integration")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{Machine, Program, SOON, now_ms};
use serde_json::Value;
use sinks::bus::redis::RedisBus;
use sinks::bus::{Bus, Pattern, Received};
use sinks::redis::{RedisAddress, RedisSettings};
use testkit::redis::RedisServer;
use testkit::servers::private_dir;
use testkit::{eventually, eventually_blocking};
use tokio::time::timeout;
use tokio_stream::StreamExt;

const CPU: &str = "system.cpu.utilization";
const RULE: &str = "[[rule]]\nname = \"busy\"\nmetric = \"system.cpu.utilization\"\noperator = \"gt\"\nthreshold = 0.9\nclear = 0.8\nseverity = \"critical\"\n";

fn dependency(ready: &Value, name: &str) -> Value {
    let all = ready["dependencies"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).cloned().unwrap_or_default()
}

/// Measures a value now and hears that it is durable.
async fn measure(machine: &mut Machine, hub: &Program, value: f64) {
    machine.measure(now_ms(), &[value]);
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
}

fn cpu(redis: &RedisServer, value: f64) -> Value {
    let look = || serde_json::from_str::<Value>(&redis.cli(&["GET", "machine:db-1"])).unwrap_or_default();
    eventually_blocking(SOON, look, |document| document["series"][CPU] == value).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_away_and_the_hub_killed_meanwhile_ends_with_every_key_right_and_every_alert_told() {
    let (dir, mut redis) = (private_dir().unwrap(), RedisServer::start(&[]).unwrap());
    std::fs::write(dir.path().join("rules.toml"), RULE).unwrap();
    let url = redis.url();
    let variables = [("REDIS_URL", url.as_str())];
    let mut hub = Program::hub_with(dir.path(), &variables);
    let mut machine = Machine::new("db-1", &[CPU]);
    measure(&mut machine, &hub, 0.5).await;
    assert_eq!(cpu(&redis, 0.5)["alerts"], Value::Array(Vec::new()));
    let ready = hub.eventually("/ready", |ready| ready["status"] == "ready");
    assert_eq!(dependency(&ready, "redis")["circuit"], "closed");

    redis.kill();
    measure(&mut machine, &hub, 0.95).await;
    hub.eventually("/api/v1/alerts", |body| body["alerts"][0]["rule"] == "busy");
    let ready = hub.eventually("/ready", |ready| dependency(ready, "redis")["status"] == "down");
    let down = dependency(&ready, "redis");
    assert_eq!(ready["status"], "degraded");
    assert!(down["last_error"].is_string() && down["since"].is_i64() && down["required"] == false, "{down}");
    hub.kill();
    let mut hub = Program::hub_with(dir.path(), &variables);
    measure(&mut machine, &hub, 0.5).await;
    hub.eventually("/api/v1/alerts", |body| body["alerts"].as_array().is_some_and(Vec::is_empty));

    // Its door is locked until somebody listens.
    redis.start_again_with(&["--requirepass", "door"]).unwrap();
    let address = RedisAddress::parse(&redis.url().replace("//", "//:door@")).unwrap();
    let listener = RedisBus::new("test", RedisSettings::new(address).into());
    let mut events = listener.subscribe(&Pattern::parse("alerts.*").unwrap(), None).await.unwrap();
    redis.cli(&["-a", "door", "CONFIG", "SET", "requirepass", ""]);
    let mut told = BTreeSet::new();
    while told.len() < 2 {
        let received = timeout(Duration::from_secs(60), events.next()).await.unwrap().unwrap().unwrap();
        if let Received::Event { topic, payload, .. } = received {
            let event: Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!((&event["rule"], &event["machine"]), (&"busy".into(), &"db-1".into()));
            told.insert(topic.as_str());
        }
    }
    assert_eq!(told, BTreeSet::from(["alerts.fired", "alerts.resolved"]));
    assert_eq!(cpu(&redis, 0.5)["alerts"], Value::Array(Vec::new()));
    let seen = eventually(SOON, async || redis.cli(&["ZCARD", "machines"]), |count| count == "1").await;
    seen.unwrap();
    hub.eventually("/ready", |ready| ready["status"] == "ready");
    assert_eq!(hub.terminate().code(), Some(0), "{:#?}", hub.errors());
}

#[test]
fn an_address_that_is_none_is_a_wrong_configuration_and_its_password_is_not_shown() {
    let dir = private_dir().unwrap();
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_sysmonstm"));
    program.args(["config", "check", "--data-dir"]).arg(dir.path()).env_clear();
    let output = program.env("REDIS_URL", "redis://:hunter2@").output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.code() == Some(78) && text.contains("REDIS_URL") && !text.contains("hunter2"), "{text}");
}
