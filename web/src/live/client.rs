//! Client: one WebSocket conversation, as docs/LIVE_PROTOCOL.md tells it.
//!
//! Its state is a cursor into the board and what it subscribed to. A message is composed only once the one before is written, so a slow
//! client holds at most one, and what changes meanwhile is conflated on the board. It ends when the client is silent, stuck or floods.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use futures_util::SinkExt;
use std::sync::Arc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use super::board::Scope;
use super::request::{REQUEST_BYTES_MAX, Subscription, parse};
use super::{Seat, message};
use crate::state::Shared;

/// A client that says nothing for so long gets the older message shape.
const SUBSCRIBES_WITHIN: Duration = Duration::from_secs(1);
const PING_EVERY: Duration = Duration::from_secs(15);
const SILENT_MAX: Duration = Duration::from_secs(45);
const STUCK_MAX: Duration = Duration::from_secs(20);
/// From our close frame to the client's.
const PARTING_MAX: Duration = Duration::from_secs(1);
/// Messages of a client between two pings. Each may ask for a snapshot, and a screen subscribes when it is opened, not ten times a second.
const REQUESTS_PER_PING_MAX: u32 = 150;
/// tungstenite allocates both at once for every client, 128 KiB each by default.
const READ_BUFFER_BYTES: usize = 2 * 1024;
/// Small messages are joined up to here before they are written.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

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
    socket: WebSocket,
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
    requests: u32,
}

/// The upgrade with buffers for thousands of mostly idle clients. The write buffer has no ceiling of its own: a message is only written
/// once the one before has left, so it holds one message beside `WRITE_BUFFER_BYTES`.
pub(crate) fn with_limits(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(REQUEST_BYTES_MAX)
        .max_frame_size(REQUEST_BYTES_MAX)
}

pub(crate) async fn converse(socket: WebSocket, shared: Arc<Shared>, seat: Seat) {
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
        requests: 0,
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
            tokio::select! {
                biased;
                () = closing.draining() => return Err(End::Draining),
                received = self.socket.recv() => self.hear(received).await?,
                _ = ping.tick() => self.ping().await?,
                () = sleep_until(self.due), if self.is_pending => self.show().await?,
                changed = versions.changed(), if !self.is_pending => {
                    changed.expect("the board outlives its clients");
                    versions.mark_unchanged();
                    self.is_pending = true;
                }
            }
        }
    }

    async fn hello(&mut self) -> Result<(), End> {
        let session = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let hello = message::hello(self.shared.now(), &session, self.shared.app.version);
        self.send(hello.into()).await?;
        self.flush().await
    }

    async fn hear(&mut self, received: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        let text = match received {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Binary(_))) => Utf8Bytes::from_static("(binary)"),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return self.heard(),
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
                self.send(error.into()).await?;
                self.flush().await
            }
        }
    }

    fn heard(&mut self) -> Result<(), End> {
        self.last_heard = Instant::now();
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
        self.write(Message::Ping(axum::body::Bytes::new())).await?;
        self.flush().await
    }

    /// Sends what the client has not seen.
    async fn show(&mut self) -> Result<(), End> {
        self.is_pending = false;
        match &self.mode {
            Mode::Undecided => {
                self.mode = Mode::Seeds;
                self.show_seeds().await
            }
            Mode::Seeds => self.show_seeds().await,
            Mode::Subscribed(subscription) => {
                let subscription = subscription.clone();
                self.show_update(&subscription).await
            }
        }
    }

    async fn show_update(&mut self, subscription: &Subscription) -> Result<(), End> {
        let update = self.shared.live.board.since(self.cursor, &subscription.scope);
        self.cursor = update.version;
        if update.is_empty() {
            return Ok(());
        }
        let now = self.shared.now();
        for text in message::compose(&update, subscription.detail, self.seq, now) {
            self.seq += 1;
            self.send(text.into()).await?;
        }
        self.due = Instant::now() + subscription.rate;
        self.flush().await
    }

    async fn show_seeds(&mut self) -> Result<(), End> {
        let update = self.shared.live.board.since(self.cursor, &Scope::All);
        self.cursor = update.version;
        for piece in &update.machines {
            self.send(piece.seeds().clone()).await?;
        }
        self.flush().await
    }

    async fn send(&mut self, text: Utf8Bytes) -> Result<(), End> {
        let counters = &self.shared.live.counters;
        counters.messages.increment();
        counters.bytes.add(text.len() as u64);
        self.write(Message::Text(text)).await
    }

    /// Into the write buffer, which goes out when it is full or flushed.
    async fn write(&mut self, message: Message) -> Result<(), End> {
        done(timeout(STUCK_MAX, self.socket.feed(message)).await)
    }

    async fn flush(&mut self) -> Result<(), End> {
        done(timeout(STUCK_MAX, self.socket.flush()).await)
    }

    async fn say_goodbye(&mut self, end: End) {
        let Some((code, reason)) = end.goodbye() else { return };
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        let parting = async {
            self.socket.send(Message::Close(Some(frame))).await?;
            // Until the client has closed, too: closing on top of what it still sends would reset the connection and lose our reason.
            while let Some(Ok(_)) = self.socket.recv().await {}
            Ok::<(), axum::Error>(())
        };
        // It is gone either way, with a good-bye or without.
        drop(timeout(PARTING_MAX, parting).await);
    }
}

fn done(outcome: Result<Result<(), axum::Error>, tokio::time::error::Elapsed>) -> Result<(), End> {
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_broken)) => Err(End::Left),
        Err(_elapsed) => Err(End::Stuck),
    }
}

impl End {
    /// axum hides tungstenite's error type; its text is all there is to tell a message that is too long from a broken connection.
    fn of(error: &axum::Error) -> Self {
        if error.to_string().contains("too long") { Self::TooLarge } else { Self::Left }
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
    const fn goodbye(self) -> Option<(u16, &'static str)> {
        match self {
            Self::Left | Self::Stuck => None,
            Self::Draining => Some((close_code::AWAY, "the hub is stopping; connect again in a moment")),
            Self::Silent => Some((close_code::POLICY, "no answer to the pings of 45 s")),
            Self::Flooding => Some((close_code::POLICY, "too many messages; subscribe once per screen")),
            Self::TooLarge => Some((close_code::SIZE, "the message is too large; send at most 64 KiB")),
        }
    }
}
