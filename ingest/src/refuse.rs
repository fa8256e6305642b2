//! Refuse: the gRPC port while the hub starts. Every call hears UNAVAILABLE, so that a collector knows that somebody is there, keeps
//! its samples and tries again, instead of hanging in a backlog that nobody serves.

use runtime::drain::DrainToken;
use tokio::net::TcpListener;
use tonic::Status;
use tonic::service::Routes;
use tonic::transport::Server;

use crate::accept;
use crate::serve::ServeError;
use crate::settings::StreamSettings;

const WHY: &str = "the hub replays its journal and takes nothing yet; keep your samples and try again";

/// Refuses until `live` begins. Nobody holds a connection open here for long: each call is answered at once.
///
/// # Errors
/// The server cannot go on.
pub async fn refuse(listener: TcpListener, streams: &StreamSettings, live: DrainToken) -> Result<(), ServeError> {
    let router = Routes::default().into_axum_router().reset_fallback();
    let router = router.fallback(|| async { Status::unavailable(WHY).into_http::<tonic::body::Body>() });
    let incoming = accept::connections(listener, streams.connections_max, streams.hello_within);
    let serving = Server::builder()
        .add_routes(Routes::from(router))
        .serve_with_incoming_shutdown(incoming, async move { live.draining().await });
    Ok(serving.await?)
}
