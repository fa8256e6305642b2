//! Settings of the graph. Event-time lengths and logical-time lengths are both `Duration`s.

use std::time::Duration;

use model::{Alert, Catalogue, LogicalTime, MachineId, Timestamp};

use crate::control::fleet::TagLimits;
use crate::introspect::Detail;

#[derive(Debug, Clone)]
pub struct Settings {
    /// Worker threads of this process, at least 1.
    pub workers: usize,
    /// This process among those that run the graph together, and how many they are, all with as many workers.
    pub process: usize,
    pub processes: usize,
    /// Records that wait for one worker before the sequencer waits.
    pub queue_records_max: usize,
    pub catalogue: Catalogue,
    /// Series of one machine; more are refused as `too_many_series`.
    pub series_per_machine_max: usize,
    /// Rules on series, of all workers: what is beyond is not judged, and counted.
    pub bindings_max: usize,
    pub window: WindowSettings,
    pub presence: PresenceSettings,
    pub fleet: FleetSettings,
    /// How long samples of the one-sample-per-message wire wait for others of their time.
    pub batch_age_max: Duration,
    /// Replay ends here: presence waits a grace after it, and verdicts persisted before it are settled.
    pub live_from: LogicalTime,
    /// Alerts that the history holds as firing: the verdicts to begin with.
    pub firing: Vec<Alert>,
    /// How much of what each operator does is counted.
    pub introspection: Detail,
}

impl Settings {
    pub fn new(workers: usize, catalogue: Catalogue) -> Self {
        Self {
            workers: workers.max(1),
            process: 0,
            processes: 1,
            queue_records_max: 8_192,
            catalogue,
            series_per_machine_max: 1_000,
            bindings_max: 2_000_000,
            window: WindowSettings::default(),
            presence: PresenceSettings::default(),
            fleet: FleetSettings::default(),
            batch_age_max: Duration::from_millis(50),
            live_from: 0,
            firing: Vec::new(),
            introspection: Detail::default(),
        }
    }
}

impl Settings {
    /// A worker's part of `bindings_max`: machines spread over the workers evenly enough.
    pub(crate) fn bindings_of_worker(&self) -> usize {
        self.bindings_max.div_ceil(self.peers())
    }

    /// Workers of all processes.
    pub(crate) fn peers(&self) -> usize {
        self.workers.max(1) * self.processes.max(1)
    }

    /// Index of this process' first worker among all.
    pub(crate) fn first_worker(&self) -> usize {
        self.process * self.workers.max(1)
    }

    /// Whether the machine's records go to a worker of this process.
    pub fn owns(&self, machine: &MachineId) -> bool {
        let worker = machine.mix() % self.peers() as u64;
        worker / self.workers.max(1) as u64 == self.process as u64
    }

    /// Alerts of the machines whose records go to this worker, as `dataflow::route` has it.
    pub(crate) fn firing_of(&self, worker: usize) -> impl Iterator<Item = &Alert> + Clone {
        let workers = self.peers() as u64;
        self.firing.iter().filter(move |alert| alert.machine.mix() % workers == worker as u64)
    }
}

#[derive(Debug, Clone)]
pub struct WindowSettings {
    /// How far the watermark is held back behind a machine's newest event time.
    pub lateness: Duration,
    /// How far behind a machine's newest event time a sample still corrects a published window.
    pub horizon: Duration,
    /// Least time between two corrections of a window.
    pub correction_interval: Duration,
    /// How often an open hour is published.
    pub hour_interval: Duration,
    /// A machine that is silent for this long is forgotten, what is open of it published.
    pub forget_after: Duration,
    /// Windows that start before this may have samples from before the replayed journal: they are never published as if whole.
    pub covered_from: Timestamp,
}

impl Default for WindowSettings {
    fn default() -> Self {
        Self {
            lateness: Duration::from_secs(10),
            horizon: Duration::from_secs(600),
            correction_interval: Duration::from_secs(5),
            hour_interval: Duration::from_secs(300),
            forget_after: Duration::from_secs(24 * 3600),
            covered_from: Timestamp::MIN,
        }
    }
}

#[derive(Debug, Clone)]
pub struct PresenceSettings {
    /// Intervals without a frame until a machine is stale.
    pub stale_intervals: u32,
    /// Silence until a machine is down.
    pub down_after: Duration,
    /// After `live_from` nothing is declared stale or down for this long: collectors are given time to reconnect.
    pub grace: Duration,
    /// Interval of a machine that did not say.
    pub interval_default: Duration,
}

impl Default for PresenceSettings {
    fn default() -> Self {
        Self {
            stale_intervals: 3,
            down_after: Duration::from_secs(60),
            grace: Duration::from_secs(30),
            interval_default: Duration::from_secs(5),
        }
    }
}

#[derive(Debug, Clone)]
pub struct FleetSettings {
    /// Off: no fleet rollups and no hottest machines.
    pub is_on: bool,
    /// A minute of the fleet is complete this long after its end, by the graph's clock, whatever machines are missing.
    pub complete_after: Duration,
    /// A minute of the fleet changes until this long after its end.
    pub held_for: Duration,
    /// Minutes that begin further ahead of the graph's clock are no minutes of the fleet: the machine's clock is wrong.
    pub ahead_max: Duration,
    /// Metrics that the catalogue does not list, of one machine and of a group.
    pub metrics_max: usize,
    pub tags: TagLimits,
}

impl Default for FleetSettings {
    fn default() -> Self {
        Self {
            is_on: true,
            // The watermark's 10 s of lateness, an interval of 5 s, and room for collectors with longer ones.
            complete_after: Duration::from_secs(30),
            // Long enough for a hub that restarts, short enough that a fleet's worth of minutes stays small.
            held_for: Duration::from_secs(180),
            ahead_max: Duration::from_secs(600),
            metrics_max: 64,
            tags: TagLimits::default(),
        }
    }
}

/// A duration in logical time.
pub(crate) fn ticks(duration: Duration) -> LogicalTime {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A duration in event time.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_machine_is_owned_by_the_one_process_whose_worker_has_its_alerts() {
        for name in 0..20 {
            let machine = MachineId::parse(&format!("m{name}")).unwrap();
            let of = |process| Settings { process, processes: 3, ..Settings::new(2, Catalogue::standard()) };
            let owners: Vec<usize> = (0..3).filter(|process| of(*process).owns(&machine)).collect();
            let worker = usize::try_from(machine.mix() % 6).unwrap();
            assert_eq!(owners, [worker / 2]);
        }
    }
}
