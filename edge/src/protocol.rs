//! Protocol: what a hub tells an edge, message by message, and the limits that both sides keep.
//!
//! A snapshot replaces all that was said; updates change it, one sequence number after the other. The edge acknowledges each, and the hub
//! sends the next only then, so that a slow line holds one message and never an old queue.

use model::Status;
use serde::{Deserialize, Serialize};

/// Both sides speak the same one.
pub const PROTOCOL: u32 = 1;
/// Of one message. What the limits below allow fits.
pub const MESSAGE_BYTES_MAX: usize = 5 << 18;
/// A token that can be guessed is none.
pub const TOKEN_CHARS_MIN: usize = 16;
/// Where a publisher connects, below the edge's address.
pub const PUBLISH_PATH: &str = "/publish";
/// Minutes of a chart.
pub const CHART_POINTS: usize = 60;
pub const MACHINES_MAX: usize = 200;
pub const METRICS_MAX: usize = 8;
/// Machines times metrics: each is up to 60 numbers of at most 17 characters, and all of them together must fit one message.
pub const CELLS_MAX: usize = 800;
/// Of a title, a machine's name, a metric's label.
pub const NAME_CHARS_MAX: usize = 80;
/// Days of a machine's past.
pub const DAYS_MAX: usize = 90;
/// All of a day, in thousandths.
pub const WHOLE_DAY: u16 = 1_000;
/// Of all machines together.
pub const INCIDENTS_MAX: usize = 20;
pub const DAY_MS: i64 = 86_400_000;

/// From the hub to the edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum FromHub {
    Snapshot(Snapshot),
    Update(Update),
}

/// Everything that is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    pub protocol: u32,
    /// Of this message; the next has one more.
    pub seq: u64,
    /// The hub's clock, in milliseconds since the epoch.
    pub time: i64,
    pub title: String,
    /// Least time between two messages.
    pub interval_ms: u32,
    /// The newest minute of every chart, in minutes since the epoch.
    pub minute: i64,
    pub metrics: Vec<Column>,
    /// In the order in which they are shown.
    pub machines: Vec<Machine>,
    pub incidents: Incidents,
}

/// One metric that is shown of each machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    pub label: String,
    pub kind: Kind,
}

/// How a value is written; all are in base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// 0 to 1.
    Ratio,
    Number,
    Bytes,
    BytesPerSecond,
    PerSecond,
    Seconds,
    Celsius,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// As it is shown; nothing tells what the machine is called inside.
    pub name: String,
    pub now: Now,
    /// A minute's mean each, the newest last; at most [`CHART_POINTS`], one chart per metric.
    pub charts: Vec<Vec<Option<f64>>>,
    /// None while its past is not known.
    pub days: Option<Days>,
}

/// How much of each day a machine was heard from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Days {
    /// The newest, in days (UTC) since the epoch.
    pub last: i64,
    /// Thousandths of each day, up to its last whole hour; the newest last, at most [`DAYS_MAX`]. None where nothing is known: before the
    /// machine came, or on a day without a whole hour yet.
    pub shares: Vec<Option<u16>>,
}

/// When machines were down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incidents {
    /// False while the past of some machine is not known: there may be others then.
    pub is_complete: bool,
    /// Newest first; at most [`INCIDENTS_MAX`].
    pub newest: Vec<Incident>,
}

/// A machine was down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    /// Of the machine.
    pub key: u32,
    /// By the hub's clock, in milliseconds since the epoch.
    pub from: i64,
    /// None while it lasts.
    pub to: Option<i64>,
}

/// A machine just now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Now {
    /// Stands for the machine as long as the snapshot holds.
    pub key: u32,
    pub status: Status,
    /// When it was heard of last, of one that is not up; by the hub's clock.
    pub last_seen: Option<i64>,
    /// One per metric.
    pub values: Vec<Option<f64>>,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    pub seq: u64,
    pub time: i64,
    /// Only those that changed.
    pub machines: Vec<Now>,
    pub step: Option<Step>,
    /// Only those that changed: once an hour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<DaysOf>,
    /// All of them, where any changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incidents: Option<Incidents>,
}

/// The days of one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DaysOf {
    pub key: u32,
    pub days: Option<Days>,
}

/// One more minute of every chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// One more than the newest so far.
    pub minute: i64,
    /// Per machine, in the snapshot's order, a value per metric.
    pub points: Vec<Vec<Option<f64>>>,
}

/// From the edge to the hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum FromEdge {
    Ack {
        seq: u64,
        /// Who looks just now.
        viewers: usize,
    },
}

/// Whether text may stand on the page as a name.
#[must_use]
pub fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= NAME_CHARS_MAX && !text.chars().any(char::is_control)
}

/// Plain data as JSON.
#[must_use]
pub fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data with text keys serializes")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest that the limits allow, with the longest numbers and names.
    #[test]
    fn the_largest_snapshot_fits_one_message() {
        let longest = Some(1_234_000_000_000_000.0);
        let metrics = CELLS_MAX / MACHINES_MAX;
        let name = "\u{1d11e}".repeat(NAME_CHARS_MAX);
        let machine = |key| Machine {
            name: name.clone(),
            now: Now { key, status: Status::Stale, last_seen: Some(i64::MAX), values: vec![longest; metrics] },
            charts: vec![vec![longest; CHART_POINTS]; metrics],
            days: Some(Days { last: i64::MAX, shares: vec![Some(WHOLE_DAY); DAYS_MAX] }),
        };
        let incident = Incident { key: u32::MAX, from: i64::MAX, to: Some(i64::MAX) };
        let machines = (0..MACHINES_MAX).map(|index| machine(u32::MAX - u32::try_from(index).unwrap())).collect();
        let column = || Column { label: name.clone(), kind: Kind::BytesPerSecond };
        let snapshot = Snapshot {
            protocol: PROTOCOL,
            seq: u64::MAX,
            time: i64::MAX,
            title: name.clone(),
            interval_ms: u32::MAX,
            minute: i64::MAX,
            metrics: (0..METRICS_MAX).map(|_| column()).collect(),
            machines,
            incidents: Incidents { is_complete: false, newest: vec![incident; INCIDENTS_MAX] },
        };
        let bytes = to_json(&FromHub::Snapshot(snapshot)).len();
        assert!(bytes <= MESSAGE_BYTES_MAX, "{bytes} bytes");
    }

    #[test]
    fn what_is_not_in_the_protocol_is_refused() {
        let fine = r#"{"type":"update","seq":1,"time":2,"machines":[],"step":null}"#;
        serde_json::from_str::<FromHub>(fine).unwrap();
        for bad in [
            r#"{"type":"update","seq":1,"time":2,"machines":[],"step":null,"host":"db-1"}"#,
            r#"{"type":"update","seq":1,"time":2,"machines":[],"step":null,"incidents":{"is_complete":true,"newest":[{"key":1,"from":1,"to":null,"rule":"x"}]}}"#,
            r#"{"type":"update","seq":1,"time":2,"machines":[],"step":null,"days":[{"key":1,"days":{"last":1,"shares":[-1]}}]}"#,
            r#"{"type":"update","seq":-1,"time":2,"machines":[],"step":null}"#,
            r#"{"type":"other","seq":1}"#,
            r#"{"seq":1,"time":2,"machines":[],"step":null}"#,
            "[]",
            "",
        ] {
            assert!(serde_json::from_str::<FromHub>(bad).is_err(), "{bad}");
        }
    }
}
