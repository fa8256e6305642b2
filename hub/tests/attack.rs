//! Attacks through the real door of a real hub: ever new labels, ever new machines, ever new layouts. Its memory stays flat, what is
//! refused is counted and shown, and a machine that behaves notices nothing.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeMap;

use common::{Machine, Program, now_ms};
use model::{Labels, SeriesKey};
use proto::pb::metrics_service_client::MetricsServiceClient;
use proto::pb::push_request::Message;
use proto::{encode, pb};
use serde_json::Value;
use testkit::servers::private_dir;

const LIMITS: [(&str, &str); 4] = [
    ("HUB_INGEST_SERIES_PER_MACHINE_MAX", "200"),
    ("HUB_INGEST_SERIES_MAX", "1000"),
    ("HUB_INGEST_MACHINES_MAX", "40"),
    ("HUB_LOG_FORMAT", "json"),
];
/// What an attack may cost beyond what the same attack has cost before: the journal's pages and buffers, not the names.
const GROWTH_KIB_MAX: u64 = 48 << 10;

/// Samples of one machine, each with a label of its own.
async fn labels(grpc: &str, round: u32) -> u64 {
    let metric = |n: u32| pb::Metric {
        machine_id: "labels".into(),
        timestamp: now_ms(),
        r#type: 0,
        value: 1.0,
        labels: BTreeMap::from([("request".to_owned(), format!("{round}-{n}-{}", "x".repeat(200)))]),
    };
    let mut client = MetricsServiceClient::connect(grpc.to_owned()).await.unwrap();
    let sent: Vec<_> = (0..4_000).map(metric).collect();
    client.stream_metrics(tokio_stream::iter(sent)).await.unwrap().into_inner().rejected
}

/// Samples of as many machines.
async fn machines(grpc: &str, round: u32) -> u64 {
    let metric = |n: u32| pb::Metric {
        machine_id: format!("new-{round}-{n}"),
        timestamp: now_ms(),
        r#type: 0,
        value: 1.0,
        labels: BTreeMap::new(),
    };
    let mut client = MetricsServiceClient::connect(grpc.to_owned()).await.unwrap();
    let sent: Vec<_> = (0..2_000).map(metric).collect();
    client.stream_metrics(tokio_stream::iter(sent)).await.unwrap().into_inner().rejected
}

/// Layouts of one machine: another order of many names each time, some of them new.
async fn layouts(grpc: &str, round: u32) {
    let mut machine = Machine::new("layouts", &["system.cpu.utilization"]);
    let mut push = machine.connect(grpc).await.unwrap();
    for n in 0..100_u32 {
        let name = |i: u32| {
            let number = if i == 0 { format!("{round}-{n}") } else { ((i + n) % 150).to_string() };
            SeriesKey::parse("m", Labels::parse([("n", number.as_str())]).unwrap()).unwrap()
        };
        let series: Vec<SeriesKey> = (0..150).map(name).collect();
        push.send(Message::Layout(encode::layout(2 + n, &series))).await.unwrap();
        let sequence = u64::from(round * 100 + n + 1);
        let values = vec![Some(1.0); series.len()];
        let frame = encode::frame(2 + n, model::Timestamp::from_millis(now_ms()), &values);
        push.send(Message::Frame(pb::Frame { sequence, ..frame })).await.unwrap();
        while machine.acknowledged < sequence {
            machine.acknowledged = push.answer().await.unwrap().acknowledged;
        }
    }
}

/// A figure of `/metrics`.
fn figure(hub: &Program, line: &str) -> f64 {
    let (_, text) = hub.get("/metrics");
    let text = text.as_str().unwrap();
    let found = text.lines().find(|l| l.starts_with(line)).unwrap_or_else(|| panic!("{line} in {text}"));
    found.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ever_new_names_cost_their_sender_only_and_memory_stays_flat() {
    let dir = private_dir().unwrap();
    let mut hub = Program::hub_with(dir.path(), &LIMITS);
    let mut honest = Machine::new("honest", &["system.cpu.utilization"]);
    let mut push = honest.connect(&hub.grpc).await.unwrap();
    let (mut refused_series, mut refused_machines, mut memory) = (0, 0, Vec::new());
    let rounds = 6;
    for round in 0..rounds {
        refused_series += labels(&hub.grpc, round).await;
        layouts(&hub.grpc, round).await;
        refused_machines += machines(&hub.grpc, round).await;
        honest.measure(now_ms(), &[0.25]);
        honest.deliver(&mut push).await.unwrap();
        memory.push(hub.memory_kib());
    }
    let (warm, last) = (memory[2], memory[memory.len() - 1]);
    assert!(last < warm + GROWTH_KIB_MAX, "resident KiB after each round: {memory:?}");

    let by = |reason: &str| figure(&hub, &format!("ingest_rejected_samples_total{{reason=\"{reason}\"}}"));
    assert!(refused_series >= u64::from(rounds) * 4_000 - 200, "{refused_series}");
    assert!(by("too_many_series") >= refused_series as f64);
    assert!(refused_machines >= u64::from(rounds) * 2_000 - 40, "{refused_machines}");
    assert!((by("too_many_machines") - refused_machines as f64).abs() < 0.5);
    assert!(figure(&hub, "ingest_series") <= 1_000.0 && figure(&hub, "ingest_machines") <= 40.0);

    let all = |body: &Value| {
        let letters = body["dead_letters"].as_array().unwrap();
        let has = |reason: &str| letters.iter().any(|letter| letter["reason"] == reason);
        (has("too_many_series") && has("too_many_machines")).then_some(letters.len())
    };
    let letters = hub.eventually("/api/v1/dead-letters?limit=1000", |body| all(body).is_some());
    // At most one a second and reason of a machine, and one a stream of nobody: far from one a sample.
    assert!(all(&letters).unwrap() < 500, "{:?}", all(&letters));
    let path = "/api/machines/honest/history?metric=CPU_PERCENT&from=now-5m&tier=raw";
    hub.eventually(path, |body| body["series"][0]["t"].as_array().is_some_and(|t| t.len() == rounds as usize));
    assert_eq!(hub.terminate().code(), Some(0));
    assert_eq!(hub.errors(), Vec::<Value>::new());
}
