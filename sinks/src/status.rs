//! What a driver tells the rest of the program: health, cursors, backlog, and its counters.

use model::LogicalTime;
use model::query::Health;
use runtime::metrics::{Counter, Gauge, Registry};
use tokio::sync::watch;

use crate::sink::Cursors;

/// The name of a counter of each store that has dead letters, and what it counts.
pub(crate) const LETTERS_DROPPED: (&str, &str) =
    ("sinks_dead_letters_dropped_total", "Dead letters that were removed: too old, or the oldest of too many.");

#[derive(Debug, Clone, PartialEq)]
pub struct DriverStatus {
    pub health: Health,
    /// As the store has them; none before the first connection.
    pub cursors: Option<Cursors>,
    /// The hub's journal must keep this time and later ones for this sink.
    pub keep_from: LogicalTime,
    /// Everything up to here has reached the driver, whole and durable.
    pub sealed: LogicalTime,
    /// On disk in the spill, waiting for the store.
    pub backlog_bytes: u64,
    /// Outputs given up for want of room.
    pub lost: u64,
}

/// The outside's view of a driver; cheap to clone.
#[derive(Debug, Clone)]
pub struct DriverHandle {
    status: watch::Receiver<DriverStatus>,
}

impl DriverHandle {
    pub fn status(&self) -> DriverStatus {
        self.status.borrow().clone()
    }

    pub fn health(&self) -> Health {
        self.status.borrow().health.clone()
    }

    pub fn cursors(&self) -> Option<Cursors> {
        self.status.borrow().cursors
    }

    pub fn keep_from(&self) -> LogicalTime {
        self.status.borrow().keep_from
    }

    /// Waits until the status is as asked; none when the driver ended before that. Cancel safe.
    pub async fn wait_for(&self, is_so: impl FnMut(&DriverStatus) -> bool) -> Option<DriverStatus> {
        let mut status = self.status.clone();
        let found = status.wait_for(is_so).await.ok()?;
        Some(found.clone())
    }
}

/// The driver's own end.
pub(crate) struct Reporter {
    sender: watch::Sender<DriverStatus>,
    pub(crate) written: Counter,
    pub(crate) spilled: Counter,
    pub(crate) repeated: Counter,
    pub(crate) overdue: Counter,
    pub(crate) lost: Counter,
    pub(crate) spill_lost: Counter,
    backlog: Gauge,
    lag: Gauge,
}

/// How far a driver is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach {
    pub(crate) cursors: Option<Cursors>,
    pub(crate) keep_from: LogicalTime,
    pub(crate) sealed: LogicalTime,
    pub(crate) backlog_bytes: u64,
}

impl Reporter {
    pub(crate) fn new(health: Health, registry: &Registry) -> (Self, DriverHandle) {
        let labels: &[(&'static str, &str)] = &[("sink", health.name)];
        let status = DriverStatus { health, cursors: None, keep_from: 0, sealed: 0, backlog_bytes: 0, lost: 0 };
        let (sender, receiver) = watch::channel(status);
        let counter = |name, help| registry.counter(name, help, labels);
        let gauge = |name, help| registry.gauge(name, help, labels);
        let reporter = Self {
            written: counter("sinks_outputs_written_total", "Outputs stored."),
            spilled: counter("sinks_outputs_spilled_total", "Outputs that went through the spill."),
            repeated: counter("sinks_outputs_repeated_total", "Outputs of a replay that were stored before."),
            overdue: counter("sinks_outputs_overdue_total", "Outputs that came after their time was sealed."),
            lost: counter("sinks_outputs_lost_total", "Outputs given up for want of room."),
            spill_lost: counter(
                "sinks_spill_records_lost_total",
                "Records the spill's quota dropped, or that were damaged.",
            ),
            backlog: gauge("sinks_backlog_bytes", "Bytes in the spill that wait for the store."),
            lag: gauge("sinks_lag_seconds", "Logical time between what is durable and what is stored."),
            sender,
        };
        (reporter, DriverHandle { status: receiver })
    }

    /// Publishes what changed.
    pub(crate) fn publish(&self, health: &Health, reach: Reach) {
        let Reach { cursors, keep_from, sealed, backlog_bytes } = reach;
        let stored = cursors.map_or(0, |cursors| cursors.rows);
        #[expect(clippy::cast_precision_loss, reason = "figures for a graph")]
        {
            self.backlog.set(backlog_bytes as f64);
            self.lag.set(if stored == 0 { 0.0 } else { sealed.saturating_sub(stored) as f64 / 1e6 });
        }
        let lost = self.lost.value() + self.spill_lost.value();
        let mut health = health.clone();
        if health.is_up && 0 < backlog_bytes {
            health.last_error = Some(format!("catching up: {backlog_bytes} bytes wait in the spill"));
        }
        let new = DriverStatus { health, cursors, keep_from, sealed, backlog_bytes, lost };
        self.sender.send_if_modified(|status| {
            let is_news = *status != new;
            *status = new;
            is_news
        });
    }
}
