//! Seeds: one machine in the message shape of the system before this one, for clients that do not subscribe.
//!
//! Only the metrics that it knew, under its names and in its units (percent, GB, Mbit/s).

use std::collections::BTreeMap;

use model::catalogue::seed_alias;
use model::query::MachineView;
use model::{SeriesKey, Timestamp};

use super::millis;

#[derive(serde::Serialize)]
pub(crate) struct SeedsMessage<'a> {
    r#type: &'static str,
    data: Data<'a>,
    timestamp: String,
}

#[derive(serde::Serialize)]
struct Data<'a> {
    machine_id: &'a str,
    /// The collector's machine id is its host name unless somebody chose another; the wire has no second name.
    hostname: &'a str,
    timestamp: Option<i64>,
    metrics: BTreeMap<String, f64>,
}

impl<'a> SeedsMessage<'a> {
    pub(crate) fn of(view: &'a MachineView) -> Self {
        let newest = view.times.iter().copied().max().filter(|time| *time != Timestamp::MIN);
        let time = newest.unwrap_or(view.last_seen);
        Self {
            r#type: "metrics",
            data: Data {
                machine_id: view.machine.as_str(),
                hostname: view.machine.as_str(),
                timestamp: millis(time),
                metrics: metrics(view),
            },
            timestamp: time.to_rfc3339(),
        }
    }
}

fn metrics(view: &MachineView) -> BTreeMap<String, f64> {
    let keys = view.roster.iter().flat_map(|roster| roster.series.iter());
    let known = keys.zip(&view.values).filter(|(_, value)| value.is_finite());
    known
        .filter_map(|(key, value)| {
            let alias = seed_alias(&key.metric)?;
            let renamed = SeriesKey { metric: alias.name.into(), labels: key.labels.clone() };
            Some((renamed.to_string(), value / alias.scale))
        })
        .collect()
}
