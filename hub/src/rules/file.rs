//! File: threshold rules as TOML, read strictly and written back.
//!
//! Each rule is a `[[rule]]` with name, metric, operator, threshold and severity, and whatever else it needs. Thresholds are in base
//! units (ratio 0..1, bytes, seconds); under an older metric name (`CPU_PERCENT`) in that name's own unit, and both are brought to base.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use model::catalogue::METRICS;
use model::rule::{Input, Operator, Rule, Severity};
use model::{Catalogue, GroupBy};
use runtime::config::format_duration;
use toml::Value;
use toml::de::{DeTable, DeValue};

use super::problems::{Note, Notes, nearest};
use super::table::RuleTable;

/// Bound of a rule file; a thousand rules with their summaries are a quarter of it.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
pub const RULES_MAX: usize = 1_000;

const KEYS: &[&str] = &[
    "name",
    "metric",
    "input",
    "operator",
    "threshold",
    "clear",
    "for",
    "no_data",
    "severity",
    "enabled",
    "machines",
    "tags",
    "labels",
    "group_by",
    "summary",
];

/// The first name of each is the one that is written.
const OPERATORS: &[(&str, Operator)] = &[
    ("gt", Operator::Gt),
    ("gte", Operator::Gte),
    ("lt", Operator::Lt),
    ("lte", Operator::Lte),
    ("eq", Operator::Eq),
    ("ne", Operator::Ne),
    (">", Operator::Gt),
    (">=", Operator::Gte),
    ("<", Operator::Lt),
    ("<=", Operator::Lte),
    ("==", Operator::Eq),
    ("!=", Operator::Ne),
];

const INPUTS: &[(&str, Input)] = &[
    ("sample", Input::Sample),
    ("minute_mean", Input::MinuteMean),
    ("minute_sum", Input::MinuteSum),
    ("minute_count", Input::MinuteCount),
    ("minute_max", Input::MinuteMax),
];

const SEVERITIES: &[(&str, Severity)] =
    &[("info", Severity::Info), ("warning", Severity::Warning), ("critical", Severity::Critical)];

/// A readable file: its rules, in its order, and what is probably not meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    pub rules: Vec<Rule>,
    pub warnings: Vec<Note>,
}

/// Reads a rule file's text.
///
/// # Errors
/// Every problem, in the file's order.
pub fn parse(text: &str) -> Result<Parsed, Vec<Note>> {
    let mut notes = Notes::of(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        notes.problem(error.span(), format!("this is not TOML: {}", error.message()));
    }
    let rules = read_document(document.get_ref(), &mut notes);
    if RULES_MAX < rules.len() {
        notes.problem(None, format!("{} rules; a file has at most {RULES_MAX}", rules.len()));
    }
    let mut names = BTreeSet::new();
    for rule in &rules {
        if !names.insert(rule.name.as_str()) {
            notes.problem(None, format!("rule {}: the name is used twice", rule.name));
        }
    }
    if notes.problems.is_empty() {
        Ok(Parsed { rules, warnings: notes.warnings })
    } else {
        notes.problems.sort_by_key(|note| note.line.unwrap_or(usize::MAX));
        Err(notes.problems)
    }
}

fn read_document<'t>(document: &DeTable<'t>, notes: &mut Notes<'t>) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (key, value) in document {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("rule", DeValue::Array(items)) => {
                for item in items.iter() {
                    if let DeValue::Table(table) = item.get_ref() {
                        let span = item.span();
                        rules.extend(read_rule(&mut RuleTable { notes, table, span }));
                    } else {
                        notes.problem(Some(item.span()), "a rule is a table: start it with [[rule]]");
                    }
                }
            }
            ("rule", _) => notes.problem(Some(key.span()), "write [[rule]] with two brackets"),
            (name, _) => {
                let hint = nearest(name, ["rule"]);
                notes.problem(Some(key.span()), format!("unknown key {name:?}; a file has only [[rule]]{hint}"));
            }
        }
    }
    rules
}

/// One rule, or nothing when something is wrong with it: then it is in the notes.
fn read_rule(table: &mut RuleTable<'_, '_>) -> Option<Rule> {
    let problems_before = table.notes.problems.len();
    table.refuse_unknown_keys(KEYS);
    let name = table.text("name");
    let metric = table.text("metric");
    let operator = table.word("operator", OPERATORS);
    let threshold = table.number("threshold");
    let severity = table.word("severity", SEVERITIES);
    let (name, metric) = (table.require("name", name), table.require("metric", metric));
    let (operator, threshold) = (table.require("operator", operator), table.require("threshold", threshold));
    let severity = table.require("severity", severity);
    let rule = Rule {
        input: table.word("input", INPUTS).unwrap_or_default(),
        clear: table.number("clear"),
        for_s: table.seconds("for").unwrap_or(0),
        no_data_s: table.seconds("no_data"),
        enabled: table.flag("enabled").unwrap_or(true),
        machines: table.texts("machines").unwrap_or_default(),
        tags: table.pairs("tags").unwrap_or_default(),
        labels: table.pairs("labels").unwrap_or_default(),
        group_by: table.group_by(),
        summary: table.text("summary").unwrap_or_default().to_owned(),
        name: name?.to_owned(),
        metric: metric?.to_owned(),
        operator: operator?,
        threshold: threshold?,
        severity: severity?,
    };
    let rule = rule.in_base_units();
    for problem in rule.problems() {
        table.notes.problem(Some(table.span.clone()), problem);
    }
    if Catalogue::standard().find(&rule.metric).is_none() {
        let hint = nearest(&rule.metric, METRICS.iter().map(|metric| metric.name));
        let message = format!("rule {}: {:?} is not in the catalogue of metrics{hint}", rule.name, rule.metric);
        let span = table.span_of("metric");
        table.notes.warning(Some(span), message);
    }
    (table.notes.problems.len() == problems_before).then_some(rule)
}

/// Writes rules as a file that `parse` reads back. What has its default is left out.
#[must_use]
pub fn to_toml<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> String {
    let mut out = String::new();
    for rule in rules {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str("[[rule]]\n");
        for (key, value) in entries(rule) {
            writeln!(out, "{key} = {value}").expect("a String takes any text");
        }
    }
    out
}

fn entries(rule: &Rule) -> Vec<(&'static str, Value)> {
    let is_default_input = rule.input == Input::default();
    let table = |pairs: &BTreeMap<String, String>| -> toml::Table {
        pairs.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str()))).collect()
    };
    let seconds = |seconds: u32| Value::from(format_duration(Duration::from_secs(seconds.into())));
    let by = |by: &GroupBy| Value::from(by.to_string());
    let machines: Vec<Value> = rule.machines.iter().map(|id| Value::from(id.as_str())).collect();
    let all = [
        Some(("name", Value::from(rule.name.as_str()))),
        Some(("metric", Value::from(rule.metric.as_str()))),
        (!is_default_input).then(|| ("input", Value::from(name_of(INPUTS, rule.input)))),
        Some(("operator", Value::from(name_of(OPERATORS, rule.operator)))),
        Some(("threshold", Value::Float(rule.threshold))),
        rule.clear.map(|clear| ("clear", Value::Float(clear))),
        (rule.for_s != 0).then(|| ("for", seconds(rule.for_s))),
        rule.no_data_s.map(|no_data_s| ("no_data", seconds(no_data_s))),
        Some(("severity", Value::from(name_of(SEVERITIES, rule.severity)))),
        (!rule.enabled).then_some(("enabled", Value::Boolean(false))),
        (!machines.is_empty()).then_some(("machines", Value::Array(machines))),
        (!rule.tags.is_empty()).then(|| ("tags", Value::Table(table(&rule.tags)))),
        (!rule.labels.is_empty()).then(|| ("labels", Value::Table(table(&rule.labels)))),
        (!rule.group_by.is_empty()).then(|| ("group_by", Value::Array(rule.group_by.iter().map(by).collect()))),
        (!rule.summary.is_empty()).then(|| ("summary", Value::from(rule.summary.as_str()))),
    ];
    all.into_iter().flatten().collect()
}

fn name_of<T: PartialEq>(words: &[(&'static str, T)], wanted: T) -> &'static str {
    let found = words.iter().find(|(_, word)| *word == wanted);
    found.map(|(name, _)| *name).expect("the list names every variant")
}
