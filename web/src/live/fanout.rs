//! Fan-out: the one task that carries changes of the hot state to the board, and once a second the hub's own figures.
//!
//! While it works, further changes gather in the hot state, and the next look takes them all: under load there are fewer, larger updates.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::MachineId;
use model::query::Changes;
use tokio::time::MissedTickBehavior;

use crate::shapes::to_json;
use crate::state::Shared;

const TICK: Duration = Duration::from_secs(1);
/// Telling so many clients takes several milliseconds, a system call for each. What comes within a fraction of that goes along.
const CROWD: usize = 256;
const MOMENT: Duration = Duration::from_micros(200);
const MOMENTS_MAX: u32 = 5;
/// The hot state remembers a bounded number of removals: a look this often finds what fell through, were it ever to happen.
const TICKS_PER_RECONCILIATION: u64 = 10;

#[derive(serde::Serialize)]
struct HubShape<'a> {
    samples_per_s: f64,
    machines: MachineCounts,
    series: usize,
    clients: usize,
    latency_ms: Latency,
    degraded: Vec<&'a str>,
}

#[derive(serde::Serialize)]
struct MachineCounts {
    up: usize,
    stale: usize,
    down: usize,
}

#[derive(serde::Serialize)]
struct Latency {
    p50: Option<f64>,
    p99: Option<f64>,
    max: Option<f64>,
}

/// Runs until the program drains. Cancel safe.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut versions = shared.app.hot_versions.clone();
    // What is there already counts as a change.
    versions.mark_changed();
    let closing = shared.live.closing();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut cursor, mut ticks) = (0, 0_u64);
    let mut is_fed = true;
    loop {
        tokio::select! {
            biased;
            () = closing.draining() => return,
            changed = versions.changed(), if is_fed => {
                // Whoever wakes us is gone while the hub stops: what is known stays on show until then.
                is_fed = changed.is_ok();
                if CROWD <= shared.live.clients() {
                    gather(&shared).await;
                }
                versions.mark_unchanged();
                cursor = carry(&shared, cursor);
            }
            _ = tick.tick() => {
                ticks += 1;
                if ticks.is_multiple_of(TICKS_PER_RECONCILIATION) {
                    reconcile(&shared);
                }
                if cursor != shared.app.hot.version() {
                    cursor = carry(&shared, cursor);
                }
                shared.live.board.set_hub(hub_figures(&shared));
            }
        }
    }
}

/// Ends when nothing more came for a moment, or after a few of them.
async fn gather(shared: &Shared) {
    let mut version = shared.app.hot.version();
    for _ in 0..MOMENTS_MAX {
        // A thread's sleep, since the runtime's timer only knows milliseconds.
        #[expect(clippy::disallowed_methods, reason = "on a thread for what blocks")]
        let slept = tokio::task::spawn_blocking(|| std::thread::sleep(MOMENT)).await;
        let newer = shared.app.hot.version();
        // The sleep can only fail while the program ends, and then nobody waits for what would come along.
        if slept.is_err() || newer == version {
            return;
        }
        version = newer;
    }
}

fn carry(shared: &Shared, cursor: u64) -> u64 {
    let changes = shared.app.hot.changes(cursor);
    let next = changes.version;
    let is_something = !changes.machines.is_empty() || !changes.removed.is_empty() || !changes.alerts.is_empty();
    if is_something {
        shared.live.board.apply(changes);
    }
    next
}

fn reconcile(shared: &Shared) {
    let machines = shared.app.hot.machines();
    let known: BTreeSet<&MachineId> = machines.iter().map(|view| &view.machine).collect();
    let removed = shared.live.board.strangers(|id| known.contains(id));
    if !removed.is_empty() {
        let changes = Changes { removed, ..Changes::default() };
        shared.live.board.apply(changes);
    }
}

fn hub_figures(shared: &Shared) -> String {
    let stats = shared.app.stats.stats();
    let counts = shared.live.board.counts();
    let health = shared.app.readiness.health();
    to_json(&HubShape {
        samples_per_s: stats.samples_per_s,
        machines: MachineCounts { up: counts.up, stale: counts.stale, down: counts.down },
        series: counts.series,
        clients: shared.live.clients(),
        latency_ms: Latency { p50: stats.latency_p50_ms, p99: stats.latency_p99_ms, max: stats.latency_max_ms },
        degraded: health.iter().filter(|one| !one.is_up).map(|one| one.name).collect(),
    })
}
