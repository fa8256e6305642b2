//! Rosters that belong together: slots mean the same series as long as one roster extends the other.

use std::sync::Arc;

use model::{Roster, SeriesKey};

pub(crate) fn is_prefix(short: &[Arc<SeriesKey>], long: &[Arc<SeriesKey>]) -> bool {
    short.len() <= long.len() && short.iter().zip(long).all(|(a, b)| Arc::ptr_eq(a, b) || a == b)
}

/// The longer of two rosters of which one extends the other; none when their slots disagree.
pub(crate) fn longer<'a>(a: &'a Arc<Roster>, b: &'a Arc<Roster>) -> Option<&'a Arc<Roster>> {
    if Arc::ptr_eq(a, b) || is_prefix(&b.series, &a.series) {
        Some(a)
    } else {
        is_prefix(&a.series, &b.series).then_some(b)
    }
}
