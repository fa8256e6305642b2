//! Dead letters: what was refused for good, by whom, why, and as much of it as was kept, so that it can be sent again where that makes sense.
//!
//! Bounded: a letter keeps `KEPT_BYTES_MAX` of samples at most; what is beyond is counted and gone.

use serde::{Deserialize, Serialize};

use crate::ids::{MachineId, stable_hash};
use crate::record::{RejectReason, Rejected};
use crate::series::SeriesKey;
use crate::time::{LogicalTime, Timestamp};

/// Of the samples of one letter so much is kept, about: some ten frames of a usual host.
pub const KEPT_BYTES_MAX: usize = 8 * 1024;
/// What a sample, a frame and a series weigh in it beside their text, about.
const SAMPLE_BYTES: usize = 24;
const FRAME_BYTES: usize = 40;
const SERIES_BYTES: usize = 24;
const LABEL_BYTES: usize = 6;

/// The part that refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = RefusedBy))]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A program that did not say which part wrote the letter.
    #[default]
    Hub,
    /// The door of the stream that our collector uses.
    GrpcPush,
    /// The door of the stream with one sample a message.
    GrpcStreamMetrics,
    /// `normalize`, in the dataflow.
    Graph,
    /// The history's server.
    Postgres,
}

impl Source {
    pub const ALL: [Self; 5] = [Self::Hub, Self::GrpcPush, Self::GrpcStreamMetrics, Self::Graph, Self::Postgres];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::GrpcPush => "grpc_push",
            Self::GrpcStreamMetrics => "grpc_stream_metrics",
            Self::Graph => "graph",
            Self::Postgres => "postgres",
        }
    }

    /// A name that a newer program wrote is the hub's.
    pub fn parse(name: &str) -> Self {
        Self::ALL.into_iter().find(|source| source.as_str() == name).unwrap_or_default()
    }
}

/// Samples that were refused, as they were sent: by moment, under the names that they came with.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Kept {
    series: Vec<SeriesKey>,
    moments: Vec<Moment>,
    /// About what it takes; only of one that is being filled.
    #[serde(skip)]
    bytes: usize,
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.series == other.series && self.moments == other.moments
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Moment {
    /// Microseconds since the epoch.
    time: Timestamp,
    /// Positions in `series`, and their values as text: as JSON numbers they may come back a digit off, and not-a-number is none.
    samples: Vec<(u16, String)>,
}

/// One sample of a letter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeptSample<'a> {
    pub key: &'a SeriesKey,
    pub time: Timestamp,
    pub value: f64,
}

impl Kept {
    /// Whether another sample would be taken.
    pub fn has_room(&self) -> bool {
        self.bytes < KEPT_BYTES_MAX
    }

    /// Takes a sample while there is room.
    pub fn add(&mut self, key: &SeriesKey, time: Timestamp, value: f64) {
        if !self.has_room() {
            return;
        }
        let position = self.series.iter().position(|known| known == key).unwrap_or_else(|| {
            self.bytes += series_bytes(key);
            self.series.push(key.clone());
            self.series.len() - 1
        });
        // Each series takes bytes, of which there are far fewer than u16 has values.
        let sample = (u16::try_from(position).unwrap_or(u16::MAX), format!("{value:?}"));
        self.bytes += SAMPLE_BYTES;
        match self.moments.last_mut() {
            Some(last) if last.time == time => last.samples.push(sample),
            _ => {
                self.bytes += FRAME_BYTES;
                self.moments.push(Moment { time, samples: vec![sample] });
            }
        }
    }

    /// Samples.
    pub fn len(&self) -> usize {
        self.moments.iter().map(|moment| moment.samples.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.moments.is_empty()
    }

    pub fn series(&self) -> &[SeriesKey] {
        &self.series
    }

    /// Moment by moment: its time, and its values with their positions in `series`. What a forged letter names beyond is left out.
    pub fn moments(&self) -> impl Iterator<Item = (Timestamp, Vec<(u16, f64)>)> + '_ {
        self.moments.iter().map(|moment| {
            let samples = moment.samples.iter().filter(|(position, _)| usize::from(*position) < self.series.len());
            (moment.time, samples.filter_map(|(position, text)| Some((*position, text.parse().ok()?))).collect())
        })
    }

    pub fn samples(&self) -> impl Iterator<Item = KeptSample<'_>> {
        self.moments().flat_map(move |(time, samples)| {
            samples.into_iter().map(move |(position, value)| {
                let key = &self.series[usize::from(position)];
                KeptSample { key, time, value }
            })
        })
    }

    /// As the stores have it.
    pub fn to_json(&self) -> String {
        // Plain structs with string keys: serde_json has no reason to refuse them.
        serde_json::to_string(self).expect("plain data serializes")
    }

    /// None of what is no such text: an older store kept other payloads.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

fn series_bytes(key: &SeriesKey) -> usize {
    let labels = key.labels.iter().map(|(name, value)| name.len() + value.len() + LABEL_BYTES);
    SERIES_BYTES + key.metric.len() + labels.sum::<usize>()
}

/// A stored dead letter.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// The same in every store of the hub.
    pub id: String,
    pub rejected: Rejected,
    /// A row that a server refused, for a person; at most 2,000 characters.
    pub row: Option<String>,
    /// The server has that row as it was, and can write it again.
    pub has_row: bool,
    /// When it was sent again.
    pub resent: Option<Timestamp>,
}

impl DeadLetter {
    /// What its stores know it by: the letter itself decides, so that each of them, and a replay, come to the same.
    pub fn id_of(t: LogicalTime, rejected: &Rejected) -> String {
        let kept = rejected.kept.as_ref().map(|kept| kept.to_json());
        let Rejected { machine, reason, count, arrival, detail, source, .. } = rejected;
        let (reason, source, arrival) = (reason.as_str(), source.as_str(), arrival.micros());
        let text = format!("{t} {machine} {reason} {source} {count} {arrival} {detail} {}", kept.unwrap_or_default());
        format!("{:016x}", stable_hash(text.as_bytes()))
    }

    /// Why it cannot be sent again, ever; none where it is worth a try.
    pub fn obstacle(&self) -> Option<&'static str> {
        if self.resent.is_some() {
            return Some("it was sent again already");
        }
        match self.rejected.reason {
            RejectReason::Future => {
                Some("its times were ahead of the clock, so they say nothing about when it was measured")
            }
            RejectReason::TooOld => Some("it is older than raw samples are kept, and gets no younger"),
            RejectReason::NotFinite => Some("its values are no numbers"),
            RejectReason::OutOfRange => Some("its values are outside of what the metric can be"),
            RejectReason::BadName => Some("its names break the naming rules"),
            RejectReason::BadLayout => Some("which series its values belong to was never said"),
            RejectReason::StoreRefused if self.has_row => None,
            RejectReason::StoreRefused => Some("the row was too large to be kept as it was"),
            RejectReason::TooManySeries
            | RejectReason::TooManyMachines
            | RejectReason::TooLarge
            | RejectReason::RateLimited => match &self.rejected.kept {
                Some(kept) if !kept.is_empty() => None,
                _ => Some("none of its samples was kept"),
            },
        }
    }
}

/// A dead letter was sent again: its samples are in the journal, beside this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resent {
    /// Whose samples they are.
    pub machine: MachineId,
    /// The letter's.
    pub id: String,
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Labels;
    use std::sync::Arc;

    fn key(name: &str) -> SeriesKey {
        SeriesKey::parse(name, Labels::parse([("core", "1")]).unwrap()).unwrap()
    }

    fn letter(reason: RejectReason) -> DeadLetter {
        let mut kept = Kept::default();
        kept.add(&key("a"), Timestamp::from_secs(1), 0.1 + 0.2);
        let machine = MachineId::parse("db-1").unwrap();
        let arrival = Timestamp::from_secs(2);
        let (detail, source) = ("x".to_owned(), Source::GrpcPush);
        let rejected = Rejected { machine, reason, count: 1, arrival, detail, source, kept: Some(Arc::new(kept)) };
        DeadLetter { id: DeadLetter::id_of(7, &rejected), rejected, row: None, has_row: false, resent: None }
    }

    #[test]
    fn samples_read_back_bit_by_bit() {
        let mut kept = Kept::default();
        for (at, name, value) in [(1, "a", 0.1 + 0.2), (1, "b", -0.0), (2, "a", f64::NAN), (2, "b", f64::MAX)] {
            kept.add(&key(name), Timestamp::from_secs(at), value);
        }
        let back = Kept::from_json(&kept.to_json()).unwrap();
        let bits = |kept: &Kept| -> Vec<(String, i64, u64)> {
            kept.samples().map(|s| (s.key.to_string(), s.time.micros(), s.value.to_bits())).collect()
        };
        assert_eq!((bits(&back), back.len()), (bits(&kept), 4));
        assert_eq!(Kept::from_json("m0=666"), None);
    }

    #[test]
    fn a_flood_keeps_no_more_than_the_limit() {
        let mut kept = Kept::default();
        for n in 0..10_000 {
            kept.add(&key(&format!("m{}", n % 300)), Timestamp::from_secs(n), 0.123_456_789_012_345);
        }
        assert!(!kept.has_room() && (50..1_000).contains(&kept.len()), "{}", kept.len());
        assert!(kept.to_json().len() < 2 * KEPT_BYTES_MAX, "{}", kept.to_json().len());
    }

    #[test]
    fn only_what_may_be_accepted_another_time_is_worth_sending_again() {
        let can = RejectReason::ALL.into_iter().filter(|reason| letter(*reason).obstacle().is_none());
        let can: Vec<&str> = can.map(RejectReason::as_str).collect();
        assert_eq!(can, ["too_many_series", "too_many_machines", "too_large", "rate_limited"]);
        let mut row = letter(RejectReason::StoreRefused);
        assert_eq!(row.obstacle(), Some("the row was too large to be kept as it was"));
        row.has_row = true;
        assert_eq!(row.obstacle(), None);
        row.resent = Some(Timestamp::EPOCH);
        assert_eq!(row.obstacle(), Some("it was sent again already"));
        let mut empty = letter(RejectReason::RateLimited);
        empty.rejected.kept = None;
        assert_eq!(empty.obstacle(), Some("none of its samples was kept"));
    }

    #[test]
    fn a_letter_has_one_id_and_another_one_another() {
        let (one, other) = (letter(RejectReason::RateLimited), letter(RejectReason::TooLarge));
        assert_eq!(one.id, DeadLetter::id_of(7, &one.rejected));
        assert!(one.id != other.id && one.id != DeadLetter::id_of(8, &one.rejected));
    }

    #[test]
    fn a_journal_of_an_older_program_reads_on() {
        let old = r#"{"machine":"db-1","reason":"future","count":3,"arrival":5,"detail":"x"}"#;
        let back: Rejected = serde_json::from_str(old).unwrap();
        assert_eq!((back.source, back.kept), (Source::Hub, None));
    }
}
