//! Fail-stop, in the real program: whatever part breaks, the process ends at once and the last line of its log says why.
//!
//! The parts are broken by `runtime::fault`, which exists in builds with debug assertions only.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::{Machine, Program, now_ms};
use serde_json::Value;
use testkit::servers::private_dir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// A hub with this fault gets frames of some minutes until it ends; its last log line, and whether a signal ended it.
async fn broken(dir: &Path, fault: &str) -> (Value, bool) {
    let variables = [("SYSMONSTM_FAULT", fault), ("HUB_PIPELINE_STUCK_AFTER", "10s")];
    let mut hub = Program::spawn_with(dir, &variables);
    let mut pushing = JoinSet::new();
    if hub.listens() {
        let (grpc, mut machine) = (hub.grpc.clone(), Machine::new("m", &["system.cpu.utilization"]));
        (0..40).for_each(|n| machine.measure(now_ms() - 600_000 + n * 5_000, &[0.5]));
        pushing.spawn(async move {
            // Refused while the hub starts, and cut off when it ends.
            while machine.acknowledged < 40 {
                if let Ok(mut push) = machine.connect(&grpc).await {
                    drop(machine.deliver(&mut push).await);
                }
                sleep_until(Instant::now() + Duration::from_millis(20)).await;
            }
        });
    }
    let (hub, status) = tokio::task::spawn_blocking(move || {
        let status = hub.wait();
        (hub, status)
    })
    .await
    .unwrap();
    (hub.last_line(), status.code().is_none())
}

async fn ends_with_the_reason(places: &[&str]) {
    for place in places {
        let dir = private_dir().unwrap();
        let (last, is_aborted) = broken(dir.path(), &format!("panic:{place}")).await;
        assert_eq!(last["event"], "process_aborts_after_a_panic", "{place}: {last}");
        assert_eq!(last["panic"], format!("fault on purpose in {place}"), "{last}");
        assert!(is_aborted, "{place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_any_operator_ends_the_process_with_the_reason_in_the_last_line() {
    ends_with_the_reason(&[
        "source",
        "normalize",
        "batch",
        "window",
        "rollup",
        "evaluate",
        "presence",
        "live",
        "egress",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_does_one_in_a_thread_of_ingest_or_a_task_or_call_of_a_sink() {
    ends_with_the_reason(&["session", "sequencer", "committer", "hot", "history", "sqlite"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_graph_ends_the_process_and_a_restart_has_what_was_taken() {
    let dir = private_dir().unwrap();
    let (last, is_aborted) = broken(dir.path(), "hang:window").await;
    assert_eq!(last["event"], "process_aborts_a_restart_replays_the_journal", "{last}");
    assert!(last["error"].as_str().unwrap().starts_with("the dataflow is stuck: "), "{last}");
    assert!(is_aborted);
    let mut hub = Program::hub(dir.path());
    let path = "/api/machines/m/history?metric=CPU_PERCENT&from=now-20m&tier=raw&max_points=1000";
    hub.eventually(path, |body| body["series"][0]["t"].as_array().is_some_and(|t| !t.is_empty()));
    assert_eq!(hub.terminate().code(), Some(0));
}

#[test]
fn a_fault_that_is_none_is_refused_at_the_start() {
    let dir = private_dir().unwrap();
    let mut hub = Program::spawn_with(dir.path(), &[("SYSMONSTM_FAULT", "explode")]);
    assert_eq!(hub.wait().code(), Some(78));
    assert_eq!(hub.last_line()["event"], "hub_does_not_start");
}
