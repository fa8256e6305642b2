//! Alert: what happened (an event), and what fires (in a machine's document).

use model::catalogue::unit_of;
use model::rule::Operator;
use model::{Alert, AlertState, Cause, Change, Labels, Severity, Transition};

use super::event;
use crate::bus::{Event, Topic};

#[derive(serde::Serialize)]
pub(super) struct AlertShape<'a> {
    id: &'a str,
    rule: &'a str,
    machine: &'a str,
    metric: &'a str,
    labels: &'a Labels,
    severity: Severity,
    state: AlertState,
    cause: Cause,
    operator: Operator,
    threshold: f64,
    value: f64,
    unit: &'static str,
    since: i64,
    resolved: Option<i64>,
    /// `active`, `silenced` or `inhibited`; none while that is not known, as in an event.
    standing: Option<&'static str>,
    summary: &'a str,
}

#[derive(serde::Serialize)]
struct EventShape<'a> {
    /// The same in every repetition of the event: an event comes at least once, and may come again after a failure.
    key: String,
    #[serde(flatten)]
    alert: AlertShape<'a>,
}

/// The event of a transition.
pub fn alert(transition: &Transition) -> Event {
    let alert = Alert::after(transition);
    let (topic, change) = match transition.change {
        Change::Fired => (Topic::AlertsFired, "fired"),
        Change::Resolved => (Topic::AlertsResolved, "resolved"),
    };
    let shape = EventShape { key: format!("{}:{change}", alert.id), alert: AlertShape::of(&alert) };
    event(topic, &transition.machine, &shape)
}

impl<'a> AlertShape<'a> {
    pub(super) fn of(alert: &'a Alert) -> Self {
        Self {
            id: &alert.id,
            rule: &alert.rule.name,
            machine: alert.machine.as_str(),
            metric: &alert.series.metric,
            labels: &alert.series.labels,
            severity: alert.rule.severity,
            state: alert.state,
            cause: alert.cause,
            operator: alert.rule.operator,
            threshold: alert.rule.threshold,
            value: alert.value,
            unit: unit_of(&alert.series.metric),
            since: alert.since.millis(),
            resolved: alert.resolved.map(model::Timestamp::millis),
            standing: alert.standing.as_ref().map(model::Standing::as_str),
            summary: &alert.rule.summary,
        }
    }
}
