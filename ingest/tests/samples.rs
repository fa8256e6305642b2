//! StreamMetrics over real gRPC: a collector written against the seeds' proto, unchanged.

mod common;

use std::collections::BTreeMap;

use common::{Front, SOON, folder, metric, open_journal};
use model::{RejectReason, Timestamp};
use proto::pb;
use testkit::eventually;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

#[tokio::test(flavor = "multi_thread")]
async fn a_seeds_collector_gets_one_acknowledgement_when_it_closes_its_half() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let disk = |mount: &str, value| pb::Metric {
        labels: BTreeMap::from([("mount".into(), mount.into())]),
        ..metric("mcrn", 3, 0, value)
    };
    let sent = [
        metric("mcrn", 0, 0, 12.5),
        metric("mcrn", 1, 0, 40.0),
        disk("/", 70.0),
        disk("/home", 10.0),
        metric("nfrt", 0, 5, 1.0),
    ];
    let ack = front.client().await.stream_metrics(tokio_stream::iter(sent)).await.unwrap().into_inner();
    assert_eq!((ack.received, ack.accepted, ack.rejected), (5, 5, 0));
    let batches = front.graph.batches();
    let samples: Vec<String> = batches
        .iter()
        .flat_map(|batch| {
            assert!(batch.is_consistent());
            (0..batch.len())
                .map(|n| format!("{} {} {}", batch.machine(), batch.layout.series[batch.position(n)], batch.values[n]))
        })
        .collect();
    let expected = [
        "mcrn CPU_PERCENT 12.5",
        "mcrn MEMORY_PERCENT 40",
        "mcrn DISK_PERCENT{mount=\"/\"} 70",
        "mcrn DISK_PERCENT{mount=\"/home\"} 10",
        "nfrt CPU_PERCENT 1",
    ];
    assert_eq!(samples, expected);
    assert_eq!(batches[1].time(0), Timestamp::from_millis(common::START_MS + 5));
    // Acknowledged is on disk.
    let copy = common::crash_copy(dir.path());
    let graph = common::Remembering::default();
    assert_eq!(ingest::replay(&open_journal(copy.path()), 0, &graph, &mut |_| {}).unwrap().samples, 5);
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_sample_never_takes_another_with_it() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let sent = [
        metric("mcrn", 0, 0, 1.0),
        metric("mcrn", 0, 0, f64::NAN),
        metric("mcrn", 99, 0, 1.0),
        metric("not a name", 0, 0, 1.0),
        metric("mcrn", 0, 11 * 60_000, 1.0),
        metric("mcrn", 0, -25 * 3_600_000, 1.0),
        pb::Metric { labels: BTreeMap::from([("bad label".into(), String::new())]), ..metric("mcrn", 0, 0, 1.0) },
        metric("mcrn", 0, 1, 2.0),
    ];
    let ack = front.client().await.stream_metrics(tokio_stream::iter(sent)).await.unwrap().into_inner();
    assert_eq!((ack.received, ack.accepted, ack.rejected), (8, 2, 6));
    let mut refused = front.graph.rejected();
    refused.sort();
    let expected = [
        (RejectReason::NotFinite, 1),
        (RejectReason::Future, 1),
        (RejectReason::TooOld, 1),
        (RejectReason::BadName, 1),
        (RejectReason::BadName, 2),
    ];
    assert_eq!(refused, expected);
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_flow_while_the_stream_is_open_and_a_drain_acknowledges_them() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let (metrics, waiting) = mpsc::channel(16);
    let mut client = front.client().await;
    let streaming = tokio::spawn(async move { client.stream_metrics(ReceiverStream::new(waiting)).await });
    metrics.send(metric("mcrn", 0, 0, 1.0)).await.unwrap();
    eventually(SOON, async || front.graph.batches().len(), |n| *n == 1).await.unwrap();
    assert!(front.stop().await);
    let ack = streaming.await.unwrap().unwrap().into_inner();
    assert_eq!((ack.received, ack.accepted, ack.rejected), (1, 1, 0));
    drop(metrics);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_stream_of_many_machines_is_all_there() {
    let dir = folder();
    let mut settings = ingest::Settings::default();
    settings.streams.machines_per_stream_max = 3;
    let front = Front::start_with(dir.path(), settings).await;
    let sent = (0..5_000).map(|n| metric(&format!("m{}", n % 7), n % 16, i64::from(n), f64::from(n)));
    let ack = front.client().await.stream_metrics(tokio_stream::iter(sent)).await.unwrap().into_inner();
    assert_eq!((ack.received, ack.accepted), (5_000, 5_000));
    let mut values: Vec<f64> = front.graph.batches().iter().flat_map(|batch| batch.values.to_vec()).collect();
    values.sort_by(f64::total_cmp);
    assert!(values.iter().zip(0..).all(|(value, n)| (value - f64::from(n)).abs() < f64::EPSILON));
    assert_eq!(values.len(), 5_000);
    assert!(front.stop().await);
}
