//! Table tests of `evaluate`: rules, edits of them, and samples in; transitions out.

use super::*;
use crate::control::coarsen::boundary_after;
use crate::control::facts::{RuleFact, SeriesFact};
use crate::operators::fixtures::{Feed, SECOND, settings};
use crate::stage::{At, Shared};
use expect_test::{Expect, expect};
use model::{Aggregate, Aggregates, Cause, Change, Rows, Slot, Timestamp, Width, Window};
use std::fmt::Write;

const RULE: &str = r#"{"name":"hot","metric":"m","operator":"gte","threshold":10,"clear":5,"severity":"warning"}"#;

/// A rule, edits of it at a second of T (none removes it), and samples `(second of T, event second, value)` of one series.
struct Case<'a> {
    edits: &'a [(u64, Option<&'a str>)],
    samples: &'a [(u64, f64, f64)],
    age_ms: u32,
    live_from: u64,
    firing: Vec<model::Alert>,
}

impl Default for Case<'_> {
    fn default() -> Self {
        Self { edits: &[(1, Some(RULE))], samples: &[], age_ms: 0, live_from: 0, firing: Vec::new() }
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
    let settings = Settings { firing: case.firing, live_from: case.live_from * SECOND, ..settings() };
    let mut verdicts = Verdicts::new(&settings, 0, &Arc::default());
    edit(&mut verdicts, &series(&roster), case.edits);
    let mut out = Vec::new();
    for (second, at, value) in case.samples {
        verdicts.samples.take(u64::MAX, one(second * SECOND, feed.frame(*at, &[*value])), &mut out);
    }
    verdicts.advance(u64::MAX, Some(1_000 * SECOND), &mut out);
    expect.assert_eq(&text(&out));
}

fn one<R>(t: LogicalTime, item: R) -> Shared<R> {
    Rc::new(vec![At { t, item }])
}

fn series(roster: &model::Roster) -> SeriesFact {
    let (machine, key) = (roster.machine.clone(), Arc::clone(&roster.series[0]));
    SeriesFact { worker: 0, index: 0, slot: 0, machine, tags: Arc::default(), key }
}

fn text(out: &Transitions) -> String {
    out.iter().fold(String::new(), |mut text, At { t, item }| {
        let Transition { change, cause, value, at, since, .. } = item.as_ref();
        let cause = match cause {
            Cause::Threshold => "",
            Cause::NoData => " (silent)",
            Cause::RuleGone => " (rule gone)",
        };
        writeln!(text, "{}: {change:?}{cause} {value} at {} since {}", t / SECOND, at.secs(), since.secs()).unwrap();
        text
    })
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
fn a_sample_waits_until_all_bindings_of_its_time_are_known() {
    let mut feed = Feed::new("db-1", 1);
    let mut verdicts = Verdicts::new(&settings(), 0, &Arc::default());
    let (boundary, mut out) = (boundary_after(10 * SECOND), Vec::new());
    verdicts.samples.take(boundary, one(10 * SECOND, feed.frame(1.0, &[99.0])), &mut out);
    let rule = RuleFact::new(Arc::new(serde_json::from_str(RULE).unwrap()));
    verdicts.bind(boundary, Binding { series: series(&feed.layout.roster), rule }, 1);
    verdicts.samples.release(boundary, &mut out);
    assert_eq!(text(&out), "", "of the boundary itself more may come");
    verdicts.samples.release(boundary + 1, &mut out);
    assert_eq!(text(&out), "10: Fired 99 at 1 since 1\n");
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
        &expect![[r#"
            10: Fired 15 at 1 since 1
            31: Resolved 15 at 3 since 1
            40: Fired 30 at 4 since 4
            52: Resolved (rule gone) 30 at 52 since 4
        "#]],
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
        cause: Cause::Threshold,
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
    let mut verdicts = Verdicts::new(&settings(), 0, &Arc::default());
    let mut out = Vec::new();
    let t = 10 * SECOND + 1;
    verdicts.samples.take(t, one(t, feed.frame(1.0, &[1.0])), &mut out);
    assert!(!verdicts.is_idle() && verdicts.holds(t) == t, "it holds the frontier back");
    verdicts.samples.release(boundary_after(t), &mut out);
    assert!(!verdicts.is_idle(), "bindings of that boundary may still come");
    verdicts.samples.release(boundary_after(t) + 1, &mut out);
    assert!(verdicts.is_idle());
}

#[test]
fn a_machine_that_is_new_brings_no_other_machines_edit_forward() {
    let (mut known, mut new) = (Feed::new("db-1", 1), Feed::of("db-2", 1, 1));
    let mut verdicts = Verdicts::new(&settings(), 0, &Arc::default());
    // Made at second 20, so in effect at 22; the other machine comes at 21.
    edit(&mut verdicts, &series(&Arc::clone(&known.layout.roster)), &[(20, Some(RULE))]);
    let mut out = Vec::new();
    let mut take = |t, item: Bound| verdicts.samples.take(u64::MAX, one(t * SECOND, item), &mut out);
    take(10, known.frame(10.0, &[50.0]));
    take(21, new.frame(21.0, &[1.0]));
    take(21, known.frame(21.0, &[60.0]));
    take(23, known.frame(23.0, &[70.0]));
    assert_eq!(text(&out), "23: Fired 70 at 23 since 23\n");
}

#[test]
fn a_minute_is_judged_by_the_rules_of_its_own_time_whatever_samples_came_first() {
    let mut feed = Feed::new("db-1", 1);
    let roster = Arc::clone(&feed.layout.roster);
    let busy = r#"{"name":"busy","metric":"m","input":"minute_count","operator":"gt","threshold":5,"severity":"info"}"#;
    let minute = |number: i64, is_current| {
        let row = Aggregate { count: 9, ..Aggregate::of(1.0, Timestamp::from_secs(number * 60 + 59)) };
        let window = Window::containing(Timestamp::from_secs(number * 60), Width::Minute);
        let (roster, rows) = (Arc::clone(&roster), vec![(Slot(0), row)]);
        let rows = Arc::new(Aggregates { roster, window, revision: 1, is_final: true, rows: Rows::Some(rows.into()) });
        MinuteUpdate { rows, delta: None, is_current, watermark: window.end() }
    };
    let mut verdicts = Verdicts::new(&settings(), 0, &Arc::default());
    edit(&mut verdicts, &series(&roster), &[(100, Some(busy))]);
    let mut out = Vec::new();
    verdicts.samples.take(u64::MAX, one(300 * SECOND, feed.frame(300.0, &[1.0])), &mut out);
    let mut take = |t, item: MinuteUpdate| verdicts.minutes.take(u64::MAX, one(t * SECOND, item), &mut out);
    take(70, minute(0, true));
    take(190, minute(1, false));
    take(191, minute(2, true));
    assert_eq!(
        text(&out),
        "191: Fired 9 at 180 since 180\n",
        "not the one before the rule, nor the one out of a spool"
    );
}

const QUIET: &str =
    r#"{"name":"hot","metric":"m","operator":"gte","threshold":10,"clear":5,"no_data_s":30,"severity":"warning"}"#;

fn check_silence(samples: &[(u64, f64, f64)], expect: &Expect) {
    check(Case { edits: &[(1, Some(QUIET))], samples, ..Case::default() }, expect);
}

#[test]
fn silence_fires_once_and_the_next_calm_sample_resolves() {
    check_silence(
        &[(10, 10.0, 1.0), (15, 15.0, 2.0), (100, 100.0, 3.0), (110, 110.0, 11.0)],
        &expect![[r"
            45: Fired (silent) 2 at 45 since 45
            100: Resolved (silent) 3 at 100 since 45
            110: Fired 11 at 110 since 110
        "]],
    );
}

#[test]
fn silence_neither_repeats_nor_resolves_what_fires() {
    check_silence(
        &[(10, 10.0, 50.0), (100, 100.0, 50.0), (105, 105.0, 1.0)],
        &expect![[r"
            10: Fired 50 at 10 since 10
            105: Resolved 1 at 105 since 10
            135: Fired (silent) 1 at 135 since 135
        "]],
    );
}

#[test]
fn a_breach_that_has_not_lasted_goes_silent_and_then_is_judged_as_any_alert() {
    let lasting =
        r#"{"name":"hot","metric":"m","operator":"gte","threshold":10,"for_s":60,"no_data_s":30,"severity":"info"}"#;
    check(
        Case {
            edits: &[(1, Some(lasting))],
            samples: &[(10, 10.0, 50.0), (50, 50.0, 60.0), (60, 60.0, 1.0), (900, 900.0, 1.0), (990, 990.0, 1.0)],
            ..Case::default()
        },
        &expect![[r"
            40: Fired (silent) 50 at 40 since 40
            60: Resolved (silent) 1 at 60 since 40
            90: Fired (silent) 1 at 90 since 90
            900: Resolved (silent) 1 at 900 since 90
            930: Fired (silent) 1 at 930 since 930
            990: Resolved (silent) 1 at 990 since 930
        "]],
    );
}

#[test]
fn what_arrives_is_no_silence_however_late_and_however_old() {
    let late = [(10, 10.0, 1.0), (35, 5.0, 1.0), (60, 6.0, 1.0)];
    check_silence(
        &late,
        &expect![[r"
        90: Fired (silent) 1 at 90 since 90
    "]],
    );
    check(
        Case { edits: &[(1, Some(QUIET))], samples: &late, age_ms: 120_001, ..Case::default() },
        &expect![[r"
        90: Fired (silent) 0 at 90 since 90
    "]],
    );
}

#[test]
fn nobody_is_silent_before_the_grace_is_over() {
    check(
        Case { edits: &[(1, Some(QUIET))], samples: &[(10, 10.0, 1.0)], live_from: 100, ..Case::default() },
        &expect![[r"
            130: Fired (silent) 1 at 130 since 130
        "]],
    );
}

#[test]
fn a_rule_asks_about_silence_from_its_edit_on_and_takes_its_answer_back() {
    // Not seen under the rule: nothing. Asked for again with less: not for a time before. No longer asked for: resolved.
    let sooner = QUIET.replace("30", "10");
    check(Case { edits: &[(50, Some(QUIET))], samples: &[(10, 10.0, 1.0)], ..Case::default() }, &expect![""]);
    check(
        Case {
            edits: &[(1, Some(QUIET)), (50, Some(&sooner)), (70, Some(RULE))],
            samples: &[(30, 30.0, 1.0), (45, 45.0, 1.0)],
            ..Case::default()
        },
        &expect![[r"
            55: Fired (silent) 1 at 55 since 55
            72: Resolved (rule gone) 1 at 72 since 55
        "]],
    );
    check(
        Case {
            edits: &[(1, Some(QUIET)), (52, Some(&sooner))],
            samples: &[(30, 30.0, 1.0), (40, 40.0, 1.0)],
            ..Case::default()
        },
        &expect![[r"
            54: Fired (silent) 1 at 54 since 54
        "]],
    );
    // Nothing of the machine was due before the sample that ends the silence.
    let later = QUIET.replace("30", "120");
    check(
        Case {
            edits: &[(1, Some(&later)), (52, Some(&sooner))],
            samples: &[(40, 40.0, 1.0), (90, 90.0, 2.0)],
            ..Case::default()
        },
        &expect![[r"
            54: Fired (silent) 1 at 54 since 54
            90: Resolved (silent) 2 at 90 since 54
            100: Fired (silent) 2 at 100 since 100
        "]],
    );
}

#[test]
fn a_persisted_silence_neither_repeats_nor_is_resolved_by_the_replay() {
    let feed = Feed::new("db-1", 1);
    let at = Timestamp::from_logical(45 * SECOND);
    let transition = Transition {
        rule: Arc::new(serde_json::from_str(QUIET).unwrap()),
        machine: feed.layout.roster.machine.clone(),
        series: Arc::clone(&feed.layout.roster.series[0]),
        change: Change::Fired,
        cause: Cause::NoData,
        value: 1.0,
        at,
        since: at,
        t: 45 * SECOND,
    };
    let firing = vec![model::Alert::after(&transition)];
    // The machine's clock is slow: what it says now is before the alert in event time, and resolves it all the same.
    let samples = [(10, 3.0, 1.0), (15, 8.0, 1.0), (210, 30.0, 4.0)];
    let case = || Case {
        edits: &[(1, Some(QUIET))],
        samples: &samples,
        live_from: 200,
        firing: firing.clone(),
        ..Case::default()
    };
    check(
        case(),
        &expect![[r"
            210: Resolved (silent) 4 at 210 since 45
            240: Fired (silent) 4 at 240 since 240
        "]],
    );
    // Nobody asks about silence any more.
    check(
        Case { edits: &[(1, Some(RULE))], ..case() },
        &expect![[r#"
        210: Resolved (rule gone) 1 at 210 since 45
    "#]],
    );
}

#[test]
fn bindings_beyond_the_limit_are_refused_and_counted_and_a_freed_place_is_taken() {
    let mut feed = Feed::new("db-1", 1);
    let roster = Arc::clone(&feed.layout.roster);
    let counters = Arc::new(Counters::default());
    let mut verdicts = Verdicts::new(&Settings { bindings_max: 1, ..settings() }, 0, &counters);
    // One for bindings, which `admit` keeps to, and as many again.
    let named = |name: &str| RULE.replace("hot", name);
    let (a, b, c) = (named("a"), named("b"), named("c"));
    edit(&mut verdicts, &series(&roster), &[(1, Some(&a))]);
    edit(&mut verdicts, &series(&roster), &[(1, Some(&b)), (20, None)]);
    edit(&mut verdicts, &series(&roster), &[(1, Some(&c)), (30, None), (40, Some(&c))]);
    let mut out = Vec::new();
    let mut take = |t, item: Bound| verdicts.samples.take(u64::MAX, one(t * SECOND, item), &mut out);
    take(10, feed.frame(10.0, &[50.0]));
    take(50, feed.frame(50.0, &[50.0]));
    let fired = out.iter().filter(|at| at.item.change == Change::Fired).map(|at| at.item.rule.name.as_str());
    assert_eq!(fired.collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(counters.bindings_refused.get(), 1, "the third found no room at first");
}
