//! Dead letters: what was refused, with the reason; and how to send it again.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};
use model::RejectReason;
use model::audit::{Action, Deed};
use model::command::{ResendError, ResendReport, Resending};
use model::query::DeadLetterQuery;
use serde::Serialize;

use super::{Named, json};
use crate::asker::Asker;
use crate::error::Problem;
use crate::openapi::{LetterPath, Letters, Paging, ReasonOnly, Refused};
use crate::params::{Params, next_offset};
use crate::shapes::dead_letter::{DeadLetterShape, FullShape, ReportShape};
use crate::state::Shared;

const LIMIT: usize = 100;

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = DeadLetterPage)]
struct Page<'a> {
    dead_letters: Vec<DeadLetterShape<'a>>,
    #[schema(required)]
    next: Option<String>,
}

/// What was refused, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/dead-letters",
    tag = "dead_letters",
    params(Paging, Letters, ReasonOnly),
    responses(
        (status = 200, description = "As asked", body = Page<'static>),
        Refused<400>, Refused<500>, Refused<503>
    )
)]
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["limit", "cursor", "reason", "state"])?;
    let (limit, offset, reason) = (params.limit(LIMIT)?, params.offset()?, reason(&params)?);
    let is_waiting = params.choice("state", &[("all", false), ("waiting", true)], false)?;
    let query = DeadLetterQuery { reason, is_waiting, offset, limit: limit + 1, id: None };
    let found = shared.app.history.dead_letters(query).await?;
    Ok(json(&Page {
        dead_letters: found.iter().take(limit).map(DeadLetterShape::of).collect(),
        next: next_offset(offset, limit, found.len()),
    }))
}

/// One dead letter with what was kept of it.
#[utoipa::path(
    get,
    path = "/api/v1/dead-letters/{letter}",
    tag = "dead_letters",
    params(LetterPath),
    responses(
        (status = 200, description = "As asked", body = FullShape<'static>),
        Refused<400>, Refused<404>, Refused<500>, Refused<503>
    )
)]
pub(super) async fn one(State(shared): State<Arc<Shared>>, Named(id): Named, uri: Uri) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let query = DeadLetterQuery { id: Some(id.clone()), limit: 1, ..DeadLetterQuery::default() };
    match shared.app.history.dead_letters(query).await?.first() {
        Some(letter) => Ok(json(&FullShape::of(letter))),
        None => Err(ResendError::NotFound(id).into()),
    }
}

/// Send a dead letter again: its samples as any others, or its row to the server that refused it.
///
/// Answers once the samples are durable, or the row is stored.
#[utoipa::path(
    post,
    path = "/api/v1/dead-letters/{letter}/resend",
    tag = "dead_letters",
    params(LetterPath),
    responses(
        (status = 200, description = "As asked", body = ReportShape<'static>),
        Refused<400>, Refused<403>, Refused<404>, Refused<409>, Refused<500>, Refused<503>
    )
)]
pub(super) async fn resend(
    State(shared): State<Arc<Shared>>,
    Named(id): Named,
    Asker(by): Asker,
    (uri, headers): (Uri, HeaderMap),
) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    shared.app.settings.hosts.check_origin(&uri, &headers)?;
    let deed = Deed::new(by, Action::LettersResent, &id, "");
    let samples = on_record(&shared, deed, shared.app.dead_letters.resend(id)).await?;
    Ok(json(&ReportShape::of(&ResendReport { letters: 1, samples, ..ResendReport::default() })))
}

/// Send dead letters again, all or those of one reason: some in each call, until there are no more.
#[utoipa::path(
    post,
    path = "/api/v1/dead-letters/resend",
    tag = "dead_letters",
    params(ReasonOnly),
    responses(
        (status = 200, description = "As asked", body = ReportShape<'static>),
        Refused<400>, Refused<403>, Refused<500>, Refused<503>
    )
)]
pub(super) async fn resend_all(
    State(shared): State<Arc<Shared>>,
    Asker(by): Asker,
    (uri, headers): (Uri, HeaderMap),
) -> Result<Response, Problem> {
    let reason = reason(&Params::read(&uri, &["reason"])?)?;
    shared.app.settings.hosts.check_origin(&uri, &headers)?;
    let which = reason.map_or("refused for any reason", RejectReason::as_str);
    let deed = Deed::new(by, Action::LettersResent, "all", &format!("of those that wait: {which}"));
    let report = on_record(&shared, deed, shared.app.dead_letters.resend_all(reason)).await?;
    Ok(json(&ReportShape::of(&report)))
}

/// The record first, so that nothing comes in of which nobody could tell who asked for it (U-1).
async fn on_record<T>(shared: &Shared, deed: Deed, resending: Resending<'_, T>) -> Result<T, Problem> {
    shared.app.audit.record(deed.clone()).await?;
    let resent = resending.await;
    if let Err(refused) = &resent {
        // A record that cannot be written either has said so in the log.
        shared.app.audit.record(deed.failing(&refused.to_string())).await.ok();
    }
    Ok(resent?)
}

fn reason(params: &Params) -> Result<Option<RejectReason>, Problem> {
    params.choice("reason", &RejectReason::ALL.map(|reason| (reason.as_str(), Some(reason))), None)
}

impl From<ResendError> for Problem {
    fn from(error: ResendError) -> Self {
        let said = error.to_string();
        match error {
            ResendError::NotFound(_) => Self::not_found("unknown_dead_letter", said),
            ResendError::Never(_) => Self::new(StatusCode::CONFLICT, "never_accepted", said),
            ResendError::Refused { .. } => Self::new(StatusCode::CONFLICT, "refused_again", said),
            ResendError::Store(error) => error.into(),
            ResendError::Stopping => Self::unavailable("stopping", said),
        }
    }
}
