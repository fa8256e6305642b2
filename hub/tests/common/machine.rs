//! A simulated machine: knows what it measured, pushes it, remembers what was acknowledged, sends again what was not.

use std::collections::BTreeMap;

use model::{Labels, SeriesKey, Timestamp};
use proto::pb::metrics_service_client::MetricsServiceClient;
use proto::pb::push_request::Message;
use proto::{encode, pb};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::SOON;

pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) session: u64,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) series: Vec<SeriesKey>,
    /// Time in milliseconds and values of every frame; the first has sequence 1.
    pub(crate) frames: Vec<(i64, Vec<f64>)>,
    /// The newest sequence that the hub said is durable.
    pub(crate) acknowledged: u64,
}

/// A machine's open stream.
pub(crate) struct Push {
    requests: mpsc::Sender<pb::PushRequest>,
    pub(crate) answers: Streaming<pb::PushResponse>,
}

impl Machine {
    pub(crate) fn new(name: &str, metrics: &[&str]) -> Self {
        let key = |metric: &&str| SeriesKey::parse(metric, Labels::none()).unwrap();
        Self {
            name: name.to_owned(),
            session: name.bytes().fold(7, |hash, byte| hash * 31 + u64::from(byte)),
            tags: BTreeMap::from([("role".to_owned(), "db".to_owned())]),
            series: metrics.iter().map(key).collect(),
            frames: Vec::new(),
            acknowledged: 0,
        }
    }

    pub(crate) fn measure(&mut self, time_ms: i64, values: &[f64]) {
        self.frames.push((time_ms, values.to_vec()));
    }

    /// Connects, introduces itself, and hears what the hub has.
    pub(crate) async fn connect(&mut self, grpc: &str) -> Result<Push, Status> {
        let client = MetricsServiceClient::connect(grpc.to_owned()).await;
        let mut client = client.map_err(|error| Status::unavailable(error.to_string()))?;
        let (requests, waiting) = mpsc::channel(64);
        let hello = pb::Hello {
            machine_id: self.name.clone(),
            session: self.session,
            interval_ms: 5_000,
            tags: self.tags.clone(),
            inventory: None,
        };
        for message in [Message::Hello(hello), Message::Layout(encode::layout(1, &self.series))] {
            let request = pb::PushRequest { message: Some(message) };
            requests.send(request).await.map_err(|_closed| Status::unavailable("closed"))?;
        }
        let answers = client.push(ReceiverStream::new(waiting)).await?.into_inner();
        let mut push = Push { requests, answers };
        self.hear(&mut push).await?;
        Ok(push)
    }

    /// Sends everything that is not acknowledged, and returns when all of it is.
    pub(crate) async fn deliver(&mut self, push: &mut Push) -> Result<(), Status> {
        self.deliver_to(push, self.frames.len() as u64).await
    }

    /// The same up to this sequence.
    pub(crate) async fn deliver_to(&mut self, push: &mut Push, newest: u64) -> Result<(), Status> {
        let mut next = self.acknowledged + 1;
        while self.acknowledged < newest {
            // As many under way as a hub gives credit for at the least.
            while next <= newest && next - self.acknowledged <= 8 {
                push.send(Message::Frame(self.frame(next))).await?;
                next += 1;
            }
            self.hear(push).await?;
        }
        Ok(())
    }

    /// Sends what comes next, and does not wait for its acknowledgement.
    pub(crate) async fn send_ahead(&self, push: &Push, frames: u64) -> Result<(), Status> {
        let newest = (self.acknowledged + frames).min(self.frames.len() as u64);
        for next in self.acknowledged + 1..=newest {
            push.send(Message::Frame(self.frame(next))).await?;
        }
        Ok(())
    }

    pub(crate) fn frame(&self, sequence: u64) -> pb::Frame {
        let (time_ms, values) = &self.frames[usize::try_from(sequence).unwrap() - 1];
        let values: Vec<Option<f64>> = values.iter().copied().map(Some).collect();
        pb::Frame { sequence, ..encode::frame(1, Timestamp::from_millis(*time_ms), &values) }
    }

    async fn hear(&mut self, push: &mut Push) -> Result<(), Status> {
        let answer = push.answer().await?;
        assert!(self.acknowledged <= answer.acknowledged, "an acknowledgement was taken back");
        self.acknowledged = answer.acknowledged;
        Ok(())
    }
}

impl Push {
    pub(crate) async fn send(&self, message: Message) -> Result<(), Status> {
        let request = pb::PushRequest { message: Some(message) };
        self.requests.send(request).await.map_err(|_closed| Status::unavailable("closed"))
    }

    pub(crate) async fn answer(&mut self) -> Result<pb::PushResponse, Status> {
        let answer = timeout(SOON, self.answers.message()).await;
        let answer = answer.map_err(|_elapsed| Status::deadline_exceeded("no answer in time"))??;
        answer.ok_or_else(|| Status::unavailable("the stream has ended"))
    }
}
