//! Synthetic: how long the hub's own made-up transactions take to each exit.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde::Serialize;

use super::json;
use crate::error::Problem;
use crate::openapi::Refused;
use crate::params::Params;
use crate::state::{Shared, SyntheticView};

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Synthetic)]
struct Figures {
    time: i64,
    enabled: bool,
    #[serde(flatten)]
    synthetic: SyntheticView,
}

/// How long made-up transactions take through the hub.
#[utoipa::path(
    get,
    path = "/api/v1/synthetic",
    tag = "synthetic",
    responses((status = 200, description = "As asked", body = Figures), Refused<400>)
)]
pub(super) async fn figures(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let found = shared.app.stats.synthetic();
    let enabled = found.is_some();
    Ok(json(&Figures { time: shared.now().millis(), enabled, synthetic: found.unwrap_or_default() }))
}
