//! Workers: the graph's threads, the door into them, and their end.
//!
//! `start` gives a handle (the door that the sequencer pushes through) and the running graph. The graph ends when every
//! handle has been closed and what was pushed is done. A panic in a worker must end the process: timely leaves the
//! siblings waiting forever, so the program installs a hook that aborts.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use model::dataflow::Stopped;
use model::{Dataflow, LogicalTime, MachineId, Stamped};
use runtime::queue::{self, QueueStats, Sender, WhenFull};
use timely::communication::WorkerGuards;
use timely::worker::Worker;

use crate::arrivals::ArrivalCounts;
use crate::cluster::{self, Sockets};
use crate::counters::Counters;
use crate::doorbell::Doorbell;
use crate::graph::{self, Feed, SinkInlet};
use crate::introspect::{GraphView, Introspection};
use crate::operators::egress::SinkPort;
use crate::operators::source::{Gate, SourcePort};
use crate::settings::Settings;

/// Work that differential does in idle moments to merge what it holds.
const IDLE_MERGE_EFFORT: isize = 1_000;

#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    #[error("start the dataflow's workers: {0}")]
    Start(String),
    #[error("a dataflow worker failed: {0}")]
    Worker(String),
}

/// A sink of the graph: what it wants, and a port for each worker. Where several processes run the graph, all have the same sinks in the
/// same order: each is a part of the graph, and a sink that only some have would leave the others' operators without a counterpart. Whose
/// port has nothing to do with it lets it drop what it is given.
pub struct SinkSpec {
    pub name: &'static str,
    pub feed: Feed,
    pub port: Box<dyn Fn(usize) -> Box<dyn SinkPort>>,
}

/// The door into the graph.
pub struct Handle {
    queues: Vec<Sender<Stamped>>,
    bells: Vec<Arc<Doorbell>>,
    sealed: Arc<AtomicU64>,
    /// Of each sink.
    completed: Vec<Arc<AtomicU64>>,
    counters: Vec<Arc<Counters>>,
    introspection: Introspection,
}

/// The running graph.
pub struct Running {
    guards: WorkerGuards<()>,
}

/// Builds the graph and starts its threads. `gate` says whether lossless sinks have room; whoever makes room calls `Handle::ring_all`.
///
/// # Errors
/// When a thread cannot be started.
pub fn start(settings: &Settings, sinks: &[SinkSpec], gate: Gate) -> Result<(Arc<Handle>, Running), PipelineError> {
    start_with(settings, sinks, gate, Sockets::new())
}

/// As `start`, of a graph that several processes run; with the connections to them. Settings that shape the graph (workers, processes,
/// what is on) and `sinks` are to be the same at all of them.
///
/// # Errors
/// When a thread cannot be started, or a connection is of no use.
pub fn start_with(
    settings: &Settings,
    sinks: &[SinkSpec],
    gate: Gate,
    sockets: Sockets,
) -> Result<(Arc<Handle>, Running), PipelineError> {
    let workers = settings.workers.max(1);
    let sealed = Arc::new(AtomicU64::new(0));
    let completed: Vec<Arc<AtomicU64>> = sinks.iter().map(|_| Arc::default()).collect();
    let (mut queues, mut bells, mut counters, mut parts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for worker in 0..workers {
        let (sender, queue) = queue::bounded("worker", settings.queue_records_max, WhenFull::Block);
        let (bell, counts) = (Arc::new(Doorbell::default()), Arc::new(Counters::default()));
        let port = SourcePort {
            queue,
            bell: Arc::clone(&bell),
            sealed: Arc::clone(&sealed),
            gate: Arc::clone(&gate),
            counters: Arc::clone(&counts),
        };
        let inlets = sinks.iter().zip(&completed).map(|(sink, completed)| SinkInlet {
            name: sink.name,
            feed: sink.feed,
            port: (sink.port)(worker),
            completed: Arc::clone(completed),
        });
        let inlets: Vec<SinkInlet> = inlets.collect();
        queues.push(sender);
        bells.push(bell);
        counters.push(counts);
        parts.push(Some((port, inlets)));
    }
    let introspection = Introspection::new(settings.introspection, settings.first_worker(), workers);
    let guards = execute(settings, parts, introspection.clone(), sockets)?;
    let handle = Handle { queues, bells, sealed, completed, counters, introspection };
    Ok((Arc::new(handle), Running { guards }))
}

type Part = Option<(SourcePort, Vec<SinkInlet>)>;

fn execute(
    settings: &Settings,
    parts: Vec<Part>,
    introspection: Introspection,
    sockets: Sockets,
) -> Result<WorkerGuards<()>, PipelineError> {
    let mut config =
        if settings.workers > 1 { timely::Config::process(settings.workers) } else { timely::Config::thread() };
    let differential = differential_dataflow::Config { idle_merge_effort: Some(IDLE_MERGE_EFFORT) };
    differential_dataflow::configure(&mut config.worker, &differential);
    introspection.configure(&mut config.worker);
    // `execute` calls one closure for all workers, so each takes its own part out.
    let parts = Mutex::new(parts);
    let (first, described) = (settings.first_worker(), settings.clone());
    let work = move |worker: &mut Worker| {
        runtime::thread::wait_for_turn();
        let (index, settings) = (worker.index(), &described);
        let part = parts.lock().unwrap_or_else(PoisonError::into_inner)[index - first].take();
        let (port, inlets) = part.expect("each worker starts once");
        introspection.build(worker, |worker| {
            worker.dataflow::<LogicalTime, _, _>(|scope| graph::build(scope, index, settings, inlets, port));
        });
    };
    let started = if settings.processes < 2 {
        timely::execute(config, work)
    } else {
        cluster::execute(settings, sockets, config.worker, work)
    };
    started.map_err(PipelineError::Start)
}

impl Handle {
    /// Wakes every worker: a sink has room again.
    pub fn ring_all(&self) {
        self.bells.iter().for_each(|bell| bell.ring());
    }

    /// Takes nothing more; the graph ends when what was pushed is done.
    pub fn close(&self) {
        self.queues.iter().for_each(Sender::close);
        self.ring_all();
    }

    /// Records of times below this are durable.
    pub fn sealed(&self) -> LogicalTime {
        self.sealed.load(Ordering::Acquire)
    }

    /// Outputs of times below this have left the graph, for every sink.
    pub fn completed(&self) -> LogicalTime {
        let completed = self.completed.iter().map(|sink| sink.load(Ordering::Acquire));
        completed.min().unwrap_or(LogicalTime::MAX)
    }

    /// One set per worker.
    pub fn counters(&self) -> &[Arc<Counters>] {
        &self.counters
    }

    /// How a machine's samples come; none of one that no worker knows.
    pub fn arrivals(&self, machine: &MachineId) -> Option<ArrivalCounts> {
        self.counters.iter().find_map(|worker| worker.arrivals.counts(machine))
    }

    /// Series of this process' machines that a rule applies to and is not held against, for want of places.
    pub fn unjudged(&self, rule: &str) -> usize {
        self.counters.iter().map(|worker| worker.unjudged.of(rule)).sum()
    }

    /// What each operator has done, on all workers.
    pub fn operators(&self) -> GraphView {
        self.introspection.view(self.sealed())
    }

    /// One per worker.
    pub fn queues(&self) -> Vec<QueueStats> {
        self.queues.iter().map(Sender::stats).collect()
    }
}

impl Dataflow for Handle {
    fn workers(&self) -> usize {
        self.queues.len()
    }

    fn push(&self, worker: usize, stamped: Stamped) -> Result<(), Stopped> {
        let queue = self.queues.get(worker).ok_or(Stopped)?;
        match queue.try_send(stamped) {
            Ok(()) => Ok(()),
            Err(refused) => {
                // Full: the worker may not know yet that it has work.
                self.ring(worker);
                queue.send_blocking(refused.into_inner()).or(Err(Stopped))
            }
        }
    }

    fn push_all(&self, worker: usize, records: &mut Vec<Stamped>) -> Result<(), Stopped> {
        let queue = self.queues.get(worker).ok_or(Stopped)?;
        let mut waiting = VecDeque::from(std::mem::take(records));
        while queue.fill(&mut waiting) {
            let Some(next) = waiting.pop_front() else {
                // The memory serves the next call.
                *records = Vec::from(waiting);
                return Ok(());
            };
            // Full: the worker may not know yet that it has work.
            self.ring(worker);
            queue.send_blocking(next).or(Err(Stopped))?;
        }
        Err(Stopped)
    }

    fn ring(&self, worker: usize) {
        if let Some(bell) = self.bells.get(worker) {
            bell.ring();
        }
    }

    fn seal(&self, before: LogicalTime) {
        self.sealed.fetch_max(before, Ordering::AcqRel);
        self.ring_all();
    }
}

impl Running {
    /// Waits until the graph has ended, which it does after `Handle::close`.
    ///
    /// # Errors
    /// When a worker panicked; the hook has aborted the process before in production.
    pub fn join(self) -> Result<(), PipelineError> {
        self.guards.join().into_iter().collect::<Result<Vec<()>, String>>().map_err(PipelineError::Worker)?;
        Ok(())
    }
}
