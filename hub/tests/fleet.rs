//! Many machines at once: each separate, and one that misbehaves harms no other. Also a collector of the older kind.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeMap;

use common::{Machine, Program, now_ms};
use proto::pb;
use proto::pb::metrics_service_client::MetricsServiceClient;
use proto::pb::push_request::Message;
use serde_json::Value;
use testkit::servers::private_dir;
use tokio::task::JoinSet;

const CPU: &str = "system.cpu.utilization";
const DAY_MS: i64 = 86_400_000;

/// A minute of honest frames, delivered.
async fn honest(number: usize, grpc: String) {
    let mut machine = Machine::new(&format!("web-{number:02}"), &[CPU]);
    let start = now_ms() - 60_000;
    for tick in 0..12 {
        machine.measure(start + tick * 5_000, &[0.25]);
    }
    let mut push = machine.connect(&grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
}

/// A clock that is a day ahead: every frame is refused, and acknowledged as refused.
async fn a_day_ahead(grpc: String) {
    let mut machine = Machine::new("clock", &[CPU]);
    for tick in 0..12 {
        machine.measure(now_ms() + DAY_MS + tick * 5_000, &[0.25]);
    }
    let mut push = machine.connect(&grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
}

/// Frames that do not fit their layout, and values that are none.
async fn garbage(grpc: String) {
    let mut machine = Machine::new("garbage", &[CPU]);
    for _ in 0..12 {
        machine.measure(now_ms(), &[f64::NAN]);
    }
    let mut push = machine.connect(&grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
    let unfit = pb::Frame { sequence: 13, layout: 99, time_ms: now_ms(), values: vec![1.0; 7], ..pb::Frame::default() };
    // How the hub ends this stream is its affair; that it answers the others is what counts.
    drop(push.send(Message::Frame(unfit)).await);
    drop(push.answer().await);
}

/// Ten times what a machine may send at once: the rest is refused, and acknowledged as refused.
async fn flood(grpc: String) {
    let mut machine = Machine::new("flood", &[CPU]);
    let start = now_ms() - 60_000;
    for tick in 0..2_000 {
        machine.measure(start + tick, &[0.25]);
    }
    let mut push = machine.connect(&grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_machines_show_up_and_those_that_misbehave_harm_none() {
    let dir = private_dir().unwrap();
    let limits = [("HUB_INGEST_SAMPLES_BURST", "200"), ("HUB_INGEST_SAMPLES_PER_S_MAX", "10")];
    let mut hub = Program::hub_with(dir.path(), &limits);
    let mut pushing = JoinSet::new();
    for number in 0..20 {
        pushing.spawn(honest(number, hub.grpc.clone()));
    }
    pushing.spawn(a_day_ahead(hub.grpc.clone()));
    pushing.spawn(garbage(hub.grpc.clone()));
    pushing.spawn(flood(hub.grpc.clone()));
    pushing.join_all().await;
    let honest_up = |body: &Value| {
        let machines = body["machines"].as_array().unwrap().iter();
        let up = machines.filter(|m| m["status"] == "up" && m["tags"]["role"] == "db");
        up.filter(|m| m["id"].as_str().unwrap().starts_with("web-")).count() == 20
    };
    hub.eventually("/api/machines", honest_up);
    for number in 0..20 {
        let path = format!("/api/machines/web-{number:02}/history?metric={CPU}&from=now-5m&tier=raw");
        hub.eventually(&path, |body| body["series"][0]["t"].as_array().is_some_and(|t| t.len() == 12));
    }
    let reasons = |body: &Value| {
        let letters = body["dead_letters"].as_array().unwrap().iter();
        let reasons: Vec<&str> = letters.filter_map(|letter| letter["reason"].as_str()).collect();
        ["future", "not_finite", "rate_limited"].iter().all(|reason| reasons.contains(reason))
    };
    hub.eventually("/api/v1/dead-letters", reasons);
    assert_eq!(hub.terminate().code(), Some(0));
    assert_eq!(hub.errors(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_of_the_older_kind_works_unchanged() {
    let dir = private_dir().unwrap();
    let mut hub = Program::hub(dir.path());
    let start = now_ms() - 60_000;
    let metric = |tick: i64| pb::Metric {
        machine_id: "seed-1".into(),
        timestamp: start + tick * 5_000,
        r#type: 0,
        value: 50.0,
        labels: BTreeMap::new(),
    };
    let metrics: Vec<pb::Metric> = (0..12).map(metric).collect();
    for repetition in 0..2 {
        let mut client = MetricsServiceClient::connect(hub.grpc.clone()).await.unwrap();
        let ack = client.stream_metrics(tokio_stream::iter(metrics.clone())).await.unwrap().into_inner();
        assert_eq!((ack.received, ack.accepted, ack.rejected), (12, 12, 0), "repetition {repetition}");
    }
    let path = "/api/machines/seed-1/history?metric=CPU_PERCENT&from=now-5m&tier=raw";
    let answer = hub.eventually(path, |body| body["series"][0]["t"].as_array().is_some_and(|t| t.len() == 12));
    // Sent as percent, kept as a ratio; sent twice, kept once.
    assert_eq!(answer["series"][0]["v"][0], 0.5);
    assert_eq!(hub.terminate().code(), Some(0));
    assert_eq!(hub.errors(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_the_rule_file_takes_effect_without_a_restart() {
    let dir = private_dir().unwrap();
    let rule = |threshold: f64| {
        format!(
            "[[rule]]\nname = \"busy\"\nmetric = \"{CPU}\"\noperator = \"gt\"\nthreshold = {threshold:?}\nseverity = \"info\"\n"
        )
    };
    let path = common::rule_file(dir.path(), &rule(0.9));
    let mut hub = Program::start("hub", dir.path(), &["--rules", path.to_str().unwrap()]);
    std::fs::write(&path, rule(0.125)).unwrap();
    hub.eventually("/api/v1/rules", |body| body["rules"][0]["threshold"] == 0.125);
    let mut machine = Machine::new("db-1", &[CPU]);
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.measure(now_ms(), &[0.5]);
    machine.deliver(&mut push).await.unwrap();
    hub.eventually("/api/v1/alerts", |body| body["alerts"][0]["rule"] == "busy");
    assert_eq!(hub.terminate().code(), Some(0));
    assert_eq!(hub.errors(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn collectors_are_told_the_interval_of_the_hubs_settings() {
    let dir = private_dir().unwrap();
    let settings = dir.path().join("hub.toml");
    std::fs::write(&settings, "[ingest]\ncollectors_interval = \"2s\"\n").unwrap();
    let hub = Program::start("hub", dir.path(), &["--config", settings.to_str().unwrap()]);
    let mut client = proto::pb::config_service_client::ConfigServiceClient::connect(hub.grpc.clone()).await.unwrap();
    let request = proto::pb::WatchConfigRequest { machine_id: "web-1".to_owned(), version: 0 };
    let mut configs = client.watch_config(request).await.unwrap().into_inner();
    let config = configs.message().await.unwrap().unwrap();
    assert_eq!(config.interval_ms, 2_000);
    assert!(config.version > 0);
}
