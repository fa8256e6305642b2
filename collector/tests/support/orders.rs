//! The hub's say: a control stream that gives commands, and a configuration with an interval.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use proto::pb;
use proto::pb::config_service_server::{ConfigService, ConfigServiceServer};
use proto::pb::control_service_server::{ControlService, ControlServiceServer};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

#[derive(Clone)]
pub(crate) struct Orders {
    commands: Vec<pb::Command>,
    configs: Vec<pb::CollectorConfig>,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) results: Vec<pb::CommandResult>,
    pub(crate) reports: Vec<pb::ConfigReport>,
}

impl Orders {
    pub(crate) async fn serve(commands: Vec<pb::Command>, configs: Vec<pb::CollectorConfig>) -> (Self, SocketAddr) {
        let orders = Self { commands, configs, heard: Arc::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let server = tonic::transport::Server::builder()
            .add_service(ControlServiceServer::new(orders.clone()))
            .add_service(ConfigServiceServer::new(orders.clone()));
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        tokio::spawn(server.serve_with_incoming(incoming));
        (orders, address)
    }

    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().expect("no test panics with the lock")
    }
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The items, and then an open stream without any more.
fn then_open<T: Send + 'static>(items: Vec<T>) -> Response<Responses<T>> {
    let items = tokio_stream::iter(items.into_iter().map(Ok));
    Response::new(Box::pin(items.chain(tokio_stream::pending())))
}

#[tonic::async_trait]
impl ControlService for Orders {
    type ControlStream = Responses<pb::Command>;

    async fn control(
        &self,
        request: Request<Streaming<pb::CommandResult>>,
    ) -> Result<Response<Self::ControlStream>, Status> {
        let (orders, mut results) = (self.clone(), request.into_inner());
        tokio::spawn(async move {
            while let Ok(Some(result)) = results.message().await {
                orders.heard().results.push(result);
            }
        });
        Ok(then_open(self.commands.clone()))
    }
}

#[tonic::async_trait]
impl ConfigService for Orders {
    type WatchConfigStream = Responses<pb::CollectorConfig>;

    async fn watch_config(
        &self,
        _: Request<pb::WatchConfigRequest>,
    ) -> Result<Response<Self::WatchConfigStream>, Status> {
        Ok(then_open(self.configs.clone()))
    }

    async fn report_config(
        &self,
        request: Request<pb::ConfigReport>,
    ) -> Result<Response<pb::ConfigReportReply>, Status> {
        self.heard().reports.push(request.into_inner());
        Ok(Response::new(pb::ConfigReportReply {}))
    }

    async fn list_rules(&self, _: Request<pb::ListRulesRequest>) -> Result<Response<pb::RuleList>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn create_rule(&self, _: Request<pb::CreateRuleRequest>) -> Result<Response<pb::RuleReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn update_rule(&self, _: Request<pb::UpdateRuleRequest>) -> Result<Response<pb::RuleReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn delete_rule(&self, _: Request<pb::DeleteRuleRequest>) -> Result<Response<pb::DeleteRuleReply>, Status> {
        Err(Status::unimplemented(""))
    }
}
