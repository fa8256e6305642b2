//! Machines: what a few of them send in a while, made from a seed. Everything that the network, a clock or an outage does to frames is
//! done here: strays, repeats, resends, gaps, idleness, a spool, clock jumps, several layouts, either wire.

use std::sync::Arc;

use fastrand::Rng;
use model::{Batch, Labels, Layout, LogicalTime, MachineInfo, Positions, Record, SeriesKey, SessionId, Stamped, Times};

use crate::common::{SECOND, machine, stamped, t, time};

pub(crate) const MACHINES: [&str; 4] = ["a", "b-2", "c", "d"];
pub(crate) const EVENT: &str = "payment.amount";

/// How one machine behaves. Times are seconds of the script.
struct Habit {
    name: &'static str,
    every: u32,
    /// The one-sample-per-message wire.
    sends_singles: bool,
    /// Sends nothing, measures nothing.
    idle: (u32, u32),
    /// Cut off: sends at the end what it has kept.
    away: (u32, u32),
    /// At the beginning of the script it has an hour of spool, which it sends from this second on.
    hour_at: Option<u32>,
    /// From a second on its clock is so many seconds off.
    jumps: Vec<(u32, i32)>,
    /// It connects again and repeats what may not have arrived, under the same session or a new one.
    reconnects: Option<(u32, bool)>,
}

fn habit(name: &'static str, seconds: u32, rng: &mut Rng) -> Habit {
    let span = |rng: &mut Rng, longest: u32| {
        let from = rng.u32(0..seconds);
        (from, from + rng.u32(0..longest))
    };
    let jump = |rng: &mut Rng| (rng.u32(0..seconds), *rng.choice(&[97, -45, -300, -1_500, 500, -5_000, 0]).unwrap());
    Habit {
        name,
        every: *rng.choice(&[1, 5, 5, 5, 10]).unwrap(),
        sends_singles: rng.u8(..) < 60,
        idle: if rng.bool() { span(rng, 200) } else { (0, 0) },
        away: if rng.bool() { span(rng, 300) } else { (0, 0) },
        hour_at: (rng.u8(..) < 40).then(|| rng.u32(0..seconds)),
        jumps: (0..rng.usize(0..3)).map(|_| jump(rng)).collect(),
        reconnects: rng.bool().then(|| (rng.u32(0..seconds), rng.bool())),
    }
}

/// The layouts of a machine: the second turns and mixes the first, the third adds to it.
fn layouts(name: &str) -> [Arc<Layout>; 3] {
    let m = |n: &str| SeriesKey::parse("m", Labels::parse([("n", n)]).unwrap()).unwrap();
    let event = || SeriesKey::parse(EVENT, Labels::none()).unwrap();
    [vec![m("0"), m("1"), m("2")], vec![m("2"), event(), m("0")], vec![m("0"), m("1"), m("2"), event(), m("3"), m("4")]]
        .map(|series| Arc::new(Layout::new(machine(name), series)))
}

/// Everything that these machines send and say, in order of arrival.
pub(crate) fn machines(seconds: u32, rng: &mut Rng) -> Vec<Stamped> {
    let mut records: Vec<Stamped> = Vec::new();
    for name in MACHINES {
        let habit = habit(name, seconds, rng);
        introductions(&habit, seconds, rng, &mut records);
        Sender { layouts: layouts(name), habit, rng, records: &mut records }.run(seconds);
    }
    records.sort_by_key(|record| record.t);
    records
}

/// Some say who they are, now and then with another tag or interval.
fn introductions(habit: &Habit, seconds: u32, rng: &mut Rng, records: &mut Vec<Stamped>) {
    for _ in 0..rng.usize(0..4) {
        let at = snapped(t(f64::from(rng.u32(0..seconds))) + rng.u64(0..SECOND), rng);
        let mut info = MachineInfo::unknown(machine(habit.name), model::Timestamp::from_logical(at));
        info.interval_ms = if rng.bool() { habit.every * 1_000 } else { rng.u32(1..60) * 1_000 };
        if rng.bool() {
            info.tags.insert("role".into(), rng.choice(["db", "web"]).unwrap().into());
        }
        records.push(stamped(at, Record::Machine(Arc::new(info))));
    }
}

/// Group commits and boundaries of the control plane meet more often than chance would have it.
fn snapped(t: LogicalTime, rng: &mut Rng) -> LogicalTime {
    if rng.u8(..) < 60 { t - t % 100_000 } else { t }
}

struct Sender<'a> {
    habit: Habit,
    layouts: [Arc<Layout>; 3],
    rng: &'a mut Rng,
    records: &'a mut Vec<Stamped>,
}

/// One tick's samples, still to be sent.
#[derive(Clone)]
struct Tick {
    /// Second at which it was measured, by a true clock.
    second: f64,
    layout: usize,
    /// Position and value.
    samples: Vec<(u16, f64)>,
}

impl Sender<'_> {
    fn run(&mut self, seconds: u32) {
        if let Some(back) = self.habit.hour_at {
            for n in 0..180_u32 {
                let tick = self.tick(f64::from(n) * 20.0 - 3_600.0, 0);
                self.send(&tick, t(f64::from(back)) + u64::from(n) * 3_000, SessionId(1));
            }
        }
        let mut recent: Vec<Tick> = Vec::new();
        let mut layout = self.rng.usize(0..3);
        for second in (0..seconds).step_by(self.habit.every as usize) {
            if within(second, self.habit.idle) || self.rng.u8(..) < 8 {
                continue;
            }
            if self.rng.u8(..) < 6 {
                layout = self.rng.usize(0..3);
            }
            let tick = self.tick(f64::from(second), layout);
            self.deliver(second, &tick);
            recent.push(tick);
            if let Some((at, is_new)) = self.habit.reconnects
                && at / self.habit.every == second / self.habit.every
            {
                let session = SessionId(if is_new { 2 } else { 1 });
                let from = recent.len() - self.rng.usize(0..=recent.len().min(30));
                for tick in &recent[from..] {
                    self.send(&without_events(tick), t(f64::from(second) + 1.5), session);
                }
            }
        }
    }

    fn tick(&mut self, second: f64, layout: usize) -> Tick {
        let width = u16::try_from(self.layouts[layout].series.len()).unwrap();
        let is_partial = self.rng.u8(..) < 30;
        let mut samples = Vec::new();
        for position in 0..width {
            if !(is_partial && self.rng.bool()) {
                let value = f64::from(self.rng.i32(-50..50)) / 4.0;
                samples.push((position, if self.rng.u8(..) < 2 { f64::NAN } else { value }));
            }
        }
        Tick { second, layout, samples }
    }

    /// Sends a tick now, or with what the outage kept; some of it strays, comes twice, or brings more events of its time.
    fn deliver(&mut self, second: u32, tick: &Tick) {
        let jitter = self.rng.u64(0..SECOND);
        let now = t(f64::from(second)) + jitter;
        let mut tick = tick.clone();
        if within(second, self.habit.away) {
            let sent = t(f64::from(self.habit.away.1)) + u64::from(second) * 1_000;
            return self.send(&tick, sent, SessionId(1));
        }
        if self.rng.u8(..) < 30 && tick.samples.len() > 1 {
            let stray = tick.samples.remove(self.rng.usize(..tick.samples.len()));
            let late = now + self.rng.u64(0..240 * SECOND);
            self.send(&Tick { samples: vec![stray], ..tick.clone() }, late, SessionId(1));
        }
        if self.rng.u8(..) < 15 {
            let late = now + self.rng.u64(0..240 * SECOND);
            self.send(&without_events(&tick), late, SessionId(1));
        }
        self.send(&tick, now, SessionId(1));
        let is_event = |(position, _): &(u16, f64)| self.layouts[tick.layout].series[usize::from(*position)].is_event();
        let events: Vec<_> = tick.samples.iter().copied().filter(is_event).collect();
        for _ in 0..if events.is_empty() { 0 } else { self.rng.u64(0..3) } {
            let later = now + self.rng.u64(0..90 * SECOND);
            self.send(&Tick { samples: events.clone(), ..tick.clone() }, later, SessionId(1));
        }
    }

    fn send(&mut self, tick: &Tick, sent: LogicalTime, session: SessionId) {
        if tick.samples.is_empty() {
            return;
        }
        let offset = self.habit.jumps.iter().filter(|(from, _)| f64::from(*from) <= tick.second).map(|(_, by)| by);
        let measured = time(tick.second + f64::from(offset.sum::<i32>()));
        let layout = &self.layouts[tick.layout];
        let age_us = sent.saturating_sub(t(tick.second));
        let one = |samples: &[(u16, f64)], session| {
            let is_whole = samples.len() == layout.series.len();
            let list = || Positions::List(samples.iter().map(|s| s.0).collect());
            Batch {
                layout: Arc::clone(layout),
                session,
                sequence: 1,
                arrival: model::Timestamp::from_logical(sent),
                age_ms: if session == SessionId::NONE { 0 } else { u32::try_from(age_us / 1_000).unwrap() },
                positions: if is_whole { Positions::All } else { list() },
                times: Times::One(measured),
                values: samples.iter().map(|s| s.1).collect(),
            }
        };
        if !self.habit.sends_singles {
            let at = snapped(sent, self.rng);
            self.records.push(stamped(at, Record::Batch(Arc::new(one(&tick.samples, session)))));
            return;
        }
        let mut at = sent;
        for samples in tick.samples.chunks(self.rng.usize(1..4)) {
            self.records.push(stamped(at, Record::Batch(Arc::new(one(samples, SessionId::NONE)))));
            at += self.rng.u64(0..30_000);
        }
    }
}

/// Whether several samples of it may share a time.
pub(crate) trait IsEvent {
    fn is_event(&self) -> bool;
}

impl IsEvent for SeriesKey {
    fn is_event(&self) -> bool {
        self.metric.as_ref() == EVENT
    }
}

/// Events are told apart by the door, by session and sequence: what it lets through twice is another event.
fn without_events(tick: &Tick) -> Tick {
    let names = layouts("a");
    let is_gauge = |(position, _): &&(u16, f64)| !names[tick.layout].series[usize::from(*position)].is_event();
    Tick { samples: tick.samples.iter().filter(is_gauge).copied().collect(), ..*tick }
}

fn within(second: u32, (from, to): (u32, u32)) -> bool {
    (from..to).contains(&second)
}
