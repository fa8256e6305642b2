//! Watched: the series of a machine that rules look at, and each rule's verdict on them.
//!
//! Invariants: A-1 Fired and Resolved alternate per alert.

use std::sync::Arc;

use model::rule::Input;
use model::{Bound, Change, LogicalTime, MachineId, Rule, SeriesKey, Timestamp, Transition};

use crate::operators::window::MinuteUpdate;
use crate::stage::At;

#[derive(Default)]
pub(super) struct Machine {
    /// Series of the machine whose bindings are known or waited for.
    pub(super) known: usize,
    /// By slot; only slots that a rule looks at.
    pub(super) samples: Vec<Watched>,
    pub(super) minutes: Vec<Watched>,
}

/// A series that rules look at.
pub(super) struct Watched {
    pub(super) slot: u32,
    pub(super) key: Arc<SeriesKey>,
    pub(super) machine: MachineId,
    pub(super) newest: i64,
    /// The value that was judged last.
    pub(super) value: f64,
    pub(super) rules: Vec<Verdict>,
}

pub(super) struct Verdict {
    pub(super) rule: Arc<Rule>,
    pub(super) phase: Phase,
    /// Bindings that hold it: two for a moment, while an edited rule or new tags replace the old.
    pub(super) bindings: usize,
}

/// A value to be judged.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) t: LogicalTime,
    pub(super) value: f64,
    pub(super) time: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Calm,
    /// Breached since, for less than the rule's `for`.
    Pending(Timestamp),
    Firing(Timestamp),
}

impl Machine {
    pub(super) fn watched_of(&mut self, rule: &Rule) -> &mut Vec<Watched> {
        if rule.input == Input::Sample {
            &mut self.samples
        } else {
            &mut self.minutes
        }
    }

    pub(super) fn batch(&mut self, t: LogicalTime, bound: &Bound, out: &mut Vec<At<Arc<Transition>>>) {
        if self.samples.is_empty() {
            return;
        }
        if bound.is_dense() {
            let (values, time) = (&bound.batch.values, bound.batch.newest());
            for watched in &mut self.samples {
                if let Some(value) = values.get(watched.slot as usize) {
                    watched.look(Look { t, value: *value, time }, out);
                }
            }
            return;
        }
        // Slots mostly rise within a batch, so the next watched one is found by walking along.
        let (mut next, mut before) = (0, 0);
        for index in 0..bound.batch.len() {
            let slot = bound.slot(index).0;
            if slot < before {
                next = self.samples.partition_point(|w| w.slot < slot);
            }
            before = slot;
            while self.samples.get(next).is_some_and(|w| w.slot < slot) {
                next += 1;
            }
            if let Some(watched) = self.samples.get_mut(next).filter(|w| w.slot == slot) {
                let (value, time) = (bound.batch.values[index], bound.batch.time(index));
                watched.look(Look { t, value, time }, out);
            }
        }
    }

    pub(super) fn minute(&mut self, t: LogicalTime, update: &MinuteUpdate, out: &mut Vec<At<Arc<Transition>>>) {
        let rows = &update.rows;
        if !rows.is_final || self.minutes.is_empty() {
            return;
        }
        let end = rows.window.end();
        for (slot, row) in &rows.rows {
            if let Ok(at) = self.minutes.binary_search_by_key(&slot.0, |w| w.slot) {
                self.minutes[at].look_at_minute(t, row, end, out);
            }
        }
    }
}

impl Watched {
    #[inline]
    fn look(&mut self, look: Look, out: &mut Vec<At<Arc<Transition>>>) {
        let Look { value, time, .. } = look;
        if time.micros() <= self.newest {
            return;
        }
        (self.newest, self.value) = (time.micros(), value);
        for at in 0..self.rules.len() {
            self.step(at, look, out);
        }
    }

    /// A minute is judged once, when it closes: a correction of it is not newer than its series' newest.
    fn look_at_minute(
        &mut self,
        t: LogicalTime,
        row: &model::Aggregate,
        end: Timestamp,
        out: &mut Vec<At<Arc<Transition>>>,
    ) {
        if end.micros() <= self.newest {
            return;
        }
        self.newest = end.micros();
        for at in 0..self.rules.len() {
            #[expect(clippy::cast_precision_loss, reason = "a minute's count stays far below 2^53")]
            let value = match self.rules[at].rule.input {
                Input::MinuteMean => row.mean(),
                Input::MinuteSum => row.sum,
                Input::MinuteCount => row.count as f64,
                Input::MinuteMax => row.max,
                Input::Sample => continue,
            };
            self.step(at, Look { t, value, time: end }, out);
        }
    }

    #[inline]
    fn step(&mut self, at: usize, Look { t, value, time }: Look, out: &mut Vec<At<Arc<Transition>>>) {
        let Verdict { rule, phase, .. } = &mut self.rules[at];
        match *phase {
            Phase::Firing(since) => {
                if !rule.still_holds(value) {
                    *phase = Phase::Calm;
                    let rule = Arc::clone(rule);
                    out.push(transition(t, self, &rule, (Change::Resolved, value, time, since)));
                }
            }
            Phase::Calm | Phase::Pending(_) if !rule.breaches(value) => *phase = Phase::Calm,
            Phase::Calm | Phase::Pending(_) => {
                let since = if let Phase::Pending(since) = *phase {
                    since
                } else {
                    time
                };
                if time.since(since).as_secs() < u64::from(rule.for_s) {
                    *phase = Phase::Pending(since);
                    return;
                }
                *phase = Phase::Firing(time);
                let rule = Arc::clone(rule);
                out.push(transition(t, self, &rule, (Change::Fired, value, time, time)));
            }
        }
    }
}

pub(super) fn transition(
    t: LogicalTime,
    watched: &Watched,
    rule: &Arc<Rule>,
    what: (Change, f64, Timestamp, Timestamp),
) -> At<Arc<Transition>> {
    let (change, value, at, since) = what;
    let (rule, machine, series) = (Arc::clone(rule), watched.machine.clone(), Arc::clone(&watched.key));
    At {
        t,
        item: Arc::new(Transition {
            rule,
            machine,
            series,
            change,
            value,
            at,
            since,
            t,
        }),
    }
}
