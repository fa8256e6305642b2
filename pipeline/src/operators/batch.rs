//! Batch: collects the one-sample-per-message wire's samples of a machine into frames, by time, size or age.
//!
//! In: normalized batches. Out: frames (batches with one time), none empty; a collector's whole frames pass through untouched.
//! State: per machine the samples of one time that wait for more; at most 200, for at most 50 ms.
//! Time: age on the logical clock. Order: a machine's samples leave in the order they came.
//! Loss: none.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use model::{Batch, Bound, LogicalTime, Positions, SessionId, Times, Timestamp};

use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::generic::operator::Operator;

use crate::introspect::{Counted, Meter};
use crate::settings::ticks;
use crate::stage::{At, Shared, SharedRecords, Stage};

/// Samples that wait in one frame.
const FRAME_SAMPLES_MAX: usize = 200;

/// The waiting samples of all machines of a worker, by machine index.
pub struct Frames {
    age_max: LogicalTime,
    machines: Vec<Option<Waiting>>,
    /// Machines that wait, by when they began to.
    order: VecDeque<(LogicalTime, u32)>,
}

struct Waiting {
    /// The batch that the first sample came in: its layout and origin stand for all.
    first: Bound,
    since: LogicalTime,
    time: Timestamp,
    positions: Vec<u16>,
    values: Vec<f64>,
}

impl Frames {
    pub fn new(age_max: std::time::Duration) -> Self {
        Self { age_max: ticks(age_max), machines: Vec::new(), order: VecDeque::new() }
    }

    fn takes_as_is(&self, records: &[At<Bound>]) -> bool {
        let is_frame = |bound: &Bound| bound.batch.session != SessionId::NONE && !bound.batch.is_empty();
        self.order.is_empty() && records.iter().all(|at| is_frame(&at.item))
    }

    fn flush(&mut self, t: LogicalTime, index: u32, out: &mut Vec<At<Bound>>) {
        let Some(waiting) = self.machines.get_mut(index as usize).and_then(Option::take) else {
            return;
        };
        let Waiting { first, time, positions, values, .. } = waiting;
        let (positions, times, values) = (Positions::List(positions.into()), Times::One(time), values.into());
        let batch =
            Arc::new(Batch { positions, times, values, layout: Arc::clone(&first.batch.layout), ..*first.batch });
        out.push(At { t, item: Bound::new(batch, first.layout) });
    }

    fn wait(&mut self, t: LogicalTime, bound: &Bound, at: usize, out: &mut Vec<At<Bound>>) {
        let index = bound.index();
        let (time, value) = (bound.batch.time(at), bound.batch.values[at]);
        let fits = |w: &Waiting| {
            w.time == time && w.values.len() < FRAME_SAMPLES_MAX && Arc::ptr_eq(&w.first.layout, &bound.layout)
        };
        if self.machines.len() <= index as usize {
            self.machines.resize_with(index as usize + 1, || None);
        }
        if !self.machines[index as usize].as_ref().is_some_and(fits) {
            self.flush(t, index, out);
            self.order.push_back((t, index));
        }
        let waiting = self.machines[index as usize].get_or_insert_with(|| Waiting {
            first: bound.clone(),
            since: t,
            time,
            positions: Vec::new(),
            values: Vec::new(),
        });
        // Positions lie in a layout, which has at most 4,096.
        waiting.positions.push(u16::try_from(bound.batch.position(at)).unwrap_or(u16::MAX));
        waiting.values.push(value);
    }
}

/// Runs the frames of a worker on its batches. Where nothing waits and all are frames, they go on as they lie.
pub fn batch<'s>(batches: SharedRecords<'s, Bound>, mut frames: Frames) -> SharedRecords<'s, Bound> {
    type Built = CapacityContainerBuilder<Shared<Bound>>;
    let (scope, pact) = (batches.scope(), Counted::on(&batches));
    batches.unary_frontier::<Built, _, _, _>(pact, "batch", move |capability, info| {
        let (mut held, mut out) = (Some(capability), Vec::new());
        let meter = Meter::of(scope.worker(), &info, "batch");
        move |(input, frontier), output| {
            let _running = meter.run();
            input.for_each(|time, records| {
                runtime::fault::strike("batch");
                if frames.takes_as_is(records) {
                    meter.gave(records.len());
                    output.session(&time).give_container(&mut Rc::clone(records));
                    return;
                }
                for At { t, item } in records.iter() {
                    frames.advance(*t, &mut out);
                    frames.apply(*t, item, &mut out);
                }
                if !out.is_empty() {
                    meter.gave(out.len());
                    output.session(&time).give_container(&mut Rc::new(std::mem::take(&mut out)));
                }
            });
            let Some(capability) = held.as_mut() else { return };
            let now = frontier.frontier().first().copied();
            meter.reached(now);
            match now {
                Some(now) => frames.advance(now, &mut out),
                None => frames.finish(&mut out),
            }
            if !out.is_empty() {
                meter.gave(out.len());
                let last = *capability.time();
                out.iter_mut().filter(|_| now.is_none()).for_each(|at| at.t = at.t.max(last));
                output.session(&*capability).give_container(&mut Rc::new(std::mem::take(&mut out)));
            }
            match now {
                Some(now) => capability.downgrade(&now),
                None => held = None,
            }
        }
    })
}

impl Stage for Frames {
    type In = Bound;
    type Out = Bound;

    fn apply(&mut self, t: LogicalTime, bound: &Bound, out: &mut Vec<At<Bound>>) {
        if bound.batch.session != SessionId::NONE {
            self.flush(t, bound.index(), out);
            if !bound.batch.is_empty() {
                out.push(At { t, item: bound.clone() });
            }
            return;
        }
        for at in 0..bound.batch.len() {
            self.wait(t, bound, at, out);
        }
    }

    fn advance(&mut self, now: LogicalTime, out: &mut Vec<At<Bound>>) {
        while let Some((since, index)) = self.order.front().copied() {
            let due = since.saturating_add(self.age_max);
            if due > now {
                return;
            }
            self.order.pop_front();
            let is_this = self.machines.get(index as usize).and_then(Option::as_ref).is_some_and(|w| w.since == since);
            if is_this {
                self.flush(due, index, out);
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<At<Bound>>) {
        for (since, index) in std::mem::take(&mut self.order) {
            self.flush(since, index, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operators::fixtures::{Feed, SECOND, at, outputs};
    use expect_test::{Expect, expect};
    use std::time::Duration;

    /// Samples `(T in ms, position, event second)` of the one-sample wire; position 9 is a whole frame of a session.
    fn check(samples: &[(u64, u16, f64)], until_ms: u64, expect: &Expect) {
        let mut feed = Feed::new("db-1", 3);
        let records = samples.iter().map(|(ms, position, second)| {
            feed.session = if *position == 9 { SessionId(1) } else { SessionId::NONE };
            let bound = match position {
                9 => feed.frame(*second, &[1.0, 1.0, 1.0]),
                _ => feed.bound(Positions::List([*position].into()), Times::One(at(*second)), &[f64::from(*position)]),
            };
            (ms * SECOND / 1_000, bound)
        });
        let records: Vec<_> = records.collect();
        let text =
            outputs(Frames::new(Duration::from_millis(50)), records, until_ms * SECOND / 1_000, |bound: &Bound| {
                format!("{} {:?} {:?}", bound.batch.newest().secs(), bound.batch.positions, bound.batch.values)
            });
        expect.assert_eq(&text);
    }

    #[test]
    fn samples_of_one_time_make_one_frame() {
        check(
            &[(0, 0, 5.0), (1, 1, 5.0), (2, 2, 5.0), (3, 0, 10.0)],
            3,
            &expect![[r"
            0: 5 List([0, 1, 2]) [0.0, 1.0, 2.0]
        "]],
        );
    }

    #[test]
    fn age_sends_what_waits() {
        check(&[(0, 0, 5.0), (10, 1, 5.0)], 49, &expect![[""]]);
        check(
            &[(0, 0, 5.0), (10, 1, 5.0)],
            50,
            &expect![[r"
            0: 5 List([0, 1]) [0.0, 1.0]
        "]],
        );
    }

    #[test]
    fn a_whole_frame_passes_through_behind_what_waited() {
        check(
            &[(0, 0, 5.0), (10, 9, 6.0)],
            10,
            &expect![[r"
            0: 5 List([0]) [0.0]
            0: 6 All [1.0, 1.0, 1.0]
        "]],
        );
    }

    #[test]
    fn a_frame_holds_so_many_samples_and_no_more() {
        let mut feed = Feed { session: SessionId::NONE, ..Feed::new("db-1", 300) };
        let records =
            (0..=200).map(|position| (0, feed.bound(Positions::List([position].into()), Times::One(at(5.0)), &[1.0])));
        let records: Vec<_> = records.collect();
        let text = outputs(Frames::new(Duration::from_millis(50)), records, SECOND, |bound: &Bound| {
            bound.batch.len().to_string()
        });
        assert_eq!(text, "0: 200\n0: 1\n");
    }

    #[test]
    fn samples_of_two_layouts_make_two_frames() {
        let mut feeds = [3, 2].map(|width| Feed { session: SessionId::NONE, ..Feed::new("db-1", width) });
        let records =
            [0, 1, 0].map(|of| (0, feeds[of].bound(Positions::List([1].into()), Times::One(at(5.0)), &[1.0])));
        let text = outputs(Frames::new(Duration::from_millis(50)), records, SECOND, |bound: &Bound| {
            format!("{} of {}", bound.batch.len(), bound.batch.layout.series.len())
        });
        assert_eq!(text, "0: 1 of 3\n0: 1 of 2\n0: 1 of 3\n");
    }
}
