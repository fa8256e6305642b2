//! Catalogue: the metrics that the hub knows by name.

use axum::response::Response;
use http::Uri;
use model::catalogue::{ALIASES, Kind, METRICS, Metric};
use serde::Serialize;

use super::json;
use crate::error::Problem;
use crate::openapi::Refused;
use crate::params::Params;

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = MetricPage)]
struct Page {
    metrics: Vec<MetricShape>,
    #[schema(required)]
    next: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Metric)]
struct MetricShape {
    name: &'static str,
    unit: &'static str,
    kind: Kind,
    display: &'static str,
    aliases: Vec<&'static str>,
    /// Valid range, both ends included; `null` where there is no end.
    #[schema(required)]
    min: Option<f64>,
    #[schema(required)]
    max: Option<f64>,
}

/// The catalogue of metrics, short and fixed, so it comes whole.
#[utoipa::path(
    get,
    path = "/api/v1/metrics",
    tag = "catalogue",
    responses((status = 200, description = "As asked", body = Page), Refused<400>)
)]
pub(super) async fn list(uri: Uri) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    Ok(json(&Page { metrics: METRICS.iter().map(MetricShape::of).collect(), next: None }))
}

impl MetricShape {
    fn of(metric: &Metric) -> Self {
        let aliases = ALIASES.iter().filter(|alias| alias.metric == metric.name);
        Self {
            name: metric.name,
            unit: metric.unit,
            kind: metric.kind,
            display: metric.display,
            aliases: aliases.map(|alias| alias.name).collect(),
            min: Some(metric.min).filter(|min| f64::MIN < *min),
            max: Some(metric.max).filter(|max| *max < f64::MAX),
        }
    }
}
