//! Live: batches for the view of this moment. What a newer frame of the same machine covers is left out.
//!
//! In: normalized batches. Out: the same, conflated within one activation: under load a machine's older dense frames are
//! superseded before anybody saw them. State: none between activations. Loss: by design; the raw tier has every sample.

use std::rc::Rc;

use model::{Bound, Timestamp};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::generic::operator::Operator;

use crate::introspect::{Counted, Meter};
use crate::stage::{At, Shared, SharedRecords};

pub fn live<'s>(batches: SharedRecords<'s, Bound>) -> SharedRecords<'s, Bound> {
    let (scope, pact) = (batches.scope(), Counted::on(&batches));
    batches.unary::<CapacityContainerBuilder<Shared<Bound>>, _, _, _>(pact, "live", |_, info| {
        let (mut conflate, meter) = (Conflate::default(), Meter::of(scope.worker(), &info, "live"));
        move |input, output| {
            let _running = meter.run();
            input.for_each(|time, records| {
                runtime::fault::strike("live");
                let mut kept = conflate.conflated(records);
                meter.gave(kept.len());
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
    keep: Vec<bool>,
}

impl Conflate {
    fn conflated(&mut self, records: &Shared<Bound>) -> Shared<Bound> {
        self.container += 1;
        self.keep.clear();
        // From the back: a frame is superseded by a dense one that arrived after it, is as new, and covers its slots.
        for At { item, .. } in records.iter().rev() {
            let is_wanted = self.is_wanted(item);
            self.keep.push(is_wanted);
        }
        if self.keep.iter().all(|keep| *keep) {
            return Rc::clone(records);
        }
        let kept = records.iter().zip(self.keep.iter().rev()).filter(|(_, keep)| **keep);
        Rc::new(kept.map(|(record, _)| record.clone()).collect())
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
        let kept = Conflate::default().conflated(&records);
        let kept: Vec<(i64, usize)> =
            kept.iter().map(|at| (at.item.batch.newest().secs(), at.item.batch.len())).collect();
        // The late second is no newer than what came before it, but came after it: the store decides.
        assert_eq!(kept, [(3, 2), (2, 2), (4, 1)]);
    }

    #[test]
    fn what_needs_no_change_is_handed_on_as_it_is() {
        let (mut a, mut b) = (Feed::new("a", 1), Feed::new("b", 1));
        let mut conflate = Conflate::default();
        for _ in 0..2 {
            let other = At { t: 0, item: b.frame(1.0, &[1.0]) };
            let records = Rc::new(vec![At { t: 0, item: a.frame(1.0, &[1.0]) }, other]);
            // Both machines of this fixture have index 0: their frames are one machine's, the older first.
            let kept = conflate.conflated(&records);
            assert_eq!(kept.len(), 1);
            assert!(Rc::ptr_eq(&kept, &conflate.conflated(&kept)));
        }
    }
}
