//! Retention: dropping old segments, whole, oldest first. The newest one always stays: it carries the newest T, without
//! which a restart could give a number twice (J-2).

use std::io;
use std::path::Path;

use crate::{Journal, JournalError, repair, segment};

/// What was dropped; all zero when nothing was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    pub segments: usize,
    pub bytes: u64,
    pub records: u64,
    /// Everything from here
    pub from_t: u64,
    /// up to, not including, here is gone.
    pub to_t: u64,
}

impl Journal {
    /// Drops the segments that lie wholly below `t`.
    ///
    /// # Errors
    /// `Io` when a file cannot be removed; what was dropped before it is gone.
    pub fn truncate_before(&mut self, t: u64) -> Result<Dropped, JournalError> {
        self.drop_while(|_bytes, next_t| next_t <= t)
    }

    /// Drops the segments older than `keep`, for journals whose T are microseconds.
    ///
    /// # Errors
    /// As `truncate_before`.
    pub fn expire(&mut self, now_us: u64) -> Result<Dropped, JournalError> {
        let Some(keep) = self.options.keep else {
            return Ok(Dropped::default());
        };
        let keep_us = u64::try_from(keep.as_micros()).unwrap_or(u64::MAX);
        self.truncate_before(now_us.saturating_sub(keep_us))
    }

    /// Drops saved torn tails, then the oldest segments, until the folder is within its quota. The quota wins over any
    /// reader or cursor. Counting the records of a segment from an earlier run reads it once.
    ///
    /// # Errors
    /// As `truncate_before`.
    pub fn enforce_quota(&mut self) -> Result<Dropped, JournalError> {
        let quota_bytes = self.options.quota_bytes;
        self.drop_torn_beyond(quota_bytes)?;
        self.drop_while(|bytes, _next_t| quota_bytes < bytes)
    }

    /// Drops from the oldest on while `is_due(bytes of the folder, first T of the next segment)`.
    fn drop_while(&mut self, is_due: impl Fn(u64, u64) -> bool) -> Result<Dropped, JournalError> {
        let mut dropped = Dropped::default();
        while let Some((first_t, next_t)) = self.oldest_two() {
            if !is_due(self.bytes(), next_t) {
                break;
            }
            let known = self.shared.lock().segments.get(&first_t).and_then(|segment| segment.records);
            // A segment too damaged to count is dropped all the same.
            let records = known.unwrap_or_else(|| repair::count_records(&self.options, first_t).unwrap_or(0));
            let path = self.shared.path(first_t);
            remove(&path)?;
            let removed = self.shared.lock().segments.remove(&first_t);
            if dropped.segments == 0 {
                dropped.from_t = first_t;
            }
            dropped.segments += 1;
            dropped.bytes += removed.map_or(0, |segment| segment.bytes);
            dropped.records += records;
            dropped.to_t = next_t;
        }
        if dropped.segments > 0 {
            let dir = &self.options.dir;
            segment::sync_dir(dir).map_err(JournalError::io("sync journal folder", dir))?;
        }
        Ok(dropped)
    }

    fn oldest_two(&self) -> Option<(u64, u64)> {
        let state = self.shared.lock();
        let mut keys = state.segments.keys().copied();
        keys.next().zip(keys.next())
    }

    /// Saved tails give way first: they are kept for a look, not for a replay.
    fn drop_torn_beyond(&mut self, quota_bytes: u64) -> Result<(), JournalError> {
        while let Some((path, _bytes)) = self.torn_files.first() {
            let left: u64 = self.torn_files.iter().map(|(_, bytes)| *bytes).sum();
            if self.bytes() + left <= quota_bytes {
                break;
            }
            remove(path)?;
            self.torn_files.remove(0);
        }
        Ok(())
    }
}

fn remove(path: &Path) -> Result<(), JournalError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(()),
        // Somebody was faster; gone is gone.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(JournalError::io("remove", path)(error)),
    }
}
