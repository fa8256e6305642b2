//! The spill: a sink's own journal of outputs that its store could not take yet, on disk, read back in order.
//!
//! In: whole, durable times, each later than the last. Out: the same, until the store's cursors have passed them.
//! Durable: what `append` answered Ok for is fsynced, so the hub's journal need not keep it for this sink.
//! Loss: never silent. Above the quota the oldest segments go, with a count; a record that cannot be read is counted.

use std::path::PathBuf;

use journal::{Journal, JournalError, Options, Reader};
use model::LogicalTime;
use tracing::{error, warn};

use crate::error::chain;
use crate::sink::{Group, WriteBatch};
use crate::spill_codec::{decode, encode};
use crate::staging::weight;

/// What one record gathers: large, because each record repeats the names of the series it uses; small against memory.
const RECORD_BYTES: usize = 4 << 20;
/// A single logical time can be larger than that.
const RECORD_BYTES_MAX: usize = 256 << 20;
const SEGMENT_BYTES: u64 = 32 << 20;
/// Cursor that is set when all was stored. The newest segment stays on disk, and a store that begins anew (its file was damaged) must
/// not take it for the whole of what it lacks.
const STORED: &str = "stored";

#[derive(Debug, Clone)]
pub struct SpillSettings {
    pub dir: PathBuf,
    /// Disk it may use; beyond that the oldest is dropped, with a count.
    pub quota_bytes: u64,
}

#[derive(Debug)]
pub struct Spill {
    journal: Journal,
    reader: Reader,
    /// Everything up to here was read.
    read: LogicalTime,
    /// Everything up to here is on disk.
    durable: LogicalTime,
    /// What was appended and is not on disk, because the disk was full: at most one record. It is read from here.
    unsynced: Option<WriteBatch>,
    /// Everything up to here is stored, as far as we know.
    stored: LogicalTime,
    /// Records dropped by the quota or unreadable, and still wanted.
    pub(crate) lost_records: u64,
    gaps_reported: usize,
}

impl Spill {
    /// # Errors
    /// When the folder is held by another process, or cannot be used.
    pub fn open(settings: &SpillSettings) -> Result<Self, JournalError> {
        let segment_bytes = SEGMENT_BYTES.min(settings.quota_bytes / 4).max(64 << 10);
        let options = Options {
            segment_bytes,
            quota_bytes: settings.quota_bytes.max(2 * segment_bytes),
            record_bytes_max: RECORD_BYTES_MAX,
            ..Options::new(&settings.dir)
        };
        let (mut journal, mut opened) = Journal::open(options.clone())?;
        let is_spent = opened.newest_t.is_some() && opened.newest_t <= journal.cursor(STORED);
        if is_spent {
            // Begun anew, for a store that lost its file takes times again that are older than the last ones here.
            drop(journal);
            if let Err(error) = std::fs::remove_dir_all(&settings.dir) {
                warn!(error = %error, spill = %settings.dir.display(), "spent spill could not be removed");
            }
            (journal, opened) = Journal::open(options)?;
        }
        for torn in &opened.torn {
            warn!(spill = %settings.dir.display(), torn = ?torn, "spill tail was torn and is cut");
        }
        let newest = opened.newest_t.unwrap_or(0);
        Ok(Self {
            reader: journal.reader_from(0),
            journal,
            read: 0,
            durable: newest,
            unsynced: None,
            stored: 0,
            lost_records: 0,
            gaps_reported: 0,
        })
    }

    /// T of the newest record on disk, 0 when there is none.
    pub fn durable(&self) -> LogicalTime {
        self.durable
    }

    pub(crate) fn has_unread(&self) -> bool {
        self.read < self.newest()
    }

    /// T of the newest record, on disk or not.
    fn newest(&self) -> LogicalTime {
        self.unsynced.as_ref().map_or(self.durable, |batch| batch.upto)
    }

    /// Bytes that wait for the store.
    pub(crate) fn backlog_bytes(&self) -> u64 {
        if self.stored < self.newest() { self.journal.bytes() } else { 0 }
    }

    /// Takes groups that reach to `upto`; of none it notes only that. On an error it says how many of them it has taken: those are on disk or kept in memory.
    pub(crate) fn append(&mut self, groups: &[Group], upto: LogicalTime) -> Result<(), (usize, JournalError)> {
        // What an earlier full disk left in memory goes first; while it cannot, nothing more is taken.
        self.commit().map_err(|error| (0, error))?;
        let mut taken = 0;
        while taken < groups.len() || self.newest() < upto {
            let count = record_len(&groups[taken..]);
            let record = &groups[taken..taken + count];
            let is_last = taken + count == groups.len();
            let t = if is_last { upto } else { record[count - 1].t };
            self.journal.append(t, &encode(record)).map_err(|error| (taken, error))?;
            taken += count;
            self.unsynced = Some(WriteBatch { groups: record.to_vec(), upto: t });
            self.commit().map_err(|error| (taken, error))?;
        }
        self.enforce_quota();
        Ok(())
    }

    fn commit(&mut self) -> Result<(), JournalError> {
        if self.journal.segment_is_full() {
            self.journal.rotate()?;
        } else {
            self.journal.commit()?;
        }
        self.durable = self.journal.newest_t().unwrap_or(0);
        self.unsynced = None;
        Ok(())
    }

    fn enforce_quota(&mut self) {
        match self.journal.enforce_quota() {
            Ok(dropped) if dropped.segments > 0 => {
                let is_wanted = self.stored < dropped.to_t;
                if is_wanted {
                    self.lost_records += dropped.records;
                    let (records, bytes) = (dropped.records, dropped.bytes);
                    error!(records, bytes, "spill is over its quota: the oldest outputs are lost");
                }
            }
            Ok(_) => {}
            Err(error) => warn!(error = chain(&error), "spill quota could not be enforced"),
        }
    }

    /// Reading begins after `t`, the oldest of the store's cursors.
    pub(crate) fn read_after(&mut self, t: LogicalTime) {
        self.read = t;
        self.reader = self.journal.reader_from(t.saturating_add(1));
        self.gaps_reported = 0;
        self.stored(t);
    }

    /// The next batch; none when all was read. An unreadable record is counted and passed over.
    pub(crate) fn next(&mut self) -> Result<Option<WriteBatch>, JournalError> {
        loop {
            let Some(record) = self.reader.next()? else {
                self.read = self.durable.max(self.read);
                self.report_gaps();
                let unsynced = self.unsynced.as_ref().filter(|batch| self.read < batch.upto).cloned();
                self.read = self.read.max(self.newest());
                return Ok(unsynced);
            };
            if record.t <= self.read {
                // It was read from memory, before it came to be on disk.
                continue;
            }
            let t = record.t;
            let batch = decode(record.payload, t);
            self.read = t;
            self.report_gaps();
            match batch {
                Ok(batch) => return Ok(Some(batch)),
                Err(error) => {
                    self.lost_records += 1;
                    error!(error = chain(&error), t, "spill record cannot be read: its outputs are lost");
                }
            }
        }
    }

    fn report_gaps(&mut self) {
        for gap in &self.reader.gaps()[self.gaps_reported.min(self.reader.gaps().len())..] {
            self.lost_records += 1;
            error!(gap = %gap, "spill is damaged: outputs are lost");
        }
        self.gaps_reported = self.reader.gaps().len();
    }

    /// Everything up to `t` is stored: whole segments below it are dropped.
    pub(crate) fn stored(&mut self, t: LogicalTime) {
        if t <= self.stored {
            return;
        }
        let was_waiting = self.stored < self.newest();
        self.stored = t;
        if let Err(error) = self.journal.truncate_before(t.saturating_add(1)) {
            warn!(error = chain(&error), "old spill segments could not be dropped");
        }
        if was_waiting
            && self.newest() <= t
            && let Err(error) = self.journal.set_cursor(STORED, t)
        {
            warn!(error = chain(&error), "spill could not note that all is stored");
        }
    }
}

/// How many groups make the next record: at least one.
fn record_len(groups: &[Group]) -> usize {
    let mut bytes = 0;
    let full = groups.iter().position(|group| {
        bytes += group.outputs.iter().map(weight).sum::<usize>();
        RECORD_BYTES <= bytes
    });
    full.map_or(groups.len(), |last| last + 1)
}

#[cfg(test)]
mod tests {
    use model::Output;

    use super::*;
    use crate::fixtures::{at, rejected};

    fn group(t: LogicalTime) -> Group {
        let outputs = vec![Output::Rejected(rejected("a", at(1)))];
        Group { t, outputs }
    }

    fn open(dir: &tempfile::TempDir) -> Spill {
        let settings = SpillSettings { dir: dir.path().to_owned(), quota_bytes: 1 << 20 };
        Spill::open(&settings).unwrap()
    }

    fn rest(spill: &mut Spill) -> Vec<(LogicalTime, usize)> {
        std::iter::from_fn(|| spill.next().unwrap()).map(|batch| (batch.upto, batch.groups.len())).collect()
    }

    #[test]
    fn a_restart_reads_on_after_the_stores_cursor() {
        let dir = tempfile::tempdir().unwrap();
        let mut spill = open(&dir);
        spill.append(&[group(3), group(4)], 5).unwrap();
        spill.append(&[group(8)], 9).unwrap();
        assert_eq!(rest(&mut spill), [(5, 2), (9, 1)]);
        assert!(!spill.has_unread());
        drop(spill);
        let mut spill = open(&dir);
        assert_eq!(spill.durable(), 9);
        spill.read_after(5);
        assert!(spill.has_unread());
        assert_eq!(rest(&mut spill), [(9, 1)]);
        spill.append(&[group(10)], 10).unwrap();
        assert_eq!(rest(&mut spill), [(10, 1)]);
        spill.stored(10);
        assert_eq!((spill.backlog_bytes(), spill.lost_records), (0, 0));
        drop(spill);
        assert_eq!(open(&dir).durable(), 0, "all was stored: a replay is not to be held against it");
    }

    #[test]
    fn how_far_nothing_reaches_is_kept_too() {
        let dir = tempfile::tempdir().unwrap();
        let mut spill = open(&dir);
        spill.append(&[], 5).unwrap();
        spill.append(&[], 5).unwrap();
        spill.append(&[group(7)], 8).unwrap();
        assert_eq!((spill.durable(), rest(&mut spill)), (8, vec![(5, 0), (8, 1)]));
    }

    #[test]
    fn the_quota_drops_the_oldest_with_a_count() {
        let dir = tempfile::tempdir().unwrap();
        let mut spill = open(&dir);
        let many = |t| Group { t, outputs: (0..500).map(|_| Output::Rejected(rejected("a", at(1)))).collect() };
        for t in 1..=60 {
            spill.append(&[many(t)], t).unwrap();
        }
        assert!(spill.lost_records > 0 && spill.journal.bytes() <= 1 << 20);
        let left = rest(&mut spill);
        assert_eq!(left.len() as u64 + spill.lost_records, 60);
        assert_eq!(left.last().unwrap().0, 60);
    }
}
