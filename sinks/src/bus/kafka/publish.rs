//! Publishing: events through one idempotent producer, each confirmed before the call ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer, PurgeConfig};
use runtime::metrics::{Counter, Registry};
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::client::{Aside, EVENT_BYTES_MAX, Quiet, late, producer, unavailable};
use super::config::KafkaSettings;
use super::subscription;
use crate::bus::{Bus, Capabilities, Event, Pattern, Position, Subscription};
use crate::error::SinkError;

/// Between two looks at a full queue.
const ROOM_AFTER: Duration = Duration::from_millis(5);

type Client = Arc<Aside<FutureProducer<Quiet>>>;

/// Connects when it is first used; a producer that failed is not used again.
#[derive(Clone)]
pub struct KafkaBus {
    name: &'static str,
    settings: Arc<KafkaSettings>,
    producer: Arc<Mutex<Option<Client>>>,
    too_large: Counter,
}

impl KafkaBus {
    /// `name` is the word for it in logs, counters and `/ready`.
    pub fn new(name: &'static str, settings: Arc<KafkaSettings>, registry: &Registry) -> Self {
        let help = "Events that no broker would take, for their size.";
        let too_large = registry.counter("sinks_bus_too_large_total", help, &[("sink", name)]);
        Self { name, settings, producer: Arc::default(), too_large }
    }

    fn producer(&self) -> Result<Client, SinkError> {
        let mut held = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = held.as_ref() {
            return Ok(Arc::clone(client));
        }
        let made = producer(&self.settings).create_with_context(Quiet);
        let made = made.map_err(|error| unavailable(self.name, "make a producer", &error))?;
        let client = Arc::new(Aside::new(made));
        *held = Some(Arc::clone(&client));
        Ok(client)
    }

    /// In the order of the events; ends when all of them are confirmed.
    async fn publish_all(&self, client: &Client, events: &[Event]) -> Result<(), KafkaError> {
        let mut under_way = Vec::with_capacity(events.len());
        for event in events.iter().filter(|event| self.fits(event)) {
            under_way.push(self.enqueue(client.get(), event).await?);
        }
        try_join_all(under_way.into_iter().map(confirmed)).await.map(drop)
    }

    /// Refusing one would hold up all that come after it, again and again.
    fn fits(&self, event: &Event) -> bool {
        let fits = event.payload.len() <= EVENT_BYTES_MAX;
        if !fits {
            self.too_large.add(1);
            let (bytes, topic) = (event.payload.len(), event.topic.as_str());
            warn!(machine = event.machine, topic, bytes, "event is too large for kafka and left out");
        }
        fits
    }

    async fn enqueue(&self, producer: &FutureProducer<Quiet>, event: &Event) -> Result<DeliveryFuture, KafkaError> {
        let topic = self.settings.topic(event.topic);
        loop {
            let record = FutureRecord::to(&topic).key(&event.machine).payload(event.payload.as_ref());
            match producer.send_result(record) {
                Ok(delivery) => return Ok(delivery),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => sleep(ROOM_AFTER).await,
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// What it still holds is given up: the caller publishes all of it again, through a new one.
    fn give_up(&self, failed: &Client) {
        let mut held = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_some_and(|client| Arc::ptr_eq(client, failed)) {
            *held = None;
        }
        failed.get().purge(PurgeConfig::default().queue().inflight());
    }
}

async fn confirmed(delivery: DeliveryFuture) -> Result<(), KafkaError> {
    match delivery.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err((error, _message))) => Err(error),
        Err(_gone) => Err(KafkaError::Canceled),
    }
}

impl Bus for KafkaBus {
    fn name(&self) -> &'static str {
        self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { can_resume: true }
    }

    async fn publish(&self, events: &[Event]) -> Result<(), SinkError> {
        if events.is_empty() {
            return Ok(());
        }
        let client = self.producer()?;
        let published = timeout(self.settings.answer_within, self.publish_all(&client, events)).await;
        let error = match published {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => unavailable(self.name, "publish events", &error),
            Err(_late) => late(self.name, "publish events"),
        };
        self.give_up(&client);
        Err(error)
    }

    async fn subscribe(&self, pattern: &Pattern, after: Option<&Position>) -> Result<Subscription, SinkError> {
        subscription::open(self.name, &self.settings, pattern, after).await
    }
}
