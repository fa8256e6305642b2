//! Dead letters: what the list and one of them say, and what becomes of those that are sent again.

use axum::body::Body;
use http::{Request, StatusCode};
use model::command::ResendError;
use model::query::{DeadLetterQuery, QueryError};
use model::{DeadLetter, RejectReason};
use serde_json::{Value, json};

use crate::common::{Answer, Hub, NOW_MS, fleet};

async fn post(hub: &Hub, path: &str, origin: Option<&str>) -> Answer {
    let mut request = Request::post(path);
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    hub.ask(request.body(Body::empty()).unwrap()).await
}

fn hub() -> Hub {
    let hub = Hub::new();
    let refused = DeadLetter {
        rejected: model::Rejected {
            reason: RejectReason::StoreRefused,
            kept: None,
            ..fleet::letter("b", RejectReason::Future).rejected
        },
        row: Some("m0=666".to_owned()),
        has_row: true,
        ..fleet::letter("b", RejectReason::Future)
    };
    *hub.history.dead_letters.lock().unwrap() = vec![fleet::letter("a", RejectReason::RateLimited), refused];
    hub
}

#[tokio::test]
async fn the_list_says_what_each_is_and_one_shows_what_was_kept() {
    let hub = hub();
    let expected = json!({
        "id": "a", "machine": "db-1", "reason": "rate_limited", "source": "grpc_push", "count": 3, "kept": 2, "time": NOW_MS,
        "detail": "fast", "resent": null, "obstacle": null,
    });
    let page = hub.json("/api/v1/dead-letters?limit=1&reason=rate_limited&state=waiting").await;
    assert_eq!(page, json!({"dead_letters": [expected], "next": "1"}));
    let asked = hub.history.asked_letters.lock().unwrap().pop().unwrap();
    let reason = Some(RejectReason::RateLimited);
    assert_eq!(asked, DeadLetterQuery { id: None, reason, is_waiting: true, offset: 0, limit: 2 });
    let one = hub.json("/api/v1/dead-letters/a").await;
    let sample = |core: &str, value: Value| json!({"metric": "system.cpu.utilization", "labels": {"core": core}, "time": NOW_MS, "value": value});
    assert_eq!(one["samples"], json!([sample("0", json!(0.5)), sample("1", Value::Null)]));
    let row = hub.json("/api/v1/dead-letters/b").await;
    assert_eq!((&row["row"], &row["samples"], &row["kept"]), (&json!("m0=666"), &json!([]), &json!(0)));
    assert!(
        hub.get("/api/v1/dead-letters/c").await.problem().starts_with("404 unknown_dead_letter: no dead letter has")
    );
    let unknown = hub.get("/api/v1/dead-letters?reason=bad").await.problem();
    assert!(unknown.starts_with("400 bad_query: `reason` is not known: \"bad\"; use not_finite, "), "{unknown}");
}

#[tokio::test]
async fn one_and_all_are_sent_again_and_each_refusal_has_its_code() {
    let hub = hub();
    let document = hub.json("/api/v1/openapi.json").await;
    let schema = json!({"$ref": "#/components/schemas/ResendReport"});
    let sent = post(&hub, "/api/v1/dead-letters/a/resend", None).await;
    assert_eq!(sent.json(), json!({"letters": 1, "samples": 2, "refused": 0, "refusals": [], "more": false}));
    let all = post(&hub, "/api/v1/dead-letters/resend?reason=too_large", None).await;
    testkit::schema::check(&document, &schema, &all.json(), "resend");
    assert_eq!((&all.json()["letters"], &all.json()["more"]), (&json!(3), &json!(true)));
    post(&hub, "/api/v1/dead-letters/resend", None).await;
    assert_eq!(*hub.dead_letters.sent.lock().unwrap(), ["a", "all too_large", "all "]);
    let told = |hub: &Hub| -> Vec<(String, String, bool)> {
        let entries = hub.audit.entries.lock().unwrap();
        let deeds = entries.iter().map(|entry| &entry.deed);
        deeds.map(|deed| (deed.subject.clone(), deed.detail.clone(), deed.failed)).collect()
    };
    let said = |subject: &str, detail: &str| (subject.to_owned(), detail.to_owned(), false);
    let wanted = [
        said("a", ""),
        said("all", "of those that wait: too_large"),
        said("all", "of those that wait: refused for any reason"),
    ];
    assert_eq!(told(&hub), wanted);
    let foreign = post(&hub, "/api/v1/dead-letters/a/resend", Some("http://elsewhere.example")).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    assert_eq!(hub.get("/api/v1/dead-letters/a/resend").await.status, StatusCode::METHOD_NOT_ALLOWED);
    let refused = ResendError::Refused { reason: RejectReason::RateLimited, detail: "fast".to_owned() };
    for (refusal, expected) in [
        (ResendError::NotFound("a".to_owned()), "404 unknown_dead_letter: no dead letter has the id a"),
        (ResendError::Never("its values are no numbers"), "409 never_accepted: it cannot be sent again: its values"),
        (refused, "409 refused_again: it was refused again (rate_limited): fast"),
        (ResendError::Store(QueryError::Unavailable("away".to_owned())), "503 history_unavailable: "),
        (ResendError::Stopping, "503 stopping: "),
    ] {
        *hub.dead_letters.refusal.lock().unwrap() = Some(refusal);
        let said = post(&hub, "/api/v1/dead-letters/a/resend", None).await.problem();
        assert!(said.starts_with(expected), "{said}");
        let last = told(&hub).pop().unwrap();
        assert!(last.2 && !last.1.is_empty(), "the record has why not: {last:?}");
    }
    *hub.audit.fails.lock().unwrap() = true;
    hub.dead_letters.sent.lock().unwrap().clear();
    let said = post(&hub, "/api/v1/dead-letters/a/resend", None).await.problem();
    assert!(said.starts_with("500 audit_not_stored") && hub.dead_letters.sent.lock().unwrap().is_empty(), "{said}");
}
