//! Seen: which (event time, slot) of a machine have been counted inside the horizon, so that a sample counts once.
//!
//! A machine's samples share a few times (its ticks), so the memory is one entry per time and 64 slots, a bit each, and a whole frame
//! is checked in one step. In order, the newest time is at the back.

use std::collections::VecDeque;

use model::Slot;

/// Entries per machine: ten minutes at 100 times a second, or at one a second with 6,400 slots. Beyond it the oldest are forgotten, as
/// if beyond the horizon.
const ENTRIES_MAX: usize = 60_000;

/// Entries at the back that are looked through one by one.
const NEAR: usize = 8;

/// Which 64 slots at which time, as one number in order of both: 53 bits of time reach the year 2112, 11 bits of slots 131,072.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place(i64);

impl Place {
    const CHUNKS: i64 = 1 << 11;

    fn first(time: i64) -> Self {
        Self(time.saturating_mul(Self::CHUNKS))
    }

    fn of(time: i64, slot: u32) -> Self {
        Self(Self::first(time).0 | (i64::from(slot / 64) & (Self::CHUNKS - 1)))
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    place: Place,
    /// Bit i is the i-th of the 64 slots.
    bits: u64,
}

fn bit(slot: u32) -> u64 {
    1 << (slot % 64)
}

/// The memory of one machine.
#[derive(Debug, Default)]
pub struct Seen {
    entries: VecDeque<Entry>,
}

impl Seen {
    /// Reads where the entries are.
    pub fn touch_place(&self) -> i64 {
        i64::from(self.entries.is_empty())
    }

    /// Reads what the next frame will be held against.
    pub fn touch(&self) -> i64 {
        self.entries.back().map_or(0, |entry| entry.place.0)
    }

    /// Whether the next entry needs more memory: then is the time to forget.
    pub fn is_full(&self) -> bool {
        self.entries.len() == self.entries.capacity()
    }

    /// Whether samples of the slots below 64 with these bits, at `time`, are all new; then they are remembered.
    #[inline]
    pub fn insert_mask(&mut self, time: i64, bits: u64) -> bool {
        let is_new = self.note(Place::first(time), bits);
        self.shrink();
        is_new
    }

    /// Whether a dense frame of `width` slots at `time` is wholly new; then it is remembered.
    pub fn insert_dense(&mut self, time: i64, width: u32) -> bool {
        if !self.is_newest(time) {
            return false;
        }
        for first in (0..width).step_by(64) {
            let bits = if width - first >= 64 { u64::MAX } else { bit(width) - 1 };
            self.entries.push_back(Entry { place: Place::of(time, first), bits });
        }
        self.shrink();
        true
    }

    /// Whether samples of these slots at `time` are all new, because the time is the newest and no slot repeats; then they are remembered.
    pub fn insert_newest(&mut self, time: i64, slots: impl Iterator<Item = Slot>) -> bool {
        if !self.is_newest(time) {
            return false;
        }
        let before = self.entries.len();
        for slot in slots {
            if !self.note(Place::of(time, slot.0), bit(slot.0)) {
                self.entries.truncate(before);
                return false;
            }
        }
        self.shrink();
        true
    }

    /// As `insert_newest`, for slots that are known to rise strictly.
    pub fn insert_rising(&mut self, time: i64, slots: &[u16]) -> bool {
        if !self.is_newest(time) || slots.is_empty() {
            return false;
        }
        for chunk in slots.chunk_by(|a, b| a / 64 == b / 64) {
            let bits = chunk.iter().fold(0, |bits, slot| bits | bit(u32::from(*slot)));
            self.entries.push_back(Entry { place: Place::of(time, u32::from(chunk[0])), bits });
        }
        self.shrink();
        true
    }

    /// Whether the sample is new; then it is remembered.
    pub fn insert(&mut self, time: i64, slot: Slot) -> bool {
        let is_new = self.note(Place::of(time, slot.0), bit(slot.0));
        self.shrink();
        is_new
    }

    /// Forgets times before `horizon`.
    pub fn forget_before(&mut self, horizon: i64) {
        let horizon = Place::first(horizon);
        while self.entries.front().is_some_and(|entry| entry.place < horizon) {
            self.entries.pop_front();
        }
    }

    fn is_newest(&self, time: i64) -> bool {
        self.entries.back().is_none_or(|newest| newest.place < Place::first(time))
    }

    /// Whether none of the bits was there; then they are.
    fn note(&mut self, place: Place, bits: u64) -> bool {
        let at = match self.entries.back() {
            Some(newest) if newest.place == place => self.entries.len() - 1,
            Some(newest) if newest.place < place => self.entries.len(),
            _ => self.position(place),
        };
        match self.entries.get_mut(at) {
            Some(entry) if entry.place == place => {
                let is_new = entry.bits & bits == 0;
                entry.bits |= if is_new { bits } else { 0 };
                is_new
            }
            _ => {
                self.entries.insert(at, Entry { place, bits });
                true
            }
        }
    }

    /// Where `place` is or belongs. A late sample is mostly a few ticks late, so the newest are looked at first.
    fn position(&self, place: Place) -> usize {
        let near = self.entries.len().saturating_sub(NEAR);
        if self.entries.get(near).is_none_or(|entry| entry.place >= place) {
            return self.entries.partition_point(|entry| entry.place < place);
        }
        let later = self.entries.range(near..).rev().take_while(|entry| entry.place >= place).count();
        self.entries.len() - later
    }

    fn shrink(&mut self) {
        while self.entries.len() > ENTRIES_MAX {
            self.entries.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn samples_of_the_newest_time_are_taken_at_once(mut slots in prop::collection::vec(0u32..150, 1..40), is_sorted: bool) {
            if is_sorted {
                slots.sort_unstable();
            }
            let mut seen = Seen::default();
            let is_unique = slots.iter().collect::<HashSet<_>>().len() == slots.len();
            prop_assert_eq!(seen.insert_newest(5, slots.iter().copied().map(Slot)), is_unique);
            if slots.is_sorted_by(|a, b| a < b) {
                let rising: Vec<u16> = slots.iter().map(|slot| u16::try_from(*slot).unwrap()).collect();
                let mut other = Seen::default();
                let mask = slots.iter().filter(|slot| **slot < 64).fold(0, |mask, slot| mask | 1 << slot);
                let fits = slots.iter().all(|slot| *slot < 64);
                let is_new = if fits { other.insert_mask(5, mask) } else { other.insert_rising(5, &rising) };
                prop_assert!(is_new);
                prop_assert!(!other.insert_rising(5, &rising));
                prop_assert!(!fits || !other.insert_mask(5, mask), "a frame of which anything was there is not new");
                for slot in 0..150 {
                    prop_assert_eq!(other.insert(5, Slot(slot)), !slots.contains(&slot));
                }
            }
            prop_assert!(!seen.insert_newest(4, std::iter::once(Slot(0))) || !is_unique);
            for slot in slots {
                prop_assert_eq!(seen.insert(5, Slot(slot)), !is_unique);
                seen = if is_unique { seen } else { Seen::default() };
            }
        }

        /// Late ones too, and the others change nothing.
        #[test]
        fn a_frame_is_new_where_none_of_its_samples_was_there(frames in prop::collection::vec((0i64..20, 1u64..64), 1..60)) {
            let (mut seen, mut oracle) = (Seen::default(), HashSet::new());
            for (time, mask) in frames {
                let samples: Vec<_> = (0..6).filter(|slot| mask >> slot & 1 == 1).map(|slot| (time, slot)).collect();
                let is_new = samples.iter().all(|sample| !oracle.contains(sample));
                prop_assert_eq!(seen.insert_mask(time, mask), is_new);
                oracle.extend(samples.into_iter().filter(|_| is_new));
            }
            for (time, slot) in (0..20).flat_map(|time| (0..6).map(move |slot| (time, slot))) {
                prop_assert_eq!(seen.insert(time, Slot(slot)), !oracle.contains(&(time, slot)));
            }
        }

        #[test]
        fn a_sample_is_new_exactly_once(samples in prop::collection::vec((0i64..20, 1u32..200, any::<bool>()), 1..300)) {
            let (mut seen, mut oracle) = (Seen::default(), HashSet::new());
            let mut newest = i64::MIN;
            for (time, slot, is_dense) in samples {
                if is_dense {
                    // A dense frame is taken whole only when it is newer than all; otherwise the caller goes sample by sample.
                    prop_assert_eq!(seen.insert_dense(time, slot), time > newest);
                    if time > newest {
                        oracle.extend((0..slot).map(|s| (time, s)));
                        newest = time;
                    }
                } else {
                    prop_assert_eq!(seen.insert(time, Slot(slot)), oracle.insert((time, slot)));
                    newest = newest.max(time);
                }
            }
        }
    }

    #[test]
    fn what_is_behind_the_horizon_is_forgotten() {
        let mut seen = Seen::default();
        assert!(seen.insert_dense(1, 3) && seen.insert(2, Slot(70)));
        seen.forget_before(2);
        assert!(seen.insert(1, Slot(0)) && !seen.insert(2, Slot(70)));
    }

    #[test]
    fn beyond_so_many_entries_the_oldest_is_forgotten() {
        let mut seen = Seen::default();
        let end = i64::try_from(ENTRIES_MAX).unwrap();
        assert!((0..end).all(|time| seen.insert(time, Slot(0))));
        assert!(!seen.insert(0, Slot(0)));
        assert!(seen.insert(end, Slot(0)) && seen.insert(0, Slot(0)) && !seen.insert(1, Slot(0)));
    }
}
