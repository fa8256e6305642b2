//! Alert: what the API and the live protocol say of one alert.

use model::catalogue::unit_of;
use model::rule::Operator;
use model::{Alert, AlertState, Cause, Labels, Resolution, Severity, Standing};

#[derive(serde::Serialize)]
pub(crate) struct AlertShape<'a> {
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
    /// `value` or `rule_gone`.
    resolution: Option<Resolution>,
    /// `active`, `silenced` or `inhibited`.
    standing: &'static str,
    /// The silence that it is because of.
    silence: Option<&'a str>,
    summary: &'a str,
}

impl<'a> AlertShape<'a> {
    pub(crate) fn of(alert: &'a Alert) -> Self {
        // Until the graph has said it, an alert is somebody's.
        let standing = alert.standing.as_ref().unwrap_or(&Standing::Active);
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
            resolution: alert.resolution,
            standing: standing.as_str(),
            silence: standing.silence(),
            summary: &alert.rule.summary,
        }
    }
}
