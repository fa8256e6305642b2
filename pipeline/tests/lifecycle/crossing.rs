//! A rule that is edited so that it looks at minutes instead of samples, or back: its alerts go on alternating, whoever meets which
//! series when, and a replay says the same.

use super::orphans::changes;
use super::*;
use fastrand::Rng;
use model::rule::Input;
use model::{Rule, Transition};

fn looks_at(input: Input) -> Rule {
    Rule { input, ..rule(HOT) }
}

/// Rules and frames of a little over two minutes: edits and newcomers come mostly about the minutes' ends.
fn script(seed: u64) -> Vec<Stamped> {
    let mut rng = Rng::with_seed(seed);
    let near = |rng: &mut Rng| {
        let tenth = rng.u32(0..40) + *rng.choice(&[0, 590, 590, 590, 1_190]).unwrap();
        t(f64::from(tenth) / 10.0) + rng.u64(0..3) * 49_999
    };
    let inputs = [Some(Input::Sample), Some(Input::Sample), Some(Input::MinuteMax), Some(Input::MinuteMean), None];
    let mut edits: Vec<u64> = (0..rng.usize(1..7)).map(|_| near(&mut rng)).collect();
    edits.sort_unstable();
    let first = rng.choice(inputs).unwrap();
    let mut records = vec![stamped(t(0.0) - SECOND, rules(1, first.map(looks_at).into_iter().collect()))];
    for (version, at) in (2..).zip(edits) {
        let input = rng.choice(inputs).unwrap();
        records.push(stamped(at, rules(version, input.map(looks_at).into_iter().collect())));
    }
    for name in ["a", "b", "c"] {
        let (mut at, step) = (near(&mut rng), *rng.choice(&[100_000, 500_000, 1_000_000, 950_000]).unwrap());
        let width = rng.usize(1..3);
        while at < t(130.0) {
            let width = if at < t(60.0) { width } else { 2 };
            let value = if rng.u8(..) < 200 { 50.0 } else { 1.0 };
            let samples: Vec<_> = (0..).take(width).map(|slot| (slot, Timestamp::from_logical(at), value)).collect();
            let frame = batch(&layout(name, width), at, &samples);
            records.push(stamped(at, Record::Batch(Arc::new(frame))));
            at += step;
        }
    }
    records.sort_by_key(|record| record.t);
    records
}

fn settings_of(workers: usize) -> Settings {
    let mut settings = live(workers);
    // A minute closes with the first frame behind its end.
    settings.window.lateness = std::time::Duration::ZERO;
    settings
}

/// Each alert's changes in the order in which they left, alternating.
fn alternating(outputs: &[(LogicalTime, Output)]) -> Result<(), String> {
    let mut firing: BTreeMap<String, LogicalTime> = BTreeMap::new();
    for (t, output) in outputs {
        let Output::Transition(change) = output else { continue };
        let Transition { rule, machine, series, .. } = change.as_ref();
        let alert = format!("{}/{machine}/{series}", rule.name);
        let alternates = match change.change {
            Change::Fired => firing.insert(alert.clone(), *t).is_none(),
            Change::Resolved => firing.remove(&alert).is_some_and(|fired| fired <= *t),
        };
        if !alternates {
            return Err(format!("{alert} {:?} at {t}", change.change));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_rule_that_changes_sides_fires_and_resolves_in_turn_whatever_the_schedule(seed: u64, every in 1usize..200) {
        let records = script(seed);
        let end = t(200.0);
        let first = run(&settings_of(1), &records, |_| true, end);
        prop_assert_eq!(alternating(&first), Ok(()));
        for workers in 1..=3 {
            let again = run(&settings_of(workers), &records, |n| n % every == 0, end);
            prop_assert_eq!(alternating(&again), Ok(()), "{} workers", workers);
            prop_assert_eq!(changes(&again), changes(&first), "{} workers", workers);
        }
    }
}

#[test]
fn the_other_side_takes_a_rule_up_when_the_first_one_lets_go_of_it() {
    // The first minute of the machine closes within two seconds of the edit: minutes meet its series then, samples have long met it.
    let edit = |second: f64, version, input| stamped(t(second), rules(version, vec![looks_at(input)]));
    let mut records = vec![edit(-1.0, 1, Input::Sample), edit(59.5, 2, Input::MinuteMax)];
    records.extend((0..130).map(|n| frame("a", f64::from(n), 50.0)));
    records.sort_by_key(|record| record.t);
    let outputs = run(&settings_of(1), &records, |_| true, t(130.0));
    assert_eq!(changes(&outputs), ["0 a/hot Fired", "61.6 a/hot Resolved rule gone", "120 a/hot Fired"]);
}

#[test]
fn what_fired_before_the_restart_resolves_before_the_other_side_fires() {
    let edit = |second: f64, version, input| stamped(t(second), rules(version, vec![looks_at(input)]));
    let mut before = vec![edit(-1.0, 1, Input::MinuteMax)];
    before.extend((0..70).map(|n| frame("a", f64::from(n), 50.0)));
    let first = run(&settings_of(1), &before, |_| true, t(70.0));
    let firing = kept(&[], &first);
    assert_eq!(firing.len(), 1);
    // The machine is there again before its alert has ended.
    let after = [edit(100.0, 2, Input::Sample), frame("a", 100.5, 50.0), frame("a", 103.0, 50.0)];
    let settings = Settings { live_from: t(100.0), firing, ..settings_of(1) };
    let outputs = run(&settings, &after, |_| true, t(110.0));
    assert_eq!(changes(&outputs), ["102.1 a/hot Resolved rule gone", "103 a/hot Fired"]);
    assert_eq!(alternating(&[first, outputs].concat()), Ok(()));
}

#[test]
fn a_series_that_comes_after_the_edit_is_judged_by_the_new_version_alone() {
    for (before, after, expected) in [
        (Input::Sample, Input::MinuteMax, "60 a/hot Fired"),
        // Two seconds after it came, at 51.1.
        (Input::MinuteMax, Input::Sample, "53.5 a/hot Fired"),
    ] {
        let edit = |second: f64, version, input| stamped(t(second), rules(version, vec![looks_at(input)]));
        let mut records = vec![edit(-1.0, 1, before), edit(50.0, 2, after)];
        records.extend((102..126).map(|half| frame("a", f64::from(half) / 2.0, 50.0)));
        for workers in 1..=2 {
            let outputs = run(&settings_of(workers), &records, |_| true, t(63.0));
            assert_eq!(changes(&outputs), [expected], "{workers} workers");
        }
    }
}
