//! Memory: what the fleet remembers of its machines' past, and whose is to be asked for next.
//!
//! History is asked for each machine once, then once an hour when the hour before has had time to be written. What it cannot tell is not known:
//! it never makes a machine look as if it had been down. Alerts tell of an outage at once.

use model::query::{RangeAnswer, RangeQuery, Tier};
use model::{Alert, MachineId, Timestamp};

use super::fleet::Fleet;
use super::past::{HOUR_MS, HOURS, Outages, Standing, days, range};
use crate::protocol::{DAY_MS, Days, INCIDENTS_MAX, Incident, Incidents};

/// An hour's rows are stored by then.
const SETTLES_MS: i64 = 120_000;
/// Series of a metric that tells when a machine was heard.
const SERIES_MAX: usize = 32;
/// What every collector sends with each sample.
pub(super) const HEARD: &str = "system.cpu.utilization";

/// Of one machine.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) interval_ms: u32,
    days: Option<Days>,
    /// The fleet's count when they changed.
    days_at: u64,
    outages: Outages,
    /// Whether history has told of all outages.
    is_complete: bool,
    /// The hour in which its days were told last.
    told_in: Option<i64>,
    /// Its turn when it was asked for last.
    asked_at: u64,
}

/// Counts of all machines' memories.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Rises when some machine's days change.
    pub(super) days: u64,
    /// Rises when an outage begins, ends, or comes to be known.
    pub(super) incidents: u64,
    asked: u64,
}

/// What history is to be asked.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) machine: MachineId,
    pub(super) standing: Standing,
    pub(super) range: (Timestamp, Timestamp),
    /// The first that it knows tells when the machine was heard.
    metrics: Vec<String>,
}

impl Question {
    pub(super) fn queries(&self) -> impl Iterator<Item = RangeQuery> + '_ {
        let (from, to) = self.range;
        let points_max = usize::try_from(HOURS).unwrap_or(usize::MAX).saturating_mul(SERIES_MAX);
        self.metrics.iter().map(move |metric| RangeQuery {
            machine: self.machine.clone(),
            metrics: vec![metric.clone()],
            from,
            to,
            tier: Tier::Hour,
            points_max,
        })
    }

    /// None where the answer tells nothing, so that another metric may.
    pub(super) fn days(&self, answer: &RangeAnswer) -> Option<Days> {
        // A part would end too early, and what follows look as if nothing had been heard.
        if answer.truncated { None } else { days(answer, self.standing) }
    }

    /// Where no answer told anything: all of it is before the machine came.
    pub(super) fn no_days(&self) -> Days {
        Days { last: self.standing.now_ms.div_euclid(DAY_MS), shares: Vec::new() }
    }
}

impl Memory {
    pub(super) fn days(&self) -> Option<Days> {
        self.days.clone()
    }

    /// Whether its days changed since that count.
    pub(super) fn is_news_since(&self, count: u64) -> bool {
        count < self.days_at
    }

    fn is_due(&self, now_ms: i64) -> bool {
        let settled = (now_ms - SETTLES_MS).div_euclid(HOUR_MS);
        self.told_in.is_none_or(|hour| !(settled..=now_ms.div_euclid(HOUR_MS)).contains(&hour))
    }
}

impl Fleet {
    /// An alert fired or resolved.
    pub(super) fn hear(&mut self, alert: &Alert) {
        let Some(tracked) = self.machines.get_mut(&alert.machine) else { return };
        if tracked.memory.outages.take(alert) {
            self.counts.incidents += 1;
            self.version += 1;
        }
    }

    /// Whose past is to be asked for next: of those that are due, who has waited longest.
    pub(super) fn next_question(&mut self, now_ms: i64) -> Option<Question> {
        let due = self.machines.iter_mut().filter(|(_, tracked)| tracked.memory.is_due(now_ms));
        let (machine, tracked) = due.min_by_key(|(_, tracked)| tracked.memory.asked_at)?;
        self.counts.asked += 1;
        tracked.memory.asked_at = self.counts.asked;
        let standing = Standing { interval_ms: tracked.memory.interval_ms, last_seen: tracked.last_seen, now_ms };
        let mut metrics = vec![String::from(HEARD)];
        metrics.extend(self.choice.metric_names().into_iter().filter(|metric| metric != HEARD).take(1));
        Some(Question { machine: machine.clone(), standing, range: range(now_ms), metrics })
    }

    /// History has told of a machine's days.
    pub(super) fn remember_days(&mut self, question: &Question, days: Days) {
        let Some(tracked) = self.machines.get_mut(&question.machine) else { return };
        tracked.memory.told_in = Some(question.standing.now_ms.div_euclid(HOUR_MS));
        if tracked.memory.days.as_ref() != Some(&days) {
            self.counts.days += 1;
            self.version += 1;
            (tracked.memory.days, tracked.memory.days_at) = (Some(days), self.counts.days);
        }
    }

    /// History has told of a machine's outages. False when that was known before.
    pub(super) fn remember_outages(&mut self, machine: &MachineId, alerts: &[Alert]) -> bool {
        alerts.iter().for_each(|alert| self.hear(alert));
        let Some(tracked) = self.machines.get_mut(machine) else { return false };
        let is_first = !std::mem::replace(&mut tracked.memory.is_complete, true);
        if is_first {
            self.counts.incidents += 1;
            self.version += 1;
        }
        is_first
    }

    /// Forgets what is too old to be shown. Days that history could not bring up to date for a day are not known any more.
    pub(super) fn age(&mut self, now_ms: i64) {
        let today = now_ms.div_euclid(DAY_MS);
        let (oldest, _) = range(now_ms);
        for tracked in self.machines.values_mut() {
            let memory = &mut tracked.memory;
            if memory.days.as_ref().is_some_and(|days| days.last + 1 < today) {
                self.counts.days += 1;
                (memory.days, memory.days_at) = (None, self.counts.days);
            }
            self.counts.incidents += u64::from(memory.outages.forget_before(oldest.millis()));
        }
    }

    /// Of all machines, the newest.
    pub(super) fn incidents(&self) -> Incidents {
        let each = self.machines.values().flat_map(|tracked| {
            tracked.memory.outages.each().map(|(from, to)| Incident { key: tracked.now.key, from, to })
        });
        let mut newest: Vec<Incident> = each.collect();
        newest.sort_by_key(|incident| (std::cmp::Reverse(incident.from), incident.key));
        newest.truncate(INCIDENTS_MAX);
        Incidents { is_complete: self.machines.values().all(|tracked| tracked.memory.is_complete), newest }
    }
}
