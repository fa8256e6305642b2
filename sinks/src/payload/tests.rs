//! Each payload is as its schema in docs/schema says, and says what it was made of.

use std::sync::Arc;

use model::query::MachineView;
use model::{
    Alert, Change, Labels, MachineInfo, Process, Processes, Roster, SeriesKey, Severity, Standing, Status, Timestamp,
    Width,
};
use serde_json::{Value, json};

use super::{alert, machine, presence, removed, window};
use crate::bus::{Event, Topic};
use crate::fixtures::{self, at, roster, rule, transition};

fn described(schema: &str, payload: &[u8]) -> Value {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let value: Value = serde_json::from_slice(payload).unwrap();
    testkit::schema::check(&schema, &schema, &value, "payload");
    value
}

fn told(event: &Event, topic: Topic, schema: &str) -> Value {
    assert_eq!(event.topic, topic);
    let value = described(schema, &event.payload);
    assert_eq!(value["machine"], event.machine);
    value
}

fn view() -> MachineView {
    let labels = Labels::parse([("mountpoint", "/a \"b\"")]).unwrap();
    let keys = [("cpu", Labels::none()), ("disk", labels), ("gone", Labels::none()), ("never", Labels::none())];
    let series = keys.map(|(metric, labels)| Arc::new(SeriesKey::parse(metric, labels).unwrap()));
    let machine = fixtures::machine("db-1");
    let process = Process { name: "sh".to_owned(), cpu: 0.5, memory: 1_024 };
    MachineView {
        status: Status::Up,
        last_seen: at(21),
        info: Some(Arc::new(MachineInfo {
            cores: 2,
            interval_ms: 5_000,
            ..MachineInfo::unknown(machine.clone(), at(1))
        })),
        roster: Some(Arc::new(Roster { machine: machine.clone(), index: 0, series: Box::new(series) })),
        values: Box::new([0.25, 1e300, 3.0, 0.0]),
        times: Box::new([at(20), at(20), at(5), Timestamp::MIN]),
        processes: Some(Arc::new(Processes {
            machine: machine.clone(),
            time: at(20),
            by_cpu: vec![process.clone()],
            by_memory: vec![process],
        })),
        alerts: [0, 0, 1],
        machine,
    }
}

#[test]
fn a_machine_s_document_holds_its_newest_values_and_what_fires() {
    let fired = transition(&rule("busy", Severity::Critical), "db-1", Change::Fired, at(10), at(10));
    let alert = Alert { standing: Some(Standing::Silenced("s1".into())), ..Alert::after(&fired) };
    let schema = include_str!("../../../docs/schema/machine.json");
    let document = described(schema, &machine(&view(), &[Arc::new(alert)]));
    assert_eq!(document["series"], json!({"cpu": 0.25, "disk{mountpoint=\"/a \\\"b\\\"\"}": 1e300, "gone": 3.0}));
    assert_eq!((&document["time"], &document["times"]), (&json!(20_000), &json!({"gone": 5_000})));
    assert_eq!(
        (&document["status"], &document["last_seen"], &document["interval_ms"]),
        (&json!("up"), &json!(21_000), &json!(5_000))
    );
    assert_eq!(
        (&document["alerts"][0]["rule"], &document["alerts"][0]["standing"]),
        (&json!("busy"), &json!("silenced"))
    );
    assert_eq!((&document["host"]["cores"], &document["processes"]["by_cpu"][0]["name"]), (&json!(2), &json!("sh")));

    let unknown = MachineView {
        last_seen: Timestamp::MIN,
        info: None,
        roster: None,
        values: Box::new([]),
        times: Box::new([]),
        processes: None,
        ..view()
    };
    let document = described(schema, &machine(&unknown, &[]));
    assert_eq!((&document["time"], &document["series"], &document["host"]), (&json!(null), &json!({}), &json!(null)));
    assert!(document.get("times").is_none() && document.get("processes").is_none());
}

#[test]
fn events_are_as_described() {
    let schema = include_str!("../../../docs/schema/window.json");
    let minute = window(&fixtures::window(&roster("a", 2), Width::Minute, at(60), 7, 0.5));
    let told_minute = told(&minute, Topic::MetricsMinute, schema);
    assert_eq!((&told_minute["start"], &told_minute["end"]), (&json!(60_000), &json!(120_000)));
    assert_eq!(told_minute["series"]["m1"], json!({"count": 1, "sum": 0.5, "min": 0.5, "max": 0.5, "last": 0.5}));
    told(&window(&fixtures::window(&roster("a", 2), Width::Hour, at(0), 7, 0.5)), Topic::MetricsHour, schema);

    let schema = include_str!("../../../docs/schema/presence.json");
    let down = told(&presence(&fixtures::presence("a", Status::Down, at(9))), Topic::Presence, schema);
    assert_eq!((&down["status"], &down["last_seen"]), (&json!("down"), &json!(9_000)));
    told(&removed(&fixtures::machine("a"), at(9)), Topic::Presence, schema);

    let schema = include_str!("../../../docs/schema/alert.json");
    let busy = rule("busy", Severity::Critical);
    let fired = told(&alert(&transition(&busy, "a", Change::Fired, at(10), at(10))), Topic::AlertsFired, schema);
    let resolved = transition(&busy, "a", Change::Resolved, at(10), at(20));
    let again = told(&alert(&resolved), Topic::AlertsResolved, schema);
    let key = |event: &Value| event["key"].as_str().unwrap().to_owned();
    assert_eq!(fired["id"], again["id"], "one alert");
    assert_ne!(key(&fired), key(&again), "two events");
    assert_eq!(alert(&resolved), alert(&resolved), "a repetition is the same");
    assert_eq!((&again["state"], &again["resolved"]), (&json!("resolved"), &json!(20_000)));
}
