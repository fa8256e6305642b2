//! Upstream: the hub's conversation with the edge, as docs/EDGE.md tells it. One message at a time, each acknowledged.
//!
//! There is one publisher: a newer one takes over, because the one before may be a connection that nobody has noticed to be dead. Whoever
//! breaks the protocol is closed with a reason, and counted; what was shown stays on show.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use http::{HeaderMap, header};
use tokio::time::timeout;
use tracing::{info, warn};

use super::Relay;
use super::board::Tenure;
use super::picture::Malformed;
use crate::protocol::{FromEdge, FromHub, MESSAGE_BYTES_MAX, to_json};

/// A hub says something every few seconds, also when nothing changes.
const SILENT_MAX: Duration = Duration::from_secs(60);
const TAKES_MAX: Duration = Duration::from_secs(20);
const PARTING_MAX: Duration = Duration::from_secs(1);
/// Close frames hold 125 bytes, of which two are the code.
const REASON_BYTES_MAX: usize = 123;

/// Why a publisher is gone.
#[derive(Debug)]
enum End {
    Left,
    Draining,
    Replaced,
    Silent,
    Stuck,
    TooLarge,
    Malformed(Malformed),
}

/// Whether the request carries the publisher's token.
pub(super) fn is_authorized(relay: &Relay, headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(|text| text.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    token.is_some_and(|(_, token)| relay.settings.token.is_of(token.trim()))
}

pub(super) fn with_limits(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX).read_buffer_size(16 * 1024)
}

pub(super) async fn converse(mut socket: WebSocket, relay: Arc<Relay>) {
    let (tenure, mut newest) = relay.board.take_over();
    info!("publisher connected");
    let closing = relay.closing();
    let replaced = async {
        // An error would mean that the board is gone.
        drop(newest.wait_for(|(number, _)| !tenure.is(*number)).await);
    };
    let end = tokio::select! {
        biased;
        () = closing.draining() => End::Draining,
        () = replaced => End::Replaced,
        end = listen(&mut socket, &relay, tenure) => end,
    };
    relay.board.leave(tenure);
    relay.meters.publisher_closed(end.as_str());
    match &end {
        End::Malformed(error) => warn!(%error, "publisher broke the protocol"),
        End::Left | End::Draining | End::Replaced | End::Silent | End::Stuck | End::TooLarge => {
            info!(reason = end.as_str(), "publisher is gone");
        }
    }
    say_goodbye(socket, &end).await;
}

async fn listen(socket: &mut WebSocket, relay: &Relay, tenure: Tenure) -> End {
    loop {
        let received = match timeout(SILENT_MAX, socket.recv()).await {
            Ok(received) => received,
            Err(_elapsed) => return End::Silent,
        };
        let text = match received {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Ok(Message::Binary(_))) => return End::Malformed(Malformed::Shape(String::from("binary"))),
            // axum hides tungstenite's error type; its text is all there is to tell a message that is too long from a broken connection.
            Some(Err(error)) if error.to_string().contains("too long") => return End::TooLarge,
            Some(Ok(Message::Close(_)) | Err(_)) | None => return End::Left,
        };
        relay.meters.received(text.len());
        let seq = match take(&text, relay, tenure) {
            Ok(Some(seq)) => seq,
            Ok(None) => return End::Replaced,
            Err(error) => return End::Malformed(error),
        };
        let ack = to_json(&FromEdge::Ack { seq, viewers: relay.crowd.viewers() });
        match timeout(TAKES_MAX, socket.send(Message::Text(ack.into()))).await {
            Ok(Ok(())) => {}
            Ok(Err(_broken)) => return End::Left,
            Err(_elapsed) => return End::Stuck,
        }
    }
}

/// The message's number; none when there is a newer publisher.
fn take(text: &str, relay: &Relay, tenure: Tenure) -> Result<Option<u64>, Malformed> {
    let message: FromHub = serde_json::from_str(text).map_err(|error| Malformed::Shape(error.to_string()))?;
    let seq = match &message {
        FromHub::Snapshot(snapshot) => snapshot.seq,
        FromHub::Update(update) => update.seq,
    };
    let is_taken = relay.board.apply(tenure, message, relay.now_ms())?;
    Ok(is_taken.then_some(seq))
}

async fn say_goodbye(mut socket: WebSocket, end: &End) {
    let Some((code, reason)) = end.goodbye() else { return };
    let mut reason = reason;
    while REASON_BYTES_MAX < reason.len() {
        reason.pop();
    }
    let frame = CloseFrame { code, reason: Utf8Bytes::from(reason) };
    let parting = async {
        socket.send(Message::Close(Some(frame))).await?;
        // Until the hub has closed, too: closing on top of what it still sends would reset the connection and lose our reason.
        while let Some(Ok(_)) = socket.recv().await {}
        Ok::<(), axum::Error>(())
    };
    // It is gone either way, with a good-bye or without.
    drop(timeout(PARTING_MAX, parting).await);
}

impl End {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Draining => "draining",
            Self::Replaced => "replaced",
            Self::Silent => "silent",
            Self::Stuck => "stuck",
            Self::TooLarge => "too_large",
            Self::Malformed(_) => "malformed",
        }
    }

    /// Close code and reason; none where nobody listens any more.
    fn goodbye(&self) -> Option<(u16, String)> {
        let (code, reason) = match self {
            Self::Left | Self::Stuck => return None,
            Self::Draining => (close_code::AWAY, "the edge is stopping; connect again in a moment"),
            Self::Replaced => (close_code::POLICY, "another hub publishes here now; give each hub an edge of its own"),
            Self::Silent => (close_code::POLICY, "nothing was said for 60 s"),
            Self::TooLarge => (close_code::SIZE, "the message is too large; 1.25 MiB is the limit"),
            Self::Malformed(error) => return Some((close_code::POLICY, error.to_string())),
        };
        Some((code, reason.to_owned()))
    }
}
