//! Starting: both ports while the hub replays its journal, and how far it is, for them and for the log.
//!
//! The live servers take over on the same sockets: what connects in between waits in the kernel's backlog and is never refused.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use ingest::Step;
use model::query::Health;
use runtime::clock::SharedClock;
use tokio::net::TcpListener;
use tracing::info;
use web::{ReplayView, StartProgress};

use crate::base::Base;
use crate::listen;
use crate::part::Part;
use crate::program::VERSION;

/// What clients of the starting ports may take to hear their last answer.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);
/// Between two lines of the log.
const LOG_EVERY_US: u64 = 1_000_000;

/// The servers of the start.
pub(crate) struct Starting {
    part: Part,
    pub(crate) progress: Arc<Progress>,
}

/// How far the replay is.
pub(crate) struct Progress {
    clock: SharedClock,
    began_us: u64,
    since_ms: i64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    step: Option<Step>,
    /// When the log was told last.
    logged_us: Option<u64>,
}

impl Starting {
    /// Serves on both ports, and gives back a second handle of each for the live servers.
    ///
    /// # Errors
    /// When the system gives no more descriptors.
    pub(crate) fn begin(base: &Base, http: TcpListener, grpc: TcpListener) -> Result<(Self, TcpListener, TcpListener)> {
        let progress = Arc::new(Progress::new(base.clock()));
        let ((http, live_http), (grpc, live_grpc)) = (listen::twice(http)?, listen::twice(grpc)?);
        let mut part = Part::default();
        let starting = web::Starting {
            progress: Arc::clone(&progress) as Arc<dyn StartProgress>,
            hosts: base.config.web.hosts.clone(),
            version: VERSION,
        };
        let live = part.token();
        part.spawn("web of the start", async move {
            web::serve_starting(http, starting, live).await;
            Ok(())
        });
        let (streams, live) = (base.config.ingest.streams.clone(), part.token());
        part.spawn("grpc of the start", async move { Ok(ingest::refuse(grpc, &streams, live).await?) });
        Ok((Self { part, progress }, live_http, live_grpc))
    }

    /// Leaves the ports to the live servers.
    pub(crate) async fn end(self) {
        // A client that does not hang up is cut off; that is no fault of the hub's.
        self.part.stop(LEAVE_WITHIN).await;
    }
}

impl Progress {
    fn new(clock: SharedClock) -> Self {
        let (began_us, since_ms) = (clock.monotonic_us(), clock.now_us() / 1_000);
        Self { clock, began_us, since_ms, state: Mutex::default() }
    }

    /// Takes note of a step of the replay.
    pub(crate) fn note(&self, step: Step) {
        let now_us = self.clock.monotonic_us();
        let is_due = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.step = Some(step);
            let is_due = state.logged_us.is_none_or(|logged_us| logged_us + LOG_EVERY_US <= now_us);
            if is_due {
                state.logged_us = Some(now_us);
            }
            is_due
        };
        if is_due {
            let ReplayView { percent, t, samples, samples_per_s, eta_s } = self.replay();
            info!(percent = percent.round(), t, samples, samples_per_s = samples_per_s.round(), eta_s, "replaying");
        }
    }
}

impl StartProgress for Progress {
    fn replay(&self) -> ReplayView {
        let step = self.state.lock().unwrap_or_else(PoisonError::into_inner).step;
        let Some(Step { t, samples, bytes, bytes_total, .. }) = step else { return ReplayView::default() };
        let passed_s = self.clock.monotonic_us().saturating_sub(self.began_us).max(1) as f64 / 1e6;
        let share = bytes as f64 / bytes_total.max(1) as f64;
        let left_s = passed_s * (1.0 - share) / share;
        ReplayView {
            percent: share * 100.0,
            t,
            samples,
            samples_per_s: samples as f64 / passed_s,
            eta_s: left_s.is_finite().then_some(left_s),
        }
    }

    fn health(&self) -> Health {
        let ReplayView { percent, samples, samples_per_s, eta_s, .. } = self.replay();
        let left = eta_s.map_or_else(String::new, |seconds| format!(", about {seconds:.0} s left"));
        let said =
            format!("journal replayed to {percent:.0} %, {samples} samples at {samples_per_s:.0} a second{left}");
        Health {
            name: "replay",
            is_up: false,
            is_required: true,
            since_ms: self.since_ms,
            latency_ms: None,
            last_error: Some(said),
            circuit: None,
            detail: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::clock::ManualClock;

    #[test]
    fn the_time_left_follows_the_bytes_that_are_left() {
        let clock = ManualClock::at(5_000_000);
        let progress = Progress::new(clock.shared());
        assert_eq!(progress.replay(), ReplayView::default());
        clock.advance(Duration::from_secs(3));
        progress.note(Step { t: 7, records: 10, samples: 600, bytes: 25, bytes_total: 100 });
        let expected = ReplayView { percent: 25.0, t: 7, samples: 600, samples_per_s: 200.0, eta_s: Some(9.0) };
        assert_eq!(progress.replay(), expected);
        let said = progress.health().last_error.unwrap();
        assert_eq!(said, "journal replayed to 25 %, 600 samples at 200 a second, about 9 s left");
    }
}
