//! Reader: the log from some T on, in order, through one buffer. It sees what is flushed, ends there, and goes on when
//! asked again; the writer never waits for it.
//!
//! Loss: a damaged record makes the rest of its segment unreadable, for nothing after it can be trusted to be complete; the
//! reader goes to the next segment and keeps a `Gap`. A segment the quota dropped under it is skipped: `Dropped` counted it.
//! Invariants: J-2 a replay repeats the sequence: what comes out was appended, in order, never garbage.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

use crate::JournalError;
use crate::commit::Shared;
use crate::scan::{Scan, Scanner};
use crate::segment::{self, Header};

/// One record, borrowed from the reader's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    pub t: u64,
    /// Its place among the records of the same T.
    pub index: u32,
    pub payload: &'a [u8],
}

/// A part of a segment that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub segment: PathBuf,
    pub offset: u64,
    /// Unreadable bytes from there on.
    pub bytes: u64,
    /// T of the last good record before the gap.
    pub after_t: Option<u64>,
    pub reason: &'static str,
}

pub struct Reader {
    shared: Arc<Shared>,
    from_t: u64,
    scanner: Scanner,
    open: Option<Open>,
    /// At most one per segment.
    gaps: Vec<Gap>,
}

struct Open {
    first_t: u64,
    file: File,
    /// Where its flushed records end, as far as known.
    limit: u64,
    /// Bad from here: waiting for the next segment.
    is_spoiled: bool,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, from_t: u64) -> Self {
        let scanner = Scanner::new(shared.record_bytes_max);
        Self { shared, from_t, scanner, open: None, gaps: Vec::new() }
    }

    /// The next record, or `None` when all that is flushed was read.
    ///
    /// # Errors
    /// `Io` when a segment cannot be opened or read (not when it is damaged), `Version` of another program.
    #[expect(clippy::should_implement_trait, reason = "the record borrows from the reader, which Iterator cannot say")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, JournalError> {
        loop {
            let Some(open) = &mut self.open else {
                if self.open_next()? {
                    continue;
                }
                return Ok(None);
            };
            let scanned = if open.is_spoiled { Scan::End } else { scan(&self.shared, &mut self.scanner, open)? };
            match scanned {
                Scan::Record { t, .. } if t < self.from_t => {}
                Scan::Record { t, index, payload } => {
                    let payload = self.scanner.payload(payload);
                    return Ok(Some(Record { t, index, payload }));
                }
                Scan::Bad(reason) => {
                    let (limit, _has_next) = view(&self.shared, open)?;
                    open.is_spoiled = true;
                    let gap = Gap {
                        segment: self.shared.path(open.first_t),
                        offset: self.scanner.offset(),
                        bytes: limit.saturating_sub(self.scanner.offset()),
                        after_t: self.scanner.last().map(|(t, _)| t),
                        reason,
                    };
                    self.gaps.push(gap);
                }
                Scan::End => {
                    // Asked only here, so that the lock is taken once per flush and not once per record.
                    let (limit, has_next) = view(&self.shared, open)?;
                    let has_more = open.limit < limit && !open.is_spoiled;
                    open.limit = limit;
                    let goes_on = has_more || (has_next && self.open_next()?);
                    if !goes_on {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// The unreadable parts passed so far. Log them: they are lost to this reader.
    #[must_use]
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Opens the segment after the open one, or the one `from_t` is in; `false` when there is none.
    fn open_next(&mut self) -> Result<bool, JournalError> {
        loop {
            let Some(first_t) = self.next_segment() else {
                return Ok(false);
            };
            let path = self.shared.path(first_t);
            let file = match File::open(&path) {
                Ok(file) => file,
                // Dropped since we looked: look again.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_listed(first_t) => continue,
                Err(error) => return Err(JournalError::io("open journal segment", &path)(error)),
            };
            let is_spoiled = match segment::read_header(&file, first_t) {
                Ok(Header::Good) => false,
                Ok(Header::Bad) => {
                    let bytes = self.shared.lock().segments.get(&first_t).map_or(0, |segment| segment.bytes);
                    let reason = "the segment's header is damaged";
                    self.gaps.push(Gap { segment: path, offset: 0, bytes, after_t: None, reason });
                    true
                }
                Ok(Header::OtherVersion(found)) => {
                    return Err(JournalError::Version { path, found, known: segment::VERSION });
                }
                Err(error) => return Err(JournalError::io("read journal segment", &path)(error)),
            };
            self.scanner.restart(first_t);
            self.open = Some(Open { first_t, file, limit: segment::HEADER_BYTES, is_spoiled });
            return Ok(true);
        }
    }

    fn next_segment(&self) -> Option<u64> {
        let state = self.shared.lock();
        let segments = &state.segments;
        match &self.open {
            Some(open) => segments.range((Bound::Excluded(open.first_t), Bound::Unbounded)).next(),
            None => segments.range(..=self.from_t).next_back().or_else(|| segments.iter().next()),
        }
        .map(|(first_t, _)| *first_t)
    }

    fn is_listed(&self, first_t: u64) -> bool {
        self.shared.lock().segments.contains_key(&first_t)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segment = self.open.as_ref().map(|open| open.first_t);
        write!(out, "Reader(from {}, in segment {segment:?}, {} gaps)", self.from_t, self.gaps.len())
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segment, offset, bytes, after_t, reason } = self;
        let segment = segment.display();
        write!(
            out,
            "{bytes} bytes of {segment} from {offset} on are unreadable: {reason}; reading goes on with the next "
        )?;
        write!(
            out,
            "segment, last good sequence {after_t:?}; check the disk and restore the file from a copy if there is one"
        )
    }
}

/// How far the segment may be read, and whether another follows; at one moment, so that an end is an end.
fn view(shared: &Shared, open: &Open) -> Result<(u64, bool), JournalError> {
    let (bytes, has_next) = {
        let state = shared.lock();
        let after = (Bound::Excluded(open.first_t), Bound::Unbounded);
        (state.segments.get(&open.first_t).map(|segment| segment.bytes), state.segments.range(after).next().is_some())
    };
    match bytes {
        Some(bytes) => Ok((bytes, has_next)),
        // Dropped while we read it: the open file still has it all.
        None => {
            let metadata = open.file.metadata();
            let metadata = metadata.map_err(JournalError::io("look at journal segment", &shared.path(open.first_t)))?;
            Ok((metadata.len(), has_next))
        }
    }
}

fn scan(shared: &Shared, scanner: &mut Scanner, open: &Open) -> Result<Scan, JournalError> {
    match scanner.next(&open.file, open.limit) {
        Ok(scanned) => Ok(scanned),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Scan::Bad("the file is shorter than written")),
        Err(error) => Err(JournalError::io("read journal segment", &shared.path(open.first_t))(error)),
    }
}
