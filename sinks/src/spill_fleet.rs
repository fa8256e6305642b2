//! A fleet's minute as JSON of the spill, and back.

use std::sync::Arc;

use model::{FleetMinute, FleetRow, LogicalTime, Tag, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct FleetJson {
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
    /// Sum, min and max as bits: JSON numbers may come back a digit off.
    values: [u64; 3],
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
