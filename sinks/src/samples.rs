//! Samples of one series as both histories treat them: in order, each once, merged into an aggregate.

use model::catalogue::{Catalogue, Kind};
use model::{Aggregate, SeriesKey};

/// Event time in microseconds, and value.
pub(crate) type Sample = (i64, f64);

fn is_event(key: &SeriesKey) -> bool {
    Catalogue::standard().find(&key.metric).is_some_and(|metric| metric.kind == Kind::Event)
}

/// In time order, and of one time the first in order of arrival; events keep all.
pub(crate) fn sort_samples(list: &mut Vec<Sample>, key: &SeriesKey) {
    if !list.is_sorted_by(|a, b| a.0 < b.0) {
        list.sort_by_key(|(time, _)| *time);
        if !is_event(key) {
            list.dedup_by_key(|(time, _)| *time);
        }
    }
}

/// None of nothing.
pub(crate) fn merged(mut rows: impl Iterator<Item = Aggregate>) -> Option<Aggregate> {
    let first = rows.next()?;
    Some(rows.fold(first, |mut merged, row| {
        merged.merge(&row);
        merged
    }))
}
