//! Silences: what is ordered, what is answered, and what is refused before anybody is asked.

use axum::body::Body;
use http::{Request, StatusCode};
use model::Timestamp;
use model::command::{SilenceChange, SilenceError};
use serde_json::{Value, json};

use crate::common::{Answer, Hub, NOW_MS};

async fn send(hub: &Hub, method: &str, path: &str, body: &Value) -> Answer {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    hub.ask(request.body(Body::from(body.to_string())).unwrap()).await
}

fn asked() -> Value {
    json!({"matchers": {"machines": ["db-1"]}, "for_s": 3600, "author": "ana", "comment": "new disk"})
}

#[tokio::test]
async fn a_silence_is_made_read_and_ended() {
    let hub = Hub::new();
    let made = send(&hub, "POST", "/api/v1/silences", &asked()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let ordered = hub.silences.ordered.lock().unwrap().clone();
    let Some(SilenceChange::Create(new)) = ordered else { panic!("{ordered:?}") };
    let now = Timestamp::from_millis(NOW_MS);
    assert_eq!((new.starts_at, new.ends_at), (now, Timestamp::from_millis(NOW_MS + 3_600_000)));
    let read = hub.json("/api/v1/silences/s1").await;
    assert_eq!((&read["state"], &read["author"]), (&json!("active"), &json!("ana")), "{read}");
    let list = hub.json("/api/v1/silences?state=active&limit=1").await;
    assert_eq!((&list["silences"][0]["id"], &list["next"]), (&json!("s1"), &Value::Null));
    assert_eq!(hub.json("/api/v1/silences?state=ended").await["silences"], json!([]));
    let ended = send(&hub, "DELETE", "/api/v1/silences/s1", &Value::Null).await;
    assert_eq!((ended.status, ended.text.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(*hub.silences.ordered.lock().unwrap(), Some(SilenceChange::End("s1".into())));
    let gone = hub.get("/api/v1/silences/nothing").await.problem();
    assert!(gone.starts_with("404 unknown_silence: no silence has the id nothing"), "{gone}");
}

#[tokio::test]
async fn each_refusal_has_its_code() {
    let hub = Hub::new();
    for (refusal, expected) in [
        (SilenceError::Invalid(vec!["a".into(), "b".into()]), "422 invalid_silence: a; b"),
        (SilenceError::NotFound("x".into()), "404 unknown_silence: "),
        (SilenceError::TooMany("2 silences".into()), "409 too_many_silences: "),
        (SilenceError::Store("/secret".into()), "500 silences_not_stored: "),
        (SilenceError::Stopping, "503 stopping: "),
    ] {
        *hub.silences.refusal.lock().unwrap() = Some(refusal);
        let said = send(&hub, "POST", "/api/v1/silences", &asked()).await.problem();
        assert!(said.starts_with(expected) && !said.contains("/secret"), "{said}");
    }
}

#[tokio::test]
async fn what_is_no_silence_is_refused_before_anything_is_ordered() {
    let hub = Hub::new();
    let with = |key: &str, value: Value| {
        let mut asked = asked();
        asked[key] = value;
        asked
    };
    for (body, expected) in [
        (json!([]), "400 bad_body: the body is not a JSON object"),
        (json!({}), "400 bad_body: this is not a silence: missing field `matchers`"),
        (with("ends_at", json!(NOW_MS + 1)), "400 bad_body: a silence has an end: give either"),
        (with("for_s", Value::Null), "400 bad_body: a silence has an end: give either"),
        (with("id", json!("x")), "400 bad_body: this is not a silence: unknown field `id`"),
        (with("matchers", json!({"rule": []})), "400 bad_body: this is not a silence: unknown field `rule`"),
    ] {
        let said = send(&hub, "POST", "/api/v1/silences", &body).await.problem();
        assert!(said.starts_with(expected), "{said}");
    }
    for method in ["POST", "DELETE"] {
        let path = if method == "POST" { "/api/v1/silences" } else { "/api/v1/silences/s1" };
        let foreign = Request::builder().method(method).uri(path).header("origin", "http://evil.example");
        let foreign = foreign.header("content-type", "application/json").body(Body::from(asked().to_string()));
        assert!(hub.ask(foreign.unwrap()).await.problem().starts_with("403 foreign_origin"), "{method}");
    }
    assert_eq!(*hub.silences.ordered.lock().unwrap(), None);
}
