//! Introspection: after a known workload the operators of `graph.rs` stand in the table with what they did, and nothing waits.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[allow(dead_code, reason = "what the tests of outputs share")]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{DEADLINE, SECOND, batch, layout, rule, rules, settings, stamped, t, time};
use model::dataflow::route;
use model::{Dataflow, LogicalTime, Output, Record, Stamped};
use pipeline::introspect::{GraphView, OperatorView, OperatorWork};
use pipeline::{Detail, Feed, Handle, Running, SinkPort, SinkSpec};

const MACHINES: u32 = 5;
const FRAMES: u32 = 24;
const HOT: &str = r#"{"name":"hot","metric":"m","operator":"gt","threshold":5,"severity":"warning"}"#;

/// Takes everything and keeps nothing.
struct Nowhere;

impl SinkPort for Nowhere {
    fn output(&mut self, _t: LogicalTime, _output: Output) {}
    fn flush(&mut self) {}
    fn progress(&mut self, _before: LogicalTime) {}
    fn complete(&mut self) {}
}

fn workload() -> Vec<Stamped> {
    let mut records = vec![stamped(t(0.0), rules(1, vec![rule(HOT)]))];
    for n in 0..FRAMES {
        for machine in 0..MACHINES {
            let second = f64::from(n) * 5.0 + f64::from(machine) * 0.1;
            let layout = layout(&format!("machine-{machine}"), 2);
            let samples = [(0, time(second), 1.0), (1, time(second), 9.0)];
            records.push(stamped(t(second), Record::Batch(Arc::new(batch(&layout, t(second), &samples)))));
        }
    }
    records
}

/// Puts the workload through a graph of `workers` workers and waits until all of it has left.
fn drained(workers: usize, introspection: Detail) -> (Arc<Handle>, Running) {
    let sinks = [SinkSpec { name: "history", feed: Feed::History, port: Box::new(|_| Box::new(Nowhere)) }];
    let mut settings = settings(workers);
    settings.introspection = introspection;
    let (handle, running) = pipeline::start(&settings, &sinks, Arc::new(|| true)).unwrap();
    for stamped in workload() {
        handle.push(route(&stamped.record, workers), stamped).unwrap();
    }
    handle.seal(t(0.0) + 200 * SECOND);
    let (graph, sealed) = (Arc::clone(&handle), handle.sealed());
    testkit::eventually::eventually_blocking(DEADLINE, || graph.completed() >= sealed, |done| *done).unwrap();
    (handle, running)
}

fn stop(handle: &Handle, running: Running) {
    handle.close();
    running.join().unwrap();
}

fn operator<'a>(view: &'a GraphView, name: &str) -> &'a OperatorView {
    let found = view.operators.iter().find(|operator| operator.name == name);
    found.unwrap_or_else(|| panic!("{name} is not among {:?}", names(view)))
}

fn names(view: &GraphView) -> Vec<&str> {
    view.operators.iter().map(|operator| operator.name.as_str()).collect()
}

fn total(operator: &OperatorView, figure: impl Fn(&OperatorWork) -> u64) -> u64 {
    operator.work.iter().map(figure).sum()
}

/// The worker parks after it has flushed what it did last, so the table settles a moment after the outputs.
fn settled(handle: &Handle) -> GraphView {
    let is_settled = |view: &GraphView| {
        view.operators.iter().all(|operator| total(operator, |w| w.waiting_records + w.lag_us.unwrap_or(0)) == 0)
    };
    testkit::eventually::eventually_blocking(DEADLINE, || handle.operators(), is_settled).expect("settles")
}

#[test]
fn a_drained_graph_shows_what_each_operator_did_and_that_nothing_waits() {
    for (workers, detail) in [(1, Detail::Operators), (2, Detail::Operators), (1, Detail::Events), (2, Detail::Events)]
    {
        let (handle, running) = drained(workers, detail);
        let view = settled(&handle);
        let batches = u64::from(MACHINES * FRAMES);
        for (name, records) in [("normalize", batches + 1), ("batch", batches), ("window", batches)] {
            let records_in = total(operator(&view, name), |work| work.records_in);
            assert_eq!(records_in, records, "{workers} workers, {detail:?}: into {name}");
        }
        assert_eq!(total(operator(&view, "source"), |work| work.records_out), batches + 1);
        assert_eq!(total(operator(&view, "batch"), |work| work.records_out), batches, "counted once for all followers");
        for name in ["source", "normalize", "batch", "window", "rollup", "presence", "evaluate", "coarsen", "history"] {
            let operator = operator(&view, name);
            assert_eq!(operator.work.len(), workers);
            assert!(operator.work.iter().all(|work| work.schedules > 0), "{name}: {operator:?}");
            assert!(total(operator, |work| work.busy_ns) > 0, "{name}: {operator:?}");
        }
        assert!(operator(&view, "window").work.iter().all(|work| work.lag_us == Some(0)), "drained");
        assert_eq!(operator(&view, "normalize").work[0].lag_us, None, "it does not look at its frontier");
        assert!(view.channels.iter().flat_map(|channel| &channel.traffic).all(|traffic| traffic.waiting_messages == 0));
        stop(&handle, running);
    }
}

#[test]
fn operators_stand_in_flow_order_under_unique_names() {
    let (handle, running) = drained(2, Detail::Events);
    let view = settled(&handle);
    let place = |name: &str| names(&view).iter().position(|other| *other == name).unwrap();
    let flow = ["source", "normalize", "batch", "window", "rollup", "history"].map(place);
    assert!(flow.is_sorted(), "{:?}", names(&view));
    let unique: std::collections::BTreeSet<&str> = names(&view).into_iter().collect();
    assert_eq!(unique.len(), view.operators.len(), "{:?}", names(&view));
    stop(&handle, running);
}

#[test]
fn arrangements_show_what_differential_keeps() {
    for detail in [Detail::Operators, Detail::Events] {
        let (handle, running) = drained(2, detail);
        let view = settled(&handle);
        let arrangement = |name: &str| view.arrangements.iter().find(|kept| kept.name == name).unwrap();
        let series = arrangement("series by metric");
        assert_eq!(series.records, u64::from(MACHINES * 2));
        assert!((1..=series.records).contains(&series.batches), "{series:?}");
        assert!(series.approx_bytes.unwrap() >= series.records * 8, "{series:?}");
        assert_eq!(arrangement("rules by metric").records, 2, "on each worker, for its own series");
        stop(&handle, running);
    }
}

#[test]
fn an_operator_that_is_behind_the_seal_shows_its_lag() {
    let sinks = [SinkSpec { name: "history", feed: Feed::History, port: Box::new(|_| Box::new(Nowhere)) }];
    let gate = Arc::new(AtomicBool::new(true));
    let is_open = Arc::clone(&gate);
    let (handle, running) =
        pipeline::start(&settings(1), &sinks, Arc::new(move || is_open.load(Ordering::Acquire))).unwrap();
    handle.seal(t(10.0));
    let (graph, sealed) = (Arc::clone(&handle), handle.sealed());
    testkit::eventually::eventually_blocking(DEADLINE, || graph.completed() >= sealed, |done| *done).unwrap();
    settled(&handle);
    gate.store(false, Ordering::Release);
    for stamped in workload() {
        handle.push(0, stamped).unwrap();
    }
    handle.seal(t(130.0));
    let view = handle.operators();
    let window = operator(&view, "window").work[0];
    assert_eq!((window.records_in, window.lag_us), (0, Some(120 * SECOND)), "the gate is closed");
    gate.store(true, Ordering::Release);
    handle.ring_all();
    assert_eq!(total(operator(&settled(&handle), "window"), |work| work.records_in), u64::from(MACHINES * FRAMES));
    stop(&handle, running);
}

#[test]
fn a_worker_that_waits_for_work_sleeps_and_is_not_woken_to_be_looked_at() {
    let (handle, running) = drained(1, Detail::Operators);
    let first = settled(&handle).workers[0];
    let looks = (0..100).map(|_| handle.operators().workers[0].events).max();
    assert!(first.events > 0 && looks.is_some_and(|events| events <= first.events + 2), "{first:?}, then {looks:?}");
    stop(&handle, running);
}

#[test]
fn without_introspection_nothing_is_counted() {
    let (handle, running) = drained(1, Detail::Off);
    assert_eq!(handle.operators().operators, Vec::new());
    stop(&handle, running);
}
