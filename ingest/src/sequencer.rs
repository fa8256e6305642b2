//! Sequencer: the one thread that owns the journal and gives out logical time.
//!
//! In: submissions. For each group: one T, every record encoded and appended, pushed to the worker of its machine at once, written,
//! then handed to the committer; so the data flows before the disk answers, and the next group is appended during the fsync.
//! Time: after activity the seal also rises at the next 100 ms boundary, then every second, more seldom once nothing has come for a while; in
//! a cluster more often.
//! Disk full: the group waits and is tried again; nothing behind it is taken, so collectors slow down; nothing is lost.
//! Invariants: J-2 T grows strictly; a record is appended and pushed on this thread only, so no record enters below a seal.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use journal::{Dropped, Journal, JournalError};
use model::dataflow::{Stopped, route};
use model::{Dataflow, LogicalTime, Record, Stamped, codec};
use runtime::backoff::Backoff;
use runtime::fault;
use runtime::queue::{Receiver, RecvError, Sender};
use tracing::{error, info, warn};

use crate::beat::Beat;
use crate::fail_stop;
use crate::intake::{Commit, Submission};
use crate::meters::Meters;
use crate::preamble::Preamble;
use crate::settings::SequencerSettings;
use crate::state::JournalState;
use crate::timeline::Timeline;

/// A segment's data is at least this many times its preamble, or a large fleet would write mostly preambles.
const PREAMBLE_SHARE: u64 = 8;

pub(crate) struct Sequencer {
    pub(crate) submissions: Receiver<Submission>,
    pub(crate) commits: Sender<Commit>,
    pub(crate) journal: Journal,
    pub(crate) dataflow: Arc<dyn Dataflow>,
    pub(crate) timeline: Timeline,
    pub(crate) preamble: Preamble,
    pub(crate) state: Arc<JournalState>,
    /// Records from this T on are needed by somebody: the open hour and its horizon, the sinks' cursors.
    pub(crate) keep_from: Arc<AtomicU64>,
    pub(crate) machines_max: usize,
    pub(crate) settings: SequencerSettings,
    pub(crate) meters: Meters,
    pub(crate) progress: Progress,
}

/// What the thread keeps from group to group.
#[derive(Default)]
pub(crate) struct Progress {
    waiting: Vec<Submission>,
    scratch: Vec<u8>,
    /// Workers that were pushed to and not rung yet.
    rung: Vec<bool>,
    sealed: LogicalTime,
    beat: Beat,
    /// The segment has just been rotated and has no preamble yet.
    is_fresh: bool,
    /// Bytes of the segment's preamble and of what came after it.
    preamble_bytes: u64,
    segment_bytes: u64,
    retained_at: LogicalTime,
}

/// Why the thread ends.
enum End {
    /// All senders are gone, or the graph has stopped: either way nothing more can be taken.
    Closed,
    GraphStopped,
}

impl From<Stopped> for End {
    fn from(_: Stopped) -> Self {
        Self::GraphStopped
    }
}

impl Progress {
    /// Everything up to the journal's newest T is durable and sealed.
    pub(crate) fn after(newest: Option<LogicalTime>) -> Self {
        let sealed = newest.map_or(0, |t| t + 1);
        Self { sealed, beat: Beat::from(sealed), ..Self::default() }
    }
}

impl Sequencer {
    pub(crate) fn run(mut self) {
        self.progress.rung = vec![false; self.dataflow.workers()];
        let end = loop {
            if let Err(end) = self.step() {
                break end;
            }
        };
        if let End::GraphStopped = end {
            error!("sequencer ends: the graph has stopped");
        }
        // What is left has been written; the committer syncs it when this sender is dropped.
    }

    fn step(&mut self) -> Result<(), End> {
        if self.progress.waiting.is_empty() {
            let room = self.settings.group_submissions_max.max(1);
            let wait = self.progress.beat.wait(self.timeline.now(), &self.settings);
            match self.submissions.recv_many_timeout(&mut self.progress.waiting, room, wait) {
                // On a core that streams and this thread share, the first submission of several wakes us before the others are here: they
                // would be a group, a write and a turn of the graph each. Where nobody else wants the core, this is nothing.
                Ok(_count) => std::thread::yield_now(),
                Err(RecvError::Empty) => {
                    self.beat();
                    self.retain();
                    return Ok(());
                }
                Err(RecvError::Closed) => return Err(End::Closed),
            }
        }
        let room = self.settings.group_submissions_max.saturating_sub(self.progress.waiting.len());
        if 0 < room {
            self.submissions.drain_into(&mut self.progress.waiting, room);
        }
        let group = self.next_group();
        self.commit(group)?;
        self.retain();
        Ok(())
    }

    /// As many of the waiting submissions as one group may have; at least one.
    fn next_group(&mut self) -> Vec<Submission> {
        let mut bytes = 0;
        let fitting = self.progress.waiting.iter().take_while(|submission| {
            bytes += submission.bytes;
            bytes <= self.settings.group_bytes_max
        });
        let count = fitting.count().max(1);
        let rest = self.progress.waiting.split_off(count.min(self.progress.waiting.len()));
        std::mem::replace(&mut self.progress.waiting, rest)
    }

    fn commit(&mut self, mut group: Vec<Submission>) -> Result<(), End> {
        let records: Vec<Record> = group.iter_mut().flat_map(|s| std::mem::take(&mut s.records)).collect();
        let mut commit = Commit { t: None, sealed: self.progress.sealed, submissions: group };
        if !records.is_empty() {
            fault::strike("sequencer");
            self.rotate_if_due();
            let t = self.timeline.next();
            self.open_segment(t);
            self.meters.group_records.observe(records.len() as f64);
            for record in records {
                self.take(t, record)?;
            }
            self.ring();
            self.persist("write journal", Journal::flush);
            self.meters.logical_time.set(t as f64);
            self.progress.sealed = t + 1;
            self.progress.beat.after_record(t, &self.settings);
            commit.t = Some(t);
            commit.sealed = t + 1;
        }
        // Closed only when the committer is gone, and it goes only after this thread or with the process.
        self.commits.send_blocking(commit).map_err(|_closed| End::Closed)
    }

    /// Journals a record, the layout it needs before it, and sends it on its way.
    fn take(&mut self, t: LogicalTime, record: Record) -> Result<(), End> {
        if let Some(layout) = self.preamble.note(t, &record) {
            let layout = Record::Layout(layout);
            self.append(t, &layout);
            self.push(t, layout)?;
        }
        if self.append(t, &record) {
            self.push(t, record)?;
        }
        Ok(())
    }

    /// False when the record can never be journalled; then it must not enter the graph either.
    fn append(&mut self, t: LogicalTime, record: &Record) -> bool {
        let mut bytes = std::mem::take(&mut self.progress.scratch);
        bytes.clear();
        codec::encode(record, &mut bytes);
        let len = bytes.len() as u64;
        let is_kept = self.persist("append to journal", |journal| match journal.append(t, &bytes) {
            Ok(_index) => Ok(true),
            Err(too_long @ JournalError::RecordTooLong { .. }) => {
                // Admission bounds every record far below; a setting that contradicts it is for a person.
                error!(error = %too_long, "record is lost: raise the journal's record limit");
                Ok(false)
            }
            Err(other) => Err(other),
        });
        self.progress.scratch = bytes;
        self.progress.segment_bytes += len;
        self.meters.journal_bytes.add(len);
        is_kept
    }

    fn push(&mut self, t: LogicalTime, record: Record) -> Result<(), End> {
        let worker = route(&record, self.progress.rung.len());
        self.dataflow.push(worker, Stamped { t, record })?;
        if let Some(rung) = self.progress.rung.get_mut(worker) {
            *rung = true;
        }
        Ok(())
    }

    fn ring(&mut self) {
        for (worker, rung) in self.progress.rung.iter_mut().enumerate() {
            if std::mem::take(rung) {
                self.dataflow.ring(worker);
            }
        }
    }

    /// Runs a call of the journal until it succeeds. A full disk is waited for; anything else ends the process.
    fn persist<T>(&mut self, action: &'static str, mut call: impl FnMut(&mut Journal) -> Result<T, JournalError>) -> T {
        let mut backoff: Option<Backoff> = None;
        loop {
            match call(&mut self.journal) {
                Ok(done) => {
                    if backoff.is_some() {
                        info!("journal has room again");
                        self.state.up();
                    }
                    return done;
                }
                Err(error) if error.is_retryable() => {
                    let retry = backoff.get_or_insert_with(|| {
                        warn!(%error, action, "journal waits for room: collectors wait too");
                        disk_backoff()
                    });
                    self.meters.disk_full.increment();
                    self.state.down(&error.to_string());
                    // Dropping what nobody needs may be all the room it takes.
                    drop_old(&mut self.journal, &self.keep_from, &self.meters);
                    // A wake-up of the queue may end the pause early; then it is tried early.
                    std::thread::park_timeout(retry.next_delay());
                }
                Err(error) => fail_stop(action, &error),
            }
        }
    }

    fn rotate_if_due(&mut self) {
        let is_due = self.journal.segment_is_full()
            && PREAMBLE_SHARE * self.progress.preamble_bytes <= self.progress.segment_bytes;
        if is_due {
            self.persist("rotate journal", Journal::rotate);
            self.progress.segment_bytes = 0;
            self.progress.is_fresh = true;
        }
    }

    /// A fresh segment opens with the state that the earlier ones established.
    fn open_segment(&mut self, t: LogicalTime) {
        if !std::mem::take(&mut self.progress.is_fresh) {
            return;
        }
        self.preamble.trim(self.machines_max);
        for record in self.preamble.records() {
            self.append(t, &record);
        }
        self.progress.preamble_bytes = std::mem::take(&mut self.progress.segment_bytes);
    }

    /// Lets the graph's clock rise although nothing came.
    fn beat(&mut self) {
        let now = self.timeline.now();
        if !self.progress.beat.is_due(now) || now <= self.progress.sealed {
            return;
        }
        let commit = Commit { t: None, sealed: now, submissions: Vec::new() };
        if self.commits.try_send(commit).is_err() {
            // The committer is busy and seals soon by itself.
            return;
        }
        self.timeline.seal(now);
        self.progress.sealed = now;
        self.progress.beat.after_beat(now, &self.settings);
    }

    fn retain(&mut self) {
        let every_us = runtime::clock::micros(self.settings.retention_every);
        let now = self.progress.sealed;
        if now < self.progress.retained_at.saturating_add(every_us) {
            return;
        }
        self.progress.retained_at = now;
        drop_old(&mut self.journal, &self.keep_from, &self.meters);
    }
}

/// Drops what nobody needs, then what the quota does not allow.
fn drop_old(journal: &mut Journal, keep_from: &AtomicU64, meters: &Meters) {
    let unneeded = journal.truncate_before(keep_from.load(Ordering::Acquire));
    match unneeded.and_then(|_| journal.enforce_quota()) {
        Ok(Dropped { segments: 0, .. }) => {}
        Ok(dropped) => {
            meters.dropped_records.add(dropped.records);
            warn!(
                records = dropped.records,
                bytes = dropped.bytes,
                from_t = dropped.from_t,
                to_t = dropped.to_t,
                "journal is over its quota: the oldest records are dropped before they were no longer needed"
            );
        }
        // The next round tries again; a disk that fills up meanwhile is told by the writes.
        Err(error) => warn!(%error, "old journal segments cannot be removed"),
    }
}

fn disk_backoff() -> Backoff {
    // Room comes back when a person makes it: soon enough to be seen, seldom enough to cost nothing.
    Backoff::between(Duration::from_millis(50), Duration::from_secs(2), fastrand::Rng::new())
}
