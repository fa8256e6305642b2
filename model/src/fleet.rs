//! The fleet: one minute of many machines as one row per metric, and the machines at the top of each metric.
//!
//! A minute of the fleet is made once, some time after its end (a dead machine holds nothing up), and again when a late sample or a changed tag
//! alters it while it is held. Each revision is whole: what an earlier one had and this one has not, is gone.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::MachineId;
use crate::time::{LogicalTime, Timestamp};

/// Machines listed per metric.
pub const HOTTEST_MAX: usize = 10;

/// A tag of machines, as `role=db`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tag {
    pub name: Arc<str>,
    pub value: Arc<str>,
}

impl Tag {
    pub fn new(name: &str, value: &str) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// One minute of the machines with a tag, or of all.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetMinute {
    /// `None`: the whole fleet.
    pub tag: Option<Tag>,
    /// Start of the minute.
    pub minute: Timestamp,
    /// Logical time at which it was made; the higher one wins.
    pub revision: LogicalTime,
    /// One per metric, in name order; none when no machine has the tag any more.
    pub rows: Vec<FleetRow>,
}

/// One metric of a fleet's minute.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetRow {
    pub metric: Arc<str>,
    /// Machines that had samples.
    pub machines: u32,
    /// Samples, of every series of the metric.
    pub count: u64,
    pub sum: f64,
    pub min: f64,
    pub max: f64,
}

/// The machines with the highest values in the newest complete minute.
#[derive(Debug, Clone, PartialEq)]
pub struct Hottest {
    /// Start of the minute.
    pub minute: Timestamp,
    pub revision: LogicalTime,
    /// One per metric, in name order.
    pub metrics: Vec<HottestOf>,
}

/// The highest values of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct HottestOf {
    pub metric: Arc<str>,
    /// At most `HOTTEST_MAX`, highest first, equal ones in id order. A machine's value is the mean of its samples; of several series (disks,
    /// interfaces) the one with the highest mean counts.
    pub machines: Vec<(MachineId, f64)>,
}

impl Hottest {
    pub fn of(&self, metric: &str) -> Option<&HottestOf> {
        let at = self.metrics.binary_search_by(|of| of.metric.as_ref().cmp(metric)).ok()?;
        self.metrics.get(at)
    }

    /// Whether this replaces what is shown.
    pub fn is_newer(&self, shown: &Self) -> bool {
        (shown.minute, shown.revision) < (self.minute, self.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_minute_or_a_later_revision_of_it_replaces_what_is_shown() {
        let at = |minute, revision| Hottest { minute: Timestamp::from_secs(minute), revision, metrics: Vec::new() };
        assert!(at(60, 1).is_newer(&at(0, 9)) && at(60, 2).is_newer(&at(60, 1)));
        assert!(!at(0, 9).is_newer(&at(60, 1)) && !at(60, 1).is_newer(&at(60, 1)));
    }

    #[test]
    fn a_metric_is_found_by_its_name() {
        let of = |metric: &str| HottestOf { metric: metric.into(), machines: Vec::new() };
        let hottest = Hottest { minute: Timestamp::EPOCH, revision: 1, metrics: vec![of("a"), of("b.c"), of("z")] };
        assert_eq!(hottest.of("b.c").map(|of| of.metric.as_ref()), Some("b.c"));
        assert!(hottest.of("b").is_none());
    }
}
