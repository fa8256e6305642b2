//! Rules: those in force, in name order, and changes of the hub's own ones.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri};
use model::RuleSet;
use model::command::{RuleChange, RuleError, RuleSource};
use serde::Serialize;

use super::rule_body::{NewRule, Sent, checked};
use super::{Named, json};
use crate::asker::Asker;
use crate::error::Problem;
use crate::openapi::{Paging, Refused, RulePath};
use crate::params::{LIMIT_MAX, Params, next_offset};
use crate::shapes::rule::RuleShape;
use crate::state::Shared;

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = RulePage)]
struct Page<'a> {
    rules: Vec<RuleShape<'a>>,
    #[schema(required)]
    next: Option<String>,
    version: u64,
}

/// Threshold rules in force, in name order.
#[utoipa::path(
    get,
    path = "/api/v1/rules",
    tag = "rules",
    params(Paging),
    responses((status = 200, description = "As asked", body = Page<'static>), Refused<400>)
)]
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["limit", "cursor"])?;
    let (limit, offset) = (params.limit(LIMIT_MAX)?, params.offset()?);
    let listing = shared.app.rules.listing();
    let rest = listing.set.rules.get(offset..).unwrap_or_default();
    let shape = |rule| RuleShape::of(rule, listing.source(&rule.name), shared.app.stats.as_ref());
    Ok(json(&Page {
        rules: rest.iter().take(limit).map(|rule| shape(rule)).collect(),
        next: next_offset(offset, limit, rest.len()),
        version: listing.set.version,
    }))
}

/// One rule in force.
#[utoipa::path(
    get,
    path = "/api/v1/rules/{name}",
    tag = "rules",
    params(RulePath),
    responses((status = 200, description = "As asked", body = RuleShape<'static>), Refused<400>, Refused<404>)
)]
pub(super) async fn one(State(shared): State<Arc<Shared>>, Named(name): Named, uri: Uri) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let listing = shared.app.rules.listing();
    answer(&shared, &listing.set, &name, listing.source(&name))
}

/// Make a rule of the hub's own.
#[utoipa::path(
    post,
    path = "/api/v1/rules",
    tag = "rules",
    request_body = NewRule,
    responses(
        (status = 201, description = "As asked", body = RuleShape<'static>),
        Refused<400>, Refused<403>, Refused<409>, Refused<415>, Refused<422>, Refused<500>, Refused<503>
    )
)]
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    Asker(by): Asker,
    uri: Uri,
    sent: Sent,
) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let rule = checked(sent.rule(None)?)?;
    let name = rule.name.clone();
    let set = shared.app.rules.change(RuleChange::Create(rule), by).await?;
    Ok((StatusCode::CREATED, answer(&shared, &set, &name, RuleSource::Own)?).into_response())
}

/// Replace a rule of the hub's own whole.
#[utoipa::path(
    put,
    path = "/api/v1/rules/{name}",
    tag = "rules",
    params(RulePath),
    request_body = NewRule,
    responses(
        (status = 200, description = "As asked", body = RuleShape<'static>),
        Refused<400>, Refused<403>, Refused<404>, Refused<409>, Refused<415>, Refused<422>, Refused<500>, Refused<503>
    )
)]
pub(super) async fn update(
    State(shared): State<Arc<Shared>>,
    Named(name): Named,
    Asker(by): Asker,
    uri: Uri,
    sent: Sent,
) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let rule = checked(sent.rule(Some(&name))?)?;
    let set = shared.app.rules.change(RuleChange::Update(rule), by).await?;
    answer(&shared, &set, &name, RuleSource::Own)
}

/// Delete a rule of the hub's own; its alerts resolve.
#[utoipa::path(
    delete,
    path = "/api/v1/rules/{name}",
    tag = "rules",
    params(RulePath),
    responses(
        (status = 204, description = "Done"),
        Refused<400>, Refused<403>, Refused<404>, Refused<409>, Refused<500>, Refused<503>
    )
)]
pub(super) async fn delete(
    State(shared): State<Arc<Shared>>,
    Named(name): Named,
    Asker(by): Asker,
    (uri, headers): (Uri, HeaderMap),
) -> Result<StatusCode, Problem> {
    Params::read(&uri, &[])?;
    shared.app.settings.hosts.check_origin(&uri, &headers)?;
    shared.app.rules.change(RuleChange::Delete(name), by).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn answer(shared: &Shared, set: &RuleSet, name: &str, source: RuleSource) -> Result<Response, Problem> {
    match set.rules.iter().find(|rule| rule.name == name) {
        Some(rule) => Ok(json(&RuleShape::of(rule, source, shared.app.stats.as_ref()))),
        None => Err(RuleError::NotFound(name.to_owned()).into()),
    }
}

impl From<RuleError> for Problem {
    fn from(error: RuleError) -> Self {
        let said = error.to_string();
        match error {
            RuleError::Invalid(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_rule", said),
            RuleError::FromFile(_) => Self::new(StatusCode::CONFLICT, "rule_from_file", said),
            RuleError::Exists(_) => Self::new(StatusCode::CONFLICT, "rule_exists", said),
            RuleError::NotFound(_) => Self::not_found("unknown_rule", said),
            RuleError::TooMany(_) => Self::new(StatusCode::CONFLICT, "too_many_rules", said),
            RuleError::Store(_) => {
                // The cause names a file: it is in the log, not for whoever asked.
                let said = "the rules could not be written to disk, nothing changed; the hub's log says why";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "rules_not_stored", said)
            }
            RuleError::Stopping => Self::unavailable("stopping", said),
        }
    }
}
