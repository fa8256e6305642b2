//! `bench replay`: a workload file through the graph that the hub runs, without gRPC, journal and outside sinks.
//!
//! Timed: from the first record handed to the graph to the last result counted. Reading and grouping the file come before.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use model::dataflow::{Stopped, route};
use model::{Catalogue, Dataflow, LogicalTime, Stamped};
use pipeline::{Feed, GraphView, Handle, Reach, Settings, SinkSpec};
use serde::Serialize;

use crate::figures::{Figures, HistoryFigures, LatestFigures};
use crate::workload::{self, Workload, WorkloadError};

/// Records between two seals, and most logical time: what a group commit holds under load.
const SEAL_RECORDS: usize = 256;
const SEAL_T: LogicalTime = 1_000_000;
/// Sealed behind the last record, so that every window closes.
const TAIL: LogicalTime = 2 * 3_600 * 1_000_000;
/// A run that takes longer is stuck.
const RUN_MAX: Duration = Duration::from_secs(600);

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    #[error(transparent)]
    Pipeline(#[from] pipeline::PipelineError),
    #[error("the dataflow stopped before the end")]
    Stopped(#[from] model::dataflow::Stopped),
    #[error("a run did not end within {} s", RUN_MAX.as_secs())]
    Stuck(#[from] RecvTimeoutError),
    #[error("two runs gave different figures: {0:?} and {1:?}")]
    Differs(Box<Figures>, Box<Figures>),
}

/// What the benchmark prints, as one JSON line.
#[derive(Debug, Serialize)]
pub struct Report {
    pub samples: u64,
    pub workers: usize,
    /// Seconds per run.
    pub walls: Vec<f64>,
    /// CPU seconds per run, of all threads.
    pub cpu_s: Vec<f64>,
    pub peak_rss_mb: f64,
    pub prepare_s: f64,
    /// Of the fastest run.
    pub samples_per_s: f64,
    pub result: Figures,
}

/// Replays a file `runs` times.
///
/// # Errors
/// When the file cannot be read, the graph fails, or two runs disagree.
pub fn run(path: &Path, workers: usize, runs: usize) -> Result<Report, ReplayError> {
    run_with(path, &Settings::new(workers, Catalogue::identity()), runs)
}

/// Replays a file `runs` times through a graph of these settings.
///
/// # Errors
/// When the file cannot be read, the graph fails, or two runs disagree.
pub fn run_with(path: &Path, settings: &Settings, runs: usize) -> Result<Report, ReplayError> {
    let started = Instant::now();
    let workload = workload::load(path)?;
    measure_with(&workload, settings, runs, started.elapsed().as_secs_f64())
}

/// Replays a workload `runs` times.
///
/// # Errors
/// When the graph fails, or two runs disagree.
pub fn measure(workload: &Workload, workers: usize, runs: usize, prepare_s: f64) -> Result<Report, ReplayError> {
    measure_with(workload, &Settings::new(workers, Catalogue::identity()), runs, prepare_s)
}

/// `measure` with settings of one's own.
///
/// # Errors
/// As `measure`.
pub fn measure_with(
    workload: &Workload,
    settings: &Settings,
    runs: usize,
    prepare_s: f64,
) -> Result<Report, ReplayError> {
    let (mut walls, mut cpu_s, mut result) = (Vec::new(), Vec::new(), None);
    for _ in 0..runs.max(1) {
        let (cpu_before, started) = (cpu_seconds(), Instant::now());
        let (figures, _) = one(workload, settings)?;
        walls.push(started.elapsed().as_secs_f64());
        cpu_s.push(cpu_seconds() - cpu_before);
        if *result.get_or_insert(figures) != figures {
            return Err(ReplayError::Differs(Box::new(result.unwrap_or_default()), Box::new(figures)));
        }
    }
    let fastest = walls.iter().copied().fold(f64::INFINITY, f64::min);
    #[expect(clippy::cast_precision_loss, reason = "a workload has far fewer than 2^53 samples")]
    let samples_per_s = (workload.samples as f64 / fastest).round();
    let (samples, workers, result) = (workload.samples, settings.workers, result.unwrap_or_default());
    Ok(Report { samples, workers, walls, cpu_s, peak_rss_mb: peak_rss_mb(), prepare_s, samples_per_s, result })
}

/// What each operator did in one run of a workload.
///
/// # Errors
/// When the graph fails.
pub fn operators(workload: &Workload, settings: &Settings) -> Result<GraphView, ReplayError> {
    one(workload, settings).map(|(_, operators)| operators)
}

fn one(workload: &Workload, settings: &Settings) -> Result<(Figures, GraphView), ReplayError> {
    let workers = settings.workers;
    let (done, results) = sync_channel(2 * workers);
    let (history, latest) = (done.clone(), done);
    let sinks = [
        SinkSpec {
            name: "figures",
            feed: Feed::History,
            port: Box::new(move |_| Box::new(HistoryFigures::new(history.clone()))),
        },
        SinkSpec {
            name: "latest",
            feed: Feed::Live(Reach::All),
            port: Box::new(move |_| Box::new(LatestFigures::new(latest.clone()))),
        },
    ];
    let mut settings = settings.clone();
    // The workload's figures are those of the hot path; what the fleet costs is measured by the program `fleet`.
    settings.fleet.is_on = false;
    let (handle, running) = pipeline::start(&settings, &sinks, Arc::new(|| true))?;
    let (mut pushed, mut sealed) = (0, 0);
    let mut groups: Vec<Vec<_>> = vec![Vec::with_capacity(SEAL_RECORDS); workers];
    for stamped in &workload.records {
        if pushed >= SEAL_RECORDS || stamped.t >= sealed + SEAL_T {
            // Before the seal, which says that everything below it has been pushed.
            push(&handle, &mut groups)?;
            handle.seal(stamped.t);
            (pushed, sealed) = (0, stamped.t);
        }
        groups[route(&stamped.record, workers)].push(stamped.clone());
        pushed += 1;
    }
    push(&handle, &mut groups)?;
    let end = workload.records.last().map_or(0, |last| last.t);
    handle.seal(end + TAIL);
    handle.close();
    let mut figures = Figures::default();
    for _ in 0..2 * workers {
        figures.add(&results.recv_timeout(RUN_MAX)?);
    }
    let operators = handle.operators();
    running.join()?;
    Ok((figures, operators))
}

fn push(handle: &Handle, groups: &mut [Vec<Stamped>]) -> Result<(), Stopped> {
    groups.iter_mut().enumerate().try_for_each(|(worker, records)| handle.push_all(worker, records))
}

/// User and system time of this process.
pub(crate) fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields 14 and 15, counted behind the name, which may hold spaces; in ticks of 10 ms on Linux.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or_else(Vec::new, |(_, rest)| rest.split_whitespace().collect());
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn peak_rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1_024.0
}
