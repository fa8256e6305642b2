//! What the fleet's rollups cost: the same minutes of a fleet through the graph with and without them. `measure fleet`.
//!
//! 1,667 machines of 60 series (100 k), three tags each, two frames a minute, sealed once a second of T as a live hub is. Printed is the user time of
//! the process, which differs by the fleet's part only, per minute of the fleet. `fleet MACHINES MINUTES WORKERS` for other sizes;
//! `on` or `off` behind them runs once and prints the memory that is resident at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use benches::process::Process;
use benches::report::Figure;
use model::catalogue::METRICS;
use model::dataflow::route;
use model::{
    Batch, Catalogue, Dataflow, Labels, Layout, LogicalTime, MachineId, MachineInfo, Output, Positions, Record,
    SeriesKey, SessionId, Stamped, Times, Timestamp,
};
use pipeline::{Feed, Settings, SinkPort, SinkSpec};

use crate::{Arguments, Result};

const SERIES: usize = 60;
const SECOND: LogicalTime = 1_000_000;
const BASE: LogicalTime = 1_700_000_040 * SECOND;
const RUNS: usize = 3;
const RUN_MAX: Duration = Duration::from_secs(300);

/// Counts what the fleet's part publishes.
struct Counting {
    rollups: u64,
    done: SyncSender<u64>,
    is_complete: bool,
}

impl SinkPort for Counting {
    fn output(&mut self, _t: LogicalTime, output: Output) {
        self.rollups += u64::from(matches!(output, Output::Fleet(_)));
    }
    fn flush(&mut self) {}
    fn progress(&mut self, _before: LogicalTime) {}
    fn complete(&mut self) {
        if !std::mem::replace(&mut self.is_complete, true) {
            self.done.send(self.rollups).expect("the run waits for every worker");
        }
    }
}

/// Every metric that machines are compared by, disks and interfaces several times, the rest cores.
fn layout(machine: MachineId) -> Result<Arc<Layout>> {
    let mut series = Vec::new();
    for metric in METRICS.iter().filter(|metric| metric.is_compared && metric.name.starts_with("system.")) {
        let several = ["system.disk", "system.network.re", "system.network.tr", "system.filesystem"];
        let count = if several.iter().any(|prefix| metric.name.starts_with(prefix)) { 2 } else { 1 };
        for number in 0..count {
            series.push(SeriesKey::parse(metric.name, Labels::parse([("n", number.to_string().as_str())])?)?);
        }
    }
    for core in series.len()..SERIES {
        series.push(SeriesKey::parse(
            "system.cpu.core.utilization",
            Labels::parse([("cpu", core.to_string().as_str())])?,
        )?);
    }
    Ok(Arc::new(Layout::new(machine, series)))
}

fn records(machines: u64, minutes: u64) -> Result<Vec<Stamped>> {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut records = Vec::new();
    let mut layouts = Vec::new();
    for number in 0..machines {
        let machine = MachineId::parse(&format!("m{number}"))?;
        let mut info = MachineInfo::unknown(machine.clone(), Timestamp::from_logical(BASE));
        let role = ["db", "web", "queue", "cache", "worker"][usize::try_from(number % 5)?];
        let tags =
            [("role", role.to_owned()), ("site", format!("s{}", number % 3)), ("rack", format!("r{}", number % 40))];
        info.tags = tags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<_, _>>();
        records.push(Stamped { t: BASE, record: Record::Machine(Arc::new(info)) });
        layouts.push((layout(machine)?, rng.u64(0..5 * SECOND)));
    }
    for half in 0..2 * minutes {
        for (layout, phase) in &layouts {
            // The first half minute's frame, and one that ends the minute within five seconds.
            let t = BASE + half / 2 * 60 * SECOND + (half % 2) * 54 * SECOND + phase;
            let values: Vec<f64> = layout.series.iter().map(|_| f64::from(rng.u32(0..64)) / 64.0).collect();
            let batch = Batch {
                layout: Arc::clone(layout),
                session: SessionId(1),
                sequence: half,
                arrival: Timestamp::from_logical(t),
                age_ms: 0,
                positions: Positions::All,
                times: Times::One(Timestamp::from_logical(t)),
                values: values.into(),
            };
            records.push(Stamped { t, record: Record::Batch(Arc::new(batch)) });
        }
    }
    records.sort_by_key(|stamped| stamped.t);
    Ok(records)
}

/// Runs the records through the graph; gives the rollups published, and calls `before_end` while everything is held.
fn fleet(records: &[Stamped], workers: usize, is_on: bool, before_end: impl Fn()) -> Result<u64> {
    let (done, results) = sync_channel(workers);
    let port =
        move |_| -> Box<dyn SinkPort> { Box::new(Counting { rollups: 0, done: done.clone(), is_complete: false }) };
    let sinks = [SinkSpec { name: "count", feed: Feed::History, port: Box::new(port) }];
    let mut settings = Settings::new(workers, Catalogue::standard());
    settings.fleet.is_on = is_on;
    let (handle, running) = pipeline::start(&settings, &sinks, Arc::new(|| true))?;
    let mut sealed = BASE;
    for stamped in records {
        while stamped.t >= sealed + SECOND {
            sealed += SECOND;
            handle.seal(sealed);
            // A live hub's graph is idle most of each second; here it must not lag so far that seconds run into one.
            while handle.completed() + SECOND < sealed {
                std::thread::yield_now();
            }
        }
        handle.push(route(&stamped.record, workers), stamped.clone())?;
    }
    let end = sealed + 30 * SECOND;
    handle.seal(end);
    while handle.completed() < end {
        std::thread::yield_now();
    }
    before_end();
    handle.close();
    let mut rollups = 0;
    for _ in 0..workers {
        rollups += results.recv_timeout(RUN_MAX)?;
    }
    running.join()?;
    Ok(rollups)
}

/// User time of the workers' threads so far, in seconds: those that have ended are missing, so it is asked before the end.
fn workers_user_s() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let user = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        let (name, rest) = stat.rsplit_once(')')?;
        let ticks: f64 = rest.split_whitespace().nth(11)?.parse().ok()?;
        name.contains("timely").then_some(ticks / 100.0)
    };
    tasks.filter_map(user).sum()
}

pub(crate) fn run(args: Arguments) -> Result<()> {
    let arguments: Vec<String> = args.collect();
    let size = |at: usize, default| arguments.get(at).map_or(Ok(default), |size| size.parse::<u64>());
    let (machines, minutes, workers) = (size(0, 1_667)?, size(1, 20)?, usize::try_from(size(2, 1)?)?);
    let records = records(machines, minutes)?;
    if let Some(word) = arguments.get(3) {
        let tell = || Figure::new(format!("fleet {word}: resident"), Process::own().rss_mb(), "MB").print();
        fleet(&records, workers, word == "on", tell)?;
        return Ok(());
    }
    let mut best = [f64::INFINITY; 2];
    for _ in 0..RUNS {
        for (place, is_on) in [false, true].into_iter().enumerate() {
            let user = std::cell::Cell::new(0.0);
            fleet(&records, workers, is_on, || user.set(workers_user_s()))?;
            best[place] = best[place].min(user.get());
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let per_minute = (best[1] - best[0]) / minutes as f64;
    let name = format!("fleet: its part with {machines} machines x {SERIES} series");
    Figure::new(name, per_minute / 60.0 * 100.0, "% of a core").at_most(0.3).print();
    Ok(())
}
