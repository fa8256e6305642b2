//! Sampler: asks every source at each tick and makes one row of what came back in time.
//!
//! In: the sources' readings, and orders of the hub. Out: ticks to the outbox, tables of processes to whoever sends them.
//! Time: ticks lie on multiples of the interval by the wall clock, moved by a phase of the machine's own, so that a fleet does
//! not sample in step and a restart goes on in the same grid. Rates and ages are by monotonic time, so a wall clock that
//! jumps moves the grid and spoils nothing.
//! Loss: a source that is late leaves its series absent in that tick.

use std::io;
use std::time::Duration;

use model::MachineId;
use proto::pb;
use runtime::clock::{SharedClock, micros};
use runtime::metrics::{Counter, Registry};
use tokio::time::Instant;

use crate::layout::{LayoutKeeper, Row};
use crate::readings::Readings;
use crate::sources::Source;
use crate::worker::Worker;

/// Every source has this long; the rest of the tick does not wait for one that needs more.
pub(crate) const SOURCE_DEADLINE: Duration = Duration::from_secs(2);

pub(crate) struct Sampler {
    workers: Vec<Worker>,
    keeper: LayoutKeeper,
    clock: SharedClock,
    deadline: Duration,
    refused: Counter,
    refused_by_keeper: u64,
}

/// One look at the machine.
#[derive(Debug)]
pub(crate) struct Tick {
    pub(crate) time_ms: i64,
    /// Monotonic, for the age.
    pub(crate) taken_us: u64,
    pub(crate) row: Row,
    pub(crate) processes: Option<pb::ProcessTable>,
}

impl Sampler {
    /// # Errors
    /// When the system gives no thread to a source.
    pub(crate) fn start(sources: Vec<Box<dyn Source>>, clock: SharedClock, metrics: &Registry) -> io::Result<Self> {
        let start = |source| Worker::start(source, SharedClock::clone(&clock), metrics);
        Ok(Self {
            workers: sources.into_iter().map(start).collect::<io::Result<_>>()?,
            keeper: LayoutKeeper::new(),
            clock,
            deadline: SOURCE_DEADLINE,
            refused: metrics.counter("collector_refused_series_total", "Series without a place or a lawful name", &[]),
            refused_by_keeper: 0,
        })
    }

    /// Looks once. Takes no longer than the deadline of a source.
    pub(crate) async fn sample(&mut self) -> Tick {
        let (time_ms, taken_us) = (self.clock.now_us().div_euclid(1_000), self.clock.monotonic_us());
        let mut readings = self.read_all(taken_us).await;
        let processes = readings.processes.take().map(|table| pb::ProcessTable { time_ms, ..table });
        let row = self.keeper.fit(taken_us, readings.samples());
        let refused_before = std::mem::replace(&mut self.refused_by_keeper, self.keeper.refused());
        self.refused.add(readings.refused() + self.refused_by_keeper - refused_before);
        Tick { time_ms, taken_us, row, processes }
    }

    /// What all sources read by now, as text.
    pub(crate) async fn print(&mut self) -> String {
        let now_us = self.clock.monotonic_us();
        self.read_all(now_us).await.to_text()
    }

    async fn read_all(&mut self, now_us: u64) -> Readings {
        let deadline = Instant::now() + self.deadline;
        self.workers.iter_mut().for_each(|worker| worker.ask(now_us));
        let mut all = Readings::default();
        // They all work by now, so waiting for one after the other takes as long as the slowest.
        for worker in &mut self.workers {
            if let Some(readings) = worker.collect(now_us, deadline).await {
                all.append(readings);
            }
        }
        all
    }
}

/// Where this machine's ticks lie within an interval.
pub(crate) fn phase(machine: &MachineId, interval: Duration) -> Duration {
    Duration::from_micros(machine.mix() % micros(interval).max(1))
}

/// How long from `now_us` (wall clock) until the next tick of the grid. A point closer than `gap` is left out: it comes right
/// after a tick whose sleep ended a little early, or after a jump of the clock.
pub(crate) fn until_next(now_us: i64, interval: Duration, phase: Duration, gap: Duration) -> Duration {
    let signed = |duration| i64::try_from(micros(duration)).unwrap_or(i64::MAX);
    let interval_us = signed(interval).max(1);
    let into_us = now_us.saturating_sub(signed(phase)).rem_euclid(interval_us);
    let left = Duration::from_micros(interval_us.saturating_sub(into_us).unsigned_abs());
    if left < gap { left + interval } else { left }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::sources::SourceError;
    use runtime::clock::{ManualClock, SystemClock};

    /// Hangs until it is let go on.
    struct Hanging(mpsc::Receiver<()>);
    struct Good;
    struct Bad;

    impl Source for Hanging {
        fn name(&self) -> &'static str {
            "hanging"
        }
        fn read(&mut self, _at_us: u64, out: &mut Readings) -> Result<(), SourceError> {
            // An error means that the test is over.
            let _ended = self.0.recv();
            out.plain("hanging", 1.0);
            Ok(())
        }
    }

    impl Source for Good {
        fn name(&self) -> &'static str {
            "good"
        }
        fn read(&mut self, _at_us: u64, out: &mut Readings) -> Result<(), SourceError> {
            out.plain("good", 1.0);
            Ok(())
        }
    }

    impl Source for Bad {
        fn name(&self) -> &'static str {
            "bad"
        }
        fn read(&mut self, _at_us: u64, out: &mut Readings) -> Result<(), SourceError> {
            out.plain("bad", 1.0);
            Err(SourceError::Format { file: "x", what: "y" })
        }
    }

    fn present(tick: &Tick) -> String {
        let row = &tick.row;
        let is_present = |place: usize| row.present.get(place / 8).is_none_or(|byte| byte & (1 << (place % 8)) != 0);
        let keys = row.layout.series.iter().enumerate().filter(|(place, _)| is_present(*place));
        keys.map(|(_, key)| key.metric.as_ref()).collect::<Vec<_>>().join(" ")
    }

    fn sampler(sources: Vec<Box<dyn Source>>, clock: SharedClock, metrics: &Registry) -> Sampler {
        Sampler { deadline: Duration::from_millis(50), ..Sampler::start(sources, clock, metrics).unwrap() }
    }

    #[tokio::test]
    async fn a_source_that_hangs_or_fails_leaves_only_its_own_series_absent() {
        let (go_on, hold) = mpsc::sync_channel(16);
        let (clock, metrics) = (ManualClock::at(0), Registry::new());
        let sources: Vec<Box<dyn Source>> = vec![Box::new(Hanging(hold)), Box::new(Bad), Box::new(Good)];
        let mut sampler = sampler(sources, clock.shared(), &metrics);
        assert_eq!(present(&sampler.sample().await), "good");
        // It hangs on: it is not waited for again, however often a tick comes.
        clock.advance(Duration::from_secs(3_600));
        for _ in 0..3 {
            assert_eq!(present(&sampler.sample().await), "good");
        }
        let failures = "collector_source_failures_total{source=\"hanging\"} 1";
        assert!(metrics.render().contains(failures), "{}", metrics.render());
        // It returns: what it brings is old and thrown away, and then it reads again.
        (0..16).for_each(|_| go_on.try_send(()).unwrap());
        let mut ticks = 0;
        while present(&sampler.sample().await) != "good hanging" {
            clock.advance(Duration::from_secs(3_600));
            ticks += 1;
            assert!(ticks < 1_000, "it never came back");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_tick_carries_wall_time_and_monotonic_time() {
        let clock = ManualClock::at(1_700_000_000_123_456);
        clock.advance(Duration::from_secs(2));
        let tick = sampler(vec![Box::new(Good)], clock.shared(), &Registry::new()).sample().await;
        assert_eq!((tick.time_ms, tick.taken_us), (1_700_000_002_123, 2_000_000));
    }

    #[test]
    fn ticks_lie_on_the_grid_and_never_close_together() {
        const S: Duration = Duration::from_secs(1);
        let next = |now_ms: i64| until_next(now_ms * 1_000, 5 * S, 2 * S, S).as_millis();
        assert_eq!([next(0), next(1_000), next(2_000), next(3_500)], [2_000, 1_000, 5_000, 3_500]);
        assert_eq!(next(1_999), 5_001, "a sleep that ended early");
        assert_eq!(next(-1_000), 3_000, "a clock before 1970");
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn this_machine_has_the_series_that_the_dashboard_shows() {
        let metrics = Registry::new();
        let mut sampler = Sampler::start(crate::sources::standard(), SystemClock::shared(), &metrics).unwrap();
        let text = sampler.print().await;
        for metric in ["system.cpu.utilization", "system.memory.used", "system.filesystem.limit", "system.uptime"] {
            assert!(text.contains(metric), "{metric} in {text}");
        }
        for line in text.lines() {
            let name = line.split(['{', ' ']).next().unwrap();
            assert!(model::Catalogue::standard().find(name).is_some(), "{name} is not in the catalogue");
        }
    }
}
