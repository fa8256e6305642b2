//! Breach: a firing alert by its identity, as data that differential can hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Alert, MachineId, SeriesKey, Standing, StandingChange, Timestamp, Transition};
use serde::{Deserialize, Serialize};

/// A machine's tags.
pub type Tags = Arc<BTreeMap<String, String>>;

/// One firing of a rule on a series. The rule itself may be edited meanwhile; it is joined by its name where it matters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Breach {
    pub machine: MachineId,
    pub rule: Arc<str>,
    pub series: Arc<SeriesKey>,
    pub since: Timestamp,
}

impl Breach {
    pub fn of(transition: &Transition) -> Self {
        let Transition { rule, machine, series, since, .. } = transition;
        Self { machine: machine.clone(), rule: rule.name.as_str().into(), series: Arc::clone(series), since: *since }
    }

    pub fn of_alert(alert: &Alert) -> Self {
        let Alert { rule, machine, series, since, .. } = alert;
        Self { machine: machine.clone(), rule: rule.name.as_str().into(), series: Arc::clone(series), since: *since }
    }

    pub fn stands(self, standing: Standing) -> StandingChange {
        let Self { machine, rule, series, since } = self;
        StandingChange { rule, machine, series, since, standing }
    }
}
