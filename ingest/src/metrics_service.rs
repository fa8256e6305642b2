//! MetricsService: samples in, current state out. Each call is handed to its module; nothing is decided here.
//!
//! One of the calls comes millions of times a second: its messages are read by [`SampleCodec`] instead of the generated code.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::BoxFuture;
use futures_util::{Stream, TryStreamExt};
use model::MachineId;
use model::query::{HotState, MachineView};
use proto::pb::metrics_service_server::{MetricsService, MetricsServiceServer};
use proto::sample::{Sample, SampleCodec};
use proto::{encode, pb};
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::{ClientStreamingService, Grpc, NamedService};
use tonic::{Request, Response, Status, Streaming};

use crate::context::Context;
use crate::{push, samples};

/// The path of the call with one sample a message.
const STREAM_METRICS: &str = "/monitoring.MetricsService/StreamMetrics";

pub(crate) struct Metrics {
    pub(crate) context: Arc<Context>,
    pub(crate) hot: Arc<dyn HotState>,
}

impl Metrics {
    /// Made-up machines are told of only to who names them.
    fn real(&self) -> Vec<Arc<MachineView>> {
        let mut machines = self.hot.machines();
        machines.retain(|view| !view.machine.is_synthetic());
        machines
    }
}

#[tonic::async_trait]
impl MetricsService for Metrics {
    async fn stream_metrics(&self, request: Request<Streaming<pb::Metric>>) -> Result<Response<pb::StreamAck>, Status> {
        let samples = request.into_inner().map_ok(|metric| Sample::from(&metric));
        samples::serve(Arc::clone(&self.context), samples).await.map(Response::new)
    }

    type PushStream = Pin<Box<dyn Stream<Item = Result<pb::PushResponse, Status>> + Send>>;

    async fn push(&self, request: Request<Streaming<pb::PushRequest>>) -> Result<Response<Self::PushStream>, Status> {
        let answers = push::open(Arc::clone(&self.context), request.into_inner());
        Ok(Response::new(Box::pin(answers)))
    }

    async fn get_current_state(
        &self,
        request: Request<pb::StateRequest>,
    ) -> Result<Response<pb::MachineState>, Status> {
        let machine = parse(&request.get_ref().machine_id)?;
        let view = self.hot.machine(&machine);
        let view = view.ok_or_else(|| Status::not_found(format!("machine {machine} is not known")))?;
        Ok(Response::new(encode::machine_state(&view)))
    }

    async fn get_all_states(&self, _request: Request<pb::AllStatesRequest>) -> Result<Response<pb::AllStates>, Status> {
        let states = self.real().iter().map(|view| encode::machine_state(view)).collect();
        Ok(Response::new(pb::AllStates { states }))
    }

    async fn list_machines(
        &self,
        _request: Request<pb::ListMachinesRequest>,
    ) -> Result<Response<pb::MachineList>, Status> {
        let machines = self.real().iter().map(|view| encode::machine_summary(view)).collect();
        Ok(Response::new(pb::MachineList { machines }))
    }
}

/// The service as it is served: `StreamMetrics` with a codec of its own, everything else as generated.
#[derive(Clone)]
pub(crate) struct MetricsServer {
    generated: MetricsServiceServer<Metrics>,
    context: Arc<Context>,
}

impl MetricsServer {
    pub(crate) fn new(metrics: Metrics) -> Self {
        let context = Arc::clone(&metrics.context);
        let bytes_max = context.streams.message_bytes_max;
        Self { generated: MetricsServiceServer::new(metrics).max_decoding_message_size(bytes_max), context }
    }
}

impl NamedService for MetricsServer {
    const NAME: &'static str = <MetricsServiceServer<Metrics> as NamedService>::NAME;
}

impl Service<http::Request<Body>> for MetricsServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<http::Request<Body>>::poll_ready(&mut self.generated, context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != STREAM_METRICS {
            return self.generated.call(request);
        }
        let context = Arc::clone(&self.context);
        Box::pin(async move {
            let bytes_max = Some(context.streams.message_bytes_max);
            let mut grpc = Grpc::new(SampleCodec).apply_max_message_size_config(bytes_max, None);
            Ok(grpc.client_streaming(Samples(context), request).await)
        })
    }
}

struct Samples(Arc<Context>);

impl ClientStreamingService<Sample> for Samples {
    type Response = pb::StreamAck;
    type Future = BoxFuture<'static, Result<Response<pb::StreamAck>, Status>>;

    fn call(&mut self, request: Request<Streaming<Sample>>) -> Self::Future {
        let context = Arc::clone(&self.0);
        Box::pin(async move { samples::serve(context, request.into_inner()).await.map(Response::new) })
    }
}

/// A machine id in a request.
pub(crate) fn parse(raw: &str) -> Result<MachineId, Status> {
    MachineId::parse(raw).map_err(|invalid| Status::invalid_argument(invalid.to_string()))
}
