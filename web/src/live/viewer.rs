//! Viewer: how far one client is, and its connection, which two write to: its own task, and the lane that tells a crowd.
//!
//! Everything is written in whole frames under one lock, so that they never mix. What the connection does not take at once stays here, and
//! while something does, nothing new is composed: a slow client holds what remains of one update, shared with everybody else, and what
//! changes meanwhile is conflated on the board.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::board::Scope;
use super::connection::Connection;
use super::outlet::{Direct, Outlet};
use super::request::Subscription;
use super::wave::{Counted, Form, Wave, frame_head};
use crate::state::Shared;

/// What the WebSocket's own frames (pings, pongs, the good-bye) may add to what waits.
const WAITING_MAX: usize = 64;

/// What a client is served.
#[derive(Debug)]
enum Mode {
    Undecided,
    Subscribed(Box<Subscription>),
    Seeds,
}

/// What the client's own task waits for, besides the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// That its lane has something for it.
    Change,
    /// Something may be new, and is sent then.
    Until(Instant),
    /// That the connection takes what is left.
    Room,
}

/// What telling one client leaves for the next one.
#[derive(Debug, Default)]
pub(crate) struct Hand {
    /// Anything.
    scratch: Vec<u8>,
    /// The wave of the whole fleet that was sent last: the cursor and the form that it is for.
    wave: Option<(u64, Form, Arc<Wave>)>,
    /// What has been sent, but is not counted yet.
    sent: Counted,
}

#[derive(Debug)]
pub(crate) struct Viewer {
    sending: Mutex<Sending<Connection>>,
    /// The lane left something to its task.
    left: Notify,
}

/// The connection as the WebSocket sees it.
#[derive(Debug)]
pub(crate) struct Line(Arc<Viewer>);

/// Small, for a lane meets those of all clients in a row, and each cache line of them is far away.
#[derive(Debug)]
struct Sending<C> {
    outlet: Outlet<C>,
    mode: Mode,
    /// Version of the board that the client has seen.
    cursor: u64,
    /// Number of the next message.
    seq: u64,
    /// The board may hold something new, and the client's task will look.
    is_pending: bool,
    /// Nothing is sent before.
    due: Instant,
    /// What is left is the good-bye.
    is_over: bool,
}

impl Viewer {
    /// One that is served the older shape unless it has subscribed by `due`.
    pub(crate) fn new(connection: Connection, due: Instant) -> Arc<Self> {
        Arc::new(Self { sending: Mutex::new(Sending::new(connection, due)), left: Notify::new() })
    }

    pub(crate) fn line(self: &Arc<Self>) -> Line {
        Line(Arc::clone(self))
    }

    /// From now on the client is served this, from this version of the board on.
    pub(crate) fn subscribe(&self, subscription: Subscription, cursor: u64) {
        let mut sending = self.lock();
        sending.mode = Mode::Subscribed(Box::new(subscription));
        (sending.cursor, sending.is_pending, sending.due) = (cursor, true, Instant::now());
    }

    /// Sends a message that is this client's alone; `text` is given its number.
    pub(crate) fn say(&self, shared: &Shared, text: impl FnOnce(u64) -> String) {
        let mut sending = self.lock();
        let text = text(sending.seq);
        sending.seq += 1;
        shared.live.counters.messages.increment();
        shared.live.counters.bytes.add(text.len() as u64);
        let mut frame = Vec::with_capacity(text.len() + 16);
        frame_head(&mut frame, text.len());
        frame.extend_from_slice(text.as_bytes());
        sending.outlet.put(&mut frame, &Bytes::new());
    }

    /// Reads a little of it.
    pub(crate) fn touch(&self) -> bool {
        self.sending.is_poisoned()
    }

    /// The lane's turn: sends what is new, and leaves to the client's task what has to wait.
    pub(crate) fn tell(&self, shared: &Shared, now: Instant, hand: &mut Hand) {
        let mut sending = self.lock();
        // Its task is about to look anyway.
        if sending.is_pending || sending.is_over {
            return;
        }
        sending.is_pending = true;
        if sending.turn(shared, now, hand) != Wait::Change || sending.outlet.is_broken() {
            drop(sending);
            self.left.notify_one();
        }
    }

    /// The task's turn: sends what is due. None when the connection is broken.
    pub(crate) fn turn(&self, shared: &Shared) -> Option<Wait> {
        let mut sending = self.lock();
        let mut hand = Hand::default();
        let wait = sending.turn(shared, Instant::now(), &mut hand);
        hand.lay_down(shared);
        (!sending.outlet.is_broken()).then_some(wait)
    }

    /// Until the lane leaves something to do. Cancel safe.
    pub(crate) async fn left(&self) {
        self.left.notified().await;
    }

    /// Until the connection has taken all that waits. Cancel safe.
    pub(crate) async fn drained(&self) -> io::Result<()> {
        poll_fn(|context| self.lock().outlet.poll_drain(context)).await
    }

    /// No lane tells it anything any more.
    pub(crate) fn end(&self) {
        self.lock().is_over = true;
    }

    // A panic aborts the process, so a poisoned lock is only ever met in tests.
    fn lock(&self) -> MutexGuard<'_, Sending<Connection>> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Direct> Sending<C> {
    fn new(connection: C, due: Instant) -> Self {
        Self {
            outlet: Outlet::new(connection),
            mode: Mode::Undecided,
            cursor: 0,
            seq: 0,
            is_pending: true,
            due,
            is_over: false,
        }
    }

    /// Sends what is due, and tells what it takes to go on.
    fn turn(&mut self, shared: &Shared, now: Instant, hand: &mut Hand) -> Wait {
        if self.outlet.waiting() == 0 && self.is_pending && !self.is_over && self.due <= now {
            self.show(shared, now, hand);
        }
        match (self.outlet.waiting(), self.is_pending) {
            (1.., _) => Wait::Room,
            (0, true) => Wait::Until(self.due),
            (0, false) => Wait::Change,
        }
    }

    /// Sends what the client has not seen.
    fn show(&mut self, shared: &Shared, now: Instant, hand: &mut Hand) {
        self.is_pending = false;
        if matches!(self.mode, Mode::Undecided) {
            self.mode = Mode::Seeds;
        }
        let (wave, rate) = match &self.mode {
            Mode::Undecided | Mode::Seeds => (hand.wave(shared, self.cursor, &Form::Seeds), Duration::ZERO),
            Mode::Subscribed(subscription) => {
                let Subscription { scope, detail, rate, .. } = subscription.as_ref();
                let form = Form::Subscribed(detail.clone());
                let wave = match scope {
                    Scope::All => hand.wave(shared, self.cursor, &form),
                    Scope::Only(_) => {
                        let update = shared.live.board.since(self.cursor, scope);
                        Arc::new(Wave::compose(&update, &form, shared.now()))
                    }
                };
                (wave, *rate)
            }
        };
        self.cursor = wave.version;
        for part in wave.parts() {
            hand.scratch.clear();
            hand.sent += part.head(&mut self.seq, &mut hand.scratch);
            self.outlet.put(&mut hand.scratch, part.body());
        }
        if !wave.parts().is_empty() {
            self.due = now + rate;
        }
    }
}

impl Hand {
    /// What follows `cursor` for a client of the whole fleet.
    fn wave(&mut self, shared: &Shared, cursor: u64, form: &Form) -> Arc<Wave> {
        match &self.wave {
            Some((since, of, wave)) if *since == cursor && of == form => Arc::clone(wave),
            _ => {
                let live = &shared.live;
                let wave = live.waves.after(cursor, form, &live.board, shared.now());
                self.wave = Some((cursor, form.clone(), Arc::clone(&wave)));
                wave
            }
        }
    }

    /// Counts what has been sent, and looks for what is newest from here on.
    pub(crate) fn lay_down(&mut self, shared: &Shared) {
        let sent = std::mem::take(&mut self.sent);
        shared.live.counters.messages.add(sent.messages);
        shared.live.counters.bytes.add(sent.text);
        self.wave = None;
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().outlet.connection).poll_read(context, into)
    }
}

impl AsyncWrite for Line {
    /// Takes all of `frames`, so that a lane never writes into the midst of one.
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, frames: &[u8]) -> Poll<io::Result<usize>> {
        let mut sending = self.0.lock();
        if WAITING_MAX <= sending.outlet.waiting() {
            ready!(sending.outlet.poll_drain(context))?;
        }
        sending.outlet.put(&mut frames.to_vec(), &Bytes::new());
        Poll::Ready(Ok(frames.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut sending = self.0.lock();
        ready!(sending.outlet.poll_drain(context))?;
        Pin::new(&mut sending.outlet.connection).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut sending = self.0.lock();
        ready!(sending.outlet.poll_drain(context))?;
        Pin::new(&mut sending.outlet.connection).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_lane_reads_of_a_client_fits_three_cache_lines() {
        assert!(size_of::<Viewer>() <= 3 * 64, "{}", size_of::<Viewer>());
    }
}
