//! Rule: threshold rules on the wire, both ways. Its words (operators, inputs, severities) are texts there, so that a new one breaks no
//! older client, and are checked here by name.

use model::GroupBy;
use model::command::{RuleListing, RuleSource};
use model::rule::{Input, Operator, Rule, Severity};

use crate::error::WireError;
use crate::pb;

const INPUTS: [Input; 5] = [Input::Sample, Input::MinuteMean, Input::MinuteSum, Input::MinuteCount, Input::MinuteMax];
const OPERATORS: [Operator; 6] = [Operator::Gt, Operator::Gte, Operator::Lt, Operator::Lte, Operator::Eq, Operator::Ne];
const SEVERITIES: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Critical];

pub fn encode_all(listing: &RuleListing) -> pb::RuleList {
    let rules = listing.set.rules.iter();
    pb::RuleList {
        version: listing.set.version,
        rules: rules.map(|rule| encode(rule, listing.source(&rule.name))).collect(),
    }
}

pub fn encode(rule: &Rule, source: RuleSource) -> pb::Rule {
    pb::Rule {
        name: rule.name.clone(),
        metric: rule.metric.clone(),
        input: input(rule.input).to_owned(),
        operator: operator(rule.operator).to_owned(),
        threshold: rule.threshold,
        clear: rule.clear,
        for_s: rule.for_s,
        no_data_s: rule.no_data_s,
        severity: severity(rule.severity).to_owned(),
        enabled: Some(rule.enabled),
        machines: rule.machines.clone(),
        tags: rule.tags.clone(),
        labels: rule.labels.clone(),
        group_by: rule.group_by.iter().map(ToString::to_string).collect(),
        summary: rule.summary.clone(),
        source: self::source(source).to_owned(),
    }
}

/// # Errors
/// Every problem of the rule.
pub fn decode(message: pb::Rule) -> Result<Rule, WireError> {
    let mut problems = Vec::new();
    // Proto has no difference between an empty text and none.
    let input = if message.input.is_empty() {
        Some(Input::Sample)
    } else {
        word("input", &message.input, &INPUTS, input, &mut problems)
    };
    let operator = word("operator", &message.operator, &OPERATORS, operator, &mut problems);
    let severity = word("severity", &message.severity, &SEVERITIES, severity, &mut problems);
    let mut group_by = Vec::new();
    for text in &message.group_by {
        match GroupBy::parse(text) {
            Ok(by) => group_by.push(by),
            Err(problem) => problems.push(format!("group_by: {problem}")),
        }
    }
    let rule = Rule {
        name: message.name,
        metric: message.metric,
        input: input.unwrap_or_default(),
        // Only for the rest to be checked: without a word of its own the rule is refused.
        operator: operator.unwrap_or(Operator::Gt),
        threshold: message.threshold,
        // Which side is calm is the operator's to say.
        clear: message.clear.filter(|_| operator.is_some()),
        for_s: message.for_s,
        no_data_s: message.no_data_s,
        severity: severity.unwrap_or(Severity::Info),
        enabled: message.enabled.unwrap_or(true),
        machines: message.machines,
        tags: message.tags,
        labels: message.labels,
        group_by,
        summary: message.summary,
    };
    problems.extend(rule.problems());
    if problems.is_empty() { Ok(rule) } else { Err(WireError::Rule(problems)) }
}

/// The word of this name; none with a problem noted.
fn word<T: Copy>(
    field: &str,
    given: &str,
    words: &[T],
    name: fn(T) -> &'static str,
    problems: &mut Vec<String>,
) -> Option<T> {
    let found = words.iter().copied().find(|word| name(*word) == given);
    if found.is_none() {
        let names: Vec<&str> = words.iter().map(|word| name(*word)).collect();
        problems.push(format!("{field} {given:?} is not known: use {}", names.join(", ")));
    }
    found
}

fn input(input: Input) -> &'static str {
    match input {
        Input::Sample => "sample",
        Input::MinuteMean => "minute_mean",
        Input::MinuteSum => "minute_sum",
        Input::MinuteCount => "minute_count",
        Input::MinuteMax => "minute_max",
    }
}

fn operator(operator: Operator) -> &'static str {
    match operator {
        Operator::Gt => "gt",
        Operator::Gte => "gte",
        Operator::Lt => "lt",
        Operator::Lte => "lte",
        Operator::Eq => "eq",
        Operator::Ne => "ne",
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

fn source(source: RuleSource) -> &'static str {
    match source {
        RuleSource::File => "file",
        RuleSource::Own => "own",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> pb::Rule {
        pb::Rule {
            name: "busy".into(),
            metric: "system.cpu.utilization".into(),
            operator: "gt".into(),
            threshold: 0.9,
            severity: "info".into(),
            ..pb::Rule::default()
        }
    }

    #[test]
    fn what_is_absent_has_the_defaults_of_a_rule_file() {
        let rule = decode(message()).unwrap();
        assert_eq!((rule.input, rule.enabled, rule.clear), (Input::Sample, true, None));
    }

    #[test]
    fn every_word_reads_back_as_it_was() {
        for (index, operator) in OPERATORS.into_iter().enumerate() {
            let rule = Rule {
                operator,
                input: INPUTS[index % INPUTS.len()],
                severity: SEVERITIES[index % SEVERITIES.len()],
                enabled: index % 2 == 0,
                no_data_s: (index % 2 == 0).then_some(300),
                group_by: vec![GroupBy::Machine, GroupBy::Tag("site".into())],
                ..decode(message()).unwrap()
            };
            assert_eq!(decode(encode(&rule, RuleSource::Own)), Ok(rule));
        }
    }

    #[test]
    fn every_problem_is_listed_at_once() {
        let bad = pb::Rule {
            name: "Bad Name".into(),
            input: "hour".into(),
            operator: "above".into(),
            threshold: f64::NAN,
            clear: Some(2.0),
            severity: String::new(),
            group_by: vec!["site".into()],
            ..message()
        };
        let Err(WireError::Rule(problems)) = decode(bad) else { panic!("refused") };
        assert_eq!(problems.len(), 6, "{problems:?}");
        assert_eq!(problems[1], "operator \"above\" is not known: use gt, gte, lt, lte, eq, ne");
    }
}
