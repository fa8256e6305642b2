//! Several hub processes that run one graph: any of them serves the whole, an edit on one holds on all, and they end together (P-1 to P-4).

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use common::simulated::RULE;
use common::{Group, Machine, Program, now_ms};
use serde_json::{Value, json};
use testkit::servers::private_dir;

const OFF: (&str, &str) = ("HUB_HISTORY_ENABLED", "false");

/// Two processes without a history, with a rule.
fn pair(dir: &std::path::Path) -> Group {
    let mut group = Group::new(dir, 2, &[OFF]);
    std::fs::create_dir_all(group.folder(0)).unwrap();
    std::fs::write(group.folder(0).join("rules.toml"), RULE).unwrap();
    group.start();
    group
}

/// A machine with three frames, the newest now; the last one breaks the rule.
fn busy(name: &str) -> Machine {
    let mut machine = Machine::new(name, &["system.cpu.utilization"]);
    for (age_ms, value) in [(2_000, 0.25), (1_000, 0.5), (0, 0.95)] {
        machine.measure(now_ms() - age_ms, &[value]);
    }
    machine
}

fn names(list: &Value, key: &str) -> Vec<String> {
    let list = list.as_array().cloned().unwrap_or_default();
    list.iter().filter_map(|one| one[key].as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_process_serves_all_machines_and_their_alerts() {
    let dir = private_dir().unwrap();
    let mut group = pair(dir.path());
    for (number, process) in [(0, 0), (1, 1), (2, 0), (3, 1), (4, 0), (5, 1)] {
        let mut machine = busy(&format!("m{number}"));
        let mut push = machine.connect(&group.hubs[process].grpc).await.unwrap();
        machine.deliver(&mut push).await.unwrap();
    }
    for (process, hub) in group.hubs.iter().enumerate() {
        let ready = hub.json("/ready").to_string();
        assert!(ready.contains(&format!("process {process} of 2")), "{ready}");
        hub.eventually("/api/v1/machines", |body| body["machines"].as_array().is_some_and(|all| all.len() == 6));
        hub.eventually("/api/v1/alerts", |body| body["alerts"].as_array().is_some_and(|all| all.len() == 6));
        let metrics = hub.get("/metrics").1.to_string();
        assert!(metrics.contains(&format!("cluster_behind_seconds{{process=\\\"{}\\\"}}", 1 - process)), "{metrics}");
    }
    group.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_on_one_process_holds_on_all() {
    let dir = private_dir().unwrap();
    let group = pair(dir.path());
    let rule = json!({"name": "warm", "metric": "system.cpu.utilization", "operator": "gt", "threshold": 0.4, "severity": "info"});
    let (status, body) = group.hubs[1].post("/api/v1/rules", &rule);
    assert_eq!(status, 201, "{body}");
    let has = |name: &'static str| move |body: &Value| names(&body["rules"], "name").iter().any(|known| known == name);
    for hub in &group.hubs {
        hub.eventually("/api/v1/rules", has("warm"));
        hub.eventually("/api/v1/audit", |body| {
            names(&body["entries"], "subject").iter().any(|subject| subject == "warm")
        });
    }
    let mut machine = busy("m1");
    let mut push = machine.connect(&group.hubs[1].grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
    for hub in &group.hubs {
        hub.eventually("/api/v1/alerts", |body| {
            let rules = names(&body["alerts"], "rule");
            rules.iter().any(|rule| rule == "warm") && rules.iter().any(|rule| rule == "busy")
        });
    }
    let silence =
        json!({"matchers": {"machines": ["m1"]}, "ends_at": now_ms() + 3_600_000, "author": "ana", "comment": "known"});
    let (status, body) = group.hubs[1].post("/api/v1/silences", &silence);
    assert_eq!(status, 201, "{body}");
    for hub in &group.hubs {
        hub.eventually("/api/v1/silences", |body| body["silences"].as_array().is_some_and(|all| all.len() == 1));
        hub.eventually("/api/v1/alerts", |body| names(&body["alerts"], "standing") == ["silenced"; 2]);
    }
    // What cannot be is refused with the same words.
    let (status, refused) = group.hubs[1].post("/api/v1/rules", &rule);
    assert_eq!((status, refused["code"].as_str()), (409, Some("rule_exists")), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_goes_from_one_process_to_the_other_and_back() {
    let dir = private_dir().unwrap();
    let mut group = pair(dir.path());
    let mut machine = Machine::new("m1", &["system.cpu.utilization"]);
    let mut pushes = Vec::new();
    for round in 0..6 {
        machine.measure(now_ms() + round, &[0.1]);
        machine.measure(now_ms() + round + 1, &[0.2]);
        let process = usize::try_from(round).unwrap() % 2;
        // The stream before stays open: nobody has told that process that its collector has gone.
        let mut push = machine.connect(&group.hubs[process].grpc).await.unwrap();
        assert_eq!(machine.acknowledged, 2 * u64::try_from(round).unwrap(), "the other one's frames are known here");
        machine.deliver(&mut push).await.unwrap();
        pushes.push(push);
    }
    for hub in &group.hubs {
        hub.eventually("/api/v1/machines/m1", |body| {
            body["arrivals"]["duplicate"] == 0 && body["summary"]["cpu"] == 0.2
        });
    }
    drop(pushes);
    group.terminate();
}

/// Within this time after the beginning the others have ended, and the last line of their logs says why.
fn ends_with_a_reason(hub: &mut Program, began: Instant, reason: &str) {
    let status = hub.wait();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let last = hub.last_line();
    assert_eq!(status.code(), Some(1), "{last}");
    assert!(last["reason"].as_str().is_some_and(|told| told.contains(reason)), "{last}");
}

#[test]
fn a_killed_process_takes_the_others_with_it() {
    let dir = private_dir().unwrap();
    let mut group = pair(dir.path());
    let began = Instant::now();
    group.hubs[1].kill();
    ends_with_a_reason(&mut group.hubs[0], began, "ended or was killed");
}

#[test]
fn a_stopped_process_takes_the_others_with_it_and_ends_when_it_goes_on() {
    let dir = private_dir().unwrap();
    let mut group = pair(dir.path());
    let began = Instant::now();
    group.hubs[0].signal("-STOP");
    ends_with_a_reason(&mut group.hubs[1], began, "has not been heard of");
    group.hubs[0].signal("-CONT");
    assert_eq!(group.hubs[0].wait().code(), Some(1));
}

#[test]
fn who_is_asked_to_stop_takes_the_others_along_in_peace() {
    let dir = private_dir().unwrap();
    let mut group = pair(dir.path());
    assert_eq!(group.hubs[0].terminate().code(), Some(0));
    assert_eq!(group.hubs[1].wait().code(), Some(0));
    let told = group.hubs[1].events("hub_drains");
    assert!(told[0]["why"].as_str().is_some_and(|why| why.contains("process 0 stops")), "{told:?}");
    group.start();
    group.terminate();
}
