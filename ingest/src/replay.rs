//! Replay: the journal's records once more into the graph, at their recorded T, after a restart.
//!
//! In: a journal nobody writes to yet. Out: records at or after `from_t` to the graph, sealed as it goes; and the state that ingest
//! goes on with: marks, layouts, machine infos, rules, silences. State from before `from_t` enters the graph with its first record.
//! Loss: a record that cannot be read is counted and logged, a damaged part of a segment is a gap; neither stops the replay.
//! Invariants: J-2 a record has the T that it had.

use std::sync::Arc;

use hashbrown::HashSet;
use journal::{Gap, Journal, JournalError};
use model::codec::{CodecError, Decoder};
use model::dataflow::{Stopped, route};
use model::{Dataflow, LayoutId, LogicalTime, Record, Stamped};
use runtime::fault;
use tracing::{error, info, warn};

use crate::preamble::Preamble;

/// A seal lets the graph finish what it has, so that its memory stays flat however long the journal is.
const RECORDS_PER_SEAL: u64 = 4_096;
/// Records that are pushed together: a lock for each group and not for each record, and the graph is not kept waiting.
const RECORDS_PER_PUSH: usize = 256;
/// How much shorter the time is that machines are introduced in than the time that they really were: years in a day.
const ESTABLISHED_SHRINKS: u64 = 1_024;
/// Damage repeats itself: the first few cases tell enough.
const ERRORS_LOGGED_MAX: u64 = 10;

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("read the journal")]
    Journal(#[from] JournalError),
    #[error("replay the journal")]
    Graph(#[from] Stopped),
}

/// What a replay found.
#[derive(Debug, Default)]
pub struct Replayed {
    /// The journal's newest T; everything up to it is sealed.
    pub newest_t: Option<LogicalTime>,
    pub records: u64,
    pub batches: u64,
    pub samples: u64,
    /// Records that could not be read.
    pub undecodable: u64,
    pub gaps: Vec<Gap>,
    /// What ingest goes on with.
    pub state: Preamble,
}

/// How far a replay is.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub t: LogicalTime,
    pub records: u64,
    pub samples: u64,
    /// Of the journal, read and in all.
    pub bytes: u64,
    pub bytes_total: u64,
}

/// Reads the whole journal, and gives the graph what is of `from_t` or later. Blocks; call it from a thread that may wait.
///
/// # Errors
/// The journal cannot be read at all, or the graph has stopped.
pub fn replay(
    journal: &Journal,
    from_t: LogicalTime,
    dataflow: &dyn Dataflow,
    progress: &mut dyn FnMut(Step),
) -> Result<Replayed, ReplayError> {
    let mut replay = Replay {
        from_t,
        dataflow,
        decoder: Decoder::new(),
        pushed_layouts: HashSet::new(),
        has_begun: false,
        unsealed: 0,
        groups: vec![Vec::new(); dataflow.workers().max(1)],
        bytes: 0,
        bytes_total: journal.bytes(),
        found: Replayed::default(),
    };
    let mut reader = journal.reader_from(0);
    while let Some(record) = reader.next()? {
        let is_next_t = replay.found.newest_t.is_some_and(|newest| newest < record.t);
        if is_next_t && RECORDS_PER_SEAL <= replay.unsealed {
            replay.seal(record.t)?;
            progress(replay.step(record.t));
            fault::strike("replay");
        }
        replay.found.newest_t = Some(record.t);
        replay.found.records += 1;
        replay.bytes += journal::FRAMING_BYTES + record.payload.len() as u64;
        match replay.decoder.decode(record.payload) {
            Ok(decoded) => replay.take(record.t, decoded)?,
            Err(error) => replay.found.unreadable(record.t, record.index, &error),
        }
    }
    replay.found.gaps = reader.gaps().to_vec();
    Ok(replay.finish(progress)?)
}

struct Replay<'a> {
    from_t: LogicalTime,
    dataflow: &'a dyn Dataflow,
    decoder: Decoder,
    /// A later segment's preamble repeats layouts, infos and rules: the graph gets them once.
    pushed_layouts: HashSet<LayoutId>,
    has_begun: bool,
    unsealed: u64,
    /// What was read and not yet pushed, by worker.
    groups: Vec<Vec<Stamped>>,
    bytes: u64,
    bytes_total: u64,
    found: Replayed,
}

impl Replay<'_> {
    fn take(&mut self, t: LogicalTime, record: Record) -> Result<(), Stopped> {
        if t < self.from_t {
            self.found.state.note(t, &record);
            return Ok(());
        }
        if !std::mem::replace(&mut self.has_begun, true) {
            // What was established before enters first, so that the graph starts from the same state.
            for (since, earlier) in established(&self.found.state, (self.from_t, t)) {
                self.push(since, earlier)?;
            }
        }
        if let Record::Batch(batch) = &record {
            self.found.batches += 1;
            self.found.samples += batch.len() as u64;
            let layout = Record::Layout(Arc::clone(&batch.layout));
            self.push_unless_known(t, layout)?;
        }
        let is_news = self.is_news(&record);
        self.found.state.note(t, &record);
        if is_news { self.push_unless_known(t, record) } else { Ok(()) }
    }

    /// Marks are for the door alone, and what a preamble repeats is no news.
    fn is_news(&self, record: &Record) -> bool {
        match record {
            Record::Mark(_) => false,
            Record::Rules(rules) => self.found.state.rules() != Some(rules),
            Record::Silences(silences) => self.found.state.silences() != Some(silences),
            Record::Machine(info) => !self.found.state.holds(info),
            Record::Layout(_) | Record::Batch(_) | Record::Processes(_) | Record::Rejected(_) | Record::Resent(_) => {
                true
            }
        }
    }

    fn push_unless_known(&mut self, t: LogicalTime, record: Record) -> Result<(), Stopped> {
        match &record {
            Record::Layout(layout) if !self.pushed_layouts.insert(layout.id) => Ok(()),
            _ => self.push(t, record),
        }
    }

    fn push(&mut self, t: LogicalTime, record: Record) -> Result<(), Stopped> {
        let worker = route(&record, self.dataflow.workers());
        self.unsealed += 1;
        let group = &mut self.groups[worker];
        group.push(Stamped { t, record });
        if group.len() < RECORDS_PER_PUSH { Ok(()) } else { self.dataflow.push_all(worker, group) }
    }

    /// `seal` wakes all workers, so that no other bell is needed.
    fn seal(&mut self, before: LogicalTime) -> Result<(), Stopped> {
        for (worker, records) in self.groups.iter_mut().enumerate() {
            self.dataflow.push_all(worker, records)?;
        }
        self.dataflow.seal(before);
        self.unsealed = 0;
        Ok(())
    }

    fn step(&self, t: LogicalTime) -> Step {
        let Replayed { records, samples, .. } = self.found;
        Step { t, records, samples, bytes: self.bytes.min(self.bytes_total), bytes_total: self.bytes_total }
    }

    fn finish(mut self, progress: &mut dyn FnMut(Step)) -> Result<Replayed, Stopped> {
        if let Some(newest) = self.found.newest_t {
            self.seal(newest + 1)?;
            progress(self.step(newest));
        }
        for gap in &self.found.gaps {
            error!(
                segment = %gap.segment.display(),
                offset = gap.offset,
                bytes = gap.bytes,
                reason = gap.reason,
                "journal segment is damaged: the rest of it is lost, later segments are replayed"
            );
        }
        if 0 < self.found.undecodable {
            error!(records = self.found.undecodable, "journal records could not be read and are left out");
        }
        info!(
            records = self.found.records,
            samples = self.found.samples,
            newest_t = self.found.newest_t,
            "journal replayed"
        );
        Ok(self.found)
    }
}

/// The state, each with a T, rising. What machines said of themselves comes in the order in which they said it, for another process of a
/// cluster may have heard something newer; and shortly before the rest, so that nobody is forgotten who has been sending since.
fn established(state: &Preamble, (from_t, first): (LogicalTime, LogicalTime)) -> Vec<(LogicalTime, Record)> {
    let since = |record: &Record| match record {
        Record::Machine(info) => {
            let said = u64::try_from(info.arrival.micros()).unwrap_or(0);
            let before = from_t.saturating_sub(said) / ESTABLISHED_SHRINKS;
            from_t.saturating_sub(before).min(first)
        }
        _ => first,
    };
    let mut records: Vec<_> = state.state().into_iter().map(|record| (since(&record), record)).collect();
    records.sort_by_key(|(since, _)| *since);
    records
}

impl Replayed {
    fn unreadable(&mut self, t: LogicalTime, index: u32, error: &CodecError) {
        self.undecodable += 1;
        if self.undecodable <= ERRORS_LOGGED_MAX {
            warn!(t, index, %error, "journal record cannot be read");
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{MachineId, MachineInfo, Timestamp};

    use super::*;

    #[test]
    fn machines_are_introduced_in_the_order_in_which_they_were_and_none_so_early_that_it_is_forgotten() {
        let year_us = 365 * 86_400 * 1_000_000;
        let from_t = 50 * year_us;
        let mut state = Preamble::default();
        for (name, age_us) in [("new", 1_000_000), ("old", year_us), ("day", 86_400_000_000)] {
            let said = Timestamp::from_logical(from_t - age_us);
            let info = MachineInfo::unknown(MachineId::parse(name).unwrap(), said);
            state.note(from_t - 1, &Record::Machine(Arc::new(info)));
        }
        let records = established(&state, (from_t, from_t + 5));
        let names: Vec<&str> = records.iter().map(|(_, record)| record.machine().unwrap().as_str()).collect();
        assert_eq!(names, ["old", "day", "new"]);
        assert!(records.iter().all(|(since, _)| from_t - *since < 86_400_000_000 && *since < from_t));
    }
}
