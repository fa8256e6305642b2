//! The web: REST, the live WebSocket, health, metrics and the dashboard, over what the hub hands in.
//!
//! In: `AppState`, traits of `model` and figures of the hub. Out: HTTP, as docs/API.md and docs/LIVE_PROTOCOL.md promise it.
//! It writes nothing, waits on nothing but history, and knows no sink. Bounds: connections, clients, queries under way, time and size of
//! each request; a live client's memory is a cursor and what is left of the one update on its way.

mod asker;
mod assets;
mod downsample;
mod error;
mod format;
mod graph;
mod guard;
mod host;
mod html;
mod live;
mod moment;
mod openapi;
mod params;
mod routes;
mod serve;
mod shapes;
mod stall;
mod starting;
mod state;
mod tier;
mod trial;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;

pub use error::{Problem, method_not_allowed};
pub use graph::{
    ArrangementFigures, ChannelFigures, ChannelWorkerFigures, GraphFigures, OperatorFigures, OperatorWorkerFigures,
    WorkerFigures,
};
pub use host::HostPolicy;
pub use html::Escaped;
pub use live::handshake::Opening;
pub use serve::{Connections, Peer, serve, serve_starting};
pub use starting::{ReplayView, StartProgress, Starting};
pub use state::{
    AppState, ArrivalView, HubStats, HubStatsSource, PipelineView, QueueView, Readiness, SettingView, StageView,
    SyntheticStage, SyntheticView, WebSettings,
};

use state::Shared;

/// All paths, without the tasks that feed the live clients: for tests, and for a server of one's own.
pub fn router(state: AppState) -> Router {
    router_of(&Shared::new(state))
}

pub(crate) fn router_of(shared: &Arc<Shared>) -> Router {
    routes::all()
        .fallback(assets::fallback)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(shared), guard::guard))
        .with_state(Arc::clone(shared))
}
