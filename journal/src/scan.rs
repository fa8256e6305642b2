//! Scan: the records of one segment file in order, through a buffer of fixed size.
//!
//! Beyond checksums it checks the order: the first record has the segment's T, T never goes back, and the index counts
//! from zero within a T. So a record that was left out or moved is found like one with a flipped bit.
//! Memory: 1 MiB, more only for a record that is longer. Speed: one large read per mebibyte, nothing allocated per record.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::record::{self, Parsed};
use crate::segment;

const BUFFER_BYTES: usize = 1 << 20;

pub(crate) struct Scanner {
    buffer: Vec<u8>,
    /// The part of the buffer that is read from the file and not yet given out.
    unread: Range<usize>,
    /// File offset of the end of `unread`.
    read_to: u64,
    first_t: u64,
    last: Option<(u64, u32)>,
    record_bytes_max: usize,
}

#[derive(Debug)]
pub(crate) enum Scan {
    Record {
        t: u64,
        index: u32,
        payload: Range<usize>,
    },
    /// All whole records below the limit are read.
    End,
    Bad(&'static str),
}

impl Scanner {
    pub(crate) fn new(record_bytes_max: usize) -> Self {
        let buffer = vec![0; BUFFER_BYTES];
        Self { buffer, unread: 0..0, read_to: segment::HEADER_BYTES, first_t: 0, last: None, record_bytes_max }
    }

    /// Goes to the start of a segment; the buffer is kept.
    pub(crate) fn restart(&mut self, first_t: u64) {
        self.unread = 0..0;
        self.read_to = segment::HEADER_BYTES;
        self.first_t = first_t;
        self.last = None;
    }

    /// The next record that ends at or before `limit`. After `Bad` it stays where it is.
    pub(crate) fn next(&mut self, file: &File, limit: u64) -> io::Result<Scan> {
        loop {
            match record::parse(&self.buffer[self.unread.clone()], self.record_bytes_max) {
                Parsed::Whole { t, index, bytes } => {
                    if !self.follows(t, index) {
                        return Ok(Scan::Bad("it does not follow the record before it"));
                    }
                    let payload = self.unread.start + record::HEADER_BYTES..self.unread.start + bytes;
                    self.unread.start += bytes;
                    self.last = Some((t, index));
                    return Ok(Scan::Record { t, index, payload });
                }
                Parsed::Bad(reason) => return Ok(Scan::Bad(reason)),
                Parsed::Short { need } => {
                    if self.fill(file, need, limit)? {
                        continue;
                    }
                    return Ok(if self.unread.is_empty() { Scan::End } else { Scan::Bad("it is cut short") });
                }
            }
        }
    }

    pub(crate) fn payload(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// Where the next record starts in the file.
    pub(crate) fn offset(&self) -> u64 {
        self.read_to - self.unread.len() as u64
    }

    /// T and index of the newest record given out.
    pub(crate) fn last(&self) -> Option<(u64, u32)> {
        self.last
    }

    fn follows(&self, t: u64, index: u32) -> bool {
        match self.last {
            None => t == self.first_t && index == 0,
            Some((last_t, last_index)) if t == last_t => last_index.checked_add(1) == Some(index),
            Some((last_t, _)) => last_t < t && index == 0,
        }
    }

    /// Reads on until `need` bytes are there; `false` when the limit comes first.
    fn fill(&mut self, file: &File, need: usize, limit: u64) -> io::Result<bool> {
        let missing = need - self.unread.len();
        if limit.saturating_sub(self.read_to) < missing as u64 {
            // What is below the limit still counts: the caller tells an end from a cut.
            let rest = usize::try_from(limit.saturating_sub(self.read_to)).unwrap_or(usize::MAX);
            if self.unread.is_empty() && rest > 0 {
                self.read_some(file, rest)?;
            }
            return Ok(false);
        }
        if self.buffer.len() < need {
            self.buffer.resize(need, 0);
        }
        while self.unread.len() < need {
            let left = usize::try_from(limit - self.read_to).unwrap_or(usize::MAX);
            self.read_some(file, left)?;
        }
        Ok(true)
    }

    fn read_some(&mut self, file: &File, bytes_max: usize) -> io::Result<()> {
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        let space = self.buffer.len() - self.unread.end;
        let target = &mut self.buffer[self.unread.end..][..space.min(bytes_max)];
        match file.read_at(target, self.read_to) {
            // Shorter than its length says: somebody cut the file under us.
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.unread.end += count;
                self.read_to += count as u64;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}
