//! Shapes: what is rare as JSON, and back. Values that must come back bit for bit go as bits: JSON numbers may come back a digit off.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::alert::{Cause, Change, Transition};
use crate::fleet::{FleetMinute, FleetRow, Hottest, HottestOf, Tag};
use crate::ids::MachineId;
use crate::machine::{Presence, Status};
use crate::rule::Rule;
use crate::series::SeriesKey;
use crate::time::{LogicalTime, Timestamp};

#[derive(Serialize, Deserialize)]
pub(super) struct TransitionJson {
    rule: Arc<Rule>,
    machine: MachineId,
    series: Arc<SeriesKey>,
    fired: bool,
    #[serde(default)]
    cause: Cause,
    /// As bits.
    value: u64,
    at: Timestamp,
    since: Timestamp,
    t: LogicalTime,
}

#[derive(Serialize, Deserialize)]
pub(super) struct PresenceJson {
    machine: MachineId,
    status: Status,
    at: Timestamp,
    last_seen: Timestamp,
}

#[derive(Serialize, Deserialize)]
pub(super) struct FleetJson {
    tag: Option<Tag>,
    minute: Timestamp,
    revision: LogicalTime,
    rows: Vec<RowJson>,
}

#[derive(Serialize, Deserialize)]
struct RowJson {
    metric: Arc<str>,
    machines: u32,
    count: u64,
    /// Sum, min and max, as bits.
    values: [u64; 3],
}

#[derive(Serialize, Deserialize)]
pub(super) struct HottestJson {
    minute: Timestamp,
    revision: LogicalTime,
    metrics: Vec<HottestOfJson>,
}

#[derive(Serialize, Deserialize)]
struct HottestOfJson {
    metric: Arc<str>,
    /// With their values as bits.
    machines: Vec<(MachineId, u64)>,
}

impl From<&Transition> for TransitionJson {
    fn from(transition: &Transition) -> Self {
        Self {
            rule: Arc::clone(&transition.rule),
            machine: transition.machine.clone(),
            series: Arc::clone(&transition.series),
            fired: transition.change == Change::Fired,
            cause: transition.cause,
            value: transition.value.to_bits(),
            at: transition.at,
            since: transition.since,
            t: transition.t,
        }
    }
}

impl From<TransitionJson> for Transition {
    fn from(json: TransitionJson) -> Self {
        Self {
            rule: json.rule,
            machine: json.machine,
            series: json.series,
            change: if json.fired { Change::Fired } else { Change::Resolved },
            cause: json.cause,
            value: f64::from_bits(json.value),
            at: json.at,
            since: json.since,
            t: json.t,
        }
    }
}

impl From<&Presence> for PresenceJson {
    fn from(presence: &Presence) -> Self {
        let Presence { machine, status, at, last_seen } = presence.clone();
        Self { machine, status, at, last_seen }
    }
}

impl From<PresenceJson> for Presence {
    fn from(json: PresenceJson) -> Self {
        let PresenceJson { machine, status, at, last_seen } = json;
        Self { machine, status, at, last_seen }
    }
}

impl From<&FleetMinute> for FleetJson {
    fn from(fleet: &FleetMinute) -> Self {
        let row = |row: &FleetRow| RowJson {
            metric: Arc::clone(&row.metric),
            machines: row.machines,
            count: row.count,
            values: [row.sum, row.min, row.max].map(f64::to_bits),
        };
        let FleetMinute { tag, minute, revision, rows } = fleet;
        Self { tag: tag.clone(), minute: *minute, revision: *revision, rows: rows.iter().map(row).collect() }
    }
}

impl From<FleetJson> for FleetMinute {
    fn from(json: FleetJson) -> Self {
        let row = |row: RowJson| {
            let [sum, min, max] = row.values.map(f64::from_bits);
            FleetRow { metric: row.metric, machines: row.machines, count: row.count, sum, min, max }
        };
        let FleetJson { tag, minute, revision, rows } = json;
        Self { tag, minute, revision, rows: rows.into_iter().map(row).collect() }
    }
}

impl From<&Hottest> for HottestJson {
    fn from(hottest: &Hottest) -> Self {
        let of = |HottestOf { metric, machines }: &HottestOf| {
            let machines = machines.iter().map(|(machine, value)| (machine.clone(), value.to_bits()));
            HottestOfJson { metric: Arc::clone(metric), machines: machines.collect() }
        };
        let Hottest { minute, revision, metrics } = hottest;
        Self { minute: *minute, revision: *revision, metrics: metrics.iter().map(of).collect() }
    }
}

impl From<HottestJson> for Hottest {
    fn from(json: HottestJson) -> Self {
        let of = |HottestOfJson { metric, machines }: HottestOfJson| {
            let machines = machines.into_iter().map(|(machine, bits)| (machine, f64::from_bits(bits)));
            HottestOf { metric, machines: machines.collect() }
        };
        let HottestJson { minute, revision, metrics } = json;
        Self { minute, revision, metrics: metrics.into_iter().map(of).collect() }
    }
}
