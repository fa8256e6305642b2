//! The audit record: who is put on it, and how it is read.

use axum::body::Body;
use http::{Request, StatusCode};
use model::audit::{Action, Actor, AuditLog, Deed, Door};
use serde_json::json;

use crate::common::{Hub, NOW_MS};

#[tokio::test]
async fn pages_follow_one_another_though_new_entries_come() {
    let hub = Hub::new();
    for subject in ["a", "b", "c"] {
        let actor = Actor::new(Door::Grpc, "ana", Some("10.0.0.1".parse().unwrap()));
        hub.audit.record(Deed::new(actor, Action::RuleDeleted, subject, "gone")).await.unwrap();
    }
    let first = hub.json("/api/v1/audit?limit=2").await;
    let entry = json!({"id": 3, "time": NOW_MS, "author": "ana", "address": "10.0.0.1", "via": "grpc",
                       "action": "rule_deleted", "subject": "c", "detail": "gone", "failed": false});
    assert_eq!((&first["entries"][0], &first["next"]), (&entry, &json!("2")));
    hub.audit.record(Deed::new(Actor::hub("test"), Action::RulesReloaded, "d", "")).await.unwrap();
    let second = hub.json("/api/v1/audit?limit=2&cursor=2").await;
    assert_eq!((&second["entries"][0]["subject"], &second["next"]), (&json!("a"), &json!(null)));
    assert!(hub.get("/api/v1/audit?cursor=x").await.problem().starts_with("400 bad_query: `cursor` is not a cursor"));
}

#[tokio::test]
async fn whoever_changes_something_is_called_by_the_name_in_the_header() {
    let hub = Hub::new();
    let request = Request::delete("/api/v1/rules/cpu-busy").header("x-author", "  Ana Müller ").body(Body::empty());
    assert_eq!(hub.ask(request.unwrap()).await.status, StatusCode::NO_CONTENT);
    let by = hub.rules.by.lock().unwrap().clone().unwrap();
    assert_eq!((by.author.as_str(), by.via), ("Ana Müller", Door::Http));
}

#[tokio::test]
async fn the_configuration_says_where_each_setting_comes_from() {
    let found = Hub::new().json("/api/v1/config").await;
    let setting = json!({"key": "data_dir", "value": "./data", "source": "default"});
    assert_eq!(found, json!({"version": "0.1.0", "settings": [setting]}));
}
