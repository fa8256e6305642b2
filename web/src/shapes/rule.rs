//! Rule: what the API says of one threshold rule.

use std::collections::BTreeMap;

use model::command::RuleSource;
use model::rule::{Input, Operator};
use model::{GroupBy, Rule, Severity};

use crate::state::HubStatsSource;

#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = Rule)]
pub(crate) struct RuleShape<'a> {
    name: &'a str,
    metric: &'a str,
    input: Input,
    operator: Operator,
    threshold: f64,
    #[schema(required)]
    clear: Option<f64>,
    for_s: u32,
    #[schema(required)]
    no_data_s: Option<u32>,
    severity: Severity,
    enabled: bool,
    /// Who keeps it: a file's rules are changed in the file only.
    source: RuleSource,
    /// Series of this hub's machines that the rule applies to and is not held against: `pipeline.bindings_max` has no place left for them.
    unjudged_series: u64,
    summary: &'a str,
    machines: &'a [String],
    tags: &'a BTreeMap<String, String>,
    labels: &'a BTreeMap<String, String>,
    #[schema(value_type = Vec<String>)]
    group_by: &'a [GroupBy],
}

impl<'a> RuleShape<'a> {
    pub(crate) fn of(rule: &'a Rule, source: RuleSource, stats: &dyn HubStatsSource) -> Self {
        Self {
            name: &rule.name,
            metric: &rule.metric,
            input: rule.input,
            operator: rule.operator,
            threshold: rule.threshold,
            clear: rule.clear,
            for_s: rule.for_s,
            no_data_s: rule.no_data_s,
            severity: rule.severity,
            enabled: rule.enabled,
            source,
            unjudged_series: stats.unjudged(&rule.name),
            summary: &rule.summary,
            machines: &rule.machines,
            tags: &rule.tags,
            labels: &rule.labels,
            group_by: &rule.group_by,
        }
    }
}
