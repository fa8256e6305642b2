//! Together: what arrives, at several processes that run the graph as one.

use std::sync::Arc;

use model::dataflow::route;
use model::{Dataflow, LogicalTime, Stamped};
use pipeline::Settings;

use crate::common::wait_until;
use crate::processes::{Left, Process};

/// What leaves each process when `records` go in at the processes that `at` says. `seals(n)` says whether the process seals before
/// record n; all seal at the end.
pub(crate) fn run_on(
    processes: usize,
    settings: &Settings,
    records: &[Stamped],
    (at, seals): (impl Fn(usize) -> usize, impl Fn(usize) -> bool),
    end: LogicalTime,
) -> Vec<Left> {
    let started = Process::start(processes, settings, |_| Arc::new(|| true));
    for (n, stamped) in records.iter().enumerate() {
        let handle = &started[at(n)].handle;
        if seals(n) {
            handle.seal(stamped.t);
        }
        handle.push(route(&stamped.record, settings.workers), stamped.clone()).unwrap();
        handle.ring_all();
    }
    started.iter().for_each(|process| process.handle.seal(end));
    wait_until(|| started.iter().all(|process| end <= process.handle.completed()));
    Process::end(started)
}
