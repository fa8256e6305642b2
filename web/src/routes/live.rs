//! Live: opens a WebSocket, where there is a place and the page is ours.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Uri};

use crate::error::Problem;
use crate::live::client;
use crate::live::connection::Connection;
use crate::live::handshake::Opening;
use crate::live::request;
use crate::openapi::{Refused, Watching};
use crate::params::Params;
use crate::state::Shared;

/// The live protocol over a WebSocket.
#[utoipa::path(
    get,
    path = "/ws",
    tag = "live",
    params(Watching),
    responses(
        (status = 101, description = "The conversation of docs/LIVE_PROTOCOL.md"),
        Refused<400>, Refused<403>, Refused<426>, Refused<503>
    )
)]
pub(super) async fn upgrade(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    opening: Opening,
) -> Result<Response, Problem> {
    shared.app.settings.hosts.check_origin(&uri, &headers)?;
    let params = Params::read(&uri, &["subscribe"])?;
    let asked = params.one("subscribe")?.map(request::parse).transpose().map_err(Problem::bad_query)?;
    let Some(seat) = shared.live.seat() else {
        shared.live.counters.refused.increment();
        let detail = format!("all {} live places are taken; try again later", shared.app.settings.clients_max);
        return Err(Problem::unavailable("too_many_clients", detail));
    };
    let (response, upgrade) = opening.accept();
    // It ends with its seat, which the drain waits for.
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => match Connection::of(upgraded) {
                Some(connection) => client::converse(connection, shared, seat, asked).await,
                None => tracing::error!("a live client came by a connection that this server did not take"),
            },
            Err(error) => tracing::debug!(%error, "a client left before its WebSocket was open"),
        }
    });
    Ok(response)
}
