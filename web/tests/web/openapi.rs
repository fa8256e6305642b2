//! The OpenAPI document tells the truth: it has the router's paths and no other, each takes the parameters described and refuses others,
//! and each answer fits the schema named there.

use std::collections::BTreeSet;

use model::query::{FleetAnswer, RangeAnswer, Tier};
use model::{AlertState, Hottest, HottestOf, MachineId, RejectReason, Timestamp};
use serde_json::Value;
use testkit::schema::{check, resolve};

use crate::common::{Hub, fleet};

/// Pages for people: the dashboard's, of which each is the same file.
const SCREENS: &[&str] =
    &["/", "/machines/{id}", "/alerts", "/rules", "/rules/{name}", "/pipeline", "/compare", "/audit", "/settings"];

fn hub() -> Hub {
    let hub = Hub::new();
    hub.hot.put(fleet::machine("db-1", 0.12));
    hub.hot.put(fleet::stranger("new"));
    let (key, group) = fleet::group();
    hub.hot.group(key, group);
    hub.hot.alert(fleet::alert("a1", "db-1", AlertState::Firing));
    *hub.history.alerts.lock().unwrap() = vec![fleet::alert("a2", "db-1", AlertState::Resolved)];
    let answer = |series| RangeAnswer { series: vec![series], ..RangeAnswer::default() };
    hub.history.set(Tier::Raw, answer(fleet::raw("system.cpu.utilization", &[(-5, 0.1), (0, f64::NAN)])));
    *hub.history.fleet.lock().unwrap() =
        FleetAnswer { series: vec![fleet::minutes(&[-60], 2)], ..FleetAnswer::default() };
    let top = HottestOf { metric: "jobs".into(), machines: vec![(MachineId::parse("db-1").unwrap(), 7.0)] };
    hub.hot.heat(Hottest { minute: Timestamp::EPOCH, revision: 1, metrics: vec![top] });
    *hub.history.dead_letters.lock().unwrap() = vec![fleet::letter("a", RejectReason::RateLimited)];
    hub.history.set(Tier::Minute, answer(fleet::windows("system.cpu.utilization", &[-60], 0.25)));
    hub
}

/// A path as it can be asked, with an example of each parameter that must be given.
fn example(path: &str, parameters: &[Value]) -> String {
    let mut asked = path
        .replace("{id}", "db-1")
        .replace("{name}", "cpu-busy")
        .replace("{silence}", "s1")
        .replace("{letter}", "a")
        .replace("{command}", "pause");
    for parameter in parameters.iter().filter(|one| one["in"] == "query" && one["required"] == true) {
        let given = &parameter["example"];
        let example =
            given.as_str().or_else(|| given[0].as_str()).expect("a parameter that must be given has an example");
        let sign = if asked.contains('?') { '&' } else { '?' };
        asked = format!("{asked}{sign}{}={example}", parameter["name"].as_str().unwrap());
    }
    asked
}

/// Path, method and operation of all that is described.
fn operations(document: &Value) -> Vec<(&String, &String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |(method, one)| (path, method, one)))
        .collect()
}

fn parameters(operation: &Value) -> Vec<Value> {
    operation["parameters"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn every_path_answers_as_described() {
    let hub = hub();
    let document = hub.json("/api/v1/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    // What is only written to has its own tests.
    for (path, _get, item) in operations(&document).into_iter().filter(|(_, method, _)| *method == "get") {
        // A rule that is called `preview` is nowhere here.
        if path == "/ws" || path == "/api/v1/rules/preview" {
            continue;
        }
        let answer = hub.get(&example(path, &parameters(item))).await;
        let content = item["responses"]["200"]["content"].as_object().unwrap();
        let (media, described) = content.iter().next().unwrap();
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        assert!(answer.header("content-type").starts_with(media.as_str()), "{path}");
        if media == "application/json" && !path.ends_with("openapi.json") {
            check(&document, &described["schema"], &answer.json(), path);
        }
    }
    let problem = hub.get("/api/v1/machines/nobody").await.json();
    check(&document, &document["components"]["schemas"]["Problem"], &problem, "problem");
}

#[tokio::test]
async fn the_router_and_the_document_have_the_same_paths() {
    let hub = hub();
    // What axum prints of a router has each of its paths as a text.
    let printed = format!("{:?}", hub.router());
    let routed: BTreeSet<&str> = printed.split('"').skip(1).step_by(2).filter(|text| text.starts_with('/')).collect();
    let document = hub.json("/api/v1/openapi.json").await;
    let described: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let expected: BTreeSet<&str> = described.iter().copied().chain(SCREENS.iter().copied()).collect();
    let own = |path: &&&str| !path.contains("{*") && !path.contains("__private");
    assert_eq!(routed.iter().filter(own).copied().collect::<BTreeSet<_>>(), expected);
}

#[tokio::test]
async fn every_operation_is_named_once_and_every_reference_leads_somewhere() {
    let hub = hub();
    let document = hub.json("/api/v1/openapi.json").await;
    let mut names = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        assert!(
            names.insert(operation["operationId"].as_str().unwrap()),
            "{method} {path}: {}",
            operation["operationId"]
        );
        assert!(operation["summary"].as_str().is_some_and(|said| !said.is_empty()), "{method} {path}");
        for status in ["413", "414", "421", "504"] {
            resolve(&document, &operation["responses"][status]);
        }
    }
    let mut waiting = vec![&document];
    while let Some(value) = waiting.pop() {
        resolve(&document, value);
        waiting.extend(value.as_array().into_iter().flatten());
        waiting.extend(value.as_object().into_iter().flat_map(serde_json::Map::values));
    }
}

#[tokio::test]
async fn every_query_takes_what_is_described_within_its_bounds_and_nothing_else() {
    let hub = hub();
    let document = hub.json("/api/v1/openapi.json").await;
    for (path, _get, item) in operations(&document).into_iter().filter(|(_, method, _)| *method == "get") {
        if !path.starts_with("/api/") {
            continue;
        }
        let parameters = parameters(item);
        let asked = example(path, &parameters);
        let with =
            |name: &str, value: &str| format!("{asked}{}{name}={value}", if asked.contains('?') { '&' } else { '?' });
        let refused = hub.get(&with("nobodys", "1")).await.json();
        let said = refused["detail"].as_str().unwrap_or_default().rsplit("possible: ").next().unwrap().to_owned();
        let named = |one: &&Value| one["in"] == "query";
        let described: BTreeSet<&str> =
            parameters.iter().filter(named).map(|one| one["name"].as_str().unwrap()).collect();
        if path.ends_with("openapi.json") {
            continue;
        }
        let possible: BTreeSet<&str> = said.split(", ").filter(|name| *name != "nothing here").collect();
        assert_eq!(possible, described, "{path}: {refused}");
        for parameter in parameters.iter().filter(named) {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            // What has bounds may be empty instead.
            let schema = match schema["anyOf"].get(0) {
                Some(bounded) => {
                    let answer = hub.get(&with(name, "")).await;
                    assert!(answer.status.is_success(), "{path} {name}=: {}", answer.text);
                    bounded
                }
                None => schema,
            };
            for word in schema["enum"].as_array().into_iter().flatten() {
                let answer = hub.get(&with(name, word.as_str().unwrap())).await;
                assert!(answer.status.is_success(), "{path} {name}={word}: {}", answer.text);
            }
            if schema["type"] == "integer" {
                let least = schema["minimum"].as_u64().unwrap();
                assert!(hub.get(&with(name, &least.to_string())).await.status.is_success(), "{path} {name}={least}");
                assert_eq!(hub.get(&with(name, "-1")).await.status, 400, "{path} {name}=-1");
            }
            if let Some(most) = schema["maximum"].as_u64() {
                assert!(hub.get(&with(name, &most.to_string())).await.status.is_success(), "{path} {name}={most}");
                assert_eq!(hub.get(&with(name, &(most + 1).to_string())).await.status, 400, "{path} {name}={most} + 1");
            }
        }
    }
}
