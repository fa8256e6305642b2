//! Peer: another process as this one sees it: how it stands, what waits to be sent to it, and what it has been asked.
//!
//! In: messages to it, and what its tasks in `traffic` find out. Out: frames for its writer; once, that it is lost or
//! has left.
//! Bounds: [`ROOM`] KiB of frames that wait, each counted with one more; [`ASKED_MAX`] open questions.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runtime::clock::micros;
use runtime::queue::{Receiver, Sender, WhenFull, bounded};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::frame::{FRAME_BYTES_MAX, FrameKind};
use super::link::{Common, Gone};

/// In KiB: four of the longest frames, or some hundred thousand short ones.
pub(super) const ROOM: usize = 256 << 10;
/// Each is a future that somebody awaits.
pub(super) const ASKED_MAX: usize = 16_384;

pub(super) struct Peer {
    process: usize,
    name: String,
    pub(super) common: Arc<Common>,
    standing: watch::Sender<Standing>,
    queue: Sender<Outgoing>,
    room: Arc<Semaphore>,
    asking: Semaphore,
    asked: Mutex<Open>,
    next_id: AtomicU64,
    heard_us: AtomicU64,
    /// A note has found no room.
    is_full: AtomicBool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Here,
    /// One of the two has said goodbye; what waits is still sent.
    Parting,
    Parted,
    Lost,
}

/// Questions without their answers yet, by id.
type Open = HashMap<u64, oneshot::Sender<Result<Vec<u8>, Gone>>>;

/// A frame that waits to be sent, with its share of the room.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) kind: FrameKind,
    pub(super) id: u64,
    pub(super) bytes: Arc<[u8]>,
    _room: Option<OwnedSemaphorePermit>,
}

/// Forgets a question when nobody waits for its answer any more.
struct Asked<'a> {
    peer: &'a Peer,
    id: u64,
}

impl Peer {
    pub(super) fn new(process: usize, name: String, common: Arc<Common>) -> (Arc<Self>, Receiver<Outgoing>) {
        // The room is the bound that is met first: a frame takes one of it at least.
        let (queue, waiting) = bounded("cluster_link", ROOM + 1, WhenFull::Shed);
        let heard_us = AtomicU64::new(common.pace.look());
        let peer = Self {
            process,
            name,
            common,
            standing: watch::Sender::new(Standing::Here),
            queue,
            room: Arc::new(Semaphore::new(ROOM)),
            asking: Semaphore::new(ASKED_MAX),
            asked: Mutex::default(),
            next_id: AtomicU64::new(0),
            heard_us,
            is_full: AtomicBool::new(false),
        };
        (Arc::new(peer), waiting)
    }

    pub(super) fn process(&self) -> usize {
        self.process
    }

    pub(super) fn tell(&self, bytes: Arc<[u8]>) -> Result<(), Gone> {
        if self.try_send(FrameKind::Note, 0, bytes)? {
            return Ok(());
        }
        // From here on nothing is sent, so no note goes missing between two others. The watch tells it as lost, not
        // this call: whoever tells may hold a lock that the listener wants.
        self.room.close();
        self.is_full.store(true, Ordering::Release);
        Err(Gone::Lost { process: self.process })
    }

    /// False when there is no room.
    pub(super) fn try_send(&self, kind: FrameKind, id: u64, bytes: Arc<[u8]>) -> Result<bool, Gone> {
        let share = share_of(bytes.len())?;
        if self.room.is_closed() {
            return Err(self.gone());
        }
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(share) else { return Ok(false) };
        self.put(Outgoing { kind, id, bytes, _room: Some(room) }).map(|()| true)
    }

    /// Waits for room.
    pub(super) async fn send(&self, kind: FrameKind, id: u64, bytes: Arc<[u8]>) -> Result<(), Gone> {
        let share = share_of(bytes.len())?;
        let room = Arc::clone(&self.room).acquire_many_owned(share).await.map_err(|_closed| self.gone())?;
        self.put(Outgoing { kind, id, bytes, _room: Some(room) })
    }

    pub(super) async fn ask(&self, bytes: Arc<[u8]>) -> Result<Vec<u8>, Gone> {
        let _open = self.asking.acquire().await.map_err(|_closed| self.gone())?;
        let asked = Asked { peer: self, id: self.next_id.fetch_add(1, Ordering::Relaxed) };
        let (sender, answer) = oneshot::channel();
        self.asked().insert(asked.id, sender);
        // Whoever goes closes the room before the open questions are dropped, so one of the two is seen.
        self.send(FrameKind::Question, asked.id, bytes).await?;
        answer.await.unwrap_or_else(|_dropped| Err(self.gone()))
    }

    /// An answer to a question that nobody waits for any more is dropped.
    pub(super) fn answered(&self, id: u64, answer: Result<Vec<u8>, Gone>) {
        if let Some(sender) = self.asked().remove(&id) {
            drop(sender.send(answer));
        }
    }

    pub(super) fn hear(&self) {
        self.heard_us.store(self.common.pace.look(), Ordering::Relaxed);
    }

    /// Loses it when there was no room for a note, or when it has been silent for too long while this process was
    /// awake.
    pub(super) fn judge(&self, now_us: u64) {
        if self.is_full.load(Ordering::Acquire) {
            self.lose(&format!("does not take what it is sent: {} MiB wait; it is overloaded or cut off", ROOM >> 10));
        }
        let since_us = self.heard_us.load(Ordering::Relaxed).max(self.common.pace.awake_since_us());
        if micros(self.common.silence) < now_us.saturating_sub(since_us) {
            let silence = self.common.silence;
            self.lose(&format!("has not been heard of for {silence:?}: it is stopped, overloaded or cut off"));
        }
    }

    /// The connection is of no more use. `why` follows the process' name; it is told unless one of the two has said
    /// goodbye.
    pub(super) fn lose(&self, why: &str) {
        let was_here = self.end(|standing| match standing {
            Standing::Here => Standing::Lost,
            Standing::Parting | Standing::Parted => Standing::Parted,
            Standing::Lost => Standing::Lost,
        });
        if was_here {
            let name = &self.name;
            let reason = match self.common.pace.stood_still(self.common.silence) {
                Some(gap) => format!(
                    "this process itself stood still for {:.1} s: it was stopped, suspended or overloaded; meanwhile \
                     {name} {why}",
                    gap.as_secs_f64()
                ),
                None => format!("{name} {why}"),
            };
            self.common.listen.lost(self.process, &reason);
        }
    }

    /// It has said goodbye.
    pub(super) fn leaves(&self) {
        self.end(|standing| if standing == Standing::Here { Standing::Parting } else { standing });
        self.common.listen.left(self.process);
    }

    /// Says goodbye to it, behind all that waits.
    pub(super) fn bye(&self) {
        let bye = Outgoing { kind: FrameKind::Bye, id: 0, bytes: Arc::default(), _room: None };
        // A closed queue has nobody at its other end who would need it.
        drop(self.queue.try_send(bye));
        self.end(|standing| if standing == Standing::Here { Standing::Parting } else { standing });
    }

    /// Ends when the connection is of no more use; cancel safe.
    pub(super) async fn over(&self) {
        let mut standing = self.standing.subscribe();
        // An error would mean that the sender is gone, which is `self`.
        drop(standing.wait_for(|standing| matches!(standing, Standing::Parted | Standing::Lost)).await);
    }

    /// Takes nothing more, and fails what was asked. True when it was here until now.
    fn end(&self, next: impl Fn(Standing) -> Standing) -> bool {
        let mut was = Standing::Here;
        self.standing.send_if_modified(|standing| {
            was = *standing;
            *standing = next(was);
            *standing != was
        });
        self.room.close();
        self.asking.close();
        self.queue.close();
        let open = std::mem::take(&mut *self.asked());
        drop(open);
        was == Standing::Here
    }

    fn put(&self, frame: Outgoing) -> Result<(), Gone> {
        self.queue.try_send(frame).map_err(|_closed| self.gone())
    }

    fn gone(&self) -> Gone {
        let process = self.process;
        match *self.standing.borrow() {
            // About to be lost: the room is closed.
            Standing::Here | Standing::Lost => Gone::Lost { process },
            Standing::Parting | Standing::Parted => Gone::Left { process },
        }
    }

    fn asked(&self) -> MutexGuard<'_, Open> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.peer.asked().remove(&self.id);
    }
}

/// What a frame takes of the room, in KiB.
pub(super) fn share_of(bytes: usize) -> Result<u32, Gone> {
    let share = u32::try_from(1 + bytes / 1_024).map_err(|_large| Gone::TooLong { bytes })?;
    if bytes > FRAME_BYTES_MAX { Err(Gone::TooLong { bytes }) } else { Ok(share) }
}
