//! Client: one WebSocket conversation, as docs/LIVE_PROTOCOL.md tells it.
//!
//! It hears the client, and sends what its lane could not (`viewer`). It ends when the client is silent, stuck or floods.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::connection::Connection;
use super::request::{REQUEST_BYTES_MAX, Subscription, parse};
use super::viewer::{Line, Viewer, Wait};
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
/// tungstenite allocates it for every client, 128 KiB by default.
const READ_BUFFER_BYTES: usize = 2 * 1024;

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

struct Client {
    socket: WebSocketStream<Line>,
    viewer: Arc<Viewer>,
    shared: Arc<Shared>,
    last_heard: Instant,
    requests: u32,
}

/// `asked` is what the client wanted when it came, so that its snapshot follows the hello at once.
pub(crate) async fn converse(connection: Connection, shared: Arc<Shared>, seat: Seat, asked: Option<Subscription>) {
    let now = Instant::now();
    let viewer = Viewer::new(connection, now + SUBSCRIBES_WITHIN);
    let socket = WebSocketStream::from_raw_socket(viewer.line(), Role::Server, Some(limits())).await;
    let place = shared.live.lanes.enter(Arc::clone(&viewer));
    let mut client = Client { socket, viewer, shared, last_heard: now, requests: 0 };
    let end = match client.run(asked).await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    drop(place);
    client.viewer.end();
    client.shared.live.counters.closed(end.as_str());
    client.say_goodbye(end).await;
    drop(seat);
}

/// Buffers for thousands of mostly idle clients: what is large is written past them.
fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(REQUEST_BYTES_MAX))
        .max_frame_size(Some(REQUEST_BYTES_MAX))
}

impl Client {
    async fn run(&mut self, asked: Option<Subscription>) -> Result<std::convert::Infallible, End> {
        self.hello();
        if let Some(subscription) = asked {
            self.subscribe(subscription);
        }
        let closing = self.shared.live.closing();
        let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let wait = self.viewer.turn(&self.shared).ok_or(End::Left)?;
            let (is_blocked, due) = match wait {
                Wait::Change => (false, None),
                Wait::Until(due) => (false, Some(due)),
                Wait::Room => (true, None),
            };
            tokio::select! {
                biased;
                () = closing.draining() => return Err(End::Draining),
                drained = timeout(STUCK_MAX, self.viewer.drained()), if is_blocked => match drained {
                    Ok(Ok(())) => {}
                    Ok(Err(_broken)) => return Err(End::Left),
                    Err(_elapsed) => return Err(End::Stuck),
                },
                // A client that does not take what it is sent is not asked for more.
                received = self.socket.next(), if !is_blocked => self.hear(received)?,
                _ = ping.tick(), if !is_blocked => self.ping().await?,
                () = self.viewer.left(), if !is_blocked => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    fn hello(&self) {
        let session = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let (now, version) = (self.shared.now(), self.shared.app.version);
        self.viewer.say(&self.shared, |_seq| message::hello(now, (&self.shared.live.instance, &session), version));
    }

    fn hear(&mut self, received: Option<Result<Message, Error>>) -> Result<(), End> {
        let text = match received {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Binary(_))) => Utf8Bytes::from_static("(binary)"),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return self.heard(),
            Some(Err(error)) => return Err(End::of(&error)),
            Some(Ok(Message::Close(_))) | None => return Err(End::Left),
        };
        self.heard()?;
        match parse(&text) {
            Ok(subscription) => self.subscribe(subscription),
            Err(detail) => self.viewer.say(&self.shared, |seq| message::error(seq, &detail)),
        }
        Ok(())
    }

    fn subscribe(&self, subscription: Subscription) {
        let cursor = self.shared.live.cursor_of(subscription.resume.as_ref());
        self.viewer.subscribe(subscription, cursor);
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
        match timeout(STUCK_MAX, self.socket.send(Message::Ping(Bytes::new()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_broken)) => Err(End::Left),
            Err(_elapsed) => Err(End::Stuck),
        }
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
