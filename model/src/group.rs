//! Group: firing alerts that share what their rules group them by, so that a person sees one thing and not forty.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::alert::{Standing, StandingChange};
use crate::ids::MachineId;
use crate::rule::Severity;
use crate::series::SeriesKey;
use crate::time::Timestamp;

/// Names that one rule may group by.
pub const GROUP_BY_MAX: usize = 8;
/// Members that a group names; the rest is counted.
pub const MEMBERS_MAX: usize = 20;
const NAME_BYTES_MAX: usize = 128;

/// One thing that alerts are grouped by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum GroupBy {
    Rule,
    Machine,
    /// A tag of the machine.
    Tag(String),
    /// A label of the series.
    Label(String),
}

impl GroupBy {
    /// # Errors
    /// A sentence that says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_name = |name: &str| {
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
            !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_plain)
        };
        match (text, text.split_once(':')) {
            ("rule", _) => Ok(Self::Rule),
            ("machine", _) => Ok(Self::Machine),
            (_, Some(("tag", name))) if is_name(name) => Ok(Self::Tag(name.to_owned())),
            (_, Some(("label", name))) if is_name(name) => Ok(Self::Label(name.to_owned())),
            _ => Err(format!("{text:?} is nothing to group by: use rule, machine, tag:NAME or label:NAME")),
        }
    }

    /// What an alert has of it; empty where it has none.
    fn value(&self, rule: &str, machine: &MachineId, series: &SeriesKey, tags: &BTreeMap<String, String>) -> Arc<str> {
        match self {
            Self::Rule => rule.into(),
            Self::Machine => machine.as_str().into(),
            Self::Tag(name) => tags.get(name).map_or("", String::as_str).into(),
            Self::Label(name) => series.labels.get(name).unwrap_or("").into(),
        }
    }
}

impl Display for GroupBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule => f.write_str("rule"),
            Self::Machine => f.write_str("machine"),
            Self::Tag(name) => write!(f, "tag:{name}"),
            Self::Label(name) => write!(f, "label:{name}"),
        }
    }
}

impl TryFrom<String> for GroupBy {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<GroupBy> for String {
    fn from(by: GroupBy) -> Self {
        by.to_string()
    }
}

/// What the alerts of a group share, in name order. Alerts of different rules that group by the same names share a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupKey(pub Vec<(GroupBy, Arc<str>)>);

impl GroupKey {
    /// Of an alert whose rule groups by these names; by the rule where it names none.
    pub fn of(
        by: &[GroupBy],
        (rule, machine, series): (&str, &MachineId, &SeriesKey),
        tags: &BTreeMap<String, String>,
    ) -> Self {
        let by = if by.is_empty() { &[GroupBy::Rule] } else { by };
        let mut pairs: Vec<_> = by.iter().map(|by| (by.clone(), by.value(rule, machine, series, tags))).collect();
        pairs.sort();
        pairs.dedup();
        Self(pairs)
    }
}

/// A firing alert as a member of its group. In order: those that a person is to hear of first, the worst first, then the oldest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GroupMember {
    pub rule: Arc<str>,
    pub machine: MachineId,
    pub series: Arc<SeriesKey>,
    pub severity: Severity,
    pub since: Timestamp,
    pub standing: Standing,
}

impl GroupMember {
    /// Of the alert.
    pub fn id(&self) -> String {
        let Self { rule, machine, series, since, standing, .. } = self.clone();
        StandingChange { rule, machine, series, since, standing }.id()
    }

    fn rank(&self) -> impl Ord + '_ {
        let Self { rule, machine, series, severity, since, standing } = self;
        let how = match standing {
            Standing::Active => 0,
            Standing::Silenced(_) => 1,
            Standing::Inhibited => 2,
        };
        (how, std::cmp::Reverse(*severity), *since, (machine, rule, series), standing)
    }
}

impl PartialOrd for GroupMember {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for GroupMember {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// The firing alerts of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlertGroup {
    pub active: u32,
    pub silenced: u32,
    pub inhibited: u32,
    /// The worst of all.
    pub severity: Severity,
    /// The worst of the active ones.
    pub severity_active: Option<Severity>,
    /// Since when the oldest fires.
    pub since: Timestamp,
    /// The first `MEMBERS_MAX`, in order.
    pub members: Vec<Arc<GroupMember>>,
}

impl AlertGroup {
    /// A group of these, which are in order; none of nobody.
    pub fn of<'a>(members: impl IntoIterator<Item = &'a Arc<GroupMember>>) -> Option<Self> {
        let mut named = Vec::new();
        let each = members.into_iter().inspect(|member| {
            debug_assert!(named.last().is_none_or(|before| before <= *member), "members are in order");
            if named.len() < MEMBERS_MAX {
                named.push(Arc::clone(member));
            }
        });
        let whole = each.map(|member| Self::sums_of(member)).reduce(Self::plus)?;
        Some(Self { members: named, ..whole })
    }

    /// What one member adds, without itself.
    fn sums_of(member: &GroupMember) -> Self {
        let is = |which: bool| u32::from(which);
        let (is_active, is_inhibited) = (member.standing == Standing::Active, member.standing == Standing::Inhibited);
        Self {
            active: is(is_active),
            silenced: is(!is_active && !is_inhibited),
            inhibited: is(is_inhibited),
            severity: member.severity,
            severity_active: is_active.then_some(member.severity),
            since: member.since,
            members: Vec::new(),
        }
    }

    /// Both together, without members.
    fn plus(self, other: Self) -> Self {
        Self {
            active: self.active + other.active,
            silenced: self.silenced + other.silenced,
            inhibited: self.inhibited + other.inhibited,
            severity: self.severity.max(other.severity),
            severity_active: self.severity_active.max(other.severity_active),
            since: self.since.min(other.since),
            members: Vec::new(),
        }
    }

    pub fn count(&self) -> u32 {
        self.active + self.silenced + self.inhibited
    }
}

/// A group is otherwise than it was last said to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupChange {
    pub key: GroupKey,
    /// None: its last alert has resolved.
    pub group: Option<Arc<AlertGroup>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Labels;

    fn member(n: u8) -> GroupMember {
        let standing = match n % 3 {
            0 => Standing::Active,
            1 => Standing::Silenced("s".into()),
            _ => Standing::Inhibited,
        };
        GroupMember {
            rule: "disk".into(),
            machine: MachineId::parse(&format!("m{n}")).unwrap(),
            series: Arc::new(SeriesKey { metric: "m".into(), labels: Labels::none() }),
            severity: if n.is_multiple_of(5) { Severity::Critical } else { Severity::Warning },
            since: Timestamp::from_secs(i64::from(n % 7)),
            standing,
        }
    }

    #[test]
    fn what_alerts_are_grouped_by_reads_back_and_anything_else_says_what_to_write() {
        for text in ["rule", "machine", "tag:site", "label:mountpoint"] {
            assert_eq!(GroupBy::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "Rule", "tag:", "tag", "site", "label:a b"] {
            assert!(GroupBy::parse(text).unwrap_err().contains("tag:NAME"), "{text}");
        }
    }

    #[test]
    fn a_key_has_what_the_alert_has_and_the_rule_where_none_is_asked_for() {
        let (machine, tags) = (MachineId::parse("m1").unwrap(), BTreeMap::from([("site".to_owned(), "eu".to_owned())]));
        let series = SeriesKey { metric: "m".into(), labels: Labels::parse([("disk", "sda")]).unwrap() };
        let key = |by: &[&str]| {
            let by: Vec<GroupBy> = by.iter().map(|text| GroupBy::parse(text).unwrap()).collect();
            let key = GroupKey::of(&by, ("full", &machine, &series), &tags);
            key.0.iter().map(|(by, value)| format!("{by}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(key(&[]), ["rule=full"]);
        assert_eq!(key(&["label:disk", "tag:site", "tag:rack"]), ["tag:rack=", "tag:site=eu", "label:disk=sda"]);
    }

    #[test]
    fn a_group_counts_all_and_names_the_first() {
        let mut members: Vec<Arc<GroupMember>> = (0..60).map(|n| Arc::new(member(n))).collect();
        members.sort_unstable();
        let group = AlertGroup::of(&members).unwrap();
        assert_eq!((group.active, group.silenced, group.inhibited, group.count()), (20, 20, 20, 60));
        assert_eq!((group.severity, group.severity_active), (Severity::Critical, Some(Severity::Critical)));
        assert_eq!(group.since, Timestamp::from_secs(0));
        assert_eq!(group.members, members[..MEMBERS_MAX]);
        let calm = AlertGroup::of([&Arc::new(member(2))]).unwrap();
        assert_eq!((calm.severity, calm.severity_active), (Severity::Warning, None));
        assert_eq!(AlertGroup::of([]), None);
    }
}
