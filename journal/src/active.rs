//! Active: the segment that is written to, and the records that wait to be.
//!
//! All of a write gets in or none of it: on a full disk the part that fitted goes out again, so the file ends with a whole
//! record and the records stay pending. Any other failure poisons the journal.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::commit::{Segment, Shared};
use crate::error::is_no_space;
use crate::repair::Tail;
use crate::{JournalError, record, segment};

#[derive(Debug)]
pub(crate) struct Active {
    first_t: u64,
    file: Arc<File>,
    bytes: u64,
    records: u64,
}

/// Records that are appended and not yet in the file.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    records: u64,
    /// Of the first of them: the name of the segment if one has to be made.
    first_t: u64,
}

impl Pending {
    pub(crate) fn push(&mut self, t: u64, index: u32, payload: &[u8]) {
        if self.is_empty() {
            self.first_t = t;
        }
        record::encode(&mut self.bytes, t, index, payload);
        self.records += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Keeps the buffer, but not that of one huge record for good.
    pub(crate) fn clear(&mut self, keep_bytes: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(keep_bytes);
        self.records = 0;
    }
}

impl Active {
    /// A new segment for what is pending, on disk by name.
    pub(crate) fn create(shared: &Shared, pending: &Pending) -> Result<Self, JournalError> {
        let first_t = pending.first_t;
        #[cfg(test)]
        let made = shared.faults.before_write().and_then(|()| segment::create(&shared.dir, first_t));
        #[cfg(not(test))]
        let made = segment::create(&shared.dir, first_t);
        let file = made.map_err(|error| shared.refused("create", first_t, error))?;
        Ok(Self { first_t, file: Arc::new(file), bytes: segment::HEADER_BYTES, records: 0 })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes what is pending, which stays there, and shows it to readers and syncers.
    pub(crate) fn write(&mut self, shared: &Shared, pending: &Pending) -> Result<(), JournalError> {
        if let Err(error) = self.write_bytes(shared, &pending.bytes) {
            if is_no_space(&error) {
                self.file.set_len(self.bytes).map_err(|error| shared.refused("cut", self.first_t, error))?;
            }
            return Err(shared.refused("write", self.first_t, error));
        }
        let written = pending.bytes.len() as u64;
        self.bytes += written;
        self.records += pending.records;
        let segment = Segment { bytes: self.bytes, records: Some(self.records) };
        shared.flushed(self.first_t, segment, written, &self.file);
        Ok(())
    }

    #[cfg_attr(not(test), expect(unused_variables, reason = "only tests have faults to ask for"))]
    fn write_bytes(&self, shared: &Shared, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if let Err(error) = shared.faults.before_write() {
            // As a real disk does: a part gets in before it is full.
            self.file.write_all_at(&bytes[..bytes.len() / 2], self.bytes)?;
            return Err(error);
        }
        self.file.write_all_at(bytes, self.bytes)
    }
}

impl From<Tail> for Active {
    fn from(tail: Tail) -> Self {
        Self { first_t: tail.first_t, file: Arc::new(tail.file), bytes: tail.bytes, records: tail.records }
    }
}
