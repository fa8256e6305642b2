//! Threshold rules: what to watch, when it breaches, when it is clear again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalogue::{ALIASES, METRICS};
use crate::group::{GROUP_BY_MAX, GroupBy};
use crate::ids::MachineId;
use crate::series::Labels;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Operator {
    Gt,
    Gte,
    Lt,
    Lte,
    Eq,
    Ne,
}

impl Operator {
    #[expect(clippy::float_cmp, reason = "`eq` and `ne` are meant for flags and counts, which are exact")]
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Gt => value > threshold,
            Self::Gte => value >= threshold,
            Self::Lt => value < threshold,
            Self::Lte => value <= threshold,
            Self::Eq => value == threshold,
            Self::Ne => value != threshold,
        }
    }
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Each sample, in arrival order, skipping what is not newer than its series' newest; of events that share a time each may fire.
    #[default]
    Sample,
    /// The mean of each closed minute.
    MinuteMean,
    /// The sum of each closed minute (volume).
    MinuteSum,
    /// The number of samples of each closed minute (velocity).
    MinuteCount,
    /// The maximum of each closed minute.
    MinuteMax,
}

/// Name of the built-in rule that a silent machine breaks.
pub const MACHINE_DOWN: &str = "machine-down";

/// Least silence that a rule on samples may ask for.
const NO_DATA_S_MIN: u32 = 10;
/// And one on minutes, which come a minute apart.
const NO_DATA_MINUTE_S_MIN: u32 = 120;

/// One threshold rule. Times are whole seconds of event time, thresholds are in the metric's base unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Unique among rules: lower-case words with dashes.
    #[cfg_attr(feature = "schema", schema(pattern = "^[a-z0-9_-]{1,64}$"))]
    pub name: String,
    #[cfg_attr(feature = "schema", schema(min_length = 1))]
    pub metric: String,
    #[serde(default)]
    pub input: Input,
    pub operator: Operator,
    pub threshold: f64,
    /// Hysteresis: a firing alert resolves when this no longer holds (`threshold` where absent).
    #[serde(default)]
    pub clear: Option<f64>,
    /// How long the breach must last before it fires.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(maximum = 604_800))]
    pub for_s: u32,
    /// Silence that fires the alert too: a series that was seen under this rule and then sends nothing for so many seconds of arrival.
    /// Absent: silence means nothing. It never resolves anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 10, maximum = 604_800))]
    pub no_data_s: Option<u32>,
    pub severity: Severity,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Machine ids it applies to, with `*` and `?`; empty: all.
    #[serde(default)]
    pub machines: Vec<String>,
    /// Tags that the machine must carry, values with `*` and `?`.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Labels that the series must carry, values with `*` and `?`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What its alerts share with others to be one group; empty: each rule is a group of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>, max_items = 8))]
    pub group_by: Vec<GroupBy>,
    /// One line for people.
    #[serde(default)]
    pub summary: String,
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Fault {
    /// Of `Rule`.
    pub field: &'static str,
    /// A sentence that says what to do.
    #[serde(rename = "detail")]
    pub said: String,
}

fn yes() -> bool {
    true
}

impl Rule {
    pub fn breaches(&self, value: f64) -> bool {
        self.operator.holds(value, self.threshold)
    }

    /// Whether a firing alert stays firing at this value.
    pub fn still_holds(&self, value: f64) -> bool {
        self.operator.holds(value, self.clear.unwrap_or(self.threshold))
    }

    /// Everything but the metric: the join on the metric is the caller's.
    pub fn matches(&self, machine: &MachineId, tags: &BTreeMap<String, String>, labels: &Labels) -> bool {
        let tags_match = self.tags.iter().all(|(n, p)| tags.get(n).is_some_and(|v| glob(p, v)));
        tags_match && self.may_match(machine, labels)
    }

    /// As `matches`, of a machine whose tags are not known.
    pub fn may_match(&self, machine: &MachineId, labels: &Labels) -> bool {
        let machine_matches = self.machines.is_empty() || self.machines.iter().any(|p| glob(p, machine.as_str()));
        machine_matches && self.labels.iter().all(|(n, p)| labels.get(n).is_some_and(|v| glob(p, v)))
    }

    /// A rule on an older metric name, as one on the name it stands for.
    #[must_use]
    pub fn in_base_units(mut self) -> Self {
        if let Some(alias) = ALIASES.iter().find(|alias| alias.name == self.metric) {
            self.metric = alias.metric.to_owned();
            // By the same multiplication as the samples, so that a value at the threshold is still at it; a number of samples has no unit.
            if self.input != Input::MinuteCount {
                self.threshold *= alias.scale;
                self.clear = self.clear.map(|clear| clear * alias.scale);
            }
        }
        self
    }

    /// Every problem of the rule, each a sentence that says what to do.
    pub fn problems(&self) -> Vec<String> {
        self.faults().into_iter().map(|fault| fault.said).collect()
    }

    /// What is wrong with a threshold, of a rule in force, that no valid value of its metric lies beyond: mostly a percentage where a
    /// ratio is meant. Not among `faults`, for a rule file of an earlier version may have one.
    pub fn out_of_reach(&self) -> Option<Fault> {
        let metric = METRICS.iter().find(|metric| metric.name == self.metric)?;
        let is_a_value = matches!(self.input, Input::Sample | Input::MinuteMean | Input::MinuteMax);
        // One that is not in force does no harm, and can only so be switched off.
        if !self.enabled || !is_a_value || (metric.min..=metric.max).contains(&self.threshold) {
            return None;
        }
        let Self { name, threshold, .. } = self;
        // A ratio may be a little above 1, as collectors measure it.
        let (metric, min, max) = (metric.name, metric.min, (metric.max * 100.0).round() / 100.0);
        let hint = if metric.ends_with(".utilization") { "; it is a ratio: write 0.9 for 90 %" } else { "" };
        let said = format!(
            "rule {name}: {metric} lies between {min} and {max}, a threshold of {threshold} is never crossed{hint}"
        );
        Some(Fault { field: "threshold", said })
    }

    /// Every problem, each with the field that it is about.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let name_is_fine = !self.name.is_empty()
            && self.name.len() <= 64
            && self.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        let mut check = |field: &'static str, holds: bool, said: String| {
            if !holds {
                faults.push(Fault { field, said });
            }
        };
        check("name", name_is_fine, format!("rule name {:?}: use 1 to 64 of a-z 0-9 - _", self.name));
        let advice = "machine-down is the hub's own alert for a silent machine: call the rule something else";
        check("name", self.name != MACHINE_DOWN, format!("rule {}: {advice}", self.name));
        check("metric", !self.metric.is_empty(), format!("rule {}: name a metric", self.name));
        check(
            "threshold",
            self.threshold.is_finite(),
            format!("rule {}: the threshold must be a finite number", self.name),
        );
        if let Some(clear) = self.clear {
            let is_inside = match self.operator {
                Operator::Gt | Operator::Gte => clear <= self.threshold,
                Operator::Lt | Operator::Lte => clear >= self.threshold,
                Operator::Eq | Operator::Ne => false,
            };
            let wanted = "below it for gt and gte, above it for lt and lte, absent for eq and ne";
            check(
                "clear",
                is_inside,
                format!("rule {}: `clear` must lie on the calm side of the threshold: {wanted}", self.name),
            );
        }
        check("for_s", self.for_s <= 7 * 86_400, format!("rule {}: `for` is at most 7 days", self.name));
        let names: BTreeSet<&GroupBy> = self.group_by.iter().collect();
        let is_inside = names.len() == self.group_by.len() && names.len() <= GROUP_BY_MAX;
        check(
            "group_by",
            is_inside,
            format!("rule {}: `group_by` has at most {GROUP_BY_MAX} names, each once", self.name),
        );
        if let Some(no_data_s) = self.no_data_s {
            let (least, why) = match self.input {
                Input::Sample => (NO_DATA_S_MIN, "a collector's tick is 5 s by default"),
                Input::MinuteMean | Input::MinuteSum | Input::MinuteCount | Input::MinuteMax => {
                    (NO_DATA_MINUTE_S_MIN, "a minute is published when it closes")
                }
            };
            let is_inside = (least..=7 * 86_400).contains(&no_data_s);
            check("no_data_s", is_inside, format!("rule {}: `no_data` is {least} s to 7 days: {why}", self.name));
        }
        faults
    }
}

/// The rules in force, in name order. A later version replaces the earlier one whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleSet {
    pub version: u64,
    pub rules: Vec<Arc<Rule>>,
}

impl RuleSet {
    /// Validates all rules together; every problem is reported at once.
    pub fn new(version: u64, mut rules: Vec<Rule>) -> Result<Self, Vec<String>> {
        let mut problems: Vec<String> = rules.iter().flat_map(Rule::problems).collect();
        let mut names = BTreeSet::new();
        problems.extend(
            rules
                .iter()
                .filter(|r| !names.insert(r.name.clone()))
                .map(|r| format!("rule {}: the name is used twice", r.name)),
        );
        if problems.is_empty() {
            rules.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(Self { version, rules: rules.into_iter().map(Arc::new).collect() })
        } else {
            Err(problems)
        }
    }
}

/// `*` matches any run, `?` one character. Linear in pattern x text, without recursion.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> Rule {
        serde_json::from_str(r#"{"name":"cpu","metric":"system.cpu.utilization","operator":"gt","threshold":0.9,"clear":0.8,"severity":"warning","tags":{"role":"db*"}}"#).unwrap()
    }

    #[test]
    fn a_rule_fires_at_the_threshold_and_holds_until_it_is_clear() {
        let rule = rule();
        assert!(rule.breaches(0.91) && !rule.breaches(0.9));
        assert!(rule.still_holds(0.85) && !rule.still_holds(0.8));
    }

    #[test]
    fn matchers_look_at_machine_tags_and_labels() {
        let machine = MachineId::parse("m1").unwrap();
        let tags = BTreeMap::from([("role".to_owned(), "db-main".to_owned())]);
        assert!(rule().matches(&machine, &tags, &Labels::none()));
        assert!(!rule().matches(&machine, &BTreeMap::new(), &Labels::none()));
        let elsewhere = Rule { machines: vec!["web-*".into()], ..rule() };
        assert!(!elsewhere.matches(&machine, &tags, &Labels::none()));
    }

    #[test]
    fn all_problems_of_a_rule_set_are_reported_at_once() {
        let bad = Rule { name: "Bad Name".into(), clear: Some(0.95), ..rule() };
        let taken = Rule { name: MACHINE_DOWN.into(), ..rule() };
        let problems = RuleSet::new(1, vec![rule(), rule(), bad, taken]).unwrap_err();
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems.iter().any(|problem| problem.contains("call the rule something else")), "{problems:?}");
    }

    #[test]
    fn a_threshold_that_no_value_crosses_is_told() {
        for (metric, input, threshold, expected) in [
            ("system.cpu.utilization", Input::Sample, 1.0, None),
            ("system.cpu.utilization", Input::Sample, 90.0, Some("lies between 0 and 1, a threshold of 90")),
            ("system.cpu.utilization", Input::MinuteSum, 90.0, None),
            ("system.temperature", Input::MinuteMax, -300.0, Some("is never crossed")),
            ("my.own", Input::Sample, 1e300, None),
        ] {
            let rule = Rule { metric: metric.into(), input, threshold, clear: None, ..rule() };
            let said = rule.out_of_reach().map(|fault| fault.said);
            assert_eq!(said.is_some(), expected.is_some(), "{metric} {threshold}: {said:?}");
            assert!(said.unwrap_or_default().contains(expected.unwrap_or_default()));
            assert_eq!(Rule { enabled: false, ..rule }.out_of_reach(), None, "it can be switched off");
        }
    }

    #[test]
    fn silence_is_asked_for_in_bounds() {
        let asked = |no_data_s, input| Rule { no_data_s: Some(no_data_s), input, ..rule() }.problems();
        assert!(asked(10, Input::Sample).is_empty() && asked(120, Input::MinuteCount).is_empty());
        let refused = [(9, Input::Sample), (119, Input::MinuteMean), (7 * 86_400 + 1, Input::Sample)];
        assert!(refused.into_iter().all(|(s, input)| asked(s, input).len() == 1));
        assert!(!serde_json::to_string(&rule()).unwrap().contains("no_data_s"), "a rule without it reads as before");
    }

    #[test]
    fn globs() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("?", "ü", true),
            ("", "a", false),
            ("*a*b*", "xxaxxb", true),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }
}
