//! Machines: the list, one machine, its newest values. All from memory.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use model::query::MachineView;
use model::{Status, Timestamp};
use serde::Serialize;

use super::{OfMachine, SYNTHETIC, json, unknown_machine};
use crate::error::Problem;
use crate::openapi::{MachinePath, Machines, Refused, Synthetic};
use crate::params::{LIMIT_MAX, Params};
use crate::shapes::machine::{FullMachineShape, MachineShape};
use crate::shapes::{SeriesShape, machine_id, millis};
use crate::state::{ArrivalView, Shared};

const STATUSES: &[(&str, Option<Status>)] =
    &[("up", Some(Status::Up)), ("stale", Some(Status::Stale)), ("down", Some(Status::Down))];

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = MachinePage)]
struct Page<'a> {
    machines: Vec<MachineShape<'a>>,
    /// Id of the last machine listed.
    #[schema(required)]
    next: Option<&'a str>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct Metrics<'a> {
    #[schema(schema_with = machine_id)]
    machine: &'a str,
    /// Event time of the newest value.
    #[schema(required)]
    time: Option<i64>,
    metrics: Vec<MetricValue<'a>>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct MetricValue<'a> {
    #[serde(flatten)]
    series: SeriesShape<'a>,
    #[schema(value_type = Option<f64>, required)]
    value: f64,
    #[schema(required)]
    time: Option<i64>,
}

/// A machine with all that is known of it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = MachineAnswer)]
struct One<'a> {
    #[serde(flatten)]
    machine: FullMachineShape<'a>,
    arrivals: ArrivalView,
}

/// Machines, in id order.
#[utoipa::path(
    get,
    path = "/api/v1/machines",
    tag = "machines",
    params(Machines, Synthetic),
    responses((status = 200, description = "As asked", body = Page<'static>), Refused<400>)
)]
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["limit", "cursor", "status", "q", "synthetic"])?;
    let limit = params.limit(LIMIT_MAX)?;
    let after = params.machine("cursor")?;
    let status = params.choice("status", STATUSES, None)?;
    let wanted = params.one("q")?.map(str::to_lowercase);
    let with_synthetic = params.choice("synthetic", SYNTHETIC, false)?;
    let views = shared.app.hot.machines();
    let mut found = views
        .iter()
        .filter(|view| with_synthetic || !view.machine.is_synthetic())
        .filter(|view| after.as_ref().is_none_or(|after| *after < view.machine))
        .filter(|view| status.is_none_or(|status| status == view.status))
        .filter(|view| wanted.as_ref().is_none_or(|wanted| mentions(view, wanted)));
    let page: Vec<_> = found.by_ref().take(limit).collect();
    let next = found.next().and(page.last()).map(|last| last.machine.as_str());
    Ok(json(&Page { machines: page.iter().map(|view| MachineShape::summary(view)).collect(), next }))
}

/// One machine with all its series, and how its samples come.
#[utoipa::path(
    get,
    path = "/api/v1/machines/{id}",
    tag = "machines",
    params(MachinePath),
    responses((status = 200, description = "As asked", body = One<'static>), Refused<400>, Refused<404>)
)]
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    OfMachine(id): OfMachine,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let view = shared.app.hot.machine(&id).ok_or_else(|| unknown_machine(&id))?;
    let arrivals = shared.app.stats.arrivals(&id);
    Ok(json(&One { machine: FullMachineShape::of(&view), arrivals }))
}

/// The newest value of each series.
#[utoipa::path(
    get,
    path = "/api/v1/machines/{id}/metrics",
    tag = "machines",
    params(MachinePath),
    responses((status = 200, description = "As asked", body = Metrics<'static>), Refused<400>, Refused<404>)
)]
pub(super) async fn metrics(
    State(shared): State<Arc<Shared>>,
    OfMachine(id): OfMachine,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let view = shared.app.hot.machine(&id).ok_or_else(|| unknown_machine(&id))?;
    let keys = view.roster.iter().flat_map(|roster| roster.series.iter());
    let values = keys.zip(view.values.iter().zip(&view.times));
    let newest = view.times.iter().copied().max().unwrap_or(Timestamp::MIN);
    Ok(json(&Metrics {
        machine: view.machine.as_str(),
        time: millis(newest),
        metrics: values
            .map(|(key, (value, time))| MetricValue {
                series: SeriesShape::of(key),
                value: *value,
                time: millis(*time),
            })
            .collect(),
    }))
}

/// `q`: part of the id or of a tag, as `role:db` or `db`, in any case.
fn mentions(view: &MachineView, wanted: &str) -> bool {
    let tags = view.info.iter().flat_map(|info| info.tags.iter());
    view.machine.as_str().to_lowercase().contains(wanted)
        || tags.map(|(name, value)| format!("{name}:{value}").to_lowercase()).any(|tag| tag.contains(wanted))
}
