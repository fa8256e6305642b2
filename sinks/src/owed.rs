//! Owed: what a store lacks of alerts when it is behind the hub's own state: killed between two commits, or restored from a backup.
//!
//! A replay brings samples and windows again, but it begins with the alerts that fire as the state has them, and so does not say again what
//! led to those. In: alerts as the state has them. Out: their transitions. All of them may be there already: an alert has one id (S-1).

use std::sync::Arc;

use hashbrown::HashMap;
use model::{Alert, AlertState, Cause, Change, LogicalTime, MachineId, Output, Resolution, SeriesKey, Transition};

/// Transitions of these alerts, for a store that has everything up to `after`. `alerts` are in order of their beginning.
pub fn transitions(alerts: &[Alert], after: LogicalTime) -> Vec<(LogicalTime, Output)> {
    let mut owed = Vec::new();
    let mut last: HashMap<(&str, &MachineId, &SeriesKey), LogicalTime> = HashMap::new();
    for alert in alerts.iter().filter(|alert| after < alert.t) {
        let before = last.insert(alert.key(), alert.t).unwrap_or(after.saturating_add(1));
        let transition = |change, cause, (at, t)| {
            let Alert { rule, machine, series, value, since, .. } = alert;
            let (rule, machine, series) = (Arc::clone(rule), machine.clone(), Arc::clone(series));
            let transition = Transition { rule, machine, series, change, cause, value: *value, at, since: *since, t };
            (t, Output::Transition(Arc::new(transition)))
        };
        if alert.state == AlertState::Firing {
            owed.push(transition(Change::Fired, alert.cause, (alert.since, alert.t)));
            continue;
        }
        // Of one that is over the state has only when it ended. It began behind the one before it of its series.
        let began = u64::try_from(alert.since.micros()).unwrap_or(0).max(before).min(alert.t);
        owed.push(transition(Change::Fired, alert.cause, (alert.since, began)));
        let is_gone = alert.resolution == Some(Resolution::RuleGone);
        let cause = if is_gone { Cause::RuleGone } else { Cause::Threshold };
        owed.push(transition(Change::Resolved, cause, (alert.resolved.unwrap_or(alert.since), alert.t)));
    }
    owed
}

#[cfg(test)]
mod tests {
    use model::{Severity, Timestamp};

    use super::*;
    use crate::fixtures::{at, rule, transition};

    fn alert(since: i64, over: Option<(i64, LogicalTime)>) -> Alert {
        let fired = transition(&rule("busy", Severity::Warning), "a", Change::Fired, at(since), at(since + 5));
        let alert = Alert::after(&fired);
        match over {
            None => alert,
            Some((resolved, t)) => {
                let (state, resolution) = (AlertState::Resolved, Some(Resolution::Value));
                Alert { state, resolved: Some(at(resolved)), resolution, t, ..alert }
            }
        }
    }

    #[test]
    fn an_alert_that_is_over_fires_and_resolves_behind_the_one_before_it() {
        let seconds = |t: u64| t * 1_000_000;
        // The first one's end came late: behind the beginning of the second.
        let alerts = [alert(10, Some((20, seconds(35)))), alert(30, Some((40, seconds(41)))), alert(50, None)];
        let told = |after: LogicalTime| {
            let owed = transitions(&alerts, after).into_iter();
            let tell = |(t, output): (LogicalTime, Output)| match output {
                Output::Transition(change) => (t / 1_000_000, change.change, change.since, change.t == t),
                other => panic!("{other:?}"),
            };
            owed.map(tell).collect::<Vec<_>>()
        };
        let (fired, resolved) = (Change::Fired, Change::Resolved);
        let row = |t: u64, change, since: i64| (t, change, Timestamp::from_secs(since), true);
        let newest = [row(35, fired, 30), row(41, resolved, 30), row(55, fired, 50)];
        assert_eq!(told(seconds(12)), [&[row(12, fired, 10), row(35, resolved, 10)][..], &newest].concat());
        assert_eq!(told(seconds(41)), [row(55, fired, 50)]);
        assert_eq!(told(seconds(55)), []);
    }
}
