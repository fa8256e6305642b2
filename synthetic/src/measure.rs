//! Measure: what a run counts and times while it goes on. One lock, held for a few additions.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::latency::Latencies;
use crate::plan::Kind;

/// Reasons of refusal that are told apart; the hub has about a dozen.
const REASONS_MAX: usize = 32;
/// Seconds of the timeline that are kept: a day.
const TIMELINE_MAX: usize = 86_400;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Frames and samples handed to the connection, each once.
    pub frames_sent: u64,
    pub samples_sent: u64,
    pub frames_acknowledged: u64,
    pub samples_acknowledged: u64,
    /// Frames sent again: after a break, or on purpose.
    pub frames_resent: u64,
    pub late: u64,
    pub shuffled: u64,
    pub duplicates: u64,
    pub replayed: u64,
    pub burst: u64,
    /// Streams broken on purpose, and those that broke by themselves.
    pub disconnects: u64,
    pub breaks: u64,
    /// Samples that the hub refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Machine microseconds in which frames were due and the hub's credit or the connection let none out.
    pub held_us: u64,
}

/// One second of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Second {
    pub at_s: u64,
    pub samples_sent: u64,
    pub samples_acknowledged: u64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

impl Second {
    /// Adds what came behind its end. Of latencies the greater is told, for percentiles cannot be added.
    fn join(&mut self, rest: Self) {
        let Self { at_s: _, samples_sent, samples_acknowledged, p50_us, p99_us, max_us } = rest;
        self.samples_sent += samples_sent;
        self.samples_acknowledged += samples_acknowledged;
        self.p50_us = self.p50_us.max(p50_us);
        self.p99_us = self.p99_us.max(p99_us);
        self.max_us = self.max_us.max(max_us);
    }
}

#[derive(Debug, Default)]
pub struct Measured {
    /// From when a frame was due to its acknowledgement.
    pub acknowledged: Latencies,
    /// From when it was really sent.
    pub service: Latencies,
    /// From when it was due to when a browser's connection had it.
    pub seen: Latencies,
    /// How late this program itself was.
    pub own: Latencies,
    pub counts: Counts,
    pub timeline: Vec<Second>,
    second: Latencies,
    told: (u64, u64),
}

/// Shared by all machines of a run.
#[derive(Debug, Default)]
pub struct Board(Mutex<Measured>);

impl Board {
    pub fn lock(&self) -> MutexGuard<'_, Measured> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    pub(crate) fn note(&mut self, kind: Kind) {
        match kind {
            Kind::Fresh => {}
            Kind::Late => self.late += 1,
            Kind::Shuffled => self.shuffled += 1,
            Kind::Duplicate => self.duplicates += 1,
            Kind::Replayed => self.replayed += 1,
            Kind::Burst => self.burst += 1,
        }
    }
}

impl Measured {
    /// A frame is acknowledged; all by one monotonic clock.
    pub fn acknowledge(&mut self, (due_us, sent_us, now_us): (u64, u64, u64), samples: u64) {
        self.acknowledged.record_since(due_us, now_us);
        self.second.record_since(due_us, now_us);
        self.service.record_since(sent_us, now_us);
        self.counts.frames_acknowledged += 1;
        self.counts.samples_acknowledged += samples;
    }

    pub fn refuse(&mut self, reason: &str, samples: u64) {
        let refused = &mut self.counts.refused;
        let is_told = refused.contains_key(reason) || refused.len() < REASONS_MAX;
        *refused.entry(if is_told { reason.to_owned() } else { "other".to_owned() }).or_default() += samples;
    }

    /// Closes the second that ends now.
    pub fn close_second(&mut self, at_s: u64) -> Second {
        let (sent, acknowledged) = (self.counts.samples_sent, self.counts.samples_acknowledged);
        let second = Second {
            at_s,
            samples_sent: sent - self.told.0,
            samples_acknowledged: acknowledged - self.told.1,
            p50_us: self.second.percentile_us(50.0),
            p99_us: self.second.percentile_us(99.0),
            max_us: self.second.percentile_us(100.0),
        };
        self.told = (sent, acknowledged);
        self.second.clear();
        // What is left behind the last whole second belongs to it.
        if let Some(last) = self.timeline.last_mut().filter(|last| last.at_s == at_s) {
            last.join(second);
        } else if self.timeline.len() < TIMELINE_MAX {
            self.timeline.push(second);
        }
        second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_tells_what_came_since_the_one_before() {
        let mut measured = Measured::default();
        measured.counts.samples_sent = 120;
        measured.acknowledge((0, 500, 1_000), 60);
        let first = measured.close_second(1);
        assert_eq!((first.samples_sent, first.samples_acknowledged, first.max_us), (120, 60, 1_000));
        let second = measured.close_second(2);
        assert_eq!(second, Second { at_s: 2, ..Second::default() });
        assert_eq!((measured.service.summary().max_us, measured.timeline.len()), (500, 2));
        measured.acknowledge((0, 500, 2_000), 60);
        measured.close_second(2);
        let last = Second {
            at_s: 2,
            samples_acknowledged: 60,
            p50_us: 2_000,
            p99_us: 2_000,
            max_us: 2_000,
            ..Second::default()
        };
        assert_eq!(measured.timeline, [first, last], "what is left over is no second of its own");
    }

    #[test]
    fn reasons_are_bounded() {
        let mut measured = Measured::default();
        for n in 0..100 {
            measured.refuse(&format!("reason {n}"), 2);
        }
        assert_eq!(measured.counts.refused.len(), REASONS_MAX + 1);
        assert_eq!(measured.counts.refused.values().sum::<u64>(), 200);
    }
}
