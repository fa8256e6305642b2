//! History's answer: columns of points, as the charts take them.

use std::sync::Arc;

use model::query::{SeriesPoints, Tier};
use model::{SeriesKey, Timestamp};
use serde::Serialize;

use crate::downsample;
use crate::shapes::{SeriesShape, machine_id};
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

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = History)]
pub(super) struct HistoryShape<'a> {
    #[schema(schema_with = machine_id)]
    pub(super) machine: &'a str,
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) tier: Tier,
    pub(super) step_ms: i64,
    pub(super) partial: bool,
    pub(super) series: Vec<Series>,
    #[schema(required)]
    pub(super) minute: Option<Vec<MinuteRows>>,
}

/// One metric of several machines.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = MachinesHistory)]
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

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = MachineHistory)]
pub(super) struct MachineShape<'a> {
    #[schema(schema_with = machine_id)]
    pub(super) machine: &'a str,
    pub(super) series: Vec<Series>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = HistorySeries)]
pub(super) struct Series {
    #[serde(serialize_with = "series_fields", flatten)]
    #[schema(value_type = SeriesShape<'static>)]
    key: Arc<SeriesKey>,
    pub(super) step_ms: i64,
    t: Vec<i64>,
    #[schema(value_type = Vec<Option<f64>>)]
    v: Vec<f64>,
    /// The band of an aggregate; `None` in the raw tier.
    #[schema(value_type = Option<Vec<Option<f64>>>, required)]
    min: Option<Vec<f64>>,
    #[schema(value_type = Option<Vec<Option<f64>>>, required)]
    max: Option<Vec<f64>>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct MinuteRows {
    #[serde(serialize_with = "series_fields", flatten)]
    #[schema(value_type = SeriesShape<'static>)]
    key: Arc<SeriesKey>,
    t: Vec<i64>,
    #[schema(value_type = Vec<Option<f64>>)]
    v: Vec<f64>,
    #[schema(value_type = Vec<Option<f64>>)]
    min: Vec<f64>,
    #[schema(value_type = Vec<Option<f64>>)]
    max: Vec<f64>,
    count: Vec<u64>,
    #[schema(value_type = Vec<Option<f64>>)]
    sum: Vec<f64>,
    #[schema(value_type = Vec<Option<f64>>)]
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
            let (points, bucket_ms) = downsample::samples(points, fit.points_max);
            return Some(Self {
                key,
                step_ms: spacing_ms.max(bucket_ms),
                t: column(&points.t),
                v: points.v,
                min: None,
                max: None,
            });
        };
        let window_us = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
        let (points, step_ms) = downsample::windows(points, (fit.from, fit.to), window_us, fit.points_max);
        Some(Self {
            key,
            step_ms,
            t: column(&points.t),
            v: fit.agg.column(&points),
            min: Some(points.min),
            max: Some(points.max),
        })
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
