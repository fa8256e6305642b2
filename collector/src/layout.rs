//! Layout: the order in which this machine's frames list their series, and how it changes.
//!
//! A new series is appended and makes a new layout at once. A vanished one keeps its place as an absent value for an hour, so
//! that an interface or a mount that comes and goes does not make a layout each time. A layout is never changed: frames that
//! wait share the one they were made under.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::batch::LAYOUT_SERIES_MAX;
use model::{Labels, SeriesKey};
use proto::pb;
use runtime::clock::micros;

/// How long a vanished series keeps its place: longer than a maintenance window, shorter than a day of dead names.
const KEEP_VANISHED: Duration = Duration::from_secs(3_600);

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) series: Box<[SeriesKey]>,
}

/// A tick's values in the order of its layout.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) layout: Arc<Layout>,
    /// Of those series that are present.
    pub(crate) values: Vec<f64>,
    /// Bit i, least significant first, is set when series i is present; empty when all are.
    pub(crate) present: Vec<u8>,
}

/// The layout in use, with when each of its series was last named.
#[derive(Debug)]
pub(crate) struct LayoutKeeper {
    layout: Arc<Layout>,
    places: HashMap<SeriesKey, usize>,
    named_us: Vec<u64>,
    series_max: usize,
    refused: u64,
}

impl Layout {
    pub(crate) fn to_pb(&self, id: u32) -> pb::Layout {
        proto::encode::layout(id, &self.series)
    }

    /// `None` when a name is not lawful, which a layout of ours never is.
    pub(crate) fn from_pb(layout: &pb::Layout) -> Option<Self> {
        let key = |series: &pb::Series| {
            let labels = Labels::parse(series.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            SeriesKey::parse(&series.metric, labels.ok()?).ok()
        };
        let series: Option<Vec<SeriesKey>> = layout.series.iter().map(key).collect();
        Some(Self { series: series?.into() })
    }
}

impl LayoutKeeper {
    pub(crate) fn new() -> Self {
        Self::with_limit(LAYOUT_SERIES_MAX)
    }

    fn with_limit(series_max: usize) -> Self {
        Self {
            layout: Arc::new(Layout { series: Box::default() }),
            places: HashMap::new(),
            named_us: Vec::new(),
            series_max,
            refused: 0,
        }
    }

    /// Puts a tick's samples in order. Of two samples of one series the first counts.
    pub(crate) fn fit(&mut self, at_us: u64, samples: &[(SeriesKey, Option<f64>)]) -> Row {
        let mut new: Vec<SeriesKey> = Vec::new();
        for (key, _) in samples {
            match self.places.get(key) {
                Some(place) => self.named_us[*place] = at_us,
                None => new.push(key.clone()),
            }
        }
        let is_due = |named_us: &u64| named_us.saturating_add(micros(KEEP_VANISHED)) <= at_us;
        if !new.is_empty() || self.named_us.iter().any(is_due) {
            self.change(at_us, new);
        }
        let mut row: Vec<Option<f64>> = vec![None; self.named_us.len()];
        for (key, value) in samples {
            if let Some(place) = self.places.get(key) {
                row[*place] = row[*place].or(*value);
            }
        }
        Row {
            layout: Arc::clone(&self.layout),
            values: row.iter().copied().flatten().collect(),
            present: presence(&row),
        }
    }

    /// Times a new series found no place, since the start.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    fn change(&mut self, at_us: u64, mut new: Vec<SeriesKey>) {
        new.sort_unstable();
        new.dedup();
        let mut kept: Vec<(SeriesKey, u64)> = Vec::with_capacity(self.named_us.len() + new.len());
        kept.extend(self.layout.series.iter().cloned().zip(self.named_us.iter().copied()));
        kept.retain(|(_, named_us)| at_us < named_us.saturating_add(micros(KEEP_VANISHED)));
        // Where there is no room, what vanished gives way early.
        if self.series_max < kept.len() + new.len() {
            kept.retain(|(_, named_us)| *named_us == at_us);
        }
        kept.extend(new.into_iter().map(|key| (key, at_us)));
        self.refused += kept.len().saturating_sub(self.series_max) as u64;
        kept.truncate(self.series_max);
        let (series, named_us): (Vec<SeriesKey>, Vec<u64>) = kept.into_iter().unzip();
        self.places = series.iter().cloned().enumerate().map(|(place, key)| (key, place)).collect();
        self.named_us = named_us;
        self.layout = Arc::new(Layout { series: series.into() });
    }
}

fn presence(row: &[Option<f64>]) -> Vec<u8> {
    if row.iter().all(Option::is_some) {
        return Vec::new();
    }
    let mut bits = vec![0; row.len().div_ceil(8)];
    for (place, value) in row.iter().enumerate() {
        if value.is_some() {
            bits[place / 8] |= 1 << (place % 8);
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: u64 = 3_600_000_000;

    fn samples(names: &[&str]) -> Vec<(SeriesKey, Option<f64>)> {
        let key = |name: &str| SeriesKey::parse(name, Labels::none()).unwrap();
        names.iter().map(|name| (key(name), Some(1.0))).collect()
    }

    fn names(row: &Row) -> String {
        row.layout.series.iter().map(|key| key.metric.as_ref()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_layout_stays_while_the_series_do_and_grows_at_its_end() {
        let mut keeper = LayoutKeeper::new();
        let first = keeper.fit(0, &samples(&["b", "a"]));
        let again = keeper.fit(5, &samples(&["a", "b"]));
        assert!(Arc::ptr_eq(&first.layout, &again.layout));
        assert_eq!((names(&first).as_str(), first.present.len()), ("a b", 0));
        assert_eq!(names(&keeper.fit(10, &samples(&["a", "b", "_"]))), "a b _");
    }

    #[test]
    fn a_series_that_comes_and_goes_keeps_its_place() {
        let mut keeper = LayoutKeeper::new();
        let first = keeper.fit(0, &samples(&["a", "b", "c"]));
        let without = keeper.fit(5, &samples(&["a", "c"]));
        assert!(Arc::ptr_eq(&first.layout, &without.layout));
        assert_eq!((without.values.len(), without.present.as_slice()), (2, &[0b101][..]));
        assert!(Arc::ptr_eq(&first.layout, &keeper.fit(HOUR_US, &samples(&["a", "b", "c"])).layout));
    }

    #[test]
    fn after_an_hour_a_vanished_series_is_forgotten() {
        let mut keeper = LayoutKeeper::new();
        keeper.fit(0, &samples(&["a", "b"]));
        assert_eq!(names(&keeper.fit(HOUR_US - 1, &samples(&["a"]))), "a b");
        assert_eq!(names(&keeper.fit(HOUR_US, &samples(&["a"]))), "a");
    }

    #[test]
    fn a_full_layout_forgets_the_vanished_first_and_then_refuses_with_a_count() {
        let mut keeper = LayoutKeeper::with_limit(3);
        keeper.fit(0, &samples(&["a", "b", "c"]));
        assert_eq!(names(&keeper.fit(5, &samples(&["b", "d"]))), "b d");
        assert_eq!(names(&keeper.fit(10, &samples(&["b", "d", "e", "f"]))), "b d e");
        assert_eq!(keeper.refused(), 1);
    }

    #[test]
    fn an_absent_value_has_a_place_and_no_value() {
        let mut keeper = LayoutKeeper::new();
        let mut nine = samples(&["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
        nine[8].1 = None;
        let row = keeper.fit(0, &nine);
        assert_eq!((row.values.len(), row.present.as_slice()), (8, &[0xff, 0][..]));
    }

    #[test]
    fn a_layout_survives_the_wire() {
        let layout = LayoutKeeper::new().fit(0, &samples(&["a", "b"])).layout;
        assert_eq!(Layout::from_pb(&layout.to_pb(3)).as_ref(), Some(layout.as_ref()));
    }
}
