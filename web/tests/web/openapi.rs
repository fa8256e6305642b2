//! The OpenAPI document tells the truth: each of its paths answers, and each answer fits the schema named there.

use model::query::{FleetAnswer, RangeAnswer, Tier};
use model::{AlertState, Hottest, HottestOf, MachineId, RejectReason, Timestamp};
use testkit::schema::{check, resolve};

use crate::common::{Hub, fleet};

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

#[tokio::test]
async fn every_path_answers_as_described() {
    let hub = hub();
    let document = hub.json("/api/v1/openapi.json").await;
    let paths = document["paths"].as_object().unwrap();
    assert!(18 <= paths.len());
    // What is only written to has its own tests.
    for (path, item) in paths.iter().filter(|(_, item)| item["get"].is_object()) {
        let mut asked = path
            .replace("{id}", "db-1")
            .replace("{name}", "cpu-busy")
            .replace("{silence}", "s1")
            .replace("{letter}", "a");
        for parameter in item["get"]["parameters"].as_array().unwrap() {
            let parameter = resolve(&document, parameter);
            if parameter["in"] == "query" && parameter["required"] == true {
                let example = parameter["example"].as_str().expect("a parameter that must be given has an example");
                let sign = if asked.contains('?') { '&' } else { '?' };
                asked = format!("{asked}{sign}{}={example}", parameter["name"].as_str().unwrap());
            }
        }
        let answer = hub.get(&asked).await;
        let content = item["get"]["responses"]["200"]["content"].as_object().unwrap();
        let (media, described) = content.iter().next().unwrap();
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        assert!(answer.header("content-type").starts_with(media.as_str()), "{path}");
        if let Some(schema) = described.get("schema") {
            check(&document, schema, &answer.json(), path);
        }
        for reference in item["get"]["parameters"].as_array().unwrap() {
            assert!(resolve(&document, reference)["schema"].is_object(), "{path}: {reference}");
        }
    }
    let problem = hub.get("/api/v1/machines/nobody").await.json();
    let schema = resolve(
        &document,
        &document["components"]["responses"]["Problem"]["content"]["application/problem+json"]["schema"],
    );
    check(&document, schema, &problem, "problem");
}
