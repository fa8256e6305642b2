//! Commit: what writer, syncers and readers share, and the group commit.
//!
//! The writer notes each flush here; a `Syncer` on another thread fsyncs what was flushed so far while the writer appends
//! the next group. Durability is told by bytes, not by T, so that records added to a T after a sync are not taken for
//! durable. A failed fsync is sticky (J-1).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::is_no_space;
use crate::{JournalError, segment};

/// Makes flushed records durable; cheap to clone and to send to another thread.
#[derive(Debug, Clone)]
pub struct Syncer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) record_bytes_max: usize,
    state: Mutex<State>,
    poison: OnceLock<String>,
    #[cfg(test)]
    pub(crate) faults: Faults,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// By first T; the last one is the newest.
    pub(crate) segments: BTreeMap<u64, Segment>,
    /// The file that everything unsynced is in.
    active: Option<Arc<File>>,
    flushed_t: Option<u64>,
    durable_t: Option<u64>,
    /// Bytes ever written, and how many of them are synced.
    flushed_total: u64,
    synced_total: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    /// Length up to the last flushed record.
    pub(crate) bytes: u64,
    /// Unknown until counted for segments of an earlier run.
    pub(crate) records: Option<u64>,
}

/// Disk failures on demand.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) no_space: std::sync::atomic::AtomicBool,
    pub(crate) sync_fails: std::sync::atomic::AtomicBool,
}

#[cfg(test)]
impl Faults {
    pub(crate) fn before_sync(&self) -> io::Result<()> {
        let fails = self.sync_fails.load(std::sync::atomic::Ordering::SeqCst);
        if fails { Err(io::Error::other("input/output error")) } else { Ok(()) }
    }

    pub(crate) fn before_write(&self) -> io::Result<()> {
        let fails = self.no_space.load(std::sync::atomic::Ordering::SeqCst);
        if fails { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Syncer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Makes everything flushed so far durable, at least up to and including `upto`, and returns the newest durable T.
    /// Blocks for one fsync: call it from a thread that may wait.
    ///
    /// # Errors
    /// `Poisoned` after a failed fsync, now or earlier; `NotFlushed` when `upto` is not in the file yet.
    pub fn sync(&self, upto: u64) -> Result<u64, JournalError> {
        self.shared.sync(Some(upto))?.ok_or(JournalError::NotFlushed { t: upto })
    }

    /// The newest T known to be durable.
    #[must_use]
    pub fn durable_t(&self) -> Option<u64> {
        self.shared.lock().durable_t
    }
}

impl Shared {
    /// What repair left is synced, so the newest T is durable from the start.
    pub(crate) fn new(
        dir: PathBuf,
        record_bytes_max: usize,
        segments: BTreeMap<u64, Segment>,
        newest_t: Option<u64>,
    ) -> Self {
        let state = State { segments, flushed_t: newest_t, durable_t: newest_t, ..State::default() };
        Self {
            dir,
            record_bytes_max,
            state: Mutex::new(state),
            poison: OnceLock::new(),
            #[cfg(test)]
            faults: Faults::default(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Every change below is a few plain stores, so a poisoned lock still guards a whole state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn check(&self) -> Result<(), JournalError> {
        match self.poison.get() {
            None => Ok(()),
            Some(reason) => Err(JournalError::Poisoned { reason: reason.clone() }),
        }
    }

    /// The first reason stays: later failures follow from it.
    fn poison(&self, action: &str, path: &Path, error: &io::Error) -> JournalError {
        let reason = self.poison.get_or_init(|| format!("{action} {}: {error}", path.display()));
        JournalError::Poisoned { reason: reason.clone() }
    }

    /// A write that failed: retryable when the disk is full, final otherwise.
    pub(crate) fn refused(&self, action: &str, first_t: u64, source: io::Error) -> JournalError {
        let path = self.path(first_t);
        if is_no_space(&source) { JournalError::NoSpace { path, source } } else { self.poison(action, &path, &source) }
    }

    pub(crate) fn sync(&self, upto: Option<u64>) -> Result<Option<u64>, JournalError> {
        self.check()?;
        let (file, t, total) = {
            let state = self.lock();
            if let Some(t) = upto.filter(|t| state.flushed_t.is_none_or(|flushed_t| flushed_t < *t)) {
                return Err(JournalError::NotFlushed { t });
            }
            if state.synced_total == state.flushed_total {
                return Ok(state.flushed_t);
            }
            (state.active.clone(), state.flushed_t, state.flushed_total)
        };
        if let Some(file) = file {
            self.sync_file(&file).map_err(|error| self.poison("sync journal in", &self.dir, &error))?;
        }
        let mut state = self.lock();
        state.synced_total = state.synced_total.max(total);
        state.durable_t = state.durable_t.max(t);
        Ok(t)
    }

    /// Bytes are in the file, whole records, so readers may see them.
    pub(crate) fn flushed(&self, first_t: u64, written: Segment, bytes: u64, file: &Arc<File>) {
        let mut state = self.lock();
        state.segments.insert(first_t, written);
        state.flushed_total += bytes;
        state.active = Some(Arc::clone(file));
    }

    /// The owner says that everything up to T is in the file.
    pub(crate) fn group_flushed(&self, t: u64) {
        let mut state = self.lock();
        state.flushed_t = Some(t);
        if state.synced_total == state.flushed_total {
            state.durable_t = Some(t);
        }
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        #[cfg(test)]
        self.faults.before_sync()?;
        // The length is synced too: it is needed to read the data back.
        file.sync_data()
    }

    pub(crate) fn path(&self, first_t: u64) -> PathBuf {
        segment::path(&self.dir, first_t)
    }
}
