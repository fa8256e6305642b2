//! Spool: unacknowledged frames on disk, and the identity under which the hub knows them.
//!
//! Stands on the journal. A record is a chunk: a layout and consecutive frames under it, so that a chunk can be read without
//! any other, whatever the quota dropped. Its sequence in the journal is that of its last frame.
//! The journal's cursors hold what must survive with it: `session`, `reserved` (no frame above it was ever numbered) and
//! `acknowledged`. All are on disk when the call that sets them returns.
//! Loss: the oldest segment, when the quota is reached, with the count of its unacknowledged frames; a damaged chunk is counted.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use fastrand::Rng;
use journal::{Journal, JournalError, Options};
use prost::Message;
use prost::bytes::Buf;
use proto::pb;
use runtime::clock::SharedClock;
use tracing::{info, warn};

use crate::frame::{Frame, Taken};
use crate::layout::Layout;

/// The quota is kept by whole segments, so a sixteenth of it may be lost or free at a time.
const SEGMENTS: u64 = 16;
/// A chunk is at most `SPILL_FRAMES` frames of a full layout, 2 MiB.
const RECORD_BYTES_MAX: usize = 8 << 20;
/// Chunks are written as they come; more than one in memory would only cost the small machine its memory.
const BUFFER_BYTES: usize = 64 * 1024;
/// Sequences reserved at a time: at 5 s a tick one write in six hours.
const RESERVE: u64 = 4_096;

pub(crate) struct Spool {
    journal: Journal,
    clock: SharedClock,
    /// By the sequence of the chunk's last frame.
    chunks: BTreeMap<u64, Chunk>,
    session: u64,
    reserved: u64,
    acknowledged: u64,
    /// Frames of chunks that were not what was written.
    damaged: u64,
}

#[derive(Debug, Clone, Copy)]
struct Chunk {
    frames: u64,
    /// When this process wrote it, on the monotonic clock; `None` for chunks of earlier ones.
    written_us: Option<u64>,
}

impl Spool {
    /// # Errors
    /// When another process holds the folder, or it cannot be read or written.
    pub(crate) fn open(
        folder: &Path,
        quota_bytes: u64,
        clock: SharedClock,
        rng: &mut Rng,
    ) -> Result<Self, JournalError> {
        let options = Options {
            segment_bytes: quota_bytes / SEGMENTS,
            quota_bytes,
            record_bytes_max: RECORD_BYTES_MAX,
            buffer_bytes: BUFFER_BYTES,
            ..Options::new(folder)
        };
        let (journal, opened) = Journal::open(options)?;
        if opened.cursors_lost || !opened.torn.is_empty() {
            warn!(torn = ?opened.torn, cursors_lost = opened.cursors_lost, "spool mended");
        }
        let mut spool = Self {
            session: journal.cursor("session").unwrap_or(0),
            reserved: journal.cursor("reserved").unwrap_or(0),
            acknowledged: journal.cursor("acknowledged").unwrap_or(0),
            journal,
            clock,
            chunks: BTreeMap::new(),
            damaged: 0,
        };
        // Without knowing what was numbered before, only a new identity is sure to repeat no number.
        if spool.session == 0 || spool.reserved == 0 {
            spool.set_session(rng.u64(1..=u64::MAX))?;
        }
        spool.index()?;
        info!(session = spool.session, frames = spool.frames(), bytes = spool.bytes(), "spool opened");
        Ok(spool)
    }

    pub(crate) fn session(&self) -> u64 {
        self.session
    }

    /// Takes another identity; the frames keep their numbers.
    pub(crate) fn set_session(&mut self, session: u64) -> Result<(), JournalError> {
        self.session = session;
        self.journal.set_cursor("session", session)
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// The number of the next new frame, above all that were ever given.
    pub(crate) fn first_sequence(&self) -> u64 {
        self.reserved.max(self.journal.newest_t().unwrap_or(0)).max(self.acknowledged).saturating_add(1)
    }

    /// Whether numbers up to `sequence` will soon need another reservation.
    pub(crate) fn is_reserve_low(&self, sequence: u64) -> bool {
        self.reserved < sequence.saturating_add(RESERVE / 4)
    }

    /// Reserves numbers from `sequence` on.
    pub(crate) fn reserve(&mut self, sequence: u64) -> Result<(), JournalError> {
        let reserved = sequence.saturating_add(RESERVE);
        self.journal.set_cursor("reserved", reserved)?;
        self.reserved = reserved;
        Ok(())
    }

    /// Writes frames, durable when it returns, and answers how many old ones the quota cost.
    pub(crate) fn append(&mut self, frames: &[Arc<Frame>]) -> Result<u64, JournalError> {
        for run in frames.chunk_by(|a, b| Arc::ptr_eq(&a.row.layout, &b.row.layout)) {
            if let Some(last) = run.last() {
                self.append_chunk(last.sequence, run)?;
            }
        }
        self.journal.commit()?;
        self.enforce_quota()
    }

    /// The frames of the oldest chunk that has any above `sequence`; empty when there is none.
    pub(crate) fn read_after(&mut self, sequence: u64) -> Result<Vec<Arc<Frame>>, JournalError> {
        while let Some(last) = self.chunk_after(sequence) {
            let mut reader = self.journal.reader_from(last);
            let frames = match reader.next()? {
                Some(record) if record.t == last => decode(record.payload, self.chunks.get(&last)),
                Some(_) | None => None,
            };
            if let Some(frames) = frames {
                return Ok(frames);
            }
            self.damaged += self.forget_chunk(last);
        }
        Ok(Vec::new())
    }

    /// Forgets what the hub has on its disk. The position itself goes to disk when nothing is left to send: until then a
    /// restart sends a little again, and the hub knows it by its numbers.
    pub(crate) fn acknowledge(&mut self, sequence: u64) -> Result<(), JournalError> {
        let left = self.chunks.split_off(&sequence.saturating_add(1));
        let acknowledged = std::mem::replace(&mut self.chunks, left);
        if acknowledged.is_empty() {
            return Ok(());
        }
        self.acknowledged = self.acknowledged.max(sequence);
        if self.chunks.is_empty() {
            self.save_acknowledged(sequence)?;
        }
        self.journal.truncate_before(sequence.saturating_add(1)).map(|_dropped| ())
    }

    /// Writes down how far the hub is.
    pub(crate) fn save_acknowledged(&mut self, sequence: u64) -> Result<(), JournalError> {
        self.acknowledged = self.acknowledged.max(sequence);
        self.journal.set_cursor("acknowledged", self.acknowledged)
    }

    /// Frames on disk that the hub has not acknowledged.
    pub(crate) fn frames(&self) -> u64 {
        self.chunks.values().map(|chunk| chunk.frames).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.journal.bytes()
    }

    /// Answers how many frames that costs.
    pub(crate) fn forget_chunk(&mut self, last: u64) -> u64 {
        self.chunks.remove(&last).map_or(0, |chunk| chunk.frames)
    }

    /// Frames found damaged since the last call.
    pub(crate) fn take_damaged(&mut self) -> u64 {
        std::mem::take(&mut self.damaged)
    }

    /// The last frame of the oldest chunk that has any above `sequence`: what a chunk is known by.
    pub(crate) fn chunk_after(&self, sequence: u64) -> Option<u64> {
        let above = (Bound::Excluded(sequence), Bound::Unbounded);
        self.chunks.range(above).next().map(|(last, _)| *last)
    }

    /// What earlier processes left.
    fn index(&mut self) -> Result<(), JournalError> {
        let mut reader = self.journal.reader_from(self.acknowledged.saturating_add(1));
        while let Some(record) = reader.next()? {
            let Some((_, frames)) = decode_messages(record.payload) else {
                continue;
            };
            let chunk = Chunk { frames: frames.frames.len() as u64, written_us: None };
            self.chunks.insert(record.t, chunk);
        }
        Ok(())
    }

    fn append_chunk(&mut self, last: u64, frames: &[Arc<Frame>]) -> Result<(), JournalError> {
        // A write that failed halfway is tried again with the same frames.
        if self.chunks.contains_key(&last) {
            return Ok(());
        }
        if self.journal.segment_is_full() {
            self.journal.rotate()?;
        }
        self.journal.append(last, &encode(frames, &self.clock))?;
        let chunk = Chunk { frames: frames.len() as u64, written_us: Some(self.clock.monotonic_us()) };
        self.chunks.insert(last, chunk);
        Ok(())
    }

    fn enforce_quota(&mut self) -> Result<u64, JournalError> {
        let dropped = self.journal.enforce_quota()?;
        if dropped.segments == 0 {
            return Ok(0);
        }
        let left = self.chunks.split_off(&dropped.to_t);
        let gone = std::mem::replace(&mut self.chunks, left);
        Ok(gone.values().map(|chunk| chunk.frames).sum())
    }
}

fn encode(frames: &[Arc<Frame>], clock: &SharedClock) -> Vec<u8> {
    let layout = frames.first().map(|frame| frame.row.layout.to_pb(0)).unwrap_or_default();
    let mut record = layout.encode_length_delimited_to_vec();
    let frames = pb::Frames { frames: frames.iter().map(|frame| frame.to_pb(0, clock.as_ref())).collect() };
    record.extend_from_slice(&frames.encode_length_delimited_to_vec());
    record
}

fn decode_messages(mut record: &[u8]) -> Option<(pb::Layout, pb::Frames)> {
    let layout = pb::Layout::decode_length_delimited(&mut record).ok()?;
    let frames = pb::Frames::decode_length_delimited(&mut record).ok()?;
    (!record.has_remaining()).then_some((layout, frames))
}

fn decode(record: &[u8], chunk: Option<&Chunk>) -> Option<Vec<Arc<Frame>>> {
    let (layout, frames) = decode_messages(record)?;
    let layout = Arc::new(Layout::from_pb(&layout)?);
    let written_us = chunk.and_then(|chunk| chunk.written_us);
    let frame = |frame: pb::Frame| {
        let age_ms = frame.age_ms;
        let taken = match written_us {
            Some(written_us) => Taken::At(written_us.saturating_sub(u64::from(age_ms) * 1_000)),
            None => Taken::Earlier { age_ms },
        };
        Arc::new(Frame::from_pb(frame, &layout, taken))
    };
    Some(frames.frames.into_iter().map(frame).collect())
}
