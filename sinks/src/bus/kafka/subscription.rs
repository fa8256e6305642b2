//! Subscription: the partitions of some topics from a place on, each event with the places that come after it.
//!
//! It stands when every partition has a place: the end of what there is, or after a position. A client that loses its brokers goes on by
//! itself where it was; what ends a subscription is an error of the cluster's, such as events that are no longer kept.
//! Partitions that are added to a topic later belong to the next subscription.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::spawn_blocking;

use super::client::{Aside, Quiet, consumer, late, unavailable};
use super::config::KafkaSettings;
use crate::bus::{Pattern, Position, Received, Subscription, Topic};
use crate::error::SinkError;

/// Between two looks whether a topic was made.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// The next offset of each partition, by the topic's own name without a prefix.
type Places = BTreeMap<String, BTreeMap<i32, i64>>;

type Client = StreamConsumer<Quiet>;

/// A subscription being made, on a thread that may block.
struct Opening {
    name: &'static str,
    settings: Arc<KafkaSettings>,
    topics: Vec<Topic>,
    after: Option<Places>,
    until: Instant,
}

struct Opened {
    name: &'static str,
    client: Aside<Client>,
    /// By the name as Kafka has it.
    topics: BTreeMap<String, Topic>,
    places: Places,
    /// Events after the position that are no longer kept.
    missed: u64,
}

pub(super) async fn open(
    name: &'static str,
    settings: &Arc<KafkaSettings>,
    pattern: &Pattern,
    after: Option<&Position>,
) -> Result<Subscription, SinkError> {
    let after = after.map(|position| places(name, position)).transpose()?;
    let until = Instant::now() + settings.answer_within;
    let opening = Opening { name, settings: Arc::clone(settings), topics: pattern.topics(), after, until };
    let opened = spawn_blocking(move || opening.open()).await;
    let failed = |source| SinkError::Unavailable { sink: name, action: "subscribe", source };
    let opened = opened.map_err(|error| failed(error.into()))??;
    let missed = (0 < opened.missed).then_some(Ok(Received::Missed(opened.missed)));
    let events = stream::unfold(Some(opened), |opened| async move {
        let mut opened = opened?;
        match opened.next().await {
            Ok(received) => Some((Ok(received), Some(opened))),
            Err(error) => Some((Err(unavailable(opened.name, "receive events", &error)), None)),
        }
    });
    Ok(Box::pin(stream::iter(missed).chain(events)))
}

fn places(name: &'static str, position: &Position) -> Result<Places, SinkError> {
    serde_json::from_str(&position.0).map_err(|error| SinkError::Broken {
        sink: name,
        action: "resume a subscription",
        advice: "give a position as an event of this bus had it".to_owned(),
        source: error.into(),
    })
}

impl Opening {
    fn open(self) -> Result<Opened, SinkError> {
        let failed = |error: KafkaError| unavailable(self.name, "subscribe", &error);
        let made = consumer(&self.settings).create_with_context(Quiet).map_err(failed)?;
        let client: Aside<Client> = Aside::new(made);
        let (mut places, mut missed, mut topics) = (Places::new(), 0, BTreeMap::new());
        let mut assigned = TopicPartitionList::new();
        for topic in &self.topics {
            let own = self.settings.topic(*topic);
            for partition in self.partitions(client.get(), &own)? {
                let (low, high) = client.get().fetch_watermarks(&own, partition, self.left()?).map_err(failed)?;
                let wanted = self.wanted(*topic, partition, (low, high));
                missed += u64::try_from(low - wanted).unwrap_or(0);
                let place = wanted.clamp(low, high);
                assigned.add_partition_offset(&own, partition, Offset::Offset(place)).map_err(failed)?;
                places.entry(topic.as_str().to_owned()).or_default().insert(partition, place);
            }
            topics.insert(own, *topic);
        }
        client.get().assign(&assigned).map_err(failed)?;
        Ok(Opened { name: self.name, client, topics, places, missed })
    }

    /// A partition that the position does not know was made later: all of it is news.
    fn wanted(&self, topic: Topic, partition: i32, (low, high): (i64, i64)) -> i64 {
        match &self.after {
            None => high,
            Some(after) => after.get(topic.as_str()).and_then(|of| of.get(&partition)).copied().unwrap_or(low),
        }
    }

    /// Asking for a topic makes it, where the brokers do such a thing.
    fn partitions(&self, client: &Client, topic: &str) -> Result<Vec<i32>, SinkError> {
        loop {
            let metadata = client.fetch_metadata(Some(topic), self.left()?);
            let metadata = metadata.map_err(|error| unavailable(self.name, "subscribe", &error))?;
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            let partitions: Vec<i32> =
                found.map(|found| found.partitions().iter().map(|one| one.id()).collect()).unwrap_or_default();
            if !partitions.is_empty() {
                return Ok(partitions);
            }
            self.left()?;
            #[expect(clippy::disallowed_methods, reason = "no word comes when a topic is made; this thread may block")]
            std::thread::sleep(LOOK_AGAIN_AFTER);
        }
    }

    /// Of the deadline.
    fn left(&self) -> Result<Duration, SinkError> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(late(self.name, "subscribe")) } else { Ok(left) }
    }
}

impl Opened {
    async fn next(&mut self) -> Result<Received, KafkaError> {
        loop {
            let (topic, partition, offset, payload) = {
                let message = match self.client.get().recv().await {
                    Ok(message) => message,
                    Err(error) if heals(&error) => continue,
                    Err(error) => return Err(error),
                };
                let payload = Bytes::copy_from_slice(message.payload().unwrap_or_default());
                (self.topics.get(message.topic()).copied(), message.partition(), message.offset(), payload)
            };
            let Some(topic) = topic else { continue };
            self.places.entry(topic.as_str().to_owned()).or_default().insert(partition, offset + 1);
            let position = serde_json::to_string(&self.places).expect("maps of text and numbers serialize");
            return Ok(Received::Event { topic, payload, position: Some(Position(position)) });
        }
    }
}

/// What the client mends by connecting again.
fn heals(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        AllBrokersDown, BrokerTransportFailure, LeaderNotAvailable, NotLeaderForPartition, OperationTimedOut, Resolve,
    };
    let of_the_way =
        [AllBrokersDown, BrokerTransportFailure, LeaderNotAvailable, NotLeaderForPartition, OperationTimedOut, Resolve];
    matches!(error, KafkaError::MessageConsumption(code) if of_the_way.contains(code))
}
