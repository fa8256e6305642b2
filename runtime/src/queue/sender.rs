//! Sender: the producers' end. Clone it for every producer; the queue closes when the last clone is dropped.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::park::block_on;
use super::{OnSpace, QueueStats, SendError, Shared, State, WhenFull};

pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self { shared }
    }

    /// Waits for space when the policy is `Block`; with the other policies the same as `try_send`.
    ///
    /// # Errors
    /// `Closed`, or `Full` from a queue that sheds. When the future is dropped while it waits, the item is dropped with it.
    pub async fn send(&self, item: T) -> Result<(), SendError<T>> {
        let mut waiting = Some(item);
        self.send_slot(&mut waiting).await
    }

    /// Like `send`, for at most `wait`: then the item comes back as `Full`.
    ///
    /// # Errors
    /// `Closed`, or `Full` when the wait was over.
    pub async fn send_within(&self, item: T, wait: Duration) -> Result<(), SendError<T>> {
        let mut waiting = Some(item);
        let sent = tokio::time::timeout(wait, self.send_slot(&mut waiting)).await;
        sent.unwrap_or_else(|_elapsed| give_back(waiting))
    }

    /// `send` for a plain thread.
    ///
    /// # Errors
    /// As `send`.
    pub fn send_blocking(&self, item: T) -> Result<(), SendError<T>> {
        self.send_parked(item, None)
    }

    /// `send_within` for a plain thread.
    ///
    /// # Errors
    /// As `send_within`.
    pub fn send_blocking_within(&self, item: T, wait: Duration) -> Result<(), SendError<T>> {
        self.send_parked(item, Some(Instant::now() + wait))
    }

    /// Never waits. A full queue refuses (and counts it when it sheds), unless it overshoots.
    ///
    /// # Errors
    /// `Closed` or `Full`.
    pub fn try_send(&self, item: T) -> Result<(), SendError<T>> {
        self.offer(&mut Some(item), false)
    }

    /// Never waits, never refuses for want of space: for a queue that overshoots, whose producer looks at `is_full`.
    ///
    /// # Errors
    /// `Closed`.
    pub fn push(&self, item: T) -> Result<(), SendError<T>> {
        debug_assert_eq!(self.shared.policy, WhenFull::Overshoot, "push passes by the bound of {}", self.name());
        self.try_send(item)
    }

    /// Pushes a whole batch under one lock and leaves `items` empty. `false` when the queue is closed and the batch was
    /// dropped.
    pub fn push_all(&self, items: &mut Vec<T>) -> bool {
        debug_assert_eq!(self.shared.policy, WhenFull::Overshoot, "push_all passes by the bound of {}", self.name());
        let mut state = self.shared.lock();
        if state.is_closed {
            drop(state);
            items.clear();
            return false;
        }
        let count = items.len();
        state.items.extend(items.drain(..));
        self.put(state, count);
        true
    }

    /// Puts in as many of `items` from the front as there is room for, under one lock, and leaves the others. Never waits.
    /// `false` when the queue is closed.
    pub fn fill(&self, items: &mut VecDeque<T>) -> bool {
        let mut state = self.shared.lock();
        if state.is_closed {
            return false;
        }
        let room = self.shared.capacity().saturating_sub(state.items.len());
        let count = room.min(items.len());
        state.items.extend(items.drain(..count));
        self.put(state, count);
        true
    }

    /// Sets what the receiver's side calls when the depth, once at capacity, has fallen below half of it, or the queue
    /// closes meanwhile. One hook per queue; the last one set counts.
    pub fn on_space(&self, call: OnSpace) {
        self.shared.lock().on_space = Some(call);
    }

    /// Refuses everything from now on; the receiver still gets what was accepted.
    pub fn close(&self) {
        self.shared.close();
    }

    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.lock().is_closed
    }

    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.stats.is_full()
    }

    #[must_use]
    pub fn depth(&self) -> usize {
        self.shared.stats.depth()
    }

    #[must_use]
    pub fn name(&self) -> &'static str {
        self.shared.stats.name()
    }

    #[must_use]
    pub fn stats(&self) -> QueueStats {
        self.shared.stats.clone()
    }

    async fn send_slot(&self, slot: &mut Option<T>) -> Result<(), SendError<T>> {
        let may_wait = self.shared.policy == WhenFull::Block;
        match self.offer(slot, false) {
            Err(SendError::Full(item)) if may_wait => *slot = Some(item),
            decided => return decided,
        }
        loop {
            // Made before the look at the queue, so that a close in between is not missed. Space made in between leaves a
            // permit that the wait takes at once; several leave one, which is why each that gets in wakes the next.
            let space = self.shared.writable.notified();
            match self.offer(slot, true) {
                Err(SendError::Full(item)) => *slot = Some(item),
                decided => return decided,
            }
            space.await;
        }
    }

    fn send_parked(&self, item: T, deadline: Option<Instant>) -> Result<(), SendError<T>> {
        let mut slot = Some(item);
        let sent = block_on(self.send_slot(&mut slot), deadline);
        sent.unwrap_or_else(|| give_back(slot))
    }

    /// Takes the item out of the slot and into the queue, or hands it back. `waited` passes a wake-up on to the next.
    fn offer(&self, slot: &mut Option<T>, waited: bool) -> Result<(), SendError<T>> {
        let Some(item) = slot.take() else { return Ok(()) };
        let mut state = self.shared.lock();
        if state.is_closed {
            return Err(SendError::Closed(item));
        }
        if self.shared.policy != WhenFull::Overshoot && self.shared.capacity() <= state.items.len() {
            if self.shared.policy == WhenFull::Shed {
                self.shared.stats.counters().shed();
            }
            return Err(SendError::Full(item));
        }
        state.items.push_back(item);
        let has_space = state.items.len() < self.shared.capacity();
        self.put(state, 1);
        if waited && has_space {
            self.shared.writable.notify_one();
        }
        Ok(())
    }

    /// Accounts for items just put in and wakes the receiver if it waits.
    fn put(&self, mut state: MutexGuard<'_, State<T>>, count: usize) {
        let depth = state.items.len();
        self.shared.stats.counters().accepted(count as u64, depth);
        if self.shared.capacity() <= depth {
            state.gated = true;
        }
        let wakes = count > 0 && std::mem::take(&mut state.waits);
        drop(state);
        if wakes {
            self.shared.readable.notify_one();
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.lock().senders += 1;
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.senders -= 1;
        let is_last = state.senders == 0;
        drop(state);
        if is_last {
            self.shared.close();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Sender({}, {}/{})", self.name(), self.depth(), self.shared.capacity())
    }
}

/// A wait that ended without a decision still has its item.
fn give_back<T>(slot: Option<T>) -> Result<(), SendError<T>> {
    match slot {
        Some(item) => Err(SendError::Full(item)),
        None => Ok(()),
    }
}
