//! Table tests of `evaluate`: rules, edits of them, and samples in; transitions out.

use super::*;
use crate::control::facts::{RuleFact, SeriesFact};
use crate::operators::fixtures::{Feed, SECOND, settings};
use expect_test::{Expect, expect};
use model::Change;
use std::fmt::Write;

const RULE: &str = r#"{"name":"hot","metric":"m","operator":"gte","threshold":10,"clear":5,"severity":"warning"}"#;

/// A rule, edits of it at a second of T (none removes it), and samples `(second of T, event second, value)` of one series.
struct Case<'a> {
    edits: &'a [(u64, Option<&'a str>)],
    samples: &'a [(u64, f64, f64)],
    age_ms: u32,
    firing: Vec<model::Alert>,
}

impl Default for Case<'_> {
    fn default() -> Self {
        Self { edits: &[(1, Some(RULE))], samples: &[], age_ms: 0, firing: Vec::new() }
    }
}

fn edit(verdicts: &mut Verdicts, series: &SeriesFact, edits: &[(u64, Option<&str>)]) {
    let mut before: Option<RuleFact> = None;
    for (second, text) in edits {
        let next = text.map(|text| RuleFact::new(Arc::new(serde_json::from_str(text).unwrap())));
        for (rule, diff) in [(before.take(), -1), (next.clone(), 1)] {
            let binding = rule.map(|rule| Binding { series: series.clone(), rule });
            if let Some(binding) = binding {
                verdicts.bind(second * SECOND, binding, diff);
            }
        }
        before = next;
    }
}

fn check(case: Case<'_>, expect: &Expect) {
    let mut feed = Feed::new("db-1", 1);
    feed.age_ms = case.age_ms;
    let roster = Arc::clone(&feed.layout.roster);
    let mut verdicts = Verdicts::new(&Settings { firing: case.firing, ..settings() }, Arc::default());
    let series = SeriesFact {
        worker: 0,
        index: 0,
        slot: 0,
        machine: roster.machine.clone(),
        tags: Arc::default(),
        key: Arc::clone(&roster.series[0]),
    };
    edit(&mut verdicts, &series, case.edits);
    let mut out = Vec::new();
    for (second, at, value) in case.samples {
        verdicts.batch(u64::MAX, second * SECOND, &feed.frame(*at, &[*value]), &mut out);
    }
    verdicts.advance(u64::MAX, 1_000 * SECOND, &mut out);
    let text = out.iter().fold(String::new(), |mut text, At { t, item }| {
        let Transition { change, value, at, since, .. } = item.as_ref();
        writeln!(text, "{}: {change:?} {value} at {} since {}", t / SECOND, at.secs(), since.secs()).unwrap();
        text
    });
    expect.assert_eq(&text);
}

#[test]
fn entering_fires_once_and_leaving_resolves_once() {
    let samples = [(10, 1.0, 9.0), (11, 2.0, 10.0), (12, 3.0, 50.0), (13, 4.0, 5.0), (14, 5.0, 4.0), (15, 6.0, 11.0)];
    check(
        Case { samples: &samples, ..Case::default() },
        &expect![[r"
        11: Fired 10 at 2 since 2
        14: Resolved 4 at 5 since 2
        15: Fired 11 at 6 since 6
    "]],
    );
}

#[test]
fn between_clear_and_threshold_nothing_changes() {
    let samples = [(10, 1.0, 10.0), (11, 2.0, 6.0), (12, 3.0, 9.0), (13, 4.0, 6.0)];
    check(Case { samples: &samples, ..Case::default() }, &expect![["10: Fired 10 at 1 since 1\n"]]);
}

#[test]
fn for_elapses_in_event_time_and_fires_on_a_sample() {
    let lasting = r#"{"name":"hot","metric":"m","operator":"gte","threshold":10,"for_s":60,"severity":"warning"}"#;
    let samples = [(10, 0.0, 10.0), (11, 59.9, 10.0), (12, 60.0, 9.0), (13, 61.0, 10.0), (14, 300.0, 12.0)];
    check(
        Case { edits: &[(1, Some(lasting))], samples: &samples, ..Case::default() },
        &expect![["14: Fired 12 at 300 since 300\n"]],
    );
}

#[test]
fn what_is_not_newer_and_what_is_old_on_arrival_changes_nothing() {
    let samples = [(10, 5.0, 1.0), (11, 5.0, 99.0), (12, 4.0, 99.0)];
    check(Case { samples: &samples, ..Case::default() }, &expect![[""]]);
    check(Case { samples: &[(10, 5.0, 99.0)], age_ms: 120_001, ..Case::default() }, &expect![[""]]);
}

#[test]
fn an_edited_rule_keeps_its_alert_and_a_removed_one_resolves_it() {
    let higher = r#"{"name":"hot","metric":"m","operator":"gte","threshold":20,"severity":"critical"}"#;
    let samples = [(10, 1.0, 15.0), (30, 2.0, 25.0), (31, 3.0, 15.0), (40, 4.0, 30.0)];
    check(
        Case { edits: &[(1, Some(RULE)), (20, Some(higher)), (50, None)], samples: &samples, ..Case::default() },
        &expect![[r"
        10: Fired 15 at 1 since 1
        31: Resolved 15 at 3 since 1
        40: Fired 30 at 4 since 4
        52: Resolved 30 at 52 since 4
    "]],
    );
}

#[test]
fn a_persisted_alert_neither_repeats_nor_is_forgotten() {
    let feed = Feed::new("db-1", 1);
    let transition = Transition {
        rule: Arc::new(serde_json::from_str(RULE).unwrap()),
        machine: feed.layout.roster.machine.clone(),
        series: Arc::clone(&feed.layout.roster.series[0]),
        change: Change::Fired,
        value: 10.0,
        at: Timestamp::from_secs(100),
        since: Timestamp::from_secs(100),
        t: 1,
    };
    let firing = vec![model::Alert::after(&transition)];
    // The replay begins before the alert fired: those samples were judged before the restart.
    let samples = [(10, 90.0, 1.0), (11, 100.0, 10.0), (12, 105.0, 11.0), (13, 110.0, 1.0)];
    check(Case { samples: &samples, firing, ..Case::default() }, &expect![["13: Resolved 1 at 110 since 100\n"]]);
}

#[test]
fn a_record_waits_for_the_bindings_of_its_new_series() {
    let mut feed = Feed::new("db-1", 1);
    let mut verdicts = Verdicts::new(&settings(), Arc::default());
    let mut out = Vec::new();
    let t = 10 * SECOND + 1;
    verdicts.batch(t, t, &feed.frame(1.0, &[1.0]), &mut out);
    assert!(!verdicts.is_idle() && verdicts.holds(t) == t, "it holds the frontier back");
    verdicts.release(boundary_after(t), &mut out);
    assert!(!verdicts.is_idle(), "bindings of that boundary may still come");
    verdicts.release(boundary_after(t) + 1, &mut out);
    assert!(verdicts.is_idle());
}
