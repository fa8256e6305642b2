//! Upkeep: what the hub does beside the flow: tells the journal what may go, and looks whether the graph is stuck.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::LogicalTime;
use pipeline::{Handle, Watchdog};
use runtime::clock::SharedClock;
use runtime::drain::DrainToken;
use runtime::{BoxError, failstop};
use sinks::status::DriverHandle;
use tokio::time::{MissedTickBehavior, interval};
use tracing::error;

use crate::cluster::Heard;
use crate::recovery::Reach;

/// The sequencer drops segments as seldom.
const KEEP_EVERY: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Raises `keep_from` as the hours close and the stores' cursors move. Until draining begins.
///
/// # Errors
/// None; the type is that of every task.
pub(crate) async fn keep_journal(
    keep_from: Arc<AtomicU64>,
    stores: Vec<DriverHandle>,
    graph: Arc<Handle>,
    (reach, heard): (Reach, Option<Arc<Heard>>),
    drain: DrainToken,
) -> Result<(), BoxError> {
    let mut ticks = interval(KEEP_EVERY);
    loop {
        tokio::select! {
            () = drain.draining() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let wanted = stores.iter().map(DriverHandle::keep_from).min().unwrap_or(LogicalTime::MAX);
        let own = reach.needed_from(graph.completed()).min(wanted);
        // Other processes' stores and windows live on this journal, too.
        let needed = heard.as_ref().map_or(own, |heard| heard.keep_from(own));
        keep_from.fetch_max(needed, Ordering::AcqRel);
    }
}

/// Ends the process when the graph completes nothing although there is durable work: half a hub must not go on acknowledging, and a
/// restart replays the journal. Until draining begins.
///
/// # Errors
/// None; the type is that of every task.
pub(crate) async fn watch_graph(
    graph: Arc<Handle>,
    clock: SharedClock,
    patience: Duration,
    drain: DrainToken,
) -> Result<(), BoxError> {
    let mut watchdog = Watchdog::new(patience, clock.monotonic_us());
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = drain.draining() => return Ok(()),
            _ = ticks.tick() => {}
        }
        if let Err(stuck) = watchdog.check(clock.monotonic_us(), graph.sealed(), graph.completed()) {
            failstop::abort_after(|| error!(error = %stuck, "process aborts: a restart replays the journal"));
        }
    }
}
