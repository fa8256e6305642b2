//! What surrounds the API: health, metrics, the dashboard's files, security headers and limits.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, StatusCode};
use model::query::Health;
use serde_json::json;
use web::{HostPolicy, WebSettings};

use crate::common::Hub;

fn health(name: &'static str, is_up: bool, is_required: bool) -> Health {
    Health {
        name,
        is_up,
        is_required,
        since_ms: 1_763_700_000_000,
        latency_ms: Some(0.5),
        last_error: (!is_up).then(|| "refused".to_owned()),
        circuit: (!is_required).then_some(if is_up { "closed" } else { "open" }),
        detail: (!is_required).then(|| "PostgreSQL 15".to_owned()),
    }
}

#[tokio::test]
async fn readiness_follows_what_is_required() {
    let mut hub = Hub::new();
    for (history_is_up, journal_is_up, status, word) in [
        (true, true, StatusCode::OK, "ready"),
        (false, true, StatusCode::OK, "degraded"),
        (true, false, StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        (false, false, StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    ] {
        hub.state.readiness =
            Arc::new(move || vec![health("history", history_is_up, false), health("journal", journal_is_up, true)]);
        for path in ["/ready", "/readyz", "/-/ready"] {
            let answer = hub.get(path).await;
            assert_eq!((answer.status, &answer.json()["status"]), (status, &json!(word)));
        }
    }
    let body = hub.get("/ready").await.json();
    assert_eq!(
        body["dependencies"][1],
        json!({"name": "journal", "status": "down", "required": true, "since": 1_763_700_000_000_i64, "latency_ms": 0.5, "last_error": "refused"})
    );
    assert_eq!(body["dependencies"][0]["circuit"], "open");
    assert_eq!(body["dependencies"][0]["detail"], "PostgreSQL 15");
    for path in ["/health", "/healthz", "/-/healthy"] {
        assert_eq!(hub.json(path).await, json!({"status": "alive", "version": "0.1.0"}));
    }
}

#[tokio::test]
async fn requests_are_counted_by_route_and_not_by_address() {
    let hub = Hub::new();
    hub.get("/api/v1/machines/nobody").await;
    hub.get("/no/such/path").await;
    let answer = hub.get("/metrics").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(
        answer.text.contains("web_requests_total{route=\"/api/v1/machines/{id}\",status=\"404\"} 1\n"),
        "{}",
        answer.text
    );
    assert!(answer.text.contains("web_requests_total{route=\"other\",status=\"404\"} 1\n"));
    assert!(answer.text.contains("web_clients 0\n"));
}

#[tokio::test]
async fn every_screen_is_the_page_and_every_answer_has_the_security_headers() {
    let hub = Hub::new();
    for path in ["/", "/machines/host.example", "/alerts", "/rules", "/api/v1/machines", "/api/v1/nothing", "/health"] {
        let answer = hub.get(path).await;
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
             frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        let is_api = path.starts_with("/api") || path == "/health";
        assert_eq!(answer.header("content-type") == "text/html; charset=utf-8", !is_api, "{path}");
        assert_eq!(
            answer.header("cache-control") == "no-store",
            is_api || !answer.headers.contains_key("etag"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_path_never_leaves_the_embedded_files() {
    let hub = Hub::new();
    for path in [
        "/../Cargo.toml",
        "/assets/../../Cargo.toml",
        "/..%2f..%2fCargo.toml",
        "/%2e%2e/%2e%2e/Cargo.toml",
        "//etc/passwd",
        "/assets/",
        "/assets",
    ] {
        assert!(hub.get(path).await.problem().starts_with("404 unknown_path"), "{path}");
    }
    // A browser is shown a page that says so, with the status that programs look at.
    let request = Request::get("/no/such/page").header("accept", "text/html").body(Body::empty()).unwrap();
    let answer = hub.ask(request).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::NOT_FOUND, "text/html; charset=utf-8"));
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let hub = Hub::new();
    let long = format!("/api/v1/machines?q={}", "x".repeat(9_000));
    assert!(hub.get(&long).await.problem().starts_with("414 uri_too_long"));
    let request = Request::get("/api/v1/machines").header("content-length", "100000").body(Body::empty()).unwrap();
    assert!(hub.ask(request).await.problem().starts_with("413 body_too_large"));
    let many = format!("/api/v1/machines/db-1/history?{}", "metric=a&".repeat(300));
    assert!(hub.get(&many).await.problem().starts_with("400 bad_query: 300 parameters"));
}

#[tokio::test]
async fn a_hub_on_the_loopback_does_not_answer_to_a_strange_name() {
    let hub =
        Hub::with(WebSettings { hosts: HostPolicy::for_address([127, 0, 0, 1].into(), &[]), ..WebSettings::default() });
    let ask = |host: &str| Request::get("/api/v1/machines").header("host", host).body(Body::empty()).unwrap();
    assert_eq!(hub.ask(ask("localhost:8000")).await.status, StatusCode::OK);
    assert!(hub.ask(ask("evil.example")).await.problem().starts_with("421 unknown_host"));
    assert!(hub.get("/api/v1/machines").await.problem().contains("does not answer to no name"));
}
