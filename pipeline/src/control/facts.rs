//! Facts: what the control plane joins. Series that exist, rules in force; a change is a retraction and an assertion.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use model::{MachineId, Rule, SeriesKey, Silence};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A series, where it lives, and what rules match on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesFact {
    pub worker: u32,
    /// Index of the machine on that worker.
    pub index: u32,
    pub slot: u32,
    pub machine: MachineId,
    pub tags: Arc<BTreeMap<String, String>>,
    pub key: Arc<SeriesKey>,
}

/// A rule as data that can be sorted and compared: by its text, since thresholds are floats.
#[derive(Debug, Clone)]
pub struct RuleFact {
    text: Arc<str>,
    pub rule: Arc<Rule>,
}

impl RuleFact {
    pub fn new(rule: Arc<Rule>) -> Self {
        let text = serde_json::to_string(&rule).expect("a rule is plain data");
        Self { text: text.into(), rule }
    }

    /// Whether the rule is in force on a series of its metric.
    pub fn applies(&self, machine: &MachineId, tags: &BTreeMap<String, String>, key: &SeriesKey) -> bool {
        self.rule.enabled && self.rule.matches(machine, tags, &key.labels)
    }
}

impl PartialEq for RuleFact {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for RuleFact {}
impl PartialOrd for RuleFact {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for RuleFact {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}
impl Hash for RuleFact {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}
impl Serialize for RuleFact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}
impl<'de> Deserialize<'de> for RuleFact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let rule = serde_json::from_str(&text).map_err(serde::de::Error::custom)?;
        Ok(Self { text: text.into(), rule: Arc::new(rule) })
    }
}

/// A machine that says of itself what it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MachineFact {
    pub machine: MachineId,
    pub tags: Arc<BTreeMap<String, String>>,
}

/// A machine that is forgotten, as it was known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ForgottenFact {
    pub worker: u32,
    /// Index of the machine on that worker; it is never given to another.
    pub index: u32,
    pub machine: MachineId,
}

/// A fact of the control plane.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Fact {
    Series(SeriesFact),
    Rule(RuleFact),
    Machine(MachineFact),
    /// Pending or in force.
    Silence(Arc<Silence>),
    /// The rules of this run have been told: a rule that is not a fact from here on is not in force.
    RulesKnown,
    /// A machine was silent for so long that its series are facts no more. Nothing is known to have changed.
    Forgotten(ForgottenFact),
}

impl Fact {
    pub fn series(&self) -> Option<&SeriesFact> {
        if let Self::Series(series) = self { Some(series) } else { None }
    }

    pub fn rule(&self) -> Option<&RuleFact> {
        if let Self::Rule(rule) = self { Some(rule) } else { None }
    }
}

/// +1: it holds from here on; -1: it no longer does.
pub type Change = (Fact, isize);

/// A rule applies to a series.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Binding {
    pub series: SeriesFact,
    pub rule: RuleFact,
}
