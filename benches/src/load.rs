//! Load: a fleet of any size through the hub's graph in logical time, and what that costs: CPU of the workers, memory, an idle second.
//!
//! Time is made up: frames are pushed as fast as the graph takes them, each under the T it would have had. CPU is that of the workers' threads
//! alone, so neither the maker of the frames nor the neighbours on the machine are in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::dataflow::route;
use model::{Catalogue, Dataflow, Egress, InvalidName, Layout, LogicalTime, Stamped, Timestamp};
use pipeline::{Handle, PipelineError, Settings};
use runtime::queue::{Receiver, RecvError};

use crate::fleet::{self, Rules};
use crate::process::Process;
use crate::rig::Rig;

/// Begin of the made-up time: a full hour.
const BASE_US: u64 = 1_763_683_200_000_000;
const SECOND_US: u64 = 1_000_000;
/// What a group commit holds under load.
const SEAL_RECORDS: usize = 256;
const SETTLE_MAX: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_micros(200);
/// A timely worker's thread.
const WORKER: &str = "timely:work";

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[error("the dataflow stopped before the end")]
    Stopped(#[from] model::dataflow::Stopped),
    #[error("the graph did not complete T {0} in time")]
    Stuck(LogicalTime),
}

/// What is put through the graph.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub machines: u32,
    pub interval_s: u64,
    pub seconds: u64,
    pub rules: Rules,
    /// How long closed minutes are kept; 0 leaves the open ones.
    pub horizon: Duration,
    pub workers: usize,
}

/// A graph that has taken a load and holds its state.
pub struct Loaded {
    pub samples: u64,
    /// CPU of the workers from the first frame to the last output.
    pub cpu_s: f64,
    rig: Arc<Handle>,
    running: Option<pipeline::Running>,
    drains: Vec<JoinHandle<()>>,
    ended: Arc<AtomicBool>,
    newest: LogicalTime,
}

/// Takes the messages of the live queue.
pub type Live = Box<dyn Fn(&[Egress]) + Send>;

impl Load {
    #[must_use]
    pub fn series(&self) -> usize {
        self.machines as usize * fleet::WIDTH
    }

    /// Puts the load through a graph. `layouts` are those of the machines; `live` sees what the hot store would.
    ///
    /// # Errors
    /// When the graph fails or does not finish in time.
    pub fn run(&self, layouts: &[Arc<Layout>], live: Live) -> Result<Loaded, LoadError> {
        let mut settings = Settings::new(self.workers, Catalogue::standard());
        settings.window.horizon = self.horizon;
        let rig = Rig::start_with(&settings)?;
        let ended = Arc::new(AtomicBool::new(false));
        let drains =
            vec![drain(rig.history, Box::new(|_| {}), Arc::clone(&ended)), drain(rig.live, live, Arc::clone(&ended))];
        let handle = rig.handle;
        handle.push(0, Stamped { t: BASE_US, record: fleet::rules(self.rules) })?;
        let cpu_before = Process::own().run_seconds_of(WORKER);
        // Frames of new series wait for the rules that bind to them, which come at the next boundary.
        let newest = self.push(&handle, layouts)? + SECOND_US;
        handle.seal(newest);
        settle(&handle, newest)?;
        let cpu_s = Process::own().run_seconds_of(WORKER) - cpu_before;
        let samples = self.seconds / self.interval_s * self.series() as u64;
        Ok(Loaded { samples, cpu_s, rig: handle, running: Some(rig.running), drains, ended, newest })
    }

    fn push(&self, handle: &Handle, layouts: &[Arc<Layout>]) -> Result<LogicalTime, LoadError> {
        let (mut t, mut unsealed) = (BASE_US, 0);
        let step = self.interval_s * SECOND_US / u64::from(self.machines.max(1));
        for tick in 0..self.seconds / self.interval_s {
            for (machine, layout) in (0_u32..).zip(layouts) {
                let due = BASE_US + tick * self.interval_s * SECOND_US + u64::from(machine) * step;
                t = due.max(t + 1);
                if unsealed >= SEAL_RECORDS {
                    handle.seal(t);
                    unsealed = 0;
                }
                let record = fleet::frame(layout, machine, tick, Timestamp::from_logical(due));
                handle.push(route(&record, self.workers), Stamped { t, record })?;
                unsealed += 1;
            }
        }
        Ok(t)
    }
}

impl Loaded {
    /// CPU microseconds of the workers for each of `seconds` heartbeats, long after the last machine has gone silent.
    ///
    /// # Errors
    /// When the graph does not follow.
    pub fn idle_us(&mut self, seconds: u32) -> Result<f64, LoadError> {
        // Silence is published, machines are declared down: that is not idling.
        for _ in 0..180 {
            self.beat()?;
        }
        let before = Process::own().run_seconds_of(WORKER);
        for _ in 0..seconds {
            self.beat()?;
        }
        Ok((Process::own().run_seconds_of(WORKER) - before) * 1e6 / f64::from(seconds))
    }

    fn beat(&mut self) -> Result<(), LoadError> {
        self.newest += SECOND_US;
        self.rig.seal(self.newest);
        settle(&self.rig, self.newest)
    }

    /// # Errors
    /// When a worker failed.
    pub fn stop(mut self) -> Result<(), LoadError> {
        self.rig.close();
        if let Some(running) = self.running.take() {
            running.join()?;
        }
        self.ended.store(true, Ordering::Release);
        for drain in self.drains.drain(..) {
            drain.join().expect("a draining thread only drops");
        }
        Ok(())
    }
}

fn settle(handle: &Handle, t: LogicalTime) -> Result<(), LoadError> {
    let deadline = Instant::now() + SETTLE_MAX;
    while handle.completed() < t {
        if deadline < Instant::now() {
            return Err(LoadError::Stuck(t));
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
    Ok(())
}

fn drain(mut queue: Receiver<Egress>, take: Live, ended: Arc<AtomicBool>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut messages = Vec::with_capacity(256);
        while !ended.load(Ordering::Acquire) {
            match queue.recv_many_timeout(&mut messages, 256, Duration::from_millis(20)) {
                Ok(_count) => take(&messages),
                Err(RecvError::Empty) => {}
                Err(RecvError::Closed) => return,
            }
            messages.clear();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_frame_of_each_machine_goes_through() {
        let horizon = Duration::from_secs(600);
        let load = Load { machines: 17, interval_s: 5, seconds: 5, rules: Rules::Usual, horizon, workers: 1 };
        let layouts = fleet::layouts(load.machines).unwrap();
        load.run(&layouts, Box::new(|_| {})).unwrap().stop().unwrap();
    }

    #[test]
    fn a_load_goes_through_and_idles() {
        let load = Load {
            machines: 3,
            interval_s: 5,
            seconds: 120,
            rules: Rules::Usual,
            horizon: Duration::from_secs(600),
            workers: 2,
        };
        let layouts = fleet::layouts(load.machines).unwrap();
        let mut loaded = load.run(&layouts, Box::new(|_| {})).unwrap();
        assert_eq!(loaded.samples, 3 * 60 * 24);
        assert!(loaded.cpu_s > 0.0 && loaded.idle_us(5).unwrap() >= 0.0);
        loaded.stop().unwrap();
    }
}
