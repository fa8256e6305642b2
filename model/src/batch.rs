//! What arrives: samples of one machine that came together, columnar, under a layout that names them once.

use std::sync::Arc;

use crate::dead_letter::Kept;
use crate::ids::{MachineId, SessionId, stable_hash};
use crate::series::SeriesKey;
use crate::time::Timestamp;

/// Series in one layout, hence samples in one frame.
pub const LAYOUT_SERIES_MAX: usize = 4_096;
/// Older than this on arrival, by the collector's own clock: a spool that is replayed. It corrects history and never changes an alert.
pub const STALE_AGE_MS: u32 = 120_000;
/// Samples in one batch of several times.
pub const BATCH_SAMPLES_MAX: usize = 65_536;

/// Content hash of a layout: the same series in the same order have the same id on every hub and in every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayoutId(pub u64);

/// The series of a machine in the order its batches list them, as they were sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    pub id: LayoutId,
    pub machine: MachineId,
    pub series: Box<[SeriesKey]>,
}

impl Layout {
    pub fn new(machine: MachineId, series: Vec<SeriesKey>) -> Self {
        let mut bytes = Vec::with_capacity(series.len() * 48);
        bytes.extend_from_slice(machine.as_str().as_bytes());
        for key in &series {
            // 0xff and 0xfe never occur in UTF-8, so the fields cannot run into each other.
            bytes.push(0xff);
            bytes.extend_from_slice(key.metric.as_bytes());
            for (name, value) in key.labels.iter() {
                bytes.push(0xfe);
                bytes.extend_from_slice(name.as_bytes());
                bytes.push(0xfe);
                bytes.extend_from_slice(value.as_bytes());
            }
        }
        Self { id: LayoutId(stable_hash(&bytes)), machine, series: series.into() }
    }
}

/// Which positions of the layout a batch's values belong to, value by value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Positions {
    /// All of them, in order: the normal frame.
    All,
    /// These (each below the layout's length); a position may repeat when times differ. What is absent is not listed.
    List(Box<[u16]>),
}

/// Event times of a batch's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Times {
    /// One for all: the batch is a frame, a collector's tick.
    One(Timestamp),
    /// One for each value.
    Each(Box<[Timestamp]>),
}

/// One machine's samples that arrived together. Shared by `Arc`, never copied per consumer.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub layout: Arc<Layout>,
    pub session: SessionId,
    /// Number of the frame within its session, rising by one; 0 where the wire has none.
    pub sequence: u64,
    /// When ingest took it.
    pub arrival: Timestamp,
    /// Age of the samples by the collector's monotonic clock when they were sent, in milliseconds; 0 when live or unknown.
    pub age_ms: u32,
    pub positions: Positions,
    pub times: Times,
    pub values: Box<[f64]>,
}

impl Batch {
    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether it is history: too old on arrival to say anything about now.
    pub fn is_stale(&self) -> bool {
        self.age_ms > STALE_AGE_MS
    }

    pub fn machine(&self) -> &MachineId {
        &self.layout.machine
    }

    /// Position in the layout of value `index`.
    pub fn position(&self, index: usize) -> usize {
        match &self.positions {
            Positions::All => index,
            Positions::List(list) => list[index] as usize,
        }
    }

    pub fn time(&self, index: usize) -> Timestamp {
        match &self.times {
            Times::One(time) => *time,
            Times::Each(times) => times[index],
        }
    }

    /// Newest event time in the batch; `Timestamp::MIN` when it is empty.
    pub fn newest(&self) -> Timestamp {
        match &self.times {
            Times::One(time) => *time,
            Times::Each(times) => times.iter().copied().max().unwrap_or(Timestamp::MIN),
        }
    }

    /// Adds the samples to those that a dead letter keeps.
    pub fn keep(&self, kept: &mut Kept) {
        for (index, value) in self.values.iter().enumerate() {
            kept.add(&self.layout.series[self.position(index)], self.time(index), *value);
        }
    }

    /// Whether the columns have one length and every position lies in the layout: what each consumer relies on.
    pub fn is_consistent(&self) -> bool {
        let positions_fit = match &self.positions {
            Positions::All => self.values.len() == self.layout.series.len(),
            Positions::List(list) => {
                list.len() == self.values.len() && list.iter().all(|p| (*p as usize) < self.layout.series.len())
            }
        };
        let times_fit = match &self.times {
            Times::One(_) => true,
            Times::Each(times) => times.len() == self.values.len(),
        };
        positions_fit && times_fit
    }
}
