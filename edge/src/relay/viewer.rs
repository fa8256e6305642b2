//! Viewer: one open WebSocket. It is told what is shown, the newest wins, and is asked nothing.
//!
//! Its memory is a cursor, what is left of the frames on their way (shared with everybody else), and a few bytes that it said. A frame that is
//! not taken in time ends it, so that no old picture is kept for a slow one: who is merely slow misses what a later message replaces (E-3).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::Relay;
use super::board::{Cursor, Shown, hello};
use super::crowd::Seat;
use super::frame::{self, Ear, Heard, Misheard};

const PING_EVERY: Duration = Duration::from_secs(15);
const SILENT_MAX: Duration = Duration::from_secs(45);
/// Frames that are on their way together must be taken in this time, however slowly.
const TAKES_MAX: Duration = Duration::from_secs(45);
/// Frames of a viewer between two pings; a browser sends one, the pong.
const HEARD_PER_PING_MAX: u32 = 20;
const READ_BYTES: usize = 256;
const PARTING_MAX: Duration = Duration::from_secs(1);

/// Why a viewer is gone; the text is the counter's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Left,
    Draining,
    Silent,
    Stuck,
    Flooding,
    /// It sent data.
    Asking,
    Protocol,
}

struct Viewer<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    ear: Ear,
    cursor: Cursor,
    /// What it is to take, in this order, the first perhaps in part.
    waiting: VecDeque<Bytes>,
    /// The first of it has been taken in part.
    is_within: bool,
    /// Since when something waits.
    since: Instant,
    last_heard: Instant,
    heard: u32,
}

pub(super) async fn converse<S: AsyncRead + AsyncWrite>(stream: S, relay: Arc<Relay>, seat: Seat) {
    let (reader, writer) = tokio::io::split(stream);
    let now = Instant::now();
    let mut viewer = Viewer {
        reader,
        writer,
        ear: Ear::default(),
        cursor: Cursor::default(),
        waiting: VecDeque::from([hello(relay.now_ms())]),
        is_within: false,
        since: now,
        last_heard: now,
        heard: 0,
    };
    let end = match viewer.run(&relay).await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    relay.meters.viewer_closed(end.as_str());
    viewer.say_goodbye(end).await;
    drop(seat);
}

impl<S: AsyncRead + AsyncWrite> Viewer<S> {
    async fn run(&mut self, relay: &Relay) -> Result<std::convert::Infallible, End> {
        let closing = relay.closing();
        let mut closing = std::pin::pin!(closing.draining());
        let mut shown = relay.board.subscribe();
        let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.look(&mut shown);
        loop {
            let is_waiting = !self.waiting.is_empty();
            let Self { reader, writer, ear, waiting, .. } = self;
            tokio::select! {
                biased;
                () = closing.as_mut() => return Err(End::Draining),
                _ = ping.tick() => self.ping()?,
                // A read that gives way to another branch has taken nothing.
                read = read(reader, ear) => self.hear(read)?,
                written = write(writer, waiting), if is_waiting => {
                    let (bytes, is_within) = written?;
                    self.is_within = is_within;
                    relay.meters.sent(bytes);
                    if self.waiting.is_empty() {
                        self.look(&mut shown);
                    }
                }
                changed = shown.changed(), if !is_waiting => {
                    changed.expect("the board outlives its viewers");
                    self.look(&mut shown);
                }
            }
        }
    }

    /// Takes up what it has not seen, once all before has left.
    fn look(&mut self, shown: &mut watch::Receiver<Option<Arc<Shown>>>) {
        let shown = shown.borrow_and_update();
        let Some(shown) = shown.as_ref() else { return };
        let (frames, cursor) = shown.since(self.cursor);
        self.cursor = cursor;
        for frame in frames {
            self.say(frame);
        }
    }

    fn say(&mut self, frame: Bytes) {
        if self.waiting.is_empty() {
            self.since = Instant::now();
        }
        self.waiting.push_back(frame);
    }

    fn hear(&mut self, read: Result<(), End>) -> Result<(), End> {
        read?;
        while let Some(heard) = self.ear.next().map_err(End::of)? {
            self.last_heard = Instant::now();
            self.heard += 1;
            if HEARD_PER_PING_MAX < self.heard {
                return Err(End::Flooding);
            }
            match heard {
                Heard::Ping(payload) => self.say(frame::pong(payload)),
                Heard::Pong => {}
                Heard::Close => return Err(End::Left),
            }
        }
        Ok(())
    }

    fn ping(&mut self) -> Result<(), End> {
        self.heard = 0;
        if !self.waiting.is_empty() && TAKES_MAX <= self.since.elapsed() {
            return Err(End::Stuck);
        }
        if SILENT_MAX <= self.last_heard.elapsed() {
            return Err(End::Silent);
        }
        if self.waiting.is_empty() {
            self.say(frame::ping());
        }
        Ok(())
    }

    async fn say_goodbye(mut self, end: End) {
        let Some((code, reason)) = end.goodbye() else { return };
        let parting = async {
            // In the middle of a frame there is no room for another one.
            if !self.is_within {
                self.writer.write_all(&frame::close(code, reason)).await?;
            }
            self.writer.shutdown().await?;
            // Until the viewer has closed, too: closing on top of what it still sends would reset the connection and lose our reason.
            let mut rest = [0; 64];
            while self.reader.read(&mut rest).await? != 0 {}
            Ok::<(), std::io::Error>(())
        };
        // It is gone either way, with a good-bye or without.
        drop(timeout(PARTING_MAX, parting).await);
    }
}

/// Cancel safe.
async fn read<S: AsyncRead>(reader: &mut ReadHalf<S>, ear: &mut Ear) -> Result<(), End> {
    ear.bytes.reserve(READ_BYTES);
    match reader.read_buf(&mut ear.bytes).await {
        Ok(0) | Err(_) => Err(End::Left),
        Ok(_) => Ok(()),
    }
}

/// Writes some of what waits: how much, and whether the rest of a frame is still to come. Cancel safe.
async fn write<S: AsyncWrite>(writer: &mut WriteHalf<S>, waiting: &mut VecDeque<Bytes>) -> Result<(usize, bool), End> {
    let Some(first) = waiting.front_mut() else { return Ok((0, false)) };
    let Ok(written @ 1..) = writer.write_buf(first).await else { return Err(End::Left) };
    let is_within = !first.is_empty();
    if !is_within {
        waiting.pop_front();
    }
    Ok((written, is_within))
}

impl End {
    const fn of(misheard: Misheard) -> Self {
        match misheard {
            Misheard::Data => Self::Asking,
            Misheard::Protocol => Self::Protocol,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Draining => "draining",
            Self::Silent => "silent",
            Self::Stuck => "stuck",
            Self::Flooding => "flooding",
            Self::Asking => "asking",
            Self::Protocol => "protocol",
        }
    }

    /// Close code and reason; none where nobody listens any more.
    const fn goodbye(self) -> Option<(CloseCode, &'static str)> {
        match self {
            Self::Left | Self::Stuck => None,
            Self::Draining => Some((CloseCode::Away, "the edge is stopping; connect again in a moment")),
            Self::Silent => Some((CloseCode::Policy, "no answer to the pings of 45 s")),
            Self::Flooding => Some((CloseCode::Policy, "too many frames; there is nothing to say here")),
            Self::Asking => Some((CloseCode::Unsupported, "this socket only tells; send nothing")),
            Self::Protocol => Some((CloseCode::Protocol, "not a WebSocket client's frame")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::size_of;

    #[test]
    fn a_viewer_is_small() {
        assert!(size_of::<super::Viewer<tokio::net::TcpStream>>() < 256);
    }
}
