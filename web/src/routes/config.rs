//! Config: the settings that the hub runs with and where each comes from, as `sysmonstm config print` shows them: secrets masked.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde::Serialize;

use super::json;
use crate::error::Problem;
use crate::params::Params;
use crate::state::{SettingView, Shared};

#[derive(Serialize)]
struct Page<'a> {
    version: &'static str,
    settings: &'a [SettingView],
}

pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    Ok(json(&Page { version: shared.app.version, settings: &shared.app.config }))
}
