//! Far more rules on series than there are places for: what it costs, and that a replay refuses the same.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[allow(dead_code, reason = "what the tests of outputs share")]
mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::{batch, layout, rule, rules, run_counted, settings, stamped, t, time};
use model::{Change, LogicalTime, Output, Record, Rule, Stamped};
use pipeline::Settings;

/// Most memory that this process ever had in RAM.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1_024
}

fn rules_on_all(names: impl Iterator<Item = u32>) -> Vec<Rule> {
    let text = |n| format!(r#"{{"name":"r{n:03}","metric":"m","operator":"gt","threshold":5,"severity":"info"}}"#);
    names.map(|n| rule(&text(n))).collect()
}

/// A frame of every machine, all within a boundary.
fn frames(machines: u32, series: u16, second: f64, value: f64) -> impl Iterator<Item = Stamped> {
    (0..machines).map(move |n| {
        let at = t(second) + u64::from(n);
        let samples: Vec<_> = (0..series).map(|slot| (slot, time(second), value)).collect();
        let layout = layout(&format!("machine-{n}"), usize::from(series));
        stamped(at, Record::Batch(Arc::new(batch(&layout, at, &samples))))
    })
}

#[test]
fn a_thousand_times_more_bindings_than_places_cost_no_memory() {
    let settings = Settings { bindings_max: 1_000, ..settings(1) };
    let few = [stamped(t(0.0), rules(1, rules_on_all(0..1)))].into_iter().chain(frames(20, 250, 1.0, 1.0));
    let many = [stamped(t(0.0), rules(1, rules_on_all(0..200)))].into_iter().chain(frames(20, 250, 1.0, 1.0));
    let run = |records: Vec<Stamped>| {
        let (_, counted) = run_counted(&settings, &records, |_| true, t(10.0));
        (counted["bindings_refused"], peak_bytes())
    };
    let (refused, before) = run(few.collect());
    assert_eq!(refused, 5_000 - 1_000);
    let (refused, after) = run(many.collect());
    assert_eq!(refused, 200 * 5_000 - 1_000);
    // A million of them at once, some 210 bytes each, would be 200 MB.
    assert!(after - before < 40_000_000, "from {before} to {after} bytes");
}

/// Rule, machine and series of all that fired.
fn fired(outputs: &[(LogicalTime, Output)]) -> BTreeSet<String> {
    let fired = outputs.iter().filter_map(|(_, output)| match output {
        Output::Transition(change) if change.change == Change::Fired => Some(change),
        _ => None,
    });
    fired.map(|change| format!("{} {}{}", change.rule.name, change.machine, change.series)).collect()
}

#[test]
fn a_replay_refuses_the_same_and_what_was_refused_comes_in_once_there_is_room() {
    for workers in 1..=3 {
        let settings = Settings { bindings_max: 30, ..settings(workers) };
        let mut records = vec![stamped(t(0.0), rules(1, rules_on_all(0..3)))];
        records.extend(frames(9, 4, 1.0, 1.0));
        // Breaching, before and after two of the rules are gone.
        records.extend(frames(9, 4, 5.0, 9.0));
        records.push(stamped(t(6.0), rules(2, rules_on_all(2..3))));
        records.extend(frames(9, 4, 10.0, 1.0));
        records.extend(frames(9, 4, 15.0, 9.0));
        let (live, counted) = run_counted(&settings, &records, |_| true, t(20.0));
        for every in [2, 7, 1_000] {
            let (replayed, again) = run_counted(&settings, &records, |n| n % every == 0, t(20.0));
            assert_eq!(fired(&replayed), fired(&live), "{workers} workers");
            assert_eq!(again["bindings_refused"], counted["bindings_refused"]);
        }
        let both = fired(&live);
        let by = |rule: &str| both.iter().filter(|line| line.starts_with(rule)).count();
        assert_eq!(by("r000"), by("r001"));
        assert!(by("r000") <= 10 && 0 < by("r000"), "a series has places for all of its rules or for none: {both:?}");
        assert!(by("r000") < by("r002"), "two rules' places went to series that had none: {both:?}");
        assert_eq!(usize::try_from(counted["bindings_refused"]).unwrap(), 3 * (36 - by("r000")));
    }
}
