//! Status: how the publisher stands, for `/ready`, `/metrics` and the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::query::Health;
use runtime::clock::SharedClock;
use runtime::metrics::{Counter, Registry};
use tracing::{info, warn};

use super::failure::Failure;

/// The publisher as the rest of the hub sees it.
#[derive(Clone)]
pub struct PublisherHandle {
    inner: Arc<Inner>,
}

struct Inner {
    edge: String,
    clock: SharedClock,
    registry: Registry,
    messages: Counter,
    bytes: Counter,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_up: bool,
    since_ms: i64,
    last_error: Option<String>,
    viewers: usize,
    machines: usize,
    left_out: usize,
    took_ms: Option<f64>,
}

impl PublisherHandle {
    pub(super) fn new(edge: String, clock: SharedClock, registry: &Registry) -> Self {
        let state = State {
            since_ms: clock.now_us() / 1_000,
            last_error: Some(String::from("not connected yet")),
            ..State::default()
        };
        let handle = Self {
            inner: Arc::new(Inner {
                edge,
                clock,
                registry: registry.clone(),
                messages: registry.counter("edge_publish_messages_total", "Messages that the edge acknowledged.", &[]),
                bytes: registry.counter("edge_publish_bytes_total", "Bytes of messages sent to the edge.", &[]),
                state: Mutex::new(state),
            }),
        };
        let shown = handle.clone();
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        registry.collector(move |scrape| {
            let state = shown.lock();
            let is_up = f64::from(u8::from(state.is_up));
            scrape.gauge("edge_publish_connected", "1 while the edge takes what is published.", &[], is_up);
            scrape.gauge("edge_publish_viewers", "Who looks at the edge.", &[], state.viewers as f64);
            scrape.gauge("edge_publish_machines", "Machines that are published.", &[], state.machines as f64);
            let help = "Machines that are chosen and beyond edge.machines_max.";
            scrape.gauge("edge_publish_machines_left_out", help, &[], state.left_out as f64);
        });
        handle
    }

    /// As a dependency of the hub, which works without it.
    #[must_use]
    pub fn health(&self) -> Health {
        let state = self.lock();
        let mut detail = format!("{}: {} machines, {} viewers", self.inner.edge, state.machines, state.viewers);
        if state.left_out != 0 {
            detail.push_str(&format!("; {} more are chosen and left out (edge.machines_max)", state.left_out));
        }
        Health {
            name: "edge",
            is_up: state.is_up,
            is_required: false,
            since_ms: state.since_ms,
            latency_ms: state.took_ms,
            last_error: state.last_error.clone(),
            circuit: None,
            detail: Some(detail),
        }
    }

    pub(super) fn shows(&self, machines: usize, left_out: usize) {
        let mut state = self.lock();
        if state.left_out == 0 && left_out != 0 {
            warn!(
                machines,
                left_out, "more machines are chosen for the edge than it may show; raise edge.machines_max"
            );
        }
        (state.machines, state.left_out) = (machines, left_out);
    }

    /// The edge acknowledged a message of this size.
    pub(super) fn acknowledged(&self, bytes: usize, viewers: usize, took_ms: f64) {
        self.inner.messages.increment();
        self.inner.bytes.add(bytes as u64);
        let now_ms = self.inner.clock.now_us() / 1_000;
        let mut state = self.lock();
        (state.viewers, state.took_ms) = (viewers, Some(took_ms));
        if !state.is_up {
            (state.is_up, state.since_ms, state.last_error) = (true, now_ms, None);
            info!(edge = self.inner.edge, "edge takes what is published");
        }
    }

    pub(super) fn failed(&self, failure: &Failure) {
        let help = "Conversations with the edge that failed, by reason.";
        let labels = &[("reason", failure.as_str())];
        self.inner.registry.counter("edge_publish_failures_total", help, labels).increment();
        let (now_ms, said) = (self.inner.clock.now_us() / 1_000, failure.to_string());
        let mut state = self.lock();
        let is_news = state.is_up || state.last_error.as_ref() != Some(&said);
        if state.is_up {
            (state.is_up, state.since_ms) = (false, now_ms);
        }
        (state.viewers, state.took_ms) = (0, None);
        if is_news {
            warn!(edge = self.inner.edge, error = said, "edge is away; the hub tries again");
        }
        state.last_error = Some(said);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is whole at each step.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
