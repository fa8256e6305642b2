//! Receiver: the consumer's end; there is one. Dropping it closes the queue and drops what waits in it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::park::block_on;
use super::{QueueStats, RecvError, Shared};

pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Receiver<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self { shared }
    }

    /// The next item, waiting for it; `None` when the queue is closed and empty. Cancel safe: no item is lost.
    pub async fn recv(&mut self) -> Option<T> {
        loop {
            match self.take_or_wait() {
                Ok(item) => return Some(item),
                Err(RecvError::Closed) => return None,
                Err(RecvError::Empty) => self.shared.readable.notified().await,
            }
        }
    }

    /// Waits for at least one item, then moves up to `max` into `out`. Zero when the queue is closed and empty.
    /// Cancel safe: items are moved in the last step.
    pub async fn recv_many(&mut self, out: &mut Vec<T>, max: usize) -> usize {
        loop {
            match self.drain_or_wait(out, max) {
                Ok(count) => return count,
                Err(RecvError::Closed) => return 0,
                Err(RecvError::Empty) => self.shared.readable.notified().await,
            }
        }
    }

    /// `recv` for a plain thread.
    pub fn recv_blocking(&mut self) -> Option<T> {
        block_on(self.recv(), None).flatten()
    }

    /// For a plain thread: the next item, or `Empty` when none came within `wait`.
    ///
    /// # Errors
    /// `Empty` or `Closed`.
    pub fn recv_timeout(&mut self, wait: Duration) -> Result<T, RecvError> {
        in_time(block_on(self.recv(), Some(Instant::now() + wait)))
    }

    /// For a plain thread: `recv_many`, or `Empty` when nothing came within `wait`.
    ///
    /// # Errors
    /// `Empty` or `Closed`.
    pub fn recv_many_timeout(&mut self, out: &mut Vec<T>, max: usize, wait: Duration) -> Result<usize, RecvError> {
        let received = block_on(self.recv_many(out, max), Some(Instant::now() + wait));
        in_time(received.map(|count| (count > 0).then_some(count)))
    }

    /// Never waits.
    ///
    /// # Errors
    /// `Empty` or `Closed`.
    pub fn try_recv(&mut self) -> Result<T, RecvError> {
        let mut state = self.shared.lock();
        let Some(item) = state.items.pop_front() else {
            return Err(if state.is_closed { RecvError::Closed } else { RecvError::Empty });
        };
        self.shared.took(state);
        Ok(item)
    }

    /// Never waits: moves up to `max` items into `out`, under one lock, and says how many.
    pub fn drain_into(&mut self, out: &mut Vec<T>, max: usize) -> usize {
        let mut state = self.shared.lock();
        let count = state.items.len().min(max);
        if count > 0 {
            out.extend(state.items.drain(..count));
            self.shared.took(state);
        }
        count
    }

    /// Refuses everything from now on; what was accepted can still be received.
    pub fn close(&mut self) {
        self.shared.close();
    }

    /// Whether nothing more will come: closed and empty.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let state = self.shared.lock();
        state.is_closed && state.items.is_empty()
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

    /// Notes under the lock that the receiver waits, so that the next sender wakes it.
    fn take_or_wait(&mut self) -> Result<T, RecvError> {
        let mut state = self.shared.lock();
        if let Some(item) = state.items.pop_front() {
            self.shared.took(state);
            return Ok(item);
        }
        if state.is_closed {
            return Err(RecvError::Closed);
        }
        state.waits = true;
        Err(RecvError::Empty)
    }

    fn drain_or_wait(&mut self, out: &mut Vec<T>, max: usize) -> Result<usize, RecvError> {
        let count = self.drain_into(out, max.max(1));
        if count > 0 {
            return Ok(count);
        }
        // An item may have come since; then the waiting below ends at once.
        let mut state = self.shared.lock();
        if !state.items.is_empty() {
            self.shared.readable.notify_one();
        } else if state.is_closed {
            return Err(RecvError::Closed);
        } else {
            state.waits = true;
        }
        Err(RecvError::Empty)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.close();
        let mut state = self.shared.lock();
        let dropped = std::mem::take(&mut state.items);
        self.shared.took(state);
        // After the lock: an item's own drop may reach for this queue.
        drop(dropped);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Receiver({}, {}/{})", self.name(), self.depth(), self.stats().capacity())
    }
}

/// Flattens "ran out of time" and "closed" into one error.
fn in_time<V>(received: Option<Option<V>>) -> Result<V, RecvError> {
    match received {
        Some(Some(value)) => Ok(value),
        Some(None) => Err(RecvError::Closed),
        None => Err(RecvError::Empty),
    }
}

/// Compile-time check: both ends and their futures may cross threads.
#[expect(dead_code, reason = "never called; it only has to compile")]
fn ends_are_send<T: Send + 'static>(mut receiver: Receiver<T>, sender: super::Sender<T>, item: T) {
    fn is_send<F: Future + Send>(_future: F) {}
    is_send(async move { receiver.recv().await });
    is_send(async move { sender.send(item).await });
}
