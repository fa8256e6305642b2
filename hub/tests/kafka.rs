//! A hub that tells Kafka: state, windows and alerts, over an outage of the cluster and a kill of the hub.

#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::{Machine, Program, SOON, now_ms};
use runtime::metrics::Registry;
use serde_json::Value;
use sinks::bus::kafka::{KafkaAddress, KafkaBus, KafkaSettings};
use sinks::bus::{Bus, Pattern, Received, Subscription, Topic};
use testkit::kafka::KafkaCluster;
use testkit::servers::private_dir;
use tokio::time::timeout;
use tokio_stream::StreamExt;

const CPU: &str = "system.cpu.utilization";
const RULE: &str = "[[rule]]\nname = \"busy\"\nmetric = \"system.cpu.utilization\"\noperator = \"gt\"\nthreshold = 0.9\nclear = 0.8\nseverity = \"critical\"\n";

/// Measures a value now and hears that it is durable.
async fn measure(machine: &mut Machine, hub: &Program, value: f64) {
    machine.measure(now_ms(), &[value]);
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
}

/// The next event of such a topic.
async fn heard(events: &mut Subscription, is_wanted: impl Fn(Topic) -> bool) -> (Topic, Value) {
    let hearing = async {
        loop {
            if let Received::Event { topic, payload, .. } = events.next().await.unwrap().unwrap()
                && is_wanted(topic)
            {
                return (topic, serde_json::from_slice(&payload).unwrap());
            }
        }
    };
    timeout(2 * SOON, hearing).await.unwrap()
}

fn is_down(ready: &Value, name: &str) -> bool {
    let all = ready["dependencies"].as_array().unwrap();
    all.iter().any(|one| one["name"] == name && one["status"] == "down" && one["last_error"].is_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_hears_of_state_and_alerts_also_of_those_of_its_outage() {
    let (dir, cluster) = (private_dir().unwrap(), KafkaCluster::start());
    std::fs::write(dir.path().join("rules.toml"), RULE).unwrap();
    let url = cluster.url();
    let settings = KafkaSettings { prefix: "eu.".to_owned(), ..KafkaSettings::new(KafkaAddress::parse(&url).unwrap()) };
    let listener = KafkaBus::new("test", Arc::new(settings), &Registry::new());
    let mut events = listener.subscribe(&Pattern::parse("*").unwrap(), None).await.unwrap();
    let variables = [("KAFKA_URL", url.as_str()), ("HUB_KAFKA_PREFIX", "eu.")];
    let mut hub = Program::hub_with(dir.path(), &variables);
    let mut machine = Machine::new("db-1", &[CPU]);
    measure(&mut machine, &hub, 0.5).await;
    // Of two topics there is no order.
    let (mut has_value, mut is_up) = (false, false);
    while !(has_value && is_up) {
        let (topic, event) = heard(&mut events, |topic| matches!(topic, Topic::MetricsRaw | Topic::Presence)).await;
        has_value |= topic == Topic::MetricsRaw && event["series"][CPU] == 0.5;
        is_up |= topic == Topic::Presence && event["status"] == "up";
    }

    cluster.go_away();
    measure(&mut machine, &hub, 0.95).await;
    hub.eventually("/api/v1/alerts", |body| body["alerts"][0]["rule"] == "busy");
    hub.eventually("/ready", |ready| ready["status"] == "degraded" && is_down(ready, "kafka_alerts"));
    hub.kill();
    let mut hub = Program::hub_with(dir.path(), &variables);
    measure(&mut machine, &hub, 0.5).await;
    hub.eventually("/api/v1/alerts", |body| body["alerts"].as_array().is_some_and(Vec::is_empty));
    cluster.come_back();
    let mut told = BTreeSet::new();
    while told.len() < 2 {
        let (_, event) = heard(&mut events, |topic| matches!(topic, Topic::AlertsFired | Topic::AlertsResolved)).await;
        assert_eq!((&event["rule"], &event["machine"]), (&"busy".into(), &"db-1".into()));
        told.insert(event["state"].as_str().unwrap().to_owned());
    }
    assert_eq!(told, ["firing", "resolved"].map(str::to_owned).into());
    hub.eventually("/ready", |ready| ready["status"] == "ready");
    assert_eq!(hub.terminate().code(), Some(0), "{:#?}", hub.errors());
}
