//! What leaves the graph, and the progress that lets a sink commit it.

use std::sync::Arc;

use crate::aggregate::Aggregates;
use crate::alert::{StandingChange, Transition};
use crate::bound::Bound;
use crate::dead_letter::Resent;
use crate::fleet::{FleetMinute, Hottest};
use crate::group::GroupChange;
use crate::ids::MachineId;
use crate::machine::{MachineInfo, Presence, Processes};
use crate::record::Rejected;
use crate::time::{LogicalTime, Timestamp};

/// A minute of a machine whose stored rows are not the whole truth: samples came that were too old to correct it, or the replayed journal
/// did not cover it. It is to be aggregated again from the raw tier, and its hour from its minutes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Repair {
    pub machine: MachineId,
    /// Start of the minute.
    pub minute: Timestamp,
}

/// One thing that leaves the graph.
#[derive(Debug, Clone)]
pub enum Output {
    /// A normalized batch, once: for the raw tier (all of them) or the live view (only what is newer than what it shows).
    Samples(Bound),
    Minute(Arc<Aggregates>),
    Hour(Arc<Aggregates>),
    Transition(Arc<Transition>),
    /// How a firing alert stands, each change once: at most 100 ms after what caused it.
    Standing(Arc<StandingChange>),
    /// How a group of firing alerts is now: for the live view, which begins without any.
    Group(Arc<GroupChange>),
    Presence(Arc<Presence>),
    Machine(Arc<MachineInfo>),
    Processes(Arc<Processes>),
    Rejected(Arc<Rejected>),
    /// A dead letter was sent again.
    Resent(Arc<Resent>),
    Repair(Arc<Repair>),
    /// A minute of all machines or of those with a tag: for the history.
    Fleet(Arc<FleetMinute>),
    /// The top of each metric: for the live view.
    Hottest(Arc<Hottest>),
}

/// What a sink's queue carries. Items of one T may come in several messages, from several workers.
#[derive(Debug, Clone)]
pub enum Egress {
    Data {
        t: LogicalTime,
        outputs: Vec<Output>,
    },
    /// Every output of a time below this one has been queued, and its input is durable. Never goes back.
    Progress(LogicalTime),
    /// The graph is complete: nothing follows.
    Complete,
}
