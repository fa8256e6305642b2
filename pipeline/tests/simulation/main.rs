//! Seeded machines and edits against naive oracles: whatever the order of arrival inside the horizon, duplicates, resends, clocks,
//! outages, edits of rules and tags, layouts, workers and seals, the graph ends with the oracle's aggregates, repairs, transitions and
//! presence (T-1, W-1 to W-4, A-1, C-1), each revision on the way holds no less than the one before, and a replay publishes the same.
//!
//! Several processes publish what one does (P-1), and each is told everything (P-2). `machines.rs` and `edits.rs` make what arrives; `rows.rs`, `rules.rs` and `presence.rs` say what must come of it, `feed.rs` when.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "../common/mod.rs"]
mod common;
mod edits;
mod feed;
mod machines;
mod presence;
#[path = "../common/processes.rs"]
mod processes;
mod published;
mod rows;
mod rules;
mod together;
mod told;

use std::sync::Arc;

use common::{SECOND, batch, layout, rule, run, run_counted, settings, stamped, t, time};
use fastrand::Rng;
use model::{Record, Stamped, Width};
use pipeline::Settings;
use proptest::prelude::*;
use rules::{is_of_minutes, is_of_samples};
use together::run_on;

/// What arrives in so many seconds, and a time long after.
fn script(seed: u64, seconds: u32) -> (Vec<Stamped>, u64) {
    let mut rng = Rng::with_seed(seed);
    let mut records = edits::edits(seconds, &mut rng);
    records.extend(machines::machines(seconds, &mut rng));
    records.sort_by_key(|record| record.t);
    let end = records.last().unwrap().t + 3 * 3_600 * SECOND;
    (records, end)
}

/// Whether to seal before a record: now every time, now hardly ever.
fn seals(seed: u64, every: usize) -> impl Fn(usize) -> bool {
    move |n| Rng::with_seed(seed ^ n as u64).usize(0..every) == 0
}

proptest! {
    // A case is dear. PROPTEST_CASES stands above this: thousands in `make test-long`.
    #![proptest_config(ProptestConfig::with_cases(25))]

    #[test]
    fn the_graph_ends_with_the_oracles_rows_and_transitions(
        seed: u64, seconds in 60u32..900, workers in 1usize..=4, every in 1usize..60, live_s in prop_oneof![Just(0), 0u32..900]
    ) {
        let (records, end) = script(seed, seconds);
        let live_from = t(f64::from(live_s));
        let settings = Settings { live_from, ..settings(workers) };
        let (outputs, counted) = run_counted(&settings, &records, seals(seed, every), end);

        let sorted = rows::sort(&records);
        for width in [Width::Minute, Width::Hour] {
            let oracle = rows::rows(&sorted, width);
            prop_assert_eq!(rows::texts(&rows::newest(&outputs, width, &oracle)), rows::texts(&oracle), "{:?}", width);
        }
        prop_assert_eq!(rows::asked_repairs(&outputs), rows::repairs(&sorted));
        let expected = [sorted.aggregated.len(), sorted.duplicates, sorted.beyond.len(), sorted.refused];
        let counted = ["aggregated", "duplicate", "beyond_horizon", "rejected"].map(|name| counted[name]);
        prop_assert_eq!(counted, expected.map(|n| n as u64), "C-1");

        let mut expected = rules::transitions(&records, &feed::frames(&records), is_of_samples, (live_from, end));
        let minutes = feed::minutes(&outputs, &sorted);
        expected.extend(rules::transitions(&records, &minutes, is_of_minutes, (live_from, end)));
        prop_assert_eq!(rules::published(&outputs), expected);
        prop_assert_eq!(presence::published(&outputs), presence::presence(&records, live_from, end));
    }

    #[test]
    fn a_replay_publishes_the_same_whenever_it_is_sealed(seed: u64, seconds in 60u32..400, workers in 1usize..=2, every in 2usize..80) {
        let (records, end) = script(seed, seconds);
        let live = run(&settings(workers), &records, |_| true, end);
        let replayed = run(&settings(workers), &records, seals(seed, every), end);
        prop_assert_eq!(published::published(&live), published::published(&replayed));
    }

}

proptest! {
    // Each case runs two to three processes with their connections.
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// Wherever a machine's frames and the edits of rules come in, and whoever seals when.
    #[test]
    fn several_processes_publish_what_one_does(
        seed: u64, seconds in 30u32..120, processes in 2usize..=3, workers in 1usize..=2, every in 1usize..60
    ) {
        let (records, end) = script(seed, seconds);
        let settings = settings(workers);
        let at = |n: usize| Rng::with_seed(seed ^ (records[n].t << 8)).usize(..processes);
        let together = run_on(processes, &settings, &records, (at, seals(seed, every)), end);
        let alone = run(&settings, &records, |_| true, end);
        let kept: Vec<_> = together.iter().flat_map(|left| left.kept.clone()).collect();
        prop_assert_eq!(published::published(&kept), published::published(&alone));
        prop_assert_eq!(published::of_the_fleet(&kept), published::of_the_fleet(&alone));
        for left in &together {
            told::assert_same_changes(&left.told, &alone);
            told::assert_same_changes(&left.shown, &alone);
            prop_assert_eq!(told::newest(&left.shown), told::newest(&alone));
            told::assert_is_part(&left.shown, &alone);
            let own = told::of_one_store(&left.kept);
            prop_assert!(own == told::of_one_store(&left.told) && own == told::of_one_store(&left.shown));
        }
        let of_machines: Vec<_> = together.iter().map(|left| published::published(&left.kept)).collect();
        let count: usize = of_machines.iter().map(std::collections::BTreeMap::len).sum();
        prop_assert_eq!(count, published::published(&alone).len(), "each stream leaves at one process");
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(25))]

    /// Staleness: what is over two minutes old on arrival, by its collector's clock, corrects history and changes no alert.
    #[test]
    fn a_replayed_spool_corrects_history_and_pages_nobody(seed: u64, ticks in 1u32..700, age_s in 121u32..3_600) {
        let mut rng = Rng::with_seed(seed);
        let alarming = [
            r#"{"name":"any","metric":"m","operator":"gt","threshold":-1000,"severity":"critical"}"#,
            r#"{"name":"minute","metric":"m","input":"minute_max","operator":"gt","threshold":-1000,"severity":"critical"}"#,
            r#"{"name":"count","metric":"m","input":"minute_count","operator":"gte","threshold":1,"severity":"critical"}"#,
        ];
        let mut records = vec![stamped(t(0.0), common::rules(1, alarming.map(rule).into()))];
        let layout = layout("a", 2);
        for n in 0..ticks {
            let (sent, value) = (t(5.0) + u64::from(n) * 1_000, f64::from(rng.i32(-50..50)));
            let measured = time(f64::from(n) * 5.0 - f64::from(age_s + ticks * 5));
            let age_ms = age_s * 1_000;
            let samples = [(0, measured, value), (1, measured, 0.0 - value)];
            records.push(stamped(sent, Record::Batch(Arc::new(model::Batch { age_ms, ..batch(&layout, sent, &samples) }))));
        }
        let end = records.last().unwrap().t + 3_600 * SECOND;
        let outputs = run(&settings(2), &records, |n| n % 7 == 0, end);
        prop_assert!(rules::published(&outputs).is_empty(), "{:?}", rules::published(&outputs));
        let sorted = rows::sort(&records);
        for width in [Width::Minute, Width::Hour] {
            let oracle = rows::rows(&sorted, width);
            prop_assert_eq!(rows::texts(&rows::newest(&outputs, width, &oracle)), rows::texts(&oracle));
        }
    }
}
