//! Relay: the edge itself. One hub's picture in, any number of viewers out; nothing is stored.
//!
//! `upstream` takes the hub's messages, `picture` checks them, `board` makes what is sent once for all; `viewer` is one WebSocket, `page` the
//! page for browsers without a script; `crowd` says who may come in. Bounds: viewers, connections and requests, per address and in all;
//! the size of a message; the time that anybody may take.

pub(crate) mod address;
mod bars;
mod board;
mod chart;
pub(crate) mod crowd;
mod format;
mod frame;
mod meters;
mod page;
mod past;
pub(crate) mod picture;
mod routes;
pub(crate) mod token;
mod upstream;
mod viewer;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use runtime::clock::SharedClock;
use runtime::drain::{Drain, DrainToken};
use runtime::metrics::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use web::Connections;

pub use address::Network;
pub use crowd::CrowdLimits;
pub use token::TokenHash;

use board::Board;
use crowd::Crowd;
use meters::Meters;
use page::Page;

/// What a drain may take until whoever is here has heard of it.
const PARTING_WITHIN: Duration = Duration::from_secs(3);

/// What an edge is run with.
#[derive(Debug, Clone)]
pub struct Settings {
    pub token: TokenHash,
    pub limits: CrowdLimits,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
}

/// What every connection gets.
pub(crate) struct Relay {
    settings: Settings,
    clock: SharedClock,
    board: Arc<Board>,
    crowd: Arc<Crowd>,
    meters: Meters,
    page: Page,
    /// Conversations, which have left the server's connections with their upgrade.
    conversations: Mutex<JoinSet<()>>,
    closing: Drain,
}

impl Relay {
    fn new(settings: Settings, clock: SharedClock, registry: Registry) -> Arc<Self> {
        let (board, crowd) = (Arc::new(Board::new()), Crowd::new(settings.limits, SharedClock::clone(&clock)));
        let meters = Meters::new(registry);
        let times = SharedClock::clone(&clock);
        meters.watch(&crowd, &board, move || times.now_us() / 1_000);
        Arc::new(Self {
            settings,
            clock,
            board,
            crowd,
            meters,
            page: Page::new(),
            conversations: Mutex::default(),
            closing: Drain::new(),
        })
    }

    fn now_ms(&self) -> i64 {
        self.clock.now_us() / 1_000
    }

    fn closing(&self) -> DrainToken {
        self.closing.token()
    }

    /// Runs a conversation until it ends by itself, as it does when the edge drains.
    fn spawn(&self, conversation: impl Future<Output = ()> + Send + 'static) {
        let mut conversations = self.conversations.lock().unwrap_or_else(PoisonError::into_inner);
        while conversations.try_join_next().is_some() {}
        conversations.spawn(conversation);
    }
}

/// Answers on `listener` until `drain` begins; then tells everybody good-bye.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    clock: SharedClock,
    registry: Registry,
    drain: DrainToken,
) {
    let relay = Relay::new(settings, clock, registry);
    let router = routes::router(&relay);
    let mut connections = Connections::default();
    let admit = |peer: std::net::SocketAddr| {
        let address = peer.ip();
        if relay.settings.trusted_proxies.iter().any(|network| network.contains(address)) {
            // A proxy's connections are those of everybody behind it.
            return Some(None);
        }
        let seat = relay.crowd.connection(address);
        if seat.is_none() {
            relay.meters.refused("too_many_connections_of_address");
        }
        seat.map(Some)
    };
    connections.take(&listener, &router, &drain, admit).await;
    drop(listener);
    relay.closing.begin();
    let conversations = std::mem::take(&mut *relay.conversations.lock().unwrap_or_else(PoisonError::into_inner));
    let ended = async {
        connections.ended().await;
        conversations.join_all().await;
    };
    if timeout(PARTING_WITHIN, ended).await.is_err() {
        tracing::warn!(viewers = relay.crowd.viewers(), "edge drained with connections left open");
    }
}
