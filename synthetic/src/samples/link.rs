//! Link: one StreamMetrics call whose body is messages that are bytes already, many in each piece.
//!
//! The generated client frames each message by itself; here a piece of the body holds some thousand of them, framed when they were made.

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use prost::Message;
use proto::pb;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::http::{Method, Request, Version};
use tonic::codegen::{Service, http};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::wire::HEAD_BYTES;

const STREAM_METRICS: &str = "/monitoring.MetricsService/StreamMetrics";
/// Pieces that wait for the network.
const WAITING: usize = 2;

pub(super) struct SampleLink {
    pieces: mpsc::Sender<Bytes>,
    answer: JoinHandle<Result<pb::StreamAck, Status>>,
}

impl SampleLink {
    pub(super) fn open(channel: Channel) -> Self {
        let (pieces, waiting) = mpsc::channel(WAITING);
        Self { pieces, answer: tokio::spawn(call(channel, waiting)) }
    }

    /// # Errors
    /// When the call has ended, or nothing could be sent until then.
    pub(super) async fn send(&mut self, piece: Bytes, until: Instant) -> Result<(), Status> {
        match timeout_at(until, self.pieces.send(piece)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Status::unavailable("the hub ended the stream")),
            Err(_elapsed) => Err(Status::deadline_exceeded("the hub takes nothing")),
        }
    }

    /// Closes this half and waits for what the hub says.
    ///
    /// # Errors
    /// What the hub says against it.
    pub(super) async fn close(self) -> Result<pb::StreamAck, Status> {
        drop(self.pieces);
        self.answer.await.unwrap_or_else(|error| Err(Status::internal(error.to_string())))
    }
}

async fn call(mut channel: Channel, pieces: mpsc::Receiver<Bytes>) -> Result<pb::StreamAck, Status> {
    let frames = ReceiverStream::new(pieces).map(|piece| Ok::<_, Status>(http_body::Frame::data(piece)));
    let request = Request::builder()
        .method(Method::POST)
        .version(Version::HTTP_2)
        .uri(STREAM_METRICS)
        .header(http::header::TE, "trailers")
        .header(http::header::CONTENT_TYPE, "application/grpc")
        .body(Body::new(StreamBody::new(frames)))
        .map_err(|error| Status::internal(error.to_string()))?;
    let gone = |error: tonic::transport::Error| Status::unavailable(error.to_string());
    std::future::poll_fn(|context| channel.poll_ready(context)).await.map_err(gone)?;
    let answer = channel.call(request).await.map_err(gone)?;
    // An answer without a message has its status in the head.
    if let Some(status) = Status::from_header_map(answer.headers()).filter(|status| status.code() != Code::Ok) {
        return Err(status);
    }
    let body = answer.into_body().collect().await?;
    if let Some(status) = body.trailers().and_then(Status::from_header_map).filter(|status| status.code() != Code::Ok) {
        return Err(status);
    }
    let mut bytes = body.to_bytes();
    if bytes.len() < HEAD_BYTES {
        return Err(Status::internal("the hub acknowledged nothing"));
    }
    bytes.advance(HEAD_BYTES);
    pb::StreamAck::decode(bytes).map_err(|error| Status::internal(error.to_string()))
}
