//! Rule: what the API says of one threshold rule.

use std::collections::BTreeMap;

use model::rule::{Input, Operator};
use model::{Rule, Severity};

#[derive(serde::Serialize)]
pub(crate) struct RuleShape<'a> {
    name: &'a str,
    metric: &'a str,
    input: Input,
    operator: Operator,
    threshold: f64,
    clear: Option<f64>,
    for_s: u32,
    severity: Severity,
    enabled: bool,
    /// Who keeps it: rules come from the rule file until the API may write them.
    source: &'static str,
    summary: &'a str,
    machines: &'a [String],
    tags: &'a BTreeMap<String, String>,
    labels: &'a BTreeMap<String, String>,
}

impl<'a> RuleShape<'a> {
    pub(crate) fn of(rule: &'a Rule) -> Self {
        Self {
            name: &rule.name,
            metric: &rule.metric,
            input: rule.input,
            operator: rule.operator,
            threshold: rule.threshold,
            clear: rule.clear,
            for_s: rule.for_s,
            severity: rule.severity,
            enabled: rule.enabled,
            source: "file",
            summary: &rule.summary,
            machines: &rule.machines,
            tags: &rule.tags,
            labels: &rule.labels,
        }
    }
}
