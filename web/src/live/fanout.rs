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
const MOMENT: Duration = Duration::from_micros(100);
const MOMENTS_MAX: u32 = 10;
/// Changes that are not waited behind once nothing came along behind two in a row.
const UNWAITED: u32 = 8;
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
    let mut company = Company::default();
    loop {
        tokio::select! {
            biased;
            () = closing.draining() => return,
            changed = versions.changed(), if is_fed => {
                // Whoever wakes us is gone while the hub stops: what is known stays on show until then.
                is_fed = changed.is_ok();
                if CROWD <= shared.live.clients() && company.is_likely() {
                    let came = gather(&shared).await;
                    company.note(came);
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

/// Whether changes come alone just now, or in company: waiting behind one that comes alone is for nothing.
#[derive(Debug, Default)]
struct Company {
    alone: u32,
}

impl Company {
    fn is_likely(&mut self) -> bool {
        if self.alone < 2 {
            return true;
        }
        self.alone += 1;
        if 2 + UNWAITED < self.alone {
            self.alone = 1;
        }
        false
    }

    fn note(&mut self, came: bool) {
        self.alone = if came { 0 } else { self.alone + 1 };
    }
}

/// Ends when nothing more came for a moment, or after a few of them. Whether anything came.
async fn gather(shared: &Shared) -> bool {
    let first = shared.app.hot.version();
    let mut version = first;
    for _ in 0..MOMENTS_MAX {
        // A thread's sleep, since the runtime's timer only knows milliseconds.
        #[expect(clippy::disallowed_methods, reason = "on a thread for what blocks")]
        let slept = tokio::task::spawn_blocking(|| std::thread::sleep(MOMENT)).await;
        let newer = shared.app.hot.version();
        // The sleep can only fail while the program ends, and then nobody waits for what would come along.
        if slept.is_err() || newer == version {
            break;
        }
        version = newer;
    }
    version != first
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_come_alone_are_waited_behind_seldom() {
        let mut company = Company::default();
        let waited = (0..100).filter(|_| company.is_likely().then(|| company.note(false)).is_some()).count();
        assert!((5..=15).contains(&waited), "{waited}");
        // The next one in company is seen within a few changes, and from then on each is waited behind.
        let until = (0..).take_while(|_| !company.is_likely()).count();
        assert!(until <= UNWAITED as usize, "{until}");
        company.note(true);
        assert!((0..100).all(|_| company.is_likely().then(|| company.note(true)).is_some()));
    }
}
