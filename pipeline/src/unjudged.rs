//! Unjudged: how many series each rule is not held against, because there were no places for them. One set per worker: only `admit` of the
//! worker that has the series changes it, anybody reads it.
//!
//! Bounded: a rule has one entry at most, and none while it is held against all of its series.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

/// Series by the name of the rule.
#[derive(Debug, Default)]
pub struct Unjudged(Mutex<HashMap<String, usize>>);

impl Unjudged {
    /// Series of this worker's machines that the rule applies to and is not held against.
    pub fn of(&self, rule: &str) -> usize {
        self.lock().get(rule).copied().unwrap_or(0)
    }

    pub(crate) fn add(&self, rule: &str, series: usize) {
        if series > 0 {
            *self.lock().entry_ref(rule).or_default() += series;
        }
    }

    pub(crate) fn sub(&self, rule: &str, series: usize) {
        let mut rules = self.lock();
        let Some(left) = rules.get_mut(rule) else { return };
        *left = left.saturating_sub(series);
        if *left == 0 {
            rules.remove(rule);
        }
    }

    /// The rule is gone, or is another one now.
    pub(crate) fn forget(&self, rule: &str) {
        self.lock().remove(rule);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
