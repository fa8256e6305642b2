//! Presence: which machines are heard of. Up with a frame, stale after three intervals without one, down after a minute.
//!
//! In: frames, and machines' introductions. Out: changes of status, and one `machine-down` alert per outage.
//! State: per machine its newest sighting, interval and status; freed a day after it went down.
//! Time: the frontier is the clock. Until a grace after `live_from` nobody is declared silent: a replay's gaps are the hub's, not theirs.
//! Loss: none. Invariants: A-1 Fired and Resolved alternate per alert.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

use hashbrown::HashMap;
use model::machine::Presence;
use model::rule::{Input, Operator};
use model::{
    Bound, Cause, Change, Labels, LogicalTime, MachineId, Rule, SeriesKey, SessionId, Severity, Status, Timestamp,
    Transition,
};

use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::introspect::{Counted, Meter};
use crate::settings::{PresenceSettings, Settings, ticks};
use crate::stage::{At, Records, SharedRecords, WARM};
use crate::state::timers::Timers;

pub use model::rule::MACHINE_DOWN;
/// Its series: 1 while frames come, 0 while the machine is down.
pub const MACHINE_UP: &str = "sysmonstm.machine.up";

/// A machine said who it is.
#[derive(Debug, Clone)]
pub struct Introduction {
    pub machine: MachineId,
    /// Index of the machine on its worker.
    pub index: u32,
    /// As the machine said; 0 where it did not.
    pub interval_ms: u32,
    pub arrival: Timestamp,
}

#[derive(Debug, Clone)]
pub enum PresenceOutput {
    Presence(Arc<Presence>),
    Transition(Arc<Transition>),
}

/// What is known of a machine when something of it arrives.
struct Sighting<'a> {
    machine: &'a MachineId,
    index: u32,
    is_frame: bool,
    interval_ms: u32,
    arrival: Timestamp,
}

/// The presence of all machines of a worker.
pub struct Roll {
    settings: PresenceSettings,
    quiet_until: LogicalTime,
    forget_after: LogicalTime,
    /// By machine index.
    machines: Vec<Option<Machine>>,
    timers: Timers<u32>,
    /// Alerts whose machine has not been seen since the restart, or for so long that it was forgotten.
    firing: HashMap<MachineId, Timestamp>,
    rule: Arc<Rule>,
    series: Arc<SeriesKey>,
}

struct Machine {
    id: MachineId,
    status: Option<Status>,
    seen_t: LogicalTime,
    last_seen: Timestamp,
    interval: LogicalTime,
    due: LogicalTime,
    /// Since when the alert is firing.
    down_since: Option<Timestamp>,
}

impl Roll {
    pub fn new(settings: &Settings) -> Self {
        let series = Arc::new(SeriesKey { metric: MACHINE_UP.into(), labels: Labels::none() });
        let firing = settings.firing.iter().filter(|alert| alert.rule.name == MACHINE_DOWN);
        Self {
            settings: settings.presence.clone(),
            quiet_until: settings.live_from.saturating_add(ticks(settings.presence.grace)),
            forget_after: ticks(settings.window.forget_after),
            machines: Vec::new(),
            timers: Timers::default(),
            firing: firing.map(|alert| (alert.machine.clone(), alert.since)).collect(),
            rule: Arc::new(machine_down()),
            series,
        }
    }

    /// The machine, made known if it is not.
    fn meet(&mut self, t: LogicalTime, id: &MachineId, index: u32, arrival: Timestamp) -> &mut Machine {
        let index = index as usize;
        if self.machines.len() <= index {
            self.machines.resize_with(index + 1, || None);
        }
        let (firing, interval) = (&mut self.firing, ticks(self.settings.interval_default));
        self.machines[index].get_or_insert_with(|| {
            let down_since = firing.remove(id);
            let status = down_since.map(|_| Status::Down);
            Machine { id: id.clone(), status, seen_t: t, last_seen: arrival, interval, due: 0, down_since }
        })
    }

    /// Something of a machine arrived.
    fn sight(&mut self, t: LogicalTime, sighting: &Sighting<'_>, out: &mut Vec<At<PresenceOutput>>) {
        let Sighting { machine, index, is_frame, interval_ms, arrival } = *sighting;
        let machine = self.meet(t, machine, index, arrival);
        let interval = machine.interval;
        if interval_ms > 0 {
            machine.interval = u64::from(interval_ms) * 1_000;
        }
        let is_sooner = machine.interval < interval;
        if is_frame {
            (machine.seen_t, machine.last_seen) = (t, arrival);
        } else {
            // An introduction from a journal's preamble speaks of its own time.
            let arrival = u64::try_from(arrival.micros()).unwrap_or(0);
            machine.seen_t = machine.seen_t.min(t).max(arrival.min(t));
        }
        let (is_up, needs_timer) = (machine.status == Some(Status::Up), machine.due == 0);
        // A replayed frame from before the outage that the history knows of does not end it. One of the very time does: it came behind it.
        let is_over = machine.down_since.is_none_or(|since| since <= Timestamp::from_logical(t));
        if is_frame && !is_up && is_over {
            self.become_status(index, Status::Up, t, out);
        }
        // A timer that is set looks again by itself, but for one that was set for a longer interval.
        if (needs_timer || !is_up || is_sooner)
            && let Some(Some(machine)) = self.machines.get(index as usize)
        {
            let (_, due) = self.judge(machine, t);
            self.set_timer(index, due);
        }
    }

    /// The next timer that is due by `now`. A machine that was seen since it was set is stale later.
    #[inline]
    fn next_timer(&mut self, now: LogicalTime) -> Option<(LogicalTime, u32)> {
        let Self { timers, machines, settings, quiet_until, .. } = self;
        timers.pop_due_unless(now, |due, index| match machines.get_mut(index as usize) {
            Some(Some(machine)) if machine.due == due => {
                machine.due = machine.stale_at(settings, *quiet_until).max(due);
                machine.due
            }
            _ => due,
        })
    }

    /// What a machine's silence means at `now`, and when it means the next thing.
    fn judge(&self, machine: &Machine, now: LogicalTime) -> (Status, LogicalTime) {
        let stale_after = machine.stale_after(&self.settings);
        let stale = machine.stale_at(&self.settings, self.quiet_until);
        // A slow machine (one frame a minute) is not down before it is stale.
        let down =
            machine.seen_t.saturating_add(ticks(self.settings.down_after).max(stale_after)).max(self.quiet_until);
        match now {
            _ if now >= down => (Status::Down, machine.seen_t.saturating_add(self.forget_after).max(now + 1)),
            _ if now >= stale => (Status::Stale, down),
            _ => (Status::Up, stale),
        }
    }

    fn become_status(&mut self, index: u32, status: Status, t: LogicalTime, out: &mut Vec<At<PresenceOutput>>) {
        let Some(Some(machine)) = self.machines.get_mut(index as usize) else {
            return;
        };
        if machine.status == Some(status) {
            return;
        }
        machine.status = Some(status);
        let at = Timestamp::from_logical(t);
        let presence = Presence { machine: machine.id.clone(), status, at, last_seen: machine.last_seen };
        out.push(At { t, item: PresenceOutput::Presence(Arc::new(presence)) });
        // That a made-up machine falls silent is the end of a test.
        if machine.id.is_synthetic() {
            return;
        }
        let (change, since, value) = match (status, machine.down_since) {
            (Status::Down, None) => (Change::Fired, at, 0.0),
            (Status::Up, Some(since)) => (Change::Resolved, since, 1.0),
            _ => return,
        };
        machine.down_since = (change == Change::Fired).then_some(at);
        let (rule, series, machine) = (Arc::clone(&self.rule), Arc::clone(&self.series), machine.id.clone());
        let transition = Transition { rule, machine, series, change, cause: Cause::Threshold, value, at, since, t };
        out.push(At { t, item: PresenceOutput::Transition(Arc::new(transition)) });
    }

    fn set_timer(&mut self, index: u32, due: LogicalTime) {
        if let Some(Some(machine)) = self.machines.get_mut(index as usize)
            && (machine.due == 0 || due < machine.due)
        {
            machine.due = due;
            self.timers.set(due, index);
        }
    }
}

impl Machine {
    fn stale_after(&self, settings: &PresenceSettings) -> LogicalTime {
        self.interval.saturating_mul(u64::from(settings.stale_intervals))
    }

    fn stale_at(&self, settings: &PresenceSettings, quiet_until: LogicalTime) -> LogicalTime {
        self.seen_t.saturating_add(self.stale_after(settings)).max(quiet_until)
    }
}

/// Runs the presence of a worker's machines on its streams, whose records of one activation come together.
pub fn presence<'s>(
    frames: SharedRecords<'s, Bound>,
    introductions: Records<'s, Introduction>,
    mut roll: Roll,
) -> Records<'s, PresenceOutput> {
    let scope = frames.scope();
    let mut builder = OperatorBuilder::new("presence".to_owned(), scope);
    let meter = Meter::of(scope.worker(), &builder.operator_info(), "presence");
    let (pact, introductions_pact) = (Counted::on(&frames), Counted::on(&introductions));
    let mut frames = builder.new_input(frames, pact);
    let mut introductions = builder.new_input(introductions, introductions_pact);
    let (output, stream) = builder.new_output();
    let mut output = OutputBuilder::<_, CapacityContainerBuilder<Vec<_>>>::from(output);
    builder.build(move |mut capabilities| {
        let (mut held, mut known, mut out) = (capabilities.pop(), VecDeque::new(), Vec::new());
        move |frontiers| {
            let _running = meter.run();
            introductions.for_each(|_, records| known.extend(records.drain(..)));
            frames.for_each(|_, records| {
                runtime::fault::strike("presence");
                for records in records.chunks(WARM) {
                    roll.warm(records);
                    for At { t, item } in records {
                        while let Some(introduction) = known.pop_front_if(|at: &mut At<Introduction>| at.t <= *t) {
                            roll.introduce(&introduction, &mut out);
                        }
                        roll.frame(*t, item, &mut out);
                    }
                }
            });
            known.drain(..).for_each(|introduction| roll.introduce(&introduction, &mut out));
            let now = frontiers.iter().filter_map(|frontier| frontier.frontier().first().copied()).min();
            meter.reached(now);
            if let Some(now) = now {
                roll.advance(now, &mut out);
            }
            if let Some(capability) = held.as_mut() {
                if !out.is_empty() {
                    meter.gave(out.len());
                    output.activate().session(&*capability).give_container(&mut out);
                }
                now.iter().for_each(|now| capability.downgrade(now));
            }
            if now.is_none() {
                held = None;
            }
        }
    });
    stream
}

/// The built-in rule behind presence alerts.
pub fn machine_down() -> Rule {
    Rule {
        name: MACHINE_DOWN.to_owned(),
        metric: MACHINE_UP.to_owned(),
        input: Input::Sample,
        operator: Operator::Lt,
        threshold: 1.0,
        clear: None,
        for_s: 60,
        no_data_s: None,
        severity: Severity::Critical,
        enabled: true,
        machines: Vec::new(),
        tags: std::collections::BTreeMap::new(),
        labels: std::collections::BTreeMap::new(),
        group_by: Vec::new(),
        summary: "nothing heard of the machine".to_owned(),
    }
}

impl Roll {
    /// See `Stage::warm`.
    fn warm(&self, records: &[At<Bound>]) {
        let machines = records.iter().filter_map(|at| self.machines.get(at.item.index() as usize)?.as_ref());
        black_box(machines.fold(0, |read, machine| read ^ machine.seen_t));
    }

    fn frame(&mut self, t: LogicalTime, bound: &Bound, out: &mut Vec<At<PresenceOutput>>) {
        self.advance(t, out);
        // A dead letter that is sent again tells nothing of its machine.
        if bound.batch.session == SessionId::RESENT {
            return;
        }
        let (machine, index, arrival) = (bound.batch.machine(), bound.index(), bound.batch.arrival);
        self.sight(t, &Sighting { machine, index, is_frame: true, interval_ms: 0, arrival }, out);
    }

    fn introduce(&mut self, At { t, item }: &At<Introduction>, out: &mut Vec<At<PresenceOutput>>) {
        self.advance(*t, out);
        let Introduction { machine, index, interval_ms, arrival } = item;
        let (index, interval_ms, arrival) = (*index, *interval_ms, *arrival);
        self.sight(*t, &Sighting { machine, index, is_frame: false, interval_ms, arrival }, out);
    }

    fn advance(&mut self, now: LogicalTime, out: &mut Vec<At<PresenceOutput>>) {
        while let Some((due, index)) = self.next_timer(now) {
            let Some(Some(machine)) = self.machines.get_mut(index as usize) else {
                continue;
            };
            if machine.due != due {
                continue;
            }
            machine.due = 0;
            let is_old = due >= machine.seen_t.saturating_add(self.forget_after) && due >= self.quiet_until;
            let Some(Some(machine)) = self.machines.get(index as usize) else {
                continue;
            };
            let (status, next) = self.judge(machine, due);
            // An introduction puts silence off, but only a frame makes anything better.
            if machine.status < Some(status) && status != Status::Up {
                self.become_status(index, status, due, out);
            }
            if is_old {
                // Its alert goes on: only its return resolves it, under whatever index it is met again.
                if let Some(Machine { id, down_since: Some(since), .. }) = self.machines[index as usize].take() {
                    self.firing.insert(id, since);
                }
            } else {
                self.set_timer(index, next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operators::fixtures::{Feed, SECOND};
    use expect_test::{Expect, expect};
    use std::fmt::Write;

    /// Sightings at seconds of T, with the time the silence is watched until; live since second 100.
    fn check(frames: &[u64], until: u64, expect: &Expect) {
        check_after(Vec::new(), frames, until, expect);
    }

    /// As `check`, after a restart with these alerts.
    fn check_after(firing: Vec<model::Alert>, frames: &[u64], until: u64, expect: &Expect) {
        let settings = Settings { live_from: 100 * SECOND, firing, ..crate::operators::fixtures::settings() };
        let (mut roll, mut out) = (Roll::new(&settings), Vec::new());
        let machine = MachineId::parse("db-1").unwrap();
        for second in frames {
            let (t, arrival) = (second * SECOND, Timestamp::from_logical(second * SECOND));
            roll.advance(t, &mut out);
            roll.sight(t, &Sighting { machine: &machine, index: 0, is_frame: true, interval_ms: 0, arrival }, &mut out);
        }
        roll.advance(until * SECOND, &mut out);
        let text = out.iter().fold(String::new(), |mut text, At { t, item }| {
            let what = match item {
                PresenceOutput::Presence(presence) => {
                    format!("{} since {}", presence.status.as_str(), presence.last_seen.secs())
                }
                PresenceOutput::Transition(t) => format!("{:?} {} since {}", t.change, t.rule.name, t.since.secs()),
            };
            writeln!(text, "{}: {what}", t / SECOND).unwrap();
            text
        });
        expect.assert_eq(&text);
    }

    #[test]
    fn silence_makes_stale_then_down_and_one_frame_makes_up() {
        check(
            &[200, 205, 300],
            310,
            &expect![[r"
            200: up since 200
            220: stale since 205
            265: down since 205
            265: Fired machine-down since 265
            300: up since 300
            300: Resolved machine-down since 265
        "]],
        );
    }

    #[test]
    fn a_frame_of_the_very_time_of_an_outage_ends_it() {
        check(
            &[200, 260],
            261,
            &expect![[r"
            200: up since 200
            215: stale since 200
            260: down since 200
            260: Fired machine-down since 260
            260: up since 260
            260: Resolved machine-down since 260
        "]],
        );
    }

    #[test]
    fn a_replayed_frame_from_before_an_outage_does_not_end_it() {
        let transition = Transition {
            rule: Arc::new(machine_down()),
            machine: MachineId::parse("db-1").unwrap(),
            series: Arc::new(SeriesKey { metric: MACHINE_UP.into(), labels: Labels::none() }),
            change: Change::Fired,
            cause: model::Cause::Threshold,
            value: 0.0,
            at: Timestamp::from_secs(80),
            since: Timestamp::from_secs(80),
            t: 80 * SECOND,
        };
        let firing = vec![model::Alert::after(&transition)];
        let expect = expect![["150: up since 150\n150: Resolved machine-down since 80\n165: stale since 150\n"]];
        check_after(firing, &[10, 20, 150], 190, &expect);
    }

    #[test]
    fn a_dead_letter_that_is_sent_again_is_no_sign_of_life() {
        let (mut roll, mut out) = (Roll::new(&crate::operators::fixtures::settings()), Vec::new());
        let mut feed = Feed::new("db-1", 1);
        for (second, session) in [(200, 1), (300, u64::MAX), (301, u64::MAX)] {
            feed.session = SessionId(session);
            roll.frame(second * SECOND, &feed.frame(0.0, &[1.0]), &mut out);
        }
        let unknown = Feed { session: SessionId::RESENT, ..Feed::of("db-2", 1, 1) }.frame(0.0, &[1.0]);
        roll.frame(302 * SECOND, &unknown, &mut out);
        roll.advance(900 * SECOND, &mut out);
        let said = out.iter().filter_map(|at| match &at.item {
            PresenceOutput::Presence(presence) => Some((at.t / SECOND, presence.machine.as_str(), presence.status)),
            PresenceOutput::Transition(_) => None,
        });
        let expected = [(200, "db-1", Status::Up), (215, "db-1", Status::Stale), (260, "db-1", Status::Down)];
        assert_eq!(said.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_introduction_puts_silence_off_from_when_it_came() {
        let (mut roll, mut out) = (Roll::new(&crate::operators::fixtures::settings()), Vec::new());
        let frame = Feed::new("db-1", 1).frame(0.0, &[1.0]);
        let introduction = Introduction {
            machine: frame.batch.machine().clone(),
            index: 0,
            interval_ms: 0,
            arrival: Timestamp::from_secs(203),
        };
        roll.frame(200 * SECOND, &frame, &mut out);
        roll.introduce(&At { t: 210 * SECOND, item: introduction }, &mut out);
        roll.advance(230 * SECOND, &mut out);
        let said = out.iter().filter_map(|at| match &at.item {
            PresenceOutput::Presence(presence) => Some((at.t / SECOND, presence.status)),
            PresenceOutput::Transition(_) => None,
        });
        assert_eq!(said.collect::<Vec<_>>(), [(200, Status::Up), (218, Status::Stale)]);
    }

    #[test]
    fn a_gap_of_the_hub_is_nobodys_silence_until_the_grace_is_over() {
        check(
            &[10, 120],
            140,
            &expect![[r"
            10: up since 10
            135: stale since 120
        "]],
        );
    }
}
