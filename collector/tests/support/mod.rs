//! A hub that keeps what it is sent in memory, and does as the test says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use collector::sources::{Source, SourceError};
use collector::{Collector, CollectorError, Readings, Settings};
use model::MachineId;
use proto::pb;
use proto::pb::metrics_service_server::{MetricsService, MetricsServiceServer};
use proto::pb::push_request::Message;
use runtime::clock::SystemClock;
use runtime::drain::Drain;
use runtime::metrics::Registry;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::Stream;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// What the hub saw of one stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) hello: pb::Hello,
    /// Sequences in the order they came.
    pub(crate) sequences: Vec<u64>,
    pub(crate) layouts: u32,
    /// Layout messages.
    pub(crate) layout_messages: u32,
    /// Frames are shed until this layout comes again.
    pub(crate) missing: Option<u32>,
    pub(crate) shed: u32,
    pub(crate) tables: u32,
    pub(crate) messages: u32,
    /// Broken promises: an unknown layout, more frames than credit.
    pub(crate) breaches: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) streams: Vec<Seen>,
    /// Per session, what is on the hub's disk.
    pub(crate) marks: BTreeMap<u64, u64>,
    pub(crate) acknowledges: bool,
    pub(crate) credit: u32,
    /// Sent once, when the next frame comes.
    pub(crate) forgets_layout: bool,
    pub(crate) refuses: Option<tonic::Code>,
}

#[derive(Clone)]
pub(crate) struct Hub {
    state: Arc<Mutex<State>>,
    cut: Arc<watch::Sender<u32>>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        let state = State {
            streams: Vec::new(),
            marks: BTreeMap::new(),
            acknowledges: true,
            credit: 16,
            forgets_layout: false,
            refuses: None,
        };
        Self { state: Arc::new(Mutex::new(state)), cut: Arc::new(watch::Sender::new(0)) }
    }

    pub(crate) async fn serve(&self) -> SocketAddr {
        self.serve_on("127.0.0.1:0".parse().expect("an address")).await
    }

    pub(crate) async fn serve_on(&self, address: SocketAddr) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let server = tonic::transport::Server::builder().add_service(MetricsServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        address
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with the lock")
    }

    /// Breaks every open stream.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Every sequence that ever came, each once, in the order of first arrival.
    pub(crate) fn arrived(&self) -> Vec<u64> {
        let mut arrived = Vec::new();
        for stream in &self.state().streams {
            arrived.extend(stream.sequences.iter().filter(|sequence| !arrived.contains(*sequence)).collect::<Vec<_>>());
        }
        arrived
    }

    fn answer(&self, stream: usize, message: Message) -> Option<pb::PushResponse> {
        let mut state = self.state();
        let frames = match message {
            Message::Frame(frame) => vec![frame],
            Message::Frames(frames) => frames.frames,
            Message::Layout(layout) => {
                let seen = &mut state.streams[stream];
                seen.layouts = seen.layouts.max(layout.id);
                seen.layout_messages += 1;
                seen.missing = seen.missing.filter(|missing| *missing != layout.id);
                return None;
            }
            Message::Processes(_) => {
                state.streams[stream].tables += 1;
                return None;
            }
            Message::Hello(_) => {
                state.streams[stream].breaches.push("a second hello".to_owned());
                return None;
            }
        };
        let (credit, forgets) = (state.credit, std::mem::take(&mut state.forgets_layout));
        let session = state.streams[stream].hello.session;
        let seen = &mut state.streams[stream];
        seen.messages += 1;
        if seen.missing.is_some() {
            seen.shed += 1;
            return None;
        }
        if forgets {
            seen.missing = frames.first().map(|frame| frame.layout);
            return Some(pb::PushResponse {
                credit,
                unknown_layouts: seen.missing.into_iter().collect(),
                ..pb::PushResponse::default()
            });
        }
        for frame in &frames {
            if frame.layout == 0 || seen.layouts < frame.layout {
                seen.breaches.push(format!("frame {} has an unknown layout", frame.sequence));
            }
            seen.sequences.push(frame.sequence);
        }
        let newest = frames.last().map_or(0, |frame| frame.sequence);
        if !state.acknowledges {
            return None;
        }
        state.marks.insert(session, newest);
        Some(pb::PushResponse { acknowledged: newest, credit, ..pb::PushResponse::default() })
    }

    fn open(&self, hello: pb::Hello) -> (usize, pb::PushResponse) {
        let mut state = self.state();
        let acknowledged = state.marks.get(&hello.session).copied().unwrap_or(0);
        state.streams.push(Seen { hello, ..Seen::default() });
        let response = pb::PushResponse { acknowledged, credit: state.credit, ..pb::PushResponse::default() };
        (state.streams.len() - 1, response)
    }
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl MetricsService for Hub {
    type PushStream = Responses<pb::PushResponse>;

    async fn push(&self, request: Request<Streaming<pb::PushRequest>>) -> Result<Response<Self::PushStream>, Status> {
        if let Some(code) = self.state().refuses {
            return Err(Status::new(code, "as the test says"));
        }
        let (responses, stream) = mpsc::channel(64);
        let (hub, mut requests, mut cut) = (self.clone(), request.into_inner(), self.cut.subscribe());
        tokio::spawn(async move {
            let Ok(Some(pb::PushRequest { message: Some(Message::Hello(hello)) })) = requests.message().await else {
                return;
            };
            let (index, first) = hub.open(hello);
            let mut answer = Some(first);
            loop {
                if let Some(response) = answer.take() {
                    drop(responses.send(Ok(response)).await);
                }
                tokio::select! {
                    request = requests.message() => match request {
                        Ok(Some(pb::PushRequest { message: Some(message) })) => answer = hub.answer(index, message),
                        _ => return,
                    },
                    _ = cut.changed() => {
                        drop(responses.send(Err(Status::unavailable("cut"))).await);
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn stream_metrics(&self, _: Request<Streaming<pb::Metric>>) -> Result<Response<pb::StreamAck>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_current_state(&self, _: Request<pb::StateRequest>) -> Result<Response<pb::MachineState>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_all_states(&self, _: Request<pb::AllStatesRequest>) -> Result<Response<pb::AllStates>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_machines(&self, _: Request<pb::ListMachinesRequest>) -> Result<Response<pb::MachineList>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// Two series, and a third from the third reading on, so that the layout changes.
struct Fake(u32);

impl Source for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn read(&mut self, _at_us: u64, out: &mut Readings) -> Result<(), SourceError> {
        self.0 += 1;
        out.plain("system.uptime", 1.0);
        out.plain("system.process.count", 2.0);
        if self.0 > 2 {
            out.plain("system.memory.used", 3.0);
        }
        Ok(())
    }
}

pub(crate) fn settings(hub: SocketAddr) -> Settings {
    Settings {
        interval: std::time::Duration::from_millis(20),
        tags: [("role".to_owned(), "test".to_owned())].into(),
        ..Settings::new(MachineId::parse("m-1").expect("a lawful id"), hub.to_string())
    }
}

/// A collector that runs until it is told to end.
pub(crate) struct Running {
    drain: Drain,
    task: JoinHandle<Result<(), CollectorError>>,
    pub(crate) metrics: Registry,
}

impl Running {
    pub(crate) fn start(settings: Settings) -> Self {
        let (drain, metrics) = (Drain::new(), Registry::new());
        let collector = Collector {
            settings,
            sources: vec![Box::new(Fake(0))],
            clock: SystemClock::shared(),
            metrics: metrics.clone(),
        };
        let task = tokio::spawn(collector.run(drain.token()));
        Self { drain, task, metrics }
    }

    pub(crate) async fn end(self) {
        self.drain.begin();
        self.task.await.expect("no panic").expect("a good end");
    }
}
