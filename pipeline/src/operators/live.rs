//! Live: batches for the view of this moment. What a newer frame of the same machine covers is left out.
//!
//! In: normalized batches. Out: the same, conflated within one activation: under load a machine's older dense frames are
//! superseded before anybody saw them. State: none between activations. Loss: by design; the raw tier has every sample.

use hashbrown::HashMap;
use model::Bound;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::Operator;

use crate::stage::{At, Records};

pub fn live<'s>(batches: Records<'s, Bound>) -> Records<'s, Bound> {
    batches.unary::<CapacityContainerBuilder<Vec<At<Bound>>>, _, _, _>(Pipeline, "live", |_, _| {
        let mut conflate = Conflate::default();
        move |input, output| {
            input.for_each(|time, records| {
                conflate.retain(records);
                output.session(&time).give_container(records);
            });
        }
    })
}

/// Drops what is superseded within one container.
#[derive(Debug, Default)]
pub struct Conflate {
    /// Machine index to the time and width of its newest dense frame in the container.
    newest: HashMap<u32, (model::Timestamp, usize)>,
}

impl Conflate {
    pub fn retain(&mut self, records: &mut Vec<At<Bound>>) {
        if records.len() < 2 {
            return;
        }
        self.newest.clear();
        // From the back: a frame is superseded by a dense one that arrived after it, is as new, and covers its slots.
        let mut keep: Vec<bool> = records.iter().rev().map(|At { item, .. }| self.is_wanted(item)).collect();
        records.retain(|_| keep.pop().unwrap_or(true));
    }

    fn is_wanted(&mut self, bound: &Bound) -> bool {
        let newest = bound.batch.newest();
        let index = bound.roster().index;
        if self.newest.get(&index).is_some_and(|(time, width)| *time >= newest && *width >= bound.roster().series.len())
        {
            return false;
        }
        if bound.is_dense() {
            self.newest.insert(index, (newest, bound.batch.len()));
        }
        true
    }
}
