//! Verdict: what a rule says of one series, value by value. Pure: `evaluate` steps it in the graph, and a preview over stored points.
//!
//! Invariants: A-1 Fired and Resolved alternate: only a calm phase fires, only a firing one resolves.

use crate::alert::Cause;
use crate::rule::Rule;
use crate::time::Timestamp;

/// Where a rule stands on one series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Calm,
    /// Breached since, for less than the rule's `for`.
    Pending(Timestamp),
    Firing(Timestamp, Cause),
}

/// A change of the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Fired,
    /// What was firing, since when and why.
    Resolved(Timestamp, Cause),
}

impl Phase {
    /// The phase after a value of this event time, and what changed by it. `breaches` is what `rule.breaches(value)` says: who judges
    /// many values knows it already.
    #[inline]
    #[must_use]
    pub fn after(self, rule: &Rule, (value, time): (f64, Timestamp), breaches: bool) -> (Self, Option<Turn>) {
        match self {
            Self::Firing(..) if rule.still_holds(value) => (self, None),
            Self::Firing(since, cause) => (Self::Calm, Some(Turn::Resolved(since, cause))),
            Self::Calm | Self::Pending(_) if !breaches => (Self::Calm, None),
            Self::Calm | Self::Pending(_) => {
                let since = if let Self::Pending(since) = self { since } else { time };
                if time.since(since).as_secs() < u64::from(rule.for_s) {
                    return (Self::Pending(since), None);
                }
                (Self::Firing(time, Cause::Threshold), Some(Turn::Fired))
            }
        }
    }

    /// The phase once the series has been silent for as long as the rule allows; an alert that fires already goes on.
    #[must_use]
    pub fn silent(self, at: Timestamp) -> (Self, Option<Turn>) {
        match self {
            Self::Calm | Self::Pending(_) => (Self::Firing(at, Cause::NoData), Some(Turn::Fired)),
            Self::Firing(..) => (self, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(for_s: u32) -> Rule {
        let text = format!(
            r#"{{"name":"cpu","metric":"m","operator":"gt","threshold":0.9,"clear":0.8,"for_s":{for_s},"severity":"info"}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn turns(rule: &Rule, values: &[(i64, f64)]) -> Vec<(i64, Turn)> {
        let mut phase = Phase::Calm;
        let mut turns = Vec::new();
        for (at, value) in values {
            let (after, turn) = phase.after(rule, (*value, Timestamp::from_secs(*at)), rule.breaches(*value));
            phase = after;
            turns.extend(turn.map(|turn| (*at, turn)));
        }
        turns
    }

    #[test]
    fn a_breach_fires_when_it_has_lasted_and_resolves_on_the_calm_side() {
        let values = [(0, 0.95), (30, 0.95), (60, 0.95), (65, 0.85), (70, 0.8), (75, 0.95)];
        let fired = Timestamp::from_secs(60);
        assert_eq!(turns(&rule(60), &values), [(60, Turn::Fired), (70, Turn::Resolved(fired, Cause::Threshold))]);
        assert_eq!(turns(&rule(61), &values), []);
        assert_eq!(turns(&rule(0), &values).len(), 3, "it fires at once, resolves, and fires again");
    }

    #[test]
    fn a_calm_value_takes_back_what_was_pending() {
        assert_eq!(turns(&rule(60), &[(0, 0.95), (30, 0.9), (60, 0.95), (90, 0.95)]), []);
    }

    #[test]
    fn silence_fires_what_does_not_fire_already() {
        let at = Timestamp::from_secs(9);
        assert_eq!(Phase::Calm.silent(at), (Phase::Firing(at, Cause::NoData), Some(Turn::Fired)));
        let firing = Phase::Firing(Timestamp::EPOCH, Cause::Threshold);
        assert_eq!(firing.silent(at), (firing, None));
    }
}
