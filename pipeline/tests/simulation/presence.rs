//! Presence: what each machine's sightings say of it, worked out from one sighting to the next.

use std::collections::BTreeMap;

use model::{MachineId, Output, Record, Stamped, Status};

use crate::common::{SECOND, machine};
use crate::machines::MACHINES;

const DOWN_AFTER: u64 = 60 * SECOND;

struct Watch {
    lines: Vec<String>,
    status: Option<Status>,
    is_down_alert: bool,
    seen: u64,
    interval: u64,
    quiet_until: u64,
}

impl Watch {
    /// What silence has made of it by `now`, itself included.
    fn until(&mut self, now: u64) {
        if self.seen == 0 {
            return;
        }
        let stale = self.interval * 3;
        for (status, after) in [(Status::Stale, stale), (Status::Down, DOWN_AFTER.max(stale))] {
            let due = (self.seen + after).max(self.quiet_until);
            // Where both are due at once it is down.
            let is_passed = status == Status::Stale && (self.seen + DOWN_AFTER.max(stale)).max(self.quiet_until) <= due;
            if due <= now && self.status < Some(status) && !is_passed {
                self.become_status(status, due);
            }
        }
    }

    fn become_status(&mut self, status: Status, t: u64) {
        self.status = Some(status);
        self.lines.push(format!("{t} {}", status.as_str()));
        if status == Status::Down && !self.is_down_alert {
            self.is_down_alert = true;
            self.lines.push(format!("{t} Fired"));
        }
        if status == Status::Up && self.is_down_alert {
            self.is_down_alert = false;
            self.lines.push(format!("{t} Resolved"));
        }
    }
}

/// Changes of each machine's status and of its alert, with their times.
pub(crate) fn presence(records: &[Stamped], live_from: u64, end: u64) -> BTreeMap<MachineId, Vec<String>> {
    let of = |name: &str| {
        let id = machine(name);
        let (seen, interval, quiet_until) = (0, 5 * SECOND, live_from + 30 * SECOND);
        let mut watch = Watch { lines: Vec::new(), status: None, is_down_alert: false, seen, interval, quiet_until };
        for Stamped { t, record } in records.iter().filter(|stamped| stamped.record.machine() == Some(&id)) {
            watch.until(*t);
            match record {
                Record::Batch(batch) if !batch.is_empty() => {
                    watch.seen = *t;
                    if watch.status != Some(Status::Up) {
                        watch.become_status(Status::Up, *t);
                    }
                }
                Record::Machine(info) => {
                    let arrival = u64::try_from(info.arrival.micros()).unwrap();
                    watch.seen = if watch.seen == 0 { *t } else { watch.seen.max(arrival.min(*t)) };
                    watch.interval =
                        if info.interval_ms > 0 { u64::from(info.interval_ms) * 1_000 } else { watch.interval };
                }
                _ => {}
            }
        }
        watch.until(end);
        (id, watch.lines)
    };
    MACHINES.map(of).into_iter().filter(|(_, lines)| !lines.is_empty()).collect()
}

/// The same of what left the graph.
pub(crate) fn published(outputs: &[(u64, Output)]) -> BTreeMap<MachineId, Vec<String>> {
    let mut lines: BTreeMap<MachineId, Vec<String>> = BTreeMap::new();
    for (t, output) in outputs {
        let (machine, line) = match output {
            Output::Presence(p) => (&p.machine, format!("{t} {}", p.status.as_str())),
            Output::Transition(change) if change.rule.name == pipeline::MACHINE_DOWN => {
                (&change.machine, format!("{t} {:?}", change.change))
            }
            _ => continue,
        };
        lines.entry(machine.clone()).or_default().push(line);
    }
    lines
}
