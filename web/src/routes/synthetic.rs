//! Synthetic: how long the hub's own made-up transactions take to each exit.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde::Serialize;

use super::json;
use crate::error::Problem;
use crate::params::Params;
use crate::state::{Shared, SyntheticView};

#[derive(Serialize)]
struct Figures {
    time: i64,
    enabled: bool,
    #[serde(flatten)]
    synthetic: SyntheticView,
}

pub(super) async fn figures(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let found = shared.app.stats.synthetic();
    let enabled = found.is_some();
    Ok(json(&Figures { time: shared.now().millis(), enabled, synthetic: found.unwrap_or_default() }))
}
