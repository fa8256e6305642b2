//! MetricsService: samples in, current state out. Each call is handed to its module; nothing is decided here.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use model::MachineId;
use model::query::{HotState, MachineView};
use proto::pb::metrics_service_server::MetricsService;
use proto::{encode, pb};
use tonic::{Request, Response, Status, Streaming};

use crate::context::Context;
use crate::{push, samples};

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
        samples::serve(Arc::clone(&self.context), request.into_inner()).await.map(Response::new)
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

/// A machine id in a request.
pub(crate) fn parse(raw: &str) -> Result<MachineId, Status> {
    MachineId::parse(raw).map_err(|invalid| Status::invalid_argument(invalid.to_string()))
}
