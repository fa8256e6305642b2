//! History: one machine's series over a range, or a metric of several machines, from the tier that suits it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use model::catalogue::unit_of;
use model::query::{MachineView, RangeAnswer, RangeQuery, Tier};
use model::series::{Labels, SeriesKey};
use model::{Catalogue, MachineId, Timestamp, Width, Window};

use super::history_shape::{Agg, Fit, HistoryShape, MachineShape, MachinesShape, MinuteRows, Series};
use super::{OfMachine, json, unknown_machine};
use crate::error::Problem;
use crate::openapi::{HistoryOf, HistoryOfMachines, MachinePath, Refused};
use crate::params::{Params, wrong};
use crate::state::Shared;
use crate::tier;

const KNOWN: &[&str] = &["metric", "from", "to", "agg", "max_points", "tier"];
const KNOWN_OF_MACHINES: &[&str] = &["machine", "metric", "from", "to", "agg", "max_points", "tier"];
const DEFAULT_SPAN: Duration = Duration::from_secs(3_600);
pub(crate) const POINTS_DEFAULT: usize = 600;
pub(crate) const POINTS_MAX: usize = 10_000;
/// Names in one query.
pub(crate) const METRICS_MAX: usize = 64;
/// Points that a store reads for one answer: 16 bytes each when raw, some 60 as windows.
const STORE_POINTS_MAX: usize = 250_000;
/// Minute rows are not thinned out, so they come beside raw samples of a day at most.
const MINUTE_ROWS_SPAN_MAX: Duration = Duration::from_secs(86_400);
/// A machine that never said how often it sends.
const INTERVAL_MS_DEFAULT: i64 = 5_000;

/// Machines in one query.
pub(crate) const MACHINES_MAX: usize = 24;

struct Asked {
    metrics: Vec<String>,
    from: Timestamp,
    to: Timestamp,
    agg: Agg,
    points_max: usize,
    /// `None`: as suits the range.
    tier: Option<Tier>,
}

/// Series of a machine over a range.
#[utoipa::path(
    get,
    path = "/api/v1/machines/{id}/history",
    tag = "machines",
    params(MachinePath, HistoryOf),
    responses(
        (status = 200, description = "As asked", body = HistoryShape<'static>),
        Refused<400>, Refused<404>, Refused<500>, Refused<503>
    )
)]
pub(super) async fn history(
    State(shared): State<Arc<Shared>>,
    OfMachine(machine): OfMachine,
    uri: Uri,
) -> Result<Response, Problem> {
    let asked = Asked::read(&Params::read(&uri, KNOWN)?, shared.now())?;
    let _permit = shared.history_permit().await;
    let (tier, mut answers) = fetch(&shared, &asked, std::slice::from_ref(&machine)).await?;
    let answer = answers.pop().unwrap_or_default();
    let view = shared.app.hot.machine(&machine);
    if view.is_none() && answer.series.is_empty() {
        return Err(unknown_machine(&machine));
    }
    let has_minutes = tier == Tier::Raw && asked.to.since(asked.from) <= MINUTE_ROWS_SPAN_MAX;
    let minute = if has_minutes { Some(minute_rows(&shared, &asked, &machine).await?) } else { None };
    let fit = asked.fit(tier, view.as_deref());
    let series: Vec<Series> = answer.series.into_iter().filter_map(|points| Series::of(points, fit)).collect();
    Ok(json(&HistoryShape {
        machine: machine.as_str(),
        from: asked.from.millis(),
        to: asked.to.millis(),
        tier,
        step_ms: step_ms(series.iter(), fit),
        partial: answer.partial,
        series,
        minute,
    }))
}

/// One metric of several machines over a range, all from one tier, so that they can be laid over each other.
#[utoipa::path(
    get,
    path = "/api/v1/history",
    tag = "history",
    params(HistoryOfMachines),
    responses(
        (status = 200, description = "As asked", body = MachinesShape<'static>),
        Refused<400>, Refused<500>, Refused<503>
    )
)]
pub(super) async fn of_machines(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    let params = Params::read(&uri, KNOWN_OF_MACHINES)?;
    let (machines, asked) = (machines(&params)?, Asked::read(&params, shared.now())?);
    let [metric] = asked.metrics.as_slice() else {
        return Err(Problem::bad_query("name one `metric`; /api/v1/metrics lists them"));
    };
    let _permit = shared.history_permit().await;
    let (tier, answers) = fetch(&shared, &asked, &machines).await?;
    let mut shape = MachinesShape {
        metric,
        unit: unit_of(metric),
        from: asked.from.millis(),
        to: asked.to.millis(),
        tier,
        step_ms: 0,
        partial: answers.iter().any(|answer| answer.partial),
        machines: Vec::new(),
        unknown: Vec::new(),
    };
    for (machine, answer) in machines.iter().zip(answers) {
        let view = shared.app.hot.machine(machine);
        if view.is_none() && answer.series.is_empty() {
            shape.unknown.push(machine.as_str());
            continue;
        }
        let fit = asked.fit(tier, view.as_deref());
        let series = answer.series.into_iter().filter_map(|points| Series::of(points, fit)).collect();
        shape.machines.push(MachineShape { machine: machine.as_str(), series });
    }
    let all = shape.machines.iter().flat_map(|machine| &machine.series);
    shape.step_ms = step_ms(all, asked.fit(tier, None));
    Ok(json(&shape))
}

/// The smallest step of the series; without one that of the tier.
fn step_ms<'a>(series: impl Iterator<Item = &'a Series>, fit: Fit) -> i64 {
    let window_ms = tier::window(fit.tier).map(|window| i64::try_from(window.as_millis()).unwrap_or(i64::MAX));
    series.map(|series| series.step_ms).min().unwrap_or(window_ms.unwrap_or(fit.interval_ms))
}

/// The machines asked for, each once.
fn machines(params: &Params) -> Result<Vec<MachineId>, Problem> {
    let mut machines = Vec::new();
    for given in params.all("machine") {
        let machine =
            MachineId::parse(given).map_err(|invalid| wrong("machine", "a machine id", given, invalid.rule))?;
        if !machines.contains(&machine) {
            machines.push(machine);
        }
    }
    if machines.is_empty() || MACHINES_MAX < machines.len() {
        let detail = format!("{} machines are named; give `machine` 1 to {MACHINES_MAX} times", machines.len());
        return Err(Problem::bad_query(detail));
    }
    Ok(machines)
}

impl Asked {
    fn read(params: &Params, now: Timestamp) -> Result<Self, Problem> {
        const TIERS: &[(&str, Option<Tier>)] =
            &[("auto", None), ("raw", Some(Tier::Raw)), ("minute", Some(Tier::Minute)), ("hour", Some(Tier::Hour))];
        let (from, to) = params.range(now, DEFAULT_SPAN)?;
        Ok(Self {
            metrics: metrics(params)?,
            from,
            to,
            agg: params.choice("agg", Agg::WORDS, Agg::Avg)?,
            points_max: params.count("max_points", POINTS_MAX, POINTS_DEFAULT)?.max(2),
            tier: params.choice("tier", TIERS, None)?,
        })
    }

    /// What points of a machine are made to fit.
    fn fit(&self, tier: Tier, view: Option<&MachineView>) -> Fit {
        let interval_ms = view.and_then(|view| view.info.as_ref().map(|info| i64::from(info.interval_ms)));
        Fit {
            from: self.from,
            to: self.to,
            tier,
            agg: self.agg,
            points_max: self.points_max,
            interval_ms: interval_ms.filter(|ms| *ms != 0).unwrap_or(INTERVAL_MS_DEFAULT),
        }
    }

    fn query(&self, machine: &MachineId, tier: Tier, points_max: usize) -> RangeQuery {
        // The window that `from` falls into belongs to the range: its first part is what was asked for.
        let from = match tier {
            Tier::Raw => self.from,
            Tier::Minute => Window::containing(self.from, Width::Minute).start,
            Tier::Hour => Window::containing(self.from, Width::Hour).start,
        };
        RangeQuery { machine: machine.clone(), metrics: self.metrics.clone(), from, to: self.to, tier, points_max }
    }
}

/// Catalogue names of the metrics asked for; a name that is not listed is taken as it is.
fn metrics(params: &Params) -> Result<Vec<String>, Problem> {
    let mut names = Vec::new();
    for given in params.all("metric") {
        let name = Catalogue::standard().find(given).map_or(given, |metric| metric.name);
        if let Err(invalid) = SeriesKey::parse(name, Labels::none()) {
            return Err(wrong("metric", "a metric", given, &format!("{}; /api/v1/metrics lists them", invalid.rule)));
        }
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    if METRICS_MAX < names.len() {
        let detail = format!("`metric` is given {} times; name at most {METRICS_MAX}, or none for all", names.len());
        return Err(Problem::bad_query(detail));
    }
    Ok(names)
}

/// Reads the range of each machine; where the tier was left to us and has too many points, from the next coarser one.
async fn fetch(shared: &Shared, asked: &Asked, machines: &[MachineId]) -> Result<(Tier, Vec<RangeAnswer>), Problem> {
    let store = &shared.app.history;
    let chosen = || tier::choose(asked.from, asked.to, shared.now(), |tier| store.kept(tier));
    let points_max = STORE_POINTS_MAX / machines.len().max(1);
    let mut tier = asked.tier.unwrap_or_else(chosen);
    'tier: loop {
        let mut answers = Vec::with_capacity(machines.len());
        for machine in machines {
            let answer = store.range(asked.query(machine, tier, points_max)).await?;
            if answer.truncated {
                tier = tier::coarser(tier).filter(|_| asked.tier.is_none()).ok_or_else(too_much)?;
                continue 'tier;
            }
            answers.push(answer);
        }
        return Ok((tier, answers));
    }
}

async fn minute_rows(shared: &Shared, asked: &Asked, machine: &MachineId) -> Result<Vec<MinuteRows>, Problem> {
    let answer = shared.app.history.range(asked.query(machine, Tier::Minute, STORE_POINTS_MAX)).await?;
    if answer.truncated {
        return Err(too_much());
    }
    Ok(answer.series.into_iter().filter_map(MinuteRows::of).collect())
}

fn too_much() -> Problem {
    let detail = format!(
        "the answer has more than {STORE_POINTS_MAX} points; ask for fewer metrics, a shorter range or a coarser tier"
    );
    Problem::new(StatusCode::BAD_REQUEST, "too_much", detail)
}
