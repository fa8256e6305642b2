//! Health: `grpc.health.v1` for the whole server, each service, and each service's short name (what older probes ask for).
//!
//! Serving from the start (the port opens when the hub is ready), not serving while the hub drains.

use proto::pb::config_service_server::SERVICE_NAME as CONFIG;
use proto::pb::control_service_server::SERVICE_NAME as CONTROL;
use proto::pb::metrics_service_server::SERVICE_NAME as METRICS;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

const SERVICES: [&str; 3] = [METRICS, CONTROL, CONFIG];

pub(crate) async fn set(reporter: &HealthReporter, status: ServingStatus) {
    reporter.set_service_status("", status).await;
    for service in SERVICES {
        let short = service.rsplit('.').next().unwrap_or(service);
        reporter.set_service_status(service, status).await;
        reporter.set_service_status(short, status).await;
    }
}
