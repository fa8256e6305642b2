//! Alerts: those that fire now, from memory, and those of the past, from history.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use model::query::AlertQuery;
use serde::Serialize;

use super::{SYNTHETIC, json};
use crate::error::Problem;
use crate::openapi::{AlertTimes, OfAlert, Paging, Refused, Synthetic};
use crate::params::{LIMIT_MAX, Params, next_offset};
use crate::shapes::alert::shown;
use crate::shapes::group::GroupShape;
use crate::state::Shared;

const HISTORY_LIMIT: usize = 100;
const HISTORY_SPAN: Duration = Duration::from_secs(7 * 86_400);

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AlertPage)]
struct Page<'a> {
    alerts: Vec<model::AlertShape<'a>>,
    #[schema(required)]
    next: Option<String>,
}

/// Firing alerts, worst first, then newest.
#[utoipa::path(
    get,
    path = "/api/v1/alerts",
    tag = "alerts",
    params(Paging, Synthetic),
    responses((status = 200, description = "As asked", body = Page<'static>), Refused<400>)
)]
pub(super) async fn active(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["limit", "cursor", "synthetic"])?;
    let (limit, offset) = (params.limit(LIMIT_MAX)?, params.offset()?);
    let with_synthetic = params.choice("synthetic", SYNTHETIC, false)?;
    let mut alerts = shared.app.hot.alerts();
    alerts.retain(|alert| with_synthetic || !alert.is_synthetic());
    let rest = alerts.get(offset..).unwrap_or_default();
    Ok(json(&Page {
        alerts: rest.iter().take(limit).map(|alert| shown(alert)).collect(),
        next: next_offset(offset, limit, rest.len()),
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
struct GroupPage<'a> {
    groups: Vec<GroupShape<'a>>,
    #[schema(required)]
    next: Option<String>,
}

/// Firing alerts by what they share: worst first, then the group with the most active ones.
#[utoipa::path(
    get,
    path = "/api/v1/alerts/groups",
    tag = "alerts",
    params(Paging),
    responses((status = 200, description = "As asked", body = GroupPage<'static>), Refused<400>)
)]
pub(super) async fn groups(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["limit", "cursor"])?;
    let (limit, offset) = (params.limit(LIMIT_MAX)?, params.offset()?);
    let groups = shared.app.hot.groups();
    let rest = groups.get(offset..).unwrap_or_default();
    Ok(json(&GroupPage {
        groups: rest.iter().take(limit).map(|(key, group)| GroupShape::of(key, group)).collect(),
        next: next_offset(offset, limit, rest.len()),
    }))
}

/// Alerts of the past, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/alerts/history",
    tag = "alerts",
    params(AlertTimes, OfAlert, Paging),
    responses(
        (status = 200, description = "As asked", body = Page<'static>),
        Refused<400>, Refused<500>, Refused<503>
    )
)]
pub(super) async fn history(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["from", "to", "machine", "rule", "limit", "cursor"])?;
    let (limit, offset) = (params.limit(HISTORY_LIMIT)?, params.offset()?);
    let (from, to) = params.range(shared.now(), HISTORY_SPAN)?;
    let query = AlertQuery {
        from,
        to,
        machine: params.machine("machine")?,
        rule: params.one("rule")?.map(str::to_owned),
        offset,
        limit: limit + 1,
    };
    let alerts = shared.app.history.alerts(query).await?;
    Ok(json(&Page {
        alerts: alerts.iter().take(limit).map(shown).collect(),
        next: next_offset(offset, limit, alerts.len()),
    }))
}
