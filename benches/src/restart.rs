//! What a restart costs: a journal of so many machines and minutes, made through the real codec, then read, decoded and replayed.
//!
//! Each stage is timed alone and then together, because on few cores they share: the files themselves (the baseline), framing and
//! checksums, decoding, the whole replay into a graph that takes nothing, the graph alone from memory, and the replay into the graph.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use journal::{Journal, JournalError, Options};
use model::codec::{self, Decoder};
use model::dataflow::{Stopped, route};
use model::{
    Batch, Catalogue, Dataflow, Layout, LogicalTime, Output, Positions, Record, SessionId, Stamped, Times, Timestamp,
};
use pipeline::{Feed, PipelineError, Reach, Settings, SinkPort, SinkSpec};

use crate::replay::cpu_seconds;
use crate::workload::{BASE_MS, SERIES_PER_MACHINE, WorkloadError, layouts, rules};

const TICK_US: u64 = 5_000_000;
/// What the replay of a journal seals by.
const SEAL_RECORDS: usize = 4_096;
const READ_BYTES: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum RestartError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Names(#[from] WorkloadError),
    #[error(transparent)]
    Replay(#[from] ingest::ReplayError),
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[error("read a segment: {0}")]
    Read(#[from] std::io::Error),
    #[error("decode a record: {0}")]
    Codec(#[from] codec::CodecError),
    #[error(transparent)]
    Stopped(#[from] Stopped),
    #[error("the graph counted {graph} samples, the journal holds {journal}")]
    Differs { graph: u64, journal: u64 },
}

/// One stage's cost.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Cost {
    pub wall_s: f64,
    /// Of all threads.
    pub cpu_s: f64,
}

/// A journal on disk, made for this.
pub struct Made {
    pub bytes: u64,
    pub samples: u64,
    pub frames: u64,
}

/// Writes a journal of whole frames, one every five seconds for each machine, each with a T of its own, segments with their layouts in front.
///
/// # Errors
/// When the disk refuses.
pub fn make(dir: &Path, machines: u32, minutes: u32) -> Result<Made, RestartError> {
    let layouts = layouts(machines)?;
    let (mut journal, _) = Journal::open(Options::new(dir))?;
    let mut rng = fastrand::Rng::with_seed(1);
    let mut levels = vec![50.0_f64; layouts.len() * SERIES_PER_MACHINE as usize];
    let base = BASE_MS.unsigned_abs() * 1_000;
    let mut made = Made { bytes: 0, samples: 0, frames: 0 };
    let mut is_fresh = true;
    for tick in 0..u64::from(minutes) * 60_000_000 / TICK_US {
        for ((number, layout), levels) in (0..).zip(&layouts).zip(levels.chunks_mut(SERIES_PER_MACHINE as usize)) {
            let t = base + tick * TICK_US + number * TICK_US / u64::from(machines);
            if journal.segment_is_full() {
                journal.rotate()?;
                is_fresh = true;
            }
            if std::mem::take(&mut is_fresh) {
                append(&mut journal, t, &Record::Rules(Arc::new(rules())))?;
                for layout in &layouts {
                    append(&mut journal, t, &Record::Layout(Arc::clone(layout)))?;
                }
            }
            let values: Box<[f64]> = levels.iter_mut().map(|level| step(level, &mut rng)).collect();
            made.samples += values.len() as u64;
            made.frames += 1;
            append(&mut journal, t, &Record::Batch(Arc::new(frame(layout, t, tick + 1, values))))?;
        }
    }
    journal.commit()?;
    made.bytes = journal.bytes();
    Ok(made)
}

fn append(journal: &mut Journal, t: LogicalTime, record: &Record) -> Result<(), JournalError> {
    let mut bytes = Vec::new();
    codec::encode(record, &mut bytes);
    journal.append(t, &bytes).map(|_index| ())
}

/// Multiples of 1/64: sums are exact in any order.
fn step(level: &mut f64, rng: &mut fastrand::Rng) -> f64 {
    *level = (*level + (rng.f64() - 0.5) * 8.0).clamp(0.0, 100.0);
    (*level * 64.0).floor() / 64.0
}

fn frame(layout: &Arc<Layout>, t: LogicalTime, sequence: u64, values: Box<[f64]>) -> Batch {
    Batch {
        layout: Arc::clone(layout),
        session: SessionId(1),
        sequence,
        arrival: Timestamp::from_logical(t),
        age_ms: 0,
        positions: Positions::All,
        times: Times::One(Timestamp::from_logical(t)),
        values,
    }
}

/// Times one stage.
///
/// # Errors
/// The stage's own.
pub fn cost(stage: impl FnOnce() -> Result<(), RestartError>) -> Result<Cost, RestartError> {
    let (cpu_before, started) = (cpu_seconds(), Instant::now());
    stage()?;
    Ok(Cost { wall_s: started.elapsed().as_secs_f64(), cpu_s: cpu_seconds() - cpu_before })
}

/// The baseline: every segment's bytes, through one buffer, looked at by nobody.
///
/// # Errors
/// When a file cannot be read.
pub fn files(dir: &Path) -> Result<(), RestartError> {
    let mut buffer = vec![0; READ_BYTES];
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "journal") {
            let mut file = File::open(path)?;
            while file.read(&mut buffer)? > 0 {}
        }
    }
    Ok(())
}

/// Framing and checksums: the journal's own reader.
///
/// # Errors
/// When the journal cannot be read.
pub fn records(journal: &Journal) -> Result<(), RestartError> {
    let mut reader = journal.reader_from(0);
    while reader.next()?.is_some() {}
    Ok(())
}

/// The same, and each record decoded and dropped.
///
/// # Errors
/// When a record cannot be read.
pub fn decoded(journal: &Journal) -> Result<(), RestartError> {
    let (mut reader, mut decoder) = (journal.reader_from(0), Decoder::new());
    while let Some(record) = reader.next()? {
        std::hint::black_box(decoder.decode(record.payload)?);
    }
    Ok(())
}

/// The whole replay but for the graph.
///
/// # Errors
/// When the journal cannot be read.
pub fn replay_to_nobody(journal: &Journal) -> Result<(), RestartError> {
    ingest::replay(journal, 0, &Nobody, &mut |_| {})?;
    Ok(())
}

/// The whole replay, the graph behind it.
///
/// # Errors
/// When the journal cannot be read, or the graph loses samples.
pub fn replay_to_graph(journal: &Journal, workers: usize) -> Result<(), RestartError> {
    with_graph(workers, |graph| Ok(ingest::replay(journal, 0, graph, &mut |_| {})?.samples))
}

/// The records in memory, as a replay would push them.
///
/// # Errors
/// When the journal cannot be read.
pub fn load(journal: &Journal) -> Result<Vec<Stamped>, RestartError> {
    let collected = Collecting::default();
    ingest::replay(journal, 0, &collected, &mut |_| {})?;
    Ok(collected.0.into_inner().unwrap_or_default())
}

/// The graph alone, fed from memory.
///
/// # Errors
/// When the graph loses samples.
pub fn graph_alone(records: &[Stamped], workers: usize) -> Result<(), RestartError> {
    with_graph(workers, |graph| {
        let (mut pushed, mut samples) = (0, 0);
        for stamped in records {
            if SEAL_RECORDS <= pushed {
                graph.seal(stamped.t);
                pushed = 0;
            }
            if let Record::Batch(batch) = &stamped.record {
                samples += batch.len() as u64;
            }
            graph.push(route(&stamped.record, workers), stamped.clone())?;
            pushed += 1;
        }
        graph.seal(records.last().map_or(0, |last| last.t + 1));
        Ok(samples)
    })
}

/// Until everything that `feed` pushed has left the graph.
fn with_graph(
    workers: usize,
    feed: impl FnOnce(&dyn Dataflow) -> Result<u64, RestartError>,
) -> Result<(), RestartError> {
    let counted = Arc::new(AtomicU64::new(0));
    let sinks = [Feed::History, Feed::Live(Reach::All)].map(|feed| {
        let counted = Arc::clone(&counted);
        let is_history = feed == Feed::History;
        let port = move |_worker| -> Box<dyn SinkPort> {
            Box::new(Count { samples: 0, total: is_history.then(|| Arc::clone(&counted)) })
        };
        SinkSpec { name: "count", feed, port: Box::new(port) }
    });
    let settings = Settings::new(workers, Catalogue::identity());
    let (handle, running) = pipeline::start(&settings, &sinks, Arc::new(|| true))?;
    let journal = feed(handle.as_ref())?;
    handle.close();
    running.join()?;
    let graph = counted.load(Ordering::Relaxed);
    if graph == journal { Ok(()) } else { Err(RestartError::Differs { graph, journal }) }
}

/// A sink that counts the samples it is given.
struct Count {
    samples: u64,
    total: Option<Arc<AtomicU64>>,
}

impl SinkPort for Count {
    fn output(&mut self, _t: LogicalTime, output: Output) {
        if let Output::Samples(samples) = output {
            self.samples += samples.batch.len() as u64;
        }
    }

    fn flush(&mut self) {}

    fn progress(&mut self, _before: LogicalTime) {}

    fn complete(&mut self) {
        if let Some(total) = self.total.take() {
            total.fetch_add(self.samples, Ordering::Relaxed);
        }
    }
}

/// A graph that drops what it is given.
struct Nobody;

impl Dataflow for Nobody {
    fn workers(&self) -> usize {
        2
    }

    fn push(&self, _worker: usize, stamped: Stamped) -> Result<(), Stopped> {
        drop(std::hint::black_box(stamped));
        Ok(())
    }

    fn ring(&self, _worker: usize) {}

    fn seal(&self, _before: LogicalTime) {}
}

/// A graph that keeps what it is given.
#[derive(Default)]
struct Collecting(std::sync::Mutex<Vec<Stamped>>);

impl Dataflow for Collecting {
    fn workers(&self) -> usize {
        1
    }

    fn push(&self, _worker: usize, stamped: Stamped) -> Result<(), Stopped> {
        self.0.lock().map_err(|_poisoned| Stopped)?.push(stamped);
        Ok(())
    }

    fn ring(&self, _worker: usize) {}

    fn seal(&self, _before: LogicalTime) {}
}
