//! Serve: the gRPC server on a listener, until the hub drains.
//!
//! On drain: health says not serving, the port takes nothing new, streams finish what they have handed in, hear UNAVAILABLE and
//! end; what has not ended within the deadline is cut off, unacknowledged.

use std::sync::Arc;

use model::command::RuleStore;
use model::query::HotState;
use proto::pb::config_service_server::ConfigServiceServer;
use proto::pb::control_service_server::ControlServiceServer;
use runtime::drain::{Drain, DrainToken};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tracing::{info, warn};

use crate::config_service::{CollectorConfig, Config};
use crate::context::Context;
use crate::control_service::{Collectors, Control};
use crate::metrics_service::{Metrics, MetricsServer};
use crate::start::Ingest;
use crate::{accept, health, reflection};

/// Larger header lists are no collector's.
const HEADER_BYTES_MAX: u32 = 16 << 10;

/// What the services answer from.
pub struct Services {
    pub hot: Arc<dyn HotState>,
    pub rules: Arc<dyn RuleStore>,
    pub config: watch::Receiver<CollectorConfig>,
    pub collectors: Arc<Collectors>,
}

#[derive(Debug, thiserror::Error)]
#[error("serve gRPC")]
pub struct ServeError(#[from] tonic::transport::Error);

/// Serves until `drain` begins and the streams have ended, or the drain's deadline.
///
/// # Errors
/// The server cannot go on.
pub async fn serve(
    listener: TcpListener,
    ingest: &Ingest,
    services: Services,
    drain: DrainToken,
) -> Result<(), ServeError> {
    let cut = Drain::new();
    let context = Arc::new(ingest.context(drain.clone(), cut.token()));
    let streams = context.streams.clone();
    let (reporter, health_service) = tonic_health::server::health_reporter();
    health::set(&reporter, ServingStatus::Serving).await;
    let mut server = Server::builder()
        .http2_keepalive_interval(Some(streams.keepalive_every))
        .http2_keepalive_timeout(Some(streams.keepalive_within))
        .http2_max_header_list_size(Some(HEADER_BYTES_MAX))
        .max_concurrent_streams(Some(streams.streams_per_connection_max));
    let router = server
        .add_service(health_service)
        .add_service(metrics(&context, services.hot))
        .add_service(control(&context, services.collectors))
        .add_service(config(&context, services.config, services.rules))
        .add_optional_service(streams.reflection.then(reflection::v1))
        .add_optional_service(streams.reflection.then(reflection::v1alpha));
    let incoming = accept::connections(listener, streams.connections_max, streams.hello_within);
    let began = drain.clone();
    let serving = router.serve_with_incoming_shutdown(incoming, async move { began.draining().await });
    let overdue = async {
        drain.draining().await;
        health::set(&reporter, ServingStatus::NotServing).await;
        tokio::time::sleep(streams.drain_within).await;
    };
    tokio::select! {
        served = serving => served?,
        () = overdue => {
            warn!("streams did not end in time and are cut off");
            cut.begin();
        }
    }
    info!("gRPC port is closed");
    Ok(())
}

fn metrics(context: &Arc<Context>, hot: Arc<dyn HotState>) -> MetricsServer {
    MetricsServer::new(Metrics { context: Arc::clone(context), hot })
}

fn control(context: &Arc<Context>, collectors: Arc<Collectors>) -> ControlServiceServer<Control> {
    let context = Arc::clone(context);
    let bytes_max = context.streams.message_bytes_max;
    ControlServiceServer::new(Control { context, collectors }).max_decoding_message_size(bytes_max)
}

fn config(
    context: &Arc<Context>,
    config: watch::Receiver<CollectorConfig>,
    rules: Arc<dyn RuleStore>,
) -> ConfigServiceServer<Config> {
    let context = Arc::clone(context);
    let bytes_max = context.streams.message_bytes_max;
    ConfigServiceServer::new(Config { context, config, rules }).max_decoding_message_size(bytes_max)
}
