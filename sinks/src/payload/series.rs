//! Names of series as keys of a JSON object.

use std::fmt::Write;

use model::SeriesKey;
use serde::ser::SerializeMap;

/// Writes one entry under a series' name. Most series have no labels: their name is there already.
pub(super) fn entry<M: SerializeMap>(
    map: &mut M,
    key: &SeriesKey,
    value: &impl serde::Serialize,
    name: &mut String,
) -> Result<(), M::Error> {
    if key.labels.is_empty() {
        return map.serialize_entry(key.metric.as_ref(), value);
    }
    name.clear();
    write!(name, "{key}").map_err(serde::ser::Error::custom)?;
    map.serialize_entry(name.as_str(), value)
}
