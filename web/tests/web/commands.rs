//! Commands to collectors: what is passed on, and what is refused before.

use axum::body::Body;
use http::{Request, StatusCode};
use model::command::CollectorCommand;
use serde_json::json;

use crate::common::{Answer, Hub, fleet};

async fn post(hub: &Hub, path: &str, origin: Option<&str>) -> Answer {
    let mut request = Request::post(path);
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    hub.ask(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_command_reaches_its_collector_and_each_refusal_has_its_code() {
    let hub = Hub::new();
    hub.hot.put(fleet::stranger("db-1"));
    hub.hot.put(fleet::stranger("web-1"));
    let sent = post(&hub, "/api/v1/machines/db-1/commands/collect_now", None).await;
    assert_eq!(
        (sent.status, sent.json()),
        (StatusCode::ACCEPTED, json!({"machine": "db-1", "command": "collect_now"}))
    );
    assert_eq!(*hub.control.sent.lock().unwrap(), Some(CollectorCommand::CollectNow));
    for (path, expected) in [
        ("/api/v1/machines/db-1/commands/pause", "503 collector_busy"),
        ("/api/v1/machines/db-1/commands/reboot", "404 unknown_command"),
        ("/api/v1/machines/web-1/commands/pause", "409 not_connected"),
        ("/api/v1/machines/nobody/commands/pause", "404 unknown_machine"),
        ("/api/v1/machines/a%20b/commands/pause", "404 unknown_machine"),
    ] {
        let said = post(&hub, path, None).await.problem();
        assert!(said.starts_with(expected), "{path}: {said}");
    }
    let entries = hub.audit.entries.lock().unwrap().clone();
    let told: Vec<_> = entries.iter().map(|entry| (entry.deed.detail.clone(), entry.deed.failed)).collect();
    assert_eq!((told[0].clone(), told[1].clone()), (("collect_now".into(), false), ("pause".into(), false)));
    assert!(told[2].0.contains("too many commands") && told[2].1 && told.len() == 3, "{told:?}");
    let foreign = post(&hub, "/api/v1/machines/db-1/commands/resume", Some("http://elsewhere.example")).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN, "{}", foreign.text);
    assert_eq!(*hub.control.sent.lock().unwrap(), Some(CollectorCommand::Pause), "the foreign one did not get through");
}

#[tokio::test]
async fn without_its_record_no_command_is_sent() {
    let hub = Hub::new();
    hub.hot.put(fleet::stranger("db-1"));
    *hub.audit.fails.lock().unwrap() = true;
    let said = post(&hub, "/api/v1/machines/db-1/commands/pause", None).await.problem();
    assert!(said.starts_with("500 audit_not_stored") && !said.contains("/secret"), "{said}");
    assert_eq!(*hub.control.sent.lock().unwrap(), None);
}
