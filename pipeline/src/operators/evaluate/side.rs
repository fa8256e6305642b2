//! Side: one kind of input (samples, or minutes) with the rules on it: what waits for its bindings, what is in effect, what is due.
//!
//! The two kinds come in streams of their own, each in order of its own times, so each side has its own bindings in effect: a side that
//! shared them would judge a minute by rules that a later sample has brought in, or not, as the schedule fell.
//! Invariants: A-1 Fired and Resolved alternate per alert, A-2 a restart owes desired minus persisted.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;

use model::catalogue::Kind;
use model::rule::Input;
use model::{Alert, Bound, Catalogue, Cause, Change, LogicalTime, MachineId, Roster, Timestamp, Transition};

use super::crossing::Crossers;
use super::unclaimed::Unclaimed;
use super::watched::Watched;
use crate::control::coarsen::{STEP, boundary_after};
use crate::control::facts::{Binding, Fact, ForgottenFact};
use crate::counters::Counters;
use crate::operators::window::MinuteUpdate;
use crate::settings::{Settings, ticks};
use crate::stage::{At, Shared, WARM};
use crate::state::timers::Timers;

/// How long after its boundary a changed binding takes effect: longer than the frontier lags in a quiet hub, so that records
/// do not have to wait for it.
pub(super) const LAG: LogicalTime = 2_000_000;

/// Places for containers that wait which are kept when none does.
const WAITING_KEPT: usize = 1_024;

pub(super) type Transitions = Vec<At<Arc<Transition>>>;

/// What a side judges.
pub(super) trait Judged: Clone {
    fn roster(&self) -> &Arc<Roster>;

    /// Index and length of the roster.
    fn place(&self) -> (u32, usize);

    /// Holds the record against what is watched of its machine.
    fn judge(&self, t: LogicalTime, watched: &mut Watched, out: &mut Transitions);

    /// Notes which series have been heard of.
    fn hear(&self, t: LogicalTime, watched: &mut Watched);

    /// Reads where it is told what it holds.
    fn touch(&self) -> u64 {
        0
    }

    /// Reads what it will be held against, and its values that are.
    fn touch_watched(&self, _watched: &Watched) -> u64 {
        0
    }
}

/// The verdicts on one kind of input.
pub(super) struct Side<R> {
    /// By machine index.
    machines: Vec<Watched>,
    /// Bindings that are not yet in effect, by boundary and machine.
    coming: BTreeMap<(LogicalTime, u32), Vec<(Binding, isize)>>,
    /// Bindings of boundaries up to here are in effect.
    applied: LogicalTime,
    /// What waits for its bindings, in order of arrival, as it came: of the first ones the records from `next` on.
    waiting: VecDeque<Shared<R>>,
    next: usize,
    /// Facts that are not yet in effect, by boundary.
    notices: BTreeMap<LogicalTime, Vec<(Fact, isize)>>,
    unclaimed: Unclaimed,
    /// Machines to be looked at for silence.
    silences: Timers<u32>,
    worker: u32,
    live_from: LogicalTime,
    catalogue: Catalogue,
    /// Until here silence is the hub's own.
    quiet_until: LogicalTime,
    /// Rules on series that may still be taken up, by both sides of the worker.
    room: Rc<Cell<usize>>,
    /// Rules that come from the other side, or go there.
    crossers: Rc<RefCell<Crossers>>,
    counters: Arc<Counters>,
}

/// What a record waits for.
#[derive(Clone, Copy)]
struct Needs {
    /// Bindings of this time must be known.
    until: LogicalTime,
    /// The machine's first series that the side has not met: they and what follows take their bindings at once.
    fresh: Option<u32>,
}

impl<R: Judged> Side<R> {
    pub(super) fn new(
        (settings, worker): (&Settings, usize),
        firing: Vec<Alert>,
        (room, crossers): (&Rc<Cell<usize>>, Rc<RefCell<Crossers>>),
        counters: Arc<Counters>,
    ) -> Self {
        let mut unclaimed = Unclaimed::default();
        unclaimed.add(firing);
        Self {
            machines: Vec::new(),
            coming: BTreeMap::new(),
            applied: 0,
            waiting: VecDeque::new(),
            next: 0,
            notices: BTreeMap::new(),
            unclaimed,
            silences: Timers::default(),
            // Workers are threads: there are few.
            worker: u32::try_from(worker).unwrap_or(0),
            live_from: settings.live_from,
            catalogue: settings.catalogue,
            quiet_until: settings.live_from.saturating_add(ticks(settings.presence.grace)),
            room: Rc::clone(room),
            crossers,
            counters,
        }
    }

    /// Notes a change of a binding at its boundary.
    pub(super) fn bind(&mut self, boundary: LogicalTime, binding: Binding, diff: isize) {
        self.coming.entry((boundary, binding.series.index)).or_default().push((binding, diff));
    }

    /// Notes a fact at its boundary.
    pub(super) fn note(&mut self, boundary: LogicalTime, fact: Fact, diff: isize) {
        self.notices.entry(boundary).or_default().push((fact, diff));
    }

    /// Takes records. `known` is the frontier of the bindings: those of earlier boundaries have all come.
    pub(super) fn take(&mut self, known: LogicalTime, records: Shared<R>, out: &mut Transitions) {
        let count = records.len();
        self.waiting.push_back(records);
        self.release(known, out);
        let judged = if self.waiting.len() == 1 { self.next } else { 0 };
        self.counters.stashed.add(if self.waiting.is_empty() { 0 } else { count - judged });
    }

    /// Judges what waits and needs only bindings before `known`, which have come.
    pub(super) fn release(&mut self, known: LogicalTime, out: &mut Transitions) {
        while let Some(records) = self.waiting.pop_front() {
            while let Some(At { t, item }) = records.get(self.next) {
                let needs = self.needs(*t, item.place());
                if known <= needs.until {
                    self.waiting.push_front(records);
                    return;
                }
                if self.next.is_multiple_of(WARM) {
                    self.warm(&records[self.next..records.len().min(self.next + WARM)]);
                }
                self.judge(needs, *t, item, out);
                self.next += 1;
            }
            self.next = 0;
        }
        // A fleet that comes at once waits at once, and never again.
        self.waiting.shrink_to(WAITING_KEPT);
    }

    /// See `Stage::warm`. What has waited is far away again.
    fn warm(&self, records: &[At<R>]) {
        black_box(records.iter().fold(0, |read, at| read ^ at.item.touch()));
        let machines =
            || records.iter().filter_map(|at| Some((&at.item, self.machines.get(at.item.place().0 as usize)?)));
        black_box(machines().fold(0, |read, (_, watched)| read ^ watched.known));
        black_box(machines().fold(0, |read, (item, watched)| read ^ item.touch_watched(watched)));
    }

    /// Runs what is due by `now` where no record comes to do it.
    pub(super) fn advance(&mut self, known: LogicalTime, now: LogicalTime, out: &mut Transitions) {
        // What is due before a record that waits does not wait with it, or it would hold the frontier back; nor does what needs only
        // bindings that are known, though others lag behind: `Crossing` relies on it.
        let now = self.waits_at().min(now);
        self.run_until(now.min(known.saturating_add(LAG - 1)), out);
    }

    /// The input has ended: bindings that came last take effect, silence means nothing any more.
    pub(super) fn finish(&mut self, out: &mut Transitions) {
        if self.waiting.is_empty() {
            self.apply_until(LogicalTime::MAX, out);
        }
    }

    /// The earliest logical time that anything may still be published at.
    pub(super) fn holds(&self, known: LogicalTime) -> LogicalTime {
        let waiting = self.first().map(|record| record.t);
        let coming = self.next_boundary().map(|boundary| boundary.saturating_add(LAG));
        let times = [waiting, coming, self.silences.next_due(), Some(known.saturating_add(LAG))];
        times.into_iter().flatten().min().unwrap_or(LogicalTime::MAX)
    }

    /// Everything of a time before this has been said, once the frontier is there, too.
    pub(super) fn waits_at(&self) -> LogicalTime {
        self.first().map_or(LogicalTime::MAX, |record| record.t)
    }

    /// The first record that waits.
    fn first(&self) -> Option<&At<R>> {
        self.waiting.front()?.get(self.next)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What must be known before the record is judged.
    fn needs(&mut self, t: LogicalTime, (index, width): (u32, usize)) -> Needs {
        let known = watched(&mut self.machines, index).known;
        if width <= known {
            return Needs { until: t.saturating_sub(LAG), fresh: None };
        }
        // A roster is bounded by the series that a machine may have.
        Needs { until: boundary_after(t), fresh: u32::try_from(known).ok() }
    }

    fn judge(&mut self, needs: Needs, t: LogicalTime, item: &R, out: &mut Transitions) {
        let before = out.len();
        let (index, _) = item.place();
        self.run_until(t, out);
        if let Some(first) = needs.fresh {
            watched(&mut self.machines, index).known = item.place().1;
            self.forget_before(index, &item.roster().machine);
            self.apply_fresh(t, index, first, out);
        }
        if !self.unclaimed.is_empty() {
            self.settle(t, item.roster(), out);
        }
        if let Some(watched) = self.machines.get_mut(index as usize) {
            item.judge(t, watched, out);
            if watched.listens() {
                item.hear(t, watched);
                self.arm(index);
            }
        }
        self.counters.transitions.add(out.len() - before);
    }

    /// Runs what is due at or before `now`, in order: each silence under the bindings of its own time, and bindings may ask about one that
    /// is due at once.
    fn run_until(&mut self, now: LogicalTime, out: &mut Transitions) {
        let through = now.saturating_sub(LAG);
        // Nearly always, and each record asks.
        let is_calm = self.coming.is_empty() && self.notices.is_empty();
        if is_calm && self.silences.next_due().is_none_or(|due| now < due) {
            self.applied = self.applied.max(through);
            return;
        }
        loop {
            let due = self.silences.next_due().filter(|due| *due <= now);
            let until = due.map_or(through, |due| due.saturating_sub(LAG));
            let boundary = if self.applied < until { self.next_boundary() } else { None };
            if let Some(boundary) = boundary.filter(|boundary| *boundary <= until) {
                self.apply_until(boundary, out);
                continue;
            }
            let Some((due, index)) = due.and_then(|_| self.silences.pop_due(now)) else { break };
            let Some(watched) = self.machines.get_mut(index as usize) else { continue };
            watched.silent(due, self.quiet_until, out);
            self.arm(index);
        }
        self.apply_until(through, out);
    }

    /// Sets the machine's timer to its next possible silence, unless an earlier one is set.
    fn arm(&mut self, index: u32) {
        if let Some(watched) = self.machines.get_mut(index as usize)
            && let Some(due) = watched.next_silence(self.quiet_until)
        {
            self.silences.set(due, index);
        }
    }

    /// Puts the bindings of boundaries up to and including `through` in effect, boundary by boundary.
    fn apply_until(&mut self, through: LogicalTime, out: &mut Transitions) {
        if through <= self.applied {
            return;
        }
        self.applied = through;
        while let Some(boundary) = self.next_boundary().filter(|boundary| *boundary <= through) {
            let (t, notices) = (boundary.saturating_add(LAG), self.notices.remove(&boundary).unwrap_or_default());
            // Before its bindings go, which then have nothing to resolve.
            notices.iter().for_each(|(fact, _)| self.forget(fact));
            while let Some(first) = self.coming.first_entry().filter(|first| first.key().0 == boundary) {
                let changes = first.remove();
                self.apply(t, changes, out);
            }
            let orphans = self.unclaimed.heed(notices);
            self.end(t, orphans, out);
        }
    }

    fn next_boundary(&self) -> Option<LogicalTime> {
        let coming = self.coming.keys().next().map(|(boundary, _)| *boundary);
        [coming, self.notices.keys().next().copied()].into_iter().flatten().min()
    }

    /// Takes the machine's alerts back from its bindings, which are about to go: nothing is known to have changed.
    fn forget(&mut self, fact: &Fact) {
        let Fact::Forgotten(ForgottenFact { worker, index, .. }) = fact else { return };
        if *worker != self.worker {
            return;
        }
        let Some(watched) = self.machines.get_mut(*index as usize).map(std::mem::take) else { return };
        let (places, alerts) = watched.into_firing();
        self.room.set(self.room.get() + places - alerts.len());
        self.unclaimed.add(alerts);
    }

    /// A machine that is back, under another index, before it was forgotten here: its alerts are waiting to be claimed.
    fn forget_before(&mut self, index: u32, machine: &MachineId) {
        let of_it = |fact: &&Fact| matches!(fact, Fact::Forgotten(of) if of.machine == *machine && of.index != index);
        let facts = self.notices.values().flatten().map(|(fact, _)| fact);
        let forgotten: Vec<Fact> = facts.filter(of_it).cloned().collect();
        forgotten.iter().for_each(|fact| self.forget(fact));
    }

    /// Puts the bindings of a machine's new series in effect at once: its first sample is judged. Those of its other series, and of other
    /// machines, keep their time, or verdicts would depend on who shares a worker. So do those of a rule that changes sides.
    fn apply_fresh(&mut self, t: LogicalTime, index: u32, first: u32, out: &mut Transitions) {
        let crossers = Rc::clone(&self.crossers);
        let is_due = |(binding, _): &mut (Binding, isize)| {
            first <= binding.series.slot && !crossers.borrow().has(&binding.rule.rule.name, t)
        };
        let mut boundary = boundary_after(self.applied);
        while boundary <= boundary_after(t) {
            if let Some(changes) = self.coming.get_mut(&(boundary, index)) {
                let fresh = changes.extract_if(.., is_due).collect();
                if changes.is_empty() {
                    self.coming.remove(&(boundary, index));
                }
                self.apply(t, fresh, out);
            }
            boundary = boundary.saturating_add(STEP);
        }
    }

    /// Changes of one boundary and machine, effective at `t`.
    fn apply(&mut self, t: LogicalTime, mut changes: Vec<(Binding, isize)>, out: &mut Transitions) {
        // Assertions first: an edited rule is then replaced and keeps its phase. Sorted, so that a replay does the same.
        changes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let index = changes.first().map(|(binding, _)| binding.series.index as usize);
        for (binding, diff) in changes {
            if diff > 0 {
                self.assert(t, binding, out);
            } else if let Some(watched) = self.machines.get_mut(binding.series.index as usize) {
                let is_gone = watched.retract(t, &binding, out);
                self.room.set(self.room.get() + usize::from(is_gone));
            }
        }
        if let Some(watched) = index.and_then(|index| self.machines.get_mut(index)) {
            watched.fit();
        }
    }

    fn assert(&mut self, t: LogicalTime, binding: Binding, out: &mut Transitions) {
        let Binding { series, rule } = &binding;
        let is_known = watched(&mut self.machines, series.index).has(series.slot, &rule.rule.name);
        let firing = if is_known { None } else { self.unclaimed.claim(&binding) };
        // A claimed alert brings its place along.
        if !is_known && firing.is_none() {
            // In an order that a replay repeats, so the same ones are refused again.
            let Some(room) = self.room.get().checked_sub(1) else { return self.counters.bindings_refused.add(1) };
            self.room.set(room);
        }
        let metric = self.catalogue.find(&series.key.metric);
        let is_event = rule.rule.input == Input::Sample && metric.is_some_and(|metric| metric.kind == Kind::Event);
        watched(&mut self.machines, series.index).assert(t, (&binding, is_event), firing, out);
        self.arm(series.index);
    }

    /// Once the bindings of a machine's series are in effect, what none of them has claimed is over: its rule does not apply any more.
    /// Not in a replay, whose rules are those of then.
    fn settle(&mut self, t: LogicalTime, roster: &Roster, out: &mut Transitions) {
        if t < self.live_from {
            return;
        }
        let over = self.unclaimed.left_of(roster);
        self.end(t, over, out);
    }

    /// Resolves alerts that nobody has claimed, and gives back their places.
    fn end(&mut self, t: LogicalTime, alerts: Vec<Alert>, out: &mut Transitions) {
        self.room.set(self.room.get() + alerts.len());
        let (at, change, cause) = (Timestamp::from_logical(t), Change::Resolved, Cause::RuleGone);
        out.extend(alerts.into_iter().map(|Alert { series, rule, since, value, machine, .. }| At {
            t,
            item: Arc::new(Transition { rule, machine, series, change, cause, value, at, since, t }),
        }));
    }
}

impl Judged for Bound {
    fn roster(&self) -> &Arc<Roster> {
        Bound::roster(self)
    }

    fn place(&self) -> (u32, usize) {
        (self.index(), self.width())
    }

    fn judge(&self, t: LogicalTime, watched: &mut Watched, out: &mut Transitions) {
        if !self.batch.is_stale() {
            watched.batch(t, self, out);
        }
    }

    fn hear(&self, t: LogicalTime, watched: &mut Watched) {
        (0..self.batch.len()).for_each(|index| watched.hear(t, self.slot(index)));
    }

    fn touch(&self) -> u64 {
        self.batch.len() as u64
    }

    fn touch_watched(&self, watched: &Watched) -> u64 {
        watched.touch(self)
    }
}

impl Judged for MinuteUpdate {
    fn roster(&self) -> &Arc<Roster> {
        &self.rows.roster
    }

    fn place(&self) -> (u32, usize) {
        (self.rows.roster.index, self.rows.roster.series.len())
    }

    fn judge(&self, t: LogicalTime, watched: &mut Watched, out: &mut Transitions) {
        if self.is_current {
            watched.minute(t, &self.rows, out);
        }
    }

    fn hear(&self, t: LogicalTime, watched: &mut Watched) {
        self.news().rows.iter().for_each(|(slot, _)| watched.hear(t, slot));
    }
}

fn watched(machines: &mut Vec<Watched>, index: u32) -> &mut Watched {
    let index = index as usize;
    if machines.len() <= index {
        machines.resize_with(index + 1, Watched::default);
    }
    &mut machines[index]
}
