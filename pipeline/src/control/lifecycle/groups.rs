//! Groups: firing alerts that share what their rules group them by, in differential.
//!
//! In: how each breach stands, with its machine's tags; the rules in force, whose present `group_by` and severity count, so that an
//! edit regroups what fires. Out: each group with what it is. A breach whose rule is gone resolves moments later and is in none.
//! Cost: a group is made of shards, so that one alert among ten thousand makes one shard anew and merges the shards.
//! State: breaches and rules by rule, members by shard, shards by group.

use std::sync::Arc;

use differential_dataflow::{Hashable, VecCollection};
use model::{AlertGroup, GroupBy, GroupChange, GroupKey, GroupMember, LogicalTime, Output, Severity};
use serde::{Deserialize, Serialize};

use super::breach::{Breach, Tags};
use super::standing::Stood;
use crate::control::arranged::by_key;
use crate::control::facts::RuleFact;

/// Parts of a group; more would be parts of one alert each where groups are small.
const SHARDS: u64 = 32;

/// Groups are made anew so often at most: they are for people, and in a storm of alerts each change of a group costs as much as a thousand samples.
const STEP: LogicalTime = 1_000_000;

/// A group by its key.
pub(super) type Grouped = (GroupKey, AlertGroup);

/// What of a rule counts here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Grouping {
    by: Vec<GroupBy>,
    severity: Severity,
}

pub(super) fn groups<'s>(
    stood: VecCollection<'s, LogicalTime, Stood, isize>,
    rules: VecCollection<'s, LogicalTime, RuleFact, isize>,
) -> VecCollection<'s, LogicalTime, Grouped, isize> {
    // Alerts that are shown to nobody would change their group every few seconds.
    let stood = stood.filter(|(breach, _)| breach.machine.has_shown_alerts());
    let stood = stood.map(|stood| (Arc::clone(&stood.0.rule), stood));
    let groupings = rules.map(|RuleFact { rule, .. }| {
        let grouping = Grouping { by: rule.group_by.clone(), severity: rule.severity };
        (Arc::<str>::from(rule.name.as_str()), grouping)
    });
    let members = by_key(stood, "alerts by rule")
        .join_core(by_key(groupings, "groupings by rule"), |_, stood, grouping| Some(member(stood, grouping)))
        .delay(|t| t.next_multiple_of(STEP));
    members
        .map(|(key, member)| ((key, member.hashed() % SHARDS), member))
        .reduce_named("Group shard", |_, members: &[(&Arc<GroupMember>, isize)], out| {
            out.extend(AlertGroup::of(members.iter().map(|(member, _)| *member)).map(|part| (part, 1)));
        })
        .map(|((key, _), part)| (key, part))
        .reduce_named("Group", |_, parts: &[(&AlertGroup, isize)], out| {
            out.extend(AlertGroup::merged(parts.iter().map(|(part, _)| *part)).map(|whole| (whole, 1)));
        })
}

fn member((breach, (standing, tags)): &Stood, Grouping { by, severity }: &Grouping) -> (GroupKey, Arc<GroupMember>) {
    let Breach { machine, rule, series, since } = breach.clone();
    let none = Tags::default();
    let key = GroupKey::of(by, (&rule, &machine, &series), tags.as_ref().unwrap_or(&none));
    (key, Arc::new(GroupMember { rule, machine, series, severity: *severity, since, standing: standing.clone() }))
}

/// What one boundary says of groups, in key order: one that went is over only where nothing came in its place.
pub(super) fn told(changes: &[(Grouped, isize)]) -> Vec<Output> {
    let groups = changes.chunk_by(|((a, _), _), ((b, _), _)| a == b);
    let said = groups.filter_map(|of_one| {
        let ((key, _), _) = of_one.first()?;
        let came = of_one.iter().find(|(_, diff)| 0 < *diff).map(|((_, group), _)| Arc::new(group.clone()));
        Some(Output::Group(Arc::new(GroupChange { key: key.clone(), group: came })))
    });
    said.collect()
}
