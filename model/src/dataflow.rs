//! The door into the graph, as a trait: ingest hands records in, the pipeline implements it, neither knows the other.

use crate::record::Record;
use crate::time::LogicalTime;

/// A record with its logical time, as the journal holds it.
#[derive(Debug, Clone)]
pub struct Stamped {
    pub t: LogicalTime,
    pub record: Record,
}

/// The graph has stopped and takes nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the dataflow has stopped")]
pub struct Stopped;

/// Where stamped records go. Calls come from one sequencer at a time, so times only rise.
pub trait Dataflow: Send + Sync {
    fn workers(&self) -> usize;

    /// Queues a record for a worker; blocks while that worker's queue is full, which is how a slow graph slows collectors.
    /// A machine's records all go to worker `machine.mix() % workers`, records without a machine to worker 0.
    fn push(&self, worker: usize, stamped: Stamped) -> Result<(), Stopped>;

    /// As `push` for each, in order; leaves `records` empty. Cheaper where many come together, as in a replay.
    fn push_all(&self, worker: usize, records: &mut Vec<Stamped>) -> Result<(), Stopped> {
        records.drain(..).try_for_each(|stamped| self.push(worker, stamped))
    }

    /// Wakes a worker: once per burst, after the pushes.
    fn ring(&self, worker: usize);

    /// Every record of a time below `before` has been pushed and is durable. Never goes back. Wakes all workers.
    fn seal(&self, before: LogicalTime);
}

/// Worker that a record belongs to.
pub fn route(record: &Record, workers: usize) -> usize {
    let workers = workers.max(1) as u64;
    // The remainder is below the number of workers, which is a usize.
    record.machine().map_or(0, |machine| usize::try_from(machine.mix() % workers).unwrap_or(0))
}
