//! What the web asks of the stores, as traits: sinks implement them, the hub hands them over, web knows no sink.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::alert::Alert;
use crate::bound::Roster;
use crate::dead_letter::DeadLetter;
use crate::fleet::{Hottest, Tag};
use crate::group::{AlertGroup, GroupKey};
use crate::ids::MachineId;
use crate::machine::{MachineInfo, Processes, Status};
use crate::record::RejectReason;
use crate::series::SeriesKey;
use crate::time::Timestamp;

/// A query's answer, later. Dropping it cancels the query.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, QueryError>> + Send + 'a>>;

#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    /// The store cannot answer now; live data goes on. Web answers 503.
    #[error("history is unavailable: {0}")]
    Unavailable(String),
    /// The query took longer than its deadline.
    #[error("the query took longer than {0} ms; ask for a shorter range or fewer series")]
    Timeout(u64),
    #[error("history failed: {0}")]
    Failed(String),
}

/// Everything that is known of a machine just now.
#[derive(Debug, Clone)]
pub struct MachineView {
    pub machine: MachineId,
    pub status: Status,
    /// Arrival of its newest frame.
    pub last_seen: Timestamp,
    pub info: Option<Arc<MachineInfo>>,
    /// Names of `values` and `times`, slot by slot; none before the first frame.
    pub roster: Option<Arc<Roster>>,
    pub values: Box<[f64]>,
    /// Event time of each value; `Timestamp::MIN` where there is none yet.
    pub times: Box<[Timestamp]>,
    pub processes: Option<Arc<Processes>>,
    /// Firing alerts by severity: info, warning, critical.
    pub alerts: [u32; 3],
}

/// What changed in the hot state since a version.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Ask for changes since this next time.
    pub version: u64,
    pub machines: Vec<Arc<MachineView>>,
    pub removed: Vec<MachineId>,
    /// Alerts that fired or resolved, the newest state of each.
    pub alerts: Vec<Arc<Alert>>,
}

/// Latest values, in memory. Never waits.
pub trait HotState: Send + Sync {
    /// In id order.
    fn machines(&self) -> Vec<Arc<MachineView>>;
    fn machine(&self, id: &MachineId) -> Option<Arc<MachineView>>;
    /// Firing alerts, worst first, then newest.
    fn alerts(&self) -> Vec<Arc<Alert>>;
    /// Groups of firing alerts: the worst first, then the one with the most alerts that a person is to hear of.
    fn groups(&self) -> Vec<(GroupKey, Arc<AlertGroup>)>;
    /// The top of each metric in the newest complete minute of the fleet; none before the first.
    fn hottest(&self) -> Option<Arc<Hottest>>;
    /// The newest version; rises with every change.
    fn version(&self) -> u64;
    /// All changes after `version`; 0 gives everything. Removals older than the newest 1,024 come as a full snapshot.
    fn changes(&self, since: u64) -> Changes;
}

/// Storage tier of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    Raw,
    Minute,
    Hour,
}

/// One machine's series over a range `[from, to)` in one tier.
#[derive(Debug, Clone)]
pub struct RangeQuery {
    pub machine: MachineId,
    /// Catalogue names; empty: all metrics.
    pub metrics: Vec<String>,
    pub from: Timestamp,
    pub to: Timestamp,
    pub tier: Tier,
    /// Most points of all series together; the store stops there and says `truncated`.
    pub points_max: usize,
}

/// Points of one series, column-wise, in time order. In the raw tier `v` is the value and the other columns are empty.
#[derive(Debug, Clone, Default)]
pub struct SeriesPoints {
    pub key: Option<Arc<SeriesKey>>,
    pub t: Vec<Timestamp>,
    /// Raw value, or the mean of the window.
    pub v: Vec<f64>,
    pub min: Vec<f64>,
    pub max: Vec<f64>,
    pub count: Vec<u64>,
    pub sum: Vec<f64>,
    pub last: Vec<f64>,
    pub is_final: Vec<bool>,
}

#[derive(Debug, Clone, Default)]
pub struct RangeAnswer {
    pub series: Vec<SeriesPoints>,
    /// Part of the range is older than what the tier keeps.
    pub partial: bool,
    pub truncated: bool,
}

#[derive(Debug, Clone)]
pub struct AlertQuery {
    pub from: Timestamp,
    pub to: Timestamp,
    /// Without one, those of made-up machines are left out (`Alert::is_synthetic`).
    pub machine: Option<MachineId>,
    pub rule: Option<String>,
    /// Rows to skip and to return.
    pub offset: usize,
    pub limit: usize,
}

/// Which dead letters are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterQuery {
    pub id: Option<String>,
    pub reason: Option<RejectReason>,
    /// Without those that were sent again.
    pub is_waiting: bool,
    /// Rows to skip and to return.
    pub offset: usize,
    pub limit: usize,
}

/// Whose minutes are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfFleet {
    All,
    /// The machines with a tag of this name, value by value.
    Name(String),
    Tag(Tag),
}

/// One metric of the fleet's minutes over a range `[from, to)`.
#[derive(Debug, Clone)]
pub struct FleetQuery {
    /// Catalogue name.
    pub metric: String,
    pub of: OfFleet,
    pub from: Timestamp,
    pub to: Timestamp,
    /// Most points of all series together; the store stops there and says `truncated`.
    pub points_max: usize,
}

/// One group's minutes of one metric, column-wise, in time order.
#[derive(Debug, Clone, Default)]
pub struct FleetPoints {
    /// `None`: the whole fleet.
    pub tag: Option<Tag>,
    pub t: Vec<Timestamp>,
    pub machines: Vec<u32>,
    pub count: Vec<u64>,
    pub sum: Vec<f64>,
    pub min: Vec<f64>,
    pub max: Vec<f64>,
}

#[derive(Debug, Clone, Default)]
pub struct FleetAnswer {
    /// In the order of the tags' values.
    pub series: Vec<FleetPoints>,
    /// Part of the range is older than what is kept.
    pub partial: bool,
    pub truncated: bool,
}

/// What ran on a machine at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessQuery {
    pub machine: MachineId,
    pub at: Timestamp,
    /// How far away a table may be and still be the answer, where the instant's own minute has none.
    pub reach: Duration,
}

/// Stored data.
pub trait History: Send + Sync {
    fn range(&self, query: RangeQuery) -> Answer<'_, RangeAnswer>;
    /// The busiest table of the instant's minute, else the nearest one within reach. Kept as long as the raw tier.
    fn processes(&self, query: ProcessQuery) -> Answer<'_, Option<Processes>>;
    /// Kept as long as the minute tier.
    fn fleet(&self, query: FleetQuery) -> Answer<'_, FleetAnswer>;
    /// Newest first.
    fn alerts(&self, query: AlertQuery) -> Answer<'_, Vec<Alert>>;
    /// Newest first.
    fn dead_letters(&self, query: DeadLetterQuery) -> Answer<'_, Vec<DeadLetter>>;
    /// How long a tier is kept.
    fn kept(&self, tier: Tier) -> Duration;
}

/// State of a dependency, for `/ready`, the dashboard and logs.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Health {
    pub name: &'static str,
    pub is_up: bool,
    /// Without it the hub cannot do its work: `/ready` answers 503 while it is down.
    pub is_required: bool,
    pub since_ms: i64,
    pub latency_ms: Option<f64>,
    pub last_error: Option<String>,
    /// Of what has a circuit breaker: `closed`, `half_open` or `open`.
    pub circuit: Option<&'static str>,
    /// What it is, for a person: product, version, how it is used.
    pub detail: Option<String>,
}
