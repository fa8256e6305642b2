//! The description of the API for programs: OpenAPI 3.1.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};

use crate::openapi;

/// This document.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    tag = "hub",
    responses(
        (status = 200, description = "As asked", body = serde_json::Value, content_type = "application/json"),

    )
)]
pub(super) async fn document() -> Response {
    let media = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, media)], openapi::DOCUMENT.as_str()).into_response()
}
