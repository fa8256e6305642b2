//! The Push stream over real gRPC: acknowledgement after the disk (J-1), resends, takeover, refusals, flow.

mod common;

use std::time::Duration;

use common::{Front, Push, SOON, crash_copy, folder, frame, hello, layout, open_journal, plain_frame};
use ingest::{Limits, Settings, StreamSettings};
use model::{RejectReason, Timestamp};
use proto::pb;
use testkit::eventually;
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_is_journalled_pushed_and_acknowledged() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let (mut push, first) = Push::hello(&front, "db-1", 7).await;
    assert_eq!((first.acknowledged, first.credit), (0, 256));
    push.send(layout(1, &["a", "b"])).await;
    push.send(frame(1, 1, -5_000, &[1.0, 2.0])).await;
    push.acknowledged(1).await;
    let batch = &front.graph.batches()[0];
    assert_eq!((batch.machine().as_str(), batch.session.0, batch.sequence), ("db-1", 7, 1));
    assert_eq!(batch.values.as_ref(), [1.0, 2.0]);
    assert_eq!(batch.arrival, Timestamp::from_millis(common::START_MS));
    // A machine's records all go to its own worker.
    let worker = usize::try_from(batch.machine().mix() % 2).unwrap();
    assert!(front.graph.routed().iter().all(|(to, _)| *to == worker));
    assert!((front.count("ingest_samples_total{outcome=\"accepted\"}") - 2.0).abs() < f64::EPSILON);
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_waits_for_the_disk_and_the_seal() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let (mut push, _) = Push::hello(&front, "db-1", 7).await;
    push.send(layout(1, &["a"])).await;
    push.acknowledged(0).await;
    front.graph.shut(true);
    push.send(frame(1, 1, 0, &[1.0])).await;
    // The data flows before the disk answers.
    let pushed = eventually(SOON, async || front.graph.sequences(), |sequences| *sequences == [1]).await;
    pushed.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(100), push.answers.message()).await;
    assert!(early.is_err(), "acknowledged before the seal: {early:?}");
    front.graph.shut(false);
    push.acknowledged(1).await;
    // What is acknowledged is in the folder as a crash leaves it.
    let copy = crash_copy(dir.path());
    let graph = common::Remembering::default();
    let found = ingest::replay(&open_journal(copy.path()), 0, &graph, &mut |_| {}).unwrap();
    assert_eq!((graph.sequences(), found.batches, found.undecodable), (vec![1], 1, 0));
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resend_is_acknowledged_again_and_changes_nothing() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let (mut push, _) = Push::hello(&front, "db-1", 7).await;
    push.send(layout(1, &["a"])).await;
    push.send(frame(1, 1, 0, &[1.0])).await;
    push.send(frame(2, 1, 1, &[2.0])).await;
    push.acknowledged(2).await;
    drop(push);
    let (mut again, first) = Push::hello(&front, "db-1", 7).await;
    assert_eq!(first.acknowledged, 2);
    again.send(layout(9, &["a"])).await;
    for sequence in 1..=2 {
        again.send(frame(sequence, 9, 0, &[1.0])).await;
    }
    // Numbers may be left out: a spool that overflowed drops its oldest.
    again.send(frame(5, 9, 2, &[3.0])).await;
    again.acknowledged(5).await;
    assert_eq!(front.graph.sequences(), [1, 2, 5]);
    assert!((front.count("ingest_samples_total{outcome=\"duplicate\"}") - 2.0).abs() < f64::EPSILON);
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resend_after_a_restart_of_the_hub_is_recognized() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let (mut push, _) = Push::hello(&front, "db-1", 7).await;
    push.send(layout(1, &["a"])).await;
    push.send(frame(1, 1, 0, &[1.0])).await;
    push.acknowledged(1).await;
    assert!(front.stop().await);
    assert_eq!(push.end().await.code(), Code::Unavailable);

    let front = Front::start(dir.path()).await;
    let (mut push, first) = Push::hello(&front, "db-1", 7).await;
    assert_eq!(first.acknowledged, 1);
    push.send(layout(1, &["a"])).await;
    push.send(frame(1, 1, 0, &[1.0])).await;
    push.send(frame(2, 1, 1, &[2.0])).await;
    push.acknowledged(2).await;
    assert_eq!(front.graph.sequences(), [1, 2]);
    let times: Vec<u64> = front.graph.records().iter().map(|stamped| stamped.t).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_stream_of_a_machine_closes_the_one_before() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let (older, _) = Push::hello(&front, "db-1", 7).await;
    let (mut newer, _) = Push::hello(&front, "db-1", 8).await;
    assert_eq!(older.end().await.code(), Code::Aborted);
    newer.send(layout(1, &["a"])).await;
    newer.send(frame(1, 1, 0, &[1.0])).await;
    newer.acknowledged(1).await;
    assert!((front.count("ingest_superseded_total") - 1.0).abs() < f64::EPSILON);
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_a_day_ahead_costs_only_its_own_frames() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let (mut wrong, _) = Push::hello(&front, "wrong", 1).await;
    let (mut right, _) = Push::hello(&front, "right", 2).await;
    for push in [&wrong, &right] {
        push.send(layout(1, &["a", "b"])).await;
    }
    wrong.send(frame(1, 1, 86_400_000, &[1.0, 2.0])).await;
    wrong.send(frame(2, 1, 0, &[1.0, 2.0])).await;
    right.send(frame(1, 1, 0, &[3.0, 4.0])).await;
    let heard = wrong.acknowledged(2).await;
    right.acknowledged(1).await;
    let told: Vec<(u64, &str, u32)> =
        heard.rejections.iter().map(|r| (r.sequence, r.reason.as_str(), r.count)).collect();
    assert_eq!(told, [(1, "future", 2)]);
    assert_eq!(front.graph.rejected(), [(RejectReason::Future, 2)]);
    assert_eq!(front.graph.batches().len(), 2);
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_loses_only_its_own_excess() {
    let dir = folder();
    let settings = Settings {
        limits: Limits { samples_per_second_max: 10, burst_samples_max: 10, ..Limits::default() },
        ..Settings::default()
    };
    let front = Front::start_with(dir.path(), settings).await;
    let (mut flood, _) = Push::hello(&front, "flood", 1).await;
    let (mut calm, _) = Push::hello(&front, "calm", 2).await;
    flood.send(layout(1, &["a"])).await;
    calm.send(layout(1, &["a"])).await;
    let frames = (1..=100).map(|sequence| plain_frame(sequence, 1, 0, &[1.0])).collect();
    flood.send(pb::push_request::Message::Frames(pb::Frames { frames })).await;
    calm.send(frame(1, 1, 0, &[1.0])).await;
    let heard = flood.acknowledged(100).await;
    assert!(calm.acknowledged(1).await.rejections.is_empty());
    assert_eq!(heard.rejections.len(), 90);
    assert!(heard.rejections.iter().all(|r| r.reason == "rate_limited"));
    // Ninety refusals are one dead letter.
    assert_eq!(front.graph.rejected(), [(RejectReason::RateLimited, 90)]);
    front.clock.advance(Duration::from_millis(900));
    let frames = (101..=120).map(|sequence| plain_frame(sequence, 1, 1, &[1.0])).collect();
    flood.send(pb::push_request::Message::Frames(pb::Frames { frames })).await;
    assert_eq!(flood.acknowledged(120).await.rejections.len(), 11);
    // The rest of a second's refusals is journalled when the stream ends, however it does.
    drop(flood);
    let rejected = async || front.graph.rejected();
    let both = [(RejectReason::RateLimited, 90), (RejectReason::RateLimited, 11)];
    eventually(SOON, rejected, |rejected| *rejected == both).await.unwrap();
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_series_costs_itself_and_is_told_once() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let (mut push, _) = Push::hello(&front, "db-1", 7).await;
    let series =
        ["a", "not a name", "b"].map(|metric| pb::Series { metric: metric.into(), labels: Default::default() });
    push.send(pb::push_request::Message::Layout(pb::Layout { id: 1, series: series.into() })).await;
    push.send(frame(1, 1, 0, &[1.0, 2.0, 3.0])).await;
    push.send(frame(2, 1, 1, &[4.0, 5.0, 6.0])).await;
    let heard = push.acknowledged(2).await;
    assert_eq!(heard.rejections.len(), 1);
    assert!(heard.rejections[0].detail.starts_with("series 1: metric name \"not a name\""), "{heard:?}");
    let values: Vec<Vec<f64>> = front.graph.batches().iter().map(|batch| batch.values.to_vec()).collect();
    assert_eq!(values, [[1.0, 3.0], [4.0, 6.0]]);
    assert!((front.count("ingest_rejected_samples_total{reason=\"bad_name\"}") - 2.0).abs() < f64::EPSILON);
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_an_unknown_layout_wait_for_it_and_nothing_is_acknowledged_past_them() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let (mut push, _) = Push::hello(&front, "db-1", 7).await;
    push.send(layout(1, &["a"])).await;
    push.send(frame(1, 1, 0, &[1.0])).await;
    push.send(frame(2, 5, 1, &[2.0])).await;
    push.send(frame(3, 1, 2, &[3.0])).await;
    let mut unknown = Vec::new();
    while unknown.is_empty() {
        let answer = push.answer().await.unwrap();
        assert!(answer.acknowledged <= 1, "{answer:?}");
        unknown = answer.unknown_layouts;
    }
    assert_eq!(unknown, [5]);
    push.send(layout(5, &["b"])).await;
    push.send(frame(2, 5, 1, &[2.0])).await;
    push.send(frame(3, 1, 2, &[3.0])).await;
    push.acknowledged(3).await;
    assert_eq!(front.graph.sequences(), [1, 2, 3]);
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_starts_wrong_is_told_what_to_do() {
    let dir = folder();
    let settings = Settings {
        limits: Limits { machines_max: 1, ..Limits::default() },
        streams: StreamSettings { hello_within: Duration::from_secs(1), ..StreamSettings::default() },
        ..Settings::default()
    };
    let front = Front::start_with(dir.path(), settings).await;
    assert_eq!(Push::open(&front).await.end().await.code(), Code::DeadlineExceeded);
    let (_first, _) = Push::hello(&front, "db-1", 7).await;
    for (message, code) in [
        (frame(1, 1, 0, &[1.0]), Code::InvalidArgument),
        (hello("not a name", 7), Code::InvalidArgument),
        (hello("db-1", 0), Code::InvalidArgument),
        (hello("db-2", 7), Code::ResourceExhausted),
    ] {
        let push = Push::open(&front).await;
        push.send(message).await;
        let end = push.end().await;
        assert_eq!(end.code(), code, "{end:?}");
    }
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_connects_again_unchanged_is_not_journalled_again() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    for session in [7, 7] {
        drop(Push::hello(&front, "db-1", session).await);
    }
    assert_eq!(front.graph.records().len(), 1);
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_graphs_clock_goes_on_when_nothing_comes() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let (mut push, _) = Push::hello(&front, "db-1", 7).await;
    push.send(layout(1, &["a"])).await;
    push.send(frame(1, 1, 0, &[1.0])).await;
    push.acknowledged(1).await;
    let sealed = front.graph.sealed();
    front.clock.advance(Duration::from_secs(3));
    eventually(SOON, async || front.graph.sealed(), |now| sealed + 2_900_000 <= *now).await.unwrap();
    // And what comes next comes after it: the graph asserts that.
    push.send(frame(2, 1, 0, &[1.0])).await;
    push.acknowledged(2).await;
    assert!(front.stop().await);
}
