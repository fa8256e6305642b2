//! Watched: which rules look at which series of a machine, and each one's verdict.
//!
//! What every sample touches is kept apart from what a change of a verdict needs, so that judging a frame reads a few cache lines.
//! Invariants: A-1 Fired and Resolved alternate per alert.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::rule::{Input, Operator};
use model::{
    Aggregates, Alert, Bound, Cause, Change, LogicalTime, MachineId, Phase, Rule, SeriesKey, Slot, Timestamp,
    Transition, Turn,
};

use super::side::Transitions;
use super::silence::Silences;
use crate::control::facts::Binding;
use crate::stage::At;

/// The verdicts on one machine's series, of one kind of input. One entry per series and rule, in slot order: `hot` and `cold` of one
/// entry have one index.
#[derive(Default)]
pub(super) struct Watched {
    /// Series of the machine whose bindings are known or waited for.
    pub(super) known: usize,
    /// Bit i: slot i is watched. Most samples that come alone are of slots that are not.
    slots: u64,
    hot: Vec<Hot>,
    cold: Vec<Cold>,
    /// Whose series they are; known with the first entry.
    machine: Option<MachineId>,
    silences: Silences,
    /// Newest event time judged on slots that no rule looks at any more: a rule that comes back does not judge it again.
    judged: BTreeMap<u32, i64>,
}

/// What each sample is held against: half a cache line.
#[derive(Clone, Copy)]
struct Hot {
    threshold: f64,
    newest: i64,
    /// The value that was judged last.
    value: f64,
    slot: u32,
    breach: Breach,
    stand: Stand,
    /// Several of its samples may share a time, and each may fire.
    is_event: bool,
    /// Bindings that hold it: two for a moment, while an edited rule or new tags replace the old.
    bindings: u8,
}

struct Cold {
    rule: Arc<Rule>,
    key: Arc<SeriesKey>,
    /// Since when the phase lasts, unless it is calm.
    since: Timestamp,
}

/// A phase in a byte, without its time.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stand {
    Calm,
    Pending,
    Firing(Cause),
}

impl Stand {
    fn apart(phase: Phase) -> (Self, Timestamp) {
        match phase {
            Phase::Calm => (Self::Calm, Timestamp::EPOCH),
            Phase::Pending(since) => (Self::Pending, since),
            Phase::Firing(since, cause) => (Self::Firing(cause), since),
        }
    }

    fn since(self, since: Timestamp) -> Phase {
        match self {
            Self::Calm => Phase::Calm,
            Self::Pending => Phase::Pending(since),
            Self::Firing(cause) => Phase::Firing(since, cause),
        }
    }
}

/// A value to be judged.
#[derive(Clone, Copy)]
struct Look {
    t: LogicalTime,
    value: f64,
    time: Timestamp,
}

/// Which values breach a rule: a bit for each way to lie to the threshold. `Operator::holds` would choose between six by a jump.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Breach(u8);

impl Breach {
    /// Bits, by whether the value is at least the threshold (1) and at most (2); neither is no number.
    const NEITHER: u8 = 1 << 0;
    const ABOVE: u8 = 1 << 1;
    const BELOW: u8 = 1 << 2;
    const EQUAL: u8 = 1 << 3;

    fn of(operator: Operator) -> Self {
        Self(match operator {
            Operator::Gt => Self::ABOVE,
            Operator::Gte => Self::ABOVE | Self::EQUAL,
            Operator::Lt => Self::BELOW,
            Operator::Lte => Self::BELOW | Self::EQUAL,
            Operator::Eq => Self::EQUAL,
            Operator::Ne => Self::ABOVE | Self::BELOW | Self::NEITHER,
        })
    }

    #[inline]
    fn holds(self, value: f64, threshold: f64) -> bool {
        let lies = u8::from(value >= threshold) | u8::from(value <= threshold) << 1;
        self.0 >> lies & 1 == 1
    }
}

/// None for a slot from 64 on.
fn bit(slot: u32) -> u64 {
    1_u64.checked_shl(slot).unwrap_or(0)
}

impl Hot {
    #[inline]
    fn breaches(&self, value: f64) -> bool {
        self.breach.holds(value, self.threshold)
    }
}

impl Watched {
    /// Reads what a batch will be held against, and what will be held against it.
    pub(super) fn touch(&self, bound: &Bound) -> u64 {
        if bound.mask().is_some_and(|slots| slots & self.slots == 0) {
            return 0;
        }
        let values = &bound.batch.values;
        // Behind a gap the value lies a little before its slot.
        let value = |hot: &Hot| values.get((hot.slot as usize).min(values.len().saturating_sub(1)));
        let read = |hot: &Hot| hot.newest.cast_unsigned() ^ value(hot).map_or(0, |value| value.to_bits());
        self.hot.iter().fold(0, |all, hot| all ^ read(hot))
    }

    pub(super) fn batch(&mut self, t: LogicalTime, bound: &Bound, out: &mut Transitions) {
        match bound.mask() {
            Some(slots) if slots & self.slots == 0 => {}
            Some(slots) => self.frame(t, (slots, bound), out),
            None => self.stretches(t, bound, out),
        }
    }

    /// A frame of these slots.
    fn frame(&mut self, t: LogicalTime, (slots, bound): (u64, &Bound), out: &mut Transitions) {
        let (time, values) = (bound.batch.newest(), &*bound.batch.values);
        if let [value] = *values {
            let slot = slots.trailing_zeros();
            let mut at = self.first_of(slot);
            while self.hot.get(at).is_some_and(|hot| hot.slot == slot) {
                self.look(at, Look { t, value, time }, out);
                at += 1;
            }
            return;
        }
        // Slots that the frame does not have, and how many of them are behind us: its values lie by so many before their slots.
        let (mut missing, mut gone) = (!slots, 0);
        for at in 0..self.hot.len() {
            let slot = self.hot[at].slot;
            if slots & bit(slot) == 0 {
                continue;
            }
            while missing.trailing_zeros() < slot {
                missing &= missing - 1;
                gone += 1;
            }
            self.look(at, Look { t, value: values[slot as usize - gone], time }, out);
        }
    }

    /// What has no mask: several times, or slots from 64 on.
    fn stretches(&mut self, t: LogicalTime, bound: &Bound, out: &mut Transitions) {
        // The first entry that may be of the stretch. Slots mostly rise within a batch, so it is a few behind the one before.
        let (mut next, mut before) = (0, 0);
        for stretch in bound.stretches() {
            let (from, end) = (stretch.slot, stretch.slot + stretch.values.len());
            next = if from < before { 0 } else { next };
            before = end;
            next += self.hot[next..].partition_point(|hot| (hot.slot as usize) < from);
            let Some(first) = self.hot.get(next).filter(|hot| (hot.slot as usize) < end) else { continue };
            let mut slot = first.slot as usize;
            while slot < end {
                let index = slot - from;
                let (value, time) = (stretch.values[index], bound.batch.time(stretch.at + index));
                self.look(next, Look { t, value, time }, out);
                next += 1;
                slot = self.hot.get(next).map_or(usize::MAX, |hot| hot.slot as usize);
            }
        }
    }

    /// A minute is judged once, when it closes: a correction of it is not newer than its series' newest.
    pub(super) fn minute(&mut self, t: LogicalTime, rows: &Aggregates, out: &mut Transitions) {
        if !rows.is_final || self.hot.is_empty() {
            return;
        }
        let time = rows.window.end();
        for (slot, row) in rows.rows.iter() {
            let mut at = self.first_of(slot.0);
            while self.hot.get(at).is_some_and(|hot| hot.slot == slot.0) {
                #[expect(clippy::cast_precision_loss, reason = "a minute's count stays far below 2^53")]
                let value = match self.cold[at].rule.input {
                    Input::MinuteMean => row.mean(),
                    Input::MinuteSum => row.sum,
                    Input::MinuteCount => row.count as f64,
                    Input::MinuteMax => row.max,
                    Input::Sample => row.last,
                };
                self.look(at, Look { t, value, time }, out);
                at += 1;
            }
        }
    }

    fn first_of(&self, slot: u32) -> usize {
        self.hot.partition_point(|hot| hot.slot < slot)
    }

    /// The entry of a rule on a slot, or where it belongs.
    fn find(&self, slot: u32, rule: &str) -> Result<usize, usize> {
        let mut at = self.first_of(slot);
        while self.hot.get(at).is_some_and(|hot| hot.slot == slot) {
            if self.cold[at].rule.name == rule {
                return Ok(at);
            }
            at += 1;
        }
        Err(at)
    }

    /// A rule applies from `t` on. `firing`: since when and why its alert was firing before the restart.
    pub(super) fn assert(
        &mut self,
        t: LogicalTime,
        (Binding { series, rule }, is_event): (&Binding, bool),
        firing: Option<(Timestamp, Cause)>,
        out: &mut Transitions,
    ) {
        let (slot, rule) = (series.slot, Arc::clone(&rule.rule));
        self.silences.set(t, slot, &rule);
        let (breach, threshold) = (Breach::of(rule.operator), rule.threshold);
        let at = match self.find(slot, &rule.name) {
            Ok(at) => {
                (self.hot[at].breach, self.hot[at].threshold) = (breach, threshold);
                let before = std::mem::replace(&mut self.cold[at].rule, rule);
                self.hot[at].bindings += 1;
                if before.input != self.cold[at].rule.input {
                    self.begin_anew(at, t, out);
                }
                return self.answer(at, t, out);
            }
            Err(at) => at,
        };
        // What was judged before, by another rule or before the restart, is not judged again. Silence judged nothing.
        let left = self.judged.remove(&slot);
        let judged = self.hot.iter().filter(|hot| hot.slot == slot).map(|hot| hot.newest).max().max(left);
        // Nor an event of the very time: its alert would be the same one again.
        let judged = judged.map(|time| time.saturating_add(i64::from(is_event)));
        let fired =
            firing.filter(|(_, cause)| *cause == Cause::Threshold).map_or(i64::MIN, |(since, _)| since.micros());
        let newest = judged.unwrap_or(i64::MIN).max(fired);
        let (stand, since) = Stand::apart(firing.map_or(Phase::Calm, |(since, cause)| Phase::Firing(since, cause)));
        self.hot.insert(at, Hot { threshold, newest, value: 0.0, slot, breach, stand, is_event, bindings: 1 });
        self.slots |= bit(slot);
        self.machine.get_or_insert_with(|| series.machine.clone());
        self.cold.insert(at, Cold { rule, key: Arc::clone(&series.key), since });
    }

    /// Gives back what the entries do not need: there are far more machines than changes of their rules.
    pub(super) fn fit(&mut self) {
        self.hot.shrink_to_fit();
        self.cold.shrink_to_fit();
    }

    /// A rule that looks at something else than before asks another question: what it has found so far answers the old one.
    fn begin_anew(&mut self, at: usize, t: LogicalTime, out: &mut Transitions) {
        if let Phase::Firing(since, _) = self.phase(at) {
            self.tell(at, (Change::Resolved, Cause::RuleGone), (t, Timestamp::from_logical(t), since), out);
        }
        self.set_phase(at, Phase::Calm);
    }

    /// An edited rule that no longer asks about silence takes back what it said about it.
    fn answer(&mut self, at: usize, t: LogicalTime, out: &mut Transitions) {
        if let Phase::Firing(since, Cause::NoData) = self.phase(at)
            && self.cold[at].rule.no_data_s.is_none()
        {
            self.tell(at, (Change::Resolved, Cause::RuleGone), (t, Timestamp::from_logical(t), since), out);
            self.set_phase(at, Phase::Calm);
        }
    }

    /// Whether the rule is watched on the slot.
    pub(super) fn has(&self, slot: u32, rule: &str) -> bool {
        self.find(slot, rule).is_ok()
    }

    /// A rule applies no more; its alert is resolved. Whether nothing of it is left.
    pub(super) fn retract(
        &mut self,
        t: LogicalTime,
        Binding { series, rule }: &Binding,
        out: &mut Transitions,
    ) -> bool {
        let Ok(at) = self.find(series.slot, &rule.rule.name) else { return false };
        self.hot[at].bindings -= 1;
        if self.hot[at].bindings > 0 {
            return false;
        }
        self.silences.remove(series.slot, &rule.rule.name);
        if let Phase::Firing(since, _) = self.phase(at) {
            self.tell(at, (Change::Resolved, Cause::RuleGone), (t, Timestamp::from_logical(t), since), out);
        }
        let (hot, _) = (self.hot.remove(at), self.cold.remove(at));
        if !self.hot.iter().any(|other| other.slot == hot.slot) {
            self.slots &= !bit(hot.slot);
            if hot.newest > i64::MIN {
                self.judged.insert(hot.slot, hot.newest);
            }
        }
        true
    }

    /// How many rules were watched on series, and the alerts that fire.
    pub(super) fn into_firing(self) -> (usize, Vec<Alert>) {
        let mut firing = Vec::new();
        for at in 0..self.cold.len() {
            if let Phase::Firing(since, cause) = self.phase(at) {
                self.tell(at, (Change::Fired, cause), (0, since, since), &mut firing);
            }
        }
        (self.cold.len(), firing.iter().map(|fired| Alert::after(&fired.item)).collect())
    }

    /// Whether any rule asks about silence.
    pub(super) fn listens(&self) -> bool {
        !self.silences.is_empty()
    }

    pub(super) fn hear(&mut self, t: LogicalTime, slot: Slot) {
        self.silences.hear(t, slot);
    }

    /// When to look for silence next, if that is not known already.
    pub(super) fn next_silence(&mut self, quiet_until: LogicalTime) -> Option<LogicalTime> {
        self.silences.arm(quiet_until)
    }

    /// Fires what has been silent for too long at `due`, and is not firing already.
    pub(super) fn silent(&mut self, due: LogicalTime, quiet_until: LogicalTime, out: &mut Transitions) {
        for (slot, rule) in self.silences.fall(due, quiet_until) {
            let Ok(at) = self.find(slot, &rule.name) else { continue };
            let since = Timestamp::from_logical(due);
            if let (phase, Some(_fired)) = self.phase(at).silent(since) {
                self.set_phase(at, phase);
                self.tell(at, (Change::Fired, Cause::NoData), (due, since, since), out);
            }
        }
    }

    #[inline]
    fn look(&mut self, at: usize, look: Look, out: &mut Transitions) {
        let hot = &mut self.hot[at];
        if matches!(hot.stand, Stand::Calm) & (hot.newest < look.time.micros()) & !hot.breaches(look.value) {
            (hot.newest, hot.value) = (look.time.micros(), look.value);
        } else {
            self.step(at, look, out);
        }
    }

    /// As `look`, for what is not newer than what was judged, breaches, or may end a breach.
    #[inline(never)]
    fn step(&mut self, at: usize, look: Look, out: &mut Transitions) {
        let hot = &mut self.hot[at];
        let time = look.time.micros();
        if time <= hot.newest {
            // Of events that share a time each may fire, but a calm one does not take back what another has said of that time.
            let is_heard = hot.is_event && time == hot.newest && hot.breaches(look.value);
            if !is_heard {
                return;
            }
        }
        (hot.newest, hot.value) = (time, look.value);
        let breaches = hot.breaches(look.value);
        if breaches || hot.stand != Stand::Calm {
            self.turn(at, breaches, look, out);
        }
    }

    /// Steps the phase by a value that was not judged before.
    fn turn(&mut self, at: usize, breaches: bool, Look { t, value, time }: Look, out: &mut Transitions) {
        let before = self.phase(at);
        // Silence is told in logical time: what came before it was over is the replay of samples that were judged then.
        if let Phase::Firing(since, Cause::NoData) = before
            && Timestamp::from_logical(t) < since
        {
            return;
        }
        let (after, turn) = before.after(&self.cold[at].rule, (value, time), breaches);
        self.set_phase(at, after);
        match turn {
            None => {}
            Some(Turn::Fired) => self.tell(at, (Change::Fired, Cause::Threshold), (t, time, time), out),
            Some(Turn::Resolved(since, cause)) => {
                let time = if cause == Cause::NoData { Timestamp::from_logical(t) } else { time };
                self.tell(at, (Change::Resolved, cause), (t, time, since), out);
            }
        }
    }

    fn phase(&self, at: usize) -> Phase {
        self.hot[at].stand.since(self.cold[at].since)
    }

    fn set_phase(&mut self, at: usize, phase: Phase) {
        (self.hot[at].stand, self.cold[at].since) = Stand::apart(phase);
    }

    /// Tells of a change at an event time, with the value that was judged last, of an alert that fires since.
    fn tell(
        &self,
        at: usize,
        (change, cause): (Change, Cause),
        (t, time, since): (LogicalTime, Timestamp, Timestamp),
        out: &mut Transitions,
    ) {
        let (Cold { rule, key, .. }, value) = (&self.cold[at], self.hot[at].value);
        let machine = self.machine.clone().expect("the first entry brought it");
        let (rule, series, at) = (Arc::clone(rule), Arc::clone(key), time);
        out.push(At { t, item: Arc::new(Transition { rule, machine, series, change, cause, value, at, since, t }) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_rule_on_a_series_takes_56_bytes() {
        assert_eq!((size_of::<Hot>(), size_of::<Cold>()), (32, 24));
    }

    proptest! {
        #[test]
        fn two_comparisons_say_what_the_operator_says(value in -3i8..4, threshold in -3i8..3) {
            let (value, threshold) = (if value == 3 { f64::NAN } else { f64::from(value) }, f64::from(threshold));
            for operator in [Operator::Gt, Operator::Gte, Operator::Lt, Operator::Lte, Operator::Eq, Operator::Ne] {
                prop_assert_eq!(Breach::of(operator).holds(value, threshold), operator.holds(value, threshold));
            }
        }
    }
}
