//! Together: the graph as one process runs it and as two do, joined on loopback, on a generated workload; and what goes over the wire between them.
//!
//! Two processes are two sets of threads here, in one process of the system, so that one clock times both: their sockets and bytes are real.
//! A machine's frames come in where a part of its name's hash says that owning it does not look at: half of them cross.
//! Timed as in `replay`: from the first record pushed to the end of every worker, both pushed from one thread.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use model::dataflow::route;
use model::{Catalogue, Dataflow, LogicalTime, Output, Record, Stamped};
use pipeline::{Feed, PipelineError, Settings, SinkPort, SinkSpec, Sockets};

use crate::replay::cpu_seconds;
use crate::workload::Workload;

const SEAL_RECORDS: usize = 256;
const SEAL_T: LogicalTime = 1_000_000;
const TAIL: LogicalTime = 2 * 3_600 * 1_000_000;

#[derive(Debug, thiserror::Error)]
pub enum TogetherError {
    #[error("join two processes on loopback: {0}")]
    Join(#[from] std::io::Error),
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[error("the dataflow stopped before the end")]
    Stopped(#[from] model::dataflow::Stopped),
    #[error("a thread of the measurement panicked")]
    Panicked,
}

/// What one run is of.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// One or two.
    pub processes: usize,
    /// Of each process.
    pub workers: usize,
    /// What a sink asks for beside the history.
    pub feed: Feed,
    /// What passes between them goes over a thread that counts it: for bytes, not for times.
    pub is_counted: bool,
}

/// What it came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Came {
    pub wall_s: f64,
    /// Of all threads.
    pub cpu_s: f64,
    /// On the wire, both ways.
    pub bytes: u64,
    /// Samples that the histories of all took.
    pub kept: u64,
    /// Samples and changes that the other sinks of all were given, each process' own among them.
    pub shown: u64,
    pub changes: u64,
}

/// Counts on its own, and tells at the end.
#[derive(Default)]
struct Count {
    samples: u64,
    changes: u64,
    total: Arc<[AtomicU64; 2]>,
}

impl SinkPort for Count {
    fn output(&mut self, _t: LogicalTime, output: Output) {
        match output {
            Output::Samples(bound) => self.samples += bound.batch.len() as u64,
            Output::Minute(_) | Output::Hour(_) | Output::Repair(_) | Output::Fleet(_) => {}
            _ => self.changes += 1,
        }
    }

    fn flush(&mut self) {}

    fn progress(&mut self, _before: LogicalTime) {}

    fn complete(&mut self) {
        for (total, count) in self.total.iter().zip([&mut self.samples, &mut self.changes]) {
            total.fetch_add(std::mem::take(count), Ordering::Relaxed);
        }
    }
}

fn spec(name: &'static str, feed: Feed, total: &Arc<[AtomicU64; 2]>) -> SinkSpec {
    let total = Arc::clone(total);
    let port = move |_| -> Box<dyn SinkPort> { Box::new(Count { total: Arc::clone(&total), ..Count::default() }) };
    SinkSpec { name, feed, port: Box::new(port) }
}

/// # Errors
/// When the system gives no sockets or threads, or the graph fails.
pub fn run(workload: &Workload, case: Case) -> Result<Came, TogetherError> {
    let (kept, shown) = (Arc::default(), Arc::default());
    let mut wires = Wires::connect(case)?;
    let started = std::mem::take(&mut wires.sockets).into_iter().enumerate().map(|(process, sockets)| {
        let mut settings = Settings::new(case.workers, Catalogue::identity());
        (settings.process, settings.processes, settings.fleet.is_on) = (process, case.processes, false);
        let sinks = [spec("history", Feed::History, &kept), spec("hot", case.feed, &shown)];
        pipeline::start_with(&settings, &sinks, Arc::new(|| true), sockets)
    });
    let started = started.collect::<Result<Vec<_>, _>>()?;
    let (cpu_before, since) = (cpu_seconds(), Instant::now());
    let (handles, running): (Vec<_>, Vec<_>) = started.into_iter().unzip();
    push(workload, &handles, case.workers)?;
    // Each waits for the others' end.
    let joining: Vec<_> = running.into_iter().map(|running| std::thread::spawn(move || running.join())).collect();
    for joining in joining {
        joining.join().map_err(|_panic| TogetherError::Panicked)??;
    }
    let (wall_s, cpu_s) = (since.elapsed().as_secs_f64(), cpu_seconds() - cpu_before);
    let read = |total: &Arc<[AtomicU64; 2]>, at: usize| total[at].load(Ordering::Relaxed);
    let bytes = wires.bytes()?;
    Ok(Came { wall_s, cpu_s, bytes, kept: read(&kept, 0), shown: read(&shown, 0), changes: read(&shown, 1) })
}

fn push(workload: &Workload, handles: &[Arc<pipeline::Handle>], workers: usize) -> Result<(), TogetherError> {
    let (mut pushed, mut sealed) = (0, 0);
    let mut groups: Vec<Vec<Stamped>> = vec![Vec::with_capacity(SEAL_RECORDS); handles.len() * workers];
    let push_all = |groups: &mut Vec<Vec<Stamped>>| {
        let mut each = groups.iter_mut().enumerate();
        each.try_for_each(|(at, group)| handles[at / workers].push_all(at % workers, group))
    };
    for stamped in &workload.records {
        if pushed >= SEAL_RECORDS || stamped.t >= sealed + SEAL_T {
            // Before the seal, which says that everything below it has been pushed.
            push_all(&mut groups)?;
            handles.iter().for_each(|handle| handle.seal(stamped.t));
            (pushed, sealed) = (0, stamped.t);
        }
        let door = door(&stamped.record, handles.len());
        groups[door * workers + route(&stamped.record, workers)].push(stamped.clone());
        pushed += 1;
    }
    push_all(&mut groups)?;
    let end = workload.records.last().map_or(0, |last| last.t) + TAIL;
    for handle in handles {
        handle.seal(end);
        handle.close();
    }
    Ok(())
}

/// The process that a record comes in at.
fn door(record: &Record, processes: usize) -> usize {
    let hash = record.machine().map_or(0, model::MachineId::mix);
    // Which worker owns it is in the lowest bits.
    usize::from(hash >> 40 & 1 == 1) % processes
}

/// The connections of all processes, by index, and who counts what passes.
struct Wires {
    sockets: Vec<Sockets>,
    relays: Vec<JoinHandle<std::io::Result<u64>>>,
}

impl Wires {
    fn connect(case: Case) -> std::io::Result<Self> {
        if case.processes < 2 {
            return Ok(Self { sockets: vec![Sockets::new()], relays: Vec::new() });
        }
        let (a, b) = pair()?;
        let (a, b, relays) = if case.is_counted {
            let (far_a, far_b) = pair()?;
            // a - (b, relay, far_a) - far_b
            let relays = vec![relay(b.try_clone()?, far_a.try_clone()?), relay(far_a, b)];
            (a, far_b, relays)
        } else {
            (a, b, Vec::new())
        };
        Ok(Self { sockets: vec![vec![None, Some(a)], vec![Some(b), None]], relays })
    }

    fn bytes(self) -> Result<u64, TogetherError> {
        let counts = self.relays.into_iter().map(|relay| match relay.join() {
            Ok(count) => count.map_err(TogetherError::Join),
            Err(_panic) => Err(TogetherError::Panicked),
        });
        counts.sum()
    }
}

fn pair() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let one = TcpStream::connect(listener.local_addr()?)?;
    let (other, _) = listener.accept()?;
    one.set_nodelay(true)?;
    other.set_nodelay(true)?;
    Ok((one, other))
}

/// Passes on what comes, to its end, and says how much it was.
fn relay(mut from: TcpStream, mut to: TcpStream) -> JoinHandle<std::io::Result<u64>> {
    std::thread::spawn(move || {
        let count = std::io::copy(&mut from, &mut to)?;
        to.shutdown(Shutdown::Write)?;
        Ok(count)
    })
}
