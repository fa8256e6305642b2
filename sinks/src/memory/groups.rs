//! The groups of firing alerts, as the graph last said they are.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use model::{AlertGroup, GroupChange, GroupKey};

pub(super) struct GroupBook {
    groups: BTreeMap<GroupKey, Arc<AlertGroup>>,
    groups_max: usize,
    pub(super) refused: u64,
}

impl GroupBook {
    pub(super) fn new(groups_max: usize) -> Self {
        Self { groups: BTreeMap::new(), groups_max, refused: 0 }
    }

    pub(super) fn apply(&mut self, GroupChange { key, group }: &GroupChange) {
        match group {
            Some(group) if self.groups.len() < self.groups_max || self.groups.contains_key(key) => {
                self.groups.insert(key.clone(), Arc::clone(group));
            }
            Some(_) => self.refused += 1,
            None => drop(self.groups.remove(key)),
        }
    }

    /// The worst first.
    pub(super) fn list(&self) -> Vec<(GroupKey, Arc<AlertGroup>)> {
        let mut list: Vec<_> = self.groups.iter().map(|(key, group)| (key.clone(), Arc::clone(group))).collect();
        list.sort_by_key(|(_, group)| Reverse((group.severity_active, group.severity, group.active, group.count())));
        list
    }
}
