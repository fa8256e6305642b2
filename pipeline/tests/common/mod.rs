//! Runs the whole graph on hand-made records and collects what leaves it.
#![allow(clippy::unwrap_used, reason = "a test helper: a failed step fails the test")]

use std::collections::BTreeMap;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::dataflow::route;
use model::{
    Batch, Catalogue, Dataflow, Labels, Layout, LogicalTime, MachineId, Output, Positions, Record, Rule, RuleSet,
    SeriesKey, SessionId, Stamped, Times, Timestamp,
};
use pipeline::{Feed, Settings, SinkPort, SinkSpec};

/// A minute after a full hour, so that event times are easy to read.
pub(crate) const BASE: i64 = 1_700_000_000_000_000 - 1_700_000_000_000_000 % 3_600_000_000;
pub(crate) const SECOND: u64 = 1_000_000;
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn time(second: f64) -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "a test's seconds are small")]
    Timestamp::from_micros(BASE + (second * 1e6) as i64)
}

/// Logical time of a second after the base.
pub(crate) fn t(second: f64) -> LogicalTime {
    u64::try_from(time(second).micros()).unwrap()
}

pub(crate) fn machine(name: &str) -> MachineId {
    MachineId::parse(name).unwrap()
}

/// A layout of `width` series `m{n="0"}`, `m{n="1"}`, ...
pub(crate) fn layout(name: &str, width: usize) -> Arc<Layout> {
    let key = |n: usize| SeriesKey::parse("m", Labels::parse([("n", n.to_string().as_str())]).unwrap()).unwrap();
    Arc::new(Layout::new(machine(name), (0..width).map(key).collect()))
}

/// A batch of (position, event time, value), as a session's frame.
pub(crate) fn batch(layout: &Arc<Layout>, arrival: LogicalTime, samples: &[(u16, Timestamp, f64)]) -> Batch {
    let is_frame = samples.iter().all(|s| s.1 == samples[0].1);
    let is_whole = is_frame && samples.len() == layout.series.len() && samples.iter().zip(0..).all(|(s, n)| s.0 == n);
    Batch {
        layout: Arc::clone(layout),
        session: SessionId(1),
        sequence: 1,
        arrival: Timestamp::from_logical(arrival),
        age_ms: 0,
        positions: if is_whole { Positions::All } else { Positions::List(samples.iter().map(|s| s.0).collect()) },
        times: if is_frame { Times::One(samples[0].1) } else { Times::Each(samples.iter().map(|s| s.1).collect()) },
        values: samples.iter().map(|s| s.2).collect(),
    }
}

pub(crate) fn stamped(t: LogicalTime, record: Record) -> Stamped {
    Stamped { t, record }
}

pub(crate) fn rule(text: &str) -> Rule {
    serde_json::from_str(text).unwrap()
}

pub(crate) fn rules(version: u64, list: Vec<Rule>) -> Record {
    Record::Rules(Arc::new(RuleSet::new(version, list).unwrap()))
}

pub(crate) fn settings(workers: usize) -> Settings {
    Settings::new(workers, Catalogue::standard())
}

struct Collect {
    outputs: Arc<Mutex<Vec<(LogicalTime, Output)>>>,
    progress: Arc<Mutex<Vec<LogicalTime>>>,
    done: SyncSender<()>,
}

impl SinkPort for Collect {
    fn output(&mut self, t: LogicalTime, output: Output) {
        self.outputs.lock().unwrap().push((t, output));
    }
    fn flush(&mut self) {}
    fn progress(&mut self, before: LogicalTime) {
        self.progress.lock().unwrap().push(before);
    }
    fn complete(&mut self) {
        self.done.send(()).unwrap();
    }
}

/// Everything that leaves the graph for the history, in order, when `records` go in. `seals(n)` says whether to seal before record n.
pub(crate) fn run(
    settings: &Settings,
    records: &[Stamped],
    seals: impl Fn(usize) -> bool,
    end: LogicalTime,
) -> Vec<(LogicalTime, Output)> {
    run_counted(settings, records, seals, end).0
}

/// As `run`, with the graph's counters by name, summed over its workers.
pub(crate) fn run_counted(
    settings: &Settings,
    records: &[Stamped],
    seals: impl Fn(usize) -> bool,
    end: LogicalTime,
) -> (Vec<(LogicalTime, Output)>, BTreeMap<&'static str, u64>) {
    let outputs = Arc::new(Mutex::new(Vec::new()));
    let progress = Arc::new(Mutex::new(Vec::new()));
    let (done, waiting) = sync_channel(settings.workers);
    let (kept, seen) = (Arc::clone(&outputs), Arc::clone(&progress));
    let port = move |_| -> Box<dyn SinkPort> {
        Box::new(Collect { outputs: Arc::clone(&kept), progress: Arc::clone(&seen), done: done.clone() })
    };
    let sinks = [SinkSpec { name: "collect", feed: Feed::History, port: Box::new(port) }];
    let (handle, running) = pipeline::start(settings, &sinks, Arc::new(|| true)).unwrap();
    for (n, stamped) in records.iter().enumerate() {
        if seals(n) {
            handle.seal(stamped.t);
        }
        handle.push(route(&stamped.record, settings.workers), stamped.clone()).unwrap();
    }
    handle.seal(end);
    wait_until(|| handle.completed() >= end);
    handle.close();
    for _ in 0..settings.workers {
        waiting.recv_timeout(DEADLINE).unwrap();
    }
    running.join().unwrap();
    let mut counts = BTreeMap::new();
    for (name, count) in handle.counters().iter().flat_map(|worker| worker.list()) {
        *counts.entry(name).or_default() += count;
    }
    let outputs = std::mem::take(&mut *outputs.lock().unwrap());
    (outputs, counts)
}

/// Waits for the graph, with a deadline.
pub(crate) fn wait_until(mut holds: impl FnMut() -> bool) {
    testkit::eventually::eventually_blocking(DEADLINE, &mut holds, |done| *done).unwrap();
}
