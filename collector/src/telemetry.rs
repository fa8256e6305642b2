//! Telemetry: what the collector tells about itself. In `up` the hub's registry shows it; alone, the logs must do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use journal::JournalError;
use runtime::metrics::{Counter, Gauge, Registry};
use runtime::telemetry::error_chain;
use tracing::{info, warn};

#[derive(Clone)]
pub(crate) struct Telemetry {
    pub(crate) sampled: Counter,
    pub(crate) acknowledged: Counter,
    pub(crate) dropped: Counter,
    pub(crate) rejected_samples: Counter,
    pub(crate) waiting: Gauge,
    pub(crate) spool_bytes: Gauge,
    pub(crate) connected: Gauge,
    is_spool_failing: Arc<AtomicBool>,
}

impl Telemetry {
    pub(crate) fn new(metrics: &Registry) -> Self {
        let frames = |outcome| {
            let help = "Frames by what became of them";
            metrics.counter("collector_frames_total", help, &[("outcome", outcome)])
        };
        Self {
            sampled: frames("sampled"),
            acknowledged: frames("acknowledged"),
            dropped: frames("dropped"),
            rejected_samples: metrics.counter("collector_rejected_samples_total", "Samples the hub refused", &[]),
            waiting: metrics.gauge("collector_waiting_frames", "Frames the hub has not acknowledged", &[]),
            spool_bytes: metrics.gauge("collector_spool_bytes", "Size of the spool on disk", &[]),
            connected: metrics.gauge("collector_connected", "1 while the hub acknowledges", &[]),
            is_spool_failing: Arc::default(),
        }
    }

    /// Logged when it begins.
    pub(crate) fn spool_fails(&self, failure: &JournalError) {
        if !self.is_spool_failing.swap(true, Ordering::Relaxed) {
            warn!(error = error_chain(failure), "spool does not work");
        }
    }

    pub(crate) fn spool_works(&self) {
        if self.is_spool_failing.swap(false, Ordering::Relaxed) {
            info!("spool works again");
        }
    }
}
