//! Plan: what one machine does in a run, moment by moment: frames, and everything that goes wrong between a machine and its hub.
//!
//! A pure function of seed and machine: two runs with one seed send the same frames in the same order. Each frame has a number; a tick has
//! room for as many as a burst may hold, so that a number is never used twice for different values.
//! Keeps true: every tick's frame is planned exactly once, beside its duplicates; deeds come in the order of the moments at which they are due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fastrand::Rng;

use crate::schedule::{Schedule, mix, whole};

/// Numbers that one tick has: its own frame and those of a burst.
pub const NUMBERS_PER_TICK: u64 = 64;

/// How often what goes wrong, each as a part of the ticks (0 to 1).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Faults {
    /// Sent late, about `late_by_us` after it was measured.
    pub late: f64,
    pub late_by_us: u64,
    /// Sent twice: in turn as the same frame again and as a new frame with the same content.
    pub duplicate: f64,
    /// Duplicates are the same frame again, never a new one: of events that would be another event.
    pub repeats_only: bool,
    /// Sent after the frame that was measured after it.
    pub shuffle: f64,
    /// The stream breaks.
    pub disconnect: f64,
    /// The machine is cut off for `replay_ticks`, and then sends what it kept at once.
    pub replay: f64,
    pub replay_ticks: u64,
    /// A burst of this many further measurements, sent at once.
    pub burst: f64,
    pub burst_frames: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Fresh,
    Late,
    Shuffled,
    Duplicate,
    Replayed,
    Burst,
}

/// A frame to send. Times are microseconds since the run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Planned {
    pub number: u64,
    pub time_us: u64,
    pub due_us: u64,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    Frame(Planned),
    /// The newest frame once more, under the number that the wire knows it by.
    Again {
        due_us: u64,
    },
    Disconnect {
        due_us: u64,
    },
}

/// The deeds of one machine, in order.
#[derive(Debug, Clone)]
pub struct Plan {
    schedule: Schedule,
    faults: Faults,
    machine: u32,
    rng: Rng,
    tick: u64,
    ticks: u64,
    replay: Option<Replay>,
    duplicates: u64,
    order: u64,
    waiting: BinaryHeap<Reverse<(u64, u64, Deed)>>,
}

#[derive(Debug, Clone, Copy)]
struct Replay {
    left: u64,
    due_us: u64,
}

impl Deed {
    #[must_use]
    pub fn due_us(&self) -> u64 {
        match self {
            Self::Frame(frame) => frame.due_us,
            Self::Again { due_us } | Self::Disconnect { due_us } => *due_us,
        }
    }
}

impl Plan {
    /// `ticks` is how often the machine measures.
    #[must_use]
    pub fn new(schedule: Schedule, faults: Faults, machine: u32, ticks: u64) -> Self {
        Self {
            schedule,
            faults,
            machine,
            rng: Rng::with_seed(mix(schedule.seed ^ mix(u64::from(machine)))),
            tick: 0,
            ticks,
            replay: None,
            duplicates: 0,
            order: 0,
            waiting: BinaryHeap::new(),
        }
    }

    fn due_us(&self, tick: u64) -> u64 {
        self.schedule.due_us(self.machine, tick)
    }

    fn push(&mut self, deed: Deed) {
        self.order += 1;
        self.waiting.push(Reverse((deed.due_us(), self.order, deed)));
    }

    fn frame(&mut self, number: u64, time_us: u64, due_us: u64, kind: Kind) {
        self.push(Deed::Frame(Planned { number, time_us, due_us, kind }));
    }

    /// Plans the next tick.
    fn advance(&mut self) {
        let (tick, time_us) = (self.tick, self.due_us(self.tick));
        self.tick += 1;
        // Always as many draws, so that one rate does not change what another hits.
        let draws: [f64; 7] = std::array::from_fn(|_| self.rng.f64());
        let [replay, disconnect, burst, duplicate, late, how_late, shuffle] = draws;
        let number = tick * NUMBERS_PER_TICK;
        let begins = replay < self.faults.replay && tick + self.faults.replay_ticks < self.ticks;
        if begins && self.replay.is_none() && 0 < self.faults.replay_ticks {
            let due_us = self.due_us(tick + self.faults.replay_ticks);
            self.replay = Some(Replay { left: self.faults.replay_ticks, due_us });
            self.push(Deed::Disconnect { due_us: time_us });
        }
        if let Some(Replay { left, due_us }) = self.replay {
            self.replay = (left > 1).then_some(Replay { left: left - 1, due_us });
            self.frame(number, time_us, due_us, Kind::Replayed);
            return;
        }
        if disconnect < self.faults.disconnect {
            self.push(Deed::Disconnect { due_us: time_us });
        }
        let (due_us, kind) = if late < self.faults.late {
            (time_us + whole(self.faults.late_by_us as f64 * (0.5 + how_late)), Kind::Late)
        } else if shuffle < self.faults.shuffle {
            (self.due_us(tick + 1) + self.schedule.interval_us / 10, Kind::Shuffled)
        } else {
            (time_us, Kind::Fresh)
        };
        self.frame(number, time_us, due_us, kind);
        if burst < self.faults.burst {
            self.burst(number, time_us);
        }
        if duplicate < self.faults.duplicate {
            self.duplicate(number, time_us, due_us);
        }
    }

    fn burst(&mut self, number: u64, time_us: u64) {
        let gap_us = burst_gap_us(&self.schedule);
        let frames = self.faults.burst_frames.min(NUMBERS_PER_TICK - 1);
        for more in 1..=frames {
            self.frame(number + more, time_us + more * gap_us, time_us + frames * gap_us, Kind::Burst);
        }
    }

    fn duplicate(&mut self, number: u64, time_us: u64, due_us: u64) {
        let due_us = due_us + self.schedule.interval_us / 3;
        self.duplicates += 1;
        if self.duplicates.is_multiple_of(2) || self.faults.repeats_only {
            self.push(Deed::Again { due_us });
        } else {
            self.frame(number, time_us, due_us, Kind::Duplicate);
        }
    }
}

/// Time between two measurements of a burst: all of them fit before the next tick.
#[must_use]
pub fn burst_gap_us(schedule: &Schedule) -> u64 {
    whole(schedule.interval_us as f64 * (1.0 - schedule.jitter.clamp(0.0, 0.9))) / NUMBERS_PER_TICK
}

impl Iterator for Plan {
    type Item = Deed;

    fn next(&mut self) -> Option<Deed> {
        while self.tick < self.ticks {
            let next_us = self.due_us(self.tick);
            // Whatever later ticks plan is due at their own time or after it.
            if self.waiting.peek().is_some_and(|Reverse((due_us, ..))| *due_us <= next_us) {
                break;
            }
            self.advance();
        }
        self.waiting.pop().map(|Reverse((_, _, deed))| deed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const SCHEDULE: Schedule = Schedule { seed: 7, machines: 3, interval_us: 1_000_000, jitter: 0.0 };

    fn all(rate: f64) -> Faults {
        Faults {
            late: rate,
            late_by_us: 5_000_000,
            duplicate: rate,
            repeats_only: false,
            shuffle: rate,
            disconnect: rate,
            replay: rate / 4.0,
            replay_ticks: 5,
            burst: rate,
            burst_frames: 9,
        }
    }

    fn frames(plan: Plan) -> Vec<Planned> {
        let frame = |deed| match deed {
            Deed::Frame(frame) => Some(frame),
            Deed::Again { .. } | Deed::Disconnect { .. } => None,
        };
        plan.filter_map(frame).collect()
    }

    #[test]
    fn without_faults_each_tick_is_sent_when_it_is_due() {
        let deeds: Vec<Deed> = Plan::new(SCHEDULE, Faults::default(), 0, 3).collect();
        let frame = |tick: u64| {
            let at = tick * 1_000_000;
            Deed::Frame(Planned { number: tick * NUMBERS_PER_TICK, time_us: at, due_us: at, kind: Kind::Fresh })
        };
        assert_eq!(deeds, [frame(0), frame(1), frame(2)]);
    }

    #[test]
    fn a_replay_sends_what_was_kept_in_order_before_the_next_tick() {
        let faults = Faults { replay: 1.0, replay_ticks: 3, ..Faults::default() };
        let told: Vec<String> = Plan::new(SCHEDULE, faults, 0, 5)
            .map(|deed| match deed {
                Deed::Frame(f) => format!("{}@{}", f.time_us / 1_000_000, f.due_us / 1_000_000),
                Deed::Again { .. } => "again".to_owned(),
                Deed::Disconnect { due_us } => format!("cut@{}", due_us / 1_000_000),
            })
            .collect();
        assert_eq!(told, ["cut@0", "0@3", "1@3", "2@3", "3@3", "4@4"]);
    }

    #[test]
    fn a_rate_hits_about_its_part_of_the_ticks() {
        let ticks = 20_000;
        for kind in [Kind::Late, Kind::Shuffled, Kind::Duplicate] {
            let faults = match kind {
                Kind::Late => Faults { late: 0.1, late_by_us: 5_000_000, ..Faults::default() },
                Kind::Shuffled => Faults { shuffle: 0.1, ..Faults::default() },
                Kind::Fresh | Kind::Duplicate | Kind::Replayed | Kind::Burst => {
                    Faults { duplicate: 0.2, ..Faults::default() }
                }
            };
            let hit = frames(Plan::new(SCHEDULE, faults, 1, ticks)).iter().filter(|f| f.kind == kind).count();
            assert!((1_700..2_300).contains(&hit), "{kind:?}: {hit}");
        }
    }

    proptest! {
        #[test]
        fn one_seed_is_one_plan_and_every_tick_is_sent_once_and_in_order(
            seed: u64, machine in 0_u32..3, rate in 0.0_f64..1.0, jitter in 0.0_f64..0.5, ticks in 1_u64..200,
        ) {
            let schedule = Schedule { seed, jitter, ..SCHEDULE };
            let plan = Plan::new(schedule, all(rate), machine, ticks);
            let deeds: Vec<Deed> = plan.clone().collect();
            prop_assert_eq!(&deeds, &plan.clone().collect::<Vec<_>>());
            prop_assert!(deeds.windows(2).all(|pair| pair[0].due_us() <= pair[1].due_us()));
            let mut sent: BTreeMap<u64, (u64, u32)> = BTreeMap::new();
            for frame in frames(plan) {
                prop_assert!(frame.time_us <= frame.due_us);
                let known = sent.entry(frame.number).or_insert((frame.time_us, 0));
                prop_assert_eq!(known.0, frame.time_us);
                known.1 += u32::from(frame.kind != Kind::Duplicate);
            }
            prop_assert!(sent.values().all(|(_, times)| *times == 1));
            let ticked = sent.keys().filter(|number| number.is_multiple_of(NUMBERS_PER_TICK)).count();
            prop_assert_eq!(ticked as u64, ticks);
            // No two measurements of a machine fall into one millisecond of the wire.
            let mut times: Vec<u64> = sent.values().map(|(time_us, _)| time_us / 1_000).collect();
            times.sort_unstable();
            prop_assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
