//! History: one machine's series over a range, from the tier that suits it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use model::query::{RangeAnswer, RangeQuery, Tier};
use model::series::{Labels, SeriesKey};
use model::{Catalogue, MachineId, Timestamp, Width, Window};

use super::history_shape::{Agg, Fit, HistoryShape, MinuteRows, Series};
use super::{OfMachine, json, unknown_machine};
use crate::error::Problem;
use crate::params::{Params, wrong};
use crate::state::Shared;
use crate::tier;

const KNOWN: &[&str] = &["metric", "from", "to", "agg", "max_points", "tier"];
const DEFAULT_SPAN: Duration = Duration::from_secs(3_600);
const POINTS_DEFAULT: usize = 600;
const POINTS_MAX: usize = 10_000;
/// Names in one query.
const METRICS_MAX: usize = 64;
/// Points that a store reads for one answer: 16 bytes each when raw, some 60 as windows.
const STORE_POINTS_MAX: usize = 250_000;
/// Minute rows are not thinned out, so they come beside raw samples of a day at most.
const MINUTE_ROWS_SPAN_MAX: Duration = Duration::from_secs(86_400);
/// A machine that never said how often it sends.
const INTERVAL_MS_DEFAULT: i64 = 5_000;

struct Asked {
    machine: MachineId,
    metrics: Vec<String>,
    from: Timestamp,
    to: Timestamp,
    agg: Agg,
    points_max: usize,
    /// `None`: as suits the range.
    tier: Option<Tier>,
}

pub(super) async fn history(
    State(shared): State<Arc<Shared>>,
    OfMachine(machine): OfMachine,
    uri: Uri,
) -> Result<Response, Problem> {
    let asked = Asked::read(machine, &uri, shared.now())?;
    let permit = shared.history_permits.acquire().await;
    let _permit = permit.expect("the semaphore is never closed");
    let (tier, answer) = fetch(&shared, &asked).await?;
    let view = shared.app.hot.machine(&asked.machine);
    if view.is_none() && answer.series.is_empty() {
        return Err(unknown_machine(&asked.machine));
    }
    let has_minutes = tier == Tier::Raw && asked.to.since(asked.from) <= MINUTE_ROWS_SPAN_MAX;
    let minute = if has_minutes { Some(minute_rows(&shared, &asked).await?) } else { None };
    let interval_ms = view.and_then(|view| view.info.as_ref().map(|info| i64::from(info.interval_ms)));
    let fit = Fit {
        from: asked.from,
        to: asked.to,
        tier,
        agg: asked.agg,
        points_max: asked.points_max,
        interval_ms: interval_ms.filter(|ms| *ms != 0).unwrap_or(INTERVAL_MS_DEFAULT),
    };
    let series: Vec<Series> = answer.series.into_iter().filter_map(|points| Series::of(points, fit)).collect();
    let window_ms = tier::window(tier).map(|window| i64::try_from(window.as_millis()).unwrap_or(i64::MAX));
    Ok(json(&HistoryShape {
        machine: asked.machine.as_str(),
        from: asked.from.millis(),
        to: asked.to.millis(),
        tier,
        step_ms: series.iter().map(|series| series.step_ms).min().unwrap_or(window_ms.unwrap_or(fit.interval_ms)),
        partial: answer.partial,
        series,
        minute,
    }))
}

impl Asked {
    fn read(machine: MachineId, uri: &Uri, now: Timestamp) -> Result<Self, Problem> {
        const TIERS: &[(&str, Option<Tier>)] =
            &[("auto", None), ("raw", Some(Tier::Raw)), ("minute", Some(Tier::Minute)), ("hour", Some(Tier::Hour))];
        let params = Params::read(uri, KNOWN)?;
        let (from, to) = params.range(now, DEFAULT_SPAN)?;
        Ok(Self {
            machine,
            metrics: metrics(&params)?,
            from,
            to,
            agg: params.choice("agg", Agg::WORDS, Agg::Avg)?,
            points_max: params.count("max_points", POINTS_MAX, POINTS_DEFAULT)?.max(2),
            tier: params.choice("tier", TIERS, None)?,
        })
    }

    fn query(&self, tier: Tier) -> RangeQuery {
        // The window that `from` falls into belongs to the range: its first part is what was asked for.
        let from = match tier {
            Tier::Raw => self.from,
            Tier::Minute => Window::containing(self.from, Width::Minute).start,
            Tier::Hour => Window::containing(self.from, Width::Hour).start,
        };
        RangeQuery {
            machine: self.machine.clone(),
            metrics: self.metrics.clone(),
            from,
            to: self.to,
            tier,
            points_max: STORE_POINTS_MAX,
        }
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

/// Reads the range; where the tier was left to us and has too many points, from the next coarser one.
async fn fetch(shared: &Shared, asked: &Asked) -> Result<(Tier, RangeAnswer), Problem> {
    let store = &shared.app.history;
    let chosen = || tier::choose(asked.from, asked.to, shared.now(), |tier| store.kept(tier));
    let mut tier = asked.tier.unwrap_or_else(chosen);
    loop {
        let answer = store.range(asked.query(tier)).await?;
        if !answer.truncated {
            return Ok((tier, answer));
        }
        tier = match tier::coarser(tier).filter(|_| asked.tier.is_none()) {
            Some(coarser) => coarser,
            None => return Err(too_much()),
        };
    }
}

async fn minute_rows(shared: &Shared, asked: &Asked) -> Result<Vec<MinuteRows>, Problem> {
    let answer = shared.app.history.range(asked.query(Tier::Minute)).await?;
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
