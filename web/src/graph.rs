//! Graph figures: what each operator of the dataflow does, as `GET /api/v1/pipeline` gives it. Filled by the hub.

use serde::Serialize;

/// The dataflow from within. Rates are `null` until there is a second look to compare with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = Graph)]
pub struct GraphFigures {
    /// Time over which rates and shares are taken: since a look some ten seconds ago, or the last one before that.
    #[schema(required)]
    pub over_s: Option<f64>,
    /// By index.
    pub workers: Vec<WorkerFigures>,
    /// In flow order.
    pub operators: Vec<OperatorFigures>,
    pub channels: Vec<ChannelFigures>,
    pub arrangements: Vec<ArrangementFigures>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = GraphWorker)]
pub struct WorkerFigures {
    /// Part of the time in which it did not sleep.
    #[schema(required)]
    pub awake_share: Option<f64>,
    #[schema(required)]
    pub wakes_per_s: Option<f64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = GraphOperator)]
pub struct OperatorFigures {
    /// Unique in the graph.
    pub name: String,
    /// Has operators within; its figures are without theirs.
    pub scope: bool,
    /// By the worker's index.
    pub workers: Vec<OperatorWorkerFigures>,
}

/// An operator on one worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = GraphOperatorWorker)]
pub struct OperatorWorkerFigures {
    /// Part of one core.
    #[schema(required)]
    pub busy_share: Option<f64>,
    #[schema(required)]
    pub schedules_per_s: Option<f64>,
    #[schema(required)]
    pub records_in_per_s: Option<f64>,
    #[schema(required)]
    pub records_out_per_s: Option<f64>,
    /// Sent to it and not yet taken.
    pub waiting_records: u64,
    /// How far its inputs are behind what is durable; `None` for operators that do not look.
    #[schema(required)]
    pub lag_ms: Option<f64>,
    /// These since the start.
    pub busy_s: f64,
    pub schedules: u64,
    pub records_in: u64,
    pub records_out: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = Channel)]
pub struct ChannelFigures {
    pub source: String,
    pub source_port: usize,
    pub target: String,
    pub target_port: usize,
    /// By the index of the worker they go to.
    pub workers: Vec<ChannelWorkerFigures>,
}

/// A channel towards one worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = ChannelWorker)]
pub struct ChannelWorkerFigures {
    /// Taken since the start.
    pub records: u64,
    pub waiting_records: u64,
    pub waiting_messages: u64,
}

/// What differential keeps indexed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Arrangement)]
pub struct ArrangementFigures {
    pub name: String,
    pub records: u64,
    pub batches: u64,
    /// Not yet indexed: their time is not complete.
    pub waiting_records: u64,
    /// Records times the size of one, without what it points at.
    #[schema(required)]
    pub approx_bytes: Option<u64>,
}
