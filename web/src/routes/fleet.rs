//! Fleet: minutes of all machines or of those with a tag, from history; the hottest machines of each metric, from memory.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use model::catalogue::unit_of;
use model::fleet::HOTTEST_MAX;
use model::query::{FleetPoints, FleetQuery, OfFleet};
use model::series::{Labels, SeriesKey};
use model::{Catalogue, HottestOf, Tag, Timestamp};
use serde::Serialize;

use super::json;
use crate::error::Problem;
use crate::openapi::{Fleet, Hottest, Refused};
use crate::params::{Params, wrong};
use crate::shapes::machine_id;
use crate::state::Shared;

const DEFAULT_SPAN: Duration = Duration::from_secs(3_600);
/// A week of 24 groups, some 40 bytes each.
const POINTS_MAX: usize = 250_000;
const STEP_MS: i64 = 60_000;

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = FleetRollups)]
struct Rollups<'a> {
    metric: &'a str,
    unit: &'static str,
    from: i64,
    to: i64,
    step_ms: i64,
    partial: bool,
    series: Vec<Series<'a>>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = FleetSeries)]
struct Series<'a> {
    /// `null` for the whole fleet.
    #[schema(required)]
    tag: Option<TagShape<'a>>,
    t: Vec<i64>,
    machines: &'a [u32],
    count: &'a [u64],
    sum: &'a [f64],
    min: &'a [f64],
    max: &'a [f64],
    #[schema(value_type = Vec<Option<f64>>)]
    mean: Vec<f64>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = FleetTag)]
struct TagShape<'a> {
    name: &'a str,
    value: &'a str,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Hottest)]
struct HottestShape<'a> {
    /// Start of the minute; `null` before the first.
    #[schema(required)]
    minute: Option<i64>,
    metrics: Vec<Top<'a>>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = HottestOf)]
struct Top<'a> {
    metric: &'a str,
    unit: &'static str,
    display: &'a str,
    machines: Vec<Ranked<'a>>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = RankedMachine)]
struct Ranked<'a> {
    #[schema(schema_with = machine_id)]
    id: &'a str,
    #[schema(value_type = Option<f64>, required)]
    value: f64,
}

/// A metric's minutes over all machines, or those with a tag.
#[utoipa::path(
    get,
    path = "/api/v1/fleet/rollups",
    tag = "fleet",
    params(Fleet),
    responses(
        (status = 200, description = "As asked", body = Rollups<'static>),
        Refused<400>, Refused<500>, Refused<503>
    )
)]
pub(super) async fn rollups(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["metric", "tag", "from", "to"])?;
    let (from, to) = params.range(shared.now(), DEFAULT_SPAN)?;
    let Some(metric) = metric(&params)? else {
        return Err(Problem::bad_query("`metric` is missing; name one, /api/v1/metrics lists them"));
    };
    let query = FleetQuery { metric: metric.clone(), of: of(&params)?, from, to, points_max: POINTS_MAX };
    let _permit = shared.history_permit().await;
    let answer = shared.app.history.fleet(query).await?;
    if answer.truncated {
        let detail =
            format!("the answer has more than {POINTS_MAX} points; ask for a shorter range or one tag's value");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "too_much", detail));
    }
    Ok(json(&Rollups {
        metric: &metric,
        unit: unit_of(&metric),
        from: from.millis(),
        to: to.millis(),
        step_ms: STEP_MS,
        partial: answer.partial,
        series: answer.series.iter().map(Series::of).collect(),
    }))
}

/// The machines with the highest values in the newest complete minute.
#[utoipa::path(
    get,
    path = "/api/v1/fleet/hottest",
    tag = "fleet",
    params(Hottest),
    responses((status = 200, description = "As asked", body = HottestShape<'static>), Refused<400>)
)]
pub(super) async fn hottest(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["metric", "k"])?;
    let k = params.count("k", HOTTEST_MAX, HOTTEST_MAX)?;
    let metric = metric(&params)?;
    let hottest = shared.app.hot.hottest();
    let all = hottest.iter().flat_map(|hottest| &hottest.metrics);
    let asked = all.filter(|of| metric.as_ref().is_none_or(|metric| *metric == *of.metric));
    let metrics = asked.map(|of| Top::of(of, k)).collect();
    Ok(json(&HottestShape { minute: hottest.as_ref().map(|hottest| hottest.minute.millis()), metrics }))
}

/// The catalogue's name of the metric asked for; one that is not listed is taken as it is.
fn metric(params: &Params) -> Result<Option<String>, Problem> {
    let Some(given) = params.one("metric")? else { return Ok(None) };
    let name = Catalogue::standard().find(given).map_or(given, |metric| metric.name);
    match SeriesKey::parse(name, Labels::none()) {
        Ok(_) => Ok(Some(name.to_owned())),
        Err(invalid) => {
            Err(wrong("metric", "a metric", given, &format!("{}; /api/v1/metrics lists them", invalid.rule)))
        }
    }
}

/// `tag=role=db` is one group, `tag=role` every value, nothing the whole fleet.
fn of(params: &Params) -> Result<OfFleet, Problem> {
    let Some(given) = params.one("tag")? else { return Ok(OfFleet::All) };
    match given.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok(OfFleet::Tag(Tag::new(name, value))),
        None => Ok(OfFleet::Name(given.to_owned())),
        Some(_) => Err(wrong("tag", "a tag", given, "use role=db, or role for each of its values")),
    }
}

impl<'a> Series<'a> {
    fn of(points: &'a FleetPoints) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let mean = points.sum.iter().zip(&points.count).map(|(sum, count)| sum / *count as f64);
        Self {
            tag: points.tag.as_ref().map(|tag| TagShape { name: &tag.name, value: &tag.value }),
            t: points.t.iter().map(|t: &Timestamp| t.millis()).collect(),
            machines: &points.machines,
            count: &points.count,
            sum: &points.sum,
            min: &points.min,
            max: &points.max,
            mean: mean.collect(),
        }
    }
}

impl<'a> Top<'a> {
    fn of(of: &'a HottestOf, k: usize) -> Self {
        let listed = Catalogue::standard().find(&of.metric);
        let machines = of.machines.iter().take(k);
        Self {
            metric: &of.metric,
            unit: unit_of(&of.metric),
            display: listed.map_or(&of.metric, |metric| metric.display),
            machines: machines.map(|(machine, value)| Ranked { id: machine.as_str(), value: *value }).collect(),
        }
    }
}
