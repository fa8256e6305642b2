//! Table tests of `normalize`: records in; batches, dead letters and facts out.

use super::*;
use crate::operators::fixtures::settings;
use model::{Labels, Positions, SessionId, Times, Timestamp};

fn batch(series: &[(&str, &[(&str, &str)])], values: &[f64]) -> Record {
    let key = |(metric, labels): &(&str, &[(&str, &str)])| {
        SeriesKey::parse(metric, Labels::parse(labels.iter().copied()).unwrap()).unwrap()
    };
    let layout = Arc::new(model::Layout::new(MachineId::parse("db-1").unwrap(), series.iter().map(key).collect()));
    let (positions, times, values) = (Positions::All, Times::One(Timestamp::from_secs(1)), values.into());
    let (session, arrival) = (SessionId(1), Timestamp::from_secs(2));
    Record::Batch(Arc::new(Batch { layout, session, sequence: 1, arrival, age_ms: 0, positions, times, values }))
}

fn names() -> Names {
    Names::new(&Settings { series_per_machine_max: 3, ..settings() }, 0, Arc::default())
}

/// Series and values of the first batch that came out, and the reasons of what was refused.
fn check(records: &[Record]) -> (Vec<String>, Vec<&'static str>) {
    let (mut names, mut out) = (names(), Ports::default());
    records.iter().for_each(|record| names.apply(1, record.clone(), &mut out));
    let values = out.batches.iter().flat_map(|At { item, .. }| {
        (0..item.batch.len()).map(move |i| format!("{} {}", item.roster().key(item.slot(i)), item.batch.values[i]))
    });
    let reasons = out.outputs.iter().filter_map(|At { item, .. }| match item {
        Output::Rejected(rejected) => Some(rejected.reason.as_str()),
        _ => None,
    });
    (values.collect(), reasons.collect())
}

#[test]
fn an_older_name_becomes_the_catalogues_in_base_units() {
    let (values, reasons) = check(&[batch(&[("CPU_PERCENT", &[]), ("MEMORY_USED_GB", &[])], &[50.0, 2.0])]);
    assert_eq!(values, ["system.cpu.utilization 0.5", "system.memory.used 2147483648"]);
    assert!(reasons.is_empty());
}

#[test]
fn what_is_not_a_value_leaves_as_a_dead_letter_and_harms_no_other() {
    let series: [(&str, &[(&str, &str)]); 3] =
        [("system.cpu.utilization", &[]), ("own.metric", &[]), ("system.memory.utilization", &[])];
    let (values, reasons) = check(&[batch(&series, &[f64::NAN, 7.0, 1.5])]);
    assert_eq!(values, ["own.metric 7"]);
    assert_eq!(reasons, ["not_finite", "out_of_range"]);
    assert_eq!(check(&[batch(&series, &[f64::INFINITY, f64::NEG_INFINITY, 0.5])]).1, ["not_finite"]);
}

#[test]
fn one_series_keeps_its_slot_over_layouts_and_a_series_too_many_is_refused() {
    let a: (&str, &[(&str, &str)]) = ("a", &[]);
    let b: (&str, &[(&str, &str)]) = ("b", &[]);
    let more: [(&str, &[(&str, &str)]); 3] = [("c", &[]), ("b", &[]), ("d", &[])];
    let (values, reasons) = check(&[batch(&[a, b], &[1.0, 2.0]), batch(&more, &[3.0, 4.0, 5.0])]);
    assert_eq!(values, ["a 1", "b 2", "c 3", "b 4"]);
    assert_eq!(reasons, ["too_many_series"]);
}

#[test]
fn facts_follow_series_tags_and_rules() {
    let (mut names, mut out) = (names(), Ports::default());
    names.apply(1, batch(&[("a", &[])], &[1.0]), &mut out);
    let mut info = MachineInfo::unknown(MachineId::parse("db-1").unwrap(), Timestamp::from_secs(2));
    info.tags.insert("role".into(), "db".into());
    names.apply(2, Record::Machine(Arc::new(info.clone())), &mut out);
    names.apply(3, Record::Machine(Arc::new(info)), &mut out);
    let diffs: Vec<isize> = out.facts.drain(..).map(|fact| fact.item.1).collect();
    assert_eq!(diffs, [1, -1, 1, 1], "known, then retagged, and a machine with tags; the same again says nothing");

    let rule = |threshold: f64| {
        let text = format!(
            r#"{{"name":"r","metric":"CPU_PERCENT","operator":"gt","threshold":{threshold},"severity":"info"}}"#
        );
        Record::Rules(Arc::new(RuleSet::new(1, vec![serde_json::from_str(&text).unwrap()]).unwrap()))
    };
    for record in [rule(1.0), rule(1.0), rule(2.0)] {
        names.apply(4, record, &mut out);
    }
    let metric = |fact: &Fact| match fact {
        Fact::Rule(rule) => rule.rule.metric.clone(),
        Fact::Series(_) | Fact::Machine(_) | Fact::Silence(_) | Fact::RulesKnown | Fact::Forgotten(_) => String::new(),
    };
    let facts: Vec<(String, isize)> = out.facts.iter().map(|f| (metric(&f.item.0), f.item.1)).collect();
    let name = "system.cpu.utilization".to_owned();
    let told = (String::new(), 1);
    assert_eq!(facts, [(name.clone(), 1), told, (name.clone(), -1), (name, 1)], "and once that the rules are known");
}

#[test]
fn a_machine_that_is_forgotten_takes_back_all_that_was_said_of_it() {
    const HOUR: LogicalTime = 3_600_000_000;
    let (mut names, mut out) = (names(), Ports::default());
    names.apply(HOUR, batch(&[("a", &[]), ("b", &[])], &[1.0, 2.0]), &mut out);
    let mut info = MachineInfo::unknown(MachineId::parse("db-1").unwrap(), Timestamp::from_secs(2));
    info.tags.insert("role".into(), "db".into());
    names.apply(HOUR, Record::Machine(Arc::new(info)), &mut out);
    names.advance(27 * HOUR, &mut out);
    let mut held: Vec<(Fact, isize)> = Vec::new();
    for At { item: (fact, diff), .. } in out.facts.drain(..).filter(|at| !matches!(at.item.0, Fact::Forgotten(_))) {
        match held.iter_mut().find(|(known, _)| *known == fact) {
            Some((_, count)) => *count += diff,
            None => held.push((fact, diff)),
        }
    }
    assert_eq!(held.len(), 5, "two series without tags, two with, and the machine");
    assert!(held.iter().all(|(_, count)| *count == 0), "{held:?}");
}
