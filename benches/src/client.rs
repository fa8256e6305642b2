//! Client: collectors' Push streams over real gRPC, as many as asked for, without a collector behind them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use model::{InvalidName, Timestamp};
use proto::pb::metrics_service_client::MetricsServiceClient;
use proto::pb::push_request::Message;
use proto::{encode, pb};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Status, Streaming};

use crate::fleet;

const LAYOUT: u32 = 1;
/// A hub's default is 128 streams a connection.
const STREAMS_PER_CONNECTION: u32 = 50;
const REQUESTS_MAX: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("connect to the hub: {0}")]
    Connect(#[from] tonic::transport::Error),
    #[error("the hub ended the stream: {0}")]
    Ended(#[from] Status),
    #[error("the hub closed the stream")]
    Closed,
    #[error("the hub refused samples: {0:?}")]
    Refused(Vec<pb::Rejection>),
    #[error(transparent)]
    Name(#[from] InvalidName),
}

/// One machine's stream.
pub struct Stream {
    pub machine: u32,
    /// Of the newest frame sent.
    pub sequence: u64,
    acknowledged: u64,
    credit: u64,
    requests: mpsc::Sender<pb::PushRequest>,
    answers: Streaming<pb::PushResponse>,
}

/// Opens a stream for each of `machines` and sends its layout.
///
/// # Errors
/// When the hub does not take them.
pub async fn connect(hub: SocketAddr, machines: u32) -> Result<Vec<Stream>, ClientError> {
    let mut streams = Vec::new();
    let mut channel = Endpoint::from_shared(format!("http://{hub}"))?.connect().await?;
    for machine in 0..machines {
        if machine > 0 && machine % STREAMS_PER_CONNECTION == 0 {
            channel = Endpoint::from_shared(format!("http://{hub}"))?.connect().await?;
        }
        let (requests, waiting) = mpsc::channel(REQUESTS_MAX);
        let answers = MetricsServiceClient::new(channel.clone()).push(ReceiverStream::new(waiting)).await?;
        let stream =
            Stream { machine, sequence: 0, acknowledged: 0, credit: 1, requests, answers: answers.into_inner() };
        stream.hello().await?;
        streams.push(stream);
    }
    // Each hello is journalled: those of all machines share fsyncs.
    for stream in &mut streams {
        stream.listen().await?;
        stream.request(Message::Layout(encode::layout(LAYOUT, &fleet::series()?))).await?;
    }
    Ok(streams)
}

impl Stream {
    async fn hello(&self) -> Result<(), ClientError> {
        let hello = pb::Hello {
            machine_id: fleet::machine_name(self.machine),
            session: 1,
            interval_ms: 1_000,
            tags: BTreeMap::from([("role".into(), "bench".into())]),
            inventory: None,
        };
        self.request(Message::Hello(hello)).await
    }

    /// Sends a frame and returns its sequence.
    ///
    /// # Errors
    /// When the hub has ended the stream.
    pub async fn send(&mut self, values: Vec<f64>, at: Timestamp) -> Result<u64, ClientError> {
        let frame = self.frame(values, at);
        self.keep_to_credit(1).await?;
        self.request(Message::Frame(frame)).await?;
        Ok(self.sequence)
    }

    /// Sends several frames in one message, waiting for credit.
    ///
    /// # Errors
    /// When the hub has ended the stream.
    pub async fn send_many(&mut self, frames: &[(Timestamp, &[f64])]) -> Result<(), ClientError> {
        self.keep_to_credit(frames.len() as u64).await?;
        let frames = frames.iter().map(|(at, values)| self.frame(values.to_vec(), *at)).collect();
        self.request(Message::Frames(pb::Frames { frames })).await
    }

    /// Waits until the hub has this frame on its disk.
    ///
    /// # Errors
    /// When the hub has ended the stream or refused something.
    pub async fn acknowledged(&mut self, sequence: u64) -> Result<(), ClientError> {
        while self.acknowledged < sequence {
            self.listen().await?;
        }
        Ok(())
    }

    async fn keep_to_credit(&mut self, frames: u64) -> Result<(), ClientError> {
        while self.acknowledged < self.sequence && self.acknowledged + self.credit < self.sequence + frames {
            self.listen().await?;
        }
        Ok(())
    }

    fn frame(&mut self, values: Vec<f64>, at: Timestamp) -> pb::Frame {
        self.sequence += 1;
        let (sequence, time_ms) = (self.sequence, at.millis());
        pb::Frame { sequence, layout: LAYOUT, time_ms, age_ms: 0, values, present: Vec::new() }
    }

    async fn request(&self, message: Message) -> Result<(), ClientError> {
        let request = pb::PushRequest { message: Some(message) };
        self.requests.send(request).await.map_err(|_closed| ClientError::Closed)
    }

    async fn listen(&mut self) -> Result<(), ClientError> {
        let answer = self.answers.message().await?.ok_or(ClientError::Closed)?;
        if !answer.rejections.is_empty() {
            return Err(ClientError::Refused(answer.rejections));
        }
        self.acknowledged = answer.acknowledged;
        self.credit = u64::from(answer.credit);
        Ok(())
    }
}
