//! Admission: what of a frame or sample may enter, and why the rest may not.
//!
//! In: a decoded frame with the layout its stream sent for it. Out: a batch of what is accepted, and refusals with reason and count.
//! A bad value costs itself, a bad frame costs itself; nothing here ends a stream. Pure but for the machine's own state (`Door`).
//! Invariants: C-1 every sample that comes in is in the batch or in a refusal.

use std::sync::Arc;

use model::{
    Batch, InvalidName, Kept, Layout, MachineId, Positions, RejectReason, SeriesKey, SessionId, Times, Timestamp,
};
use proto::decode::{Present, SentLayout};
use proto::{decode, pb};

use crate::door::Door;
use crate::layouts::KnownLayout;
use crate::settings::Limits;

/// Longest text of a refusal: it is stored with the dead letter and shown to people.
const DETAIL_CHARS_MAX: usize = 200;

/// Samples that are refused together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: RejectReason,
    pub(crate) count: u32,
    pub(crate) detail: String,
}

/// What became of a frame.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    /// None when nothing is left of it.
    pub(crate) batch: Option<Batch>,
    pub(crate) refusals: Vec<Refusal>,
    /// Samples of series that were refused with their layout: counted, but told only then.
    pub(crate) silent: Vec<(RejectReason, u32)>,
    /// The frame, where all of it is refused and it can be read.
    pub(crate) returned: Option<pb::Frame>,
}

impl Refusal {
    pub(crate) fn new(reason: RejectReason, count: usize, detail: &str) -> Self {
        Self {
            reason,
            count: u32::try_from(count).unwrap_or(u32::MAX),
            detail: detail.chars().take(DETAIL_CHARS_MAX).collect(),
        }
    }

    pub(crate) fn bad_name(position: usize, invalid: &InvalidName) -> Self {
        Self::new(RejectReason::BadName, 1, &format!("series {position}: {invalid}"))
    }
}

/// Judges a sample's time against its arrival.
pub(crate) fn check_time(time: Timestamp, arrival: Timestamp, limits: &Limits) -> Result<(), RejectReason> {
    if arrival + limits.ahead_max < time {
        Err(RejectReason::Future)
    } else if time < arrival - limits.behind_max {
        Err(RejectReason::TooOld)
    } else {
        Ok(())
    }
}

/// Admits a layout: series with bad names and series beyond the machine's limit are refused, each told once with its position.
pub(crate) fn layout(
    sent: SentLayout,
    machine: &MachineId,
    door: &mut Door,
    monotonic_us: u64,
    limits: &Limits,
) -> (KnownLayout, Vec<Refusal>) {
    let mut refusals: Vec<Refusal> = sent.dropped.iter().map(|(at, why)| Refusal::bad_name(*at, why)).collect();
    let mut kept: Vec<SeriesKey> = Vec::with_capacity(sent.series.len());
    let mut positions = Vec::with_capacity(sent.positions.len());
    let mut series = sent.series.into_iter();
    for (at, position) in sent.positions.iter().enumerate() {
        // `positions` has a place for exactly the valid series, in their order.
        let Some(key) = position.and_then(|_| series.next()) else {
            positions.push(Err(RejectReason::BadName));
            continue;
        };
        if let Err(full) = door.admit_series(&key, monotonic_us, limits.series_per_machine_max) {
            let detail = format!("series {at}, {key}: {full}");
            refusals.push(Refusal::new(RejectReason::TooManySeries, 1, &detail));
            positions.push(Err(RejectReason::TooManySeries));
        } else {
            positions.push(u16::try_from(kept.len()).map_err(|_long| RejectReason::TooLarge));
            kept.push(door.own(key));
        }
    }
    let layout = door.share_layout(Layout::new(machine.clone(), kept));
    (KnownLayout::new(layout, positions), refusals)
}

/// Admits a frame whose layout is known; the machine's rate has been asked before.
pub(crate) fn frame(
    frame: pb::Frame,
    known: &KnownLayout,
    session: SessionId,
    arrival: Timestamp,
    limits: &Limits,
) -> Admitted {
    let samples = frame.values.len();
    let present = match decode::present(&frame, known.positions.len()) {
        Ok(present) => present,
        Err(misfit) => return Admitted::refused(RejectReason::BadLayout, samples, &misfit.to_string()),
    };
    let time = Timestamp::from_millis(frame.time_ms);
    if let Err(reason) = check_time(time, arrival, limits) {
        let refused = Admitted::refused(reason, samples, &format!("frame of {time} arrived at {arrival}"));
        return Admitted { returned: Some(frame), ..refused };
    }
    let mut admitted = Admitted::default();
    let is_plain = known.is_whole && present == Present::All && frame.values.iter().all(|v| v.is_finite());
    let (positions, values) = if is_plain {
        (Positions::All, frame.values)
    } else {
        let (positions, values) = admitted.keep(known, &present, &frame.values);
        (Positions::List(positions.into()), values)
    };
    if !values.is_empty() {
        admitted.batch = Some(Batch {
            layout: Arc::clone(&known.layout),
            session,
            sequence: frame.sequence,
            arrival,
            age_ms: frame.age_ms,
            positions,
            times: Times::One(time),
            values: values.into(),
        });
    }
    admitted
}

/// Keeps the samples of a frame that is refused, as far as its series were admitted.
pub(crate) fn keep_frame(frame: &pb::Frame, known: &KnownLayout, kept: &mut Kept) {
    let Ok(present) = decode::present(frame, known.positions.len()) else { return };
    let time = Timestamp::from_millis(frame.time_ms);
    for (index, value) in frame.values.iter().enumerate() {
        let at = match &present {
            Present::All => index,
            Present::Some(list) => usize::from(list[index]),
        };
        if let Ok(position) = known.positions[at] {
            kept.add(&known.layout.series[usize::from(position)], time, *value);
        }
    }
}

impl Admitted {
    fn refused(reason: RejectReason, samples: usize, detail: &str) -> Self {
        Self { refusals: vec![Refusal::new(reason, samples, detail)], ..Self::default() }
    }

    /// The finite values of series that were admitted; the others are noted as refused.
    fn keep(&mut self, known: &KnownLayout, present: &Present, sent: &[f64]) -> (Vec<u16>, Vec<f64>) {
        let (mut positions, mut values) = (Vec::with_capacity(sent.len()), Vec::with_capacity(sent.len()));
        let mut not_finite: Option<Refusal> = None;
        for (index, value) in sent.iter().enumerate() {
            let at = match present {
                Present::All => index,
                Present::Some(list) => usize::from(list[index]),
            };
            match known.positions[at] {
                Err(reason) => self.count_silently(reason),
                Ok(_) if !value.is_finite() => {
                    let first = || Refusal::new(RejectReason::NotFinite, 0, &format!("value {value} of series {at}"));
                    not_finite.get_or_insert_with(first).count += 1;
                }
                Ok(position) => {
                    positions.push(position);
                    values.push(*value);
                }
            }
        }
        self.refusals.extend(not_finite);
        (positions, values)
    }

    fn count_silently(&mut self, reason: RejectReason) {
        match self.silent.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.silent.push((reason, 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const NOW: Timestamp = Timestamp::from_secs(1_763_700_000);

    fn limits() -> Limits {
        Limits { series_per_machine_max: 3, ..Limits::default() }
    }

    fn door() -> Door {
        let gauge = runtime::metrics::Registry::new().gauge("series", "", &[]);
        Door::new(crate::budget::SeriesBudget::new(100, gauge).share(0))
    }

    fn learn(door: &mut Door, names: &[&str]) -> (KnownLayout, Vec<Refusal>) {
        let series = names.iter().map(|name| pb::Series { metric: (*name).to_owned(), labels: BTreeMap::new() });
        let sent = decode::layout(&pb::Layout { id: 1, series: series.collect() });
        let machine = MachineId::parse("db-1").expect("a valid id");
        layout(sent, &machine, door, 0, &limits())
    }

    fn sent(values: &[f64], present: &[u8], offset_s: i64) -> pb::Frame {
        pb::Frame {
            sequence: 1,
            layout: 1,
            time_ms: NOW.millis() + offset_s * 1_000,
            age_ms: 0,
            values: values.to_vec(),
            present: present.to_vec(),
        }
    }

    /// Accepted values with their positions, then refusals as `reason x count`.
    fn outcome(names: &[&str], sent: pb::Frame) -> String {
        let (known, _) = learn(&mut door(), names);
        let admitted = frame(sent, &known, SessionId(1), NOW, &limits());
        let mut words = Vec::new();
        if let Some(batch) = &admitted.batch {
            assert!(batch.is_consistent());
            words.extend((0..batch.len()).map(|n| format!("{}={}", batch.position(n), batch.values[n])));
        }
        words.extend(admitted.refusals.iter().map(|r| format!("{} x{}", r.reason.as_str(), r.count)));
        words.extend(admitted.silent.iter().map(|(reason, n)| format!("silent {} x{n}", reason.as_str())));
        words.join(" ")
    }

    #[test]
    fn a_frame_is_judged_value_by_value_and_as_a_whole() {
        let nan = f64::NAN;
        let ten_minutes = 600;
        for (names, frame, expected) in [
            (&["a", "b"][..], sent(&[1.0, 2.0], &[], 0), "0=1 1=2"),
            (&["a", "b"], sent(&[2.0], &[0b10], 0), "1=2"),
            (&["a", "b"], sent(&[nan, 2.0], &[], 0), "1=2 not_finite x1"),
            (&["a", "b"], sent(&[nan, f64::INFINITY], &[], 0), "not_finite x2"),
            (&["a", "9", "b"], sent(&[1.0, 2.0, 3.0], &[], 0), "0=1 1=3 silent bad_name x1"),
            (&["a", "b", "c", "d"], sent(&[1.0, 2.0, 3.0, 4.0], &[], 0), "0=1 1=2 2=3 silent too_many_series x1"),
            (&["a", "b"], sent(&[1.0], &[], 0), "bad_layout x1"),
            (&["a", "b"], sent(&[1.0, 2.0], &[], ten_minutes), "0=1 1=2"),
            (&["a", "b"], sent(&[1.0, 2.0], &[], ten_minutes + 1), "future x2"),
            (&["a", "b"], sent(&[1.0, 2.0], &[], -86_400), "0=1 1=2"),
            (&["a", "b"], sent(&[1.0, 2.0], &[], -86_401), "too_old x2"),
            (&["a"], sent(&[1.0], &[], i64::MAX / 4_000), "future x1"),
            (&["a"], sent(&[1.0], &[], i64::MIN / 4_000), "too_old x1"),
        ] {
            assert_eq!(outcome(names, frame.clone()), expected, "{names:?} {frame:?}");
        }
    }

    #[test]
    fn a_layout_tells_each_refused_series_once_with_its_position() {
        let (known, refusals) = learn(&mut door(), &["a", "9", "b", "c", "d"]);
        assert_eq!(known.layout.series.len(), 3);
        let told: Vec<(&str, bool)> =
            refusals.iter().map(|r| (r.reason.as_str(), r.detail.starts_with("series"))).collect();
        assert_eq!(told, [("bad_name", true), ("too_many_series", true)]);
        assert!(refusals[1].detail.starts_with("series 4, d"), "{}", refusals[1].detail);
    }

    #[test]
    fn known_series_stay_welcome_at_the_limit() {
        let mut door = door();
        learn(&mut door, &["a", "b", "c"]);
        let (again, refusals) = learn(&mut door, &["c", "b", "d"]);
        assert_eq!((again.layout.series.len(), refusals.len()), (2, 1));
    }

    proptest! {
        /// C-1: each sample that comes in is accepted or refused, once.
        #[test]
        fn nothing_is_lost_at_the_door(
            names in prop::collection::vec(0usize..6, 0..8),
            values in prop::collection::vec(prop_oneof![Just(f64::NAN), -1e6..1e6f64], 0..8),
            present in prop::collection::vec(any::<u8>(), 0..2),
            offset_s in prop_oneof![Just(0i64), -100_000..100_000i64],
        ) {
            let words = ["a", "b", "c", "d", "9", "a b"];
            let names: Vec<&str> = names.into_iter().map(|n| words[n]).collect();
            let (known, _) = learn(&mut door(), &names);
            let received = values.len() as u64;
            let admitted = frame(sent(&values, &present, offset_s), &known, SessionId(1), NOW, &limits());
            let accepted = admitted.batch.as_ref().map_or(0, |batch| batch.len() as u64);
            let refused: u64 = admitted.refusals.iter().map(|r| u64::from(r.count)).sum();
            let silent: u64 = admitted.silent.iter().map(|(_, n)| u64::from(*n)).sum();
            prop_assert_eq!(received, accepted + refused + silent);
            prop_assert!(admitted.batch.is_none_or(|batch| batch.is_consistent() && !batch.is_empty()));
        }
    }
}
