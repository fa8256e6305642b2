//! Told: what an edge has been told, and what brings it up to date.

use std::collections::BTreeMap;

use super::fleet::Fleet;
use super::memory::Counts;
use crate::protocol::{DaysOf, FromHub, Now, PROTOCOL, Snapshot, Step, Update};

/// What an edge has been told.
#[derive(Debug, Default)]
pub(super) struct Told {
    seq: u64,
    structure: Option<u64>,
    minute: i64,
    now: BTreeMap<u32, Now>,
    past: Counts,
}

impl Told {
    /// Whether a message is the last one that was made.
    pub(super) fn is_newest(&self, seq: u64) -> bool {
        self.seq == seq
    }

    /// What brings an edge up to date: an update if it can, else everything.
    pub(super) fn next(&mut self, fleet: &Fleet, (title, interval_ms): (&str, u32), time: i64) -> FromHub {
        self.seq += 1;
        let machines = fleet.ordered();
        let is_next_minute = (0..=1).contains(&(fleet.minute - self.minute));
        let message = if self.structure == Some(fleet.structure) && is_next_minute {
            let step = (fleet.minute != self.minute).then(|| Step {
                minute: fleet.minute,
                points: machines.iter().map(|machine| machine.newest()).collect(),
            });
            let changed = machines.iter().filter(|machine| self.now.get(&machine.now.key) != Some(&machine.now));
            let changed = changed.map(|machine| machine.now.clone()).collect();
            let news = machines.iter().filter(|machine| machine.memory.is_news_since(self.past.days));
            let days = news.map(|machine| DaysOf { key: machine.now.key, days: machine.memory.days() }).collect();
            let incidents = (self.past.incidents != fleet.counts.incidents).then(|| fleet.incidents());
            FromHub::Update(Update { seq: self.seq, time, machines: changed, step, days, incidents })
        } else {
            FromHub::Snapshot(Snapshot {
                protocol: PROTOCOL,
                seq: self.seq,
                time,
                title: title.to_owned(),
                interval_ms,
                minute: fleet.minute,
                metrics: fleet.choice.columns(),
                machines: machines.iter().map(|machine| machine.shape()).collect(),
                incidents: fleet.incidents(),
            })
        };
        self.structure = Some(fleet.structure);
        (self.minute, self.past) = (fleet.minute, fleet.counts);
        self.now = machines.iter().map(|machine| (machine.now.key, machine.now.clone())).collect();
        message
    }
}
