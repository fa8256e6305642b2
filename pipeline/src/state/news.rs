//! News: what came into a window since it was published, for the window above it and for the rows that go out again.
//!
//! Mostly one late sample, so it is a short list in slot order and not a second set of cells.

use model::{Aggregate, Slot, Stretch, Timestamp};

/// Aggregates of the samples since, one per slot that has any.
#[derive(Debug, Default)]
pub struct News(Vec<(Slot, Aggregate)>);

impl News {
    pub fn add(&mut self, slot: Slot, value: f64, time: Timestamp) {
        self.add_from(0, slot, value, time);
    }

    /// Adds samples of one time, whose slots mostly rise.
    pub fn add_frame<'a>(&mut self, stretches: impl Iterator<Item = Stretch<'a>>, time: Timestamp) {
        let mut next = 0;
        for (slot, value) in stretches.flat_map(|stretch| (stretch.slot..).zip(stretch.values)) {
            // Slots are u32 where they are made.
            next = self.add_from(next, Slot(u32::try_from(slot).unwrap_or(u32::MAX)), *value, time) + 1;
        }
    }

    /// In slot order; from here on there is no news.
    pub fn take(&mut self) -> Box<[(Slot, Aggregate)]> {
        std::mem::take(&mut self.0).into()
    }

    /// Adds a sample, whose slot is perhaps at `guess`; gives where it was.
    fn add_from(&mut self, guess: usize, slot: Slot, value: f64, time: Timestamp) -> usize {
        let at = match self.0.get(guess) {
            Some((found, _)) if *found == slot => Ok(guess),
            None if guess > 0 && self.0[guess - 1].0 < slot => Err(guess),
            _ => self.0.binary_search_by_key(&slot, |(slot, _)| *slot),
        };
        match at {
            Ok(at) => {
                let row = &mut self.0[at].1;
                let last = (row.last, row.last_time);
                row.merge(&Aggregate::of(value, time));
                // Of events that share a time, the later arrival is the last.
                (row.last, row.last_time) = if time >= last.1 { (value, time) } else { last };
                at
            }
            Err(at) => {
                self.0.insert(at, (slot, Aggregate::of(value, time)));
                at
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Cells;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn news_are_what_cells_would_hold(frames in prop::collection::vec((0i64..20, prop::collection::vec((0usize..9, -9f64..9.0), 1..9)), 1..20)) {
            let (mut news, mut cells) = (News::default(), Cells::new(Timestamp::EPOCH, 9));
            for (time, samples) in &frames {
                let time = Timestamp::from_micros(*time);
                news.add_frame(samples.iter().map(|(slot, value)| Stretch { at: 0, slot: *slot, values: std::slice::from_ref(value) }), time);
                for (slot, value) in samples {
                    cells.add(Slot(u32::try_from(*slot).unwrap()), *value, time);
                }
            }
            prop_assert_eq!(news.take().into_vec(), cells.iter().collect::<Vec<_>>());
            prop_assert!(news.take().is_empty());
        }
    }
}
