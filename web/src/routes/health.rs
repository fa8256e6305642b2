//! Health: whether the process answers, and whether the hub can do its work.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use model::query::Health;
use serde::Serialize;

use super::json;
use crate::starting::ReplayView;
use crate::state::Shared;

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Alive {
    status: &'static str,
    version: &'static str,
}

#[derive(Serialize, utoipa::ToSchema)]
struct Ready {
    status: Readiness,
    version: &'static str,
    dependencies: Vec<Dependency>,
    /// Only while the hub starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<ReplayView>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum Readiness {
    Ready,
    /// Something that is not required is down.
    Degraded,
    Unavailable,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Dependency {
    name: &'static str,
    status: &'static str,
    required: bool,
    since: i64,
    #[schema(required)]
    latency_ms: Option<f64>,
    #[schema(required)]
    last_error: Option<String>,
    /// Of a sink's circuit breaker.
    #[serde(skip_serializing_if = "Option::is_none")]
    circuit: Option<&'static str>,
    /// Product and version of an outside store.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Whether the process answers.
#[utoipa::path(get, path = "/health", tag = "health", responses((status = 200, description = "As asked", body = Alive)))]
pub(super) async fn alive(State(shared): State<Arc<Shared>>) -> Response {
    json(&Alive::of(shared.app.version))
}

impl Alive {
    pub(crate) fn of(version: &'static str) -> Self {
        Self { status: "alive", version }
    }
}

/// What `/ready` says of a hub that replays its journal.
pub(crate) fn replaying(version: &'static str, health: Health, replay: ReplayView) -> Response {
    let dependencies = vec![Dependency::of(health)];
    let body = json(&Ready { status: Readiness::Unavailable, version, dependencies, replay: Some(replay) });
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}

/// Whether the hub can do its work.
#[utoipa::path(
    get,
    path = "/ready",
    tag = "health",
    responses(
        (status = 200, description = "As asked", body = Ready), (status = 503, description = "Ingest or the dashboard cannot work", body = Ready),

    )
)]
pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let health = shared.app.readiness.health();
    let status = verdict(&health);
    let body = json(&Ready {
        status,
        version: shared.app.version,
        dependencies: health.into_iter().map(Dependency::of).collect(),
        replay: None,
    });
    match status {
        Readiness::Ready | Readiness::Degraded => body,
        Readiness::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, body).into_response(),
    }
}

fn verdict(health: &[Health]) -> Readiness {
    if health.iter().any(|one| !one.is_up && one.is_required) {
        return Readiness::Unavailable;
    }
    if health.iter().any(|one| !one.is_up) {
        return Readiness::Degraded;
    }
    Readiness::Ready
}

impl Dependency {
    pub(super) fn of(health: Health) -> Self {
        Self {
            name: health.name,
            status: if health.is_up { "up" } else { "down" },
            required: health.is_required,
            since: health.since_ms,
            latency_ms: health.latency_ms,
            last_error: health.last_error,
            circuit: health.circuit,
            detail: health.detail,
        }
    }
}
