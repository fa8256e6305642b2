//! How a machine's samples come, seen from outside: watermark and counts of what was late, repeated, too old or ahead, and how late it was.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Machine, Program, now_ms};
use serde_json::json;
use testkit::servers::private_dir;

const MINUTE_MS: i64 = 60_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_tells_its_watermark_and_how_its_samples_come() {
    let dir = private_dir().unwrap();
    let mut hub = Program::hub(dir.path());
    let mut machine = Machine::new("db-1", &["system.cpu.utilization", "system.memory.utilization"]);
    let newest = now_ms() - MINUTE_MS;
    let day = 24 * 60 * MINUTE_MS;
    // In order, late, again, before the horizon, of tomorrow.
    for time in [newest - MINUTE_MS, newest, newest - 20_000, newest - 20_000, newest - 20 * MINUTE_MS, newest + day] {
        machine.measure(time, &[0.25, 0.5]);
    }
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
    let expected = json!({"watermark": newest - 10_000, "late": 2, "duplicate": 2, "beyond_horizon": 2, "future": 2});
    hub.eventually("/api/v1/machines/db-1", |body| body["arrivals"] == expected);
    let (_, text) = hub.get("/metrics");
    for line in ["bucket{le=\"15\"} 0", "bucket{le=\"30\"} 2", "bucket{le=\"1800\"} 4", "sum 2440", "count 4"] {
        let line = format!("pipeline_late_seconds_{line}\n");
        assert!(text.as_str().unwrap().contains(&line), "{line} is missing in\n{text}");
    }
    drop(push);

    // Its journal tells it again after a kill.
    hub.kill();
    let mut hub = Program::hub(dir.path());
    hub.eventually("/api/v1/machines/db-1", |body| body["arrivals"] == expected);
    assert_eq!(hub.terminate().code(), Some(0), "{:#?}", hub.errors());
}
