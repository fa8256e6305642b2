//! Change log: the newest state of every key, in the order of its last change.
//!
//! A reader keeps the version it has seen and asks for what changed since: each key comes at most once, in its newest state. Keys that
//! ended are remembered for as long as `ended_max` newer ones have not ended; a reader older than that starts anew (`floor`).

use std::collections::{BTreeSet, VecDeque};
use std::hash::Hash;

use hashbrown::HashMap;

#[derive(Debug)]
pub(crate) struct ChangeLog<K, V> {
    entries: HashMap<K, Entry<V>>,
    order: BTreeSet<(u64, K)>,
    ended: VecDeque<(u64, K)>,
    ended_max: usize,
    floor: u64,
}

#[derive(Debug)]
struct Entry<V> {
    version: u64,
    value: V,
    is_ended: bool,
}

impl<K: Clone + Ord + Hash, V> ChangeLog<K, V> {
    pub(crate) fn new(ended_max: usize) -> Self {
        Self { entries: HashMap::new(), order: BTreeSet::new(), ended: VecDeque::new(), ended_max, floor: 0 }
    }

    /// `version` never goes back.
    pub(crate) fn put(&mut self, version: u64, key: K, value: V) {
        self.set(key, Entry { version, value, is_ended: false });
    }

    /// The key ends in this state; readers hear of it once more.
    pub(crate) fn end(&mut self, version: u64, key: K, value: V) {
        self.ended.push_back((version, key.clone()));
        self.set(key, Entry { version, value, is_ended: true });
        if self.ended_max < self.ended.len()
            && let Some((version, key)) = self.ended.pop_front()
        {
            self.forget(version, &key);
        }
    }

    /// A reader at a version below this may have missed an end.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).filter(|entry| !entry.is_ended).map(|entry| &entry.value)
    }

    /// The key's state, if it changed after `version`.
    pub(crate) fn get_since(&self, version: u64, key: &K) -> Option<&V> {
        self.entries.get(key).filter(|entry| version < entry.version).map(|entry| &entry.value)
    }

    /// What changed after `version`, oldest change first.
    pub(crate) fn since(&self, version: u64) -> impl Iterator<Item = (&K, &V)> {
        let later = self.order.iter().rev().take_while(move |(changed, _)| version < *changed);
        let mut keys: Vec<&K> = later.map(|(_, key)| key).collect();
        keys.reverse();
        keys.into_iter().filter_map(|key| Some((key, &self.entries.get(key)?.value)))
    }

    /// Every key that has not ended.
    pub(crate) fn present(&self) -> impl Iterator<Item = (&K, &V)> {
        let entries = self.order.iter().filter_map(|(_, key)| Some((key, self.entries.get(key)?)));
        entries.filter(|(_, entry)| !entry.is_ended).map(|(key, entry)| (key, &entry.value))
    }

    fn set(&mut self, key: K, entry: Entry<V>) {
        let version = entry.version;
        if let Some(before) = self.entries.insert(key.clone(), entry) {
            self.order.remove(&(before.version, key.clone()));
        }
        self.order.insert((version, key));
    }

    fn forget(&mut self, version: u64, key: &K) {
        // A key that came back meanwhile is not forgotten, but who missed its end must not think it went on: the floor rises anyway.
        self.floor = self.floor.max(version);
        let is_still_ended = self.entries.get(key).is_some_and(|entry| entry.is_ended && entry.version == version);
        if is_still_ended {
            self.entries.remove(key);
            self.order.remove(&(version, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const ENDED_MAX: usize = 4;

    proptest! {
        /// A reader that looks now and then, and starts anew below the floor, ends with what is there.
        #[test]
        fn a_reader_that_looks_rarely_ends_with_the_newest_state(
            steps in prop::collection::vec((0u8..12, prop::bool::weighted(0.3), prop::bool::weighted(0.2)), 1..200)
        ) {
            let mut log: ChangeLog<u8, Option<u64>> = ChangeLog::new(ENDED_MAX);
            let (mut truth, mut reader, mut cursor) = (BTreeMap::new(), BTreeMap::new(), 0);
            for (index, (key, ends, looks)) in steps.iter().enumerate() {
                let version = index as u64 + 1;
                if *ends {
                    truth.remove(key);
                    log.end(version, *key, None);
                } else {
                    truth.insert(*key, version);
                    log.put(version, *key, Some(version));
                }
                if !looks && index + 1 < steps.len() {
                    continue;
                }
                if cursor < log.floor() {
                    reader = log.present().map(|(key, value)| (*key, value.unwrap())).collect();
                } else {
                    for (key, value) in log.since(cursor) {
                        match value {
                            Some(value) => reader.insert(*key, *value),
                            None => reader.remove(key),
                        };
                    }
                }
                cursor = version;
                prop_assert_eq!(&reader, &truth);
                prop_assert!(log.entries.len() <= truth.len() + ENDED_MAX);
                prop_assert_eq!(log.entries.len(), log.order.len());
            }
        }
    }
}
