//! Client: one WebSocket conversation, as docs/LIVE_PROTOCOL.md tells it.
//!
//! Its state is a cursor into the board and what it subscribed to. A message is composed only once the one before is written, so a slow
//! client holds at most one, and what changes meanwhile is conflated on the board. It ends when the client is silent, stuck or floods.

use std::future::{poll_fn, ready};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::poll_immediate;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::board::Scope;
use super::handshake::Socket;
use super::request::{Subscription, parse};
use super::wave::{Form, Outgoing, Wave};
use super::{Seat, message};
use crate::state::Shared;

/// A client that says nothing for so long gets the older message shape.
const SUBSCRIBES_WITHIN: Duration = Duration::from_secs(1);
const PING_EVERY: Duration = Duration::from_secs(15);
const SILENT_MAX: Duration = Duration::from_secs(45);
const STUCK_MAX: Duration = Duration::from_secs(20);
/// From our close frame to the client's.
const PARTING_MAX: Duration = Duration::from_secs(1);
/// Updates that are sent before the client is listened to.
const SHOWN_IN_ROW_MAX: u32 = 16;
/// Up to here a message is copied into one piece: cheaper than a system call with two.
const COPIED_BYTES_MAX: usize = 16 * 1024;
/// Messages of a client between two pings. Each may ask for a snapshot, and a screen subscribes when it is opened, not ten times a second.
const REQUESTS_PER_PING_MAX: u32 = 150;
/// Why a conversation ended; the text is the counter's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client left, or its connection broke.
    Left,
    Draining,
    Silent,
    Stuck,
    Flooding,
    TooLarge,
}

/// What the client is served.
enum Mode {
    Undecided,
    Subscribed(Subscription),
    Seeds,
}

struct Client {
    socket: Socket,
    shared: Arc<Shared>,
    mode: Mode,
    /// Version of the board that the client has seen.
    cursor: u64,
    /// Number of the next message.
    seq: u64,
    /// The board may hold something new.
    is_pending: bool,
    /// Nothing is sent before.
    due: Instant,
    last_heard: Instant,
    shown_in_row: u32,
    requests: u32,
    /// The socket answers pings by itself, when it next writes.
    may_hold_pong: bool,
}

pub(crate) async fn converse(socket: Socket, shared: Arc<Shared>, seat: Seat) {
    let now = Instant::now();
    let mut client = Client {
        socket,
        shared,
        mode: Mode::Undecided,
        cursor: 0,
        seq: 1,
        is_pending: true,
        due: now + SUBSCRIBES_WITHIN,
        last_heard: now,
        shown_in_row: 0,
        requests: 0,
        may_hold_pong: false,
    };
    let end = match client.run().await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    client.shared.live.counters.closed(end.as_str());
    client.say_goodbye(end).await;
    drop(seat);
}

impl Client {
    async fn run(&mut self) -> Result<std::convert::Infallible, End> {
        self.hello().await?;
        let closing = self.shared.live.closing();
        let mut versions = self.shared.live.board.versions();
        let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // What is due goes out without a timer.
            if self.is_pending && self.due <= Instant::now() {
                self.show().await?;
            }
            tokio::select! {
                biased;
                // First, as it is what wakes a thousand clients at once; the others have their turn all the same.
                changed = versions.changed(), if !self.is_pending && self.shown_in_row < SHOWN_IN_ROW_MAX => {
                    changed.expect("the board outlives its clients");
                    versions.mark_unchanged();
                    self.is_pending = true;
                    self.shown_in_row += 1;
                }
                () = closing.draining() => return Err(End::Draining),
                received = self.socket.next() => self.hear(received).await?,
                _ = ping.tick() => self.ping().await?,
                () = sleep_until(self.due), if self.is_pending => {}
                () = ready(()), if self.shown_in_row == SHOWN_IN_ROW_MAX => self.shown_in_row = 0,
            }
        }
    }

    async fn hello(&mut self) -> Result<(), End> {
        let session = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let hello = message::hello(self.shared.now(), &session, self.shared.app.version);
        self.say(hello).await
    }

    async fn hear(&mut self, received: Option<Result<Message, Error>>) -> Result<(), End> {
        let text = match received {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Binary(_))) => Utf8Bytes::from_static("(binary)"),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return self.heard(),
            Some(Err(error)) => return Err(End::of(&error)),
            Some(Ok(Message::Close(_))) | None => return Err(End::Left),
        };
        self.heard()?;
        match parse(&text) {
            Ok(subscription) => {
                self.mode = Mode::Subscribed(subscription);
                (self.cursor, self.is_pending, self.due) = (0, true, Instant::now());
                Ok(())
            }
            Err(detail) => {
                let error = message::error(self.seq, &detail);
                self.seq += 1;
                self.say(error).await
            }
        }
    }

    fn heard(&mut self) -> Result<(), End> {
        (self.last_heard, self.may_hold_pong) = (Instant::now(), true);
        self.requests += 1;
        if REQUESTS_PER_PING_MAX < self.requests {
            return Err(End::Flooding);
        }
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), End> {
        self.requests = 0;
        if SILENT_MAX <= self.last_heard.elapsed() {
            return Err(End::Silent);
        }
        self.write(Message::Ping(Bytes::new())).await
    }

    /// Sends what the client has not seen.
    async fn show(&mut self) -> Result<(), End> {
        self.is_pending = false;
        let (form, rate) = match &self.mode {
            Mode::Undecided => {
                self.mode = Mode::Seeds;
                (Form::Seeds, Duration::ZERO)
            }
            Mode::Seeds => (Form::Seeds, Duration::ZERO),
            Mode::Subscribed(subscription) => (Form::Subscribed(subscription.detail), subscription.rate),
        };
        let wave = self.wave(form);
        self.cursor = wave.version;
        let mut seq = self.seq;
        let mut is_something = false;
        for outgoing in wave.outgoing(&mut seq) {
            is_something = true;
            self.put(outgoing).await?;
        }
        self.seq = seq;
        if is_something && rate != Duration::ZERO {
            self.due = Instant::now() + rate;
        }
        Ok(())
    }

    fn wave(&self, form: Form) -> Arc<Wave> {
        let (live, now) = (&self.shared.live, self.shared.now());
        match &self.mode {
            Mode::Subscribed(subscription) if subscription.scope != Scope::All => {
                let update = live.board.since(self.cursor, &subscription.scope);
                Arc::new(Wave::compose(&update, form, now))
            }
            _ => live.waves.after(self.cursor, form, &live.board, now),
        }
    }

    /// Past the WebSocket's own buffer, which is empty behind a flush.
    async fn put(&mut self, outgoing: Outgoing) -> Result<(), End> {
        let counters = &self.shared.live.counters;
        counters.messages.add(outgoing.messages);
        counters.bytes.add(outgoing.text);
        let socket = &mut self.socket;
        let may_hold_pong = std::mem::take(&mut self.may_hold_pong);
        let mut put = pin!(async {
            if may_hold_pong {
                socket.flush().await?;
            }
            write_both(socket.get_mut(), outgoing.head, &outgoing.body).await.map_err(Error::Io)
        });
        // Mostly the connection takes it at once, and no deadline is needed.
        match poll_immediate(&mut put).await {
            Some(outcome) => done(Ok(outcome)),
            None => done(timeout(STUCK_MAX, put).await),
        }
    }

    async fn say(&mut self, text: String) -> Result<(), End> {
        let counters = &self.shared.live.counters;
        counters.messages.increment();
        counters.bytes.add(text.len() as u64);
        self.write(Message::text(text)).await
    }

    async fn write(&mut self, message: Message) -> Result<(), End> {
        done(timeout(STUCK_MAX, self.socket.send(message)).await)
    }

    async fn say_goodbye(&mut self, end: End) {
        let Some((code, reason)) = end.goodbye() else { return };
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        let parting = async {
            self.socket.send(Message::Close(Some(frame))).await?;
            // Until the client has closed, too: closing on top of what it still sends would reset the connection and lose our reason.
            while let Some(Ok(_)) = self.socket.next().await {}
            Ok::<(), Error>(())
        };
        // It is gone either way, with a good-bye or without.
        drop(timeout(PARTING_MAX, parting).await);
    }
}

/// In one system call, as long as the connection takes it.
async fn write_both(connection: &mut (impl AsyncWrite + Unpin), mut head: Vec<u8>, body: &[u8]) -> io::Result<()> {
    if head.is_empty() {
        return connection.write_all(body).await;
    }
    if body.len() <= COPIED_BYTES_MAX {
        head.extend_from_slice(body);
        return connection.write_all(&head).await;
    }
    let both = [IoSlice::new(&head), IoSlice::new(body)];
    let written = poll_fn(|context| Pin::new(&mut *connection).poll_write_vectored(context, &both)).await?;
    connection.write_all(head.get(written..).unwrap_or(&[])).await?;
    connection.write_all(body.get(written.saturating_sub(head.len())..).unwrap_or(&[])).await
}

fn done(outcome: Result<Result<(), Error>, tokio::time::error::Elapsed>) -> Result<(), End> {
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_broken)) => Err(End::Left),
        Err(_elapsed) => Err(End::Stuck),
    }
}

impl End {
    fn of(error: &Error) -> Self {
        if matches!(error, Error::Capacity(_)) { Self::TooLarge } else { Self::Left }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Draining => "draining",
            Self::Silent => "silent",
            Self::Stuck => "stuck",
            Self::Flooding => "flooding",
            Self::TooLarge => "too_large",
        }
    }

    /// Close code and reason; none where nobody listens any more.
    const fn goodbye(self) -> Option<(CloseCode, &'static str)> {
        match self {
            Self::Left | Self::Stuck => None,
            Self::Draining => Some((CloseCode::Away, "the hub is stopping; connect again in a moment")),
            Self::Silent => Some((CloseCode::Policy, "no answer to the pings of 45 s")),
            Self::Flooding => Some((CloseCode::Policy, "too many messages; subscribe once per screen")),
            Self::TooLarge => Some((CloseCode::Size, "the message is too large; send at most 64 KiB")),
        }
    }
}
