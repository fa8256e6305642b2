//! Seen: which (event time, slot) of a machine have been counted inside the horizon, so that a sample counts once.
//!
//! A machine's samples share a few times (its ticks), so the memory is one entry per time with a set of slots, and a whole
//! frame is checked in one step. In order, the newest time is at the back.

use std::collections::VecDeque;

use model::Slot;

/// Distinct times remembered per machine: ten minutes at 100 a second. Beyond it the oldest are forgotten, as if beyond the horizon.
const TIMES_MAX: usize = 60_000;

/// Times at the back that are looked through one by one.
const NEAR: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Slots {
    /// All slots below this one: a dense frame.
    Below(u32),
    /// Bit i of word w is slot 64 w + i.
    Few(u64),
    Many(Box<[u64]>),
}

/// The memory of one machine.
#[derive(Debug, Default)]
pub struct Seen {
    times: VecDeque<(i64, Slots)>,
}

impl Seen {
    /// Reads what the next frame will be held against.
    pub fn touch(&self) -> u64 {
        self.times.back().map_or(0, |(time, _)| time.cast_unsigned())
    }

    /// Whether a dense frame of `width` slots at `time` is wholly new; then it is remembered.
    pub fn insert_dense(&mut self, time: i64, width: u32) -> bool {
        let is_newest = self.times.back().is_none_or(|(newest, _)| *newest < time);
        if is_newest {
            self.push(self.times.len(), time, Slots::Below(width));
        }
        is_newest
    }

    /// Whether samples of these slots at `time` are all new, because the time is the newest and no slot repeats; then they are remembered.
    pub fn insert_newest(&mut self, time: i64, slots: impl Iterator<Item = Slot>) -> bool {
        if self.times.back().is_some_and(|(newest, _)| *newest >= time) {
            return false;
        }
        let mut set = Slots::Few(0);
        for slot in slots {
            if !set.insert(slot.0) {
                return false;
            }
        }
        self.push(self.times.len(), time, set);
        true
    }

    /// As `insert_newest`, for slots that are known to rise strictly.
    pub fn insert_rising(&mut self, time: i64, slots: &[u16]) -> bool {
        if self.times.back().is_some_and(|(newest, _)| *newest >= time) {
            return false;
        }
        let set = match slots.last() {
            Some(last) if *last < 64 => Slots::Few(slots.iter().fold(0, |bits, slot| bits | 1 << (slot & 63))),
            Some(last) => {
                let mut words = vec![0_u64; usize::from(*last) / 64 + 1];
                slots.iter().for_each(|slot| words[usize::from(*slot) / 64] |= 1 << (slot & 63));
                Slots::Many(words.into())
            }
            None => return false,
        };
        self.push(self.times.len(), time, set);
        true
    }

    /// Whether the sample is new; then it is remembered.
    pub fn insert(&mut self, time: i64, slot: Slot) -> bool {
        let at = match self.times.back() {
            Some((newest, _)) if *newest == time => self.times.len() - 1,
            Some((newest, _)) if *newest < time => self.times.len(),
            _ => self.position(time),
        };
        match self.times.get_mut(at) {
            Some((t, slots)) if *t == time => slots.insert(slot.0),
            _ => {
                let mut slots = Slots::Few(0);
                slots.insert(slot.0);
                self.push(at, time, slots);
                true
            }
        }
    }

    /// Where `time` is or belongs. A late sample is mostly a few ticks late, so the newest are looked at first.
    fn position(&self, time: i64) -> usize {
        let near = self.times.len().saturating_sub(NEAR);
        if self.times.get(near).is_none_or(|(t, _)| *t >= time) {
            return self.times.partition_point(|(t, _)| *t < time);
        }
        let later = self.times.range(near..).rev().take_while(|(t, _)| *t >= time).count();
        self.times.len() - later
    }

    /// Forgets times before `horizon`.
    pub fn forget_before(&mut self, horizon: i64) {
        while self.times.front().is_some_and(|(time, _)| *time < horizon) {
            self.times.pop_front();
        }
    }

    fn push(&mut self, at: usize, time: i64, slots: Slots) {
        self.times.insert(at, (time, slots));
        if self.times.len() > TIMES_MAX {
            self.times.pop_front();
        }
    }
}

impl Slots {
    /// Whether the slot was absent.
    fn insert(&mut self, slot: u32) -> bool {
        match self {
            Self::Below(width) if slot < *width => false,
            Self::Few(bits) if slot < 64 => {
                let bit = 1 << slot;
                let is_new = *bits & bit == 0;
                *bits |= bit;
                is_new
            }
            Self::Below(_) | Self::Few(_) => {
                *self = Self::Many(self.words(slot));
                self.insert(slot)
            }
            Self::Many(words) => {
                let (word, bit) = ((slot / 64) as usize, 1_u64 << (slot % 64));
                if words.len() <= word {
                    let mut wider = std::mem::take(words).into_vec();
                    wider.resize((word + 1).next_power_of_two(), 0);
                    *words = wider.into();
                }
                let is_new = words[word] & bit == 0;
                words[word] |= bit;
                is_new
            }
        }
    }

    /// The set as words that reach `slot`.
    fn words(&self, slot: u32) -> Box<[u64]> {
        let reach = match self {
            Self::Below(width) => slot.max(*width),
            Self::Few(_) | Self::Many(_) => slot,
        };
        let mut words = vec![0_u64; (reach / 64) as usize + 1];
        match self {
            Self::Below(width) => (0..*width).for_each(|s| words[(s / 64) as usize] |= 1 << (s % 64)),
            Self::Few(bits) => words[0] = *bits,
            Self::Many(old) => words[..old.len()].copy_from_slice(old),
        }
        words.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn samples_of_the_newest_time_are_taken_at_once(mut slots in prop::collection::vec(0u32..150, 0..40), is_sorted: bool) {
            if is_sorted {
                slots.sort_unstable();
            }
            let mut seen = Seen::default();
            let is_unique = slots.iter().collect::<HashSet<_>>().len() == slots.len();
            prop_assert_eq!(seen.insert_newest(5, slots.iter().copied().map(Slot)), is_unique);
            if slots.is_sorted_by(|a, b| a < b) && !slots.is_empty() {
                let rising: Vec<u16> = slots.iter().map(|slot| u16::try_from(*slot).unwrap()).collect();
                let mut other = Seen::default();
                prop_assert!(other.insert_rising(5, &rising) && !other.insert_rising(5, &rising));
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

        #[test]
        fn a_sample_is_new_exactly_once(samples in prop::collection::vec((0i64..20, 0u32..200, any::<bool>()), 1..300)) {
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
}
