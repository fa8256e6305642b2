//! Choice: which machines and metrics may be seen outside, and under which names. Whatever is not chosen here is not looked at again (E-1).

use std::collections::BTreeMap;

use model::rule::glob;
use model::{Catalogue, Labels, MachineId};

use crate::protocol::{CELLS_MAX, Column, Kind, MACHINES_MAX, METRICS_MAX, is_name};

/// The loopback's traffic is what a machine tells itself.
const LOOPBACK: &str = "lo";
/// Where a machine's id is meant in a name.
const ID: &str = "{id}";

/// The allow-list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Globs on ids; empty: any id, if there are `tags`.
    machines: Vec<String>,
    /// Tags that a machine must carry, all of them; values are globs.
    tags: Vec<(String, String)>,
    namings: Vec<Naming>,
    /// Never empty.
    pub(super) metrics: Vec<Chosen>,
    pub(super) machines_max: usize,
}

/// What some machines are called.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Naming {
    pattern: String,
    name: String,
}

/// A metric that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    metric: String,
    pub(super) column: Column,
    is_highest: bool,
}

/// What a machine is to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Called {
    /// Place of its naming among all, for the order on the page.
    pub(super) rank: usize,
    pub(super) name: String,
    /// One of many, which get numbers.
    pub(super) is_numbered: bool,
}

/// As people write it down.
#[derive(Debug, Clone, Default)]
pub struct ChoiceText {
    pub machines: Vec<String>,
    /// `name=value` each.
    pub tags: Vec<String>,
    /// A metric, or `metric=Label`, each.
    pub metrics: Vec<String>,
    /// `pattern=Name` each.
    pub names: Vec<String>,
    pub default_name: String,
    pub machines_max: usize,
}

impl Choice {
    /// # Errors
    /// Every problem, with the setting it is about.
    pub fn parse(text: &ChoiceText) -> Result<Self, Vec<(&'static str, String)>> {
        let mut problems = Vec::new();
        let machines = text.machines.clone();
        if machines.is_empty() && text.tags.is_empty() {
            let advice = "is empty, and so is edge.tags: nothing would be shown; list ids such as web-*, or tags such as public=yes";
            problems.push(("edge.machines", advice.to_owned()));
        }
        let tags = each(&text.tags, "edge.tags", parse_tag, &mut problems);
        let metrics = each(&text.metrics, "edge.metrics", parse_metric, &mut problems);
        let mut namings = each(&text.names, "edge.names", parse_naming, &mut problems);
        match naming("*", &text.default_name) {
            Ok(naming) => namings.push(naming),
            Err(problem) => problems.push(("edge.default_name", problem)),
        }
        if !(1..=METRICS_MAX).contains(&text.metrics.len()) {
            problems.push(("edge.metrics", format!("lists {}; use 1 to {METRICS_MAX}", text.metrics.len())));
        }
        for pattern in machines.iter().filter(|pattern| !may_be_id(pattern)) {
            let advice = "an id has A-Z a-z 0-9 . _ : and -, a pattern also * and ?; the environment takes them with commas between";
            problems.push(("edge.machines", format!("has {pattern:?}, which no machine is called: {advice}")));
        }
        let cells = text.machines_max * text.metrics.len();
        if MACHINES_MAX < text.machines_max || CELLS_MAX < cells {
            let problem =
                format!("is {}; use at most {MACHINES_MAX}, and {CELLS_MAX} times metrics", text.machines_max);
            problems.push(("edge.machines_max", problem));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { machines, tags, namings, metrics, machines_max: text.machines_max })
    }

    /// Made-up machines are nobody's outside.
    pub(super) fn allows(&self, machine: &MachineId, tags: &BTreeMap<String, String>) -> bool {
        let is_listed = self.machines.is_empty() || self.machines.iter().any(|pattern| glob(pattern, machine.as_str()));
        let carries = |(name, pattern): &(String, String)| tags.get(name).is_some_and(|value| glob(pattern, value));
        is_listed && self.tags.iter().all(carries) && !machine.is_synthetic()
    }

    pub(super) fn called(&self, machine: &MachineId) -> Called {
        let id = machine.as_str();
        let found = self.namings.iter().enumerate().find(|(_, naming)| glob(&naming.pattern, id));
        let (rank, naming) = found.expect("the last naming fits every machine");
        let is_numbered = naming.pattern.contains(['*', '?']) && !naming.name.contains(ID);
        Called { rank, name: naming.name.replace(ID, id), is_numbered }
    }

    pub(super) fn columns(&self) -> Vec<Column> {
        self.metrics.iter().map(|chosen| chosen.column.clone()).collect()
    }

    /// Catalogue names.
    pub(super) fn metric_names(&self) -> Vec<String> {
        self.metrics.iter().map(|chosen| chosen.metric.clone()).collect()
    }

    /// Where a series belongs, if it is shown at all.
    pub(super) fn column_of(&self, metric: &str, labels: &Labels) -> Option<usize> {
        let at = self.metrics.iter().position(|chosen| chosen.metric == metric)?;
        let is_loopback = metric.starts_with("system.network.") && labels.get("device") == Some(LOOPBACK);
        (!is_loopback).then_some(at)
    }

    /// A metric's series as one value: labels stay inside.
    pub(super) fn fold(&self, at: usize, folded: Option<f64>, value: f64) -> f64 {
        match folded {
            None => value,
            Some(folded) if self.metrics[at].is_highest => folded.max(value),
            Some(folded) => folded + value,
        }
    }
}

/// Four digits: more is nobody's business, and takes room.
pub(super) fn rounded(value: f64) -> Option<f64> {
    if !value.is_finite() {
        return None;
    }
    if value == 0.0 {
        return Some(0.0);
    }
    #[expect(clippy::cast_possible_truncation, reason = "a logarithm of a finite number is within +-324")]
    let digits = 3 - value.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits.clamp(-300, 300));
    let rounded = (value * scale).round() / scale;
    Some(if rounded.is_finite() { rounded } else { value })
}

fn each<T>(
    texts: &[String],
    key: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
    problems: &mut Vec<(&'static str, String)>,
) -> Vec<T> {
    let mut parsed = Vec::new();
    for text in texts {
        match parse(text.trim()) {
            Ok(one) => parsed.push(one),
            Err(problem) => problems.push((key, problem)),
        }
    }
    parsed
}

/// A pattern that could fit a machine's id.
fn may_be_id(pattern: &str) -> bool {
    !pattern.is_empty() && pattern.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-*?".contains(&byte))
}

fn parse_tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        Some(_) | None => Err(format!("has {text:?}; write name=value, such as public=yes or site=eu-*")),
    }
}

fn parse_naming(text: &str) -> Result<Naming, String> {
    match text.split_once('=') {
        Some((pattern, name)) if !pattern.trim().is_empty() => naming(pattern.trim(), name.trim()),
        Some(_) | None => Err(format!("has {text:?}; write ids=Name, such as db-1=Database or web-*=Web")),
    }
}

fn naming(pattern: &str, name: &str) -> Result<Naming, String> {
    // Room for a number, or for an id of 128 characters at most, is left by cutting.
    if !is_name(name) {
        return Err(format!("has the name {name:?}; use 1 to 80 characters"));
    }
    Ok(Naming { pattern: pattern.to_owned(), name: name.to_owned() })
}

fn parse_metric(text: &str) -> Result<Chosen, String> {
    let (name, label) = match text.split_once('=') {
        Some((name, label)) => (name.trim(), Some(label.trim())),
        None => (text, None),
    };
    let listed = Catalogue::standard().find(name);
    let label = label.or(listed.map(|metric| metric.display)).unwrap_or(name);
    if name.is_empty() || !is_name(label) {
        return Err(format!("has {text:?}; write a metric, or metric=Label, such as system.cpu.utilization=CPU"));
    }
    let kind = listed.map_or(Kind::Number, |metric| match metric.unit {
        "1" if metric.max < 1.5 => Kind::Ratio,
        "By" => Kind::Bytes,
        "By/s" => Kind::BytesPerSecond,
        "1/s" => Kind::PerSecond,
        "s" => Kind::Seconds,
        "Cel" => Kind::Celsius,
        _ => Kind::Number,
    });
    Ok(Chosen {
        metric: listed.map_or(name, |metric| metric.name).to_owned(),
        column: Column { label: label.to_owned(), kind },
        // The fullest disk and the hottest sensor count; traffic and sizes are added up.
        is_highest: matches!(kind, Kind::Ratio | Kind::Celsius | Kind::Seconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn text() -> ChoiceText {
        ChoiceText {
            machines: list(&["web-*", "db-1"]),
            tags: list(&["public=y*"]),
            metrics: list(&["CPU_PERCENT", "system.network.receive.bytes_rate=Traffic", "app.queue"]),
            names: list(&["db-1=Database", "web-9={id}", "web-*=Web"]),
            default_name: String::from("Machine"),
            machines_max: 100,
        }
    }

    fn id(text: &str) -> MachineId {
        MachineId::parse(text).unwrap()
    }

    #[test]
    fn a_machine_is_shown_when_its_id_is_listed_and_it_carries_every_tag() {
        let choice = Choice::parse(&text()).unwrap();
        let tags = |value: &str| BTreeMap::from([(String::from("public"), value.to_owned())]);
        assert!(choice.allows(&id("web-1"), &tags("yes")) && choice.allows(&id("db-1"), &tags("y")));
        assert!(!choice.allows(&id("db-2"), &tags("yes")), "not listed");
        assert!(!choice.allows(&id("web-1"), &tags("no")), "another value");
        assert!(!choice.allows(&id("web-1"), &BTreeMap::new()), "no tag");
        let every = Choice::parse(&ChoiceText { machines: list(&["*"]), tags: Vec::new(), ..text() }).unwrap();
        assert!(every.allows(&id("any"), &BTreeMap::new()) && !every.allows(&id("synthetic-hub"), &BTreeMap::new()));
    }

    #[test]
    fn names_are_those_of_the_first_pattern_that_fits() {
        let choice = Choice::parse(&text()).unwrap();
        let called = |machine| {
            let Called { rank, name, is_numbered } = choice.called(&id(machine));
            (rank, name, is_numbered)
        };
        assert_eq!(called("db-1"), (0, String::from("Database"), false));
        assert_eq!(called("web-9"), (1, String::from("web-9"), false));
        assert_eq!(called("web-1"), (2, String::from("Web"), true));
        assert_eq!(called("other"), (3, String::from("Machine"), true));
    }

    #[test]
    fn metrics_have_a_label_and_a_kind_and_series_fold_into_one_value() {
        let choice = Choice::parse(&text()).unwrap();
        let columns: Vec<_> = choice.columns().into_iter().map(|column| (column.label, column.kind)).collect();
        let expected = [("CPU", Kind::Ratio), ("Traffic", Kind::BytesPerSecond), ("app.queue", Kind::Number)];
        assert_eq!(columns, expected.map(|(label, kind)| (label.to_owned(), kind)));
        assert_eq!(choice.metric_names()[0], "system.cpu.utilization");
        let folded = [choice.fold(0, Some(0.5), 0.25), choice.fold(1, Some(5.0), 2.0)];
        assert_eq!(folded.map(Some), [Some(0.5), Some(7.0)]);
        let device = |name| Labels::parse([("device", name)]).unwrap();
        assert_eq!(choice.column_of("system.network.receive.bytes_rate", &device("eth0")), Some(1));
        assert_eq!(choice.column_of("system.network.receive.bytes_rate", &device("lo")), None);
        assert_eq!(choice.column_of("system.memory.utilization", &Labels::none()), None);
    }

    #[test]
    fn a_pattern_that_no_machine_can_fit_is_refused() {
        for pattern in ["[\"*\"]", "web 1", ""] {
            let wrong = ChoiceText { machines: list(&["db-1", pattern]), ..text() };
            let problems = Choice::parse(&wrong).unwrap_err();
            assert!(problems.len() == 1 && problems[0].1.contains("which no machine is called"), "{problems:?}");
        }
    }

    #[test]
    fn every_problem_is_said_with_its_setting() {
        let wrong = ChoiceText {
            machines: Vec::new(),
            tags: Vec::new(),
            metrics: list(&["=x"; 9]),
            names: list(&["db-1", "a=\u{7}"]),
            default_name: String::new(),
            machines_max: 1_000,
        };
        let mut keys: Vec<&str> = Choice::parse(&wrong).unwrap_err().into_iter().map(|(key, _)| key).collect();
        keys.dedup();
        let expected =
            ["edge.machines", "edge.metrics", "edge.names", "edge.default_name", "edge.metrics", "edge.machines_max"];
        assert_eq!(keys, expected);
        assert!(Choice::parse(&ChoiceText { tags: list(&["public"]), ..text() }).is_err());
    }

    #[test]
    fn values_keep_four_digits() {
        for (value, kept) in
            [(0.123_456, 0.1235), (123_456.0, 123_500.0), (-0.000_012_345_6, -0.000_012_35), (0.0, 0.0)]
        {
            assert_eq!(rounded(value), Some(kept));
        }
        assert_eq!([rounded(f64::NAN), rounded(f64::INFINITY)], [None, None]);
        assert!(rounded(f64::MAX).is_some() && rounded(f64::MIN_POSITIVE).is_some());
    }
}
