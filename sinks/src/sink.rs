//! The contract of a store that loses nothing. `driver` is its only caller.
//!
//! A store keeps a cursor per lane, in the same transaction as the rows: everything of a time up to it is stored. The driver
//! offers whole times, in order, and only such as are durable in the journal; after a failure or a restart it offers the same again,
//! and the store drops what its cursors say it has.
//! Invariants: S-1 writing twice equals writing once, S-2 a cursor never passes an unwritten row or an undurable time.

use std::future::Future;
use std::sync::Arc;

use model::{LogicalTime, Output};

use crate::error::SinkError;

/// The outputs of one logical time, all of them.
#[derive(Debug, Clone)]
pub struct Group {
    pub t: LogicalTime,
    pub outputs: Vec<Output>,
}

/// Whole times, ascending, and how far they reach: nothing up to `upto` follows in a later batch.
#[derive(Debug, Clone, Default)]
pub struct WriteBatch {
    pub groups: Vec<Group>,
    pub upto: LogicalTime,
}

/// Outputs that are stored together. Raw samples may be gathered for minutes before they are worth a write; the rest may not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Rows,
    Raw,
}

impl Lane {
    pub fn of(output: &Output) -> Self {
        match output {
            Output::Samples(_) => Self::Raw,
            Output::Minute(_)
            | Output::Hour(_)
            | Output::Transition(_)
            | Output::Standing(_)
            | Output::Group(_)
            | Output::Presence(_)
            | Output::Machine(_)
            | Output::Processes(_)
            | Output::Rejected(_)
            | Output::Resent(_)
            | Output::Repair(_)
            | Output::Fleet(_)
            | Output::Hottest(_) => Self::Rows,
        }
    }
}

/// Everything of a time up to and including these is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursors {
    pub rows: LogicalTime,
    pub raw: LogicalTime,
}

impl Cursors {
    pub fn of(self, lane: Lane) -> LogicalTime {
        match lane {
            Lane::Rows => self.rows,
            Lane::Raw => self.raw,
        }
    }

    /// Up to here everything of every lane is stored.
    pub fn oldest(self) -> LogicalTime {
        self.rows.min(self.raw)
    }
}

/// A store. Calls come one after the other, each on its own task; a call whose future is dropped may or may not have happened.
pub trait Sink: Send + 'static {
    /// The word for it in logs, counters and `/ready`.
    fn name(&self) -> &'static str;

    /// Makes sure that the store is there, and says what it has.
    fn connect(&mut self) -> impl Future<Output = Result<Cursors, SinkError>> + Send;

    /// Stores a batch and moves the cursors, in one transaction; answers with the cursors as they are stored. A lane that gathers
    /// keeps what it has not stored in memory, and its cursor stays behind it.
    fn write(&mut self, batch: Arc<WriteBatch>) -> impl Future<Output = Result<Cursors, SinkError>> + Send;

    /// Stores what is gathered: the program ends.
    fn flush(&mut self) -> impl Future<Output = Result<Cursors, SinkError>> + Send;

    /// One small step of upkeep (retention); true when more is due now.
    fn maintain(&mut self) -> impl Future<Output = Result<bool, SinkError>> + Send;
}
