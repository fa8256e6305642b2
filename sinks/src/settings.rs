//! Bounds and patience of a driver, with their reasons; and what it runs on.

use std::time::Duration;

use runtime::clock::SharedClock;
use runtime::metrics::Registry;

pub use crate::circuit::Patience;

#[derive(Debug, Clone)]
pub struct DriverSettings {
    /// A batch's size under load: large enough that a transaction's fixed cost vanishes, small enough to end within a second.
    pub batch_bytes_max: usize,
    /// How long the first output of a batch waits for more: what a reader of history sees as delay.
    pub commit_after: Duration,
    /// How often the cursors follow when there is nothing to store.
    pub idle_commit_after: Duration,
    /// Outputs held in memory while the store is slow; beyond that they go to the spill.
    pub memory_bytes_max: usize,
    /// While the store is away, what waits in memory goes to the spill this often, if it is little: then the journal need not keep it. None:
    /// only when there is more than `memory_bytes_max`.
    pub spill_after: Option<Duration>,
    /// How long the end of the program may wait for the store.
    pub flush_within: Duration,
    pub maintain_every: Duration,
    pub patience: Patience,
}

impl Default for DriverSettings {
    fn default() -> Self {
        Self {
            batch_bytes_max: 8 << 20,
            commit_after: Duration::from_millis(200),
            idle_commit_after: Duration::from_secs(30),
            memory_bytes_max: 64 << 20,
            spill_after: None,
            flush_within: Duration::from_secs(5),
            maintain_every: Duration::from_secs(60),
            patience: Patience::default(),
        }
    }
}

/// What a driver runs on, beside its store.
pub struct DriverContext<'a> {
    pub settings: DriverSettings,
    pub clock: SharedClock,
    pub registry: &'a Registry,
}
