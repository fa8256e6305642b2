//! What a driver tells the rest of the program: health, cursors, backlog, and its counters.
//!
//! A change of health is logged once, not each attempt.

use std::time::Duration;

use model::LogicalTime;
use model::query::Health;
use runtime::breaker::BreakerState;
use runtime::clock::SharedClock;
use runtime::metrics::{Counter, Gauge, Histogram, LATENCY_SECONDS, Registry};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::error::{SinkError, chain};
use crate::sink::Cursors;

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
    clock: SharedClock,
    pub(crate) written: Counter,
    pub(crate) spilled: Counter,
    pub(crate) repeated: Counter,
    pub(crate) overdue: Counter,
    pub(crate) lost: Counter,
    pub(crate) spill_lost: Counter,
    failures: Counter,
    seconds: Histogram,
    backlog: Gauge,
    lag: Gauge,
    breaker: Gauge,
}

impl Reporter {
    pub(crate) fn new(name: &'static str, clock: SharedClock, registry: &Registry) -> (Self, DriverHandle) {
        let status = DriverStatus {
            health: Health {
                name,
                is_up: true,
                is_required: false,
                since_ms: clock.now_us().div_euclid(1_000),
                latency_ms: None,
                last_error: None,
            },
            cursors: None,
            keep_from: 0,
            sealed: 0,
            backlog_bytes: 0,
            lost: 0,
        };
        let (sender, receiver) = watch::channel(status);
        let labels: &[(&'static str, &str)] = &[("sink", name)];
        let counter = |name, help| registry.counter(name, help, labels);
        let gauge = |name, help| registry.gauge(name, help, labels);
        let seconds_help = "Time of one transaction.";
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
            failures: counter("sinks_failures_total", "Calls to the store that failed."),
            seconds: registry.histogram("sinks_write_seconds", seconds_help, labels, LATENCY_SECONDS),
            backlog: gauge("sinks_backlog_bytes", "Bytes in the spill that wait for the store."),
            lag: gauge("sinks_lag_seconds", "Logical time between what is durable and what is stored."),
            breaker: gauge("sinks_breaker_state", "0 closed, 1 half open, 2 open."),
            sender,
            clock,
        };
        (reporter, DriverHandle { status: receiver })
    }

    pub(crate) fn succeeded(&self, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
        self.breaker.set(0.0);
        let now_ms = self.clock.now_us().div_euclid(1_000);
        self.sender.send_modify(|status| {
            let health = &mut status.health;
            if !health.is_up {
                info!(sink = health.name, down_ms = now_ms - health.since_ms, "sink is back");
                (health.is_up, health.since_ms) = (true, now_ms);
            }
            health.latency_ms = Some(took.as_secs_f64() * 1_000.0);
        });
    }

    pub(crate) fn failed(&self, failure: &SinkError, breaker: BreakerState) {
        self.failures.increment();
        self.breaker.set(match breaker {
            BreakerState::Closed => 0.0,
            BreakerState::HalfOpen => 1.0,
            BreakerState::Open => 2.0,
        });
        let reason = chain(failure);
        let now_ms = self.clock.now_us().div_euclid(1_000);
        self.sender.send_modify(|status| {
            let health = &mut status.health;
            if health.is_up {
                let sink = health.name;
                if failure.is_retryable() {
                    warn!(sink, error = reason, "sink is down: outputs wait and are written when it is back");
                } else {
                    error!(sink, error = reason, "sink is broken: outputs wait until somebody repairs it");
                }
                (health.is_up, health.since_ms) = (false, now_ms);
            }
            health.last_error = Some(reason);
        });
    }

    /// Publishes the figures when one of them changed.
    pub(crate) fn publish(&self, cursors: Option<Cursors>, keep_from: LogicalTime, sealed: LogicalTime, backlog: u64) {
        let stored = cursors.map_or(0, |cursors| cursors.rows);
        #[expect(clippy::cast_precision_loss, reason = "figures for a graph")]
        {
            self.backlog.set(backlog as f64);
            self.lag.set(if stored == 0 { 0.0 } else { sealed.saturating_sub(stored) as f64 / 1e6 });
        }
        let lost = self.lost.value() + self.spill_lost.value();
        self.sender.send_if_modified(|status| {
            let new = (cursors, keep_from, sealed, backlog, lost);
            let shown = (status.cursors, status.keep_from, status.sealed, status.backlog_bytes, status.lost);
            (status.cursors, status.keep_from, status.sealed, status.backlog_bytes, status.lost) = new;
            if status.health.is_up {
                let catching_up = format!("catching up: {backlog} bytes wait in the spill");
                status.health.last_error = (0 < backlog).then_some(catching_up);
            }
            new != shown
        });
    }
}
