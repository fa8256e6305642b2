//! What the dataflow does, seen from outside: every operator with its figures, the same in `/metrics`.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Machine, Program, now_ms};
use serde_json::Value;
use testkit::servers::private_dir;

const FRAMES: u64 = 40;

fn operator<'a>(body: &'a Value, name: &str) -> &'a Value {
    let operators = body["graph"]["operators"].as_array().map_or(&[][..], Vec::as_slice);
    operators.iter().find(|operator| operator["name"] == name).unwrap_or(&Value::Null)
}

fn total(operator: &Value, figure: &str) -> u64 {
    let workers = operator["workers"].as_array().map_or(&[][..], Vec::as_slice);
    workers.iter().filter_map(|worker| worker[figure].as_u64()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pipeline_and_the_metrics_show_what_each_operator_did() {
    let dir = private_dir().unwrap();
    let mut hub = Program::hub(dir.path());
    let mut machine = Machine::new("db-1", &["system.cpu.utilization", "system.memory.utilization"]);
    let start = now_ms() - 300_000;
    for tick in 0..i64::try_from(FRAMES).unwrap() {
        machine.measure(start + tick * 5_000, &[0.25, 0.5]);
    }
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();

    let is_through = |body: &Value| {
        let window = operator(body, "window");
        // The control plane follows at its own pace.
        let arrangements = body["graph"]["arrangements"].as_array().unwrap();
        let has_series = arrangements.iter().any(|kept| kept["name"] == "series by metric" && kept["records"] == 2);
        has_series && total(window, "records_in") >= FRAMES && total(window, "waiting_records") == 0
    };
    let body = hub.eventually("/api/v1/pipeline", is_through);
    let window = operator(&body, "window");
    assert_eq!(total(window, "records_in"), FRAMES, "{body}");
    let is_busy = |worker: &Value| worker["busy_s"].as_f64().is_some_and(|seconds| seconds > 0.0);
    assert!(total(window, "schedules") >= 1 && window["workers"].as_array().unwrap().iter().any(is_busy), "{window}");
    let (_, text) = hub.get("/metrics");
    let metrics = text.as_str().unwrap();
    for family in [
        "pipeline_operator_busy_seconds_total{operator=\"window\",worker=\"0\"}",
        "pipeline_operator_schedules_total{operator=\"window\",worker=\"0\"}",
        "pipeline_operator_records_total{operator=\"window\",worker=\"0\",direction=\"in\"} ",
        "pipeline_operator_lag_seconds{operator=\"window\",worker=\"0\"}",
        "pipeline_channel_depth{source=\"batch\",target=\"window\",worker=\"0\"}",
        "pipeline_arrangement_records{name=\"series by metric\"} 2",
        "pipeline_worker_parked_seconds_total{worker=\"0\"}",
    ] {
        assert!(metrics.contains(family), "{family} is missing in\n{metrics}");
    }
    drop(push);
    assert_eq!(hub.terminate().code(), Some(0), "{:#?}", hub.errors());
}
