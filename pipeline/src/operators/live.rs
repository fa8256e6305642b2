//! Live: batches for the view of this moment. What a newer frame of the same machine covers is left out.
//!
//! In: normalized batches. Out: the same, conflated within one activation: under load a machine's older dense frames are
//! superseded before anybody saw them. State: none between activations. Loss: by design; the raw tier has every sample.

use std::rc::Rc;

use model::{Bound, LogicalTime, Timestamp};
use timely::Accountable;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::operators::generic::operator::Operator;

use crate::introspect::{Counted, Meter};
use crate::stage::{At, Shared, SharedRecords};

/// Batches of one activation, some left out. Whoever reads them goes around those: to copy the others costs more.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    records: Shared<Bound>,
    /// Which, rising; never all.
    left_out: Vec<usize>,
}

/// A stream of them.
pub type KeptRecords<'s> = Stream<'s, LogicalTime, Kept>;

/// A container of batches, whole or not.
pub trait Batches: Accountable + Default + Clone + 'static {
    /// Reads each in order.
    fn each(&self, read: impl FnMut(&At<Bound>));
}

impl Batches for Shared<Bound> {
    fn each(&self, read: impl FnMut(&At<Bound>)) {
        self.iter().for_each(read);
    }
}

impl Batches for Kept {
    fn each(&self, mut read: impl FnMut(&At<Bound>)) {
        let mut from = 0;
        for out in self.left_out.iter().copied().chain([self.records.len()]) {
            self.records[from..out].iter().for_each(&mut read);
            from = out + 1;
        }
    }
}

impl Accountable for Kept {
    fn record_count(&self) -> i64 {
        i64::try_from(self.records.len() - self.left_out.len()).unwrap_or(i64::MAX)
    }
}

impl From<Shared<Bound>> for Kept {
    fn from(records: Shared<Bound>) -> Self {
        Self { records, left_out: Vec::new() }
    }
}

pub fn live<'s>(batches: SharedRecords<'s, Bound>) -> KeptRecords<'s> {
    let (scope, pact) = (batches.scope(), Counted::on(&batches));
    batches.unary::<CapacityContainerBuilder<Kept>, _, _, _>(pact, "live", |_, info| {
        let (mut conflate, meter) = (Conflate::default(), Meter::of(scope.worker(), &info, "live"));
        move |input, output| {
            let _running = meter.run();
            input.for_each(|time, records| {
                runtime::fault::strike("live");
                let mut kept = conflate.conflated(records);
                meter.gave(records.len() - kept.left_out.len());
                output.session(&time).give_container(&mut kept);
            });
        }
    })
}

/// Drops what is superseded within one container.
#[derive(Debug, Default)]
struct Conflate {
    /// Of each machine by index: the container it was last met in, and the time and width of its newest dense frame there.
    newest: Vec<(u64, Timestamp, usize)>,
    container: u64,
}

impl Conflate {
    fn conflated(&mut self, records: &Shared<Bound>) -> Kept {
        self.container += 1;
        // From the back: a frame is superseded by a dense one that arrived after it, is as new, and covers its slots.
        let from_the_back = records.iter().enumerate().rev();
        let mut left_out: Vec<usize> =
            from_the_back.filter(|(_, At { item, .. })| !self.is_wanted(item)).map(|(at, _)| at).collect();
        left_out.reverse();
        Kept { records: Rc::clone(records), left_out }
    }

    fn is_wanted(&mut self, bound: &Bound) -> bool {
        let (newest, index) = (bound.batch.newest(), bound.index() as usize);
        let known = self.newest.get(index).filter(|(container, ..)| *container == self.container);
        if known.is_some_and(|(_, time, width)| *time >= newest && *width >= bound.width()) {
            return false;
        }
        if bound.is_dense() {
            if self.newest.len() <= index {
                self.newest.resize(index + 1, (0, Timestamp::MIN, 0));
            }
            self.newest[index] = (self.container, newest, bound.batch.len());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operators::fixtures::Feed;

    #[test]
    fn only_what_a_later_dense_frame_covers_is_left_out() {
        let mut feed = Feed::new("db-1", 2);
        let frames = [(1.0, 2), (2.0, 1), (3.0, 2), (2.0, 2), (4.0, 1)];
        let frame = |(second, width): (f64, usize)| At { t: 0, item: feed.frame(second, &[1.0, 2.0][..width]) };
        let records = Rc::new(frames.map(frame).to_vec());
        let conflated = Conflate::default().conflated(&records);
        let mut kept: Vec<(i64, usize)> = Vec::new();
        conflated.each(|at| kept.push((at.item.batch.newest().secs(), at.item.batch.len())));
        assert_eq!(conflated.record_count(), 3);
        // The late second is no newer than what came before it, but came after it: the store decides.
        assert_eq!(kept, [(3, 2), (2, 2), (4, 1)]);
    }

    #[test]
    fn containers_are_conflated_each_by_itself() {
        let (mut a, mut b) = (Feed::new("a", 1), Feed::new("b", 1));
        let mut conflate = Conflate::default();
        for _ in 0..2 {
            let other = At { t: 0, item: b.frame(1.0, &[1.0]) };
            let records = Rc::new(vec![At { t: 0, item: a.frame(1.0, &[1.0]) }, other]);
            // Both machines of this fixture have index 0: their frames are one machine's, the older first.
            assert_eq!(conflate.conflated(&records).left_out, [0]);
            assert!(conflate.conflated(&Rc::new(records[1..].to_vec())).left_out.is_empty());
        }
    }
}
