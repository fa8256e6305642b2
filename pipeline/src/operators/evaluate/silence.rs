//! Silence: which series of a machine a rule wants to hear of, and when the next one has been silent for too long.
//!
//! Only rules with `no_data_s` have an entry here; a machine without one pays nothing per sample. A machine has one timer that counts, set
//! to the earliest moment any of its entries could fall silent; what was heard of meanwhile moves the entry, not the timer.
//! Time: logical. A series is heard of whenever a sample of it is accepted, however late or old: what arrives is not silence.

use std::sync::Arc;

use model::{LogicalTime, Rule, Slot};

/// The silences that rules ask about on one machine, in slot order.
#[derive(Default)]
pub(super) struct Silences {
    list: Vec<Silence>,
    /// When the timer that counts is due; 0 when none is set.
    armed: LogicalTime,
    /// Something may be due before the timer, or there is none.
    is_stale: bool,
}

struct Silence {
    slot: u32,
    rule: Arc<Rule>,
    /// How long the rule lets it be silent.
    after: LogicalTime,
    /// When it was heard of last under this rule; 0 before.
    heard: LogicalTime,
    /// The rule asks since: it is never answered for a time before.
    asked: LogicalTime,
    has_fired: bool,
}

impl Silence {
    fn due(&self, quiet_until: LogicalTime) -> Option<LogicalTime> {
        let is_watched = self.heard > 0 && !self.has_fired;
        is_watched.then(|| self.heard.saturating_add(self.after).max(quiet_until).max(self.asked))
    }
}

impl Silences {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The rule is in effect on the slot from `t` on, anew or edited.
    pub(super) fn set(&mut self, t: LogicalTime, slot: u32, rule: &Arc<Rule>) {
        let Some(no_data_s) = rule.no_data_s else { return self.remove(slot, &rule.name) };
        let after = u64::from(no_data_s) * 1_000_000;
        self.is_stale = true;
        match self.list.iter_mut().find(|silence| silence.slot == slot && silence.rule.name == rule.name) {
            Some(known) => (known.rule, known.after, known.asked) = (Arc::clone(rule), after, t),
            None => {
                let at = self.list.partition_point(|silence| silence.slot <= slot);
                let (rule, asked) = (Arc::clone(rule), t);
                self.list.insert(at, Silence { slot, rule, after, heard: 0, asked, has_fired: false });
            }
        }
    }

    pub(super) fn remove(&mut self, slot: u32, rule: &str) {
        self.list.retain(|silence| silence.slot != slot || silence.rule.name != rule);
    }

    pub(super) fn hear(&mut self, t: LogicalTime, slot: Slot) {
        let first = self.list.partition_point(|silence| silence.slot < slot.0);
        for silence in self.list[first..].iter_mut().take_while(|silence| silence.slot == slot.0) {
            self.is_stale |= silence.heard == 0 || silence.has_fired;
            (silence.heard, silence.has_fired) = (t, false);
        }
    }

    /// When to look next, if that is not what the timer says already.
    pub(super) fn arm(&mut self, quiet_until: LogicalTime) -> Option<LogicalTime> {
        if !std::mem::take(&mut self.is_stale) {
            return None;
        }
        let due = self.list.iter().filter_map(|silence| silence.due(quiet_until)).min()?;
        let is_earlier = self.armed == 0 || due < self.armed;
        is_earlier.then(|| {
            self.armed = due;
            due
        })
    }

    /// What has been silent for too long at `due`: slot and rule. A timer that no longer counts finds nothing.
    pub(super) fn fall(&mut self, due: LogicalTime, quiet_until: LogicalTime) -> Vec<(u32, Arc<Rule>)> {
        if self.armed != due {
            return Vec::new();
        }
        (self.armed, self.is_stale) = (0, true);
        let silent = self.list.iter_mut().filter(|silence| silence.due(quiet_until).is_some_and(|at| at <= due));
        silent
            .map(|silence| {
                silence.has_fired = true;
                (silence.slot, Arc::clone(&silence.rule))
            })
            .collect()
    }
}
