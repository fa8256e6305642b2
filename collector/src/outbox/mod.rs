//! Outbox: every frame from its tick until the hub acknowledged it. Memory first, then the spool.
//!
//! The rule: frames wait in memory. When more than `MEMORY_FRAMES` wait there, because the hub is away or slow, the oldest
//! `SPILL_FRAMES` of them go to disk as one chunk; at the end of the process all of them do. So in ordinary times nothing is
//! written, and a collector that is killed loses at most what `MEMORY_FRAMES` hold (5 min at 5 s).
//! Without a spool, or with one whose disk fails, memory holds up to `MEMORY_BYTES`, and then the oldest frame is dropped.
//! Keeps true: numbers rise by one within a process and never repeat within a session; frames leave oldest first; a frame
//! leaves only acknowledged or dropped with a count.

use std::collections::VecDeque;
use std::sync::Arc;

use fastrand::Rng;
use runtime::clock::SharedClock;
use runtime::telemetry::error_chain;
use tracing::{error, warn};

use crate::frame::{Frame, Taken};
use crate::sampler::Tick;
use crate::spool::Spool;
use crate::telemetry::Telemetry;

pub(crate) const MEMORY_FRAMES: usize = 60;
pub(crate) const SPILL_FRAMES: usize = 30;
/// Six hours of a hundred series at 5 s; an eighth of what the collector may use.
const MEMORY_BYTES: usize = 4 << 20;
/// Tries to read a chunk, one a tick, before its frames are given up.
const LOAD_TRIES: u32 = 12;
/// In one message: far below the hub's 4 MiB even with a full layout.
const BATCH_FRAMES: usize = 64;
const BATCH_BYTES: usize = 1 << 20;

pub(crate) struct Outbox {
    /// In the order of their numbers; all of them above what is on disk.
    memory: VecDeque<Arc<Frame>>,
    memory_bytes: usize,
    spool: Option<Spool>,
    /// The chunk that is being sent.
    loaded: Vec<Arc<Frame>>,
    load_failures: u32,
    session: u64,
    next_sequence: u64,
    acknowledged: u64,
    /// Logged when dropping begins, not for each frame.
    is_dropping: bool,
    telemetry: Telemetry,
    clock: SharedClock,
    rng: Rng,
}

/// What comes after some frame.
#[derive(Debug)]
pub(crate) enum Next {
    /// Oldest first, none left out.
    Frames(Vec<Arc<Frame>>),
    /// Call `load`, then ask again.
    OnDisk,
    Nothing,
}

impl Outbox {
    pub(crate) fn new(spool: Option<Spool>, telemetry: Telemetry, clock: SharedClock, mut rng: Rng) -> Self {
        let session = spool.as_ref().map_or_else(|| rng.u64(1..=u64::MAX), Spool::session);
        let outbox = Self {
            memory: VecDeque::new(),
            memory_bytes: 0,
            session,
            next_sequence: spool.as_ref().map_or(1, Spool::first_sequence),
            acknowledged: spool.as_ref().map_or(0, Spool::acknowledged),
            spool,
            loaded: Vec::new(),
            load_failures: 0,
            is_dropping: false,
            telemetry,
            clock,
            rng,
        };
        outbox.show();
        outbox
    }

    pub(crate) fn session(&self) -> u64 {
        self.session
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Takes a tick. Answers whether `maintain` has work, which the caller does where waiting for a disk hurts nobody.
    pub(crate) fn push(&mut self, tick: Tick) -> bool {
        let frame = Arc::new(Frame {
            sequence: self.next_sequence,
            time_ms: tick.time_ms,
            taken: Taken::At(tick.taken_us),
            row: tick.row,
        });
        self.next_sequence += 1;
        self.memory_bytes += frame.bytes();
        self.memory.push_back(frame);
        self.telemetry.sampled.increment();
        self.drop_beyond_memory();
        self.show();
        let is_reserve_low = self.spool.as_ref().is_some_and(|spool| spool.is_reserve_low(self.next_sequence));
        is_reserve_low || (self.spool.is_some() && MEMORY_FRAMES < self.memory.len())
    }

    /// Moves old frames to disk when too many wait, and reserves numbers. May wait for the disk.
    pub(crate) fn maintain(&mut self) {
        let next_sequence = self.next_sequence;
        if self.spool.as_ref().is_some_and(|spool| spool.is_reserve_low(next_sequence)) {
            self.on_disk(|spool| spool.reserve(next_sequence));
        }
        while MEMORY_FRAMES < self.memory.len() && self.spill(SPILL_FRAMES) {}
        self.show();
    }

    /// Moves everything to disk: the end of the process. May wait for the disk. Answers how many frames are left in memory,
    /// and so are lost.
    pub(crate) fn spill_all(&mut self) -> usize {
        while !self.memory.is_empty() && self.spill(MEMORY_FRAMES) {}
        let acknowledged = self.acknowledged;
        self.on_disk(|spool| spool.save_acknowledged(acknowledged));
        self.show();
        self.memory.len()
    }

    /// What follows the frame `after`, as many as go into a message and at most `frames_max`.
    pub(crate) fn next(&self, after: u64, frames_max: usize) -> Next {
        // Chunks on disk are older than memory, and only the oldest of them that is due may go.
        if let Some(chunk) = self.spool.as_ref().and_then(|spool| spool.chunk_after(after)) {
            if self.loaded.last().is_none_or(|frame| frame.sequence != chunk) {
                return Next::OnDisk;
            }
            let due = self.loaded.iter().filter(|frame| after < frame.sequence);
            return Next::Frames(take_batch(due, frames_max));
        }
        let from = self.memory.partition_point(|frame| frame.sequence <= after);
        let batch = take_batch(self.memory.range(from..), frames_max);
        if batch.is_empty() { Next::Nothing } else { Next::Frames(batch) }
    }

    /// Reads the chunk that follows the frame `after`. May wait for the disk.
    pub(crate) fn load(&mut self, after: u64) {
        let mut loaded = Vec::new();
        self.on_disk(|spool| {
            loaded = spool.read_after(after)?;
            Ok(())
        });
        self.loaded = loaded;
        let lost = self.give_up_unreadable(after);
        self.count_dropped(lost, "unreadable");
    }

    /// The hub has everything up to `sequence` on its disk. May wait for the disk when frames were there.
    pub(crate) fn acknowledge(&mut self, sequence: u64) {
        let sequence = sequence.min(self.next_sequence - 1);
        if sequence <= self.acknowledged {
            return;
        }
        self.acknowledged = sequence;
        while self.memory.front().is_some_and(|frame| frame.sequence <= sequence) {
            self.forget_oldest();
            self.telemetry.acknowledged.increment();
        }
        let spooled = |spool: &Option<Spool>| spool.as_ref().map_or(0, Spool::frames);
        let before = spooled(&self.spool);
        self.on_disk(|spool| spool.acknowledge(sequence));
        self.telemetry.acknowledged.add(before.saturating_sub(spooled(&self.spool)));
        self.loaded.retain(|frame| sequence < frame.sequence);
        self.is_dropping = false;
        self.show();
    }

    /// Whether an acknowledgement goes beyond everything we ever numbered: the hub knows our session from a life that our
    /// spool has forgotten (a restored backup), and would take our next frames for old ones.
    pub(crate) fn is_beyond(&self, acknowledged: u64) -> bool {
        self.next_sequence <= acknowledged
    }

    /// Takes another identity. May wait for the disk.
    pub(crate) fn renew_session(&mut self) {
        self.session = self.rng.u64(1..=u64::MAX);
        let session = self.session;
        self.on_disk(|spool| spool.set_session(session));
    }

    pub(crate) fn has_spooled(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| spool.frames() > 0)
    }

    /// Frames that wait for an acknowledgement.
    pub(crate) fn waiting(&self) -> u64 {
        self.memory.len() as u64 + self.spool.as_ref().map_or(0, Spool::frames)
    }

    /// One chunk to disk; `false` when the disk did not take it.
    fn spill(&mut self, frames_max: usize) -> bool {
        let frames: Vec<Arc<Frame>> = self.memory.iter().take(frames_max).cloned().collect();
        let mut dropped = None;
        self.on_disk(|spool| {
            dropped = Some(spool.append(&frames)?);
            Ok(())
        });
        let Some(dropped) = dropped else { return false };
        frames.iter().for_each(|_| self.forget_oldest());
        self.count_dropped(dropped, "spool full");
        true
    }

    /// Newer frames wait for older ones, so a chunk that cannot be read is given up in the end. Answers how many frames it cost,
    /// with those that were found damaged.
    fn give_up_unreadable(&mut self, after: u64) -> u64 {
        let Some(spool) = &mut self.spool else { return 0 };
        let damaged = spool.take_damaged();
        let unread = spool.chunk_after(after).filter(|_| self.loaded.is_empty());
        let Some(chunk) = unread else {
            self.load_failures = 0;
            return damaged;
        };
        self.load_failures += 1;
        if self.load_failures < LOAD_TRIES {
            return damaged;
        }
        self.load_failures = 0;
        damaged + spool.forget_chunk(chunk)
    }

    /// What the disk refuses is tried again with the next frame; a journal that broke is given up.
    fn on_disk(&mut self, work: impl FnOnce(&mut Spool) -> Result<(), journal::JournalError>) {
        let Some(spool) = &mut self.spool else { return };
        let Err(failure) = work(spool) else {
            self.telemetry.spool_works();
            return;
        };
        if failure.is_fatal() {
            error!(error = error_chain(&failure), "spool given up");
            self.spool = None;
            self.loaded.clear();
        } else {
            self.telemetry.spool_fails(&failure);
        }
    }

    fn drop_beyond_memory(&mut self) {
        let mut dropped = 0;
        while MEMORY_BYTES < self.memory_bytes && 1 < self.memory.len() {
            self.forget_oldest();
            dropped += 1;
        }
        self.count_dropped(dropped, "memory full");
    }

    fn forget_oldest(&mut self) {
        if let Some(frame) = self.memory.pop_front() {
            self.memory_bytes = self.memory_bytes.saturating_sub(frame.bytes());
        }
    }

    fn count_dropped(&mut self, frames: u64, reason: &'static str) {
        if frames == 0 {
            return;
        }
        self.telemetry.dropped.add(frames);
        if !std::mem::replace(&mut self.is_dropping, true) {
            let dropped_total = self.telemetry.dropped.value();
            warn!(reason, frames, dropped_total, "frames dropped");
        }
    }

    fn show(&self) {
        self.telemetry.waiting.set(crate::rate::exact(self.waiting()));
        let spool_bytes = self.spool.as_ref().map_or(0, Spool::bytes);
        self.telemetry.spool_bytes.set(crate::rate::exact(spool_bytes));
    }
}

fn take_batch<'a>(frames: impl Iterator<Item = &'a Arc<Frame>>, frames_max: usize) -> Vec<Arc<Frame>> {
    let mut bytes = 0;
    let has_room = |frame: &&Arc<Frame>| {
        // One frame goes in any message.
        let had_room = bytes < BATCH_BYTES;
        bytes += frame.bytes();
        had_room
    };
    frames.take(frames_max.min(BATCH_FRAMES)).take_while(has_room).cloned().collect()
}

#[cfg(test)]
mod tests;
