//! Previews of rules: what would have fired, of which machines, and what is said when it was not looked at.

use axum::body::Body;
use http::{Request, StatusCode};
use model::query::{QueryError, RangeAnswer, SeriesPoints, Tier};
use serde_json::{Value, json};

use crate::common::{Answer, Hub, NOW_MS, fleet};

const CPU: &str = "system.cpu.utilization";

fn rule(more: Value) -> Value {
    let mut rule = json!({"metric": CPU, "operator": "gt", "threshold": 0.9, "severity": "info"});
    let fields = more.as_object().unwrap().clone();
    rule.as_object_mut().unwrap().extend(fields);
    rule
}

async fn preview(hub: &Hub, rule: &Value) -> Answer {
    let request = Request::post("/api/v1/rules/preview").header("content-type", "application/json");
    hub.ask(request.body(Body::from(rule.to_string())).unwrap()).await
}

fn hub() -> Hub {
    let hub = Hub::new();
    hub.hot.put(fleet::machine("db-1", 0.12));
    hub.hot.put(fleet::machine("db-2", 0.95));
    hub.hot.put(fleet::machine("synthetic-probe", 1.0));
    hub.hot.put(fleet::stranger("new"));
    hub
}

fn series(points: SeriesPoints) -> RangeAnswer {
    RangeAnswer { series: vec![points], ..RangeAnswer::default() }
}

#[tokio::test]
async fn it_says_what_would_have_fired_and_shows_the_worst() {
    let hub = hub();
    let samples = [(-60, 0.5), (-50, 0.95), (-40, 0.97), (-30, 0.5), (-20, 0.99)];
    hub.history.set(Tier::Raw, series(fleet::raw(CPU, &samples)));
    let answer = preview(&hub, &rule(json!({}))).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let found = answer.json();
    assert_eq!((&found["tier"], &found["fired"], &found["partial"]), (&json!("raw"), &json!(4), &json!([])));
    assert_eq!(found["machines"], json!({"matching": 2, "examined": 2, "fired": 2}));
    assert_eq!(found["listed"][0]["firing_s"], 40);
    assert_eq!((&found["from"], &found["oldest"]), (&json!(NOW_MS - 86_400_000), &json!(NOW_MS - 60_000)));
    let worst = &found["worst"];
    assert_eq!(
        (&worst["machine"], &worst["v"][1]),
        (&json!("db-2"), &json!(0.95)),
        "the worst present value comes first"
    );
    let first = json!({"since": NOW_MS - 50_000, "resolved": NOW_MS - 30_000, "value": 0.95, "cause": "threshold"});
    assert_eq!((&worst["alerts"][0], &worst["alerts"][1]["resolved"]), (&first, &json!(null)));
    assert_eq!(*hub.rules.ordered.lock().unwrap(), None, "nothing is changed");
}

#[tokio::test]
async fn it_looks_at_the_machines_series_and_tier_that_the_rule_asks_about() {
    let hub = hub();
    hub.history.set(Tier::Minute, series(fleet::windows(CPU, &[-120, -60], 0.25)));
    let minutes = rule(json!({"input": "minute_max", "threshold": 0.28, "machines": ["db-1"]}));
    let found = preview(&hub, &minutes).await.json();
    assert_eq!((&found["tier"], &found["fired"]), (&json!("minute"), &json!(1)));
    assert_eq!(found["worst"]["v"], json!([0.3, 0.3]));
    for (more, matching) in [
        (json!({"tags": {"role": "web"}}), 0),
        (json!({"labels": {"mountpoint": "/"}}), 0),
        (json!({"metric": "system.filesystem.utilization", "labels": {"mountpoint": "/v*"}}), 2),
        (json!({"machines": ["synthetic-*"]}), 1),
        (json!({"metric": "CPU_PERCENT", "threshold": 90.0}), 2),
    ] {
        let found = preview(&hub, &rule(more.clone())).await.json();
        assert_eq!(found["machines"]["matching"], matching, "{more}");
    }
}

#[tokio::test]
async fn a_machine_with_too_many_samples_is_judged_by_its_minutes() {
    let hub = hub();
    hub.history.set(Tier::Raw, RangeAnswer { truncated: true, ..RangeAnswer::default() });
    hub.history.set(Tier::Minute, series(fleet::windows(CPU, &[-120, -60], 0.95)));
    let found = preview(&hub, &rule(json!({}))).await.json();
    assert_eq!((&found["tier"], &found["fired"]), (&json!("minute"), &json!(2)));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_field_by_field() {
    let hub = hub();
    let refused = preview(&hub, &rule(json!({"name": "No", "clear": 0.95, "no_data_s": 1}))).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let document = refused.json();
    let fields: Vec<&str> =
        document["errors"].as_array().unwrap().iter().map(|one| one["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["name", "clear", "no_data_s"]);
    assert!(document["detail"].as_str().unwrap().contains("calm side"), "{document}");
    let request = Request::post("/api/v1/rules/other").header("content-type", "application/json");
    let other = hub.ask(request.body(Body::from(rule(json!({})).to_string())).unwrap()).await;
    assert!(other.problem().starts_with("405 method_not_allowed"));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_or_slow_is_said_so() {
    let hub = hub();
    *hub.history.never_answers.lock().unwrap() = true;
    let found = preview(&hub, &rule(json!({}))).await.json();
    assert_eq!((&found["partial"], &found["machines"]["examined"]), (&json!(["deadline"]), &json!(0)));
    *hub.history.never_answers.lock().unwrap() = false;
    hub.history.fail(QueryError::Unavailable("gone".into()));
    assert!(preview(&hub, &rule(json!({}))).await.problem().starts_with("503 history_unavailable"));
}
