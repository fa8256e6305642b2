//! The fleet over HTTP: its minutes from history, its hottest machines from memory.

use model::query::{FleetAnswer, FleetPoints, OfFleet, QueryError};
use model::{Hottest, HottestOf, MachineId, Tag, Timestamp};
use serde_json::json;

use crate::common::{Hub, NOW_MS, NOW_S, fleet};

fn top() -> Hottest {
    let of = |metric: &str, machines: &[(&str, f64)]| HottestOf {
        metric: metric.into(),
        machines: machines.iter().map(|(id, value)| (MachineId::parse(id).unwrap(), *value)).collect(),
    };
    let metrics = vec![of("jobs", &[("db-1", 7.0)]), of("system.cpu.utilization", &[("db-1", 0.9), ("web-1", 0.5)])];
    Hottest { minute: Timestamp::from_secs(NOW_S - 90), revision: 1, metrics }
}

#[tokio::test]
async fn the_hottest_machines_come_by_metric_and_number() {
    let hub = Hub::new();
    let none = hub.json("/api/v1/fleet/hottest").await;
    assert_eq!(none, json!({"minute": null, "metrics": []}));
    hub.hot.heat(top());
    let all = hub.json("/api/v1/fleet/hottest").await;
    assert_eq!((all["minute"].as_i64(), all["metrics"].as_array().unwrap().len()), (Some(NOW_MS - 90_000), 2));
    let cpu = hub.json("/api/v1/fleet/hottest?metric=CPU_PERCENT&k=1").await;
    let expected = json!({
        "metric": "system.cpu.utilization", "unit": "1", "display": "CPU", "machines": [{"id": "db-1", "value": 0.9}],
    });
    assert_eq!(cpu["metrics"], json!([expected]));
    let unlisted = hub.json("/api/v1/fleet/hottest?metric=jobs").await;
    assert_eq!(unlisted["metrics"][0]["display"], "jobs");
    assert_eq!(hub.get("/api/v1/fleet/hottest?k=11").await.status, 400);
}

#[tokio::test]
async fn rollups_are_of_the_fleet_of_a_tag_or_of_every_value_of_its_name() {
    let hub = Hub::new();
    let points = FleetPoints { tag: Some(Tag::new("role", "db")), ..fleet::minutes(&[-120, -60], 2) };
    *hub.history.fleet.lock().unwrap() = FleetAnswer { series: vec![points], ..FleetAnswer::default() };
    let answer = hub.json("/api/v1/fleet/rollups?metric=CPU_PERCENT&tag=role=db&from=now-5m").await;
    let series = json!({
        "tag": {"name": "role", "value": "db"}, "t": [NOW_MS - 120_000, NOW_MS - 60_000], "machines": [2, 2],
        "count": [24, 24], "sum": [12.0, 12.0], "min": [0.25, 0.25], "max": [1.0, 1.0], "mean": [0.5, 0.5],
    });
    let expected = json!({
        "metric": "system.cpu.utilization", "unit": "1", "from": NOW_MS - 300_000, "to": NOW_MS, "step_ms": 60_000,
        "partial": false, "series": [series],
    });
    assert_eq!(answer, expected);
    hub.json("/api/v1/fleet/rollups?metric=jobs&tag=role").await;
    hub.json("/api/v1/fleet/rollups?metric=jobs").await;
    let asked: Vec<OfFleet> = hub.history.asked_fleet.lock().unwrap().iter().map(|query| query.of.clone()).collect();
    assert_eq!(asked, [OfFleet::Tag(Tag::new("role", "db")), OfFleet::Name("role".to_owned()), OfFleet::All]);
}

#[tokio::test]
async fn a_bad_question_is_answered_with_what_to_ask_instead() {
    let hub = Hub::new();
    for (query, hint) in [
        ("", "`metric` is missing; name one"),
        ("metric=a%20b", "`metric` is not a metric"),
        ("metric=jobs&tag=role=", "use role=db, or role for each of its values"),
        ("metric=jobs&from=now&to=now-1h", "must be before"),
        ("metric=jobs&tags=x", "`tags` is not a parameter"),
    ] {
        let answer = hub.get(&format!("/api/v1/fleet/rollups?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(hint), "{query}: {}", answer.text);
    }
    hub.history.fleet.lock().unwrap().truncated = true;
    assert_eq!(hub.get("/api/v1/fleet/rollups?metric=jobs").await.json()["code"], "too_much");
    hub.history.fail(QueryError::Unavailable("starting".to_owned()));
    assert_eq!(hub.get("/api/v1/fleet/rollups?metric=jobs").await.status, 503);
}
