//! Seeded machines against a naive oracle: whatever the order of arrival inside the horizon, duplicates, workers and seals, the graph
//! ends with the oracle's aggregates and transitions (W-1, W-2, W-3, W-4, A-1), and a replay publishes the same outputs.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::{BASE, SECOND, batch, layout, rule, rules, run, settings, stamped, t, time};
use model::{Aggregate, Change, MachineId, Output, Record, SeriesKey, Stamped, Timestamp, Width, Window};
use proptest::prelude::*;

/// One sample of the simulation.
#[derive(Debug, Clone, Copy)]
struct Sample {
    machine: usize,
    position: u16,
    at: Timestamp,
    value: f64,
}

const MACHINES: [&str; 3] = ["a", "b-2", "c"];
const WIDTH: u16 = 3;

/// Ticks of three machines for a while, in order of arrival: samples late by up to four minutes, frames repeated, a machine that is
/// offline for up to five minutes and then sends what it kept, a clock that jumps ahead and back.
fn simulate(seed: u64, ticks: u32) -> Vec<(u64, Vec<Sample>)> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut arrivals: Vec<(u64, Vec<Sample>)> = Vec::new();
    let offline: Vec<(u32, u32)> = MACHINES.iter().map(|_| (rng.u32(0..ticks), rng.u32(0..60))).collect();
    let jump = (rng.usize(0..MACHINES.len()), rng.u32(0..ticks), rng.u32(0..ticks));
    for tick in 0..ticks {
        for (machine, (from, ticks_offline)) in offline.iter().copied().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "three machines")]
            let second = f64::from(tick) * 5.0 + machine as f64;
            let is_ahead = jump.0 == machine && (jump.1..jump.2).contains(&tick);
            let at = time(second + if is_ahead { 97.0 } else { 0.0 });
            let sample = |position| Sample { machine, position, at, value: f64::from(rng.i32(-50..50)) / 4.0 };
            let mut frame: Vec<Sample> = (0..WIDTH).map(sample).collect();
            if rng.u8(..) < 40 {
                let strays = vec![frame.remove(rng.usize(..frame.len()))];
                arrivals.push((t(second) + rng.u64(0..240 * SECOND), strays));
            }
            if rng.u8(..) < 20 {
                arrivals.push((t(second) + rng.u64(0..240 * SECOND), frame.clone()));
            }
            let back = from + ticks_offline;
            let sent = if (from..back).contains(&tick) {
                // Kept and sent in order once the machine is back, a millisecond apart.
                t(f64::from(back) * 5.0) + u64::from(tick) * 1_000
            } else {
                t(second) + rng.u64(0..SECOND)
            };
            arrivals.push((sent, frame));
        }
    }
    arrivals.sort_by_key(|(t, _)| *t);
    arrivals
}

fn records(arrivals: &[(u64, Vec<Sample>)]) -> Vec<Stamped> {
    let layouts: Vec<_> = MACHINES.iter().map(|name| layout(name, usize::from(WIDTH))).collect();
    let over = rule(
        r#"{"name":"over","metric":"m","operator":"gt","threshold":5,"clear":2,"severity":"warning","labels":{"n":"1"}}"#,
    );
    let lasting = rule(r#"{"name":"lasting","metric":"m","operator":"lt","threshold":0,"for_s":10,"severity":"info"}"#);
    let first = stamped(t(0.0) - SECOND, rules(1, vec![over, lasting]));
    let batches = arrivals.iter().map(|(t, samples)| {
        let columns: Vec<_> = samples.iter().map(|s| (s.position, s.at, s.value)).collect();
        stamped(*t, Record::Batch(Arc::new(batch(&layouts[samples[0].machine], *t, &columns))))
    });
    std::iter::once(first).chain(batches).collect()
}

fn key(position: u16) -> SeriesKey {
    layout("a", usize::from(WIDTH)).series[usize::from(position)].clone()
}

type Rows = BTreeSet<String>;

/// One row as text: `db-1 m{n="0"} 1 n=2 sum=3 min=1 max=2 last=2`.
fn row(machine: &MachineId, series: &SeriesKey, start: Timestamp, row: &Aggregate) -> String {
    let minute = (start.micros() - BASE) / 60_000_000;
    let Aggregate { count, sum, min, max, last, .. } = row;
    format!("{machine} {series} {minute} n={count} sum={sum} min={min} max={max} last={last}")
}

/// Each sample once, into its minute and hour.
fn oracle_rows(arrivals: &[(u64, Vec<Sample>)], width: Width) -> Rows {
    let mut seen = BTreeSet::new();
    let mut windows: BTreeMap<(usize, u16, Timestamp), Aggregate> = BTreeMap::new();
    for sample in arrivals.iter().flat_map(|(_, samples)| samples) {
        if !seen.insert((sample.machine, sample.position, sample.at)) {
            continue;
        }
        let start = Window::containing(sample.at, width).start;
        let new = Aggregate::of(sample.value, sample.at);
        windows.entry((sample.machine, sample.position, start)).and_modify(|old| old.merge(&new)).or_insert(new);
    }
    windows
        .iter()
        .map(|((m, p, start), aggregate)| row(&common::machine(MACHINES[*m]), &key(*p), *start, aggregate))
        .collect()
}

/// The newest revision of each row that left the graph. Revisions only grow.
fn newest_rows(outputs: &[(u64, Output)], width: Width) -> Rows {
    let mut newest: BTreeMap<(String, Timestamp), (u64, String)> = BTreeMap::new();
    for (_, output) in outputs {
        let rows = match output {
            Output::Minute(rows) if width == Width::Minute => rows,
            Output::Hour(rows) if width == Width::Hour => rows,
            _ => continue,
        };
        for (slot, aggregate) in rows.rows.iter() {
            let key = rows.roster.key(slot);
            let text = row(&rows.roster.machine, key, rows.window.start, &aggregate);
            let id = (format!("{} {key}", rows.roster.machine), rows.window.start);
            let older = newest.insert(id, (rows.revision, text.clone()));
            assert!(older.is_none_or(|(revision, old)| revision < rows.revision || old == text), "W-2: {text}");
        }
    }
    newest.into_values().map(|(_, text)| text).collect()
}

/// Rules over the samples in order of arrival, skipping what is not newer than the newest of its series.
fn oracle_transitions(arrivals: &[(u64, Vec<Sample>)]) -> BTreeSet<String> {
    let mut newest: BTreeMap<(usize, u16), Timestamp> = BTreeMap::new();
    let mut over = BTreeSet::new();
    let mut below: BTreeMap<(usize, u16), (Timestamp, bool)> = BTreeMap::new();
    let mut changes = BTreeSet::new();
    for Sample { machine, position, at, value } in arrivals.iter().flat_map(|(_, samples)| samples.iter().copied()) {
        let series = (machine, position);
        if newest.get(&series).is_some_and(|newest| at <= *newest) {
            continue;
        }
        newest.insert(series, at);
        let mut change =
            |rule, change: Change| changes.insert(transition(rule, MACHINES[machine], position, change, at));
        if position == 1 && !over.contains(&series) && value > 5.0 {
            over.insert(series);
            change("over", Change::Fired);
        } else if over.contains(&series) && value <= 2.0 {
            over.remove(&series);
            change("over", Change::Resolved);
        }
        match below.get(&series).copied() {
            Some((_, true)) if value >= 0.0 => {
                below.remove(&series);
                change("lasting", Change::Resolved);
            }
            Some((since, false)) if value < 0.0 && at.since(since).as_secs() >= 10 => {
                below.insert(series, (since, true));
                change("lasting", Change::Fired);
            }
            Some((_, false)) if value >= 0.0 => drop(below.remove(&series)),
            None if value < 0.0 => drop(below.insert(series, (at, false))),
            _ => {}
        }
    }
    changes
}

fn transition(rule: &str, machine: &str, position: u16, change: Change, at: Timestamp) -> String {
    format!("{rule} {machine} {} {change:?} {}", key(position), at.micros() - BASE)
}

fn transitions(outputs: &[(u64, Output)]) -> BTreeSet<String> {
    let of_rules = outputs.iter().filter_map(|(_, output)| match output {
        Output::Transition(t) if t.rule.name != pipeline::MACHINE_DOWN => Some(t),
        _ => None,
    });
    let mut all = BTreeSet::new();
    for t in of_rules {
        let text = format!("{} {} {} {:?} {}", t.rule.name, t.machine, t.series, t.change, t.at.micros() - BASE);
        assert!(all.insert(text.clone()), "A-1: {text} twice");
    }
    all
}

/// Outputs as text, per machine in order: what a replay must repeat.
fn published(outputs: &[(u64, Output)]) -> BTreeMap<String, Vec<String>> {
    let mut by_machine: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (at, output) in outputs {
        let (stream, text) = match output {
            Output::Minute(rows) | Output::Hour(rows) => (
                format!("{} {:?}", rows.roster.machine, rows.window.width),
                format!(
                    "{} {} {} {:?}",
                    rows.window.start,
                    rows.revision,
                    rows.is_final,
                    rows.rows.iter().collect::<Vec<_>>()
                ),
            ),
            Output::Presence(p) => (format!("{} presence", p.machine), format!("{:?}", p.status)),
            Output::Transition(t) => {
                (format!("{} {}", t.machine, t.rule.name), format!("{} {:?} {}", t.series, t.change, t.at))
            }
            Output::Samples(_)
            | Output::Machine(_)
            | Output::Processes(_)
            | Output::Rejected(_)
            | Output::Repair(_)
            | Output::Fleet(_)
            | Output::Hottest(_) => continue,
        };
        by_machine.entry(stream).or_default().push(format!("{at} {text}"));
    }
    by_machine
}

proptest! {
    // A tenth of what PROPTEST_CASES asks for: 25 by default, thousands in `make test-long`.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 10))]

    #[test]
    fn the_graph_ends_with_the_oracles_rows_and_transitions(seed: u64, ticks in 10u32..120, workers in 1usize..4, every in 1usize..40) {
        let arrivals = simulate(seed, ticks);
        let end = arrivals.last().unwrap().0 + 3 * 3600 * SECOND;
        let outputs = run(&settings(workers), &records(&arrivals), |n| n % every == 0, end);
        prop_assert_eq!(newest_rows(&outputs, Width::Minute), oracle_rows(&arrivals, Width::Minute));
        prop_assert_eq!(newest_rows(&outputs, Width::Hour), oracle_rows(&arrivals, Width::Hour), "W-3");
        prop_assert_eq!(transitions(&outputs), oracle_transitions(&arrivals));
    }

    #[test]
    fn a_replay_publishes_the_same_whenever_it_is_sealed(seed: u64, ticks in 10u32..60, every in 2usize..50) {
        let arrivals = simulate(seed, ticks);
        let records = records(&arrivals);
        let end = arrivals.last().unwrap().0 + 3600 * SECOND;
        let live = run(&settings(1), &records, |_| true, end);
        let replayed = run(&settings(1), &records, |n| n % every == 0, end);
        prop_assert_eq!(published(&live), published(&replayed));
    }
}
