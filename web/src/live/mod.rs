//! Live: the fleet as it is now, as JSON made once per update, for any number of WebSocket clients.
//!
//! `fanout` copies changes of the hot state onto the `board`; each client holds nothing but a cursor into it and is sent the `wave` that all
//! clients at that cursor share, by the lane (`lanes`) that it is in, or by its own task (`client`) where it has to wait. So a slow one costs
//! no memory and misses only what a later state replaces: the latest wins, bounded by construction.

pub(crate) mod board;
pub(crate) mod change_log;
pub(crate) mod client;
pub(crate) mod connection;
pub(crate) mod fanout;
pub(crate) mod handshake;
pub(crate) mod lanes;
pub(crate) mod message;
mod outlet;
pub(crate) mod piece;
pub(crate) mod request;
pub(crate) mod viewer;
pub(crate) mod wave;

use std::num::NonZero;
use std::sync::Arc;

use runtime::drain::{Drain, DrainToken};
use runtime::metrics::{Counter, Registry};
use tokio::sync::watch;

use board::Board;
use lanes::Lanes;
use request::Resume;
use wave::Waves;

/// The board and who looks at it.
pub(crate) struct Live {
    pub(crate) board: Board,
    pub(crate) waves: Waves,
    pub(crate) lanes: Lanes,
    pub(crate) counters: Counters,
    /// Of this run of the hub: what the board's versions belong to.
    pub(crate) instance: String,
    clients: Arc<watch::Sender<usize>>,
    clients_max: usize,
    closing: Drain,
}

/// What the live side counts.
pub(crate) struct Counters {
    registry: Registry,
    pub(crate) messages: Counter,
    pub(crate) bytes: Counter,
    pub(crate) refused: Counter,
}

/// One connected client; counted until it is dropped.
pub(crate) struct Seat {
    clients: Arc<watch::Sender<usize>>,
}

impl Live {
    pub(crate) fn new(clients_max: usize, metrics: &Registry) -> Self {
        let clients = Arc::new(watch::Sender::new(0));
        let counted = Arc::clone(&clients);
        metrics.collector(move |scrape| {
            #[expect(clippy::cast_precision_loss, reason = "clients stay far below 2^53")]
            let now = *counted.borrow() as f64;
            scrape.gauge("web_clients", "Connected WebSocket clients.", &[], now);
        });
        Self {
            board: Board::new(),
            waves: Waves::default(),
            lanes: Lanes::new(std::thread::available_parallelism().map_or(1, NonZero::get)),
            counters: Counters::new(metrics),
            instance: format!("{:016x}", fastrand::u64(..)),
            clients,
            clients_max,
            closing: Drain::new(),
        }
    }

    /// The version of the board that a client goes on from: 0, which is a snapshot, unless it has something of this very board.
    pub(crate) fn cursor_of(&self, resume: Option<&Resume>) -> u64 {
        let known = resume.filter(|resume| resume.instance == self.instance && resume.at <= self.board.version());
        known.map_or(0, |resume| resume.at)
    }

    /// A place for one more client, unless all are taken.
    pub(crate) fn seat(&self) -> Option<Seat> {
        let is_taken = self.clients.send_if_modified(|count| {
            let has_room = *count < self.clients_max;
            *count += usize::from(has_room);
            has_room
        });
        is_taken.then(|| Seat { clients: Arc::clone(&self.clients) })
    }

    pub(crate) fn clients(&self) -> usize {
        *self.clients.borrow()
    }

    pub(crate) fn closing(&self) -> DrainToken {
        self.closing.token()
    }

    /// Tells every client good-bye and waits until all are gone. Cancel safe.
    pub(crate) async fn close(&self) {
        self.closing.begin();
        let mut clients = self.clients.subscribe();
        // An error would mean that the counter is gone, and with it everybody who was counted.
        drop(clients.wait_for(|count| *count == 0).await);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.clients.send_modify(|count| *count -= 1);
    }
}

impl Counters {
    fn new(registry: &Registry) -> Self {
        let bytes_help = "Bytes of messages sent to WebSocket clients.";
        let refused_help = "WebSocket clients refused because all places were taken.";
        Self {
            messages: registry.counter("web_live_messages_total", "Messages sent to WebSocket clients.", &[]),
            bytes: registry.counter("web_live_bytes_total", bytes_help, &[]),
            refused: registry.counter("web_clients_refused_total", refused_help, &[]),
            registry: registry.clone(),
        }
    }

    pub(crate) fn closed(&self, reason: &'static str) {
        let help = "WebSocket clients that are gone, by reason.";
        self.registry.counter("web_clients_closed_total", help, &[("reason", reason)]).increment();
    }
}
