//! Groups: firing alerts that share what their rules group them by, in differential.
//!
//! In: how each breach stands, with its machine's tags; the rules in force, whose present `group_by` and severity count, so that an
//! edit regroups what fires. Out: each group with what it is. A breach whose rule is gone resolves moments later and is in none.
//! Cost: who is in a group is worked out by differential; what the group is then, by a list of its members in order, since a reduce over them
//! costs as much for each change as some thousand samples do.
//! State: breaches and rules by rule; per group its members and what was last told of it, until its last alert resolves.

use std::collections::BTreeMap;
use std::sync::Arc;

use differential_dataflow::VecCollection;
use model::{AlertGroup, GroupBy, GroupChange, GroupKey, GroupMember, LogicalTime, Output, Severity};
use serde::{Deserialize, Serialize};

use super::breach::{Breach, Tags};
use super::standing::Stood;
use crate::control::arranged::by_key;
use crate::control::facts::RuleFact;

/// Groups are made anew so often at most: they are for people, and in a storm of alerts each change of a group costs as much as a thousand samples.
const STEP: LogicalTime = 1_000_000;

/// An alert by the group that it is in.
pub(super) type Member = (GroupKey, Arc<GroupMember>);

/// What of a rule counts here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Grouping {
    by: Vec<GroupBy>,
    severity: Severity,
}

pub(super) fn members<'s>(
    stood: VecCollection<'s, LogicalTime, Stood, isize>,
    rules: VecCollection<'s, LogicalTime, RuleFact, isize>,
) -> VecCollection<'s, LogicalTime, Member, isize> {
    // Alerts that are shown to nobody would change their group every few seconds.
    let stood = stood.filter(|(breach, _)| breach.machine.has_shown_alerts());
    let stood = stood.map(|stood| (Arc::clone(&stood.0.rule), stood));
    let groupings = rules.map(|RuleFact { rule, .. }| {
        let grouping = Grouping { by: rule.group_by.clone(), severity: rule.severity };
        (Arc::<str>::from(rule.name.as_str()), grouping)
    });
    by_key(stood, "alerts by rule")
        .join_core(by_key(groupings, "groupings by rule"), |_, stood, grouping| Some(member(stood, grouping)))
        .delay(|t| t.next_multiple_of(STEP))
}

fn member((breach, (standing, tags)): &Stood, Grouping { by, severity }: &Grouping) -> Member {
    let Breach { machine, rule, series, since } = breach.clone();
    let none = Tags::default();
    let key = GroupKey::of(by, (&rule, &machine, &series), tags.as_ref().unwrap_or(&none));
    (key, Arc::new(GroupMember { rule, machine, series, severity: *severity, since, standing: standing.clone() }))
}

/// The groups that this worker tells of.
#[derive(Default)]
pub(super) struct Groups(BTreeMap<GroupKey, Group>);

#[derive(Default)]
struct Group {
    /// Each once, but for a moment in which differences come in any order.
    members: BTreeMap<Arc<GroupMember>, isize>,
    told: Option<Arc<AlertGroup>>,
}

impl Groups {
    /// What one boundary says of groups, in key order.
    pub(super) fn told(&mut self, changes: &[(Member, isize)]) -> Vec<Output> {
        let groups = changes.chunk_by(|((a, _), _), ((b, _), _)| a == b);
        groups.filter_map(|of_one| self.change(of_one)).collect()
    }

    /// Changes of one group, which is told if it is otherwise by them.
    fn change(&mut self, changes: &[(Member, isize)]) -> Option<Output> {
        let ((key, _), _) = changes.first()?;
        let group = self.0.entry(key.clone()).or_default();
        for ((_, member), diff) in changes {
            let count = group.members.entry(Arc::clone(member)).or_default();
            *count += diff;
            if *count == 0 {
                group.members.remove(member);
            }
        }
        let now = AlertGroup::of(group.members.keys()).map(Arc::new);
        let told = std::mem::replace(&mut group.told, now.clone());
        if now.is_none() {
            self.0.remove(key);
        }
        (now != told).then(|| Output::Group(Arc::new(GroupChange { key: key.clone(), group: now })))
    }
}
