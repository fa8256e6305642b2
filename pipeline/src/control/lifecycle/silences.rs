//! In force: which silences count, from when to when, by the graph's own clock.
//!
//! In: silences as facts at coarse boundaries. Out: +1 where one begins, -1 where it ends or is taken back; both at the first boundary at
//! or after that time, and not before `floor`. State: silences that are pending or in force, a timer each; freed when they end.
//! Time: the frontier is the clock. What a boundary does goes out when the boundary is over, so any pattern of seals gives the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{LogicalTime, Silence, Timestamp};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::Operator;

use super::Updates;
use crate::control::coarsen::boundary_after;
use crate::introspect::Meter;

type Change = (Arc<Silence>, LogicalTime, isize);

/// The silences that a worker was told of.
#[derive(Debug, Default)]
pub(super) struct InForce {
    /// Facts whose boundary is not over.
    coming: BTreeMap<LogicalTime, Vec<(Arc<Silence>, isize)>>,
    in_force: BTreeSet<Arc<Silence>>,
    starts: BTreeSet<(LogicalTime, Arc<Silence>)>,
    ends: BTreeSet<(LogicalTime, Arc<Silence>)>,
}

impl InForce {
    pub(super) fn note(&mut self, (silence, boundary, diff): Change) {
        self.coming.entry(boundary).or_default().push((silence, diff));
    }

    /// Does what is due at boundaries before `now`, in their order.
    pub(super) fn advance(&mut self, now: LogicalTime, out: &mut Vec<Change>) {
        while let Some(at) = self.next().filter(|at| *at < now) {
            while let Some(silence) = pop_due(&mut self.ends, at) {
                self.end(&silence, at, out);
            }
            while let Some(silence) = pop_due(&mut self.starts, at) {
                self.start(silence, at, out);
            }
            let mut facts: BTreeMap<Arc<Silence>, isize> = BTreeMap::new();
            for (silence, diff) in self.coming.remove(&at).unwrap_or_default() {
                *facts.entry(silence).or_default() += diff;
            }
            // One that was made and taken back within a boundary never was.
            for (silence, diff) in facts {
                match diff {
                    ..0 => self.take_back(&silence, at, out),
                    0 => {}
                    1.. => self.take(silence, at, out),
                }
            }
        }
    }

    fn next(&self) -> Option<LogicalTime> {
        let coming = self.coming.keys().next().copied();
        let timers = [self.starts.first(), self.ends.first()].into_iter().flatten().map(|(due, _)| *due);
        timers.chain(coming).min()
    }

    fn take(&mut self, silence: Arc<Silence>, at: LogicalTime, out: &mut Vec<Change>) {
        let (start, end) = (boundary_at(silence.starts_at), boundary_at(silence.ends_at));
        if end <= at {
            return;
        }
        self.ends.insert((end, Arc::clone(&silence)));
        if start <= at {
            self.start(silence, at, out);
        } else {
            self.starts.insert((start, silence));
        }
    }

    fn take_back(&mut self, silence: &Arc<Silence>, at: LogicalTime, out: &mut Vec<Change>) {
        self.starts.remove(&(boundary_at(silence.starts_at), Arc::clone(silence)));
        self.ends.remove(&(boundary_at(silence.ends_at), Arc::clone(silence)));
        self.end(silence, at, out);
    }

    fn start(&mut self, silence: Arc<Silence>, at: LogicalTime, out: &mut Vec<Change>) {
        // Too short to reach from one boundary to the next.
        let is_open = at < boundary_at(silence.ends_at);
        if is_open && self.in_force.insert(Arc::clone(&silence)) {
            out.push((silence, at, 1));
        }
    }

    fn end(&mut self, silence: &Arc<Silence>, at: LogicalTime, out: &mut Vec<Change>) {
        if self.in_force.remove(silence) {
            out.push((Arc::clone(silence), at, -1));
        }
    }
}

fn pop_due(timers: &mut BTreeSet<(LogicalTime, Arc<Silence>)>, at: LogicalTime) -> Option<Arc<Silence>> {
    let is_due = timers.first().is_some_and(|(due, _)| *due <= at);
    is_due.then(|| timers.pop_first().map(|(_, silence)| silence))?
}

/// The first boundary at or after a time.
fn boundary_at(time: Timestamp) -> LogicalTime {
    u64::try_from(time.micros()).ok().and_then(|micros| micros.checked_sub(1)).map_or(0, boundary_after)
}

/// Runs the silences of a worker.
pub(super) fn in_force<'s>(facts: Updates<'s, Arc<Silence>>, floor: LogicalTime) -> Updates<'s, Arc<Silence>> {
    type Built = CapacityContainerBuilder<Vec<Change>>;
    let scope = facts.scope();
    facts.unary_frontier::<Built, _, _, _>(Pipeline, "silences", move |capability, info| {
        let (mut held, mut state, mut out) = (Some(capability), InForce::default(), Vec::new());
        let meter = Meter::of(scope.worker(), &info, "silences");
        move |(input, frontier), output| {
            let _running = meter.run();
            input.for_each(|_, changes| changes.drain(..).for_each(|change| state.note(change)));
            let Some(capability) = held.as_mut() else { return };
            let now = frontier.frontier().first().copied();
            meter.reached(now);
            // The end of the input is no time: what is still to begin or end waits for the next run.
            if let Some(now) = now {
                state.advance(now, &mut out);
            }
            if !out.is_empty() {
                out.iter_mut().for_each(|(_, t, _)| *t = (*t).max(floor));
                meter.gave(out.len());
                output.session(&*capability).give_container(&mut out);
            }
            match now {
                Some(now) => capability.downgrade(&now),
                None => held = None,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use model::silence::Matchers;
    use std::fmt::Write;

    /// Of whole seconds, which are boundaries.
    fn silence(id: &str, from: i64, to: i64) -> Arc<Silence> {
        Arc::new(Silence {
            id: id.into(),
            matchers: Matchers::default(),
            starts_at: Timestamp::from_secs(from),
            ends_at: Timestamp::from_secs(to),
            author: String::new(),
            comment: String::new(),
            created: Timestamp::EPOCH,
        })
    }

    const S: u64 = 1_000_000;

    /// Facts (second, silence, diff); the same whether the frontier moves by tenths or at once.
    fn check(facts: &[(u64, &Arc<Silence>, isize)], expect: &Expect) {
        let run = |frontiers: &mut dyn Iterator<Item = u64>| {
            let (mut state, mut out, mut left) = (InForce::default(), Vec::new(), facts.iter().peekable());
            for now in frontiers {
                while let Some((second, silence, diff)) = left.next_if(|(second, ..)| second * S < now) {
                    state.note((Arc::clone(silence), second * S, *diff));
                }
                state.advance(now, &mut out);
            }
            out.iter().fold(String::new(), |mut text, (silence, t, diff)| {
                writeln!(text, "{}: {} {diff:+}", t / S, silence.id).unwrap();
                text
            })
        };
        let text = run(&mut (0..1_000).map(|tenth| tenth * S / 10));
        assert_eq!(text, run(&mut std::iter::once(100 * S)));
        expect.assert_eq(&text);
    }

    #[test]
    fn a_silence_counts_from_its_start_to_its_end_by_the_graphs_clock() {
        check(
            &[(1, &silence("a", 5, 20), 1), (10, &silence("b", 5, 20), 1), (30, &silence("c", 5, 20), 1)],
            &expect![["5: a +1\n10: b +1\n20: a -1\n20: b -1\n"]],
        );
    }

    #[test]
    fn a_silence_that_is_taken_back_ends_once() {
        let (a, b, c) = (silence("a", 5, 20), silence("b", 50, 60), silence("c", 1, 90));
        check(
            &[(1, &a, 1), (1, &b, 1), (10, &a, -1), (30, &b, -1), (40, &c, 1), (40, &c, -1)],
            &expect![["5: a +1\n10: a -1\n"]],
        );
    }

    #[test]
    fn a_silence_within_one_boundary_is_none() {
        let blink = Silence {
            ends_at: Timestamp::from_micros(5_000_002),
            starts_at: Timestamp::from_micros(5_000_001),
            ..silence("a", 0, 1).as_ref().clone()
        };
        check(&[(1, &Arc::new(blink), 1)], &expect![[""]]);
    }
}
