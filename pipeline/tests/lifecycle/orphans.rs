//! Alerts whose rule or machine is gone: the first resolve once, the second never (missing data resolves nothing).

use super::*;
use model::{Cause, Rule, Transition};
use std::time::Duration;

const HOUR: f64 = 3_600.0;

/// `second machine/rule change cause` of each transition.
pub(super) fn changes(outputs: &[(LogicalTime, Output)]) -> Vec<String> {
    let mut all: Vec<&Transition> = outputs
        .iter()
        .filter_map(|(_, output)| match output {
            Output::Transition(transition) => Some(transition.as_ref()),
            _ => None,
        })
        .collect();
    all.sort_by_key(|change| (change.t, &change.machine, &change.rule.name));
    let second = |at: LogicalTime| f64::from(u32::try_from((at - t(0.0)) / 100_000).unwrap()) / 10.0;
    let line = |change: &Transition| {
        let cause = if change.cause == Cause::RuleGone { " rule gone" } else { "" };
        format!("{} {}/{} {:?}{cause}", second(change.t), change.machine, change.rule.name, change.change)
    };
    all.into_iter().map(line).collect()
}

/// Alerts of `hot` on two machines from before a restart at second 100, then these rules, and neither machine ever again.
fn restarted(told: Option<Vec<Rule>>, workers: usize) -> Vec<String> {
    let before = [stamped(t(0.5), rules(1, vec![rule(HOT)])), frame("a", 10.0, 50.0), frame("b", 10.0, 50.0)];
    let firing = kept(&[], &run(&live(workers), &before, |_| true, t(20.0)));
    assert_eq!(firing.len(), 2);
    // The journal has forgotten both machines.
    let mut records = vec![stamped(t(50.0), rules(2, vec![])), frame("c", 101.0, 1.0)];
    records.extend(told.map(|told| stamped(t(102.0), rules(3, told))));
    records.push(frame("c", 700.0, 1.0));
    let settings = Settings { live_from: t(100.0), firing, ..settings(workers) };
    let mut said = changes(&run(&settings, &records, |_| true, t(710.0)));
    said.retain(|line| !line.contains("c/"));
    said
}

#[test]
fn an_alert_whose_rule_went_while_the_hub_was_down_resolves_once_though_its_machine_never_returns() {
    let other = rule(&HOT.replace("hot", "other"));
    let edited = |edit: &dyn Fn(&mut Rule)| {
        let mut rule = rule(HOT);
        edit(&mut rule);
        vec![rule]
    };
    let gone = [
        vec![],
        vec![other],
        edited(&|rule| rule.enabled = false),
        edited(&|rule| rule.input = model::rule::Input::MinuteMax),
        edited(&|rule| rule.metric = "n".into()),
        edited(&|rule| rule.machines = vec!["x".into()]),
    ];
    for (n, told) in gone.into_iter().enumerate() {
        let resolved = ["104.1 a/hot Resolved rule gone", "104.1 b/hot Resolved rule gone"];
        assert_eq!(restarted(Some(told), 1 + n % 3), resolved, "case {n}");
    }
}

#[test]
fn an_alert_whose_data_is_merely_missing_goes_on() {
    let stricter = Rule { threshold: 90.0, ..rule(HOT) };
    // Nobody knows which tags the machine comes back with.
    let tagged = Rule { tags: BTreeMap::from([("role".to_owned(), "db".to_owned())]), ..rule(HOT) };
    for (n, told) in [Some(vec![rule(HOT)]), Some(vec![stricter]), Some(vec![tagged]), None].into_iter().enumerate() {
        assert_eq!(restarted(told, 1 + n % 3), Vec::<String>::new(), "case {n}");
    }
}

/// Machines are forgotten at full hours after a minute of silence; `b` goes on, `a` fires and is silent from second 10 on.
fn forgotten(more: &[Stamped], end: f64) -> Vec<String> {
    let mut records = vec![stamped(t(0.5), rules(1, vec![rule(HOT)])), frame("a", 10.0, 50.0)];
    records.extend((1..=240).map(|minute| frame("b", 60.0 * f64::from(minute), 1.0)));
    records.extend(more.iter().cloned());
    records.retain(|record| record.t <= t(end));
    records.sort_by_key(|record| record.t);
    let mut settings = live(1);
    settings.window.forget_after = Duration::from_secs(60);
    let mut said = changes(&run(&settings, &records, |_| true, t(end)));
    said.retain(|line| line.contains("a/"));
    said
}

#[test]
fn a_machine_that_is_forgotten_keeps_its_alerts_until_it_is_back() {
    let fired = ["10 a/hot Fired", "70 a/machine-down Fired"];
    assert_eq!(forgotten(&[], 3.0 * HOUR), fired);
    // While it is away, as it is being forgotten, and just after.
    for back in [100.0, 2.0 * HOUR + 30.0, HOUR + 0.05, HOUR + 0.25, HOUR + 1.0, HOUR + 2.3] {
        let hot_again = [frame("a", back, 60.0), frame("a", back + 5.0, 1.0)];
        let said = forgotten(&hot_again, back + 20.0);
        assert_eq!(said[..2], fired, "back at {back}");
        let after: Vec<&str> = said[2..].iter().filter_map(|line| line.split_once(' ')).map(|(_, what)| what).collect();
        assert_eq!(after, ["a/machine-down Resolved", "a/hot Resolved"], "back at {back}");
    }
}

#[test]
fn a_rule_that_goes_while_its_machine_is_forgotten_ends_its_alert() {
    let gone = [stamped(t(2.0 * HOUR + 0.05), rules(2, vec![]))];
    let said = forgotten(&gone, 3.0 * HOUR);
    assert_eq!(said, ["10 a/hot Fired", "70 a/machine-down Fired", "7202.1 a/hot Resolved rule gone"]);
}

#[test]
fn a_rule_that_looks_at_something_else_begins_anew() {
    let looks_at = |input: &str| rule(&HOT.replace('}', &format!(r#","input":"{input}"}}"#)));
    let edit = |second: f64, version, input: &str| stamped(t(second), rules(version, vec![looks_at(input)]));
    let mut records = vec![edit(0.5, 1, "sample"), edit(100.0, 2, "minute_mean"), edit(300.0, 3, "minute_max")];
    records.extend((1..=60).map(|n| frame("a", 10.0 * f64::from(n), 50.0)));
    records.sort_by_key(|record| record.t);
    let said = changes(&run(&live(1), &records, |_| true, t(601.0)));
    let expected = [
        "10 a/hot Fired",
        "102.1 a/hot Resolved rule gone",
        "130 a/hot Fired",
        "302.1 a/hot Resolved rule gone",
        "310 a/hot Fired",
    ];
    assert_eq!(said, expected);
}
