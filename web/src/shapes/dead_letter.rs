//! Dead letter: what the API says of one, and of what became of those that were sent again.

use model::command::ResendReport;
use model::dead_letter::KeptSample;
use model::{DeadLetter, Labels, RejectReason, Source};
use serde::Serialize;

use super::machine_id;

/// As the list has it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = DeadLetter)]
pub(crate) struct DeadLetterShape<'a> {
    id: &'a str,
    #[schema(schema_with = machine_id)]
    machine: &'a str,
    reason: RejectReason,
    source: Source,
    /// Samples, or one row.
    count: u32,
    /// Samples of them that were kept.
    kept: usize,
    /// Arrival.
    time: i64,
    detail: &'a str,
    #[schema(required)]
    resent: Option<i64>,
    /// Why it cannot be sent again.
    #[schema(required)]
    obstacle: Option<&'static str>,
}

/// One letter whole.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = DeadLetterFull)]
pub(crate) struct FullShape<'a> {
    #[serde(flatten)]
    letter: DeadLetterShape<'a>,
    samples: Vec<SampleShape<'a>>,
    /// A row that the history's server refused.
    #[schema(required)]
    row: Option<&'a str>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = KeptSample)]
struct SampleShape<'a> {
    metric: &'a str,
    #[schema(value_type = BTreeMap<String, String>)]
    labels: &'a Labels,
    time: i64,
    /// Null of what is no number.
    #[schema(value_type = Option<f64>, required)]
    value: f64,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ResendReport)]
pub(crate) struct ReportShape<'a> {
    letters: usize,
    samples: usize,
    refused: usize,
    refusals: Vec<RefusalShape<'a>>,
    more: bool,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ResendRefusal)]
struct RefusalShape<'a> {
    id: &'a str,
    detail: &'a str,
}

impl<'a> DeadLetterShape<'a> {
    pub(crate) fn of(letter: &'a DeadLetter) -> Self {
        let rejected = &letter.rejected;
        Self {
            id: &letter.id,
            machine: rejected.machine.as_str(),
            reason: rejected.reason,
            source: rejected.source,
            count: rejected.count,
            kept: rejected.kept.as_ref().map_or(0, |kept| kept.len()),
            time: rejected.arrival.millis(),
            detail: &rejected.detail,
            resent: letter.resent.map(model::Timestamp::millis),
            obstacle: letter.obstacle(),
        }
    }
}

impl<'a> FullShape<'a> {
    pub(crate) fn of(letter: &'a DeadLetter) -> Self {
        let kept = letter.rejected.kept.as_deref();
        let samples = kept.into_iter().flat_map(|kept| kept.samples()).map(SampleShape::of);
        Self { letter: DeadLetterShape::of(letter), samples: samples.collect(), row: letter.row.as_deref() }
    }
}

impl<'a> SampleShape<'a> {
    fn of(sample: KeptSample<'a>) -> Self {
        let KeptSample { key, time, value } = sample;
        Self { metric: &key.metric, labels: &key.labels, time: time.millis(), value }
    }
}

impl<'a> ReportShape<'a> {
    pub(crate) fn of(report: &'a ResendReport) -> Self {
        let refusals = report.refusals.iter().map(|(id, detail)| RefusalShape { id, detail });
        Self {
            letters: report.letters,
            samples: report.samples,
            refused: report.refused,
            refusals: refusals.collect(),
            more: report.is_more,
        }
    }
}
