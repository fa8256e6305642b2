//! A silence made over HTTP, through the real program: it holds over SIGKILL and a restart, and its end shows the alert again.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Machine, Program, now_ms};
use serde_json::{Value, json};
use testkit::servers::private_dir;

const RULES: &str = "
[[rule]]
name = \"hot\"
metric = \"system.cpu.utilization\"
operator = \"gt\"
threshold = 0.9
severity = \"critical\"
group_by = [\"tag:role\"]
";

async fn push(hub: &Program, machine: &mut Machine, value: f64) {
    machine.measure(now_ms(), &[value]);
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
}

/// Waits until the alert stands so, and its group with it.
#[track_caller]
fn stands(hub: &Program, standing: &str, silence: &Value) -> Value {
    let is_so = |alert: &Value| alert["standing"] == standing && alert["silence"] == *silence;
    let alerts = hub.eventually("/api/v1/alerts", |body| is_so(&body["alerts"][0]));
    let groups = hub.eventually("/api/v1/alerts/groups", |body| body["groups"][0][standing] == 1);
    assert_eq!((&groups["groups"][0]["key"], &groups["groups"][0]["count"]), (&json!({"tag:role": "db"}), &json!(1)));
    alerts["alerts"][0]["id"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_holds_over_a_kill_and_its_end_shows_the_alert_again() {
    let dir = private_dir().unwrap();
    let rules = common::rule_file(dir.path(), RULES);
    let start = || Program::start("hub", dir.path(), &["--rules", rules.to_str().unwrap()]);
    let mut hub = start();
    let mut machine = Machine::new("db-1", &["system.cpu.utilization"]);
    push(&hub, &mut machine, 0.95).await;
    let id = stands(&hub, "active", &Value::Null);
    let asked = json!({"matchers": {"rules": ["hot"], "tags": {"role": "d*"}}, "for_s": 3_600, "author": "ana"});
    let (status, made) = hub.post("/api/v1/silences", &asked);
    assert_eq!((status, &made["state"]), (201, &json!("active")), "{made}");
    assert_eq!(stands(&hub, "silenced", &made["id"]), id);

    // Nothing of it can be said in time.
    hub.kill();
    let mut hub = start();
    let kept = hub.json("/api/v1/silences");
    assert_eq!(kept["silences"][0], made, "{kept}");
    assert_eq!(stands(&hub, "silenced", &made["id"]), id);
    // A machine that goes on firing is not heard of again either.
    push(&hub, &mut machine, 0.97).await;
    assert_eq!(stands(&hub, "silenced", &made["id"]), id);

    let path = format!("/api/v1/silences/{}", made["id"].as_str().unwrap());
    assert_eq!(hub.delete(&path), 204);
    assert_eq!(stands(&hub, "active", &Value::Null), id);
    push(&hub, &mut machine, 0.1).await;
    let past = hub.eventually("/api/v1/alerts/history", |body| body["alerts"][0]["state"] == "resolved");
    assert_eq!((&past["alerts"][0]["resolution"], past["alerts"].as_array().unwrap().len()), (&json!("value"), 1));
    assert_eq!(hub.terminate().code(), Some(0), "{:#?}", hub.errors());
    assert_eq!(hub.errors(), Vec::<Value>::new());
}
