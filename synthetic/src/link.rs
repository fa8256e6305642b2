//! Link: one Push stream to a hub, as a collector has it: hello, the hub's mark, the layout, then messages that are bytes already.

use std::time::Duration;

use bytes::Bytes;
use proto::pb;
use proto::pb::push_request::Message;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

use crate::wire::{self, RawCodec};

const PUSH: &str = "/monitoring.MetricsService/Push";
/// From the call to the hub's first answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages handed to the transport ahead of the network.
const OUTGOING: usize = 4;
/// Streams on one connection; a hub's default is 128.
const STREAMS_PER_CONNECTION: u32 = 50;
/// What may be under way on a connection unread: below it, 50 fast streams would wait for each other.
const WINDOW_BYTES: u32 = 8 << 20;

/// The connections of a run, each shared by some machines, made when first used and made again when lost.
#[derive(Debug, Clone)]
pub(crate) struct Connections(Vec<Channel>);

pub(crate) struct Link {
    pub(crate) requests: mpsc::Sender<Bytes>,
    pub(crate) answers: Streaming<pb::PushResponse>,
}

impl Connections {
    /// # Errors
    /// When the address is none.
    pub(crate) fn to(grpc: &str, machines: u32) -> Result<Self, tonic::transport::Error> {
        let url = if grpc.contains("://") { grpc.to_owned() } else { format!("http://{grpc}") };
        let endpoint = Endpoint::from_shared(url)?
            .connect_timeout(CONNECT_TIMEOUT)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .tcp_nodelay(true);
        let count = machines.div_ceil(STREAMS_PER_CONNECTION).max(1);
        Ok(Self((0..count).map(|_| endpoint.connect_lazy()).collect()))
    }

    pub(crate) fn of(&self, machine: u32) -> Channel {
        self.0[machine as usize % self.0.len()].clone()
    }
}

impl Link {
    /// Opens the stream; also answers what the hub has of this session already, and its credit.
    ///
    /// # Errors
    /// Why the hub does not take it.
    pub(crate) async fn open(
        channel: Channel,
        hello: pb::Hello,
        layout: pb::Layout,
    ) -> Result<(Self, pb::PushResponse), Status> {
        let opening = async {
            let (requests, waiting) = mpsc::channel(OUTGOING);
            let closed = |_| Status::unavailable("the stream closed at once");
            requests.send(wire::request(Message::Hello(hello))).await.map_err(closed)?;
            let mut grpc = Grpc::new(channel);
            grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let (path, codec) = (PathAndQuery::from_static(PUSH), RawCodec::<pb::PushResponse>::default());
            let mut answers =
                grpc.streaming(Request::new(ReceiverStream::new(waiting)), path, codec).await?.into_inner();
            let first = answers.message().await?.ok_or_else(|| Status::unavailable("the hub closed the stream"))?;
            requests.send(wire::request(Message::Layout(layout))).await.map_err(closed)?;
            Ok((Self { requests, answers }, first))
        };
        timeout(OPEN_TIMEOUT, opening).await.unwrap_or_else(|_elapsed| Err(Status::deadline_exceeded("no answer")))
    }
}
