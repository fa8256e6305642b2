//! Bounds and retention of the embedded history, with their reasons.

use std::path::PathBuf;
use std::time::Duration;

use model::query::Tier;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

#[derive(Debug, Clone)]
pub struct SqliteSettings {
    /// The word for it in logs, counters and `/ready`.
    pub name: &'static str,
    /// The data folder; the store makes `history.db` and its lock in it.
    pub dir: PathBuf,
    pub raw_kept: Duration,
    pub minute_kept: Duration,
    pub hour_kept: Duration,
    pub alerts_kept: Duration,
    /// Everything of made-up machines, where that is shorter.
    pub synthetic_kept: Duration,
    pub dead_letters_kept: Duration,
    /// A flood of refused samples must not fill the disk.
    pub dead_letters_max: u32,
    /// Batches of one machine that make a chunk: 120 gave 2.5 bytes a sample, 12 gave 4.7.
    pub gather_batches: usize,
    /// A chunk is written after this time in any case. What is gathered is in the journal, so a restart loses none of it.
    pub gather_for: Duration,
    /// Memory for what is gathered; beyond that everything gathered is written, and a machine when as much of all machines has come since its first batch.
    pub gather_bytes_max: usize,
    /// Connections that read, hence queries at once.
    pub readers: usize,
    /// A query ends with an error after this time, so that one cannot hold a reader for good.
    pub query_within: Duration,
}

impl SqliteSettings {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            name: "history",
            dir: dir.into(),
            raw_kept: DAY,
            minute_kept: 7 * DAY,
            hour_kept: 90 * DAY,
            alerts_kept: 90 * DAY,
            synthetic_kept: 6 * HOUR,
            dead_letters_kept: 30 * DAY,
            dead_letters_max: 20_000,
            gather_batches: 120,
            gather_for: HOUR / 6,
            gather_bytes_max: 64 << 20,
            readers: 4,
            query_within: Duration::from_secs(5),
        }
    }

    pub(super) fn kept(&self, tier: Tier) -> Duration {
        match tier {
            Tier::Raw => self.raw_kept,
            Tier::Minute => self.minute_kept,
            Tier::Hour => self.hour_kept,
        }
    }
}
