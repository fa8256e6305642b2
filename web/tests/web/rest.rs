//! The lists and the single things of `/api/v1`, and what is wrong with a query.

use axum::body::Body;
use http::{Request, StatusCode};
use model::query::QueryError;
use model::{AlertState, MachineId, Process, Processes, Timestamp};
use serde_json::{Value, json};

use crate::common::{Hub, NOW_MS, NOW_S, fleet};

fn hub_with(machines: &[&str]) -> Hub {
    let hub = Hub::new();
    for id in machines {
        hub.hot.put(fleet::machine(id, 0.12));
    }
    hub
}

#[tokio::test]
async fn the_list_shows_each_machine_in_short() {
    let hub = hub_with(&["db-1"]);
    hub.hot.put(fleet::stranger("unknown"));
    let list = hub.json("/api/v1/machines").await;
    assert_eq!(
        list["machines"][0],
        json!({
            "id": "db-1", "status": "up", "last_seen": NOW_MS, "interval_ms": 5000, "tags": {"role": "db"},
            "host": {"os": "Debian 12", "kernel": null, "arch": null, "cpu_model": null, "cores": 8, "memory_bytes": null,
                     "agent_version": null, "boot_time": null},
            "summary": {"cpu": 0.12, "cpu_time": NOW_MS, "memory": null, "swap": null, "disk": 0.81, "disk_mount": "/var", "net_rx": 1500.0, "net_tx": null,
                        "load1": null, "pressure": null, "temperature": null, "uptime": null},
            "alerts": {"warning": 0, "critical": 1},
        })
    );
    assert_eq!(list["machines"][1]["host"], json!(null));
    assert_eq!(list["machines"][1]["tags"], json!({}));
    assert_eq!(list["next"], json!(null));
}

#[tokio::test]
async fn pages_follow_one_another_and_end() {
    let hub = hub_with(&["a", "b", "c", "d", "e"]);
    let (mut seen, mut path) = (Vec::new(), "/api/machines?limit=2".to_owned());
    loop {
        let page = hub.json(&path).await;
        seen.extend(page["machines"].as_array().unwrap().iter().map(|one| one["id"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/machines?limit=2&cursor={next}");
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn machines_are_found_by_status_name_and_tag() {
    let hub = hub_with(&["db-1", "web-1"]);
    hub.hot.put(fleet::stranger("old-1"));
    for (query, expected) in [
        ("status=stale", vec!["old-1"]),
        ("q=WEB", vec!["web-1"]),
        ("q=role:db", vec!["db-1", "web-1"]),
        ("q=role:db&status=down", vec![]),
        ("q=%2F", vec![]),
    ] {
        let page = hub.json(&format!("/api/v1/machines?{query}")).await;
        let ids: Vec<_> = page["machines"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
        assert_eq!(ids, expected, "{query}");
    }
}

#[tokio::test]
async fn one_machine_comes_with_its_series_values_and_processes() {
    let hub = hub_with(&["db-1"]);
    let machine = hub.json("/api/v1/machines/db-1").await;
    assert_eq!(
        machine["series"][2],
        json!({"metric": "system.filesystem.utilization", "labels": {"mountpoint": "/var"}, "unit": "1"})
    );
    assert_eq!(machine["values"], json!([0.12, 0.5, 0.81, 1000.0, 500.0, 9000.0, null]));
    assert_eq!(machine["times"], json!(vec![NOW_MS; 7]), "when the history has them, too");
    let arrivals =
        json!({"watermark": 1_763_700_000_000_i64, "late": 3, "duplicate": 2, "beyond_horizon": 1, "future": 4});
    assert_eq!(machine["arrivals"], arrivals);
    assert_eq!(machine["processes"]["by_cpu"], json!([{"name": "postgres", "cpu": 0.31, "memory": 123_456_789}]));
    let metrics = hub.json("/api/machines/db-1/metrics").await;
    assert_eq!(
        metrics["metrics"][0],
        json!({"metric": "system.cpu.utilization", "labels": {}, "unit": "1", "value": 0.12, "time": NOW_MS})
    );
    let processes = hub.json("/api/v1/machines/db-1/processes").await;
    assert_eq!((&processes["time"], &processes["by_memory"]), (&json!(NOW_MS), &json!([])));
    hub.hot.put(fleet::stranger("new"));
    assert_eq!(
        hub.json("/api/v1/machines/new/processes").await,
        json!({"machine": "new", "time": null, "by_cpu": [], "by_memory": []})
    );
}

/// A table of `db-1` with one process, taken so many seconds before now.
fn table(name: &str, seconds: i64) -> Processes {
    let process = Process { name: name.to_owned(), cpu: 1.0, memory: 1 };
    let time = Timestamp::from_millis(NOW_MS - seconds * 1_000);
    Processes { machine: MachineId::parse("db-1").unwrap(), time, by_cpu: vec![process], by_memory: Vec::new() }
}

#[tokio::test]
async fn processes_of_an_instant_come_from_the_history_or_from_memory_whichever_is_nearer() {
    let hub = hub_with(&["db-1"]);
    // In memory: postgres, taken now.
    for (at, stored, expected) in [
        ("now-1h", Some(table("stored", 3_590)), json!("stored")),
        ("now-1h", None, json!(null)),
        ("now-80s", Some(table("stored", 90)), json!("stored")),
        ("now-80s", None, json!("postgres")),
        ("now-30s", Some(table("stored", 61)), json!("postgres")),
        ("now-30s", Some(table("stored", 30)), json!("stored")),
        ("now-91s", None, json!(null)),
        ("now", None, json!("postgres")),
    ] {
        let stored_time = stored.as_ref().map(|table| table.time.millis());
        *hub.history.processes.lock().unwrap() = stored;
        let answer = hub.json(&format!("/api/v1/machines/db-1/processes?at={at}")).await;
        assert_eq!(answer["by_cpu"][0]["name"], expected, "{at}");
        let time = match expected.as_str() {
            Some("stored") => json!(stored_time),
            Some(_) => json!(NOW_MS),
            None => json!(null),
        };
        assert_eq!(answer["time"], time, "{at}");
    }
    let asked = hub.history.asked_processes.lock().unwrap()[0].clone();
    assert_eq!(asked.machine.as_str(), "db-1");
    assert_eq!((asked.at.millis(), asked.reach.as_secs()), (NOW_MS - 3_600_000, 90));
    let questions = || hub.history.asked_processes.lock().unwrap().len();
    let before = questions();
    for beyond in ["now-26h", "now-300000000h"] {
        let answer = hub.json(&format!("/api/v1/machines/db-1/processes?at={beyond}")).await;
        assert_eq!((&answer["time"], questions()), (&json!(null), before), "{beyond}");
    }
}

#[tokio::test]
async fn while_the_history_is_away_processes_are_told_from_memory_or_refused() {
    let hub = hub_with(&["db-1"]);
    hub.history.fail(QueryError::Unavailable("it restarts".to_owned()));
    let newest = hub.json("/api/v1/machines/db-1/processes?at=now-1m").await;
    assert_eq!(newest["by_cpu"][0]["name"], "postgres");
    let refused = hub.get("/api/v1/machines/db-1/processes?at=now-1h").await;
    assert!(refused.problem().starts_with("503 history_unavailable"), "{}", refused.problem());
    assert!(hub.get("/api/v1/machines/db-1/processes?at=noon").await.problem().contains("`at` is not a time"));
    assert!(hub.get("/api/v1/machines/nobody/processes?at=now").await.problem().starts_with("404 unknown_machine"));
}

#[tokio::test]
async fn alerts_that_belong_together_come_as_groups() {
    let hub = Hub::new();
    let (key, group) = fleet::group();
    hub.hot.group(key, group);
    let page = hub.json("/api/v1/alerts/groups").await;
    let group = &page["groups"][0];
    assert_eq!(group["key"], json!({"rule": "disk-full", "label:mountpoint": "/<b>"}));
    assert_eq!(
        (&group["count"], &group["active"], &group["severity_active"]),
        (&json!(1), &json!(1), &json!("critical"))
    );
    assert_eq!(group["members"][0]["machine"], "db-1");
    assert_eq!(hub.json("/api/v1/alerts/groups?cursor=1").await, json!({"groups": [], "next": null}));
}

#[tokio::test]
async fn alerts_of_now_and_of_the_past() {
    let hub = Hub::new();
    hub.hot.alert(fleet::alert("a1", "db-1", AlertState::Firing));
    hub.hot.alert(fleet::alert("a2", "db-1", AlertState::Resolved));
    let active = hub.json("/api/v1/alerts").await;
    assert_eq!(
        active,
        json!({"next": null, "alerts": [{
            "id": "a1", "rule": "disk-full", "machine": "db-1", "metric": "system.filesystem.utilization", "labels": {"mountpoint": "/<b>"},
            "severity": "critical", "state": "firing", "cause": "threshold", "operator": "gte", "threshold": 0.95, "value": 0.97, "unit": "1",
            "since": (NOW_S - 600) * 1000, "resolved": null, "resolution": null, "standing": "silenced", "silence": "s1", "summary": "almost <full>",
        }]})
    );
    // Redis tells of it in the same shape.
    let schema: Value = serde_json::from_str(include_str!("../../../docs/schema/machine.json")).unwrap();
    testkit::schema::check(&schema, &schema["properties"]["alerts"], &active["alerts"], "alerts");
    *hub.history.alerts.lock().unwrap() =
        (0..5).map(|n| fleet::alert(&n.to_string(), "db-1", AlertState::Resolved)).collect();
    let past = hub.json("/api/v1/alerts/history?limit=2&cursor=2&machine=db-1&rule=disk-full&from=now-1d").await;
    assert_eq!(past["alerts"][0]["id"], "2");
    assert_eq!(past["next"], "4");
    let asked = hub.history.asked_alerts.lock().unwrap().pop().unwrap();
    assert_eq!((asked.offset, asked.limit, asked.rule.as_deref()), (2, 3, Some("disk-full")));
    assert_eq!(asked.from, Timestamp::from_secs(NOW_S - 86_400));
}

#[tokio::test]
async fn rules_catalogue_and_pipeline() {
    let hub = Hub::new();
    let rules = hub.json("/api/v1/rules?limit=1").await;
    assert_eq!((&rules["rules"][0]["name"], &rules["rules"][0]["source"]), (&json!("cpu-busy"), &json!("file")));
    assert_eq!((&rules["next"], &rules["version"]), (&json!("1"), &json!(7)));
    let catalogue = hub.json("/api/v1/metrics").await;
    let cpu = &catalogue["metrics"][0];
    assert_eq!(
        (&cpu["name"], &cpu["kind"], &cpu["aliases"]),
        (&json!("system.cpu.utilization"), &json!("gauge"), &json!(["CPU_PERCENT"]))
    );
    let pipeline = hub.json("/api/v1/pipeline").await;
    let window = &pipeline["graph"]["operators"][0];
    assert_eq!((&window["name"], &window["workers"][0]["busy_share"]), (&json!("window"), &json!(0.25)));
    assert_eq!((&pipeline["samples_per_s"], &pipeline["queues"][0]["name"]), (&json!(12.0), &json!("intake")));
}

#[tokio::test]
async fn every_bad_request_is_a_problem_document_that_says_what_to_do() {
    let hub = hub_with(&["db-1"]);
    let mut lines = String::new();
    for path in [
        "/api/v1/machines?limit=0",
        "/api/v1/machines?status=fine",
        "/api/v1/machines?cursor=a/b",
        "/api/v1/machines?limt=3",
        "/api/v1/machines/db-1?x=1",
        "/api/v1/machines/nobody",
        "/api/v1/machines/a%20b/metrics",
        "/api/v1/machines/%FF/metrics",
        "/api/v1/machines/nobody/history",
        "/api/v1/machines/db-1/history?from=yesterday",
        "/api/v1/machines/db-1/history?from=now&to=now-1h",
        "/api/v1/machines/db-1/history?agg=p95",
        "/api/v1/machines/db-1/history?tier=second",
        "/api/v1/machines/db-1/history?max_points=0",
        "/api/v1/machines/db-1/history?metric=a%20b",
        "/api/v1/alerts/history?machine=a/b",
        "/api/v1/alerts?cursor=x",
        "/api/v1/dead-letters?limit=5000",
        "/fragments/alerts?state=all",
        "/fragments/alerts?severity=bad",
        "/fragments/alerts?limit=5001",
        "/fragments/alerts?cursor=1.1",
        "/fragments/alerts?state=resolved&cursor=100",
        "/api/v1/nothing",
        "/ws",
    ] {
        lines.push_str(&format!("{path}\n    {}\n", hub.get(path).await.problem()));
    }
    expect_test::expect_file!["problems.txt"].assert_eq(&lines);
}

#[tokio::test]
async fn what_can_only_be_read_refuses_other_methods() {
    let hub = Hub::new();
    for path in ["/api/v1/machines", "/health", "/", "/fragments/alerts"] {
        let answer = hub.ask(Request::delete(path).body(Body::empty()).unwrap()).await;
        assert!(answer.problem().starts_with("405 method_not_allowed"), "{path}");
        assert_eq!(answer.header("allow"), "GET,HEAD", "{path}");
        let head = hub.ask(Request::head(path).body(Body::empty()).unwrap()).await;
        assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""), "{path}");
    }
}
