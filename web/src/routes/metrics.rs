//! Metrics: the hub's own counters, for Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use runtime::metrics::CONTENT_TYPE;

use crate::state::Shared;

/// The hub's own counters, for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "hub",
    responses((status = 200, description = "As asked", body = String, content_type = "text/plain"))
)]
pub(super) async fn text(State(shared): State<Arc<Shared>>) -> Response {
    let media = HeaderValue::from_static(CONTENT_TYPE);
    ([(header::CONTENT_TYPE, media)], shared.app.metrics.render()).into_response()
}
