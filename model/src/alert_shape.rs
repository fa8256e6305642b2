//! Alert as JSON: the one shape in which the API, the live protocol, Redis and the event bus tell of an alert.
//!
//! Times in milliseconds since the Unix epoch, values in base units. docs/schema has it as a JSON schema.

use serde::Serialize;

use crate::alert::{Alert, AlertState, Cause, Resolution};
use crate::catalogue::unit_of;
use crate::rule::{Operator, Severity};
use crate::series::Labels;
use crate::time::Timestamp;

#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = Alert))]
pub struct AlertShape<'a> {
    pub id: &'a str,
    pub rule: &'a str,
    #[cfg_attr(feature = "schema", schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]*$", min_length = 1))]
    pub machine: &'a str,
    pub metric: &'a str,
    #[cfg_attr(feature = "schema", schema(value_type = std::collections::BTreeMap<String, String>))]
    pub labels: &'a Labels,
    pub severity: Severity,
    pub state: AlertState,
    pub cause: Cause,
    pub operator: Operator,
    pub threshold: f64,
    pub value: f64,
    pub unit: &'static str,
    pub since: i64,
    #[cfg_attr(feature = "schema", schema(required))]
    pub resolved: Option<i64>,
    /// `value` or `rule_gone`; none while it fires.
    #[cfg_attr(feature = "schema", schema(required))]
    pub resolution: Option<Resolution>,
    /// `active`, `silenced` or `inhibited`; none while that is not known.
    #[cfg_attr(feature = "schema", schema(required))]
    pub standing: Option<&'static str>,
    /// The silence that it is because of.
    #[cfg_attr(feature = "schema", schema(required))]
    pub silence: Option<&'a str>,
    pub summary: &'a str,
}

impl<'a> AlertShape<'a> {
    pub fn of(alert: &'a Alert) -> Self {
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
            resolved: alert.resolved.map(Timestamp::millis),
            resolution: alert.resolution,
            standing: alert.standing.as_ref().map(|standing| standing.as_str()),
            silence: alert.standing.as_ref().and_then(|standing| standing.silence()),
            summary: &alert.rule.summary,
        }
    }
}
