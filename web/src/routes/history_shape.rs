//! History's answer: columns of points, as the charts take them.

use std::sync::Arc;

use model::query::{SeriesPoints, Tier};
use model::{SeriesKey, Timestamp};
use serde::Serialize;

use crate::downsample;
use crate::shapes::SeriesShape;
use crate::tier;

/// Which of a window's figures `v` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agg {
    Avg,
    Min,
    Max,
    Last,
    Sum,
    Count,
}

#[derive(Serialize)]
pub(super) struct HistoryShape<'a> {
    pub(super) machine: &'a str,
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) tier: Tier,
    pub(super) step_ms: i64,
    pub(super) partial: bool,
    pub(super) series: Vec<Series>,
    pub(super) minute: Option<Vec<MinuteRows>>,
}

/// One metric of several machines.
#[derive(Serialize)]
pub(super) struct MachinesShape<'a> {
    pub(super) metric: &'a str,
    pub(super) unit: &'static str,
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) tier: Tier,
    pub(super) step_ms: i64,
    pub(super) partial: bool,
    pub(super) machines: Vec<MachineShape<'a>>,
    /// Machines that nobody knows.
    pub(super) unknown: Vec<&'a str>,
}

#[derive(Serialize)]
pub(super) struct MachineShape<'a> {
    pub(super) machine: &'a str,
    pub(super) series: Vec<Series>,
}

pub(super) struct Series {
    key: Arc<SeriesKey>,
    pub(super) step_ms: i64,
    t: Vec<i64>,
    v: Vec<f64>,
    /// The band of an aggregate; `None` in the raw tier.
    band: Option<(Vec<f64>, Vec<f64>)>,
}

#[derive(Serialize)]
pub(super) struct MinuteRows {
    #[serde(serialize_with = "series_fields", flatten)]
    key: Arc<SeriesKey>,
    t: Vec<i64>,
    v: Vec<f64>,
    min: Vec<f64>,
    max: Vec<f64>,
    count: Vec<u64>,
    sum: Vec<f64>,
    last: Vec<f64>,
    r#final: Vec<bool>,
}

/// What the points of a series are made to fit.
#[derive(Clone, Copy)]
pub(super) struct Fit {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) tier: Tier,
    pub(super) agg: Agg,
    pub(super) points_max: usize,
    /// Time between two samples where the points do not tell.
    pub(super) interval_ms: i64,
}

impl Series {
    /// `None` for points that the store gave no name.
    pub(super) fn of(points: SeriesPoints, fit: Fit) -> Option<Self> {
        let key = Arc::clone(points.key.as_ref()?);
        let Some(window) = tier::window(fit.tier) else {
            let spacing_ms = spacing_ms(&points.t).unwrap_or(fit.interval_ms);
            let (points, bucket_ms) = downsample::samples(points, fit.from, fit.to, fit.points_max);
            return Some(Self {
                key,
                step_ms: spacing_ms.max(bucket_ms),
                t: column(&points.t),
                v: points.v,
                band: None,
            });
        };
        let window_us = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
        let (points, step_ms) = downsample::windows(points, (fit.from, fit.to), window_us, fit.points_max);
        Some(Self {
            key,
            step_ms,
            t: column(&points.t),
            v: fit.agg.column(&points),
            band: Some((points.min, points.max)),
        })
    }
}

impl Serialize for Series {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            #[serde(flatten)]
            series: SeriesShape<'a>,
            step_ms: i64,
            t: &'a [i64],
            v: &'a [f64],
            min: Option<&'a [f64]>,
            max: Option<&'a [f64]>,
        }
        let band = self.band.as_ref();
        let fields = Fields {
            series: SeriesShape::of(&self.key),
            step_ms: self.step_ms,
            t: &self.t,
            v: &self.v,
            min: band.map(|(min, _)| min.as_slice()),
            max: band.map(|(_, max)| max.as_slice()),
        };
        fields.serialize(serializer)
    }
}

impl MinuteRows {
    pub(super) fn of(points: SeriesPoints) -> Option<Self> {
        Some(Self {
            key: points.key?,
            t: column(&points.t),
            v: points.v,
            min: points.min,
            max: points.max,
            count: points.count,
            sum: points.sum,
            last: points.last,
            r#final: points.is_final,
        })
    }
}

impl Agg {
    pub(super) const WORDS: &[(&str, Self)] = &[
        ("avg", Self::Avg),
        ("min", Self::Min),
        ("max", Self::Max),
        ("last", Self::Last),
        ("sum", Self::Sum),
        ("count", Self::Count),
    ];

    fn column(self, points: &SeriesPoints) -> Vec<f64> {
        match self {
            Self::Avg => points.v.clone(),
            Self::Min => points.min.clone(),
            Self::Max => points.max.clone(),
            Self::Last => points.last.clone(),
            Self::Sum => points.sum.clone(),
            #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
            Self::Count => points.count.iter().map(|count| *count as f64).collect(),
        }
    }
}

fn series_fields<S: serde::Serializer>(key: &Arc<SeriesKey>, serializer: S) -> Result<S::Ok, S::Error> {
    SeriesShape::of(key).serialize(serializer)
}

fn column(times: &[Timestamp]) -> Vec<i64> {
    times.iter().map(|time| time.millis()).collect()
}

/// The usual time between two samples: the middle of all distances, so that neither a gap nor a minute of `focus` moves it.
fn spacing_ms(times: &[Timestamp]) -> Option<i64> {
    let mut distances: Vec<i64> =
        times.windows(2).map(|pair| pair[1].millis() - pair[0].millis()).filter(|distance| *distance > 0).collect();
    let middle = distances.len() / 2;
    (!distances.is_empty()).then(|| *distances.select_nth_unstable(middle).1)
}
