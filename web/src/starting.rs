//! Starting: what a hub answers while it replays its journal: alive, not ready and how far it is, and a page that says so to a person.
//!
//! Everything else is refused as unavailable, not as unknown: a hub that starts must not deny machines that it knows.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use model::query::Health;

use crate::error::Problem;
use crate::guard;
use crate::host::HostPolicy;
use crate::routes::health::{Alive, replaying};
use crate::routes::{SCREENS, json};

/// How far a replay is.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Replay)]
pub struct ReplayView {
    /// Of the journal's bytes.
    pub percent: f64,
    /// Logical time that it has come to, in microseconds since the epoch.
    pub t: u64,
    pub samples: u64,
    pub samples_per_s: f64,
    /// Seconds left at this rate; unknown before the first step.
    #[schema(required)]
    pub eta_s: Option<f64>,
}

/// Who knows how far the start is.
pub trait StartProgress: Send + Sync {
    /// Never waits.
    fn replay(&self) -> ReplayView;
    /// As a dependency that is down.
    fn health(&self) -> Health;
}

/// What the hub hands in while it starts.
#[derive(Clone)]
pub struct Starting {
    pub progress: Arc<dyn StartProgress>,
    pub hosts: HostPolicy,
    /// Of the program, as in `0.1.0`.
    pub version: &'static str,
}

pub(crate) fn router(starting: Starting) -> Router {
    let mut router = Router::new();
    for path in ["/health", "/healthz", "/-/healthy"] {
        router = router.route(path, get(alive));
    }
    for path in ["/ready", "/readyz", "/-/ready"] {
        router = router.route(path, get(ready));
    }
    for path in SCREENS {
        router = router.route(path, get(page));
    }
    router.fallback(refused).layer(from_fn_with_state(starting.clone(), check)).with_state(starting)
}

/// The host check and the headers of every other answer of the hub.
async fn check(State(starting): State<Starting>, request: Request, next: Next) -> Response {
    let mut response = match starting.hosts.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in guard::ALWAYS.into_iter().chain([no_store]) {
        response.headers_mut().insert(name, value);
    }
    response
}

async fn alive(State(starting): State<Starting>) -> Response {
    json(&Alive::of(starting.version))
}

async fn ready(State(starting): State<Starting>) -> Response {
    replaying(starting.version, starting.progress.health(), starting.progress.replay())
}

async fn refused(State(starting): State<Starting>) -> Problem {
    let said = starting.progress.health().last_error.unwrap_or_default();
    Problem::unavailable("replaying", format!("the hub starts: {said}; /ready says when it is done"))
}

/// Asks again every second, so that the dashboard appears by itself. Without a script or a style, because those are the dashboard's.
async fn page(State(starting): State<Starting>) -> Response {
    let ReplayView { percent, samples, eta_s, .. } = starting.progress.replay();
    let left = eta_s.map_or_else(String::new, |seconds| format!(", about {seconds:.0} s left"));
    let body = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"1\">\
         <title>sysmonstm is replaying</title></head><body>\n<h1>The hub is replaying its journal</h1>\n\
         <p><progress max=\"100\" value=\"{percent:.0}\"></progress> {percent:.0} %, {samples} samples{left}.</p>\n\
         <p>Nothing is lost: collectors keep their samples and send them once the hub is ready.</p>\n</body></html>\n"
    );
    let media = (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let again = (header::RETRY_AFTER, HeaderValue::from_static("1"));
    (StatusCode::SERVICE_UNAVAILABLE, [media, again], body).into_response()
}
