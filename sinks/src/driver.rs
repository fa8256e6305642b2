//! The driver: the one loop that writes to a store which loses nothing.
//!
//! In: a queue of outputs and progress, always drained, whatever the store does. Out: batches of whole, durable times, one call to
//! the store at a time; early at low load, larger at high load. A failed batch is offered again with back-off behind a breaker.
//! What does not fit into memory goes to the spill, and from there to the store, in order, when it takes writes again.
//! Loss: only when memory and the spill's quota are both full: the oldest goes, with a count and an ERROR.
//! Invariants: S-1 (the store's cursors make a repetition harmless), S-2 (nothing above the newest progress is offered).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{Egress, LogicalTime, Output};
use runtime::BoxError;
use runtime::queue::Receiver;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use crate::circuit::Circuit;
use crate::error::{SinkError, chain};
pub use crate::settings::{DriverContext, DriverSettings, Patience};
use crate::sink::{Cursors, Group, Sink, WriteBatch};
use crate::spill::Spill;
use crate::staging::Staging;
use crate::status::{DriverHandle, Reach, Reporter};
use crate::work::{Answer, Origin, UnderWay, Work, call, ended, unsaved};

/// Messages taken from the queue at once.
const MESSAGES_MAX: usize = 512;
/// Memory may overshoot its bound by this factor while the spill's disk is full; then the oldest outputs are dropped.
const OVERSHOOT: usize = 2;
/// A full disk is looked at again after this pause.
const SPILL_PAUSE: Duration = Duration::from_secs(1);
/// The pause of a wait without an end in sight.
const LONG: Duration = Duration::from_secs(3_600);

pub struct Driver<S> {
    /// Away while a call is under way.
    sink: Option<S>,
    queue: Receiver<Egress>,
    spill: Arc<Mutex<Spill>>,
    settings: DriverSettings,
    reporter: Reporter,
    staging: Staging,
    under_way: Option<UnderWay<S>>,
    /// A batch that failed and is offered next.
    failed: Option<(Arc<WriteBatch>, Origin)>,
    /// Written from memory, but gathered by the store and not yet behind its cursor: it goes to the spill first.
    unsaved: VecDeque<Group>,
    cursors: Option<Cursors>,
    circuit: Circuit,
    times: Times,
    is_flushed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    /// Not before: the pause after a failure.
    retry: Instant,
    /// When the oldest sealed output is due; none when nothing waits.
    commit: Option<Instant>,
    idle_commit: Instant,
    maintain: Instant,
    /// Not before: the pause after the spill's disk was full.
    spill: Instant,
    spilled: Instant,
    /// Set when the input ended: the end of all patience.
    end: Option<Instant>,
}

impl<S: Sink> Driver<S> {
    /// Nothing happens before `run`.
    pub fn new(sink: S, queue: Receiver<Egress>, spill: Spill, context: DriverContext<'_>) -> (Self, DriverHandle) {
        let DriverContext { settings, clock, registry } = context;
        let circuit = Circuit::new(sink.name(), settings.patience, clock, registry);
        let (reporter, handle) = Reporter::new(circuit.health().clone(), registry);
        let now = Instant::now();
        let times = Times {
            retry: now,
            commit: None,
            idle_commit: now + settings.idle_commit_after,
            maintain: now + settings.maintain_every,
            spill: now,
            spilled: now,
            end: None,
        };
        let mut staging = Staging::default();
        staging.raise_floor(spill.durable());
        let driver = Self {
            sink: Some(sink),
            queue,
            spill: Arc::new(Mutex::new(spill)),
            circuit,
            settings,
            reporter,
            staging,
            under_way: None,
            failed: None,
            unsaved: VecDeque::new(),
            cursors: None,
            times,
            is_flushed: false,
        };
        (driver, handle)
    }

    /// What the replay will not say again: it is written with what it does say of those times.
    pub fn owe(&mut self, owed: Vec<(LogicalTime, Output)>) {
        owed.into_iter().for_each(|(t, output)| self.staging.add(t, vec![output]));
    }

    /// Runs until the graph is complete (or the queue closed) and all is stored, or spilled at the deadline.
    ///
    /// # Errors
    /// When a call to the store panicked.
    pub async fn run(mut self) -> Result<(), BoxError> {
        let mut inbox = Vec::with_capacity(MESSAGES_MAX);
        loop {
            self.begin_work().await?;
            if self.is_done().await? {
                self.publish();
                return Ok(());
            }
            let wake_at = self.wake_at(Instant::now());
            tokio::select! {
                count = self.queue.recv_many(&mut inbox, MESSAGES_MAX), if self.times.end.is_none() => {
                    self.take_in(&mut inbox, count);
                }
                ended = ended(&mut self.under_way) => self.work_ended(ended?).await?,
                () = sleep_until(wake_at) => {}
            }
            let is_over_bound = self.settings.memory_bytes_max < self.staging.sealed_bytes();
            if (is_over_bound || self.is_held_up()) && self.times.spill <= Instant::now() {
                self.spill_all().await?;
            }
            self.publish();
            // A queue that is never empty is always ready: without this no other task of this thread would run.
            tokio::task::yield_now().await;
        }
    }

    fn take_in(&mut self, inbox: &mut Vec<Egress>, count: usize) {
        runtime::fault::strike("history");
        let mut is_over = count == 0;
        let (repeated, overdue) = (self.staging.repeated, self.staging.overdue);
        for message in inbox.drain(..) {
            match message {
                Egress::Data { t, outputs } => self.staging.add(t, outputs),
                Egress::Progress(before) => self.staging.seal(before),
                Egress::Complete => is_over = true,
            }
        }
        self.reporter.repeated.add(self.staging.repeated - repeated);
        if overdue < self.staging.overdue {
            self.reporter.overdue.add(self.staging.overdue - overdue);
            error!(
                outputs = self.staging.overdue - overdue,
                "outputs came after their time was sealed: please report this"
            );
        }
        let now = Instant::now();
        if self.staging.has_sealed() && self.times.commit.is_none() {
            self.times.commit = Some(now + self.settings.commit_after);
        }
        if is_over {
            // What is not sealed by now is not durable: the journal has it, if it is, and a restart brings it again.
            self.times.end = Some(now + self.settings.flush_within);
        }
    }

    /// Starts the next call to the store, if one is due and allowed.
    async fn begin_work(&mut self) -> Result<(), BoxError> {
        let now = Instant::now();
        if self.under_way.is_some() || now < self.times.retry {
            return Ok(());
        }
        let Some(work) = self.next_work(now).await? else {
            return Ok(());
        };
        if let Work::Write(batch, origin) = &work {
            // Kept until the store has answered.
            self.failed = Some((Arc::clone(batch), *origin));
        }
        if let Some(wait) = self.circuit.wait() {
            self.times.retry = now + wait;
            return Ok(());
        }
        let Some(sink) = self.sink.take() else {
            return Err("the store's last call did not come back".into());
        };
        self.failed = None;
        self.under_way =
            Some(UnderWay { call: tokio::spawn(call(sink, work.clone())), work, since: now, is_spilled: false });
        Ok(())
    }

    async fn next_work(&mut self, now: Instant) -> Result<Option<Work>, BoxError> {
        let Some(cursors) = self.cursors else {
            return Ok(Some(Work::Connect));
        };
        if let Some((batch, origin)) = self.failed.take() {
            return Ok(Some(Work::Write(batch, origin)));
        }
        if self.spill().has_unread() {
            match with_spill(&self.spill, Spill::next).await? {
                Ok(Some(batch)) => return Ok(Some(Work::Write(Arc::new(batch), Origin::Spill))),
                Ok(None) => {}
                Err(error) => {
                    error!(error = chain(&error), "spill cannot be read; it is tried again");
                    self.times.retry = now + self.settings.patience.retry_cap;
                    return Ok(None);
                }
            }
        }
        let is_ending = self.times.end.is_some();
        // Under full load no write leaves a pause: upkeep that is overdue takes a turn all the same.
        if !is_ending && self.times.maintain + self.settings.maintain_every <= now {
            return Ok(Some(Work::Maintain));
        }
        let is_full = self.settings.batch_bytes_max <= self.staging.sealed_bytes();
        let is_due = is_ending || is_full || self.times.commit.is_some_and(|at| at <= now);
        let is_idle_due = (is_ending || self.times.idle_commit <= now) && cursors.rows < self.staging.upto();
        if (self.staging.has_sealed() && is_due) || is_idle_due {
            let batch = self.staging.take(self.settings.batch_bytes_max);
            self.times.commit = self.staging.has_sealed().then_some(now + self.settings.commit_after);
            return Ok(Some(Work::Write(Arc::new(batch), Origin::Memory)));
        }
        if is_ending {
            return Ok((!self.is_flushed).then_some(Work::Flush));
        }
        Ok((self.times.maintain <= now).then_some(Work::Maintain))
    }

    async fn work_ended(&mut self, (sink, answer): (S, Result<Answer, SinkError>)) -> Result<(), BoxError> {
        self.sink = Some(sink);
        let Some(UnderWay { work, since, is_spilled, .. }) = self.under_way.take() else {
            return Ok(());
        };
        match answer {
            Ok(answer) => {
                self.circuit.succeeded(since.elapsed());
                match answer {
                    Answer::At(cursors) => {
                        let work = if is_spilled { work.of_spill() } else { work };
                        self.moved(cursors, &work).await?;
                    }
                    Answer::Maintained(is_more) => {
                        let pause = if is_more { self.settings.commit_after } else { self.settings.maintain_every };
                        self.times.maintain = Instant::now() + pause;
                    }
                }
            }
            Err(error) => {
                self.times.retry = Instant::now() + self.circuit.failed(&error);
                match work {
                    Work::Write(batch, origin) if !is_spilled => self.failed = Some((batch, origin)),
                    Work::Maintain => self.times.maintain = Instant::now() + self.settings.maintain_every,
                    Work::Write(..) | Work::Connect | Work::Flush => {}
                }
            }
        }
        Ok(())
    }

    /// The store answered with its cursors.
    async fn moved(&mut self, cursors: Cursors, work: &Work) -> Result<(), BoxError> {
        let oldest = cursors.oldest();
        self.cursors = Some(cursors);
        self.staging.raise_floor(oldest);
        match work {
            Work::Connect => {
                info!(
                    sink = self.sink.as_ref().map_or("", Sink::name),
                    rows = cursors.rows,
                    raw = cursors.raw,
                    "sink is connected"
                );
                return with_spill(&self.spill, move |spill| spill.read_after(oldest)).await;
            }
            Work::Write(batch, origin) => {
                self.times.idle_commit = Instant::now() + self.settings.idle_commit_after;
                let outputs: usize = batch.groups.iter().map(|group| group.outputs.len()).sum();
                self.reporter.written.add(outputs as u64);
                if *origin == Origin::Memory {
                    self.unsaved.extend(batch.groups.iter().filter_map(|group| unsaved(group, cursors)));
                }
            }
            Work::Flush => self.is_flushed = true,
            Work::Maintain => {}
        }
        while self.unsaved.front().is_some_and(|group| group.t <= oldest) {
            self.unsaved.pop_front();
        }
        if 0 < self.spill().backlog_bytes() {
            with_spill(&self.spill, move |spill| spill.stored(oldest)).await?;
        }
        Ok(())
    }

    /// Whether the store has been away for so long that what waits for it is better on disk than in the journal's keeping.
    fn is_held_up(&self) -> bool {
        let Some(after) = self.settings.spill_after else { return false };
        !self.circuit.health().is_up && self.times.spilled + after <= Instant::now()
    }

    /// Everything in memory goes to the spill, oldest first; of nothing how far it reaches.
    async fn spill_all(&mut self) -> Result<(), BoxError> {
        let mut groups: Vec<Group> = self.unsaved.drain(..).collect();
        if let Some((batch, Origin::Memory)) = &self.failed {
            groups.extend(batch.groups.iter().cloned());
            self.failed = None;
        }
        if let Some(under_way) = &mut self.under_way
            && let Work::Write(batch, Origin::Memory) = &under_way.work
            && !under_way.is_spilled
        {
            groups.extend(batch.groups.iter().cloned());
            under_way.is_spilled = true;
        }
        let rest = self.staging.take(usize::MAX);
        groups.extend(rest.groups);
        (self.times.commit, self.times.spilled) = (None, Instant::now());
        if groups.is_empty() && (self.settings.spill_after.is_none() || rest.upto <= self.spill().durable()) {
            return Ok(());
        }
        let (groups, appended) = with_spill(&self.spill, move |spill| {
            let appended = spill.append(&groups, rest.upto);
            (groups, appended)
        })
        .await?;
        let taken = appended.as_ref().map_or_else(|(taken, _)| *taken, |()| groups.len());
        let outputs: usize = groups[..taken].iter().map(|group| group.outputs.len()).sum();
        self.reporter.spilled.add(outputs as u64);
        if let Err((_, error)) = appended {
            warn!(error = chain(&error), "spill takes nothing: outputs stay in memory");
            self.staging.put_back(groups.into_iter().skip(taken).collect());
            let now = Instant::now();
            self.times.commit = Some(now + self.settings.commit_after);
            self.times.spill = now + SPILL_PAUSE;
            let lost = self.staging.drop_oldest(OVERSHOOT * self.settings.memory_bytes_max);
            if 0 < lost {
                self.reporter.lost.add(lost);
                error!(outputs = lost, "memory and spill are full: the oldest outputs are lost; make room on the disk");
            }
        }
        Ok(())
    }

    /// True when the run is over: all is stored, or the deadline came and the rest is in the spill.
    async fn is_done(&mut self) -> Result<bool, BoxError> {
        let Some(end) = self.times.end else { return Ok(false) };
        let is_stored = self.under_way.is_none()
            && self.is_flushed
            && self.failed.is_none()
            && !self.staging.has_sealed()
            && !self.spill().has_unread();
        if is_stored {
            return Ok(true);
        }
        if Instant::now() < end {
            return Ok(false);
        }
        self.spill_all().await?;
        warn!(
            backlog_bytes = self.spill().backlog_bytes(),
            "store did not take everything in time; the rest waits in the spill"
        );
        Ok(true)
    }

    fn wake_at(&self, now: Instant) -> Instant {
        let end = self.times.end.unwrap_or(now + LONG);
        if self.under_way.is_some() {
            return end;
        }
        if now < self.times.retry {
            return self.times.retry.min(end);
        }
        let commit = self.times.commit.filter(|_| self.staging.has_sealed()).unwrap_or(end);
        let is_behind = self.cursors.is_some_and(|cursors| cursors.rows < self.staging.upto());
        let idle = if is_behind { self.times.idle_commit } else { end };
        commit.min(idle).min(self.times.maintain).min(end)
    }

    fn publish(&self) {
        let (durable, backlog, lost) = {
            let spill = self.spill();
            (spill.durable(), spill.backlog_bytes(), spill.lost_records)
        };
        // The spill goes on where the cursors end, so that the journal is not needed for what lies in it.
        let covered = self.cursors.map_or(0, Cursors::oldest).max(durable);
        let counted = self.reporter.spill_lost.value();
        self.reporter.spill_lost.add(lost.saturating_sub(counted));
        let (cursors, sealed) = (self.cursors, self.staging.upto());
        let reach = Reach { cursors, keep_from: covered.saturating_add(1), sealed, backlog_bytes: backlog };
        self.reporter.publish(self.circuit.health(), reach);
    }

    fn spill(&self) -> MutexGuard<'_, Spill> {
        self.spill.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Disk work off the async threads. The queue's own capacity carries what comes meanwhile.
async fn with_spill<T: Send + 'static>(
    spill: &Arc<Mutex<Spill>>,
    work: impl FnOnce(&mut Spill) -> T + Send + 'static,
) -> Result<T, BoxError> {
    let spill = Arc::clone(spill);
    let done = spawn_blocking(move || work(&mut spill.lock().unwrap_or_else(PoisonError::into_inner)));
    Ok(done.await?)
}
