//! Crossing: a rule that changes from samples to minutes, or back, changes sides. Each side goes at its own pace, so what the two say of
//! such a rule is held until both have passed it, and leaves in order of time: or its new alert would fire before the old one resolves,
//! which nobody would take for a new one.
//!
//! State: the side of each rule that was told of, up to a bound; transitions of crossed rules, until the frontier has passed them.

use std::collections::{BTreeMap, BTreeSet};

use model::{Alert, LogicalTime, Rule};

use super::is_of_samples;
use super::side::Transitions;

/// Names remembered; rules are made by people. Beyond it the memory starts anew.
const NAMES_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct Crossing {
    /// Whether it looked at samples when it was last told of.
    sides: BTreeMap<String, bool>,
    crossed: BTreeSet<String>,
    held: Transitions,
}

impl Crossing {
    /// `firing`: alerts from before the restart, each with the rule of then.
    pub(super) fn new<'a>(firing: impl Iterator<Item = &'a Alert>) -> Self {
        let mut crossing = Self::default();
        firing.for_each(|alert| crossing.note(&alert.rule));
        crossing
    }

    /// A rule that is told of.
    pub(super) fn note(&mut self, rule: &Rule) {
        if NAMES_MAX <= self.sides.len() {
            self.sides.clear();
            self.crossed.clear();
        }
        let side = is_of_samples(rule);
        if self.sides.insert(rule.name.clone(), side).is_some_and(|before| before != side) {
            self.crossed.insert(rule.name.clone());
        }
    }

    /// Holds back what is not before `over`, until which both sides have said everything.
    pub(super) fn pass(&mut self, over: LogicalTime, out: &mut Transitions) {
        if self.crossed.is_empty() && self.held.is_empty() {
            return;
        }
        self.held.extend(out.extract_if(.., |at| self.crossed.contains(&at.item.rule.name)));
        // Each side in its own order; of one time, the side that the rule has left comes first.
        let sides = &self.sides;
        self.held.sort_by_key(|at| (at.t, sides.get(&at.item.rule.name) == Some(&is_of_samples(&at.item.rule))));
        let count = self.held.partition_point(|at| at.t < over);
        out.extend(self.held.drain(..count));
    }

    /// The earliest time that is held.
    pub(super) fn first(&self) -> Option<LogicalTime> {
        self.held.first().map(|at| at.t)
    }
}
