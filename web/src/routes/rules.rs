//! Rules: those in force, in name order.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde::Serialize;

use super::json;
use crate::error::Problem;
use crate::params::{LIMIT_MAX, Params, next_offset};
use crate::shapes::rule::RuleShape;
use crate::state::Shared;

#[derive(Serialize)]
struct Page<'a> {
    rules: Vec<RuleShape<'a>>,
    next: Option<String>,
    version: u64,
}

pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["limit", "cursor"])?;
    let (limit, offset) = (params.limit(LIMIT_MAX)?, params.offset()?);
    let set = shared.app.rules.rules();
    let rest = set.rules.get(offset..).unwrap_or_default();
    Ok(json(&Page {
        rules: rest.iter().take(limit).map(|rule| RuleShape::of(rule)).collect(),
        next: next_offset(offset, limit, rest.len()),
        version: set.version,
    }))
}
