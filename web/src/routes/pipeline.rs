//! Pipeline: the hub's rates, lag, queues and the state of what it stands on.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde::Serialize;

use super::health::Dependency;
use super::json;
use crate::error::Problem;
use crate::openapi::Refused;
use crate::params::Params;
use crate::state::{PipelineView, Shared};

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Pipeline)]
struct Figures {
    time: i64,
    #[serde(flatten)]
    pipeline: PipelineView,
    clients: usize,
    sinks: Vec<Dependency>,
}

/// The hub's rates, lag, queues and sinks.
#[utoipa::path(
    get,
    path = "/api/v1/pipeline",
    tag = "hub",
    responses((status = 200, description = "As asked", body = Figures), Refused<400>)
)]
pub(super) async fn figures(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let health = shared.app.readiness.health();
    Ok(json(&Figures {
        time: shared.now().millis(),
        pipeline: shared.app.stats.pipeline(),
        clients: shared.live.clients(),
        sinks: health.into_iter().map(Dependency::of).collect(),
    }))
}
