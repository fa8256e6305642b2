//! The bus on Redis Pub/Sub: a topic is a channel. Reaches who listens; Redis keeps nothing.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use redis::Cmd;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{Bus, Capabilities, Event, Pattern, Position, Received, Subscription, Topic, refuse_resume};
use crate::error::SinkError;
use crate::redis::config::RedisSettings;
use crate::redis::link::{Link, broken_off, unavailable};

/// Commands of one pipeline: some hundred kilobytes.
const CHUNK_EVENTS: usize = 256;

/// Connects when it is first used, and again after a failure.
#[derive(Clone)]
pub struct RedisBus {
    name: &'static str,
    settings: Arc<RedisSettings>,
    link: Arc<Mutex<Option<Link>>>,
}

impl RedisBus {
    /// `name` is the word for it in logs, counters and `/ready`.
    pub fn new(name: &'static str, settings: Arc<RedisSettings>) -> Self {
        Self { name, settings, link: Arc::default() }
    }

    /// Of several publishers at once one connects. A link that failed is not used again.
    async fn publish_all(&self, events: &[Event]) -> Result<(), SinkError> {
        let mut link = self.link.lock().await;
        if link.is_none() {
            *link = Some(Link::open(self.name, &self.settings).await?);
        }
        let Some(open) = link.as_ref() else { return Ok(()) };
        for chunk in events.chunks(CHUNK_EVENTS) {
            let commands = chunk.iter().map(|event| publish(&self.settings, event.topic, &event.payload)).collect();
            if let Err(error) = open.run(commands).await {
                *link = None;
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Bus for RedisBus {
    fn name(&self) -> &'static str {
        self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { can_resume: false }
    }

    async fn publish(&self, events: &[Event]) -> Result<(), SinkError> {
        self.publish_all(events).await
    }

    async fn subscribe(&self, pattern: &Pattern, after: Option<&Position>) -> Result<Subscription, SinkError> {
        if after.is_some() {
            return Err(refuse_resume(self.name));
        }
        let name = self.name;
        let opening = async {
            let mut pubsub =
                self.settings.node(name)?.get_async_pubsub().await.map_err(|e| unavailable(name, "subscribe", e))?;
            for topic in pattern.topics() {
                let channel = self.settings.keys.channel(topic);
                pubsub.subscribe(channel).await.map_err(|e| unavailable(name, "subscribe", e))?;
            }
            Ok(pubsub)
        };
        let pubsub =
            timeout(self.settings.answer_within, opening).await.map_err(|_late| broken_off(name, "subscribe"))??;
        let prefix = self.settings.keys.prefix().len();
        let messages = pubsub.into_on_message().filter_map(move |message| async move {
            let topic = message.get_channel_name().get(prefix..).and_then(Topic::parse)?;
            Some(Ok(Received::Event { topic, payload: message.get_payload_bytes().to_vec().into(), position: None }))
        });
        // The connection's end is an error, not an end: events go on without this subscriber.
        let end = stream::once(async move { Err(broken_off(name, "receive events")) });
        Ok(Box::pin(messages.chain(end)))
    }
}

/// The command that publishes an event.
fn publish(settings: &RedisSettings, topic: Topic, payload: &[u8]) -> Cmd {
    let channel = settings.keys.channel(topic);
    let mut command = Cmd::with_capacity(3, 16 + channel.len() + payload.len());
    command.arg("PUBLISH").arg(channel).arg(payload);
    command
}
