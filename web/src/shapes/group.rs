//! Group: what the API says of firing alerts that belong together.

use std::collections::BTreeMap;

use model::{AlertGroup, GroupKey, GroupMember, Labels, Severity};

use super::machine_id;

#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = AlertGroup)]
pub(crate) struct GroupShape<'a> {
    /// What its alerts share: `rule`, `machine`, `tag:NAME`, `label:NAME`; empty where they have none.
    key: BTreeMap<String, &'a str>,
    count: u32,
    active: u32,
    silenced: u32,
    inhibited: u32,
    severity: Severity,
    /// Of the active ones; `null` where there is none.
    #[schema(required)]
    severity_active: Option<Severity>,
    since: i64,
    /// The first of them; `count` says how many there are.
    members: Vec<MemberShape<'a>>,
}

#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = GroupMember)]
struct MemberShape<'a> {
    id: String,
    rule: &'a str,
    #[schema(schema_with = machine_id)]
    machine: &'a str,
    metric: &'a str,
    #[schema(value_type = BTreeMap<String, String>)]
    labels: &'a Labels,
    severity: Severity,
    since: i64,
    standing: &'static str,
    #[schema(required)]
    silence: Option<&'a str>,
}

impl<'a> GroupShape<'a> {
    pub(crate) fn of(GroupKey(key): &'a GroupKey, group: &'a AlertGroup) -> Self {
        Self {
            key: key.iter().map(|(by, value)| (by.to_string(), value.as_ref())).collect(),
            count: group.count(),
            active: group.active,
            silenced: group.silenced,
            inhibited: group.inhibited,
            severity: group.severity,
            severity_active: group.severity_active,
            since: group.since.millis(),
            members: group.members.iter().map(|member| MemberShape::of(member)).collect(),
        }
    }
}

impl<'a> MemberShape<'a> {
    fn of(member: &'a GroupMember) -> Self {
        let GroupMember { rule, machine, series, severity, since, standing } = member;
        Self {
            id: member.id(),
            rule,
            machine: machine.as_str(),
            metric: &series.metric,
            labels: &series.labels,
            severity: *severity,
            since: since.millis(),
            standing: standing.as_str(),
            silence: standing.silence(),
        }
    }
}
