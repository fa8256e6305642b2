//! Table: a worker's operators, channels and arrangements with their counts. Rows are added while the graph is built and stay.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use model::LogicalTime;

use super::tally::Tally;

/// An operator of a worker. What it took stands in the channels; so does what it gave, unless it says so itself.
#[derive(Debug)]
pub(super) struct Operator {
    pub(super) id: usize,
    /// Path from the worker; the same on every worker.
    pub(super) address: Box<[usize]>,
    pub(super) name: Box<str>,
    pub(super) schedules: Tally,
    /// Without what its children took.
    pub(super) busy_ns: Tally,
    pub(super) gave: Tally,
}

/// A channel, as one worker sees it: what it sent to each worker, and what it received.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) id: usize,
    pub(super) scope: Box<[usize]>,
    /// Index of an operator in the scope, and its port.
    pub(super) source: (usize, usize),
    pub(super) target: (usize, usize),
    first: usize,
    sent: Box<[Traffic]>,
    pub(super) received: Traffic,
}

#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) messages: Tally,
    pub(super) records: Tally,
}

impl Channel {
    /// What was sent to a worker; nothing is known of those of other processes.
    pub(super) fn sent_to(&self, worker: usize) -> Option<&Traffic> {
        self.sent.get(worker.checked_sub(self.first)?)
    }

    /// What was sent to each worker of this process.
    pub(super) fn sent(&self) -> &[Traffic] {
        &self.sent
    }
}

impl Traffic {
    /// A message of so many records.
    pub(super) fn add(&self, records: u64) {
        self.messages.add(1);
        self.records.add(records);
    }
}

/// What differential keeps for an operator.
#[derive(Debug, Default)]
pub(super) struct Arrangement {
    /// Where whoever made it says one.
    pub(super) name: OnceLock<&'static str>,
    pub(super) batches: Tally,
    pub(super) records: Tally,
    /// Waiting for their time to be complete, not yet in a batch.
    pub(super) waiting_records: Tally,
    /// Of a record, as whoever made the arrangement says; 0 where nobody does.
    pub(super) record_bytes: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    /// Workers of the process, as all processes count them.
    workers: Range<usize>,
    operators: Mutex<Vec<Arc<Operator>>>,
    channels: Mutex<Vec<Arc<Channel>>>,
    arrangements: Mutex<BTreeMap<usize, Arc<Arrangement>>>,
    frontiers: Mutex<BTreeMap<usize, Arc<AtomicU64>>>,
    /// Time in which the worker slept.
    pub(super) parked_ns: Tally,
    pub(super) parks: Tally,
    /// Events taken: what introspection costs is so many times one event.
    pub(super) events: Tally,
}

/// Where an operator writes how far its inputs are.
#[derive(Debug, Clone, Default)]
pub(super) struct FrontierMark(Option<Arc<AtomicU64>>);

impl FrontierMark {
    /// `None`: its inputs have ended.
    pub(super) fn set(&self, frontier: Option<LogicalTime>) {
        if let Some(mark) = &self.0 {
            mark.store(frontier.unwrap_or(LogicalTime::MAX), Relaxed);
        }
    }
}

impl Table {
    pub(super) fn new(workers: Range<usize>) -> Self {
        Self { workers, ..Self::default() }
    }

    pub(super) fn add_operator(&self, id: usize, address: &[usize], name: &str) -> Arc<Operator> {
        let row = Operator {
            id,
            address: address.into(),
            name: name.into(),
            schedules: Tally::default(),
            busy_ns: Tally::default(),
            gave: Tally::default(),
        };
        let row = Arc::new(row);
        lock(&self.operators).push(Arc::clone(&row));
        row
    }

    pub(super) fn add_channel(
        &self,
        id: usize,
        scope: &[usize],
        source: (usize, usize),
        target: (usize, usize),
    ) -> Arc<Channel> {
        let (first, workers) = (self.workers.start, self.workers.len());
        let sent = (0..workers).map(|_| Traffic::default()).collect();
        let row =
            Arc::new(Channel { id, scope: scope.into(), source, target, first, sent, received: Traffic::default() });
        lock(&self.channels).push(Arc::clone(&row));
        row
    }

    /// A channel to the next port of an operator.
    pub(super) fn add_input(
        &self,
        id: usize,
        scope: &[usize],
        source: (usize, usize),
        operator: usize,
    ) -> Arc<Channel> {
        let to_it = |row: &&Arc<Channel>| row.scope.as_ref() == scope && row.target.0 == operator;
        let port = lock(&self.channels).iter().filter(to_it).count();
        self.add_channel(id, scope, source, (operator, port))
    }

    pub(super) fn arrangement(&self, operator: usize) -> Arc<Arrangement> {
        Arc::clone(lock(&self.arrangements).entry(operator).or_default())
    }

    pub(super) fn frontier_mark(&self, operator: usize) -> FrontierMark {
        FrontierMark(Some(Arc::clone(lock(&self.frontiers).entry(operator).or_default())))
    }

    pub(super) fn operators(&self) -> Vec<Arc<Operator>> {
        lock(&self.operators).clone()
    }

    pub(super) fn channels(&self) -> Vec<Arc<Channel>> {
        lock(&self.channels).clone()
    }

    /// By the operator's identifier.
    pub(super) fn arrangements(&self) -> BTreeMap<usize, Arc<Arrangement>> {
        lock(&self.arrangements).clone()
    }

    /// How far the operators that say so are; those that never look stay at zero, where no time is.
    pub(super) fn frontiers(&self) -> BTreeMap<usize, LogicalTime> {
        let marks = lock(&self.frontiers);
        let frontiers = marks.iter().map(|(id, mark)| (*id, mark.load(Relaxed)));
        frontiers.filter(|(_, frontier)| *frontier > 0).collect()
    }
}

/// A reader that panicked has changed nothing.
fn lock<T>(rows: &Mutex<T>) -> MutexGuard<'_, T> {
    rows.lock().unwrap_or_else(PoisonError::into_inner)
}
