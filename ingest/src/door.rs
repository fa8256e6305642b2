//! Door: what admission remembers of one machine. All of it is bounded.
//!
//! Series (the limit counts distinct names), rate (a token bucket), marks (newest frame of each session), layouts (shared by
//! content) and refusals, which are journalled at most once a second and reason: a flood must not flood the journal instead.

use std::sync::Arc;

use hashbrown::HashMap;
use model::{Kept, Layout, MachineId, MachineInfo, Rejected, SeriesKey, SessionId, Source, Timestamp};

use crate::admission::Refusal;
use crate::budget::{SeriesBudget, Share};
use crate::settings::Limits;

/// A machine has one spool; a few more are reinstallations.
pub(crate) const MARKS_MAX: usize = 4;
/// Layouts kept per machine: mounts and interfaces come and go, but a host returns to few sets of them.
pub(crate) const LAYOUTS_MAX: usize = 16;
const REFUSALS_EVERY_US: u64 = 1_000_000;
/// A series is not forgotten before this age.
const SERIES_YOUNG_US: u64 = 3_600 * 1_000_000;
/// Room is looked for so seldom.
const FORGET_EVERY_US: u64 = 60 * 1_000_000;

#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) info: Option<Arc<MachineInfo>>,
    /// With when they were admitted, in monotonic microseconds.
    series: HashMap<SeriesKey, u64>,
    /// What these are of the hub's series.
    share: Share,
    /// When room was last looked for.
    forgot_us: Option<u64>,
    rate: Option<Bucket>,
    /// Newest last.
    marks: Vec<(SessionId, u64)>,
    /// Used most recently last.
    layouts: Vec<Arc<Layout>>,
    refusals: Vec<Refused>,
}

/// A limit on series that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooManySeries {
    #[error("a machine has at most {0} series")]
    OfMachine(usize),
    #[error("the hub has at most {0} series, of all machines together")]
    OfHub(usize),
}

/// Tokens are samples.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled_us: u64,
}

/// Refusals of one reason that wait to be journalled.
#[derive(Debug)]
struct Refused {
    refusal: Refusal,
    kept: Kept,
    journalled_us: Option<u64>,
}

impl Door {
    /// Of a machine that is new.
    pub(crate) fn new(share: Share) -> Self {
        Self {
            info: None,
            series: HashMap::new(),
            share,
            forgot_us: None,
            rate: None,
            marks: Vec::new(),
            layouts: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// Lets a series in, or says how many there are already. One that the machine has is always welcome.
    ///
    /// # Errors
    /// The limit that stands against it, for a person.
    pub(crate) fn admit_series(
        &mut self,
        key: &SeriesKey,
        monotonic_us: u64,
        series_max: usize,
    ) -> Result<(), TooManySeries> {
        if self.series.contains_key(key) {
            return Ok(());
        }
        if series_max <= self.series.len() {
            self.forget_series(monotonic_us);
        }
        if series_max <= self.series.len() {
            return Err(TooManySeries::OfMachine(series_max));
        }
        if !self.share.take() {
            return Err(TooManySeries::OfHub(self.share.series_max()));
        }
        self.series.insert(self.share.key(key.clone()), monotonic_us);
        Ok(())
    }

    /// The key of a series that was let in, with text that is shared.
    pub(crate) fn own(&self, key: SeriesKey) -> SeriesKey {
        self.series.get_key_value(&key).map_or(key, |(own, _)| own.clone())
    }

    /// Names that left with an old layout make room, or a host with short-lived devices would fill up for good.
    fn forget_series(&mut self, monotonic_us: u64) {
        // It is a pass over all of them, and whoever sends ever new names must not have one for each.
        if self.forgot_us.is_some_and(|at| monotonic_us < at.saturating_add(FORGET_EVERY_US)) {
            return;
        }
        self.forgot_us = Some(monotonic_us);
        let (layouts, before) = (&self.layouts, self.series.len());
        self.series.retain(|known, admitted_us| {
            // A young one may be of a layout that is being put together.
            let is_young = monotonic_us < admitted_us.saturating_add(SERIES_YOUNG_US);
            is_young || layouts.iter().any(|layout| layout.series.contains(known))
        });
        self.share.give(before - self.series.len());
    }

    /// The same content has one `Arc`, however many streams send it.
    pub(crate) fn share_layout(&mut self, layout: Layout) -> Arc<Layout> {
        let known = self.layouts.iter().position(|known| known.id == layout.id && **known == layout);
        let shared = known.map_or_else(|| Arc::new(layout), |at| self.layouts.remove(at));
        if self.layouts.len() == LAYOUTS_MAX {
            self.layouts.remove(0);
        }
        self.layouts.push(Arc::clone(&shared));
        shared
    }

    /// Takes samples out of the machine's rate, all or none.
    pub(crate) fn take_rate(&mut self, samples: usize, monotonic_us: u64, limits: &Limits) -> bool {
        let burst = f64::from(limits.burst_samples_max);
        let bucket = self.rate.get_or_insert(Bucket { tokens: burst, filled_us: monotonic_us });
        let passed_s = monotonic_us.saturating_sub(bucket.filled_us) as f64 / 1e6;
        bucket.tokens = (bucket.tokens + passed_s * f64::from(limits.samples_per_second_max)).min(burst);
        bucket.filled_us = monotonic_us;
        let wanted = samples as f64;
        if bucket.tokens < wanted {
            return false;
        }
        bucket.tokens -= wanted;
        true
    }

    /// Newest sequence of the session that was taken; 0 when there is none.
    pub(crate) fn mark(&self, session: SessionId) -> u64 {
        self.marks.iter().find(|(known, _)| *known == session).map_or(0, |(_, sequence)| *sequence)
    }

    pub(crate) fn marks(&self) -> &[(SessionId, u64)] {
        &self.marks
    }

    pub(crate) fn advance(&mut self, session: SessionId, sequence: u64) {
        advance_mark(&mut self.marks, session, sequence);
    }

    /// Notes what is refused. `keep` adds its samples to those that are kept, and is asked only while there is room: a flood costs no more.
    pub(crate) fn refuse(&mut self, refusal: &Refusal, keep: impl FnOnce(&mut Kept)) {
        let known = self.refusals.iter().position(|known| known.refusal.reason == refusal.reason);
        let at = known.unwrap_or_else(|| {
            let refusal = Refusal { count: 0, ..refusal.clone() };
            self.refusals.push(Refused { refusal, kept: Kept::default(), journalled_us: None });
            self.refusals.len() - 1
        });
        let known = &mut self.refusals[at];
        if known.refusal.count == 0 {
            known.refusal = refusal.clone();
        } else {
            known.refusal.count = known.refusal.count.saturating_add(refusal.count);
        }
        if known.kept.has_room() {
            keep(&mut known.kept);
        }
    }

    /// Refusals that may be journalled now; all of them when the stream ends.
    pub(crate) fn take_refusals(
        &mut self,
        (machine, source): (&MachineId, Source),
        arrival: Timestamp,
        monotonic_us: u64,
        all: bool,
    ) -> Vec<Rejected> {
        let is_due =
            |known: &Refused| known.journalled_us.is_none_or(|at| at + REFUSALS_EVERY_US <= monotonic_us) || all;
        let due = self.refusals.iter_mut().filter(|known| 0 < known.refusal.count && is_due(known));
        due.map(|known| {
            known.journalled_us = Some(monotonic_us);
            Rejected {
                machine: machine.clone(),
                reason: known.refusal.reason,
                count: std::mem::take(&mut known.refusal.count),
                arrival,
                detail: std::mem::take(&mut known.refusal.detail),
                source,
                kept: (!known.kept.is_empty()).then(|| Arc::new(std::mem::take(&mut known.kept))),
            }
        })
        .collect()
    }

    /// What a replay found in the journal.
    pub(crate) fn restore(
        budget: &Arc<SeriesBudget>,
        info: Option<Arc<MachineInfo>>,
        layouts: &[Arc<Layout>],
        marks: &[(SessionId, u64)],
    ) -> Self {
        let series: HashMap<SeriesKey, u64> =
            layouts.iter().flat_map(|layout| layout.series.iter().map(|key| (key.clone(), 0))).collect();
        let share = budget.share(series.len());
        Self { info, series, marks: marks.to_vec(), layouts: layouts.to_vec(), ..Self::new(share) }
    }
}

/// Raises a session's mark and puts it last; the session used longest ago is forgotten beyond the limit.
pub(crate) fn advance_mark(marks: &mut Vec<(SessionId, u64)>, session: SessionId, sequence: u64) {
    let known = marks.iter().position(|(known, _)| *known == session);
    let older = known.map_or(0, |at| marks.remove(at).1);
    if marks.len() == MARKS_MAX {
        marks.remove(0);
    }
    marks.push((session, sequence.max(older)));
}

/// Refusals as they travel on the wire.
pub(crate) fn rejection(sequence: u64, refusal: &Refusal) -> proto::pb::Rejection {
    proto::pb::Rejection {
        sequence,
        reason: refusal.reason.as_str().to_owned(),
        count: refusal.count,
        detail: refusal.detail.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Labels, RejectReason};

    fn key(name: &str) -> SeriesKey {
        SeriesKey::parse(name, Labels::none()).expect("a valid name")
    }

    fn door() -> Door {
        let gauge = runtime::metrics::Registry::new().gauge("series", "", &[]);
        Door::new(SeriesBudget::new(100, gauge).share(0))
    }

    fn machine() -> MachineId {
        MachineId::parse("db-1").expect("a valid id")
    }

    #[test]
    fn the_rate_lets_a_burst_through_and_then_the_limit() {
        let limits = Limits { samples_per_second_max: 100, burst_samples_max: 200, ..Limits::default() };
        let mut door = door();
        assert!(door.take_rate(200, 0, &limits));
        assert!(!door.take_rate(1, 0, &limits));
        assert!(door.take_rate(100, 1_000_000, &limits));
        assert!(!door.take_rate(60, 1_500_000, &limits));
        assert!(door.take_rate(200, 3_600_000_000, &limits));
    }

    #[test]
    fn the_same_layout_is_shared_and_series_of_forgotten_layouts_make_room() {
        let mut door = door();
        assert_eq!(door.admit_series(&key("a"), 0, 2), Ok(()));
        assert_eq!(door.admit_series(&key("b"), 0, 2), Ok(()));
        let first = door.share_layout(Layout::new(machine(), vec![key("b")]));
        let again = door.share_layout(Layout::new(machine(), vec![key("b")]));
        assert!(Arc::ptr_eq(&first, &again));
        let full = Err(TooManySeries::OfMachine(2));
        assert_eq!(door.admit_series(&key("c"), SERIES_YOUNG_US - 1, 2), full);
        assert_eq!(door.admit_series(&key("c"), SERIES_YOUNG_US, 2), full, "it has just been looked for room");
        assert_eq!(door.admit_series(&key("c"), SERIES_YOUNG_US + FORGET_EVERY_US, 2), Ok(()));
        assert_eq!(door.admit_series(&key("d"), SERIES_YOUNG_US + 2 * FORGET_EVERY_US, 2), full);
    }

    #[test]
    fn the_hub_has_a_limit_of_its_own_and_a_forgotten_machine_gives_back_what_it_had() {
        let gauge = runtime::metrics::Registry::new().gauge("series", "", &[]);
        let budget = SeriesBudget::new(3, gauge.clone());
        let (mut first, mut second) = (Door::new(budget.share(0)), Door::new(budget.share(0)));
        for name in ["a", "b"] {
            assert_eq!(first.admit_series(&key(name), 0, 10), Ok(()));
        }
        assert_eq!(second.admit_series(&key("a"), 0, 10), Ok(()));
        assert_eq!(second.admit_series(&key("b"), 0, 10), Err(TooManySeries::OfHub(3)));
        assert_eq!(second.admit_series(&key("a"), 0, 10), Ok(()), "what a machine has it keeps");
        drop(first);
        assert!((gauge.value() - 1.0).abs() < f64::EPSILON);
        assert_eq!(second.admit_series(&key("b"), 0, 10), Ok(()));
        let layout = Arc::new(Layout::new(machine(), vec![key("a"), key("b"), key("c")]));
        let restored = Door::restore(&budget, None, &[layout], &[]);
        assert!((gauge.value() - 5.0).abs() < f64::EPSILON, "what was admitted before is not refused");
        drop((second, restored));
        assert!(gauge.value().abs() < f64::EPSILON);
    }

    #[test]
    fn refusals_of_a_reason_are_journalled_at_most_once_a_second_and_none_is_lost() {
        let mut door = door();
        let refusal = Refusal::new(RejectReason::RateLimited, 10, "fast");
        let counts = |door: &mut Door, us, all| -> Vec<u32> {
            let due = door.take_refusals((&machine(), Source::GrpcPush), Timestamp::EPOCH, us, all);
            due.iter().map(|rejected| rejected.count).collect()
        };
        door.refuse(&refusal, |_| {});
        assert_eq!(counts(&mut door, 0, false), [10]);
        door.refuse(&refusal, |_| {});
        door.refuse(&refusal, |_| {});
        assert_eq!(counts(&mut door, 500_000, false), Vec::<u32>::new());
        assert_eq!(counts(&mut door, 1_000_000, false), [20]);
        door.refuse(&refusal, |_| {});
        assert_eq!(counts(&mut door, 1_000_001, true), [10]);
        assert_eq!(counts(&mut door, 9_000_001, true), Vec::<u32>::new());
    }

    #[test]
    fn what_is_refused_is_kept_once_and_only_while_there_is_room() {
        let mut door = door();
        let refusal = Refusal::new(RejectReason::RateLimited, 1, "fast");
        let mut asked = 0;
        for n in 0..10_000 {
            door.refuse(&refusal, |kept| {
                asked += 1;
                kept.add(&key("a"), Timestamp::from_secs(n), 1.0);
            });
        }
        let taken = |door: &mut Door| door.take_refusals((&machine(), Source::GrpcPush), Timestamp::EPOCH, 0, true);
        let letter = taken(&mut door).remove(0);
        let kept = letter.kept.map_or(0, |kept| kept.len());
        assert_eq!((letter.count, kept), (10_000, asked));
        assert!((50..1_000).contains(&kept), "{kept}");
        door.refuse(&refusal, |_| {});
        assert_eq!(taken(&mut door).remove(0).kept, None, "what was journalled is not kept again");
    }

    #[test]
    fn marks_only_rise_and_old_sessions_are_forgotten() {
        let mut door = door();
        for session in 1..=5 {
            door.advance(SessionId(session), 10 * session);
        }
        door.advance(SessionId(5), 7);
        assert_eq!([1, 2, 5].map(|s| door.mark(SessionId(s))), [0, 20, 50]);
    }
}
