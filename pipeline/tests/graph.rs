//! The graph as a whole: rules that change while it runs, backpressure, durability, and the way out of a restart.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::{DEADLINE, SECOND, batch, layout, rule, rules, run, settings, stamped, t, time};
use model::{Change, Dataflow, Egress, MachineInfo, Output, Record, Stamped};
use pipeline::{Feed, QueuePort, Settings, SinkSpec};
use runtime::queue::{self, Receiver, WhenFull};

const HOT: &str = r#"{"name":"hot","metric":"m","operator":"gt","threshold":5,"severity":"warning"}"#;

fn frame(name: &str, second: f64, values: &[f64]) -> Stamped {
    let samples: Vec<_> = (0..).zip(values).map(|(position, value)| (position, time(second), *value)).collect();
    let batch = batch(&layout(name, values.len()), t(second), &samples);
    stamped(t(second), Record::Batch(Arc::new(batch)))
}

fn changes(outputs: &[(u64, Output)]) -> Vec<(String, Change, f64)> {
    let change = |output: &Output| match output {
        Output::Transition(t) if t.rule.name != pipeline::MACHINE_DOWN => {
            Some((t.rule.name.clone(), t.change, t.value))
        }
        _ => None,
    };
    outputs.iter().filter_map(|(_, output)| change(output)).collect()
}

#[test]
fn a_rule_edit_takes_effect_without_a_restart() {
    let calmer = r#"{"name":"hot","metric":"m","operator":"gt","threshold":50,"severity":"warning"}"#;
    let mut records = vec![stamped(t(0.0), rules(1, vec![]))];
    records.extend((0..10).map(|n| frame("a", f64::from(n) + 0.5, &[9.0])));
    records.push(stamped(t(10.6), rules(2, vec![rule(HOT)])));
    records.extend((11..20).map(|n| frame("a", f64::from(n) + 0.5, &[9.0])));
    records.push(stamped(t(20.6), rules(3, vec![rule(calmer)])));
    records.extend((21..30).map(|n| frame("a", f64::from(n) + 0.5, &[9.0])));
    for workers in [1, 2] {
        let outputs = run(&settings(workers), &records, |_| true, t(40.0));
        let expected = [("hot".to_owned(), Change::Fired, 9.0), ("hot".to_owned(), Change::Resolved, 9.0)];
        assert_eq!(changes(&outputs), expected, "{workers} workers");
    }
}

#[test]
fn a_machines_tags_decide_which_rules_apply() {
    let databases =
        r#"{"name":"db","metric":"m","operator":"gt","threshold":5,"severity":"warning","tags":{"role":"db"}}"#;
    let mut info = MachineInfo::unknown(common::machine("a"), time(0.0));
    info.tags.insert("role".into(), "db".into());
    let records = [
        stamped(t(0.0), rules(1, vec![rule(databases)])),
        frame("a", 1.0, &[9.0]),
        stamped(t(2.0), Record::Machine(Arc::new(info))),
        frame("a", 3.0, &[9.0]),
        frame("a", 10.0, &[9.5]),
    ];
    let outputs = run(&settings(2), &records, |_| true, t(20.0));
    assert_eq!(changes(&outputs), [("db".to_owned(), Change::Fired, 9.5)]);
}

#[test]
fn an_alert_from_before_the_restart_is_not_repeated_and_resolves_once() {
    let records = [stamped(t(0.0), rules(1, vec![rule(HOT)])), frame("a", 1.0, &[9.0]), frame("a", 6.0, &[1.0])];
    let first = run(&settings(1), &records[..2], |_| true, t(3.0));
    let fired = first.iter().find_map(|(_, output)| match output {
        Output::Transition(transition) => Some(model::Alert::after(transition)),
        _ => None,
    });
    let after = Settings { firing: fired.into_iter().collect(), live_from: t(5.0), ..settings(1) };
    let again = run(&after, &records, |_| true, t(10.0));
    assert_eq!(changes(&again), [("hot".to_owned(), Change::Resolved, 1.0)]);
}

#[test]
fn an_alert_of_a_rule_that_was_removed_meanwhile_is_resolved_once_its_series_is_back() {
    let records = [stamped(t(0.0), rules(1, vec![rule(HOT)])), frame("a", 1.0, &[9.0])];
    let first = run(&settings(1), &records, |_| true, t(3.0));
    let fired = first.iter().find_map(|(_, output)| match output {
        Output::Transition(transition) => Some(model::Alert::after(transition)),
        _ => None,
    });
    let after = Settings { firing: fired.into_iter().collect(), live_from: t(5.0), ..settings(1) };
    let records =
        [frame("a", 4.0, &[9.0]), stamped(t(5.0), rules(2, vec![])), frame("a", 6.0, &[9.0]), frame("a", 7.0, &[9.0])];
    let again = run(&after, &records, |_| true, t(20.0));
    assert_eq!(changes(&again), [("hot".to_owned(), Change::Resolved, 9.0)]);
}

/// A running graph with one sink queue, driven by hand.
struct Bench {
    handle: Arc<pipeline::Handle>,
    running: pipeline::Running,
    sink: Receiver<Egress>,
    gate: Arc<AtomicBool>,
}

fn start() -> Bench {
    let (sender, sink) = queue::bounded("history", 1_000, WhenFull::Overshoot);
    let gate = Arc::new(AtomicBool::new(true));
    let is_open = Arc::clone(&gate);
    let port = move |_| -> Box<dyn pipeline::SinkPort> {
        Box::new(QueuePort::new(sender.clone(), |output| matches!(output, Output::Samples(_))))
    };
    let sinks = [SinkSpec { name: "history", feed: Feed::History, port: Box::new(port) }];
    let (handle, running) =
        pipeline::start(&settings(1), &sinks, Arc::new(move || is_open.load(Ordering::Acquire))).unwrap();
    Bench { handle, running, sink, gate }
}

impl Bench {
    fn push(&self, stamped: Stamped) {
        self.handle.push(0, stamped).unwrap();
        self.handle.ring(0);
    }

    /// Drains the sink's queue until its progress has reached `until`; gives samples seen.
    fn drain(&mut self, until: u64) -> usize {
        let mut samples = 0;
        loop {
            match self.sink.recv_timeout(DEADLINE).unwrap() {
                Egress::Data { outputs, .. } => samples += outputs.len(),
                Egress::Progress(before) if before >= until => return samples,
                Egress::Complete => return samples,
                Egress::Progress(_) => {}
            }
        }
    }
}

#[test]
fn data_flows_before_the_seal_and_progress_only_with_it() {
    let mut bench = start();
    bench.handle.seal(t(1.0));
    assert_eq!(bench.drain(t(1.0)), 0);
    bench.push(frame("a", 1.0, &[1.0]));
    let first = bench.sink.recv_timeout(DEADLINE).unwrap();
    assert!(matches!(first, Egress::Data { t: at, .. } if at == t(1.0)), "before any seal: {first:?}");
    assert_eq!(bench.handle.completed(), t(1.0), "S-2: not durable yet");
    // Beyond the boundary that the machine's new series wait for.
    bench.handle.seal(t(2.0));
    assert_eq!(bench.drain(t(2.0)), 0);
    bench.handle.close();
    bench.drain(u64::MAX);
    bench.running.join().unwrap();
}

#[test]
fn a_closed_gate_holds_the_source_and_loses_nothing() {
    let mut bench = start();
    bench.gate.store(false, Ordering::Release);
    for n in 0..100 {
        bench.push(frame("a", f64::from(n), &[1.0]));
    }
    bench.handle.seal(t(100.0));
    assert_eq!(bench.handle.completed(), 0, "nothing is drawn");
    bench.gate.store(true, Ordering::Release);
    bench.handle.ring_all();
    assert_eq!(bench.drain(t(100.0)), 100);
    bench.handle.close();
    bench.drain(u64::MAX);
    bench.running.join().unwrap();
}

#[test]
fn a_queue_that_is_never_empty_does_not_hold_back_progress() {
    let mut bench = start();
    bench.gate.store(false, Ordering::Release);
    let total = 6_000_u32;
    (0..total).for_each(|n| bench.push(frame("a", f64::from(n), &[1.0])));
    bench.handle.seal(t(f64::from(total)));
    bench.gate.store(true, Ordering::Release);
    bench.handle.ring_all();
    let middle = bench.drain(t(1.0));
    assert!((1..total as usize).contains(&middle), "the first progress came behind {middle} samples");
    assert_eq!(middle + bench.drain(t(f64::from(total))), total as usize);
    bench.handle.close();
    bench.drain(u64::MAX);
    bench.running.join().unwrap();
}

#[test]
fn a_full_queue_makes_the_pusher_wait_and_every_record_arrives() {
    let mut bench = start();
    let handle = Arc::clone(&bench.handle);
    let pushed = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&pushed);
    let total = 30_000_u32;
    bench.gate.store(false, Ordering::Release);
    let pusher = std::thread::spawn(move || {
        for n in 0..total {
            handle.push(0, frame("a", f64::from(n), &[1.0])).unwrap();
            count.fetch_add(1, Ordering::AcqRel);
        }
        handle.seal(t(f64::from(total)));
    });
    let bound = settings(1).queue_records_max as u64;
    let is_full =
        testkit::eventually::eventually_blocking(DEADLINE, || pushed.load(Ordering::Acquire), |n| *n >= bound);
    assert_eq!(is_full.unwrap(), bound, "Q-1: the queue holds its capacity and no more");
    bench.gate.store(true, Ordering::Release);
    bench.handle.ring_all();
    assert_eq!(bench.drain(t(f64::from(total))), total as usize);
    pusher.join().unwrap();
    bench.handle.close();
    bench.drain(u64::MAX);
    bench.running.join().unwrap();
}

#[test]
fn a_silent_machine_goes_down_after_live_start_by_the_graphs_clock() {
    let settings = Settings { live_from: t(0.0), ..settings(2) };
    let outputs =
        run(&settings, &[frame("a", 1.0, &[1.0]), frame("a", 31.0, &[1.0])], |_| true, t(31.0) + 120 * SECOND);
    let statuses = outputs.iter().filter_map(|(_, output)| match output {
        Output::Presence(presence) => Some(presence.status.as_str()),
        _ => None,
    });
    assert_eq!(statuses.collect::<Vec<_>>(), ["up", "stale", "up", "stale", "down"]);
}
