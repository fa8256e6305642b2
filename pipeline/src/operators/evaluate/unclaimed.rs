//! Unclaimed: firing alerts that no binding goes on with, from before the restart or of a machine that was forgotten.
//!
//! A binding that comes claims its alert. An alert that no rule in force may still be asking about is an orphan, whether or not its machine
//! ever returns. Everything else stays: missing data never resolves.
//! Bounded: each alert has one of the worker's places, of which there are twice `bindings_max`; its binding takes it over.

use std::collections::BTreeMap;
use std::sync::Arc;

use differential_dataflow::consolidation::consolidate;
use model::{Alert, Cause, MachineId, Roster, Rule, Timestamp};

use crate::control::facts::{Binding, Fact, RuleFact};

#[derive(Default)]
pub(super) struct Unclaimed {
    alerts: BTreeMap<MachineId, Vec<Alert>>,
    /// The rules in effect, and whether they are this run's own.
    rules: BTreeMap<String, Arc<Rule>>,
    are_rules_known: bool,
}

impl Unclaimed {
    pub(super) fn add(&mut self, alerts: Vec<Alert>) {
        for alert in alerts {
            self.alerts.entry(alert.machine.clone()).or_default().push(alert);
        }
    }

    /// Since when and why the alert fires that a binding goes on with.
    pub(super) fn claim(
        &mut self,
        Binding { series, rule: RuleFact { rule, .. } }: &Binding,
    ) -> Option<(Timestamp, Cause)> {
        let alerts = self.alerts.get_mut(&series.machine)?;
        let at = alerts.iter().position(|alert| alert.rule.name == rule.name && alert.series == series.key)?;
        let alert = asks_the_same(rule, &alerts[at]).then(|| alerts.swap_remove(at))?;
        self.tidy();
        Some((alert.since, alert.cause))
    }

    /// Those of a machine whose bindings are all in effect: none of them applies to these any more.
    pub(super) fn left_of(&mut self, roster: &Roster) -> Vec<Alert> {
        let Some(alerts) = self.alerts.get_mut(&roster.machine) else { return Vec::new() };
        let left = alerts.extract_if(.., |alert| roster.series.contains(&alert.series)).collect();
        self.tidy();
        left
    }

    /// Takes up the rules of one boundary, and gives the alerts that none of them may be asking about.
    pub(super) fn heed(&mut self, mut notices: Vec<(Fact, isize)>) -> Vec<Alert> {
        consolidate(&mut notices);
        // Retractions first: an edited rule is then replaced.
        notices.sort_by_key(|(_, diff)| *diff);
        for (fact, diff) in &notices {
            match fact {
                Fact::Rule(RuleFact { rule, .. }) if *diff < 0 => drop(self.rules.remove(&rule.name)),
                Fact::Rule(RuleFact { rule, .. }) => drop(self.rules.insert(rule.name.clone(), Arc::clone(rule))),
                Fact::RulesKnown => self.are_rules_known = true,
                Fact::Forgotten(_) | Fact::Series(_) | Fact::Machine(_) | Fact::Silence(_) => {}
            }
        }
        if !self.are_rules_known || notices.is_empty() {
            return Vec::new();
        }
        let rules = &self.rules;
        let is_orphan = |alert: &Alert| !rules.get(&alert.rule.name).is_some_and(|rule| may_ask(rule, alert));
        let mut orphans = Vec::new();
        for alerts in self.alerts.values_mut() {
            orphans.extend(alerts.extract_if(.., |alert| is_orphan(alert)));
        }
        self.tidy();
        orphans
    }

    pub(super) fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    fn tidy(&mut self) {
        self.alerts.retain(|_, alerts| !alerts.is_empty());
    }
}

/// A rule that no longer asks about silence does not answer for it either, nor does one that looks at something else.
fn asks_the_same(rule: &Rule, alert: &Alert) -> bool {
    rule.input == alert.rule.input && (alert.cause != Cause::NoData || rule.no_data_s.is_some())
}

/// Whether a rule in force may still ask what the alert is about, whatever the machine's tags are: they are known once it is back.
fn may_ask(rule: &Rule, alert: &Alert) -> bool {
    let is_meant = rule.enabled && *rule.metric == *alert.series.metric;
    is_meant && asks_the_same(rule, alert) && rule.may_match(&alert.machine, &alert.series.labels)
}
