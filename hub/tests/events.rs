//! Events (payments): several share a time and each counts, from the wire to the stored rows and over a kill; and what fraud rules look
//! at: how many, how much, which share failed.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Machine, Program, now_ms, rule_file};
use proto::pb::push_request::Message;
use serde_json::Value;
use testkit::servers::private_dir;

const AMOUNT: &str = "payment.amount";
const FAILED: &str = "payment.failed";

const RULES: &str = r#"
[[rule]]
name = "velocity"
metric = "payment.amount"
input = "minute_count"
operator = "gte"
threshold = 30
severity = "warning"

[[rule]]
name = "volume"
metric = "payment.amount"
input = "minute_sum"
operator = "gt"
threshold = 400
severity = "warning"

# The mean of zeros and ones is a ratio: of the payments of a minute, the share that failed.
[[rule]]
name = "failure-ratio"
metric = "payment.failed"
input = "minute_mean"
operator = "gte"
threshold = 0.1
severity = "critical"

[[rule]]
name = "calm"
metric = "payment.failed"
input = "minute_mean"
operator = "gt"
threshold = 0.11
severity = "critical"
"#;

fn values(hub: &Program, query: &str) -> Vec<f64> {
    let path = format!("/api/machines/processor-1/history?from=now-10m&{query}");
    let body = hub.json(&path);
    body["series"][0]["v"].as_array().map_or_else(Vec::new, |v| v.iter().filter_map(Value::as_f64).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_counts_once_over_a_kill_and_a_resend_and_rules_see_count_sum_and_ratio() {
    let dir = private_dir().unwrap();
    let rules = rule_file(dir.path(), RULES);
    let arguments = ["--rules", rules.to_str().unwrap()];
    let mut hub = Program::start("hub", dir.path(), &arguments);
    let mut processor = Machine::new("processor-1", &[AMOUNT, FAILED]);
    // Thirty payments of one minute, three at each time, the same amount again and again; every tenth fails.
    let start = (now_ms() - 180_000) / 60_000 * 60_000;
    for n in 0..30_i64 {
        processor.measure(start + n / 3 * 1_000, &[14.0, if n % 10 == 0 { 1.0 } else { 0.0 }]);
    }
    let mut push = processor.connect(&hub.grpc).await.unwrap();
    processor.deliver(&mut push).await.unwrap();
    hub.kill();

    let mut hub = Program::start("hub", dir.path(), &arguments);
    let mut push = processor.connect(&hub.grpc).await.unwrap();
    assert_eq!(processor.acknowledged, 30, "the journal knows what it acknowledged");
    // A collector that does not know better sends them all again: same session, same sequence.
    for sequence in 1..=30 {
        push.send(Message::Frame(processor.frame(sequence))).await.unwrap();
    }
    // The next minute, late enough to close the first.
    processor.measure(start + 75_000, &[14.0, 0.0]);
    processor.deliver(&mut push).await.unwrap();

    let fired = |body: &Value| {
        let mut names: Vec<_> =
            body["alerts"].as_array().unwrap().iter().map(|alert| alert["rule"].to_string()).collect();
        names.sort();
        names == ["\"failure-ratio\"", "\"velocity\"", "\"volume\""]
    };
    hub.eventually("/api/v1/alerts", fired);
    let minute = format!("/api/machines/processor-1/history?from=now-10m&metric={AMOUNT}&tier=minute&agg=count");
    hub.eventually(&minute, |body| body["series"][0]["v"][0] == 30.0);
    assert_eq!(values(&hub, &format!("metric={AMOUNT}&tier=raw")), [14.0; 31]);
    assert_eq!(values(&hub, &format!("metric={AMOUNT}&tier=minute&agg=sum"))[..1], [420.0]);
    assert_eq!(values(&hub, &format!("metric={FAILED}&tier=minute&agg=avg"))[..1], [0.1]);
    assert_eq!(hub.terminate().code(), Some(0));

    // And in a run that has it from the stored chunks alone.
    let mut hub = Program::start("hub", dir.path(), &arguments);
    assert_eq!(values(&hub, &format!("metric={AMOUNT}&tier=raw")), [14.0; 31]);
    assert_eq!(hub.terminate().code(), Some(0));
    assert_eq!(hub.errors(), Vec::<Value>::new());
}
