//! State: what the hub hands to the web, and what the handlers share.

use std::sync::Arc;
use std::time::Duration;

use model::audit::AuditLog;
use model::command::{CollectorControl, DeadLetterOffice, RuleStore, SilenceStore};
use model::query::{Health, History, HotState};
use model::{MachineId, Timestamp};
use runtime::clock::SharedClock;
use runtime::metrics::Registry;
use runtime::queue::QueueStats;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::graph::GraphFigures;
use crate::host::HostPolicy;
use crate::live::Live;

/// Everything that the web reads. The hub constructs it once.
#[derive(Clone)]
pub struct AppState {
    pub hot: Arc<dyn HotState>,
    /// Wakes when the hot state changed; its value is `hot.version()`, of which the newest counts.
    pub hot_versions: watch::Receiver<u64>,
    pub history: Arc<dyn History>,
    pub rules: Arc<dyn RuleStore>,
    pub silences: Arc<dyn SilenceStore>,
    pub audit: Arc<dyn AuditLog>,
    pub control: Arc<dyn CollectorControl>,
    pub dead_letters: Arc<dyn DeadLetterOffice>,
    /// The effective configuration, secrets masked.
    pub config: Arc<Vec<SettingView>>,
    pub clock: SharedClock,
    pub metrics: Registry,
    pub readiness: Arc<dyn Readiness>,
    pub stats: Arc<dyn HubStatsSource>,
    /// Of the program, as in `0.1.0`.
    pub version: &'static str,
    pub settings: WebSettings,
}

/// One effective setting, as `GET /api/v1/config` gives it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Setting)]
pub struct SettingView {
    pub key: String,
    pub value: String,
    /// Where it comes from.
    pub source: String,
}

/// Limits of the web, from `hub/default.toml`.
#[derive(Debug, Clone)]
pub struct WebSettings {
    /// WebSocket clients; one more is refused with 503.
    pub clients_max: usize,
    /// History queries under way; one more waits, within its request's time. Each may hold some 10 MB of points.
    pub history_queries_max: usize,
    /// Time for one answer.
    pub request_timeout: Duration,
    /// Time for open requests and clients to end once the hub drains.
    pub drain_timeout: Duration,
    /// Names under which the hub may be asked.
    pub hosts: HostPolicy,
}

/// States of what the hub stands on. Closures are one, too.
pub trait Readiness: Send + Sync {
    /// Never waits.
    fn health(&self) -> Vec<Health>;
}

/// The hub's own figures.
pub trait HubStatsSource: Send + Sync {
    /// Called about once a second.
    fn stats(&self) -> HubStats;
    fn pipeline(&self) -> PipelineView;
    /// How a machine's samples come; zeros of one that has sent none.
    fn arrivals(&self, machine: &MachineId) -> ArrivalView;
    /// Series of this process' machines that a rule applies to and is not held against, because there are no places left for them.
    fn unjudged(&self, rule: &str) -> u64;
    /// What the synthetic transactions found; `None` while they are off.
    fn synthetic(&self) -> Option<SyntheticView>;
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct HubStats {
    /// Accepted samples a second, over the last seconds.
    pub samples_per_s: f64,
    /// Measured by the synthetic transactions; `None` while they are off.
    pub latency_p50_ms: Option<f64>,
    pub latency_p99_ms: Option<f64>,
    pub latency_max_ms: Option<f64>,
}

/// How a machine's samples come, in samples since the hub's start, what it replayed then included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Arrivals)]
pub struct ArrivalView {
    /// Newest accepted event time, held back by `pipeline.lateness`: minutes that end at or before it are closed.
    #[schema(required)]
    pub watermark: Option<i64>,
    /// Behind the watermark when they came; they corrected their minute.
    pub late: u64,
    /// There before, by series and time.
    pub duplicate: u64,
    /// Too old to correct their minute at once: stored, and repaired in later.
    pub beyond_horizon: u64,
    /// Refused because they were too far ahead of the hub's clock.
    pub future: u64,
}

/// The figures of `GET /api/v1/synthetic`.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = SyntheticFigures)]
pub struct SyntheticView {
    /// Between two transactions.
    pub every_ms: u64,
    pub sent: u64,
    /// Not seen at every exit yet.
    pub under_way: usize,
    /// Stored more than once.
    pub duplicates: u64,
    /// In flow order.
    pub stages: Vec<SyntheticStage>,
}

/// How long transactions took to one exit.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct SyntheticStage {
    pub name: String,
    pub count: u64,
    /// Of the last five minutes; `None` before the first.
    #[schema(required)]
    pub p50_ms: Option<f64>,
    #[schema(required)]
    pub p99_ms: Option<f64>,
    #[schema(required)]
    pub max_ms: Option<f64>,
    pub late: u64,
    pub lost: u64,
    /// Percentile in percent and milliseconds, since the start.
    pub curve: Vec<(f64, f64)>,
}

/// The figures of `GET /api/v1/pipeline`.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = PipelineFigures)]
pub struct PipelineView {
    /// Logical time, in milliseconds since the Unix epoch, below which all is durable and has left the graph.
    pub complete_until: u64,
    pub samples_per_s: f64,
    pub frames_per_s: f64,
    /// In flow order: ingest, journal, graph, and so on.
    pub stages: Vec<StageView>,
    pub queues: Vec<QueueView>,
    /// The dataflow from within.
    pub graph: GraphFigures,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Stage)]
pub struct StageView {
    pub name: String,
    /// How far it is behind the newest accepted data; `None` where that has no meaning.
    #[schema(required)]
    pub lag_ms: Option<f64>,
    /// Items since the start, by outcome.
    pub totals: std::collections::BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Queue)]
pub struct QueueView {
    pub name: String,
    pub depth: usize,
    pub depth_max: usize,
    pub capacity: usize,
    pub sent: u64,
    pub shed: u64,
}

/// Previews of rules under way.
const PREVIEWS_MAX: usize = 2;

/// What every handler gets.
pub(crate) struct Shared {
    pub(crate) app: AppState,
    pub(crate) live: Live,
    history_permits: Semaphore,
    /// A preview reads a day of many machines: two of them leave room for everybody else's queries.
    pub(crate) preview_permits: Semaphore,
}

impl Default for WebSettings {
    fn default() -> Self {
        Self {
            clients_max: 10_000,
            history_queries_max: 8,
            request_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(5),
            hosts: HostPolicy::any(),
        }
    }
}

impl<F: Fn() -> Vec<Health> + Send + Sync> Readiness for F {
    fn health(&self) -> Vec<Health> {
        self()
    }
}

impl From<&QueueStats> for QueueView {
    fn from(stats: &QueueStats) -> Self {
        Self {
            name: stats.name().to_owned(),
            depth: stats.depth(),
            depth_max: stats.depth_max(),
            capacity: stats.capacity(),
            sent: stats.sent_total(),
            shed: stats.shed_total(),
        }
    }
}

impl Shared {
    pub(crate) fn new(app: AppState) -> Arc<Self> {
        Arc::new(Self {
            live: Live::new(app.settings.clients_max, &app.metrics),
            history_permits: Semaphore::new(app.settings.history_queries_max.max(1)),
            preview_permits: Semaphore::new(PREVIEWS_MAX),
            app,
        })
    }

    /// A place among the questions to the history, which are few at once; it is given back when it is dropped.
    pub(crate) async fn history_permit(&self) -> SemaphorePermit<'_> {
        self.history_permits.acquire().await.expect("the semaphore is never closed")
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.app.clock.now_us())
    }
}
