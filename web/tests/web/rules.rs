//! Changes of rules: what is ordered, what is answered, and what is refused before anybody is asked.

use axum::body::Body;
use http::{Request, StatusCode};
use model::command::{RuleChange, RuleError};
use serde_json::{Value, json};

use crate::common::{Answer, Hub};

fn rule() -> Value {
    json!({"name": "hot", "metric": "system.cpu.utilization", "operator": "gt", "threshold": 0.9, "severity": "info"})
}

async fn send(hub: &Hub, method: &str, path: &str, body: &Value) -> Answer {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", "application/json; charset=utf-8");
    hub.ask(request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn a_rule_is_made_read_replaced_and_deleted() {
    let hub = Hub::new();
    let made = send(&hub, "POST", "/api/v1/rules", &rule()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let mut read = hub.json("/api/v1/rules/hot").await;
    assert_eq!(made.json(), read);
    assert_eq!((&read["source"], &read["enabled"]), (&json!("own"), &json!(true)));
    let filed = hub.json("/api/v1/rules/cpu-busy").await;
    assert_eq!((&filed["source"], &filed["unjudged_series"]), (&json!("file"), &json!(3)));

    // What was read can be sent back.
    read["threshold"] = json!(0.5);
    let replaced = send(&hub, "PUT", "/api/v1/rules/hot", &read).await;
    assert_eq!((replaced.status, &replaced.json()), (StatusCode::OK, &read));
    let ordered = hub.rules.ordered.lock().unwrap().clone();
    assert!(matches!(ordered, Some(RuleChange::Update(rule)) if rule.name == "hot"));

    let deleted = send(&hub, "DELETE", "/api/v1/rules/hot", &Value::Null).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (StatusCode::NO_CONTENT, ""));
    let ordered = hub.rules.ordered.lock().unwrap().clone();
    assert_eq!(ordered, Some(RuleChange::Delete("hot".into())));
    let gone = hub.get("/api/v1/rules/hot").await.problem();
    assert!(gone.starts_with("404 unknown_rule: no rule is called hot"), "{gone}");
}

/// Its path is the preview's, too.
#[tokio::test]
async fn a_rule_may_be_called_preview() {
    let hub = Hub::new();
    let mut rule = rule();
    rule["name"] = json!("preview");
    assert_eq!(send(&hub, "POST", "/api/v1/rules", &rule).await.status, StatusCode::CREATED);
    assert_eq!(hub.json("/api/v1/rules/preview").await["name"], "preview");
    assert_eq!(send(&hub, "PUT", "/api/v1/rules/preview", &rule).await.status, StatusCode::OK);
    let tried = send(&hub, "POST", "/api/v1/rules/preview", &rule).await;
    assert!(tried.json()["fired"].is_u64(), "{}", tried.text);
    let deleted = send(&hub, "DELETE", "/api/v1/rules/preview", &Value::Null).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{}", deleted.text);
}

#[tokio::test]
async fn each_refusal_has_its_code() {
    let hub = Hub::new();
    for (refusal, expected) in [
        (RuleError::Invalid(vec!["a".into(), "b".into()]), "422 invalid_rule: a; b"),
        (RuleError::FromFile("hot".into()), "409 rule_from_file: "),
        (RuleError::Exists("hot".into()), "409 rule_exists: "),
        (RuleError::NotFound("hot".into()), "404 unknown_rule: "),
        (RuleError::TooMany("2 rules".into()), "409 too_many_rules: "),
        (RuleError::Store("/secret".into()), "500 rules_not_stored: "),
        (RuleError::Stopping, "503 stopping: "),
    ] {
        *hub.rules.refusal.lock().unwrap() = Some(refusal);
        let said = send(&hub, "PUT", "/api/v1/rules/hot", &rule()).await.problem();
        assert!(said.starts_with(expected) && !said.contains("/secret"), "{said}");
    }
}

#[tokio::test]
async fn what_is_no_rule_is_refused_before_anything_is_ordered() {
    let hub = Hub::new();
    let with = |key: &str, value: Value| {
        let mut rule = rule();
        rule[key] = value;
        rule
    };
    for (path, body, expected) in [
        ("/api/v1/rules/hot", json!([]), "400 bad_body: the body is not a JSON object"),
        ("/api/v1/rules/hot", json!({}), "400 bad_body: this is not a rule: missing field"),
        (
            "/api/v1/rules/hot",
            with("operator", json!("above")),
            "400 bad_body: this is not a rule: unknown variant `above`, expected one of `gt`",
        ),
        ("/api/v1/rules/hot", with("thresold", json!(1)), "400 bad_body: this is not a rule: unknown field `thresold`"),
        ("/api/v1/rules/hot", with("threshold", json!(90)), "422 invalid_rule: "),
        ("/api/v1/rules/other", rule(), "400 bad_body: a rule keeps its name"),
        ("/api/v1/rules/hot?x=1", rule(), "400 bad_query: "),
        ("/api/v1/rules/hot", with("summary", json!("x".repeat(70_000))), "413 body_too_large: "),
    ] {
        let said = send(&hub, "PUT", path, &body).await.problem();
        assert!(said.starts_with(expected), "{said}");
    }
    assert_eq!(*hub.rules.ordered.lock().unwrap(), None);
}

#[tokio::test]
async fn neither_a_form_nor_a_foreign_page_changes_a_rule() {
    let hub = Hub::new();
    let form = Request::post("/api/v1/rules").body(Body::from(rule().to_string())).unwrap();
    assert!(hub.ask(form).await.problem().starts_with("415 not_json"));
    for method in ["POST", "DELETE"] {
        let path = if method == "POST" { "/api/v1/rules" } else { "/api/v1/rules/hot" };
        let foreign = Request::builder().method(method).uri(path).header("origin", "http://evil.example");
        let foreign = foreign.header("content-type", "application/json").body(Body::from(rule().to_string()));
        assert!(hub.ask(foreign.unwrap()).await.problem().starts_with("403 foreign_origin"), "{method}");
    }
    assert_eq!(*hub.rules.ordered.lock().unwrap(), None);
}
