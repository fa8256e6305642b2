//! Protocol: what a hub tells an edge, message by message, and the limits that both sides keep.
//!
//! A snapshot replaces all that was said; updates change it, one sequence number after the other. The edge acknowledges each, and the hub
//! sends the next only then, so that a slow line holds one message and never an old queue.

use model::Status;
use serde::{Deserialize, Serialize};

/// Both sides speak the same one.
pub const PROTOCOL: u32 = 1;
/// Of one message. What the limits below allow fits.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
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
        };
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
