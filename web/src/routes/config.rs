//! Config: the settings that the hub runs with and where each comes from, as `sysmonstm config print` shows them: secrets masked.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde::Serialize;

use super::json;
use crate::error::Problem;
use crate::openapi::Refused;
use crate::params::Params;
use crate::state::{SettingView, Shared};

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Config)]
struct Page<'a> {
    version: &'static str,
    settings: &'a [SettingView],
}

/// The settings that the hub runs with, secrets masked.
#[utoipa::path(
    get,
    path = "/api/v1/config",
    tag = "hub",
    responses((status = 200, description = "As asked", body = Page<'static>), Refused<400>)
)]
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    Ok(json(&Page { version: shared.app.version, settings: &shared.app.config }))
}
