//! Live: opens a WebSocket, where there is a place and the page is ours.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};

use crate::error::Problem;
use crate::live::client;
use crate::state::Shared;

pub(super) async fn upgrade(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let Ok(upgrade) = upgrade else {
        let detail = "this path speaks WebSocket only; docs/LIVE_PROTOCOL.md describes it";
        return Err(Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", detail));
    };
    shared.app.settings.hosts.check_origin(&uri, &headers)?;
    let Some(seat) = shared.live.seat() else {
        shared.live.counters.refused.increment();
        let detail = format!("all {} live places are taken; try again later", shared.app.settings.clients_max);
        return Err(Problem::unavailable("too_many_clients", detail));
    };
    Ok(client::with_limits(upgrade).on_upgrade(move |socket| client::converse(socket, shared, seat)))
}
