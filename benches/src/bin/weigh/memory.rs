//! Memory: bytes per series of the graph and the hot store, in all and by part, as an allocator counts them.
//!
//! The parts come from runs that differ in one thing: the rules, the horizon, the number of times, the hot store. `memory [MACHINES]`.

use std::sync::Arc;
use std::time::Duration;

use benches::fleet::{self, Rules};
use benches::load::Load;
use benches::process::Process;
use benches::report::Figure;
use runtime::clock::SystemClock;
use sinks::memory::{HotSettings, HotStore};

use crate::{ALLOCATOR, Arguments, Result};

/// Eleven minutes behind the newest one are closed and inside the horizon by then.
const SECONDS: u64 = 14 * 60;
const HORIZON: Duration = Duration::from_secs(600);

pub(crate) fn run(mut args: Arguments) -> Result<()> {
    let machines = args.next().map_or(Ok(10_000), |text| text.parse::<u32>())?;
    let series = f64::from(machines) * 60.0;
    let before = ALLOCATOR.allocated();
    let layouts = fleet::layouts(machines)?;
    let names = per_series(ALLOCATOR.allocated() - before, series);
    let load = Load { machines, interval_s: 5, seconds: SECONDS, rules: Rules::None, horizon: HORIZON, workers: 1 };
    let bytes = |load: &Load, has_store| measure(load, &layouts, has_store).map(|bytes| per_series(bytes, series));

    let open = bytes(&Load { horizon: Duration::ZERO, ..load }, false)?;
    let seldom = bytes(&Load { interval_s: 60, ..load }, false)?;
    let closed = bytes(&load, false)?;
    let usual = bytes(&Load { rules: Rules::Usual, ..load }, false)?;
    let every = bytes(&Load { rules: Rules::Every, ..load }, false)?;
    let whole = bytes(&Load { rules: Rules::Every, ..load }, true)?;
    let rss = Process::own().rss_mb();

    let tell = |part: &str, bytes: f64| Figure::new(format!("memory: {part}"), bytes, "B/series").print();
    tell("layouts as sent, shared with ingest", names);
    tell("names, series facts, presence, open minute, hour", open);
    let times = (closed - seldom).max(0.0);
    tell("closed minutes inside the horizon", closed - open - times);
    tell("times seen, at one frame each 5 s", times);
    tell("three rules on 10 of 60 series", usual - closed);
    tell("three rules on every series", every - closed);
    tell("hot store", whole - every);
    Figure::new("memory: graph and hot store, three rules on 10 of 60 series", usual + whole - every, "B/series")
        .at_most(1_024.0)
        .print();
    Figure::new("memory: graph and hot store, three rules on every series", whole, "B/series").at_most(1_024.0).print();
    // Includes what the runs before left to the allocator, and the layouts.
    Figure::new("memory: resident, at the end", rss * 1_048_576.0 / series, "B/series").print();
    Ok(())
}

fn measure(load: &Load, layouts: &[Arc<model::Layout>], has_store: bool) -> Result<usize> {
    let before = ALLOCATOR.allocated();
    let settings = HotSettings { machines_max: usize::MAX, ..HotSettings::default() };
    let store = Arc::new(HotStore::new(settings, SystemClock::shared()));
    let shown = Arc::clone(&store);
    let live = Box::new(move |messages: &[model::Egress]| {
        if has_store {
            shown.apply(messages);
        }
    });
    let loaded = load.run(layouts, live)?;
    wait_for_drains();
    let bytes = ALLOCATOR.allocated().saturating_sub(before);
    loaded.stop()?;
    drop(store);
    Ok(bytes)
}

/// The queues' last messages are dropped within their drains' patience.
fn wait_for_drains() {
    let mut newest = usize::MAX;
    for _ in 0..50 {
        std::thread::park_timeout(Duration::from_millis(100));
        let now = ALLOCATOR.allocated();
        if now == newest {
            return;
        }
        newest = now;
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a process are far below 2^53")]
fn per_series(bytes: usize, series: f64) -> f64 {
    bytes as f64 / series
}
