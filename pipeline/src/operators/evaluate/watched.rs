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
    is_calm: bool,
    /// Several of its samples may share a time, and each may fire.
    is_event: bool,
}

struct Cold {
    rule: Arc<Rule>,
    key: Arc<SeriesKey>,
    phase: Phase,
    /// Bindings that hold it: two for a moment, while an edited rule or new tags replace the old.
    bindings: u32,
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

impl Hot {
    #[inline]
    fn breaches(&self, value: f64) -> bool {
        self.breach.holds(value, self.threshold)
    }
}

impl Watched {
    /// Reads what the next frame will be held against.
    pub(super) fn touch(&self) -> i64 {
        self.hot.iter().fold(0, |read, hot| read ^ hot.newest)
    }

    pub(super) fn batch(&mut self, t: LogicalTime, bound: &Bound, out: &mut Transitions) {
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
                self.cold[at].bindings += 1;
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
        self.hot.insert(at, Hot { threshold, newest, value: 0.0, slot, breach, is_calm: firing.is_none(), is_event });
        let phase = firing.map_or(Phase::Calm, |(since, cause)| Phase::Firing(since, cause));
        self.machine.get_or_insert_with(|| series.machine.clone());
        self.cold.insert(at, Cold { rule, key: Arc::clone(&series.key), phase, bindings: 1 });
    }

    /// Gives back what the entries do not need: there are far more machines than changes of their rules.
    pub(super) fn fit(&mut self) {
        self.hot.shrink_to_fit();
        self.cold.shrink_to_fit();
    }

    /// A rule that looks at something else than before asks another question: what it has found so far answers the old one.
    fn begin_anew(&mut self, at: usize, t: LogicalTime, out: &mut Transitions) {
        let (hot, cold) = (&mut self.hot[at], &mut self.cold[at]);
        hot.is_calm = true;
        if let Phase::Firing(since, _) = std::mem::replace(&mut cold.phase, Phase::Calm) {
            let look = Look { t, value: hot.value, time: Timestamp::from_logical(t) };
            out.push(cold.transition(of(&self.machine), (Change::Resolved, Cause::RuleGone), look, since));
        }
    }

    /// An edited rule that no longer asks about silence takes back what it said about it.
    fn answer(&mut self, at: usize, t: LogicalTime, out: &mut Transitions) {
        let (hot, cold) = (&mut self.hot[at], &mut self.cold[at]);
        if let Phase::Firing(since, Cause::NoData) = cold.phase
            && cold.rule.no_data_s.is_none()
        {
            (cold.phase, hot.is_calm) = (Phase::Calm, true);
            let look = Look { t, value: hot.value, time: Timestamp::from_logical(t) };
            out.push(cold.transition(of(&self.machine), (Change::Resolved, Cause::RuleGone), look, since));
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
        self.cold[at].bindings -= 1;
        if self.cold[at].bindings > 0 {
            return false;
        }
        self.silences.remove(series.slot, &rule.rule.name);
        let (hot, cold) = (self.hot.remove(at), self.cold.remove(at));
        if hot.newest > i64::MIN && !self.hot.iter().any(|other| other.slot == hot.slot) {
            self.judged.insert(hot.slot, hot.newest);
        }
        if let Phase::Firing(since, _) = cold.phase {
            let look = Look { t, value: hot.value, time: Timestamp::from_logical(t) };
            out.push(cold.transition(of(&self.machine), (Change::Resolved, Cause::RuleGone), look, since));
        }
        true
    }

    /// How many rules were watched on series, and the alerts that fire.
    pub(super) fn into_firing(self) -> (usize, Vec<Alert>) {
        let watched = self.cold.len();
        let firing = self.hot.into_iter().zip(self.cold).filter_map(|(hot, cold)| match cold.phase {
            Phase::Calm | Phase::Pending(_) => None,
            Phase::Firing(since, cause) => {
                let look = Look { t: 0, value: hot.value, time: since };
                Some(Alert::after(&cold.transition(of(&self.machine), (Change::Fired, cause), look, since).item))
            }
        });
        (watched, firing.collect())
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
            let (hot, cold) = (&mut self.hot[at], &mut self.cold[at]);
            let since = Timestamp::from_logical(due);
            if let (phase, Some(_fired)) = cold.phase.silent(since) {
                (cold.phase, hot.is_calm) = (phase, false);
                let look = Look { t: due, value: hot.value, time: since };
                out.push(cold.transition(of(&self.machine), (Change::Fired, Cause::NoData), look, since));
            }
        }
    }

    #[inline]
    fn look(&mut self, at: usize, look: Look, out: &mut Transitions) {
        let hot = &mut self.hot[at];
        if hot.is_calm & (hot.newest < look.time.micros()) & !hot.breaches(look.value) {
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
        if breaches || !hot.is_calm {
            let cold = &mut self.cold[at];
            cold.step(of(&self.machine), breaches, look, out);
            hot.is_calm = cold.phase == Phase::Calm;
        }
    }
}

/// Whose series the entries are.
fn of(machine: &Option<MachineId>) -> &MachineId {
    machine.as_ref().expect("the first entry brought it")
}

impl Cold {
    fn step(&mut self, machine: &MachineId, breaches: bool, look: Look, out: &mut Transitions) {
        // Silence is told in logical time: what came before it was over is the replay of samples that were judged then.
        if let Phase::Firing(since, Cause::NoData) = self.phase
            && Timestamp::from_logical(look.t) < since
        {
            return;
        }
        let (after, turn) = self.phase.after(&self.rule, (look.value, look.time), breaches);
        self.phase = after;
        match turn {
            None => {}
            Some(Turn::Fired) => out.push(self.transition(machine, (Change::Fired, Cause::Threshold), look, look.time)),
            Some(Turn::Resolved(since, cause)) => {
                let time = if cause == Cause::NoData { Timestamp::from_logical(look.t) } else { look.time };
                out.push(self.transition(machine, (Change::Resolved, cause), Look { time, ..look }, since));
            }
        }
    }

    fn transition(
        &self,
        machine: &MachineId,
        (change, cause): (Change, Cause),
        look: Look,
        since: Timestamp,
    ) -> At<Arc<Transition>> {
        let Look { t, value, time: at } = look;
        let (rule, machine, series) = (Arc::clone(&self.rule), machine.clone(), Arc::clone(&self.key));
        At { t, item: Arc::new(Transition { rule, machine, series, change, cause, value, at, since, t }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
