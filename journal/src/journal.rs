//! Journal: the writer. One owner appends; it flushes, rotates and drops segments when it wants to.
//!
//! Memory: pending records up to `buffer_bytes` and one record more; then `append` writes by itself.
//! On a full disk a write is undone and stays pending: the journal on disk is whole, and the same call works once there is room.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::active::{Active, Pending};
use crate::commit::{Segment, Shared, Syncer};
use crate::cursor::Cursors;
use crate::repair::{self, Tail, Torn};
use crate::{JournalError, Options, Reader, segment};

/// What was found on opening. Log it: anything in `torn` or a lost cursor is news for a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened {
    /// First T of the oldest segment.
    pub oldest_t: Option<u64>,
    pub newest_t: Option<u64>,
    pub segments: usize,
    pub bytes: u64,
    pub torn: Vec<Torn>,
    /// The cursor file was damaged and all cursors are gone: reading starts at the oldest record again.
    pub cursors_lost: bool,
}

#[derive(Debug)]
pub struct Journal {
    pub(crate) options: Options,
    pub(crate) shared: Arc<Shared>,
    active: Option<Active>,
    cursors: Cursors,
    /// Saved tails of this and earlier openings, oldest name first; new ones come only with an opening.
    pub(crate) torn_files: Vec<(PathBuf, u64)>,
    pending: Pending,
    /// T and index of the newest appended record, also of earlier runs.
    last: Option<(u64, u32)>,
    /// Held as long as the journal is open.
    _lock: File,
}

impl Journal {
    /// Locks the folder (made when missing), repairs the newest segment and knows the newest T afterwards.
    ///
    /// # Errors
    /// `Locked` by another process, `Version` of another program, `Io`, or `NoSpace` to save a torn tail.
    pub fn open(options: Options) -> Result<(Self, Opened), JournalError> {
        options.check()?;
        let dir = options.dir.clone();
        segment::create_folder(&dir).map_err(JournalError::write("create journal folder", &dir))?;
        let lock = lock_folder(&dir)?;
        let mut lengths = segment::list(&dir)?;
        let mut opened = Opened::default();
        let tail = repair_newest(&options, &mut lengths, &mut opened.torn)?;
        let (cursors, cursors_lost) = Cursors::load(&dir)?;
        let mut segments: BTreeMap<u64, Segment> =
            lengths.into_iter().map(|(first_t, bytes)| (first_t, Segment { bytes, records: None })).collect();
        if let Some(tail) = &tail {
            segments.insert(tail.first_t, Segment { bytes: tail.bytes, records: Some(tail.records) });
        }
        let last = tail.as_ref().map(|tail| tail.last);
        opened.oldest_t = segments.keys().next().copied();
        opened.newest_t = last.map(|(t, _)| t);
        opened.segments = segments.len();
        opened.bytes = segments.values().map(|segment| segment.bytes).sum();
        opened.cursors_lost = cursors_lost;
        let shared = Arc::new(Shared::new(dir, options.record_bytes_max, segments, opened.newest_t));
        let active = tail.map(Active::from);
        let (torn_files, pending) = (repair::list_torn(&options.dir)?, Pending::default());
        Ok((Self { options, shared, active, cursors, torn_files, pending, last, _lock: lock }, opened))
    }

    /// Adds a record and returns its index within T. It is in memory until `flush`, durable after `Syncer::sync`; dropping
    /// the journal writes nothing.
    ///
    /// # Errors
    /// `Sequence` when T goes back, `RecordTooLong`, `Poisoned`; `NoSpace` when the buffer is full and cannot be
    /// written: then this record was not taken.
    pub fn append(&mut self, t: u64, payload: &[u8]) -> Result<u32, JournalError> {
        self.shared.check()?;
        let index = self.next_index(t)?;
        let bytes_max = self.options.record_bytes_max;
        if bytes_max < payload.len() {
            return Err(JournalError::RecordTooLong { bytes: payload.len(), bytes_max });
        }
        if self.options.buffer_bytes <= self.pending.bytes() {
            self.write_pending()?;
        }
        self.pending.push(t, index, payload);
        self.last = Some((t, index));
        Ok(index)
    }

    /// Writes what is appended to the file, where readers and syncers find it. Call it at the end of a group.
    ///
    /// # Errors
    /// `NoSpace`: the records stay pending and the call may be repeated; `Poisoned`.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        self.shared.check()?;
        self.write_pending()?;
        if let Some((t, _)) = self.last {
            self.shared.group_flushed(t);
        }
        Ok(())
    }

    /// For another thread, to make durable what is flushed.
    #[must_use]
    pub fn syncer(&self) -> Syncer {
        Syncer::new(Arc::clone(&self.shared))
    }

    /// Flushes and syncs on this thread: for owners that have no groups to overlap.
    ///
    /// # Errors
    /// As `flush` and `Syncer::sync`.
    pub fn commit(&mut self) -> Result<(), JournalError> {
        self.flush()?;
        self.shared.sync(None).map(|_t| ())
    }

    /// Whether the owner should rotate before its next T.
    #[must_use]
    pub fn segment_is_full(&self) -> bool {
        let written = self.active.as_ref().map_or(segment::HEADER_BYTES, Active::bytes);
        self.options.segment_bytes <= written + self.pending.bytes() as u64
    }

    /// Ends the segment, durable in full; the next append, with a new T, starts another. So the owner can put its
    /// preamble first. Without a record in the segment nothing happens.
    ///
    /// # Errors
    /// As `commit`.
    pub fn rotate(&mut self) -> Result<(), JournalError> {
        self.commit()?;
        self.active = None;
        Ok(())
    }

    /// The records from T on, in order; it ends at the last flushed record and can be asked again later. It may live on
    /// another thread.
    #[must_use]
    pub fn reader_from(&self, t: u64) -> Reader {
        Reader::new(Arc::clone(&self.shared), t)
    }

    /// T of the newest appended record, flushed or not.
    #[must_use]
    pub fn newest_t(&self) -> Option<u64> {
        self.last.map(|(t, _)| t)
    }

    /// First T of the oldest segment.
    #[must_use]
    pub fn oldest_t(&self) -> Option<u64> {
        self.shared.lock().segments.keys().next().copied()
    }

    /// Bytes of all segments, flushed and pending.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let flushed: u64 = self.shared.lock().segments.values().map(|segment| segment.bytes).sum();
        flushed + self.pending.bytes() as u64
    }

    #[must_use]
    pub fn segments(&self) -> usize {
        self.shared.lock().segments.len()
    }

    /// Sets a named position and makes it durable (two fsyncs; set it per batch, not per record).
    ///
    /// # Errors
    /// `CursorName`, `NoSpace` or `Io`; the old position then still stands.
    pub fn set_cursor(&mut self, name: &str, t: u64) -> Result<(), JournalError> {
        self.cursors.set(name, t)
    }

    #[must_use]
    pub fn cursor(&self, name: &str) -> Option<u64> {
        self.cursors.get(name)
    }

    fn next_index(&self, t: u64) -> Result<u32, JournalError> {
        let Some((newest, index)) = self.last else { return Ok(0) };
        // The first record of a segment has a new T, for the segment is named by it.
        let starts_segment = self.active.is_none() && self.pending.is_empty();
        if newest < t {
            Ok(0)
        } else if t == newest && !starts_segment {
            index.checked_add(1).ok_or(JournalError::Sequence { t, newest })
        } else {
            Err(JournalError::Sequence { t, newest })
        }
    }

    fn write_pending(&mut self) -> Result<(), JournalError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let active = match &mut self.active {
            Some(active) => active,
            none => none.insert(Active::create(&self.shared, &self.pending)?),
        };
        active.write(&self.shared, &self.pending)?;
        self.pending.clear(2 * self.options.buffer_bytes);
        Ok(())
    }
}

fn lock_folder(dir: &Path) -> Result<File, JournalError> {
    let path = dir.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(JournalError::write("open journal lock", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(JournalError::io("lock journal folder", &path)(source)),
    }
}

/// Repairs from the newest segment back until one is left with a record in it.
fn repair_newest(
    options: &Options,
    lengths: &mut BTreeMap<u64, u64>,
    torn: &mut Vec<Torn>,
) -> Result<Option<Tail>, JournalError> {
    while let Some((first_t, _length)) = lengths.pop_last() {
        if let Some(tail) = repair::repair(options, first_t, torn)? {
            return Ok(Some(tail));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    fn open(dir: &Path) -> Journal {
        Journal::open(Options::new(dir)).unwrap().0
    }

    fn read(journal: &Journal) -> Vec<(u64, Vec<u8>)> {
        let (mut reader, mut records) = (journal.reader_from(0), Vec::new());
        while let Some(record) = reader.next().unwrap() {
            records.push((record.t, record.payload.to_vec()));
        }
        records
    }

    fn assert_no_space(result: Result<(), JournalError>) {
        let error = result.unwrap_err();
        assert!(error.is_retryable() && !error.is_fatal());
        assert!(error.to_string().contains("free disk space"), "{error}");
    }

    #[test]
    fn a_full_disk_keeps_the_journal_whole_and_the_same_call_works_later() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = open(dir.path());
        journal.append(1, b"before").unwrap();
        journal.commit().unwrap();
        journal.append(2, b"during").unwrap();
        journal.shared.faults.no_space.store(true, Ordering::SeqCst);
        assert_no_space(journal.flush());
        assert_no_space(journal.rotate());
        let path = journal.shared.path(1);
        let length = std::fs::metadata(&path).unwrap().len();
        assert_eq!(length, journal.shared.lock().segments[&1].bytes, "the part that got in is out again");
        assert_eq!(read(&journal).len(), 1);
        journal.shared.faults.no_space.store(false, Ordering::SeqCst);
        journal.commit().unwrap();
        let expected = [(1, b"before".to_vec()), (2, b"during".to_vec())];
        assert_eq!(read(&journal), expected);
        drop(journal);
        assert_eq!(read(&open(dir.path())), expected);
    }

    #[test]
    fn a_full_disk_stops_the_buffer_from_growing() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(Options { buffer_bytes: 50, ..Options::new(dir.path()) }).unwrap().0;
        journal.shared.faults.no_space.store(true, Ordering::SeqCst);
        let refused = (1..100).find_map(|t| journal.append(t, &[7; 20]).err().map(|error| (t, error))).unwrap();
        assert!(refused.1.is_retryable());
        assert_eq!(journal.newest_t(), Some(refused.0 - 1), "the refused record was not taken");
        assert!(!journal.shared.path(1).exists(), "no half-made segment stays");
        journal.shared.faults.no_space.store(false, Ordering::SeqCst);
        journal.append(refused.0, b"again").unwrap();
        journal.commit().unwrap();
        assert_eq!(read(&journal).len() as u64, refused.0);
    }

    #[test]
    fn j1_a_failed_fsync_is_final() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = open(dir.path());
        let syncer = journal.syncer();
        journal.append(1, b"a").unwrap();
        journal.flush().unwrap();
        journal.shared.faults.sync_fails.store(true, Ordering::SeqCst);
        assert!(syncer.sync(1).unwrap_err().is_fatal());
        journal.shared.faults.sync_fails.store(false, Ordering::SeqCst);
        let error = syncer.sync(1).unwrap_err();
        assert!(error.is_fatal() && error.to_string().contains("check the disk"), "{error}");
        assert!(journal.append(2, b"b").unwrap_err().is_fatal());
        assert!(journal.flush().unwrap_err().is_fatal() && journal.rotate().unwrap_err().is_fatal());
        assert_eq!(syncer.durable_t(), None);
    }
}
