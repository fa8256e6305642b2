//! Queue: bounded, named, measured; many producers, one consumer, first in first out.
//!
//! Both ends work from threads and from async tasks alike. Every queue says what happens when it is full: the sender
//! waits, the item is refused with a count, or (timely's egress, which must never wait) the item is taken anyway and the
//! producer's source stops drawing until `on_space` calls it back.
//! Cost: one short lock per operation; `drain_into` and `push_all` move a whole batch under one.
//! Close: by either side, or when all senders or the receiver are dropped. What was accepted before can still be received.
//! Invariants: Q-1 every queue has a capacity and a policy; accepted items come out once and, per sender, in order.

mod park;
mod receiver;
mod sender;
mod stats;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;
use tokio::sync::Notify;

pub use receiver::Receiver;
pub use sender::Sender;
use stats::Counters;
pub use stats::QueueStats;

/// What a full queue does with one more item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The sender waits.
    Block,
    /// The item is refused and counted.
    Shed,
    /// The item is accepted; the capacity is where the producer's gate closes, so it must look at `is_full`.
    Overshoot,
}

/// Why an item was not accepted; it comes back to the caller.
#[derive(Error, PartialEq, Eq)]
pub enum SendError<T> {
    #[error("the queue is full")]
    Full(T),
    #[error("the queue is closed")]
    Closed(T),
}

/// Why nothing was received.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum RecvError {
    #[error("the queue is empty")]
    Empty,
    #[error("the queue is closed and empty")]
    Closed,
}

/// Called without a lock held, from the receiver's side.
pub type OnSpace = Arc<dyn Fn() + Send + Sync>;

/// Opens a queue. A capacity of zero counts as one.
#[must_use]
pub fn bounded<T>(name: &'static str, capacity: usize, policy: WhenFull) -> (Sender<T>, Receiver<T>) {
    let capacity = capacity.max(1);
    let state =
        State { items: VecDeque::new(), senders: 1, is_closed: false, waits: false, gated: false, on_space: None };
    let shared = Arc::new(Shared {
        state: Mutex::new(state),
        readable: Notify::new(),
        writable: Notify::new(),
        policy,
        stats: QueueStats::new(Counters::new(name, capacity)),
    });
    (Sender::new(Arc::clone(&shared)), Receiver::new(shared))
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Wakes the one receiver.
    readable: Notify,
    /// Wakes senders one by one: each that gets in wakes the next while there is space.
    writable: Notify,
    policy: WhenFull,
    stats: QueueStats,
}

struct State<T> {
    items: VecDeque<T>,
    senders: usize,
    is_closed: bool,
    /// The receiver found nothing and is waiting, or about to.
    waits: bool,
    /// The depth reached the capacity and has not yet fallen below half of it.
    gated: bool,
    on_space: Option<OnSpace>,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code of others runs under the lock, so a poisoned state is still a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn capacity(&self) -> usize {
        self.stats.capacity()
    }

    /// Accounts for items taken out, then wakes whoever waited for the space. Consumes the lock.
    fn took(&self, mut state: MutexGuard<'_, State<T>>) {
        let depth = state.items.len();
        self.stats.counters().set_depth(depth);
        // Half the capacity, so that a producer is not called back for every single item.
        let reopens = state.gated && depth < (self.capacity() / 2).max(1);
        let on_space = if reopens { state.reopen() } else { None };
        drop(state);
        if self.policy == WhenFull::Block {
            self.writable.notify_one();
        }
        if let Some(call) = on_space {
            call();
        }
    }

    fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let on_space = if state.gated { state.reopen() } else { None };
        drop(state);
        self.readable.notify_one();
        self.writable.notify_waiters();
        if let Some(call) = on_space {
            call();
        }
    }
}

impl<T> State<T> {
    fn reopen(&mut self) -> Option<OnSpace> {
        self.gated = false;
        self.on_space.clone()
    }
}

impl<T> SendError<T> {
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }

    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }
}

// By hand, so that `T` need not be printable.
impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Full(_) => "Full",
            Self::Closed(_) => "Closed",
        })
    }
}
