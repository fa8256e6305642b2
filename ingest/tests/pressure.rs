//! A slow graph and a full disk make collectors wait: memory stays flat, and nothing is lost.

mod common;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use common::{Front, Push, SOON, folder, layout, open_journal, plain_frame};
use ingest::{Foundations, Ingest, SequencerSettings, Settings, StreamSettings};
use model::MachineInfo;
use model::{MachineId, Record, Timestamp};
use proto::pb::push_request::Message;
use runtime::clock::SystemClock;
use runtime::metrics::Registry;
use testkit::eventually;

fn narrow() -> Settings {
    Settings {
        sequencer: SequencerSettings {
            queue_submissions_max: 8,
            group_submissions_max: 4,
            groups_unsynced_max: 2,
            ..SequencerSettings::default()
        },
        streams: StreamSettings { credit_frames_max: 64, ..StreamSettings::default() },
        ..Settings::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_cannot_commit_stops_reading_and_loses_nothing() {
    let dir = folder();
    let front = Front::start_with(dir.path(), narrow()).await;
    let (mut push, first) = Push::hello(&front, "db-1", 7).await;
    assert_eq!(first.credit, 64);
    push.send(layout(1, &["a"])).await;
    push.acknowledged(0).await;
    front.graph.shut(true);
    let sender = push.requests.clone();
    let sending = tokio::spawn(async move {
        for sequence in 1..=2_000 {
            let values: Vec<f64> = vec![1.0];
            let message = Some(Message::Frame(plain_frame(sequence, 1, 0, &values)));
            sender.send(proto::pb::PushRequest { message }).await.expect("the stream is open");
        }
    });
    // The way in fills up and stays full; what the hub holds is bounded by its queues.
    let waiting = async || front.count("queue_depth{queue=\"intake\"}");
    eventually(SOON, waiting, |depth| 7.5 < *depth).await.unwrap();
    let taken = front.graph.sequences().len();
    assert!(taken < 100, "{taken} frames went through");
    front.graph.shut(false);
    let mut least_credit = u32::MAX;
    let mut acknowledged = 0;
    while acknowledged < 2_000 {
        let answer = push.answer().await.unwrap();
        acknowledged = answer.acknowledged;
        least_credit = least_credit.min(answer.credit);
    }
    sending.await.unwrap();
    assert!((1..64).contains(&least_credit), "{least_credit}");
    assert_eq!(front.graph.sequences(), (1..=2_000).collect::<Vec<u64>>());
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_has_an_end_even_when_the_disk_has_not() {
    let dir = folder();
    let mut settings = narrow();
    settings.streams.drain_within = Duration::from_millis(100);
    let front = Front::start_with(dir.path(), settings).await;
    let (push, _) = Push::hello(&front, "db-1", 7).await;
    push.send(layout(1, &["a"])).await;
    front.graph.shut(true);
    push.send(Message::Frame(plain_frame(1, 1, 0, &[1.0]))).await;
    eventually(SOON, async || front.graph.sequences().len(), |n| *n == 1).await.unwrap();
    let graph = Arc::clone(&front.graph);
    front.drain.begin();
    let end = push.end().await;
    // Cut off, so never told that frame 1 is safe.
    assert_ne!(end.code(), tonic::Code::Ok);
    graph.shut(false);
    assert!(front.stop().await);
}

#[test]
fn a_full_disk_is_waited_for_and_said() {
    let dir = folder();
    // 64 blocks are 32 or 64 KiB, by the shell; the signal that would end the process is ignored.
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" --ignored --exact child_whose_disk_is_full";
    let mut child = Command::new("sh");
    child.arg("-c").arg(script).arg(std::env::current_exe().unwrap());
    let output = child.current_dir(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    // What the child was told is durable is there, and nothing is torn.
    let graph = common::Remembering::default();
    let found = ingest::replay(&open_journal(dir.path()), 0, &graph, &mut |_| {}).unwrap();
    let told: u64 = std::fs::read_to_string(dir.path().join("told")).unwrap().parse().unwrap();
    assert!(0 < told && told <= found.records, "{told} of {}", found.records);
    assert_eq!((found.undecodable, found.gaps.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the body of the child process of the test above"]
async fn child_whose_disk_is_full() {
    if std::fs::read_dir(".").unwrap().next().is_some() {
        // Run by hand, not in the empty folder and under the limit that its parent gives it.
        return;
    }
    let journal = open_journal(std::path::Path::new("."));
    let graph = Arc::new(common::Remembering::default());
    let ingest = Ingest::start(Foundations {
        replayed: ingest::replay(&journal, 0, graph.as_ref(), &mut |_| {}).unwrap(),
        journal,
        dataflow: Arc::<common::Remembering>::clone(&graph),
        t_floor: 0,
        keep_from: Arc::default(),
        clock: SystemClock::shared(),
        registry: Registry::new(),
        settings: Settings::default(),
        peers: None,
    })
    .unwrap();
    let info = MachineInfo {
        os: "x".repeat(1_000),
        ..MachineInfo::unknown(MachineId::parse("db-1").unwrap(), Timestamp::EPOCH)
    };
    let mut told = 0;
    for _ in 0..1_000 {
        let recording = ingest.intake();
        let record = recording.record(Record::Machine(Arc::new(info.clone())));
        if tokio::time::timeout(Duration::from_secs(2), record).await.is_err() {
            break;
        }
        told += 1;
    }
    assert!(told < 1_000, "the disk was never full");
    let health = ingest.state().health();
    assert!(!health.is_up && health.last_error.unwrap().contains("free disk space"));
    std::fs::write("told", told.to_string()).unwrap();
}
