//! Preview: what a rule would have done in the last day, judged over what is stored. Nothing is changed by it.
//!
//! Machines are looked at from the worst present value on, one query each, until the bounds below; what was left out is said.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use model::query::{MachineView, RangeAnswer, RangeQuery, SeriesPoints, Tier};
use model::rule::Input;
use model::{Cause, MachineId, Rule, SeriesKey, Timestamp};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::history_shape::{Agg, Fit, Series};
use super::json;
use super::rule_body::{NewRule, Sent, checked};
use crate::error::Problem;
use crate::openapi::Refused;
use crate::params::Params;
use crate::shapes::machine_id;
use crate::state::Shared;
use crate::trial::{self, Trial};

const SPAN: Duration = Duration::from_secs(86_400);
/// Machines that are looked at.
const MACHINES_MAX: usize = 1_000;
/// Points of one machine: a day of 14 series at 5 s; with more, its minutes stand in.
const MACHINE_POINTS_MAX: usize = 250_000;
/// Points of all machines: a second of one core.
const POINTS_MAX: usize = 8_000_000;
/// Machines that are named.
const LISTED_MAX: usize = 20;
/// Of the worst series' chart.
const CHART_POINTS: usize = 600;
const INTERVAL_MS_DEFAULT: i64 = 5_000;

/// Why the answer is not of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PreviewPartial)]
enum Partial {
    /// There was no time for more.
    Deadline,
    /// More machines or points than one preview looks at.
    Bounds,
    /// The store failed for some machine.
    History,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = RulePreview)]
struct Preview<'a> {
    rule: &'a str,
    from: i64,
    to: i64,
    /// The coarsest tier that was judged.
    tier: Tier,
    /// The oldest point that was judged.
    #[schema(required)]
    oldest: Option<i64>,
    fired: usize,
    machines: Machines,
    partial: Vec<Partial>,
    listed: Vec<Listed<'a>>,
    #[schema(required)]
    worst: Option<WorstShape<'a>>,
}

#[derive(Default, Serialize, utoipa::ToSchema)]
#[schema(as = PreviewMachines)]
struct Machines {
    matching: usize,
    examined: usize,
    fired: usize,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = PreviewMachine)]
struct Listed<'a> {
    #[schema(schema_with = machine_id)]
    id: &'a str,
    fired: usize,
    firing_s: i64,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = PreviewWorst)]
struct WorstShape<'a> {
    #[schema(schema_with = machine_id)]
    machine: &'a str,
    #[serde(flatten)]
    series: Series,
    alerts: Vec<EpisodeShape>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = PreviewAlert)]
struct EpisodeShape {
    since: i64,
    #[schema(required)]
    resolved: Option<i64>,
    #[schema(value_type = Option<f64>, required)]
    value: f64,
    cause: Cause,
}

/// A machine that the rule applies to, and how bad its present value is.
struct Candidate {
    view: Arc<MachineView>,
    severity: f64,
}

struct Worst {
    machine: MachineId,
    points: SeriesPoints,
    tier: Tier,
    interval_ms: i64,
    trial: Trial,
}

/// What has been found so far.
struct Found {
    tier: Tier,
    oldest: Option<Timestamp>,
    fired: usize,
    points: usize,
    machines: Machines,
    partial: Vec<Partial>,
    listed: Vec<(MachineId, usize, i64)>,
    worst: Option<Worst>,
}

/// What a rule would have done in the last 24 hours; changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/rules/preview",
    tag = "rules",
    request_body = NewRule,
    responses(
        (status = 200, description = "As asked", body = Preview<'static>),
        Refused<400>, Refused<403>, Refused<415>, Refused<422>, Refused<500>, Refused<503>
    )
)]
pub(super) async fn preview(State(shared): State<Arc<Shared>>, uri: Uri, sent: Sent) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let rule = checked(sent.unnamed_rule()?)?;
    // Half of the request's time: what is found must still be told.
    let deadline = Instant::now() + shared.app.settings.request_timeout / 2;
    let to = shared.now();
    let candidates = candidates(&shared.app.hot.machines(), &rule);
    let _alone = shared.preview_permits.acquire().await.expect("the semaphore is never closed");
    let _permit = shared.history_permit().await;
    let mut found = examine(&shared, &rule, candidates, (to, deadline)).await?;
    Ok(json(&found.shape(&rule, to)))
}

/// From the worst on. The machine's own series say what it applies to; made-up machines count only where the rule names them.
fn candidates(views: &[Arc<MachineView>], rule: &Rule) -> Vec<Candidate> {
    let is_asked = |view: &MachineView| !view.machine.is_synthetic() || !rule.machines.is_empty();
    let mut found: Vec<Candidate> = views
        .iter()
        .filter(|view| is_asked(view))
        .filter_map(|view| Some(Candidate { severity: present(view, rule)?, view: Arc::clone(view) }))
        .collect();
    found.sort_by(|a, b| b.severity.partial_cmp(&a.severity).unwrap_or(Ordering::Equal));
    found
}

/// The worst present value of the rule's series on a machine; `None` where it has none of them.
fn present(view: &MachineView, rule: &Rule) -> Option<f64> {
    let (roster, info) = (view.roster.as_ref()?, view.info.as_ref());
    let series = roster.series.iter().zip(&view.values).filter(|(key, _)| applies(view, rule, key));
    let severities = series.map(|(_, value)| trial::severity(rule, *value));
    // An absent value is not a number and must not come out on top.
    let known = severities.map(|severity| if severity.is_nan() { f64::NEG_INFINITY } else { severity });
    info.and(known.reduce(f64::max))
}

fn applies(view: &MachineView, rule: &Rule, key: &SeriesKey) -> bool {
    let tags = view.info.as_ref().map(|info| &info.tags);
    *key.metric == *rule.metric && tags.is_some_and(|tags| rule.matches(&view.machine, tags, &key.labels))
}

async fn examine(
    shared: &Shared,
    rule: &Rule,
    candidates: Vec<Candidate>,
    (to, deadline): (Timestamp, Instant),
) -> Result<Found, Problem> {
    let tier = tier_of(rule, shared.app.history.kept(Tier::Raw));
    let mut found = Found::new(tier, candidates.len());
    for Candidate { view, .. } in candidates {
        if MACHINES_MAX <= found.machines.examined || POINTS_MAX <= found.points {
            found.partial.push(Partial::Bounds);
            break;
        }
        match timeout_at(deadline, fetch(shared, rule, &view.machine, (tier, to))).await {
            Err(_elapsed) => {
                found.partial.push(Partial::Deadline);
                break;
            }
            Ok(Ok((tier, answer))) => found.take(rule, &view, (tier, answer), to),
            // A store that is down answers nobody; one machine's failure must not hide the others'.
            Ok(Err(problem)) if found.machines.examined == 0 => return Err(problem),
            Ok(Err(_logged)) if found.partial.contains(&Partial::History) => break,
            Ok(Err(_logged)) => found.partial.push(Partial::History),
        }
    }
    Ok(found)
}

fn tier_of(rule: &Rule, raw_kept: Duration) -> Tier {
    if rule.input == Input::Sample && SPAN <= raw_kept { Tier::Raw } else { Tier::Minute }
}

/// A machine's points of the rule's metric; its minutes where it has too many samples.
async fn fetch(
    shared: &Shared,
    rule: &Rule,
    machine: &MachineId,
    (tier, to): (Tier, Timestamp),
) -> Result<(Tier, RangeAnswer), Problem> {
    let ask = |tier| RangeQuery {
        machine: machine.clone(),
        metrics: vec![rule.metric.clone()],
        from: to - SPAN,
        to,
        tier,
        points_max: MACHINE_POINTS_MAX,
    };
    let answer = shared.app.history.range(ask(tier)).await?;
    if !answer.truncated || tier != Tier::Raw {
        return Ok((tier, answer));
    }
    Ok((Tier::Minute, shared.app.history.range(ask(Tier::Minute)).await?))
}

impl Found {
    fn new(tier: Tier, matching: usize) -> Self {
        Self {
            tier,
            oldest: None,
            fired: 0,
            points: 0,
            machines: Machines { matching, ..Machines::default() },
            partial: Vec::new(),
            listed: Vec::new(),
            worst: None,
        }
    }

    fn take(&mut self, rule: &Rule, view: &MachineView, (tier, answer): (Tier, RangeAnswer), to: Timestamp) {
        self.tier = self.tier.max(tier);
        self.machines.examined += 1;
        if answer.truncated && !self.partial.contains(&Partial::Bounds) {
            self.partial.push(Partial::Bounds);
        }
        let (mut fired, mut firing_us) = (0, 0);
        for points in answer.series {
            self.points += points.t.len();
            if !points.key.as_ref().is_some_and(|key| applies(view, rule, key)) {
                continue;
            }
            let trial = trial::run(rule, &points, tier, to);
            self.oldest = points.t.first().copied().into_iter().chain(self.oldest).min();
            (fired, firing_us) = (fired + trial.fired, firing_us + trial.firing_us);
            if self.worst.as_ref().is_none_or(|worst| rank(&worst.trial) < rank(&trial)) {
                let interval_ms = view.info.as_ref().map_or(0, |info| i64::from(info.interval_ms));
                self.worst = Some(Worst { machine: view.machine.clone(), points, tier, interval_ms, trial });
            }
        }
        self.fired += fired;
        if fired > 0 {
            self.machines.fired += 1;
            self.listed.push((view.machine.clone(), fired, firing_us / 1_000_000));
        }
    }

    fn shape<'a>(&'a mut self, rule: &'a Rule, to: Timestamp) -> Preview<'a> {
        self.listed.sort_by_key(|(_, fired, firing_s)| std::cmp::Reverse((*firing_s, *fired)));
        let listed = self.listed.iter().take(LISTED_MAX);
        Preview {
            rule: &rule.name,
            from: (to - SPAN).millis(),
            to: to.millis(),
            tier: self.tier,
            oldest: self.oldest.map(Timestamp::millis),
            fired: self.fired,
            machines: std::mem::take(&mut self.machines),
            partial: std::mem::take(&mut self.partial),
            listed: listed
                .map(|(id, fired, firing_s)| Listed { id: id.as_str(), fired: *fired, firing_s: *firing_s })
                .collect(),
            worst: self.worst.as_mut().and_then(|worst| worst.shape(rule, to)),
        }
    }
}

/// Worse is higher: the longest time firing, then the value that is nearest to the threshold or farthest beyond.
fn rank(trial: &Trial) -> (usize, i64, f64) {
    (usize::from(trial.fired > 0), trial.firing_us, trial.severity.unwrap_or(f64::NEG_INFINITY))
}

impl Worst {
    fn shape(&mut self, rule: &Rule, to: Timestamp) -> Option<WorstShape<'_>> {
        let agg = match rule.input {
            Input::Sample | Input::MinuteMean => Agg::Avg,
            Input::MinuteSum => Agg::Sum,
            Input::MinuteCount => Agg::Count,
            Input::MinuteMax => Agg::Max,
        };
        let interval_ms = if self.interval_ms == 0 { INTERVAL_MS_DEFAULT } else { self.interval_ms };
        let fit = Fit { from: to - SPAN, to, tier: self.tier, agg, points_max: CHART_POINTS, interval_ms };
        let alerts = self.trial.episodes.iter().map(|one| EpisodeShape {
            since: one.since.millis(),
            resolved: one.resolved.map(Timestamp::millis),
            value: one.value,
            cause: one.cause,
        });
        let alerts = alerts.collect();
        let series = Series::of(std::mem::take(&mut self.points), fit)?;
        Some(WorstShape { machine: self.machine.as_str(), series, alerts })
    }
}
