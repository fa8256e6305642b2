//! Intake: the way into the sequencer, and the word back that something is durable.
//!
//! A submission is what one message of a stream brings: records that get one T. A stream numbers its submissions; the sequencer
//! says up to which number they are durable. Bounded by count (the queue) and by bytes (a semaphore, from submission to durability);
//! full means that the stream waits and is not read, which is how a slow hub slows collectors.
//! Invariants: Q-1; J-1 a number is told only after the fsync.

use std::sync::Arc;

use model::dead_letter::KEPT_BYTES_MAX;
use model::{LogicalTime, Record};
use runtime::queue::Sender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// One permit of the byte semaphore: tokio counts permits in 32 bits.
const BYTES_PER_PERMIT: usize = 1_024;
/// What a record weighs beside its columns: its enum, its `Arc`, its place in the queue.
const RECORD_BYTES: usize = 200;

/// The sequencer has stopped; nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hub is stopping")]
pub struct IntakeClosed;

/// Where submissions go; cheap to clone.
#[derive(Clone)]
pub struct Intake {
    queue: Sender<Submission>,
    room: Arc<Semaphore>,
    permits_max: u32,
}

/// What one message brings. Without records it is a question: is all that came before durable?
pub(crate) struct Submission {
    pub(crate) records: Vec<Record>,
    pub(crate) bytes: usize,
    pub(crate) ticket: Ticket,
    _room: OwnedSemaphorePermit,
}

/// Tells its stream when the submission is durable.
pub(crate) struct Ticket {
    number: u64,
    durable: Arc<watch::Sender<u64>>,
}

/// One stream's numbering.
pub(crate) struct Tickets {
    issued: u64,
    durable: Arc<watch::Sender<u64>>,
}

impl Intake {
    pub(crate) fn new(queue: Sender<Submission>, bytes_max: usize) -> Self {
        let permits_max = u32::try_from(bytes_max.div_ceil(BYTES_PER_PERMIT)).unwrap_or(u32::MAX).max(1);
        Self { queue, room: Arc::new(Semaphore::new(permits_max as usize)), permits_max }
    }

    /// Journals one record and returns when it is durable: for rule edits.
    ///
    /// # Errors
    /// The sequencer has stopped; whether the record was taken is then unknown until the next replay.
    pub async fn record(&self, record: Record) -> Result<(), IntakeClosed> {
        let mut tickets = Tickets::new();
        let number = self.submit(vec![record], &mut tickets).await?;
        tickets.durable(number).await;
        Ok(())
    }

    /// Hands records in, waiting for room, and returns their number. Cancel safe: a dropped call has submitted nothing.
    pub(crate) async fn submit(&self, records: Vec<Record>, tickets: &mut Tickets) -> Result<u64, IntakeClosed> {
        let bytes: usize = records.iter().map(weight).sum();
        let permits = u32::try_from(bytes.div_ceil(BYTES_PER_PERMIT)).unwrap_or(u32::MAX);
        // More than everything is asked for as everything, or it would wait for ever.
        let permits = permits.min(self.permits_max);
        let room = Arc::clone(&self.room).acquire_many_owned(permits).await;
        let submission =
            Submission { records, bytes, ticket: tickets.next(), _room: room.map_err(|_closed| IntakeClosed)? };
        self.queue.send(submission).await.map_err(|_closed| IntakeClosed)?;
        tickets.issued += 1;
        Ok(tickets.issued)
    }

    /// How full the way in is, from 0 to 1: what credit shrinks by.
    pub(crate) fn fullness(&self) -> f64 {
        let stats = self.queue.stats();
        let by_count = stats.depth() as f64 / stats.capacity() as f64;
        let by_bytes = 1.0 - self.room.available_permits() as f64 / f64::from(self.permits_max);
        by_count.max(by_bytes).clamp(0.0, 1.0)
    }
}

impl Tickets {
    pub(crate) fn new() -> Self {
        Self { issued: 0, durable: Arc::new(watch::Sender::new(0)) }
    }

    /// The number up to which everything is durable.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.durable.subscribe()
    }

    /// Ends when this number is durable.
    pub(crate) async fn durable(&self, number: u64) {
        // The sender is held by `self`: an error cannot be.
        drop(self.durable.subscribe().wait_for(|durable| number <= *durable).await);
    }

    /// Ends when everything that was issued is durable.
    pub(crate) async fn all_durable(&self) {
        self.durable(self.issued).await;
    }

    fn next(&self) -> Ticket {
        Ticket { number: self.issued + 1, durable: Arc::clone(&self.durable) }
    }
}

impl Ticket {
    /// A stream's tickets come in order, so the newest is all it needs to hear.
    pub(crate) fn redeem(self) {
        self.durable.send_if_modified(|durable| {
            let is_newer = *durable < self.number;
            *durable = self.number.max(*durable);
            is_newer
        });
    }

    pub(crate) fn is_of_same_stream(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.durable, &other.durable)
    }
}

/// What a record weighs in memory, about.
fn weight(record: &Record) -> usize {
    let variable = match record {
        // Values, times and positions at their widest.
        Record::Batch(batch) => batch.len() * 18,
        Record::Layout(layout) => layout.series.len() * 64,
        Record::Machine(_) | Record::Processes(_) | Record::Resent(_) => 1_024,
        Record::Rejected(rejected) if rejected.kept.is_some() => 1_024 + KEPT_BYTES_MAX,
        Record::Rejected(_) => 1_024,
        Record::Rules(rules) => rules.rules.len() * 512,
        Record::Silences(set) => set.silences.len() * 512,
        Record::Mark(_) => 0,
    };
    RECORD_BYTES + variable
}

/// What the committer does after the fsync.
pub(crate) struct Commit {
    /// The newest T of the group; none when it has no record.
    pub(crate) t: Option<LogicalTime>,
    /// No record below this time will follow.
    pub(crate) sealed: LogicalTime,
    pub(crate) submissions: Vec<Submission>,
}
