//! Meter: what an operator says about itself: when it runs, what it gave, how far its inputs are.
//!
//! Timely's own log tells the first two of every operator, at the price of an event for each, which is too much at full speed (benches/README.md
//! has the figures). An operator with a meter costs two looks at the clock for each time it runs, however many records that moves. The
//! time goes nowhere but into the table: what an operator publishes stays a function of its records.

use std::sync::Arc;
use std::time::Instant;

use model::LogicalTime;
use timely::dataflow::operators::generic::OperatorInfo;
use timely::worker::Worker;

use super::operators::nanos;
use super::table::{FrontierMark, Operator};
use super::{Detail, found};

/// Of one operator on one worker; does nothing where nobody watches, or where timely's log tells it all.
#[derive(Default)]
pub(crate) struct Meter {
    row: Option<Arc<Operator>>,
    frontier: FrontierMark,
}

/// From here to its drop the operator runs.
pub(crate) struct Run<'a>(Option<(&'a Operator, Instant)>);

impl Meter {
    pub(crate) fn of(worker: &Worker, info: &OperatorInfo, name: &str) -> Self {
        let Some((detail, table)) = found(worker) else {
            return Self::default();
        };
        let frontier = table.frontier_mark(info.global_id);
        let is_ours = detail == Detail::Operators;
        let row = is_ours.then(|| table.add_operator(info.global_id, &info.address, name));
        Self { row, frontier }
    }

    pub(crate) fn run(&self) -> Run<'_> {
        Run(self.row.as_deref().map(|row| (row, Instant::now())))
    }

    /// Records that leave.
    pub(crate) fn gave(&self, records: usize) {
        if let Some(row) = &self.row {
            row.gave.add(records as u64);
        }
    }

    /// What the inputs are complete for; `None` when they have ended.
    pub(crate) fn reached(&self, frontier: Option<LogicalTime>) {
        self.frontier.set(frontier);
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        if let Some((row, since)) = self.0 {
            row.schedules.add(1);
            row.busy_ns.add(nanos(since.elapsed()));
        }
    }
}
