//! Guard: what every request passes before it is answered, and every answer before it leaves.
//!
//! Limits of size and time, the host check, the security headers, and the counters.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use runtime::metrics::LATENCY_SECONDS;

use crate::error::Problem;
use crate::state::Shared;

/// Path and query; hyper's own ceiling is the size of the whole head.
const URI_BYTES_MAX: usize = 8 * 1024;
/// A rule is the largest that anybody sends; where nothing is to be sent, a small body is tolerated and not read.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

pub(crate) const ALWAYS: [(HeaderName, HeaderValue); 4] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
];

pub(crate) async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned());
    let started_us = shared.app.clock.monotonic_us();
    let mut response = match admit(&shared, &request) {
        Ok(()) => answer(shared.app.settings.request_timeout, request, next).await,
        Err(problem) => problem.into_response(),
    };
    for (name, value) in ALWAYS {
        response.headers_mut().insert(name, value);
    }
    // What is live must not be kept; assets have said already how long they may be.
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(no_store);
    let took = Duration::from_micros(shared.app.clock.monotonic_us().saturating_sub(started_us));
    count(&shared, &route, response.status(), took);
    response
}

fn admit(shared: &Shared, request: &Request) -> Result<(), Problem> {
    let uri_bytes = request.uri().path_and_query().map_or(0, |text| text.as_str().len());
    if URI_BYTES_MAX < uri_bytes {
        let detail = format!("the address has {uri_bytes} bytes; use at most {URI_BYTES_MAX}");
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "uri_too_long", detail));
    }
    let length = request.headers().get(header::CONTENT_LENGTH);
    let body_bytes = length.and_then(|text| text.to_str().ok()?.parse::<u64>().ok()).unwrap_or(0);
    if (BODY_BYTES_MAX as u64) < body_bytes {
        let detail = format!("the body has {body_bytes} bytes; send at most {BODY_BYTES_MAX}");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail));
    }
    shared.app.settings.hosts.check(request.uri(), request.headers())
}

async fn answer(within: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(within, next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => {
            let detail = format!("no answer within {} s; ask for less, or later", within.as_secs());
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "request_timeout", detail).into_response()
        }
    }
}

fn count(shared: &Shared, route: &str, status: StatusCode, took: Duration) {
    let metrics = &shared.app.metrics;
    let labels = &[("route", route), ("status", status.as_str())];
    metrics.counter("web_requests_total", "Answered HTTP requests.", labels).increment();
    let help = "Time to answer an HTTP request.";
    metrics.histogram("web_request_seconds", help, &[("route", route)], LATENCY_SECONDS).observe(took.as_secs_f64());
}
