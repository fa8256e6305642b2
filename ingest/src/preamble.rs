//! Preamble: the state that a journal segment opens with, so that the segments before it can be dropped.
//!
//! Layouts in use, machine infos, the newest sequence of each session, the rules in force, the silences. Built only from records that the journal
//! holds: a mark that ran ahead of the journal would make the hub drop a frame as a duplicate which it never kept (J-1).
//! Bounded: layouts and marks per machine by recent use, machines by their newest record.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use model::{Batch, Layout, LogicalTime, MachineId, MachineInfo, Mark, Record, RuleSet, SessionId, SilenceSet};

use crate::door::{LAYOUTS_MAX, advance_mark};

/// Resent letters remembered; as many as a running hub remembers.
const RESENT_MAX: usize = 2_000;

#[derive(Debug, Default)]
pub struct Preamble {
    machines: HashMap<MachineId, Carried, foldhash::fast::RandomState>,
    rules: Option<Arc<RuleSet>>,
    silences: Option<Arc<SilenceSet>>,
    /// Ids of dead letters that were sent again, newest last. Not carried over: a store has learnt of it before its segment goes.
    resent: VecDeque<String>,
}

/// What is carried over for one machine.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    pub(crate) info: Option<Arc<MachineInfo>>,
    /// Used most recently last.
    pub(crate) layouts: Vec<Arc<Layout>>,
    /// Newest last.
    pub(crate) marks: Vec<(SessionId, u64)>,
    newest_t: LogicalTime,
}

impl Preamble {
    /// Takes note of a record at T. For a batch it says whether its layout is new: then that must be journalled before it.
    pub(crate) fn note(&mut self, t: LogicalTime, record: &Record) -> Option<Arc<Layout>> {
        match record {
            Record::Batch(batch) => return self.note_batch(t, batch),
            Record::Layout(layout) => {
                self.of(&layout.machine, t).use_layout(layout);
            }
            Record::Machine(info) => self.of(&info.machine, t).info = Some(Arc::clone(info)),
            Record::Mark(mark) => advance_mark(&mut self.of(&mark.machine, t).marks, mark.session, mark.sequence),
            Record::Rules(rules) => self.rules = Some(Arc::clone(rules)),
            Record::Silences(silences) => self.silences = Some(Arc::clone(silences)),
            Record::Resent(resent) => {
                if self.resent.len() == RESENT_MAX {
                    self.resent.pop_front();
                }
                self.resent.push_back(resent.id.clone());
            }
            Record::Processes(_) | Record::Rejected(_) => {}
        }
        None
    }

    /// The rules in force.
    pub fn rules(&self) -> Option<&Arc<RuleSet>> {
        self.rules.as_ref()
    }

    /// The newest set; some of it may have ended since.
    pub fn silences(&self) -> Option<&Arc<SilenceSet>> {
        self.silences.as_ref()
    }

    /// Dead letters that the journal says were sent again, the newest last; stores may not know it yet.
    pub fn resent(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.resent.iter().map(String::as_str)
    }

    /// Machine infos in id order.
    pub fn infos(&self) -> Vec<Arc<MachineInfo>> {
        self.machines().into_iter().filter_map(|(_, carried)| carried.info.clone()).collect()
    }

    /// Whether the machine's info says the same already.
    pub(crate) fn holds(&self, info: &MachineInfo) -> bool {
        let known = self.machines.get(&info.machine).and_then(|carried| carried.info.as_ref());
        known.is_some_and(|known| known.as_ref() == info)
    }

    /// In id order.
    pub(crate) fn machines(&self) -> Vec<(&MachineId, &Carried)> {
        let mut machines: Vec<_> = self.machines.iter().collect();
        machines.sort_by_key(|(id, _)| *id);
        machines
    }

    /// The state that the graph needs: rules and silences, then who is there.
    pub(crate) fn state(&self) -> Vec<Record> {
        let rules = self.rules.iter().map(|rules| Record::Rules(Arc::clone(rules)));
        let silences = self.silences.iter().map(|silences| Record::Silences(Arc::clone(silences)));
        rules.chain(silences).chain(self.infos().into_iter().map(Record::Machine)).collect()
    }

    /// All records of a segment's opening.
    pub(crate) fn records(&self) -> Vec<Record> {
        let mut records = self.state();
        for (id, carried) in self.machines() {
            records.extend(carried.layouts.iter().map(|layout| Record::Layout(Arc::clone(layout))));
            records.extend(carried.marks.iter().map(|(session, sequence)| {
                Record::Mark(Mark { machine: id.clone(), session: *session, sequence: *sequence })
            }));
        }
        records
    }

    /// Forgets the machines heard of longest ago beyond the limit.
    pub(crate) fn trim(&mut self, machines_max: usize) {
        let excess = self.machines.len().saturating_sub(machines_max);
        if excess == 0 {
            return;
        }
        let mut ages: Vec<LogicalTime> = self.machines.values().map(|carried| carried.newest_t).collect();
        ages.sort_unstable();
        let oldest_kept = ages[excess];
        self.machines.retain(|_, carried| oldest_kept <= carried.newest_t);
    }

    fn note_batch(&mut self, t: LogicalTime, batch: &Batch) -> Option<Arc<Layout>> {
        let carried = self.of(batch.machine(), t);
        if batch.session.is_numbered() {
            // The usual session is the last in the list.
            match carried.marks.last_mut() {
                Some((session, sequence)) if *session == batch.session => *sequence = batch.sequence.max(*sequence),
                _ => advance_mark(&mut carried.marks, batch.session, batch.sequence),
            }
        }
        carried.use_layout(&batch.layout).then(|| Arc::clone(&batch.layout))
    }

    fn of(&mut self, machine: &MachineId, t: LogicalTime) -> &mut Carried {
        let carried = self.machines.entry_ref(machine).or_default();
        carried.newest_t = t;
        carried
    }
}

impl Carried {
    /// True when it was not known.
    fn use_layout(&mut self, layout: &Arc<Layout>) -> bool {
        if self.layouts.last().is_some_and(|last| last.id == layout.id) {
            return false;
        }
        let known = self.layouts.iter().position(|known| known.id == layout.id);
        let is_new = known.is_none();
        match known {
            Some(at) => {
                let used = self.layouts.remove(at);
                self.layouts.push(used);
            }
            None => {
                if self.layouts.len() == LAYOUTS_MAX {
                    self.layouts.remove(0);
                }
                self.layouts.push(Arc::clone(layout));
            }
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Labels, Positions, SeriesKey, Times, Timestamp};

    fn machine(name: &str) -> MachineId {
        MachineId::parse(name).expect("a valid id")
    }

    fn batch(name: &str, metric: &str, sequence: u64) -> Record {
        let key = SeriesKey::parse(metric, Labels::none()).expect("a valid name");
        Record::Batch(Arc::new(Batch {
            layout: Arc::new(Layout::new(machine(name), vec![key])),
            session: SessionId(7),
            sequence,
            arrival: Timestamp::EPOCH,
            age_ms: 0,
            positions: Positions::All,
            times: Times::One(Timestamp::EPOCH),
            values: Box::new([1.0]),
        }))
    }

    #[test]
    fn the_newest_letters_that_were_sent_again_are_known() {
        let mut preamble = Preamble::default();
        for n in 0..RESENT_MAX + 3 {
            let resent = model::Resent { machine: machine("a"), id: n.to_string(), at: Timestamp::EPOCH };
            preamble.note(1, &Record::Resent(Arc::new(resent)));
        }
        assert_eq!((preamble.resent().count(), preamble.resent().next()), (RESENT_MAX, Some("3")));
        assert!(preamble.records().is_empty(), "a segment does not open with them");
    }

    #[test]
    fn a_layout_is_asked_for_once_while_it_is_in_use() {
        let mut preamble = Preamble::default();
        assert!(preamble.note(1, &batch("a", "m", 1)).is_some());
        assert!(preamble.note(2, &batch("a", "m", 2)).is_none());
        assert!(preamble.note(3, &batch("a", "n", 3)).is_some());
        assert!(preamble.note(4, &batch("a", "m", 4)).is_none());
    }

    #[test]
    fn a_forgotten_layout_is_asked_for_again() {
        let mut preamble = Preamble::default();
        preamble.note(1, &batch("a", "m", 1));
        for n in 0..LAYOUTS_MAX {
            assert!(preamble.note(2, &batch("a", &format!("m{n}"), 2)).is_some());
        }
        assert!(preamble.note(3, &batch("a", "m", 3)).is_some());
    }

    #[test]
    fn the_preamble_rebuilds_itself_from_its_own_records() {
        let mut preamble = Preamble::default();
        preamble.note(1, &Record::Rules(Arc::new(RuleSet::default())));
        preamble.note(1, &Record::Silences(Arc::default()));
        preamble.note(1, &Record::Machine(Arc::new(MachineInfo::unknown(machine("a"), Timestamp::EPOCH))));
        preamble.note(2, &batch("a", "m", 5));
        preamble.note(2, &batch("b", "m", 6));
        let mut again = Preamble::default();
        for record in preamble.records() {
            again.note(9, &record);
        }
        assert_eq!(format!("{:?}", preamble.records()), format!("{:?}", again.records()));
        assert_eq!(again.records().len(), 7);
    }

    #[test]
    fn trimming_forgets_who_was_heard_of_longest_ago() {
        let mut preamble = Preamble::default();
        for (t, name) in [(3, "a"), (1, "b"), (2, "c")] {
            preamble.note(t, &batch(name, "m", 1));
        }
        preamble.trim(2);
        let left: Vec<&str> = preamble.machines().iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(left, ["a", "c"]);
    }
}
