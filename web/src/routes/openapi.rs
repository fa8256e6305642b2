//! The description of the API for programs: OpenAPI 3.1.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};

use crate::openapi;

pub(super) async fn document() -> Response {
    let media = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, media)], openapi::DOCUMENT.as_str()).into_response()
}
