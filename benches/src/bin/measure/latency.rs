//! Added latency: a batch of 60 samples from a tokio task through the graph to a tokio task, at 1,000 batches a second.
//!
//! Open loop: a pacing thread says when each batch is due, whether or not earlier ones have come out. Two spreads are told: from the moment the
//! sending task hands a batch in, and from the moment it was due, which also counts what a late sender hides (coordinated omission).
//! Baseline of the same run: tokio channel, thread, tokio channel. `latency [SECONDS] [ROUNDS] [WORKERS]`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use benches::fleet::{self, Rules};
use benches::report::{Figure, Spread, median};
use benches::rig::Rig;
use ingest::{Foundations, Ingest, Intake, Settings};
use journal::{Journal, Options};
use model::dataflow::route;
use model::{Dataflow, Egress, Layout, Output, Record, Stamped, Timestamp};
use pipeline::Handle;
use runtime::clock::{Clock, SystemClock};
use runtime::metrics::Registry;
use runtime::queue::Receiver;
use tokio::sync::mpsc;

use crate::{Arguments, Result};

const BATCHES_PER_SECOND: u32 = 1_000;
/// Each sends once a second.
const MACHINES: u32 = 1_000;
/// What an fsync takes here, so that the graph alone is sealed as often as it is behind a journal.
const SEAL_EVERY: Duration = Duration::from_micros(1_300);
/// Frames of the first moments, while layouts are bound, are not counted.
const WARM_UP: usize = 2_000;
/// An answer that takes longer is lost.
const ANSWER_MAX: Duration = Duration::from_secs(10);

pub(crate) fn run(mut args: Arguments) -> Result<()> {
    let mut number = |default| args.next().map_or(Ok(default), |text| text.parse::<usize>());
    let (seconds, rounds, workers) = (number(20)?, number(3)?, number(1)?);
    let layouts = fleet::layouts(MACHINES)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let course = Arc::new(Course::new(seconds * BATCHES_PER_SECOND as usize + WARM_UP, layouts));
    let (mut plain, mut alone, mut journalled) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        plain.push(runtime.block_on(baseline(&course))?);
        alone.push(runtime.block_on(graph_alone(&course, workers))?);
        journalled.push(runtime.block_on(through_journal(&course, workers))?);
    }
    tell("graph", &alone, &plain, Some((120.0, 2_000.0)));
    tell("sequencer, journal and graph", &journalled, &plain, None);
    Ok(())
}

fn tell(what: &str, rounds: &[Times], baseline: &[Times], goals: Option<(f64, f64)>) {
    for (percent, goal) in [(50, goals.map(|g| g.0)), (99, goals.map(|g| g.1))] {
        let of = |rounds: &[Times], spread: fn(&Times) -> &Spread| -> Vec<f64> {
            rounds.iter().map(|times| micros(spread(times).percentile(percent))).collect()
        };
        let best = of(rounds, |times| &times.sent).into_iter().fold(f64::INFINITY, f64::min);
        let name = format!("latency: {what}, p{percent}");
        let figure = Figure::new(&name, median(of(rounds, |times| &times.sent)), "us");
        let figure = figure.against(median(of(baseline, |times| &times.sent)));
        goal.map_or(figure.clone(), |goal| figure.at_most(goal)).print();
        let plain = of(baseline, |times| &times.sent).into_iter().fold(f64::INFINITY, f64::min);
        Figure::new(format!("{name}, best round"), best, "us").against(plain).print();
        let due = median(of(rounds, |times| &times.due));
        let figure = Figure::new(format!("{name}, from when it was due"), due, "us");
        figure.against(median(of(baseline, |times| &times.due))).print();
    }
}

fn micros(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64() * 1e6
}

/// The batches of a round and when each was due and sent.
struct Course {
    layouts: Vec<Arc<Layout>>,
    count: usize,
    started: Instant,
    clock: SystemClock,
    due: Vec<AtomicU64>,
    sent: Vec<AtomicU64>,
}

/// Of one round, in nanoseconds.
struct Times {
    sent: Spread,
    due: Spread,
}

impl Course {
    fn new(count: usize, layouts: Vec<Arc<Layout>>) -> Self {
        let zeros = || (0..count).map(|_| AtomicU64::new(0)).collect();
        Self { layouts, count, started: Instant::now(), clock: SystemClock::new(), due: zeros(), sent: zeros() }
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Batch `index`, stamped as sent now. Event times are the clock's, so minutes close as they do in a hub.
    fn batch(&self, index: usize) -> (u64, Record) {
        let now_us = self.clock.now_us();
        // There are as many layouts as machines.
        let machine = u32::try_from(index % self.layouts.len()).unwrap_or(0);
        let at = Timestamp::from_micros(now_us);
        let record = fleet::frame(&self.layouts[machine as usize], machine, index as u64, at);
        self.sent[index].store(self.now_ns(), Ordering::Release);
        (u64::try_from(now_us).unwrap_or(0), record)
    }

    /// Says when each batch is due, from a thread of its own: tokio's timers only know milliseconds.
    fn pace(self: &Arc<Self>) -> mpsc::Receiver<usize> {
        let (due, dues) = mpsc::channel(4_096);
        let course = Arc::clone(self);
        std::thread::spawn(move || {
            let begin = Instant::now() + Duration::from_millis(10);
            for index in 0..course.count {
                let at = begin + Duration::from_secs(1) / BATCHES_PER_SECOND * u32::try_from(index).unwrap_or(u32::MAX);
                while let Some(left) = at.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                    std::thread::park_timeout(left);
                }
                let nanos = at.saturating_duration_since(course.started).as_nanos();
                course.due[index].store(u64::try_from(nanos).unwrap_or(0), Ordering::Release);
                if due.blocking_send(index).is_err() {
                    return;
                }
            }
        });
        dues
    }

    /// Nanoseconds since a batch was sent and since it was due.
    fn passed(&self, index: usize) -> (u64, u64) {
        let now = self.now_ns();
        let since = |stamps: &[AtomicU64]| now.saturating_sub(stamps[index].load(Ordering::Acquire));
        (since(&self.sent), since(&self.due))
    }
}

/// What has come back.
struct Tally {
    sent: Vec<u64>,
    due: Vec<u64>,
    count: usize,
}

impl Tally {
    fn of(course: &Course) -> Self {
        Self { sent: Vec::with_capacity(course.count), due: Vec::with_capacity(course.count), count: 0 }
    }

    fn add(&mut self, course: &Course, index: usize) {
        let (sent, due) = course.passed(index);
        self.count += 1;
        if index >= WARM_UP {
            self.sent.push(sent);
            self.due.push(due);
        }
    }

    fn times(self) -> Times {
        Times { sent: Spread::of(self.sent), due: Spread::of(self.due) }
    }
}

/// The same without a graph: channel, thread, channel.
async fn baseline(course: &Arc<Course>) -> Result<Times> {
    let (to_thread, mut in_thread) = mpsc::channel::<Record>(8_192);
    let (to_end, mut end) = mpsc::channel::<Record>(8_192);
    std::thread::spawn(move || {
        while let Some(record) = in_thread.blocking_recv() {
            if to_end.blocking_send(record).is_err() {
                return;
            }
        }
    });
    let (sender, mut dues) = (Arc::clone(course), course.pace());
    let sending = tokio::spawn(async move {
        while let Some(index) = dues.recv().await {
            drop(to_thread.send(sender.batch(index).1).await);
        }
    });
    let mut tally = Tally::of(course);
    while let Some(record) = tokio::time::timeout(ANSWER_MAX, end.recv()).await? {
        if let Record::Batch(batch) = record {
            tally.add(course, usize::try_from(batch.sequence)?);
        }
    }
    sending.await?;
    Ok(tally.times())
}

/// Through the graph's door, sealed as a group commit would.
async fn graph_alone(course: &Arc<Course>, workers: usize) -> Result<Times> {
    let Rig { handle, running, history, live } = Rig::start(workers)?;
    let newest = Arc::new(AtomicU64::new(0));
    let begin = u64::try_from(course.clock.now_us())?;
    handle.push(0, Stamped { t: begin, record: fleet::rules(Rules::Usual) })?;
    let (sender, mut dues) = (Arc::clone(course), course.pace());
    let (door, pushed) = (Arc::clone(&handle), Arc::clone(&newest));
    let sending = tokio::spawn(async move {
        let mut last = begin;
        while let Some(index) = dues.recv().await {
            let (now, record) = sender.batch(index);
            last = now.max(last + 1);
            let worker = route(&record, workers);
            if door.push(worker, Stamped { t: last, record }).is_err() {
                return;
            }
            door.ring(worker);
            pushed.store(last, Ordering::Release);
        }
        pushed.store(u64::MAX - 1, Ordering::Release);
    });
    let sealer = std::thread::spawn({
        let door = Arc::clone(&handle);
        move || {
            loop {
                std::thread::park_timeout(SEAL_EVERY);
                let newest = newest.load(Ordering::Acquire);
                if newest == u64::MAX - 1 {
                    return;
                }
                door.seal(newest + 1);
            }
        }
    });
    let draining = tokio::spawn(drain(history));
    let times = collect(course, live).await?;
    sending.await?;
    sealer.join().map_err(|_panic| "the sealing thread failed")?;
    finish(&handle, running, draining).await?;
    Ok(times)
}

async fn finish(
    handle: &Handle,
    running: pipeline::Running,
    draining: tokio::task::JoinHandle<Receiver<Egress>>,
) -> Result<()> {
    handle.close();
    tokio::task::spawn_blocking(move || running.join()).await??;
    draining.await?;
    Ok(())
}

/// Through the hub's sequencer and a journal on disk: the batch enters the graph before the fsync, and is sealed after it.
async fn through_journal(course: &Arc<Course>, workers: usize) -> Result<Times> {
    let Rig { handle, running, history, live } = Rig::start(workers)?;
    let folder = tempfile::tempdir()?;
    let ingest = start_ingest(folder.path(), &handle)?;
    let intake = ingest.intake();
    intake.record(fleet::rules(Rules::Usual)).await?;
    let (sender, mut dues) = (Arc::clone(course), course.pace());
    let sending = tokio::spawn(async move {
        while let Some(index) = dues.recv().await {
            tokio::spawn(hand_in(intake.clone(), sender.batch(index).1));
        }
    });
    let draining = tokio::spawn(drain(history));
    let times = collect(course, live).await?;
    sending.await?;
    ingest.stop(ANSWER_MAX).await;
    finish(&handle, running, draining).await?;
    Ok(times)
}

/// As a stream's task does; ends when the batch is durable.
async fn hand_in(intake: Intake, record: Record) {
    let closed = intake.record(record).await.is_err();
    debug_assert!(!closed, "the sequencer outlives the round");
}

fn start_ingest(folder: &Path, handle: &Arc<Handle>) -> Result<Ingest> {
    let (journal, _opened) = Journal::open(Options::new(folder))?;
    let replayed = ingest::replay(&journal, 0, handle.as_ref(), &mut |_| {})?;
    Ok(Ingest::start(Foundations {
        journal,
        replayed,
        dataflow: Arc::clone(handle) as Arc<dyn Dataflow>,
        t_floor: 0,
        keep_from: Arc::default(),
        clock: SystemClock::shared(),
        registry: Registry::new(),
        settings: Settings::default(),
        peers: None,
    })?)
}

async fn collect(course: &Course, mut live: Receiver<Egress>) -> Result<Times> {
    let (mut tally, mut messages) = (Tally::of(course), Vec::new());
    while tally.count < course.count {
        if tokio::time::timeout(ANSWER_MAX, live.recv_many(&mut messages, 256)).await? == 0 {
            break;
        }
        for message in messages.drain(..) {
            let Egress::Data { outputs, .. } = message else { continue };
            for output in outputs {
                if let Output::Samples(bound) = output {
                    tally.add(course, usize::try_from(bound.batch.sequence)?);
                }
            }
        }
    }
    tokio::spawn(drain(live));
    Ok(tally.times())
}

async fn drain(mut queue: Receiver<Egress>) -> Receiver<Egress> {
    let mut messages = Vec::new();
    while queue.recv_many(&mut messages, 256).await > 0 {
        messages.clear();
    }
    queue
}
