//! Trial: what a rule would have said of one stored series, by the same verdict as in the graph (`model::verdict`).
//!
//! It begins calm, takes each point once in time order, and judges silence by the samples' own times: the arrival is not stored.
//! Bounded: of the alerts it found the first `EPISODES_MAX` are kept, all are counted.

use model::catalogue::Kind;
use model::query::{SeriesPoints, Tier};
use model::rule::{Input, Operator, Rule};
use model::{Catalogue, Cause, Phase, Timestamp, Turn};

use crate::tier;

/// Alerts of one series that are told one by one.
pub(crate) const EPISODES_MAX: usize = 200;

/// One alert that would have been.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Episode {
    pub(crate) since: Timestamp,
    /// `None`: it would fire still.
    pub(crate) resolved: Option<Timestamp>,
    /// The value that fired it; of silence the last one before it.
    pub(crate) value: f64,
    pub(crate) cause: Cause,
}

/// What a rule would have said of one series.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trial {
    pub(crate) episodes: Vec<Episode>,
    pub(crate) fired: usize,
    pub(crate) firing_us: i64,
    /// How near the worst value came to the threshold or beyond: higher is worse. `None` without a value.
    pub(crate) severity: Option<f64>,
}

/// Judges the points of a series until `until`. Windows are judged at their end, as when they close; those that are not final are not.
pub(crate) fn run(rule: &Rule, points: &SeriesPoints, of: Tier, until: Timestamp) -> Trial {
    let mut run = Run { rule, phase: Phase::Calm, newest: None, last: 0.0, trial: Trial::default() };
    let is_event = Catalogue::standard().find(&rule.metric).is_some_and(|metric| metric.kind == Kind::Event);
    let window = tier::window(of).unwrap_or_default();
    for (index, start) in points.t.iter().enumerate() {
        let is_open = points.is_final.get(index).is_some_and(|is_final| !is_final);
        let Some(value) = value_of(rule.input, points, of, index).filter(|value| value.is_finite() && !is_open) else {
            continue;
        };
        run.look(value, *start + window, is_event);
    }
    run.finish(until)
}

struct Run<'a> {
    rule: &'a Rule,
    phase: Phase,
    newest: Option<Timestamp>,
    last: f64,
    trial: Trial,
}

impl Run<'_> {
    fn look(&mut self, value: f64, time: Timestamp, is_event: bool) {
        let breaches = self.rule.breaches(value);
        if self.newest.is_some_and(|newest| time < newest || (time == newest && !(is_event && breaches))) {
            return;
        }
        self.wait(time);
        (self.newest, self.last) = (Some(time), value);
        let severity = severity(self.rule, value);
        self.trial.severity = Some(self.trial.severity.map_or(severity, |worst| worst.max(severity)));
        let (after, turn) = self.phase.after(self.rule, (value, time), breaches);
        self.turn(after, turn, time);
    }

    /// Fires what was silent for too long before `until`.
    fn wait(&mut self, until: Timestamp) {
        let (Some(newest), Some(silence_s)) = (self.newest, self.rule.no_data_s) else { return };
        let due = newest + std::time::Duration::from_secs(u64::from(silence_s));
        if due < until {
            let (after, turn) = self.phase.silent(due);
            self.turn(after, turn, due);
        }
    }

    fn turn(&mut self, after: Phase, turn: Option<Turn>, at: Timestamp) {
        self.phase = after;
        match turn {
            None => {}
            Some(Turn::Fired) => {
                let cause = if let Phase::Firing(_, cause) = after { cause } else { Cause::Threshold };
                self.trial.fired += 1;
                if self.trial.episodes.len() < EPISODES_MAX {
                    self.trial.episodes.push(Episode { since: at, resolved: None, value: self.last, cause });
                }
            }
            Some(Turn::Resolved(since, _)) => self.close(since, Some(at), at),
        }
    }

    fn close(&mut self, since: Timestamp, resolved: Option<Timestamp>, end: Timestamp) {
        self.trial.firing_us += end.micros() - since.micros();
        if let Some(episode) = self.trial.episodes.last_mut().filter(|episode| episode.since == since) {
            episode.resolved = resolved;
        }
    }

    fn finish(mut self, until: Timestamp) -> Trial {
        self.wait(until);
        if let Phase::Firing(since, _) = self.phase {
            self.close(since, None, until);
        }
        self.trial
    }
}

/// What the rule looks at, of one point. Where a rule on samples has only windows of them, their mean stands in.
#[expect(clippy::cast_precision_loss, reason = "a minute's count stays far below 2^53")]
fn value_of(input: Input, points: &SeriesPoints, of: Tier, index: usize) -> Option<f64> {
    match input {
        _ if of == Tier::Raw => points.v.get(index).copied(),
        Input::Sample | Input::MinuteMean => points.v.get(index).copied(),
        Input::MinuteSum => points.sum.get(index).copied(),
        Input::MinuteCount => points.count.get(index).map(|count| *count as f64),
        Input::MinuteMax => points.max.get(index).copied(),
    }
}

/// How far a value lies on the bad side.
pub(crate) fn severity(rule: &Rule, value: f64) -> f64 {
    match rule.operator {
        Operator::Gt | Operator::Gte => value - rule.threshold,
        Operator::Lt | Operator::Lte => rule.threshold - value,
        Operator::Eq => -(value - rule.threshold).abs(),
        Operator::Ne => (value - rule.threshold).abs(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(more: &str) -> Rule {
        let text = format!(r#"{{"name":"r","metric":"m","operator":"gt","threshold":10,"severity":"info"{more}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn raw(samples: &[(i64, f64)]) -> SeriesPoints {
        SeriesPoints {
            t: samples.iter().map(|(at, _)| Timestamp::from_secs(*at)).collect(),
            v: samples.iter().map(|(_, value)| *value).collect(),
            ..SeriesPoints::default()
        }
    }

    /// Since, resolved, value.
    fn found(trial: &Trial) -> Vec<(i64, Option<i64>, f64)> {
        trial.episodes.iter().map(|one| (one.since.secs(), one.resolved.map(Timestamp::secs), one.value)).collect()
    }

    #[test]
    fn each_breach_that_lasts_is_one_alert() {
        let points =
            raw(&[(0, 11.0), (5, 9.0), (10, 11.0), (20, 12.0), (30, f64::NAN), (35, 9.0), (40, 13.0), (50, 13.0)]);
        let trial = run(&rule(r#","for_s":10"#), &points, Tier::Raw, Timestamp::from_secs(60));
        assert_eq!(found(&trial), [(20, Some(35), 12.0), (50, None, 13.0)]);
        assert_eq!((trial.fired, trial.firing_us, trial.severity), (2, 25_000_000, Some(3.0)));
    }

    #[test]
    fn what_is_not_newer_is_not_judged_again() {
        let trial = run(&rule(""), &raw(&[(5, 9.0), (5, 11.0), (4, 11.0)]), Tier::Raw, Timestamp::from_secs(9));
        assert_eq!(trial.fired, 0);
    }

    #[test]
    fn silence_fires_by_the_samples_own_times_and_ends_with_the_next_calm_one() {
        let points = raw(&[(0, 1.0), (30, 1.0), (35, 1.0)]);
        let trial = run(&rule(r#","no_data_s":10"#), &points, Tier::Raw, Timestamp::from_secs(60));
        assert_eq!(found(&trial), [(10, Some(30), 1.0), (45, None, 1.0)]);
        assert!(trial.episodes.iter().all(|one| one.cause == Cause::NoData));
    }

    #[test]
    fn minutes_are_judged_at_their_end_by_the_figure_asked_for_and_only_when_final() {
        let points = SeriesPoints {
            t: [0, 60, 120].map(Timestamp::from_secs).to_vec(),
            v: vec![1.0, 2.0, 2.0],
            sum: vec![9.0, 24.0, 24.0],
            count: vec![9, 12, 12],
            min: vec![0.0; 3],
            max: vec![5.0, 11.0, 11.0],
            is_final: vec![true, true, false],
            ..SeriesPoints::default()
        };
        let judged = |input: &str| {
            let rule = rule(&format!(r#","input":"{input}""#));
            found(&run(&rule, &points, Tier::Minute, Timestamp::from_secs(200)))
        };
        assert_eq!(judged("minute_mean"), []);
        assert_eq!(judged("minute_sum"), [(120, None, 24.0)]);
        assert_eq!(judged("minute_count"), [(120, None, 12.0)]);
        assert_eq!(judged("minute_max"), [(120, None, 11.0)]);
    }

    #[test]
    fn a_rule_that_flaps_is_counted_whole_and_told_in_part() {
        let points: Vec<(i64, f64)> = (0..2_000).map(|at| (at, if at % 2 == 0 { 11.0 } else { 9.0 })).collect();
        let trial = run(&rule(""), &raw(&points), Tier::Raw, Timestamp::from_secs(2_000));
        assert_eq!((trial.fired, trial.episodes.len(), trial.firing_us), (1_000, EPISODES_MAX, 1_000_000_000));
    }
}
