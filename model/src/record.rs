//! What the journal holds and the graph reads: everything that enters the graph is one of these records.

use std::sync::Arc;

use crate::batch::{Batch, Layout};
use crate::dead_letter::{Kept, Resent, Source};
use crate::ids::{MachineId, SessionId};
use crate::machine::{MachineInfo, Processes};
use crate::rule::RuleSet;
use crate::silence::SilenceSet;
use crate::time::Timestamp;

/// Why samples were refused. The name is the label in logs, counters, dead letters and on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// NaN or infinite.
    NotFinite,
    /// Outside the metric's valid range.
    OutOfRange,
    /// More than ten minutes ahead of its arrival.
    Future,
    /// Older than the raw tier is kept.
    TooOld,
    /// A machine id, metric or label that breaks the naming rules.
    BadName,
    /// The machine has as many series as it may have.
    TooManySeries,
    /// The hub has as many machines as it may have.
    TooManyMachines,
    /// The batch is larger than allowed.
    TooLarge,
    /// The machine sends faster than its limit.
    RateLimited,
    /// The frame names a layout that this stream has not sent, or does not fit it.
    BadLayout,
    /// The history's server refused the row.
    StoreRefused,
}

impl RejectReason {
    pub const ALL: [Self; 11] = [
        Self::NotFinite,
        Self::OutOfRange,
        Self::Future,
        Self::TooOld,
        Self::BadName,
        Self::TooManySeries,
        Self::TooManyMachines,
        Self::TooLarge,
        Self::RateLimited,
        Self::BadLayout,
        Self::StoreRefused,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFinite => "not_finite",
            Self::OutOfRange => "out_of_range",
            Self::Future => "future",
            Self::TooOld => "too_old",
            Self::BadName => "bad_name",
            Self::TooManySeries => "too_many_series",
            Self::TooManyMachines => "too_many_machines",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::BadLayout => "bad_layout",
            Self::StoreRefused => "store_refused",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

/// Samples that were refused: a dead letter.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Rejected {
    pub machine: MachineId,
    pub reason: RejectReason,
    /// Samples refused.
    pub count: u32,
    pub arrival: Timestamp,
    /// What was wrong, with the first offender, for a person; at most 512 bytes.
    pub detail: String,
    #[serde(default)]
    pub source: Source,
    /// What was refused, as far as it is known and there was room; none where nothing of it can be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Arc<Kept>>,
}

/// The newest frame of a session that the journal holds: what a resend is recognized by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub machine: MachineId,
    pub session: SessionId,
    pub sequence: u64,
}

/// One journal record.
#[derive(Debug, Clone)]
pub enum Record {
    Layout(Arc<Layout>),
    Batch(Arc<Batch>),
    Machine(Arc<MachineInfo>),
    Processes(Arc<Processes>),
    Rejected(Arc<Rejected>),
    /// After the batches that it was sent again as.
    Resent(Arc<Resent>),
    /// The rules in force from here on.
    Rules(Arc<RuleSet>),
    /// The silences that are pending or in force from here on.
    Silences(Arc<SilenceSet>),
    /// Only in a segment's preamble.
    Mark(Mark),
}

impl Record {
    /// The machine that it belongs to; none for what concerns all.
    pub fn machine(&self) -> Option<&MachineId> {
        match self {
            Self::Layout(layout) => Some(&layout.machine),
            Self::Batch(batch) => Some(batch.machine()),
            Self::Machine(info) => Some(&info.machine),
            Self::Processes(table) => Some(&table.machine),
            Self::Rejected(rejected) => Some(&rejected.machine),
            Self::Resent(resent) => Some(&resent.machine),
            Self::Mark(mark) => Some(&mark.machine),
            Self::Rules(_) | Self::Silences(_) => None,
        }
    }
}
