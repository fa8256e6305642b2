//! Shapes: the JSON of docs/API.md and docs/LIVE_PROTOCOL.md, one type per object, each made by one named function.
//!
//! Base units; times in milliseconds since the Unix epoch. What is not known is `null`: serde_json writes NaN and infinity so, too.

pub(crate) mod alert;
pub(crate) mod dead_letter;
pub(crate) mod group;
pub(crate) mod machine;
pub(crate) mod rule;
pub(crate) mod seeds;
pub(crate) mod silence;
pub(crate) mod summary;

use model::catalogue::unit_of;
use model::{Labels, SeriesKey, Timestamp};

/// What names a series, beside its values.
#[derive(serde::Serialize)]
pub(crate) struct SeriesShape<'a> {
    metric: &'a str,
    labels: &'a Labels,
    unit: &'static str,
}

impl<'a> SeriesShape<'a> {
    pub(crate) fn of(key: &'a SeriesKey) -> Self {
        Self { metric: &key.metric, labels: &key.labels, unit: unit_of(&key.metric) }
    }
}

/// Milliseconds; `None` for the time that stands for "never".
pub(crate) fn millis(time: Timestamp) -> Option<i64> {
    (time != Timestamp::MIN).then(|| time.millis())
}

/// JSON text of one of our own shapes.
pub(crate) fn to_json(shape: &impl serde::Serialize) -> String {
    serde_json::to_string(shape).expect("plain data with string keys serializes")
}
