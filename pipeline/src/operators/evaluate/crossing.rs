//! Crossing: a rule that changes from samples to minutes, or back, changes sides. Each side goes at its own pace, so what the two say of
//! such a rule is held until both have passed it, and leaves in order of time: or its new alert would fire before the old one resolves,
//! which nobody would take for a new one (A-1).
//!
//! One side lets go of it when the other one takes it up, `LAG` after the boundary of the edit. That is so for series, too, that a side meets
//! in between and whose bindings it takes at once otherwise: the other side may have met them long ago.
//! State: the side of each rule that was told of, up to a bound; the rules that are about to change sides, and transitions of theirs, until
//! the frontier has passed them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use model::{Alert, Cause, LogicalTime, Rule};

use super::is_of_samples;
use super::side::{LAG, Transitions};
use crate::control::coarsen::boundary_after;

/// Names remembered; rules are made by people. Beyond it the memory starts anew.
const NAMES_MAX: usize = 10_000;

/// Rules that are about to change sides, with the boundary that tells it.
#[derive(Default)]
pub(super) struct Crossers(BTreeSet<(LogicalTime, String)>);

impl Crossers {
    /// Whether the rule changes sides by a boundary that is known at `t` and takes effect later.
    pub(super) fn has(&self, rule: &str, t: LogicalTime) -> bool {
        let is_open = |boundary: LogicalTime| boundary <= boundary_after(t) && t < boundary.saturating_add(LAG);
        self.0.iter().any(|(boundary, name)| name == rule && is_open(*boundary))
    }
}

#[derive(Default)]
pub(super) struct Crossing {
    /// Whether it looked at samples when it was last told of.
    sides: BTreeMap<String, bool>,
    /// The same of rules whose alerts fired before the restart.
    before: BTreeMap<String, bool>,
    crossers: Rc<RefCell<Crossers>>,
    held: Transitions,
}

impl Crossing {
    /// `firing`: alerts from before the restart, each with the rule of then.
    pub(super) fn new<'a>(firing: impl Iterator<Item = &'a Alert>) -> Self {
        let before = firing.map(|alert| (alert.rule.name.clone(), is_of_samples(&alert.rule))).collect();
        Self { before, ..Self::default() }
    }

    /// What both sides are to know.
    pub(super) fn crossers(&self) -> Rc<RefCell<Crossers>> {
        Rc::clone(&self.crossers)
    }

    /// A rule that is told of at a boundary.
    pub(super) fn note(&mut self, boundary: LogicalTime, rule: &Rule) {
        if NAMES_MAX <= self.sides.len() {
            self.sides.clear();
        }
        let side = is_of_samples(rule);
        let earlier = self.sides.insert(rule.name.clone(), side).or_else(|| self.before.get(&rule.name).copied());
        if earlier.is_some_and(|before| before != side) {
            self.crossers.borrow_mut().0.insert((boundary, rule.name.clone()));
        }
    }

    /// The rules of this run are known by a boundary: what fired before the restart on the other side ends by it.
    pub(super) fn know(&mut self, boundary: LogicalTime) {
        let gone =
            std::mem::take(&mut self.before).into_iter().filter(|(name, side)| self.sides.get(name) != Some(side));
        self.crossers.borrow_mut().0.extend(gone.map(|(name, _)| (boundary, name)));
    }

    /// Holds back what is not before `over`, until which both sides have said everything.
    pub(super) fn pass(&mut self, over: LogicalTime, out: &mut Transitions) {
        let mut crossers = self.crossers.borrow_mut();
        if crossers.0.is_empty() && self.held.is_empty() {
            return;
        }
        // Behind what is held of a rule its later words wait, too, though the change of sides itself is over.
        let waiting: BTreeSet<String> = self.held.iter().map(|at| at.item.rule.name.clone()).collect();
        let is_held = |rule: &String| waiting.contains(rule) || crossers.0.iter().any(|(_, name)| name == rule);
        self.held.extend(out.extract_if(.., |at| is_held(&at.item.rule.name)));
        // Each side in its own order; of one time, the side that the rule has left comes first, with what it takes back.
        self.held.sort_by_key(|at| (at.t, at.item.cause != Cause::RuleGone));
        let count = self.held.partition_point(|at| at.t < over);
        out.extend(self.held.drain(..count));
        crossers.0.retain(|(boundary, _)| over <= boundary.saturating_add(LAG));
    }

    /// The earliest time that is held.
    pub(super) fn first(&self) -> Option<LogicalTime> {
        self.held.first().map(|at| at.t)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Change, Labels, MachineId, SeriesKey, Timestamp, Transition};

    use super::*;
    use crate::stage::At;

    fn said(t: LogicalTime, rule: &Rule, change: Change) -> At<Arc<Transition>> {
        let (machine, series) = (MachineId::parse("a").unwrap(), SeriesKey::parse("m", Labels::none()).unwrap());
        let (rule, series, at) = (Arc::new(rule.clone()), Arc::new(series), Timestamp::from_logical(t));
        let cause = Cause::Threshold;
        At { t, item: Arc::new(Transition { rule, machine, series, change, cause, value: 1.0, at, since: at, t }) }
    }

    #[test]
    fn what_a_rule_says_later_waits_behind_what_is_held_of_it_though_the_crossing_is_over() {
        let rule = |input: &str| -> Rule {
            let text = r#"{"name":"hot","metric":"m","operator":"gt","threshold":1,"severity":"info","input":"INPUT"}"#;
            serde_json::from_str(&text.replace("INPUT", input)).unwrap()
        };
        let mut crossing = Crossing::default();
        crossing.note(100_000, &rule("minute_max"));
        crossing.note(200_000, &rule("sample"));
        let sample = rule("sample");
        // Data flows before its time is sealed: this is far behind the crossing, and the frontier is not.
        let mut out = vec![said(50_000_000, &sample, Change::Fired)];
        crossing.pass(300_000, &mut out);
        crossing.pass(10_000_000, &mut out);
        assert!(out.is_empty());
        out.push(said(52_000_000, &sample, Change::Resolved));
        crossing.pass(10_000_000, &mut out);
        assert!(out.is_empty(), "the second before the first");
        crossing.pass(60_000_000, &mut out);
        let told: Vec<(LogicalTime, Change)> = out.iter().map(|at| (at.t, at.item.change)).collect();
        assert_eq!(told, [(50_000_000, Change::Fired), (52_000_000, Change::Resolved)]);
        assert_eq!(crossing.first(), None);
    }
}
