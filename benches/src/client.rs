//! Client: collectors' Push streams over real gRPC, as many as asked for, without a collector behind them.
//!
//! Each stream's answers are read by a task of its own, whatever its owner waits for: answers that nobody reads fill the window that the
//! streams of a connection share, and then the hub can answer none of them. Every wait has a deadline.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use model::{InvalidName, SeriesKey, Timestamp};
use proto::pb::metrics_service_client::MetricsServiceClient;
use proto::pb::push_request::Message;
use proto::{encode, pb};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Status, Streaming};

use crate::fleet;

const LAYOUT: u32 = 1;
/// A hub's default is 128 streams a connection.
const STREAMS_PER_CONNECTION: u32 = 50;
const REQUESTS_MAX: usize = 16;
/// A hub that does not answer for so long stands still.
const WAIT_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("connect to the hub: {0}")]
    Connect(#[from] tonic::transport::Error),
    #[error("the hub ended the stream: {0}")]
    Ended(#[from] Status),
    #[error("the hub closed the stream")]
    Closed,
    #[error("the hub did not {what} within {} s", WAIT_MAX.as_secs())]
    Late { what: &'static str },
    #[error("the hub refused samples: {reason}, {detail}")]
    Refused { reason: String, detail: String },
    #[error(transparent)]
    Name(#[from] InvalidName),
}

/// One machine's stream.
pub struct Stream {
    pub machine: u32,
    /// Of the newest frame sent.
    pub sequence: u64,
    requests: mpsc::Sender<pb::PushRequest>,
    heard: watch::Receiver<Heard>,
    /// Ends with the stream, and says why it did.
    reader: JoinHandle<ClientError>,
}

/// What the hub said last.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    answers: u64,
    acknowledged: u64,
    credit: u64,
}

/// Opens a stream for each of `machines`, which say that they send each second, and sends its layout.
///
/// # Errors
/// When the hub does not take them.
pub async fn connect(hub: SocketAddr, machines: u32) -> Result<Vec<Stream>, ClientError> {
    connect_as(hub, machines, 1_000, &fleet::series()?).await
}

/// The same with the interval that the machines tell (the hub calls them stale after three of them), and their series.
///
/// # Errors
/// When the hub does not take them.
pub async fn connect_as(
    hub: SocketAddr,
    machines: u32,
    interval_ms: u32,
    series: &[SeriesKey],
) -> Result<Vec<Stream>, ClientError> {
    let mut streams = Vec::new();
    let mut channel = Endpoint::from_shared(format!("http://{hub}"))?.connect().await?;
    for machine in 0..machines {
        if machine > 0 && machine % STREAMS_PER_CONNECTION == 0 {
            channel = Endpoint::from_shared(format!("http://{hub}"))?.connect().await?;
        }
        let (requests, waiting) = mpsc::channel(REQUESTS_MAX);
        let mut client = MetricsServiceClient::new(channel.clone());
        let answers = timeout(WAIT_MAX, client.push(ReceiverStream::new(waiting))).await;
        let answers = answers.map_err(|_elapsed| ClientError::Late { what: "open a stream" })??;
        let (hears, heard) = watch::channel(Heard::default());
        let reader = tokio::spawn(read(answers.into_inner(), hears));
        let stream = Stream { machine, sequence: 0, requests, heard, reader };
        stream.hello(interval_ms).await?;
        streams.push(stream);
    }
    // Each hello is journalled: those of all machines share fsyncs.
    for stream in &mut streams {
        stream.until("answer a hello", |heard| 0 < heard.answers).await?;
        stream.request(Message::Layout(encode::layout(LAYOUT, series))).await?;
    }
    Ok(streams)
}

impl Stream {
    async fn hello(&self, interval_ms: u32) -> Result<(), ClientError> {
        let hello = pb::Hello {
            machine_id: fleet::machine_name(self.machine),
            session: 1,
            interval_ms,
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
        self.until("acknowledge", |heard| sequence <= heard.acknowledged).await
    }

    async fn keep_to_credit(&mut self, frames: u64) -> Result<(), ClientError> {
        let sequence = self.sequence;
        let may_send =
            |heard: &Heard| sequence <= heard.acknowledged || sequence + frames <= heard.acknowledged + heard.credit;
        self.until("give credit", may_send).await
    }

    fn frame(&mut self, values: Vec<f64>, at: Timestamp) -> pb::Frame {
        self.sequence += 1;
        let (sequence, time_ms) = (self.sequence, at.millis());
        pb::Frame { sequence, layout: LAYOUT, time_ms, age_ms: 0, values, present: Vec::new() }
    }

    async fn request(&self, message: Message) -> Result<(), ClientError> {
        let request = pb::PushRequest { message: Some(message) };
        let sent = timeout(WAIT_MAX, self.requests.send(request)).await;
        sent.map_err(|_elapsed| ClientError::Late { what: "take a request" })?.map_err(|_closed| ClientError::Closed)
    }

    /// Waits for the hub to have said this.
    async fn until(&mut self, what: &'static str, is_so: impl Fn(&Heard) -> bool) -> Result<(), ClientError> {
        let waited = timeout(WAIT_MAX, self.heard.wait_for(is_so)).await.map(|heard| heard.is_ok());
        match waited {
            Ok(true) => Ok(()),
            Ok(false) => Err((&mut self.reader).await.unwrap_or(ClientError::Closed)),
            Err(_elapsed) => Err(ClientError::Late { what }),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Reads a stream's answers to its end.
async fn read(mut answers: Streaming<pb::PushResponse>, hears: watch::Sender<Heard>) -> ClientError {
    loop {
        let answer = match answers.message().await {
            Ok(Some(answer)) => answer,
            Ok(None) => return ClientError::Closed,
            Err(status) => return status.into(),
        };
        if let Some(first) = answer.rejections.first() {
            return ClientError::Refused { reason: first.reason.clone(), detail: first.detail.clone() };
        }
        hears.send_modify(|heard| {
            heard.answers += 1;
            heard.acknowledged = answer.acknowledged;
            heard.credit = u64::from(answer.credit);
        });
    }
}
