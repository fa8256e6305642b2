//! Watched: which rules look at which series of a machine, and each one's verdict.
//!
//! What every sample touches is kept apart from what a change of a verdict needs, so that judging a frame reads a few cache lines.
//! Invariants: A-1 Fired and Resolved alternate per alert.

use std::sync::Arc;

use model::rule::{Input, Operator};
use model::{Aggregates, Bound, Change, LogicalTime, MachineId, Rule, SeriesKey, Timestamp, Transition};

use crate::control::facts::{Binding, SeriesFact};
use crate::stage::At;

type Transitions = Vec<At<Arc<Transition>>>;

/// The verdicts on one machine.
#[derive(Default)]
pub(super) struct Machine {
    /// Series of the machine whose bindings are known or waited for.
    pub(super) known: usize,
    samples: Watched,
    minutes: Watched,
}

/// One entry per series and rule, in slot order: `hot` and `cold` of one entry have one index.
#[derive(Default)]
struct Watched {
    hot: Vec<Hot>,
    cold: Vec<Cold>,
}

/// What each sample is held against.
#[derive(Clone, Copy)]
struct Hot {
    slot: u32,
    is_calm: bool,
    breach: Breach,
    newest: i64,
    /// The value that was judged last.
    value: f64,
}

struct Cold {
    rule: Arc<Rule>,
    machine: MachineId,
    key: Arc<SeriesKey>,
    phase: Phase,
    /// Bindings that hold it: two for a moment, while an edited rule or new tags replace the old.
    bindings: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Calm,
    /// Breached since, for less than the rule's `for`.
    Pending(Timestamp),
    Firing(Timestamp),
}

/// A value to be judged.
#[derive(Clone, Copy)]
struct Look {
    t: LogicalTime,
    value: f64,
    time: Timestamp,
}

/// Which values breach a rule, as two comparisons: `Operator::holds` would choose between six by a jump.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Breach {
    /// Both ends are calm, or both breach where `is_inside`.
    from: f64,
    to: f64,
    is_inside: bool,
}

impl Breach {
    fn of(operator: Operator, threshold: f64) -> Self {
        let (from, to, is_inside) = match operator {
            Operator::Gt => (f64::NEG_INFINITY, threshold, false),
            Operator::Gte => (threshold, f64::INFINITY, true),
            Operator::Lt => (threshold, f64::INFINITY, false),
            Operator::Lte => (f64::NEG_INFINITY, threshold, true),
            Operator::Eq => (threshold, threshold, true),
            Operator::Ne => (threshold, threshold, false),
        };
        Self { from, to, is_inside }
    }

    #[inline]
    fn holds(self, value: f64) -> bool {
        ((value >= self.from) & (value <= self.to)) == self.is_inside
    }
}

impl Machine {
    fn of(&mut self, rule: &Rule) -> &mut Watched {
        if rule.input == Input::Sample { &mut self.samples } else { &mut self.minutes }
    }

    /// A rule applies from here on. `persisted` gives the time since when its alert was firing before the restart.
    pub(super) fn assert(&mut self, Binding { series, rule }: Binding, persisted: impl FnOnce() -> Option<Timestamp>) {
        self.of(&rule.rule).assert(&series, rule.rule, persisted);
    }

    /// A rule applies no more; its alert is resolved.
    pub(super) fn retract(&mut self, t: LogicalTime, Binding { series, rule }: &Binding, out: &mut Transitions) {
        self.of(&rule.rule).retract(t, series.slot, &rule.rule.name, out);
    }

    /// Reads what the next frame will be held against.
    pub(super) fn touch(&self) -> i64 {
        self.samples.hot.iter().fold(0, |read, hot| read ^ hot.newest)
    }

    pub(super) fn batch(&mut self, t: LogicalTime, bound: &Bound, out: &mut Transitions) {
        let watched = &mut self.samples;
        if watched.hot.is_empty() {
            return;
        }
        if bound.is_dense() {
            let (values, time) = (&bound.batch.values, bound.batch.newest());
            for at in 0..watched.hot.len() {
                if let Some(value) = values.get(watched.hot[at].slot as usize) {
                    watched.look(at, Look { t, value: *value, time }, out);
                }
            }
            return;
        }
        if let Some(list) = bound.rising().filter(|list| watched.hot.len() < list.len()) {
            let (values, time) = (&bound.batch.values, bound.batch.newest());
            for at in 0..watched.hot.len() {
                if let Some(index) = position_of(watched.hot[at].slot, list) {
                    watched.look(at, Look { t, value: values[index], time }, out);
                }
            }
            return;
        }
        // Slots mostly rise within a batch, so the next watched one is found by walking along.
        let (mut next, mut before) = (0, 0);
        for index in 0..bound.batch.len() {
            let slot = bound.slot(index).0;
            if slot <= before {
                next = watched.first_of(slot);
            }
            before = slot;
            while watched.hot.get(next).is_some_and(|hot| hot.slot < slot) {
                next += 1;
            }
            while watched.hot.get(next).is_some_and(|hot| hot.slot == slot) {
                let (value, time) = (bound.batch.values[index], bound.batch.time(index));
                watched.look(next, Look { t, value, time }, out);
                next += 1;
            }
        }
    }

    /// A minute is judged once, when it closes: a correction of it is not newer than its series' newest.
    pub(super) fn minute(&mut self, t: LogicalTime, rows: &Aggregates, out: &mut Transitions) {
        let watched = &mut self.minutes;
        if !rows.is_final || watched.hot.is_empty() {
            return;
        }
        let time = rows.window.end();
        for (slot, row) in rows.rows.iter() {
            let mut at = watched.first_of(slot.0);
            while watched.hot.get(at).is_some_and(|hot| hot.slot == slot.0) {
                #[expect(clippy::cast_precision_loss, reason = "a minute's count stays far below 2^53")]
                let value = match watched.cold[at].rule.input {
                    Input::MinuteMean => row.mean(),
                    Input::MinuteSum => row.sum,
                    Input::MinuteCount => row.count as f64,
                    Input::MinuteMax => row.max,
                    Input::Sample => row.last,
                };
                watched.look(at, Look { t, value, time }, out);
                at += 1;
            }
        }
    }
}

/// Where a slot is in a list that rises strictly. Few are absent, so it is a few places before the one of its number.
fn position_of(slot: u32, list: &[u16]) -> Option<usize> {
    const NEAR: usize = 8;
    let end = list.len().min(slot as usize + 1);
    let near = end.saturating_sub(NEAR);
    let found = match list.get(near) {
        Some(first) if u32::from(*first) <= slot => {
            near + list[near..end].iter().rposition(|at| u32::from(*at) <= slot)?
        }
        _ => list[..near].binary_search_by_key(&slot, |at| u32::from(*at)).ok()?,
    };
    (u32::from(list[found]) == slot).then_some(found)
}

impl Watched {
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

    fn assert(&mut self, series: &SeriesFact, rule: Arc<Rule>, persisted: impl FnOnce() -> Option<Timestamp>) {
        let breach = Breach::of(rule.operator, rule.threshold);
        let at = match self.find(series.slot, &rule.name) {
            Ok(at) => {
                let (hot, cold) = (&mut self.hot[at], &mut self.cold[at]);
                hot.breach = breach;
                cold.rule = rule;
                cold.bindings += 1;
                return;
            }
            Err(at) => at,
        };
        let firing = persisted();
        // What was judged before, by another rule or before the restart, is not judged again.
        let judged = self.hot.iter().filter(|hot| hot.slot == series.slot).map(|hot| hot.newest).max();
        let newest = judged.unwrap_or(i64::MIN).max(firing.map_or(i64::MIN, Timestamp::micros));
        let (slot, is_calm) = (series.slot, firing.is_none());
        self.hot.insert(at, Hot { slot, is_calm, breach, newest, value: 0.0 });
        let phase = firing.map_or(Phase::Calm, Phase::Firing);
        let (machine, key) = (series.machine.clone(), Arc::clone(&series.key));
        self.cold.insert(at, Cold { rule, machine, key, phase, bindings: 1 });
    }

    fn retract(&mut self, t: LogicalTime, slot: u32, rule: &str, out: &mut Transitions) {
        let Ok(at) = self.find(slot, rule) else { return };
        self.cold[at].bindings -= 1;
        if self.cold[at].bindings > 0 {
            return;
        }
        let (hot, cold) = (self.hot.remove(at), self.cold.remove(at));
        if let Phase::Firing(since) = cold.phase {
            let look = Look { t, value: hot.value, time: Timestamp::from_logical(t) };
            out.push(cold.transition(Change::Resolved, look, since));
        }
    }

    #[inline]
    fn look(&mut self, at: usize, look: Look, out: &mut Transitions) {
        let hot = &mut self.hot[at];
        if look.time.micros() <= hot.newest {
            return;
        }
        (hot.newest, hot.value) = (look.time.micros(), look.value);
        let breaches = hot.breach.holds(look.value);
        if breaches || !hot.is_calm {
            let cold = &mut self.cold[at];
            cold.step(breaches, look, out);
            hot.is_calm = cold.phase == Phase::Calm;
        }
    }
}

impl Cold {
    fn step(&mut self, breaches: bool, look: Look, out: &mut Transitions) {
        match self.phase {
            Phase::Firing(since) => {
                if !self.rule.still_holds(look.value) {
                    self.phase = Phase::Calm;
                    out.push(self.transition(Change::Resolved, look, since));
                }
            }
            Phase::Calm | Phase::Pending(_) if !breaches => self.phase = Phase::Calm,
            Phase::Calm | Phase::Pending(_) => {
                let since = if let Phase::Pending(since) = self.phase { since } else { look.time };
                if look.time.since(since).as_secs() < u64::from(self.rule.for_s) {
                    self.phase = Phase::Pending(since);
                    return;
                }
                self.phase = Phase::Firing(look.time);
                out.push(self.transition(Change::Fired, look, look.time));
            }
        }
    }

    fn transition(&self, change: Change, Look { t, value, time: at }: Look, since: Timestamp) -> At<Arc<Transition>> {
        let (rule, machine, series) = (Arc::clone(&self.rule), self.machine.clone(), Arc::clone(&self.key));
        At { t, item: Arc::new(Transition { rule, machine, series, change, value, at, since, t }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn two_comparisons_say_what_the_operator_says(value in -3i8..3, threshold in -3i8..3) {
            let (value, threshold) = (f64::from(value), f64::from(threshold));
            for operator in [Operator::Gt, Operator::Gte, Operator::Lt, Operator::Lte, Operator::Eq, Operator::Ne] {
                prop_assert_eq!(Breach::of(operator, threshold).holds(value), operator.holds(value, threshold));
            }
        }

        #[test]
        fn a_slot_is_found_where_it_is(list in prop::collection::btree_set(0u16..60, 0..60)) {
            let list: Vec<u16> = list.into_iter().collect();
            for slot in 0..64_u16 {
                let expected = list.iter().position(|at| *at == slot);
                prop_assert_eq!(position_of(u32::from(slot), &list), expected);
            }
        }
    }
}
