//! Probe: one stamped sample a second through the running hub, followed to every exit, all day long.
//!
//! In: the hub's own gRPC port, as a collector would. Out: a [`Book`] of latencies by stage, and the same as series of the machine [`HUB`], for rules to judge.
//! The machine [`MACHINE`] and its rule are the probe's own. The schedule is open: a transaction is due when it is due, and counted from then.
//! Bounds: the book's; every wait has a deadline or ends with the drain. It harms nobody: when a part of the hub does not answer, transactions are lost, and counted.

mod book;
mod exits;
mod sender;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use model::query::{History, HotState};
use model::rule::{Input, Operator};
use model::{LogicalTime, Rule, Severity};
use runtime::BoxError;
use runtime::drain::DrainToken;
use tokio::sync::watch;
use tokio::time::Instant;

pub use book::{Book, LATE_AFTER, LOST_AFTER, Stage, StageView, View};
use model::synthetic::PREFIX;

/// The machine whose samples are the transactions.
pub const MACHINE: &str = "synthetic-probe";
/// The machine whose series say how they fared. Unlike those of other made-up machines its alerts are for people.
pub const HUB: &str = model::synthetic::HUB;
/// The rule that the probe breaks and keeps in turn.
pub const RULE: &str = "synthetic-probe";
/// Its series, beside [`crate::domain::machines::SEQUENCE`].
const LEVEL: &str = crate::domain::machines::LEVEL;

/// Every so many transactions the rule's verdict changes.
pub(crate) const ALERT_EVERY: u64 = 10;

/// What a probe runs on.
#[derive(Debug, Clone)]
pub struct Settings {
    pub every: Duration,
    /// `host:port` of the hub's own ports.
    pub grpc: String,
    pub http: String,
}

/// Where the history stands; the hub's driver of it.
pub trait Stored: Send + Sync {
    /// Ends when more than up to `after` is committed, and says up to where; none when there will be no more. Cancel safe.
    fn beyond(&self, after: LogicalTime) -> BoxFuture<'_, Option<LogicalTime>>;
}

/// Documents of alerts as a listener gets them; ends, or fails, with the connection.
pub type Alerts = BoxStream<'static, Result<Bytes, BoxError>>;

/// An event bus that the hub tells of alerts.
pub trait AlertBus: Send + Sync {
    /// Listens from now on.
    fn listen(&self) -> BoxFuture<'_, Result<Alerts, BoxError>>;
}

/// The exits that are looked at from inside. The others are asked over their own protocols.
#[derive(Clone)]
pub struct Exits {
    pub hot: Arc<dyn HotState>,
    /// Wakes at every change of the hot state.
    pub versions: watch::Receiver<u64>,
    pub history: Arc<dyn History>,
    pub stored: Arc<dyn Stored>,
    /// None where the hub has no bus.
    pub bus: Option<Arc<dyn AlertBus>>,
}

/// The moments of a probe, by one monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    began: Instant,
}

impl Moments {
    pub(crate) fn us(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX)
    }

    pub(crate) fn now_us(&self) -> u64 {
        self.us(Instant::now())
    }
}

/// Runs until the drain begins.
///
/// # Errors
/// None at present; the type is that of every task.
pub async fn run(
    settings: Settings,
    book: Arc<Book>,
    exits: Exits,
    clock: runtime::clock::SharedClock,
    drain: DrainToken,
) -> Result<(), BoxError> {
    debug_assert!(MACHINE.starts_with(PREFIX) && HUB.starts_with(PREFIX));
    let moments = Moments { began: Instant::now() };
    let url = crate::http::Hub::at(&settings.http).live_url();
    let sending = sender::run(&settings, &book, &clock, moments);
    let watching = async {
        tokio::join!(
            exits::follow_hot(&book, &exits, moments),
            exits::follow_live(&book, &url, moments),
            exits::follow_history(&book, &exits, moments),
            exits::follow_bus(&book, &exits, moments)
        )
    };
    tokio::select! {
        () = drain.draining() => {}
        () = async { tokio::join!(sending, watching); } => {}
    }
    Ok(())
}

/// Fires on every other ten transactions. Its alerts are the probe's alone and shown to nobody.
#[must_use]
pub fn rule() -> Rule {
    Rule {
        name: RULE.to_owned(),
        metric: LEVEL.to_owned(),
        input: Input::Sample,
        operator: Operator::Gt,
        threshold: 0.5,
        clear: None,
        for_s: 0,
        no_data_s: None,
        severity: Severity::Info,
        enabled: true,
        machines: vec![MACHINE.to_owned()],
        tags: std::collections::BTreeMap::new(),
        labels: std::collections::BTreeMap::new(),
        group_by: Vec::new(),
        summary: "made by the synthetic transactions, to time alerts".to_owned(),
    }
}
