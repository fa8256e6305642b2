//! Alerts: a change of a verdict, and the state per rule and series that people see.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{MachineId, stable_hash};
use crate::rule::Rule;
use crate::series::SeriesKey;
use crate::time::{LogicalTime, Timestamp};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    Fired,
    Resolved,
}

/// Why an alert fired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A value broke the rule.
    #[default]
    Threshold,
    /// The series fell silent for as long as the rule allows.
    NoData,
    /// Only of a Resolved: no rule of this name asks about the series any more, so that nothing else would ever end the alert.
    RuleGone,
}

impl Cause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Threshold => "threshold",
            Self::NoData => "no_data",
            Self::RuleGone => "rule_gone",
        }
    }
}

/// Why an alert is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The series sent a calm value.
    Value,
    /// The rule was deleted, disabled, or changed so that it asks about something else.
    RuleGone,
}

impl Resolution {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::RuleGone => "rule_gone",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::Value, Self::RuleGone].into_iter().find(|resolution| resolution.as_str() == word)
    }
}

/// A rule's verdict on a series changed. Fired and Resolved alternate per rule and series.
#[derive(Debug, Clone)]
pub struct Transition {
    pub rule: Arc<Rule>,
    pub machine: MachineId,
    pub series: Arc<SeriesKey>,
    pub change: Change,
    /// Of the alert: a Resolved has that of its Fired, or `RuleGone`.
    pub cause: Cause,
    /// The value that changed the verdict, and its event time; of an alert about silence the last value that is known and the logical time.
    pub value: f64,
    pub at: Timestamp,
    /// When the alert fired (= `at` for Fired).
    pub since: Timestamp,
    /// T of the batch that caused it.
    pub t: LogicalTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    Firing,
    Resolved,
}

/// How a firing alert stands: whether anybody is to hear of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    Active,
    /// By the silence of this id.
    Silenced(Arc<str>),
    /// Its machine is down, which has an alert of its own.
    Inhibited,
}

impl Standing {
    /// The word for it in every store and shape.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Silenced(_) => "silenced",
            Self::Inhibited => "inhibited",
        }
    }

    /// The silence that it is because of.
    pub fn silence(&self) -> Option<&str> {
        match self {
            Self::Silenced(id) => Some(id),
            Self::Active | Self::Inhibited => None,
        }
    }

    /// From the word and the silence; none where they are nobody's.
    pub fn parse(word: &str, silence: Option<&str>) -> Option<Self> {
        match (word, silence) {
            ("active", _) => Some(Self::Active),
            ("silenced", Some(id)) => Some(Self::Silenced(id.into())),
            ("inhibited", _) => Some(Self::Inhibited),
            _ => None,
        }
    }
}

/// A firing alert stands otherwise than it was last said to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingChange {
    pub rule: Arc<str>,
    pub machine: MachineId,
    pub series: Arc<SeriesKey>,
    pub since: Timestamp,
    pub standing: Standing,
}

impl Transition {
    /// Why the alert is over; none while it fires.
    pub fn resolution(&self) -> Option<Resolution> {
        match (self.change, self.cause) {
            (Change::Fired, _) => None,
            (Change::Resolved, Cause::RuleGone) => Some(Resolution::RuleGone),
            (Change::Resolved, Cause::Threshold | Cause::NoData) => Some(Resolution::Value),
        }
    }
}

impl StandingChange {
    /// Of the alert that it is about.
    pub fn id(&self) -> String {
        id(&self.rule, &self.machine, &self.series, self.since)
    }
}

/// One alert: one breach of a rule by a series, from firing to resolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// `key` and `since`, hashed, in hexadecimal: the same in a replay, so that writing it twice changes nothing (S-1).
    pub id: String,
    pub rule: Arc<Rule>,
    pub machine: MachineId,
    pub series: Arc<SeriesKey>,
    pub state: AlertState,
    #[serde(default)]
    pub cause: Cause,
    pub value: f64,
    pub since: Timestamp,
    pub resolved: Option<Timestamp>,
    /// None while it fires, and of one that resolved before this was kept.
    #[serde(default)]
    pub resolution: Option<Resolution>,
    /// None until the graph has said it, moments after the alert fired: then it counts as active. A resolved alert keeps its last one.
    #[serde(default)]
    pub standing: Option<Standing>,
    /// T of the newest transition.
    pub t: LogicalTime,
}

impl Alert {
    /// The alert after a transition.
    pub fn after(transition: &Transition) -> Self {
        let Transition { rule, machine, series, change, cause, value, at, since, t } = transition;
        let (state, resolved) = match change {
            Change::Fired => (AlertState::Firing, None),
            Change::Resolved => (AlertState::Resolved, Some(*at)),
        };
        Self {
            id: id(&rule.name, machine, series, *since),
            rule: Arc::clone(rule),
            machine: machine.clone(),
            series: Arc::clone(series),
            state,
            cause: *cause,
            value: *value,
            since: *since,
            resolved,
            resolution: transition.resolution(),
            standing: None,
            t: *t,
        }
    }

    /// Whether a person is to hear of it.
    pub fn is_active(&self) -> bool {
        self.standing.as_ref().is_none_or(|standing| *standing == Standing::Active)
    }

    /// What at most one firing alert exists for.
    pub fn key(&self) -> (&str, &MachineId, &SeriesKey) {
        (&self.rule.name, &self.machine, &self.series)
    }
}

fn id(rule: &str, machine: &MachineId, series: &SeriesKey, since: Timestamp) -> String {
    format!("{:016x}", stable_hash(format!("{rule}\u{0}{machine}\u{0}{series}\u{0}{}", since.micros()).as_bytes()))
}
