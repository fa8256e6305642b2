//! Pending: what waits for an outlet, the newest per machine. However slow the outlet is, this grows no further than the fleet.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::machine::Presence;
use model::{Aggregates, Egress, MachineId, Output, Width};

/// Beyond any fleet; only a flood of machine names meets it.
const MACHINES_MAX: usize = 1_000_000;

#[derive(Debug, Default)]
pub(super) struct Pending {
    minutes: BTreeMap<MachineId, Arc<Aggregates>>,
    hours: BTreeMap<MachineId, Arc<Aggregates>>,
    presences: BTreeMap<MachineId, Arc<Presence>>,
    /// Messages that a newer one of their machine replaced, or for which there was no room.
    pub(super) conflated: u64,
}

/// What was taken out.
#[derive(Debug, Clone, Default)]
pub(super) struct News {
    pub(super) windows: Vec<Arc<Aggregates>>,
    pub(super) presences: Vec<Arc<Presence>>,
}

impl Pending {
    pub(super) fn take_in(&mut self, message: Egress) {
        let Egress::Data { outputs, .. } = message else { return };
        for output in outputs {
            match output {
                Output::Minute(window) | Output::Hour(window) => self.window(window),
                Output::Presence(presence) => self.presence(presence),
                // The rest is in the hot store, has an outbox, or is the history's.
                Output::Samples(_)
                | Output::Transition(_)
                | Output::Standing(_)
                | Output::Machine(_)
                | Output::Processes(_)
                | Output::Rejected(_)
                | Output::Resent(_)
                | Output::Repair(_)
                | Output::Fleet(_)
                | Output::Group(_)
                | Output::Hottest(_) => {}
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.minutes.is_empty() && self.hours.is_empty() && self.presences.is_empty()
    }

    /// Everything, presence first, in the order of the machines.
    pub(super) fn take(&mut self) -> News {
        let minutes = std::mem::take(&mut self.minutes).into_values();
        let hours = std::mem::take(&mut self.hours).into_values();
        let presences = std::mem::take(&mut self.presences).into_values().collect();
        News { windows: minutes.chain(hours).collect(), presences }
    }

    /// What could not be sent waits on, unless something newer came meanwhile.
    pub(super) fn put_back(&mut self, news: News) {
        news.windows.into_iter().for_each(|window| self.window(window));
        news.presences.into_iter().for_each(|presence| self.presence(presence));
    }

    fn window(&mut self, window: Arc<Aggregates>) {
        let map = match window.window.width {
            Width::Minute => &mut self.minutes,
            Width::Hour => &mut self.hours,
        };
        let rank = |window: &Aggregates| (window.window.start, window.revision, window.is_final);
        let is_older = map.get(&window.roster.machine).map(|waiting| rank(&window) < rank(waiting));
        self.conflated += u64::from(is_older.is_some());
        match is_older {
            Some(true) => {}
            None if MACHINES_MAX <= map.len() => self.conflated += 1,
            Some(false) | None => {
                map.insert(window.roster.machine.clone(), window);
            }
        }
    }

    fn presence(&mut self, presence: Arc<Presence>) {
        let is_older = self.presences.get(&presence.machine).map(|waiting| presence.at < waiting.at);
        self.conflated += u64::from(is_older.is_some());
        match is_older {
            Some(true) => {}
            None if MACHINES_MAX <= self.presences.len() => self.conflated += 1,
            Some(false) | None => {
                self.presences.insert(presence.machine.clone(), presence);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Status;

    use super::*;
    use crate::fixtures::{at, presence, roster, window};

    #[test]
    fn of_each_machine_the_newest_waits_and_what_it_replaced_is_counted() {
        let (a, b) = (roster("a", 1), roster("b", 1));
        let minute = |of, start, revision| Output::Minute(window(of, Width::Minute, at(start), revision, 1.0));
        let mut pending = Pending::default();
        let outputs = vec![
            minute(&a, 60, 1),
            minute(&b, 60, 1),
            minute(&a, 120, 2),
            minute(&a, 60, 3),
            minute(&a, 120, 4),
            Output::Hour(window(&a, Width::Hour, at(0), 4, 1.0)),
            Output::Presence(presence("a", Status::Stale, at(5))),
            Output::Presence(presence("a", Status::Down, at(9))),
        ];
        pending.take_in(Egress::Data { t: 1, outputs });
        assert_eq!(pending.conflated, 4);
        let news = pending.take();
        let windows: Vec<_> = news.windows.iter().map(|w| (w.window.width, w.window.start, w.revision)).collect();
        assert_eq!(windows, [(Width::Minute, at(120), 4), (Width::Minute, at(60), 1), (Width::Hour, at(0), 4)]);
        assert_eq!(news.presences[0].status, Status::Down);
        assert!(pending.is_empty());
        pending.take_in(Egress::Data { t: 2, outputs: vec![minute(&a, 180, 5)] });
        pending.put_back(news);
        let starts: Vec<_> = pending.take().windows.iter().map(|window| window.window.start).collect();
        assert_eq!(starts, [at(180), at(60), at(0)], "what is newer stands");
    }
}
