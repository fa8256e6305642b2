//! Bounds of the hot store, with their reasons.

use std::time::Duration;

/// A machine that is silent for as long as this counts as down, the same minute that the graph's presence uses.
pub(super) const DOWN_AFTER: Duration = Duration::from_secs(60);
/// Removals and resolved alerts that a reader can catch up with; one that is further behind gets everything.
pub(super) const CHANGES_KEPT: usize = 1_024;

#[derive(Debug, Clone)]
pub struct HotSettings {
    /// Ingest admits fewer, so only a bug or a restart with smaller limits meets this.
    pub machines_max: usize,
    /// A machine that has been down for as long as this is removed from the screen; its history stays.
    pub forget_after: Duration,
    /// Firing alerts; one more is counted and left to history.
    pub alerts_max: usize,
    /// How often silent machines are looked at.
    pub sweep_every: Duration,
}

impl Default for HotSettings {
    fn default() -> Self {
        Self {
            machines_max: 20_000,
            forget_after: Duration::from_secs(24 * 3_600),
            alerts_max: 10_000,
            sweep_every: Duration::from_secs(10),
        }
    }
}
