//! A way to the hub that loses a frame without a word: what the hub acknowledges next covers it, so neither side hears of it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proto::pb;
use proto::pb::metrics_service_client::MetricsServiceClient;
use proto::pb::metrics_service_server::{MetricsService, MetricsServiceServer};
use proto::pb::push_request::Message;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, Streaming};

/// Gone with the value.
pub(crate) struct Dropping {
    pub(crate) address: SocketAddr,
    pub(crate) dropped: Arc<AtomicUsize>,
    runtime: tokio::runtime::Runtime,
}

struct Way {
    hub: MetricsServiceClient<Channel>,
    sequence: u64,
    dropped: Arc<AtomicUsize>,
}

impl Dropping {
    /// Forwards to the hub at `grpc` and loses the frame of this sequence of every stream.
    pub(crate) fn start(grpc: &str, sequence: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let hub = runtime.block_on(MetricsServiceClient::connect(grpc.to_owned())).unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let (address, dropped) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let way = Way { hub, sequence, dropped: Arc::clone(&dropped) };
        let server = Server::builder().add_service(MetricsServiceServer::new(way));
        runtime.spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { address, dropped, runtime }
    }

    pub(crate) fn stop(self) -> usize {
        self.runtime.shutdown_background();
        self.dropped.load(Ordering::SeqCst)
    }
}

#[tonic::async_trait]
impl MetricsService for Way {
    type PushStream = Pin<Box<dyn Stream<Item = Result<pb::PushResponse, Status>> + Send>>;

    async fn push(&self, request: Request<Streaming<pb::PushRequest>>) -> Result<Response<Self::PushStream>, Status> {
        let (sequence, dropped) = (self.sequence, Arc::clone(&self.dropped));
        let sent = request.into_inner().map_while(Result::ok).filter(move |request| {
            let is_lost = matches!(&request.message, Some(Message::Frame(frame)) if frame.sequence == sequence);
            dropped.fetch_add(usize::from(is_lost), Ordering::SeqCst);
            !is_lost
        });
        let answers = self.hub.clone().push(sent).await?;
        Ok(Response::new(Box::pin(answers.into_inner())))
    }

    async fn stream_metrics(&self, _: Request<Streaming<pb::Metric>>) -> Result<Response<pb::StreamAck>, Status> {
        Err(Status::unimplemented("only Push goes this way"))
    }

    async fn get_current_state(&self, _: Request<pb::StateRequest>) -> Result<Response<pb::MachineState>, Status> {
        Err(Status::unimplemented("only Push goes this way"))
    }

    async fn get_all_states(&self, _: Request<pb::AllStatesRequest>) -> Result<Response<pb::AllStates>, Status> {
        Err(Status::unimplemented("only Push goes this way"))
    }

    async fn list_machines(&self, _: Request<pb::ListMachinesRequest>) -> Result<Response<pb::MachineList>, Status> {
        Err(Status::unimplemented("only Push goes this way"))
    }
}
