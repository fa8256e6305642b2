//! Meters: what the edge counts, for `/metrics`.

use std::sync::Arc;

use http::StatusCode;
use runtime::metrics::{Counter, Registry};

use super::board::Board;
use super::crowd::Crowd;

pub(super) struct Meters {
    registry: Registry,
    sent_bytes: Counter,
    received_messages: Counter,
    received_bytes: Counter,
}

impl Meters {
    pub(super) fn new(registry: Registry) -> Self {
        Self {
            sent_bytes: registry.counter("edge_sent_bytes_total", "Bytes sent to viewers over WebSockets.", &[]),
            received_messages: registry.counter("edge_received_messages_total", "Messages of publishers.", &[]),
            received_bytes: registry.counter("edge_received_bytes_total", "Bytes of publishers' messages.", &[]),
            registry,
        }
    }

    /// Exports what is known elsewhere at each scrape.
    pub(super) fn watch(
        &self,
        crowd: &Arc<Crowd>,
        board: &Arc<Board>,
        now_ms: impl Fn() -> i64 + Send + Sync + 'static,
    ) {
        let (crowd, board) = (Arc::clone(crowd), Arc::clone(board));
        #[expect(clippy::cast_precision_loss, reason = "counts and ages stay far below 2^53")]
        self.registry.collector(move |scrape| {
            scrape.gauge("edge_viewers", "Open WebSockets of viewers.", &[], crowd.viewers() as f64);
            let is_here = f64::from(u8::from(board.has_publisher()));
            scrape.gauge("edge_publisher_connected", "1 while a hub is connected.", &[], is_here);
            if let Some(shown) = board.shown() {
                let age_s = (now_ms() - shown.received).max(0) as f64 / 1e3;
                scrape.gauge("edge_picture_age_seconds", "Since the newest message of a hub.", &[], age_s);
                let machines = shown.picture.now.len() as f64;
                scrape.gauge("edge_machines", "Machines that are shown.", &[], machines);
            }
        });
    }

    pub(super) fn render(&self) -> String {
        self.registry.render()
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.sent_bytes.add(bytes as u64);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.received_messages.increment();
        self.received_bytes.add(bytes as u64);
    }

    pub(super) fn answered(&self, route: &str, status: StatusCode) {
        let labels = &[("route", route), ("status", status.as_str())];
        self.registry.counter("edge_requests_total", "Answered HTTP requests.", labels).increment();
    }

    pub(super) fn refused(&self, reason: &'static str) {
        let help = "Viewers, connections and requests refused, by reason.";
        self.registry.counter("edge_refused_total", help, &[("reason", reason)]).increment();
    }

    pub(super) fn viewer_closed(&self, reason: &'static str) {
        let help = "Viewers that are gone, by reason.";
        self.registry.counter("edge_viewers_closed_total", help, &[("reason", reason)]).increment();
    }

    /// `accepted`, or why a publisher was not.
    pub(super) fn publisher(&self, outcome: &'static str) {
        let help = "Publishers that connected, by outcome.";
        self.registry.counter("edge_publishers_total", help, &[("outcome", outcome)]).increment();
    }

    pub(super) fn publisher_closed(&self, reason: &'static str) {
        let help = "Publishers that are gone, by reason.";
        self.registry.counter("edge_publishers_closed_total", help, &[("reason", reason)]).increment();
    }
}
