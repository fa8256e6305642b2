//! Dead letters: samples that were refused, with the reason.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use model::{RejectReason, Rejected};
use serde::Serialize;

use super::json;
use crate::error::Problem;
use crate::params::{Params, next_offset};
use crate::state::Shared;

const LIMIT: usize = 100;

#[derive(Serialize)]
struct Page<'a> {
    dead_letters: Vec<DeadLetter<'a>>,
    next: Option<String>,
}

#[derive(Serialize)]
struct DeadLetter<'a> {
    machine: &'a str,
    reason: RejectReason,
    count: u32,
    /// Arrival.
    time: i64,
    detail: &'a str,
}

/// Newest first.
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["limit", "cursor"])?;
    let (limit, offset) = (params.limit(LIMIT)?, params.offset()?);
    let found = shared.app.history.dead_letters(offset, limit + 1).await?;
    Ok(json(&Page {
        dead_letters: found.iter().take(limit).map(DeadLetter::of).collect(),
        next: next_offset(offset, limit, found.len()),
    }))
}

impl<'a> DeadLetter<'a> {
    fn of(rejected: &'a Rejected) -> Self {
        Self {
            machine: rejected.machine.as_str(),
            reason: rejected.reason,
            count: rejected.count,
            time: rejected.arrival.millis(),
            detail: &rejected.detail,
        }
    }
}
